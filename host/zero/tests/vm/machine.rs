//! What the tests inside QEMU share: seeds, images, and a booted machine.

use arje_qemu::console::without_kernel;
use arje_qemu::kernel::{Kernel, Search};
use arje_qemu::{Machine, Output, Vm};
use initrd_builder::tree::{Node, Tree};
use initrd_builder::{Options, assemble, cpio};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;

/// No test waits longer for anything. TCG on a busy machine is slow; what takes this long is broken.
pub const DEADLINE: Duration = Duration::from_secs(240);

/// The prompt of the seeds' shell.
pub const PROMPT: &str = "arje# ";

/// What busybox's shell prints once, before its first prompt.
const BANNER: &str = "built-in shell (ash)";

fn id() -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(1);
    format!(
        "01J000000000000000{:08}",
        NEXT.fetch_add(1, Ordering::Relaxed)
    )
}

pub fn card(label: &str, payload: Value, supervision: Value) -> Value {
    json!({
        "schema_version": 1, "id": id(), "label": label,
        "payload": payload, "supervision": supervision,
    })
}

/// Restarts at once, again and again.
pub fn restart() -> Value {
    json!({"Restart": {"initial": 20, "max": 200}})
}

/// A native Card, unconfined as this version wants it.
pub fn native(label: &str, exec: &str, argv: &[&str], supervision: Value) -> Value {
    let payload = json!({"Native": {"exec": exec, "argv": argv, "envp": [["PS1", PROMPT]]}});
    let mut card = card(label, payload, supervision);
    card["permissions"] =
        json!({"networking": "full", "filesystem": "read-write", "processes": true});
    card
}

/// Lets a Card use the bus.
pub fn with_bus(mut card: Value) -> Value {
    card["permissions"]["ipc"] = json!({"allow": ["wit-v1"]});
    card
}

/// The shell on the console, where `ente` works.
pub fn shell() -> Value {
    let mut shell = with_bus(native("shell", "/bin/sh", &[], restart()));
    shell["console"] = json!(true);
    shell
}

/// A Card for one of the guests.
pub fn wasm(label: &str, guest: &str, entry: &str, supervision: Value) -> Value {
    let pin = arje_guest_artifacts::guest(guest).pin();
    let payload = json!({"Wasm": {"module_sha256": pin, "entry": entry}});
    card(label, payload, supervision)
}

pub fn seed(genesis: Vec<Value>) -> Value {
    let mut seed = card("arje.seed.test", json!("Virtual"), json!("Delegate"));
    seed["genesis"] = Value::Array(genesis);
    seed
}

