//! What a Card's own mount namespace holds, in the order in which it is mounted.

use std::ffi::CString;

use arje_card::{Card, Filesystem, Mounts};
use ente_spawn::{Mount, MountAction};

use super::is_confined;

/// The device nodes that are left to a Card that may not write: those that reach nothing.
pub(super) const DEVICES: [&str; 6] = [
    "/dev/null",
    "/dev/zero",
    "/dev/full",
    "/dev/random",
    "/dev/urandom",
    "/dev/tty",
];

/// Links that every userspace expects in `/dev`.
const DEVICE_LINKS: [(&str, &str); 4] = [
    ("/dev/fd", "/proc/self/fd"),
    ("/dev/stdin", "/proc/self/fd/0"),
    ("/dev/stdout", "/proc/self/fd/1"),
    ("/dev/stderr", "/proc/self/fd/2"),
];

/// What would let user 0 change the kernel by writing to files, although it has no capabilities.
const KERNEL_SETTINGS: [&str; 9] = [
    "/proc/sys",
    "/proc/sysrq-trigger",
    "/proc/irq",
    "/proc/bus",
    "/proc/fs",
    "/proc/acpi",
    "/proc/mtrr",
    "/proc/scsi",
    "/sys",
];

/// Mode of a tmpfs: whatever users the Ente's processes have, and nobody else sees it.
const TMPFS_MODE: u16 = 0o1777;

/// All mounts of a Card; `init`: whether it has a PID namespace.
pub(super) fn mounts(card: &Card, init: bool) -> Result<Vec<Mount<CString>>, String> {
    let confined = is_confined(&card.permissions);
    let writes = card.permissions.filesystem == Filesystem::ReadWrite;
    let mut list = List::default();
    if init {
        list.add(MountAction::Proc { read_only: !writes }, "/proc")?;
    }
    if card.soma.namespaces.cgroup {
        let read_only = confined;
        list.add(MountAction::Cgroup { read_only }, "/sys/fs/cgroup")?;
    }
    if !writes {
        list.add(MountAction::ReadOnly { recursive: true }, "/")?;
        add_devices(&mut list)?;
    } else if confined {
        for path in KERNEL_SETTINGS {
            list.add(MountAction::Protect, path)?;
        }
    }
    add_own(&mut list, &card.soma.mounts)?;
    if !writes {
        // Last: until now, targets could be made in it.
        list.add(MountAction::ReadOnly { recursive: false }, "/dev")?;
    }
    Ok(list.mounts)
}

/// A `/dev` with nothing in it but [`DEVICES`].
fn add_devices(list: &mut List) -> Result<(), String> {
    let tmpfs = MountAction::Tmpfs {
        // A few dozen nodes, links and mount points.
        size: 1 << 20,
        mode: 0o755,
        devices: true,
    };
    list.add(tmpfs, "/dev")?;
    list.made.push("/dev".to_owned());
    for device in DEVICES {
        list.bind(device, device, false)?;
    }
    for (path, content) in DEVICE_LINKS {
        list.add(MountAction::Symlink(c_string(content)?), path)?;
    }
    Ok(())
}

