//! Consoles: which terminal a console Ente gets.

use std::fmt;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use arje_card::Card;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use serde_json::Value;

use crate::descriptors::open_waiting;

/// Key of a Card, beside those of the schema, that asks for a console.
const CONSOLE_KEY: &str = "console";

/// Device that stands for the active console, and cannot itself become a controlling terminal (the kernel opens it
/// with `noctty`, `drivers/tty/tty_io.c`).
const CONSOLE: &str = "/dev/console";

/// Most names that are followed: `console` names `tty0`, `tty0` names the virtual terminal in front.
const MAX_HOPS: usize = 2;

/// The terminal that a Card asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConsoleName {
    /// Whatever the kernel's console is.
    Active,
    /// This device.
    Device(PathBuf),
}

impl ConsoleName {
    /// The device. `sys` is where sysfs is mounted, `/sys`.
    ///
    /// # Errors
    /// As for [`active_console`].
    pub fn resolve(&self, sys: &Path) -> Result<PathBuf, ConsoleError> {
        match self {
            Self::Active => active_console(sys),
            Self::Device(path) => Ok(path.clone()),
        }
    }

    /// What a path in a Card means: `/dev/console` is the active console, `/dev/NAME` itself.
    pub(crate) fn from_path(path: &str) -> Option<ConsoleName> {
        if path == CONSOLE {
            return Some(Self::Active);
        }
        let name = path.strip_prefix("/dev/")?;
        let plain = |part: &str| !part.is_empty() && part != "." && part != "..";
        name.split('/')
            .all(plain)
            .then(|| Self::Device(path.into()))
    }
}

/// The console that a Card asks for with its key `console`: `true` or `"/dev/console"` for the active console,
/// another path below `/dev` for that terminal, `false` or absent for none.
///
/// # Errors
/// The value is none of these.
pub fn console_of(card: &Card) -> Result<Option<ConsoleName>, String> {
    let value = match card.extensions.get(CONSOLE_KEY) {
        None | Some(Value::Bool(false)) => return Ok(None),
        Some(Value::Bool(true)) => return Ok(Some(ConsoleName::Active)),
        Some(value) => value,
    };
    value
        .as_str()
        .and_then(ConsoleName::from_path)
        .map(Some)
        .ok_or_else(|| {
            format!(
                "{CONSOLE_KEY}: {value}, expected true, false or the path of a terminal below /dev"
            )
        })
}

/// Why a console cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConsoleError {
    /// This file of sysfs cannot be read.
    Read(PathBuf, io::ErrorKind),
    /// This file of sysfs names no console.
    NoConsole(PathBuf),
    /// This file of sysfs names something that is no device name.
    Name(PathBuf, String),
    /// This device cannot be opened.
    Open(PathBuf, Errno),
    /// This device is not a terminal.
    NotATerminal(PathBuf),
}

impl fmt::Display for ConsoleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(path, kind) => write!(
                f,
                "console: cannot read {}: {kind}; mount sysfs, or name a device",
                path.display()
            ),
            Self::NoConsole(path) => write!(
                f,
                "console: {} names none; boot with console=…, or name a device",
                path.display()
            ),
            Self::Name(path, name) => write!(
                f,
                "console: {} names {name:?}, which is no terminal; name a device",
                path.display()
            ),
            Self::Open(path, errno) => {
                write!(
                    f,
                    "console: cannot open {}: {}",
                    path.display(),
                    errno.desc()
                )
            }
            Self::NotATerminal(path) => {
                write!(f, "console: {} is not a terminal", path.display())
            }
        }
    }
}

impl std::error::Error for ConsoleError {}

/// The terminal behind `/dev/console`, such as `/dev/ttyS0`: the last one in `class/tty/console/active`, and for a
/// virtual console the terminal in front (kernel documentation, `ABI/testing/sysfs-tty`). `sys` is where sysfs is
/// mounted, `/sys`.
///
/// # Errors
/// sysfs cannot be read or names no console.
pub fn active_console(sys: &Path) -> Result<PathBuf, ConsoleError> {
    let tty = sys.join("class/tty");
    let mut name = "console".to_owned();
    for hop in 0..MAX_HOPS {
        let file = tty.join(&name).join("active");
        match fs::read_to_string(&file) {
            Ok(names) => name = last_name(&file, &names)?,
            // An ordinary terminal has no such file.
            Err(error) if error.kind() == io::ErrorKind::NotFound && hop > 0 => break,
            Err(error) => return Err(ConsoleError::Read(file, error.kind())),
        }
    }
    Ok(Path::new("/dev").join(name))
}

