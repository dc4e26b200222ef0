//! The shell of the image: one busybox, and a link for each of its applets.

use std::process::Command;

use crate::error::Error;
use crate::tree::{Group, Tree};

/// Where the program itself goes.
pub const PATH: &str = "/bin/busybox";

/// Applets that get no link. `init` and `linuxrc` would look like a first program, and PID 1 is ours.
const LEFT_OUT: [&str; 3] = ["busybox", "init", "linuxrc"];

/// Applets an image is lost without, for a busybox that cannot be asked on this machine (built for another
/// CPU). Paths as `busybox --list-full` prints them.
const FALLBACK: [&str; 48] = [
    "bin/cat",
    "bin/chmod",
    "bin/chown",
    "bin/cp",
    "bin/date",
    "bin/dd",
    "bin/df",
    "bin/dmesg",
    "bin/echo",
    "bin/false",
    "bin/grep",
    "bin/hostname",
    "bin/ip",
    "bin/kill",
    "bin/ln",
    "bin/ls",
    "bin/mkdir",
    "bin/mknod",
    "bin/mount",
    "bin/mv",
    "bin/ps",
    "bin/pwd",
    "bin/rm",
    "bin/rmdir",
    "bin/sed",
    "bin/sh",
    "bin/sleep",
    "bin/stty",
    "bin/sync",
    "bin/touch",
    "bin/true",
    "bin/umount",
    "bin/uname",
    "bin/vi",
    "sbin/halt",
    "sbin/ifconfig",
    "sbin/insmod",
    "sbin/lsmod",
    "sbin/modprobe",
    "sbin/poweroff",
    "sbin/reboot",
    "sbin/rmmod",
    "sbin/switch_root",
    "sbin/sysctl",
    "usr/bin/cttyhack",
    "usr/bin/head",
    "usr/bin/setsid",
    "usr/bin/top",
];

/// Adds a link in `/bin` or `/sbin` for every applet whose path is still free: a program that was asked
/// for keeps its place. Links are relative, so they hold under a new root too.
///
/// # Errors
/// [`Error::Conflict`] when `/bin` or `/sbin` is not a folder.
pub fn add_applets(tree: &mut Tree, applets: &[String]) -> Result<(), Error> {
    for applet in applets {
        let (folder, name) = applet.rsplit_once('/').unwrap_or(("bin", applet));
        let folder = if folder.ends_with("sbin") {
            "sbin"
        } else {
            "bin"
        };
        let path = format!("/{folder}/{name}");
        if !LEFT_OUT.contains(&name) && !tree.contains(&path) {
            let target = if folder == "bin" {
                "busybox"
            } else {
                "../bin/busybox"
            };
            tree.add_symlink(&path, target, Group::Busybox)?;
        }
    }
    Ok(())
}

/// The applets of a busybox program, sorted: its own `--list-full`, or a fixed list when it cannot run
/// here. The second value says which.
#[must_use]
pub fn applets(program: &std::path::Path) -> (Vec<String>, bool) {
    let output = Command::new(program).arg("--list-full").output();
    let listed = output
        .ok()
        .filter(|output| output.status.success())
        .map(|output| parse_list(&String::from_utf8_lossy(&output.stdout)))
        .filter(|applets| applets.iter().any(|applet| applet.ends_with("/sh")));
    match listed {
        Some(applets) => (applets, true),
        None => (FALLBACK.iter().map(ToString::to_string).collect(), false),
    }
}

fn parse_list(text: &str) -> Vec<String> {
    let mut applets: Vec<String> = text
        .lines()
        .map(|line| line.trim().trim_start_matches('/'))
        .filter(|line| !line.is_empty() && !line.split('/').any(|part| matches!(part, "" | "..")))
        .map(str::to_owned)
        .collect();
    applets.sort();
    applets.dedup();
    applets
}

#[cfg(test)]
mod tests {
    use super::*;

    fn links(applets: &[&str]) -> Tree {
        let mut tree = Tree::new();
        tree.add_file(PATH, *b"bb", 0o755, Group::Busybox).unwrap();
        tree.add_file("/bin/ip", *b"real", 0o755, Group::Programs)
            .unwrap();
        let applets: Vec<String> = applets.iter().map(ToString::to_string).collect();
        add_applets(&mut tree, &applets).unwrap();
        tree
    }

    #[test]
    fn links_lead_to_busybox_and_leave_programs_alone() {
        let tree = links(&[
            "bin/sh",
            "usr/bin/awk",
            "usr/sbin/arping",
            "sbin/init",
            "bin/ip",
            "linuxrc",
        ]);
        for path in ["/bin/sh", "/bin/awk", "/sbin/arping"] {
            assert_eq!(tree.resolve(path).unwrap().0, PATH, "{path}");
        }
        assert_eq!(tree.resolve("/bin/ip").unwrap().0, "/bin/ip");
        for path in ["/sbin/init", "/bin/linuxrc", "/usr/bin/awk"] {
            assert!(!tree.contains(path), "{path}");
        }
    }

    #[test]
    fn lists_are_read_and_sorted() {
        assert_eq!(
            parse_list("sbin/b\nbin/a\n\n/bin/a\n../x\n"),
            ["bin/a", "sbin/b"]
        );
    }

    #[test]
    fn a_program_that_is_no_busybox_gives_the_fixed_list() {
        for program in ["/bin/true", "/no/such/program"] {
            let (applets, asked) = applets(std::path::Path::new(program));
            assert!(
                !asked && applets.contains(&"bin/sh".to_owned()),
                "{program}"
            );
        }
        assert!(FALLBACK.is_sorted());
    }
}