/// What the Card itself mounts: outer targets before those inside them, whatever the order in the Card.
fn add_own(list: &mut List, mounts: &Mounts) -> Result<(), String> {
    enum Own<'a> {
        Bind(&'a arje_card::Bind),
        Tmpfs(&'a arje_card::Tmpfs),
    }
    let binds = mounts
        .binds
        .iter()
        .map(|bind| (&bind.target, Own::Bind(bind)));
    let tmpfs = mounts.tmpfs.iter();
    let tmpfs = tmpfs.map(|tmpfs| (&tmpfs.target, Own::Tmpfs(tmpfs)));
    let mut own: Vec<_> = binds.chain(tmpfs).collect();
    own.sort_by_key(|(target, _)| target.matches('/').count());
    for (target, own) in own {
        match own {
            Own::Bind(bind) => list.bind(&bind.source, target, bind.ro)?,
            Own::Tmpfs(tmpfs) => {
                let action = MountAction::Tmpfs {
                    size: tmpfs.size_bytes.unwrap_or(0),
                    mode: TMPFS_MODE,
                    devices: false,
                };
                list.add(action, target)?;
                list.made.push(target.clone());
            }
        }
    }
    Ok(())
}

#[derive(Default)]
struct List {
    mounts: Vec<Mount<CString>>,
    /// The private tmpfs so far: in these, and only there, targets can be made.
    made: Vec<String>,
    /// What binds cover: in these, nothing is made.
    bound: Vec<String>,
}

impl List {
    fn bind(&mut self, source: &str, target: &str, read_only: bool) -> Result<(), String> {
        let source = c_string(source)?;
        self.add(MountAction::Bind { source, read_only }, target)?;
        self.bound.push(target.to_owned());
        Ok(())
    }

    fn add(&mut self, action: MountAction<CString>, target: &str) -> Result<(), String> {
        let mount = Mount {
            action,
            target: c_string(target)?,
            create_below: self.create_below(target),
        };
        self.mounts.push(mount);
        Ok(())
    }

    /// The length of the path of the tmpfs that holds the target; 0 if another file system does.
    fn create_below(&self, target: &str) -> u16 {
        let holds = |outer: &&String| is_inside(target, outer);
        let innermost = |list: &[String]| list.iter().filter(holds).map(String::len).max();
        match (innermost(&self.made), innermost(&self.bound)) {
            (Some(made), bound) if Some(made) > bound => u16::try_from(made).unwrap_or(0),
            _ => 0,
        }
    }
}

/// Whether a path lies below a folder, which is not the path itself.
fn is_inside(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder)
        .is_some_and(|rest| rest.starts_with('/'))
}

fn c_string(text: &str) -> Result<CString, String> {
    CString::new(text)
        .map_err(|_| format!("soma.mounts: {text:?} contains a NUL character; remove it"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arje_card::{Bind, Id, NativePayload, Payload, Permissions, Supervision, Tmpfs};

    fn card(filesystem: Filesystem) -> Card {
        let payload = Payload::Native(NativePayload::default());
        let mut card = Card::new(Id::from_bytes([1; 16]), "x", payload, Supervision::OneShot);
        card.permissions = Permissions {
            networking: arje_card::Networking::Full,
            filesystem,
            processes: true,
            ..Permissions::default()
        };
        card
    }

    fn targets(card: &Card) -> Vec<(String, u16)> {
        let of = |mount: Mount<CString>| (mount.target.into_string().unwrap(), mount.create_below);
        mounts(card, card.soma.namespaces.pid)
            .unwrap()
            .into_iter()
            .map(of)
            .collect()
    }

    #[test]
    fn an_unconfined_card_gets_what_it_names_only() {
        let mut card = card(Filesystem::ReadWrite);
        assert_eq!(targets(&card), []);
        card.soma.namespaces.pid = true;
        card.soma.namespaces.cgroup = true;
        let expected = [("/proc".to_owned(), 0), ("/sys/fs/cgroup".to_owned(), 0)];
        assert_eq!(targets(&card), expected);
    }

    #[test]
    fn targets_are_made_in_a_private_tmpfs_only_and_outer_ones_come_first() {
        let mut card = card(Filesystem::ReadWrite);
        let bind = |target: &str| Bind {
            source: "/srv".into(),
            target: target.into(),
            ro: false,
        };
        let tmpfs = |target: &str| Tmpfs {
            target: target.into(),
            size_bytes: None,
        };
        card.soma.mounts.binds = vec![
            bind("/run/a/b/c"),
            bind("/run/a"),
            bind("/running"),
            bind("/run/x/y"),
        ];
        card.soma.mounts.tmpfs = vec![tmpfs("/run")];
        let found = targets(&card);
        let expected = [
            ("/running", 0),
            ("/run", 0),
            ("/run/a", 4),
            ("/run/x/y", 4),
            ("/run/a/b/c", 0),
        ];
        assert_eq!(
            found,
            expected.map(|(target, below)| (target.to_owned(), below))
        );
    }

    #[test]
    fn a_card_that_may_not_write_has_a_read_only_root_and_few_devices() {
        let mut card = card(Filesystem::ReadOnly);
        card.soma.mounts.tmpfs = vec![Tmpfs {
            target: "/dev/shm".into(),
            size_bytes: Some(4096),
        }];
        let found = targets(&card);
        assert_eq!(found.first(), Some(&("/".to_owned(), 0)));
        assert_eq!(found.last(), Some(&("/dev".to_owned(), 0)));
        assert!(found.contains(&("/dev/null".to_owned(), 4)));
        assert!(found.contains(&("/dev/shm".to_owned(), 4)));
    }
}