fn last_name(file: &Path, names: &str) -> Result<String, ConsoleError> {
    let name = names
        .split_whitespace()
        .next_back()
        .ok_or_else(|| ConsoleError::NoConsole(file.to_owned()))?;
    if name.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        Ok(name.to_owned())
    } else {
        Err(ConsoleError::Name(file.to_owned(), name.to_owned()))
    }
}

/// Opens a terminal for another session.
pub(crate) fn open_terminal(path: &Path) -> Result<OwnedFd, ConsoleError> {
    let failed = |errno| ConsoleError::Open(path.to_owned(), errno);
    let fd = open_waiting(path, OFlag::O_RDWR).map_err(failed)?;
    if nix::unistd::isatty(&fd).map_err(failed)? {
        Ok(fd)
    } else {
        Err(ConsoleError::NotATerminal(path.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sysfs with these `active` files.
    fn sysfs(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (name, content) in files {
            let folder = root.path().join("class/tty").join(name);
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("active"), content).unwrap();
        }
        root
    }

    #[test]
    fn the_last_console_is_the_active_one() {
        let cases: [(&[(&str, &str)], &str); 5] = [
            (&[("console", "ttyS0\n")], "/dev/ttyS0"),
            (&[("console", "tty0 ttyS0\n")], "/dev/ttyS0"),
            (
                &[("console", "ttyS0 tty0\n"), ("tty0", "tty3\n")],
                "/dev/tty3",
            ),
            (&[("console", "hvc0")], "/dev/hvc0"),
            // No endless chain.
            (&[("console", "tty0"), ("tty0", "tty0")], "/dev/tty0"),
        ];
        for (files, expected) in cases {
            let root = sysfs(files);
            assert_eq!(
                active_console(root.path()),
                Ok(expected.into()),
                "{files:?}"
            );
        }
    }

    #[test]
    fn a_missing_console_is_told() {
        let none = sysfs(&[]);
        let file = none.path().join("class/tty/console/active");
        assert_eq!(
            active_console(none.path()),
            Err(ConsoleError::Read(file, io::ErrorKind::NotFound))
        );
        let empty = sysfs(&[("console", "\n")]);
        let file = empty.path().join("class/tty/console/active");
        assert_eq!(
            active_console(empty.path()),
            Err(ConsoleError::NoConsole(file))
        );
        let strange = sysfs(&[("console", "../sda\n")]);
        let file = strange.path().join("class/tty/console/active");
        assert_eq!(
            active_console(strange.path()),
            Err(ConsoleError::Name(file, "../sda".into()))
        );
    }

    #[test]
    fn paths_name_consoles() {
        let device = |path: &str| Some(ConsoleName::Device(path.into()));
        let cases = [
            ("/dev/console", Some(ConsoleName::Active)),
            ("/dev/ttyS0", device("/dev/ttyS0")),
            ("/dev/pts/0", device("/dev/pts/0")),
            ("/dev/", None),
            ("/dev/../etc/passwd", None),
            ("/dev//tty1", None),
            ("/etc/passwd", None),
            ("ttyS0", None),
            ("", None),
        ];
        for (path, expected) in cases {
            assert_eq!(ConsoleName::from_path(path), expected, "{path:?}");
        }
    }

    #[test]
    fn cards_ask_for_consoles() {
        let device = ConsoleName::Device("/dev/tty2".into());
        let bad = |value: &str| {
            Err(format!(
                "console: {value}, expected true, false or the path of a terminal below /dev"
            ))
        };
        let cases = [
            ("true", Ok(Some(ConsoleName::Active))),
            ("false", Ok(None)),
            ("\"/dev/console\"", Ok(Some(ConsoleName::Active))),
            ("\"/dev/tty2\"", Ok(Some(device))),
            ("\"tty2\"", bad("\"tty2\"")),
            ("1", bad("1")),
            ("null", bad("null")),
        ];
        let mut card = Card::new(
            arje_card::Id::from_bytes([1; 16]),
            "sh",
            arje_card::Payload::Virtual,
            arje_card::Supervision::OneShot,
        );
        assert_eq!(console_of(&card), Ok(None));
        for (text, expected) in cases {
            let value = serde_json::from_str(text).unwrap();
            card.extensions.insert(CONSOLE_KEY.into(), value);
            assert_eq!(console_of(&card), expected);
        }
    }

    #[test]
    fn a_terminal_is_asked_for() {
        assert_eq!(
            open_terminal(Path::new("/dev/null")).unwrap_err(),
            ConsoleError::NotATerminal("/dev/null".into())
        );
        assert_eq!(
            open_terminal(Path::new("/dev/no-such")).unwrap_err(),
            ConsoleError::Open("/dev/no-such".into(), Errno::ENOENT)
        );
    }
}