/// A folder that is below `target/`, for images and their inputs.
pub fn folder() -> TempDir {
    TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

/// A program that is built by itself: from the environment, else beside ente-zero.
pub fn helper(variable: &str, name: &str) -> PathBuf {
    let zero = PathBuf::from(env!("CARGO_BIN_EXE_ente-zero"));
    std::env::var_os(variable).map_or_else(|| zero.with_file_name(name), PathBuf::from)
}

/// All helpers in one folder, as the builder wants them.
fn helpers(folder: &Path) -> PathBuf {
    let helpers = folder.join("helpers");
    std::fs::create_dir_all(&helpers).unwrap();
    for (name, source) in [
        ("ente-zero", helper("ARJE_ENTE_ZERO", "ente-zero")),
        ("ente", helper("ARJE_ENTE", "ente")),
        ("ente-spawn", helper("ARJE_ENTE_SPAWN", "ente-spawn")),
        ("ente-compile", helper("ARJE_ENTE_COMPILE", "ente-compile")),
    ] {
        assert!(
            source.exists(),
            "{} is missing; ./dev test builds it",
            source.display()
        );
        std::fs::copy(&source, helpers.join(name)).unwrap();
    }
    helpers
}

/// The files of an image with this seed and all guests at hand.
pub fn tree(folder: &Path, seed: &Value) -> Tree {
    tree_with(folder, seed, |_| {})
}

/// The same, of an image built with other options.
pub fn tree_with(folder: &Path, seed: &Value, adjust: impl FnOnce(&mut Options)) -> Tree {
    let path = folder.join("seed.card.json");
    std::fs::write(&path, seed.to_string()).unwrap();
    let mut options = Options::new(path);
    options.components = vec![arje_guest_artifacts::components()];
    options.helpers = vec![helpers(folder)];
    adjust(&mut options);
    assemble(&options).unwrap().tree
}

/// The same files, with one of them changed. `change` sees every file until it says that it did it.
pub fn changed(tree: &Tree, path_starts_with: &str, change: impl Fn(&mut Vec<u8>)) -> Tree {
    let mut out = Tree::new();
    let mut hits = 0;
    for (key, entry) in tree.iter() {
        let path = &format!("/{key}");
        match &entry.node {
            Node::Dir => out.add_dir(path, entry.mode, entry.group),
            Node::Symlink(target) => out.add_symlink(path, target, entry.group),
            Node::Char { major, minor } => out.add_char(path, (*major, *minor), entry.mode),
            Node::File(data) => {
                let mut data = data.to_vec();
                if path.starts_with(path_starts_with) {
                    hits += 1;
                    change(&mut data);
                }
                out.add_file(path, data, entry.mode, entry.group)
            }
        }
        .unwrap();
    }
    assert_eq!(hits, 1, "files that start with {path_starts_with}");
    out
}

/// The kernel that is booted, and where its modules are.
pub fn kernel() -> Kernel {
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("../kernel");
    Search::here(cache).find(None).unwrap()
}

/// A booted machine; ends with the value.
pub struct Booted {
    pub vm: Vm,
    _folder: TempDir,
}

impl Booted {
    pub fn with_tree(folder: TempDir, tree: &Tree, adjust: impl FnOnce(&mut Machine)) -> Booted {
        let image = folder.path().join("image");
        // Not compressed: the kernel takes that, too, and a test image is used once.
        std::fs::write(&image, cpio::pack(tree, 0).unwrap()).unwrap();
        let mut machine = Machine::new(kernel().image);
        adjust(&mut machine);
        Booted {
            vm: Vm::boot(&machine, &image).unwrap(),
            _folder: folder,
        }
    }

    pub fn with_seed(seed: &Value) -> Booted {
        let folder = folder();
        let tree = tree(folder.path(), seed);
        Booted::with_tree(folder, &tree, |_| {})
    }

    /// Boots to the shell's prompt.
    pub fn to_prompt(seed: &Value) -> Booted {
        let booted = Booted::with_seed(seed);
        booted.wait(PROMPT);
        booted
    }

    /// What programs printed on the console. The kernel's messages, which fall into the middle of their lines, are
    /// not in it.
    pub fn printed(&self) -> String {
        without_kernel(&self.vm.console())
    }

    /// Waits for text anywhere on the console.
    pub fn wait(&self, text: &str) {
        if let Err(error) = self.vm.wait_for(text, DEADLINE) {
            panic!("{error}\n--- console ---\n{}", self.vm.console());
        }
    }

    /// Waits until a shell that began after the mark is at its prompt. The prompt alone does not tell: that of
    /// the shell before may come after the mark, too, and what is typed then is lost with it.
    pub fn wait_for_new_shell(&self, mark: usize, prompt: &str) {
        let what = format!("{prompt:?} of a new shell");
        let found = self.vm.wait_until(mark, &what, DEADLINE, |console| {
            let printed = without_kernel(console);
            let (_, after) = printed.split_once(BANNER)?;
            after.contains(prompt).then_some(())
        });
        if let Err(error) = found {
            panic!("{error}\n--- console ---\n{}", self.vm.console());
        }
    }

    /// Waits for a line that contains this text, to its end. What follows a text that has come may not have come yet.
    pub fn line(&self, text: &str) -> String {
        let what = format!("a line with {text:?}");
        let found = self.vm.wait_until(0, &what, DEADLINE, |console| {
            let printed = without_kernel(console);
            let mut lines = printed.split_inclusive('\n');
            let line = lines.find(|line| line.contains(text) && line.ends_with('\n'))?;
            Some(line.trim_end().to_owned())
        });
        found.unwrap_or_else(|error| panic!("{error}\n--- console ---\n{}", self.vm.console()))
    }

    /// What a command that must succeed answers, without the line end. PID 1 and the Entes print lines at any time, also
    /// in the middle of what a command prints; this is printed by the shell with one write(2), which the terminal
    /// keeps together.
    pub fn answer(&mut self, command: &str) -> String {
        let collected = format!("answer=$({command}) && echo \"<answer>$answer</answer>\"");
        let printed = self.run(&collected);
        let answer = || printed.split_once("<answer>")?.1.split_once("</answer>");
        let (answer, _) = answer().unwrap_or_else(|| panic!("{command}: {printed}"));
        answer.to_owned()
    }

    /// A number that a command answers.
    pub fn number(&mut self, command: &str) -> u64 {
        let answer = self.answer(command);
        let number = answer.trim().parse();
        number.unwrap_or_else(|error| panic!("{command}: {answer:?}: {error}"))
    }

    /// PID 1 is what it was, and the machine answers.
    pub fn pid_1_lives(&mut self) {
        self.run("grep -qx ente-zero /proc/1/comm");
    }

    /// Runs a command that must succeed; what it printed, and whatever else came on the console meanwhile.
    pub fn run(&mut self, command: &str) -> String {
        let output = self.try_run(command);
        assert_eq!(
            output.code,
            0,
            "{command}: {}\n{}",
            output.text,
            self.vm.console()
        );
        output.text
    }

    pub fn try_run(&mut self, command: &str) -> Output {
        match self.vm.run_within(command, DEADLINE) {
            Ok(output) => output,
            Err(error) => panic!("{error}\n--- console ---\n{}", self.vm.console()),
        }
    }
}
