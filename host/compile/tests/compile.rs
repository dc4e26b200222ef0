//! `ente-compile` as its callers see it: through the client of `arje-store`, and by hand where the
//! client would not let a mistake through.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod modules;

use std::process::{Command, Output, Stdio};
use std::sync::LazyLock;

use arje_store::compiler::protocol::{Cpu, Limits};
use arje_store::compiler::{CompileError, Compiler};
use arje_store::{MAX_MODULE_BYTES, Sha256};
use modules::{ANSWER, around, component, costly};
use wasmtime::component::{Component, Linker};
use wasmtime::{Engine, Store};

const PROGRAM: &str = env!("CARGO_BIN_EXE_ente-compile");

/// An engine like the host's: the same settings, without a compiler.
static HOST: LazyLock<Engine> = LazyLock::new(|| {
    let mut config = arje_engine::config();
    config.enable_compiler(false);
    Engine::new(&config).unwrap()
});

fn host_fingerprint() -> Sha256 {
    Sha256::from(arje_engine::fingerprint(&HOST))
}

fn compiler() -> Compiler {
    Compiler::new(PROGRAM)
}

fn compile(wasm: &[u8]) -> Result<Vec<u8>, CompileError> {
    compiler().compile(wasm, host_fingerprint())
}

fn load(artifact: &[u8]) -> Component {
    // SAFETY: the bytes come from the compiler under test, a moment ago.
    unsafe { Component::deserialize(&HOST, artifact) }.unwrap()
}

/// Calls an export without parameters.
fn call<R>(artifact: &[u8], export: &str) -> wasmtime::Result<R>
where
    (R,): wasmtime::component::ComponentNamedList + wasmtime::component::Lift + 'static,
{
    let mut store = Store::new(&HOST, ());
    store.set_epoch_deadline(1);
    let instance = Linker::new(&HOST).instantiate(&mut store, &load(artifact))?;
    let function = instance.get_typed_func::<(), (R,)>(&mut store, export)?;
    Ok(function.call(&mut store, ())?.0)
}

/// Runs the program without the client.
fn run(arguments: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(PROGRAM)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // A child that refuses early does not read on.
    let _ = std::io::Write::write_all(&mut stdin, input);
    drop(stdin);
    child.wait_with_output().unwrap()
}

#[test]
fn host_and_compiler_name_the_same_engine() {
    let golden = include_str!("../../engine/tests/fingerprint.golden");
    assert_eq!(host_fingerprint().to_string(), golden.trim());
    assert_eq!(compiler().fingerprint().unwrap(), host_fingerprint());
    let native = run(&["--cpu", "native", "--fingerprint"], b"");
    assert_eq!(String::from_utf8(native.stdout).unwrap(), golden);
}

#[test]
fn a_component_compiles_and_runs_without_a_compiler() {
    let artifact = compile(&component(ANSWER)).unwrap();
    assert_eq!(call::<u32>(&artifact, "answer").unwrap(), 42);
}

#[test]
fn a_component_for_this_cpu_runs_here() {
    let artifact = compiler()
        .cpu(Cpu::Native)
        .compile(&component(ANSWER), host_fingerprint())
        .unwrap();
    assert_eq!(call::<u32>(&artifact, "answer").unwrap(), 42);
}

#[test]
fn the_same_module_gives_the_same_bytes() {
    for wasm in [component(ANSWER), costly(200, 50)] {
        assert_eq!(compile(&wasm).unwrap(), compile(&wasm).unwrap());
    }
}

