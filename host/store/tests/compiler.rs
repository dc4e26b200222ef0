//! The client against programs that misbehave in every way a compiler could. What the real
//! `ente-compile` does is tested beside it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::process::Command;
use std::time::Duration;

use arje_store::compiler::protocol::{Cpu, Exit};
use arje_store::compiler::{CompileError, Compiler};
use arje_store::{EnsureError, MAX_ARTIFACT_BYTES, Sha256, Store, StoreError};
use tempfile::TempDir;

/// A program that runs this shell script.
///
/// Another process writes the file: if this one did, a child that another test starts at the same
/// moment would inherit the descriptor for an instant, and the kernel refuses to run a file that
/// is open for writing.
fn program(script: &str) -> (TempDir, Compiler) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("compiler");
    let status = Command::new("/bin/sh")
        .args([
            "-c",
            "printf '#!/bin/sh\\n%s\\n' \"$1\" >\"$0\" && chmod 755 \"$0\"",
        ])
        .arg(&path)
        .arg(script)
        .status()
        .unwrap();
    assert!(status.success());
    (folder, Compiler::new(path))
}

fn engine() -> Sha256 {
    Sha256::of(b"engine")
}

fn compile(script: &str) -> Result<Vec<u8>, CompileError> {
    let (_folder, compiler) = program(script);
    compiler.compile(b"module", engine())
}

/// A compiler that reverses nothing and marks everything.
const MARK: &str = "printf 'compiled '; exec cat";

#[test]
fn the_module_goes_in_and_the_artifact_comes_out() {
    assert_eq!(compile(MARK).unwrap(), b"compiled module");
}

#[test]
fn a_module_larger_than_any_pipe_goes_through() {
    let (_folder, compiler) = program("exec cat");
    let module: Vec<u8> = (0..5_000_000_u32).map(|n| n as u8).collect();
    assert!(compiler.compile(&module, engine()).unwrap() == module);
}

#[test]
fn the_arguments_are_the_documented_ones() {
    let (_folder, compiler) = program("echo \"$@\"");
    let said = compiler.cpu(Cpu::Native).compile(b"", engine()).unwrap();
    let expected = format!(
        "--cpu native --engine {} --memory-bytes 2147483648 --cpu-seconds 120\n",
        engine()
    );
    assert_eq!(String::from_utf8(said).unwrap(), expected);
}

#[test]
fn the_child_has_no_environment() {
    // What the shell itself sets.
    let said = compile("env | grep -v '^PWD=\\|^_=\\|^SHLVL='; echo end").unwrap();
    assert_eq!(String::from_utf8_lossy(&said), "end\n");
}

#[test]
fn the_child_cannot_change_its_input() {
    let said = compile("echo x >&0 || echo refused").unwrap();
    assert_eq!(String::from_utf8_lossy(&said), "refused\n");
}

#[test]
fn every_end_has_its_own_error() {
    type Expected = fn(&CompileError) -> bool;
    let table: [(&str, Expected, &str); 15] = [
        (
            "echo no >&2; exit 1",
            |e| matches!(e, CompileError::Refused(m) if m == "no"),
            "refused: no",
        ),
        (
            "exit 2",
            |e| {
                matches!(
                    e,
                    CompileError::Failed {
                        exit: Exit::Usage,
                        ..
                    }
                )
            },
            "called wrongly",
        ),
        (
            "echo rlimit >&2; exit 3",
            |e| matches!(e, CompileError::Sandbox(_)),
            "rlimit",
        ),
        (
            "echo theirs >&2; exit 4",
            |e| matches!(e, CompileError::OtherEngine(_)),
            "theirs",
        ),
        (
            "exit 5",
            |e| matches!(e, CompileError::Failed { exit: Exit::Io, .. }),
            "could not read",
        ),
        (
            "echo big >&2; exit 6",
            |e| matches!(e, CompileError::TooLarge(_)),
            "big",
        ),
        (
            "echo panic >&2; exit 7",
            |e| {
                matches!(
                    e,
                    CompileError::Failed {
                        exit: Exit::Internal,
                        ..
                    }
                )
            },
            "panic",
        ),
        (
            "exit 42",
            |e| matches!(e, CompileError::UnknownExit { code: 42, .. }),
            "status 42",
        ),
        (
            "kill -SYS $$",
            |e| matches!(e, CompileError::Forbidden),
            "do not trust",
        ),
        (
            "kill -XCPU $$",
            |e| matches!(e, CompileError::OutOfTime { limit: 120 }),
            "120 s",
        ),
        (
            "kill -KILL $$",
            |e| matches!(e, CompileError::OutOfMemory { .. }),
            "2147483648 bytes",
        ),
        (
            "echo memory allocation of 5 bytes failed >&2; kill -ABRT $$",
            |e| matches!(e, CompileError::OutOfMemory { .. }),
            "memory",
        ),
        (
            "kill -XFSZ $$",
            |e| matches!(e, CompileError::TooLarge(_)),
            "268435456",
        ),
        (
            "echo ouch >&2; kill -SEGV $$",
            |e| matches!(e, CompileError::Crashed { signal: 11, .. }),
            "SIGSEGV): ouch",
        ),
        (
            "exit 0",
            |e| matches!(e, CompileError::Empty),
            "without writing",
        ),
    ];
    for (script, expected, text) in table {
        let error = compile(script).unwrap_err();
        assert!(expected(&error), "{script}: {error:?}");
        assert!(error.to_string().contains(text), "{script}: {error}");
    }
}

