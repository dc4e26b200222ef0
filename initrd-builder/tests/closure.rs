//! Library closures, on made-up systems and on a program of this one.

#![expect(clippy::unwrap_used, reason = "tests say what they expect")]

#[path = "common/elf.rs"]
mod elf;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;

use elf::{Elf, elf};
use initrd_builder::Error;
use initrd_builder::closure::{Libraries, Placed};
use initrd_builder::elf::parse;

const LOADER: &str = "/lib64/ld-linux-x86-64.so.2";
const NAMED: Elf<'_> = Elf {
    interpreter: None,
    needed: &[],
    rpath: None,
    runpath: None,
    machine: 0,
};

/// A folder that stands for a machine's root.
struct System(tempfile::TempDir);

impl System {
    fn new(files: &[(&str, Elf<'_>)]) -> Self {
        let system = Self(tempfile::tempdir().unwrap());
        system.put(LOADER, &elf(&NAMED));
        for (path, what) in files {
            system.put(path, &elf(what));
        }
        system
    }

    fn put(&self, path: &str, data: &[u8]) {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, data).unwrap();
    }

    fn path(&self, path: &str) -> std::path::PathBuf {
        self.0.path().join(path.trim_start_matches('/'))
    }

    /// Image path to what is there, for the program at `source`, placed at `dest`.
    fn closure(&self, dest: &str, source: &str) -> Result<BTreeMap<String, String>, Error> {
        let source = self.path(source);
        let info = parse(&std::fs::read(&source).unwrap()).unwrap();
        let root = self.0.path().canonicalize().unwrap();
        let placed = Libraries::below(self.0.path()).closure(dest, &source, &info)?;
        Ok(placed
            .into_iter()
            .map(|placed| match placed {
                Placed::File { path, source, .. } => {
                    let source = source.canonicalize().unwrap();
                    let source = source.strip_prefix(&root).unwrap();
                    (path, format!("/{}", source.display()))
                }
                Placed::Link { path, target } => (path, format!("-> {target}")),
            })
            .collect())
    }
}

fn program<'a>(needed: &'a [&'a str]) -> Elf<'a> {
    Elf {
        interpreter: Some(LOADER),
        needed,
        ..NAMED
    }
}

fn paths(closure: &BTreeMap<String, String>) -> Vec<&str> {
    closure
        .keys()
        .map(String::as_str)
        .filter(|path| *path != LOADER)
        .collect()
}

#[test]
fn transitive_and_each_once() {
    let system = System::new(&[
        ("/bin/app", program(&["liba.so", "libb.so"])),
        (
            "/usr/lib/liba.so",
            Elf {
                needed: &["libc.so", "libb.so"],
                ..NAMED
            },
        ),
        (
            "/lib/libb.so",
            Elf {
                needed: &["libc.so", "ld-linux-x86-64.so.2"],
                ..NAMED
            },
        ),
        (
            "/lib/libc.so",
            Elf {
                needed: &["liba.so"],
                ..NAMED
            },
        ),
    ]);
    let closure = system.closure("/bin/app", "/bin/app").unwrap();
    assert_eq!(
        paths(&closure),
        ["/lib/libb.so", "/lib/libc.so", "/usr/lib/liba.so"]
    );
    assert!(closure.contains_key(LOADER));
}

#[test]
fn static_programs_need_nothing() {
    let system = System::new(&[("/bin/app", NAMED)]);
    assert!(system.closure("/bin/app", "/bin/app").unwrap().is_empty());
}

#[test]
fn links_are_resolved_and_keep_the_name_that_is_asked_for() {
    let system = System::new(&[
        ("/bin/app", program(&["libz.so.1"])),
        ("/usr/lib/libz.so.1.2.13", NAMED),
    ]);
    std::os::unix::fs::symlink("libz.so.1.2.13", system.path("/usr/lib/libz.so.1")).unwrap();
    let closure = system.closure("/bin/app", "/bin/app").unwrap();
    assert_eq!(closure["/usr/lib/libz.so.1"], "/usr/lib/libz.so.1.2.13");
}

#[test]
fn run_paths_follow_the_object_and_the_image() {
    // The program lies in a build folder here and goes to /opt/app/bin in the image.
    let app = Elf {
        runpath: Some("$ORIGIN/../lib"),
        ..program(&["liba.so", "libb.so"])
    };
    let system = System::new(&[
        ("/build/out/bin/app", app),
        (
            "/build/out/lib/liba.so",
            Elf {
                needed: &["libb.so"],
                ..NAMED
            },
        ),
        ("/build/out/lib/libb.so", NAMED),
        ("/lib/libb.so", NAMED),
    ]);
    let closure = system
        .closure("/opt/app/bin/app", "/build/out/bin/app")
        .unwrap();
    assert_eq!(
        paths(&closure),
        ["/opt/app/lib/liba.so", "/opt/app/lib/libb.so"]
    );

    // DT_RUNPATH is not inherited: libb, needed by liba alone, comes from the system.
    let app = Elf {
        runpath: Some("${ORIGIN}/../lib"),
        ..program(&["liba.so"])
    };
    system.put("/build/out/bin/app", &elf(&app));
    let closure = system
        .closure("/opt/app/bin/app", "/build/out/bin/app")
        .unwrap();
    assert_eq!(paths(&closure), ["/lib/libb.so", "/opt/app/lib/liba.so"]);

    // DT_RPATH is.
    let app = Elf {
        rpath: Some("$ORIGIN/../lib"),
        ..program(&["liba.so"])
    };
    system.put("/build/out/bin/app", &elf(&app));
    let closure = system
        .closure("/opt/app/bin/app", "/build/out/bin/app")
        .unwrap();
    assert_eq!(
        paths(&closure),
        ["/opt/app/lib/liba.so", "/opt/app/lib/libb.so"]
    );

    // But not past an object with a DT_RUNPATH, and not beside one in the same object.
    system.put(
        "/build/out/lib/liba.so",
        &elf(&Elf {
            needed: &["libb.so"],
            runpath: Some("/none"),
            ..NAMED
        }),
    );
    let closure = system
        .closure("/opt/app/bin/app", "/build/out/bin/app")
        .unwrap();
    assert_eq!(paths(&closure), ["/lib/libb.so", "/opt/app/lib/liba.so"]);
}

#[test]
fn tokens_and_direct_paths() {
    let app = Elf {
        runpath: Some("relative:/opt/$LIB/${PLATFORM}"),
        ..program(&["liba.so", "/opt/libb.so"])
    };
    let system = System::new(&[
        ("/bin/app", app),
        ("/opt/lib64/x86_64/liba.so", NAMED),
        ("/opt/libb.so", NAMED),
    ]);
    let closure = system.closure("/bin/app", "/bin/app").unwrap();
    assert_eq!(
        paths(&closure),
        ["/opt/lib64/x86_64/liba.so", "/opt/libb.so"]
    );
}

#[test]
fn configured_folders_come_first_and_get_a_link() {
    let system = System::new(&[
        ("/bin/app", program(&["libc.so", "liba.so"])),
        ("/lib/x86_64-linux-gnu/libc.so", NAMED),
        ("/usr/local/lib/liba.so", NAMED),
        ("/lib/liba.so", NAMED),
    ]);
    system.put("/etc/ld.so.conf", b"include /etc/ld.so.conf.d/*.conf\n");
    system.put("/etc/ld.so.conf.d/local.conf", b"/usr/local/lib\n");
    let closure = system.closure("/bin/app", "/bin/app").unwrap();
    assert_eq!(closure["/usr/local/lib/liba.so"], "/usr/local/lib/liba.so");
    assert_eq!(
        closure["/lib/x86_64-linux-gnu/liba.so"],
        "-> /usr/local/lib/liba.so"
    );
    assert!(!closure.contains_key("/lib/liba.so"));
}

#[test]
fn libraries_for_other_machines_are_passed_over() {
    let system = System::new(&[
        ("/bin/app", program(&["liba.so"])),
        (
            "/lib64/liba.so",
            Elf {
                machine: 183,
                ..NAMED
            },
        ),
        ("/usr/lib/liba.so", NAMED),
    ]);
    assert_eq!(
        paths(&system.closure("/bin/app", "/bin/app").unwrap()),
        ["/usr/lib/liba.so"]
    );
}

#[test]
fn what_is_missing_is_named_with_who_needs_it() {
    let system = System::new(&[
        ("/bin/app", program(&["liba.so"])),
        (
            "/lib/liba.so",
            Elf {
                needed: &["libgone.so.3"],
                ..NAMED
            },
        ),
    ]);
    let text = system
        .closure("/usr/bin/app", "/bin/app")
        .unwrap_err()
        .to_string();
    for part in [
        "libgone.so.3",
        "needed by liba.so, needed by /usr/bin/app",
        "/usr/lib",
    ] {
        assert!(text.contains(part), "{text}");
    }
    system.put("/lib/libgone.so.3", b"not a library");
    let text = system
        .closure("/bin/app", "/bin/app")
        .unwrap_err()
        .to_string();
    assert!(
        text.contains("libgone.so.3") && text.contains("not an ELF file"),
        "{text}"
    );

    std::fs::remove_file(system.path(LOADER)).unwrap();
    let text = system
        .closure("/bin/app", "/bin/app")
        .unwrap_err()
        .to_string();
    assert!(
        text.contains(LOADER) && text.contains("needed by /bin/app"),
        "{text}"
    );
}

/// The closure of a real dynamic program runs it: copied into a folder of its own, started by its own
/// loader with nothing but the folders of the closure.
#[test]
fn a_real_program_runs_from_its_closure() {
    let source = Path::new("/bin/ls");
    let info = parse(&std::fs::read(source).unwrap()).unwrap();
    let Some(loader) = info.interpreter.clone() else {
        // What a test prints is shown of those alone that fail.
        let _ = writeln!(
            std::io::stderr(),
            "test a_real_program_runs_from_its_closure ... ignored, /bin/ls is static here"
        );
        return;
    };
    let placed = Libraries::below(Path::new("/"))
        .closure("/bin/ls", source, &info)
        .unwrap();
    let root = tempfile::tempdir().unwrap();
    let inside = |path: &str| root.path().join(path.trim_start_matches('/'));
    let mut folders = Vec::new();
    for item in placed {
        let (Placed::File { path, .. } | Placed::Link { path, .. }) = &item;
        let to = inside(path);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        match &item {
            Placed::File { data, .. } => std::fs::write(&to, data).unwrap(),
            Placed::Link { target, .. } => {
                std::os::unix::fs::symlink(inside(target), &to).unwrap();
            }
        }
        folders.push(to.parent().unwrap().display().to_string());
    }
    let loader = inside(&loader);
    let permissions = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&loader, permissions).unwrap();
    let output = std::process::Command::new(&loader)
        .args(["--inhibit-cache", "--list", "/bin/ls"])
        .env("LD_LIBRARY_PATH", folders.join(":"))
        .output()
        .unwrap();
    let listed = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{listed}");
    // Every library the loader maps comes from the closure, so none is missing from it.
    for line in listed.lines().filter(|line| line.contains("=>")) {
        assert!(line.contains(&root.path().display().to_string()), "{line}");
    }
    assert!(listed.contains("libc.so.6"), "{listed}");
}