#[test]
fn a_baseline_artifact_asks_for_no_cpu_feature() {
    // i8x16.swizzle is PSHUFB (SSSE3) where the CPU may be chosen, and must do without it here.
    let swizzle =
        around("(func (param v128 v128) (result v128) local.get 0 local.get 1 i8x16.swizzle)");
    let artifact = compile(&swizzle).unwrap();
    // What detect says is what the host has: nothing beyond x86-64 as first specified.
    let mut config = arje_engine::config();
    config.enable_compiler(false);
    // SAFETY: it denies features that may be there, and grants none.
    unsafe { config.detect_host_feature(|_| Some(false)) };
    let oldest = Engine::new(&config).unwrap();
    // SAFETY: the bytes come from the compiler under test.
    unsafe { Component::deserialize(&oldest, &artifact) }.unwrap();

    if std::arch::is_x86_feature_detected!("ssse3") {
        let native = compiler().cpu(Cpu::Native);
        let artifact = native.compile(&swizzle, host_fingerprint()).unwrap();
        // SAFETY: as above.
        let error = unsafe { Component::deserialize(&oldest, &artifact) }.unwrap_err();
        assert!(
            format!("{error:#}").contains("not available on the host"),
            "{error:#}"
        );
    }
}

#[test]
fn a_trap_says_what_it_was_and_takes_no_trace() {
    let artifact = compile(&component(ANSWER)).unwrap();
    let mut store = Store::new(&HOST, ());
    store.set_epoch_deadline(1);
    let instance = Linker::new(&HOST)
        .instantiate(&mut store, &load(&artifact))
        .unwrap();
    let trap = instance
        .get_typed_func::<(), ()>(&mut store, "trap")
        .unwrap();
    let error = trap.call(&mut store, ()).unwrap_err();
    assert_eq!(
        error.downcast_ref::<wasmtime::Trap>(),
        Some(&wasmtime::Trap::UnreachableCodeReached)
    );
    // Nobody prints one, and taking it is a good part of what a trap costs.
    assert!(!format!("{error:?}").contains("deliberately"), "{error:?}");
}

#[test]
fn an_endless_loop_ends_with_the_epoch() {
    let endless = component(
        r#"(component
             (core module $m (func (export "f") (result i32) (loop br 0) unreachable))
             (core instance $i (instantiate $m))
             (func (export "f") (result u32) (canon lift (core func $i "f"))))"#,
    );
    let artifact = compile(&endless).unwrap();
    let mut store = Store::new(&HOST, ());
    store.set_epoch_deadline(0);
    let instance = Linker::new(&HOST)
        .instantiate(&mut store, &load(&artifact))
        .unwrap();
    let function = instance
        .get_typed_func::<(), (u32,)>(&mut store, "f")
        .unwrap();
    let error = function.call(&mut store, ()).unwrap_err();
    assert_eq!(
        error.downcast_ref::<wasmtime::Trap>(),
        Some(&wasmtime::Trap::Interrupt)
    );
}

