//! The landlock rule set of a Card (`landlock(7)`).

use std::ffi::CString;

use arje_card::{Card, Filesystem};
use ente_spawn::{Landlock, PathRule};

use super::is_confined;
use super::mounts::DEVICES;

const EXECUTE: u64 = 1;
const WRITE_FILE: u64 = 1 << 1;
const READ_FILE: u64 = 1 << 2;
const READ_DIR: u64 = 1 << 3;
const MAKE_CHAR: u64 = 1 << 6;
const MAKE_BLOCK: u64 = 1 << 11;
/// Since version 2.
const REFER: u64 = 1 << 13;
/// Since version 3.
const TRUNCATE: u64 = 1 << 14;
/// Since version 5.
const IOCTL_DEV: u64 = 1 << 15;
/// Since version 6: signals do not leave the rule set's own processes.
const SCOPE_SIGNAL: u64 = 1 << 1;

pub(crate) const READ: u64 = EXECUTE | READ_FILE | READ_DIR;
/// Everything but making device nodes, which only user 0 could and which would be ways around all other rules.
const ALL: u64 = (IOCTL_DEV << 1) - 1 - MAKE_CHAR - MAKE_BLOCK;

/// Where programs find their libraries and their loader.
const LIBRARIES: [&str; 9] = [
    "/lib",
    "/lib32",
    "/lib64",
    "/usr/lib",
    "/usr/lib32",
    "/usr/lib64",
    "/usr/local/lib",
    "/etc/ld.so.cache",
    "/etc/ld.so.preload",
];

/// Whether this version can keep signals inside.
pub(super) fn keeps_signals(version: Option<u32>) -> bool {
    version.is_some_and(|version| version >= 6)
}

/// The rule set of a Card, for this version of landlock.
pub(super) fn landlock(
    card: &Card,
    program: &str,
    version: Option<u32>,
) -> Result<Option<Landlock>, String> {
    let Some(version) = version else {
        return Ok(None);
    };
    if !is_confined(&card.permissions) {
        return Ok(None);
    }
    let scoped = if keeps_signals(Some(version)) {
        SCOPE_SIGNAL
    } else {
        0
    };
    let mut rules = Rules {
        known: known(version),
        paths: Vec::new(),
    };
    let handled = match card.permissions.filesystem {
        // Before version 2 every rule set forbids to move files between folders, so there is none for a Card that may.
        Filesystem::ReadWrite if version < 2 => return Ok(None),
        Filesystem::ReadWrite => {
            // Its processes become a domain of their own: they look into no others (ptrace(2) access).
            rules.allow("/", REFER, false)?;
            MAKE_CHAR | MAKE_BLOCK | REFER
        }
        Filesystem::ReadOnly => {
            rules.allow("/", READ, false)?;
            rules.allow_given(card)?;
            ALL | MAKE_CHAR | MAKE_BLOCK
        }
        Filesystem::None => {
            rules.allow_program(program)?;
            rules.allow_given(card)?;
            ALL | MAKE_CHAR | MAKE_BLOCK
        }
    };
    Ok(Some(Landlock {
        handled: handled & rules.known,
        network: 0,
        scoped,
        paths: rules.paths,
    }))
}

/// The rights that a version knows.
fn known(version: u32) -> u64 {
    let newest = match version {
        0 | 1 => REFER >> 1,
        2 => REFER,
        3 | 4 => TRUNCATE,
        _ => IOCTL_DEV,
    };
    (newest << 1) - 1
}

struct Rules {
    known: u64,
    paths: Vec<PathRule<CString>>,
}

impl Rules {
    fn allow(&mut self, path: &str, access: u64, optional: bool) -> Result<(), String> {
        self.push(path, access, optional, false)
    }

    fn push(
        &mut self,
        path: &str,
        access: u64,
        optional: bool,
        program: bool,
    ) -> Result<(), String> {
        let path = CString::new(path).map_err(|_| format!("{path:?} contains a NUL character"))?;
        self.paths.push(PathRule {
            path,
            access: access & self.known,
            optional,
            program,
        });
        Ok(())
    }

    /// What a program needs in order to run at all.
    fn allow_program(&mut self, program: &str) -> Result<(), String> {
        self.push(program, EXECUTE | READ_FILE, true, true)?;
        for path in LIBRARIES {
            self.allow(path, READ, true)?;
        }
        Ok(())
    }

    /// The harmless devices, and what the Card mounts.
    fn allow_given(&mut self, card: &Card) -> Result<(), String> {
        for path in DEVICES {
            self.allow(path, READ_FILE | WRITE_FILE | TRUNCATE | IOCTL_DEV, true)?;
        }
        for bind in &card.soma.mounts.binds {
            self.allow(&bind.target, if bind.ro { READ } else { ALL }, false)?;
        }
        for tmpfs in &card.soma.mounts.tmpfs {
            self.allow(&tmpfs.target, ALL, false)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_know_their_rights() {
        // landlock(7): 13 rights in the first version.
        assert_eq!(known(1), 0x1fff);
        assert_eq!(known(2), 0x3fff);
        assert_eq!(known(3), 0x7fff);
        assert_eq!(known(4), 0x7fff);
        assert_eq!(known(5), 0xffff);
        assert_eq!(known(99), 0xffff);
        assert_eq!(ALL, 0xffff & !(1 << 6) & !(1 << 11));
    }
}
