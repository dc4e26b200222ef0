//! What the tests plug into their machines: disks, a watchdog, and QEMU's monitor to do it later.

use arje_qemu::Machine;
use std::ffi::OsString;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;
use tempfile::TempDir;

use crate::machine::DEADLINE;

/// QEMU's monitor (its "human" one).
pub struct Monitor {
    folder: TempDir,
    stream: Option<UnixStream>,
}

impl Monitor {
    /// The monitor of this machine, which is about to be started.
    pub fn of(machine: &mut Machine) -> Monitor {
        // Not below target/: a socket's path has at most 107 bytes.
        let folder = TempDir::new().unwrap();
        let socket = folder.path().join("monitor");
        let chardev = format!(
            "socket,id=monitor,path={},server=on,wait=off",
            socket.display()
        );
        let words = ["-chardev", &chardev, "-mon", "chardev=monitor"];
        machine.extra.extend(words.map(OsString::from));
        Monitor {
            folder,
            stream: None,
        }
    }

    /// Gives a command, and waits until QEMU has carried it out.
    pub fn tell(&mut self, command: &str) -> String {
        let socket = self.folder.path().join("monitor");
        let stream = self.stream.get_or_insert_with(|| {
            let mut stream = UnixStream::connect(socket).unwrap();
            stream.set_read_timeout(Some(DEADLINE)).unwrap();
            read_to_prompt(&mut stream);
            stream
        });
        writeln!(stream, "{command}").unwrap();
        let answer = read_to_prompt(stream);
        assert!(
            !answer.contains("Error") && !answer.contains("unknown command"),
            "{command}: {answer}"
        );
        answer
    }
}

fn read_to_prompt(stream: &mut UnixStream) -> String {
    let until = Instant::now() + DEADLINE;
    let mut text = Vec::new();
    let mut buffer = [0; 1024];
    while !text.ends_with(b"(qemu) ") && Instant::now() < until {
        match stream.read(&mut buffer).unwrap() {
            0 => break, // it has ended
            length => text.extend_from_slice(&buffer[..length]),
        }
    }
    String::from_utf8_lossy(&text).into_owned()
}

/// A disk in a file, with an empty ext4 on it.
pub struct Disk {
    pub path: PathBuf,
}

impl Disk {
    pub fn ext4(folder: &Path, name: &str) -> Disk {
        let path = folder.join(name);
        run("mke2fs", &["-q", "-t", "ext4"], &[&path, "16M".as_ref()]);
        Disk { path }
    }

    /// With these files on it.
    pub fn holding(folder: &Path, name: &str, files: &Path) -> Disk {
        let path = folder.join(name);
        let options = ["-q", "-t", "ext4", "-d"];
        run("mke2fs", &options, &[files, &path, "128M".as_ref()]);
        Disk { path }
    }

    /// Adds it to a machine as an NVMe disk, whose driver every kernel for virtual machines has
    /// built in. It is `/dev/nvmeNn1` in the order of adding; `name` is its name in the monitor.
    pub fn plug(&self, machine: &mut Machine, name: &str) {
        let drive = format!("if=none,format=raw,id={name},file={}", self.path.display());
        let device = format!("nvme,serial={name},drive={name}");
        let words = ["-drive", &drive, "-device", &device];
        machine.extra.extend(words.map(OsString::from));
    }

    /// Whether its file system was put to rest: nothing has to be replayed from the journal.
    pub fn is_clean(&self) -> bool {
        let header = run("dumpe2fs", &["-h"], &[&self.path]);
        let line = |name: &str| {
            let mut lines = header.lines();
            lines
                .find(|line| line.starts_with(name))
                .unwrap()
                .to_owned()
        };
        line("Filesystem state:").trim_end().ends_with(" clean")
            && !line("Filesystem features:").contains("needs_recovery")
    }

    /// Checks it, changing nothing; what e2fsck(8) says if there is anything wrong.
    pub fn check(&self) {
        run("e2fsck", &["-f", "-n"], &[&self.path]);
    }

    /// The content of a file on it.
    pub fn read(&self, file: &str) -> String {
        run("debugfs", &["-R", &format!("cat {file}")], &[&self.path])
    }
}

/// Runs one of the tools of e2fsprogs(8), which some users do not have on their PATH.
fn run(program: &str, options: &[&str], paths: &[&Path]) -> String {
    let path = std::env::var("PATH").unwrap_or_default();
    let output = Command::new(program)
        .env("PATH", format!("{path}:/usr/sbin:/sbin"))
        .args(options)
        .args(paths)
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program}: {text}{errors}");
    text
}
