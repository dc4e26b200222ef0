//! What every image has: folders, mount points, the two device nodes, `/etc/initrd-release`, `/init`.

use crate::error::Error;
use crate::options::Options;
use crate::tree::{Group, Tree};

/// The first program.
pub(crate) const PID_1: &str = "/sbin/ente-zero";
/// The process of one component: the same program, by another name. A link, so that the image holds it
/// once, and memory does, too.
const WORKER: &str = "/usr/lib/ente/ente-worker";
/// The seed, where PID 1 looks for it.
pub(crate) const SEED: &str = "/ente/seed.card.json";
/// The session fragments.
pub(crate) const FRAGMENTS: &str = "/ente/fragments";

/// Folders and their modes. `/proc` and `/sys` are never written to; `/tmp` is everybody's.
const FOLDERS: [(&str, u32); 15] = [
    ("/bin", 0o755),
    ("/dev", 0o755),
    ("/ente", 0o755),
    ("/ente/aot", 0o755),
    ("/ente/cas", 0o755),
    ("/ente/fragments", 0o755),
    ("/etc", 0o755),
    ("/proc", 0o555),
    ("/run", 0o755),
    ("/sbin", 0o755),
    ("/sys", 0o555),
    ("/sys/fs/cgroup", 0o755),
    ("/tmp", 0o1777),
    ("/usr/bin", 0o755),
    ("/usr/lib/ente", 0o755),
];

/// Adds them.
pub(crate) fn add(tree: &mut Tree, options: &Options) -> Result<(), Error> {
    for (path, mode) in FOLDERS {
        tree.add_dir(path, mode, Group::Skeleton)?;
    }
    // The kernel opens /dev/console for its first program before anything mounts devtmpfs; without it
    // that program has no standard descriptors. /dev/null is what a closed one is replaced by.
    tree.add_char("/dev/console", (5, 1), 0o600)?;
    tree.add_char("/dev/null", (1, 3), 0o666)?;
    tree.add_file(
        "/etc/initrd-release",
        release().into_bytes(),
        0o644,
        Group::Skeleton,
    )?;
    tree.add_symlink(WORKER, PID_1, Group::Arje)?;
    if options.wrapper {
        let script = wrapper(&options.environment).into_bytes();
        tree.add_file("/init", script, 0o755, Group::Arje)
    } else {
        // A link, not a copy: the kernel follows it, and /proc/1/exe then names the one program there is.
        tree.add_symlink("/init", PID_1, Group::Arje)
    }
}

/// The os-release form (os-release(5)) that tells an initrd from a root file system.
fn release() -> String {
    let version = env!("CARGO_PKG_VERSION");
    format!(
        "NAME=\"arje\"\nID=arje\nVERSION_ID=\"{version}\"\nPRETTY_NAME=\"arje {version} (initramfs)\"\n"
    )
}

/// The script at `/init`: it hands on the variables of the build and becomes PID 1's program.
fn wrapper(environment: &[(String, String)]) -> String {
    let mut script = String::from("#!/bin/sh\n");
    for (name, value) in environment {
        let value = value.replace('\'', r"'\''");
        script.push_str(&format!("export {name}='{value}'\n"));
    }
    script.push_str(&format!("exec {PID_1} \"$@\"\n"));
    script
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wrapper_quotes_values() {
        let environment = [
            ("RUST_LOG".to_owned(), "debug,x='y'".to_owned()),
            ("BRAHMAN_A".to_owned(), "$(reboot) \"z\"".to_owned()),
        ];
        assert_eq!(
            wrapper(&environment),
            "#!/bin/sh\nexport RUST_LOG='debug,x='\\''y'\\'''\nexport BRAHMAN_A='$(reboot) \"z\"'\nexec /sbin/ente-zero \"$@\"\n"
        );
    }
}