#[test]
fn a_program_that_does_not_end_is_killed() {
    for script in [
        "while :; do :; done",
        // Talks all the time.
        "while :; do echo still here >&2; done",
        // Closes what the caller listens to, and lives on.
        "exec 2>&-; while :; do :; done",
    ] {
        let (_folder, compiler) = program(script);
        let error = compiler
            .deadline(Duration::from_millis(300))
            .compile(b"", engine())
            .unwrap_err();
        assert!(
            matches!(error, CompileError::Deadline(_)),
            "{script}: {error:?}"
        );
    }
}

#[test]
fn of_a_long_speech_the_beginning_is_kept() {
    let error = compile("yes word | head -c 1000000 >&2; exit 1").unwrap_err();
    let CompileError::Refused(message) = error else {
        panic!("{error:?}");
    };
    assert!(message.starts_with("word word "));
    assert!(message.len() < 10_000, "{} bytes", message.len());
}

#[test]
fn too_much_output_is_not_read() {
    // Sparse: it takes no memory.
    let script = format!("truncate -s {} /proc/self/fd/1", MAX_ARTIFACT_BYTES + 1);
    let error = compile(&script).unwrap_err();
    assert!(matches!(error, CompileError::TooLarge(_)), "{error:?}");
}

#[test]
fn a_program_that_is_not_there_is_named() {
    let error = Compiler::new("/nowhere/ente-compile")
        .compile(b"", engine())
        .unwrap_err();
    assert!(matches!(error, CompileError::Start { .. }));
    assert!(
        error.to_string().contains("/nowhere/ente-compile"),
        "{error}"
    );
}

#[test]
fn the_fingerprint_is_read_or_refused() {
    let (_folder, compiler) = program(&format!("echo {}", engine()));
    assert_eq!(compiler.fingerprint().unwrap(), engine());
    let (_folder, compiler) = program("echo none");
    let error = compiler.fingerprint().unwrap_err();
    assert!(error.to_string().contains("\"none\""), "{error}");
}

#[test]
fn ensure_compiles_once() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::create(folder.path()).unwrap();
    let pin = store.put_module(b"module").unwrap();
    let (_program, compiler) = program(MARK);
    let first = store.ensure(pin, engine(), &compiler).unwrap();
    assert_eq!(first.bytes(), b"compiled module");
    // A compiler that fails shows that it is not asked again.
    let (_program, failing) = program("exit 7");
    let second = store.ensure(pin, engine(), &failing).unwrap();
    assert_eq!(second.bytes(), first.bytes());
}

#[test]
fn ensure_does_not_hide_damage() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::create(folder.path()).unwrap();
    let pin = store.put_module(b"module").unwrap();
    let (_program, compiler) = program(MARK);
    let artifact = store.ensure(pin, engine(), &compiler).unwrap();
    fs::write(store.artifact_path(artifact.record().artifact), b"changed").unwrap();
    let error = store.ensure(pin, engine(), &compiler).unwrap_err();
    assert!(
        matches!(error, EnsureError::Store(StoreError::Mismatch(_))),
        "{error}"
    );

    fs::write(store.module_path(pin), b"changed").unwrap();
    let error = store
        .ensure(pin, Sha256::of(b"other"), &compiler)
        .unwrap_err();
    assert!(
        matches!(error, EnsureError::Store(StoreError::Mismatch(_))),
        "{error}"
    );
}

/// Whose record it was cannot be told, so it may be that of what is missing.
#[test]
fn ensure_does_not_hide_a_damaged_record() {
    let folder = tempfile::tempdir().unwrap();
    let (_program, compiler) = program(MARK);
    let store = Store::create(folder.path()).unwrap();
    let pin = store.put_module(b"module").unwrap();
    store.ensure(pin, engine(), &compiler).unwrap();
    let index = fs::read(store.index_path()).unwrap();
    for byte in [0, 90, 150, 205, 250, 275] {
        let mut flipped = index.clone();
        flipped[byte] ^= 1;
        fs::write(store.index_path(), &flipped).unwrap();
        let error = store.ensure(pin, engine(), &compiler).unwrap_err();
        let said = error.to_string();
        assert!(
            said.contains("record 1: damaged: expected") && said.contains("remove the index"),
            "byte {byte}: {said}"
        );
        assert_eq!(
            fs::read(store.index_path()).unwrap(),
            flipped,
            "byte {byte}"
        );
    }
    fs::remove_file(store.index_path()).unwrap();
    store.ensure(pin, engine(), &compiler).unwrap();
    assert_eq!(fs::read(store.index_path()).unwrap(), index);
}

#[test]
fn what_the_compiler_refuses_is_not_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::create(folder.path()).unwrap();
    let pin = store.put_module(b"module").unwrap();
    let (_program, compiler) = program("echo not a component >&2; exit 1");
    let error = store.ensure(pin, engine(), &compiler).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("module {pin}: the module was refused: not a component")
    );
    assert!(store.index().unwrap().is_empty());
}