#[test]
fn what_is_refused_and_why() {
    let whole = component(ANSWER);
    let mut table: Vec<(&str, Vec<u8>, &str)> = vec![
        ("nothing", Vec::new(), "unexpected end"),
        (
            "garbage",
            b"#!/bin/sh\n".to_vec(),
            "magic header not detected",
        ),
        ("text", ANSWER.into(), "magic header not detected"),
        (
            "truncated",
            whole[..whole.len() / 2].to_vec(),
            "unexpected end",
        ),
        ("core module", b"\0asm\x01\0\0\0".to_vec(), "component"),
        ("another version", b"\0asm\x0e\0\x01\0".to_vec(), "version"),
        (
            "elf",
            b"\x7fELF\x02\x01\x01\0".to_vec(),
            "magic header not detected",
        ),
    ];
    for (name, core, reason) in [
        (
            "wrong types",
            "(func (result i32) i64.const 0)",
            "type mismatch",
        ),
        ("shared memory", "(memory 1 1 shared)", "threads"),
        ("64-bit memory", "(memory i64 1)", "memory64"),
        ("gc", "(type (struct (field i32)))", "gc"),
        ("exceptions", "(tag)", "exceptions"),
        (
            "custom page size",
            "(memory 1 (pagesize 1))",
            "custom page sizes",
        ),
        ("4 GiB and a page", "(memory 65537)", "memory size"),
    ] {
        // Encoded without validation, which is the compiler's business.
        let text = format!("(component (core module {core}))");
        table.push((name, component(&text), reason));
    }
    for (name, wasm, reason) in table {
        match compile(&wasm) {
            Err(CompileError::Refused(message)) => assert!(
                message.contains(reason),
                "{name}: expected {reason:?} in {message:?}"
            ),
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[test]
fn every_truncation_is_refused_or_a_component() {
    // A prefix that ends between two sections is itself a component; nothing may crash.
    let whole = component(ANSWER);
    for length in (0..whole.len()).step_by(7) {
        match compile(&whole[..length]) {
            Ok(_) | Err(CompileError::Refused(_)) => {}
            Err(error) => panic!("{length} bytes: {error}"),
        }
    }
}

#[test]
fn a_module_that_is_too_large_is_refused_on_both_sides() {
    let huge = vec![0; usize::try_from(MAX_MODULE_BYTES).unwrap() + 1];
    let error = compile(&huge).unwrap_err();
    assert!(matches!(error, CompileError::TooLarge(_)), "{error}");
    let output = run(&[], &huge);
    assert_eq!(output.status.code(), Some(6));
    assert!(output.stdout.is_empty());
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(message.contains("67108864"), "{message}");
}

#[test]
fn a_compilation_that_takes_too_long_ends() {
    let limits = Limits {
        cpu_seconds: 1,
        ..Limits::DEFAULT
    };
    let error = compiler()
        .limits(limits)
        .compile(&costly(2_000, 10_000), host_fingerprint())
        .unwrap_err();
    assert!(
        matches!(error, CompileError::OutOfTime { limit: 1 }),
        "{error:?}"
    );
}

#[test]
fn a_compilation_that_takes_too_much_memory_ends() {
    let limits = Limits {
        memory_bytes: 128 << 20,
        ..Limits::DEFAULT
    };
    // One function as large as the format allows: all of it is in memory at once.
    let error = compiler()
        .limits(limits)
        .compile(&costly(1, 2_500_000), host_fingerprint())
        .unwrap_err();
    assert!(
        matches!(error, CompileError::OutOfMemory { .. }),
        "{error:?}"
    );
}

#[test]
fn another_engine_is_told_so_before_anything_is_read() {
    let error = compiler()
        .compile(&component(ANSWER), Sha256::of(b"another"))
        .unwrap_err();
    let CompileError::OtherEngine(message) = error else {
        panic!("{error:?}");
    };
    assert!(
        message.contains(&host_fingerprint().to_string()),
        "{message}"
    );
}

#[test]
fn wrong_command_lines() {
    let table: [(&[&str], &str); 7] = [
        (&["--wat"], "unknown argument \"--wat\""),
        (&["module.wasm"], "unknown argument \"module.wasm\""),
        (&["--cpu"], "--cpu wants a value"),
        (
            &["--cpu", "z80"],
            "--cpu is \"z80\", expected baseline or native",
        ),
        (&["--memory-bytes", "0"], "expected a number above 0"),
        (&["--cpu-seconds", "1s"], "--cpu-seconds is \"1s\""),
        (&["--engine"], "--engine wants a value"),
    ];
    for (arguments, reason) in table {
        let output = run(arguments, b"");
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty());
        let message = String::from_utf8(output.stderr).unwrap();
        assert!(message.contains(reason), "{arguments:?}: {message}");
        assert!(message.contains("usage:"), "{arguments:?}: {message}");
    }
}

#[test]
fn standard_output_that_cannot_be_written_is_an_error() {
    let full = std::fs::File::options()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let mut child = Command::new(PROGRAM)
        .stdin(Stdio::piped())
        .stdout(full)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    std::io::Write::write_all(&mut stdin, &component(ANSWER)).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(5));
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(message.contains("writing standard output"), "{message}");
}
