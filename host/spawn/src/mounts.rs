//! The mounts of a plan.

use core::ffi::CStr;

use crate::decode::DecodeError;
use crate::format::MAX_MOUNTS;
use crate::kind::StepKind;
use crate::reader::Reader;

/// One thing to do in the Ente's own mount namespace. `T` is a string: borrowed from a plan, or owned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mount<T> {
    /// What.
    pub action: MountAction<T>,
    /// Where, absolute. Symbolic links on the way are refused.
    pub target: T,
    /// Where the target does not exist, it is made; so are the folders to it, but only below its first so many bytes.
    /// 0: it has to exist.
    pub create_below: u16,
}

/// What to do at a [`Mount`]'s target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MountAction<T> {
    /// What lies at the source appears here too, with all that is mounted below it. All sources of a plan are opened
    /// before anything is mounted.
    Bind {
        /// Where it is, absolute. Symbolic links on the way are refused.
        source: T,
        /// It, and all that is mounted below it, is read-only here.
        read_only: bool,
    },
    /// A fresh tmpfs, `nosuid`, and `nodev` unless `devices`.
    Tmpfs {
        /// Size in bytes; 0 means the kernel's default.
        size: u64,
        /// Mode of its root.
        mode: u16,
        /// Device nodes work on it.
        devices: bool,
    },
    /// A fresh proc of the PID namespace.
    Proc {
        /// It is read-only.
        read_only: bool,
    },
    /// The cgroup2 hierarchy, as the cgroup namespace sees it.
    Cgroup {
        /// It is read-only.
        read_only: bool,
    },
    /// The mount here, and with `recursive` all below it, becomes read-only.
    ReadOnly {
        /// Those below it, too.
        recursive: bool,
    },
    /// What is here, if there is anything, becomes read-only with all that is mounted below it. Other than with
    /// `ReadOnly`, it need not be a mount.
    Protect,
    /// A symbolic link with this content, made here.
    Symlink(T),
    /// A fresh ramfs, which is never swapped out: `nosuid`, `nodev`, `noexec`, mode 0500, of this owner.
    Secrets(Owner),
    /// A copy of a file, mode 0400, made here, where nothing is yet. Opened when the sources of binds are.
    Secret {
        /// Where it is, absolute; a regular file of at most [`MAX_SECRET_BYTES`](crate::MAX_SECRET_BYTES). Symbolic
        /// links are followed.
        source: T,
        /// Whose the copy is.
        owner: Owner,
    },
}

/// User and group of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    /// User id.
    pub user: u32,
    /// Group id.
    pub group: u32,
}

impl Owner {
    #[cfg(any(test, feature = "alloc"))]
    fn number(self) -> u64 {
        u64::from(self.group) << 32 | u64::from(self.user)
    }

    fn from_number(number: u64) -> Owner {
        Owner {
            user: number as u32,
            group: (number >> 32) as u32,
        }
    }
}

#[cfg(any(test, feature = "alloc"))]
impl<T: AsRef<CStr>> MountAction<T> {
    /// Tag, flag, number, mode and text, as the plan has them.
    pub(crate) fn parts(&self) -> (u8, u8, u64, u16, &CStr) {
        match self {
            MountAction::Bind { source, read_only } => {
                (1, (*read_only).into(), 0, 0, source.as_ref())
            }
            MountAction::Tmpfs {
                size,
                mode,
                devices,
            } => (2, (*devices).into(), *size, *mode, c""),
            MountAction::Proc { read_only } => (3, (*read_only).into(), 0, 0, c""),
            MountAction::Cgroup { read_only } => (4, (*read_only).into(), 0, 0, c""),
            MountAction::ReadOnly { recursive } => (5, (*recursive).into(), 0, 0, c""),
            MountAction::Protect => (6, 0, 0, 0, c""),
            MountAction::Symlink(content) => (7, 0, 0, 0, content.as_ref()),
            MountAction::Secrets(owner) => (8, 0, owner.number(), 0, c""),
            MountAction::Secret { source, owner } => (9, 0, owner.number(), 0, source.as_ref()),
        }
    }
}

impl<'a> MountAction<&'a CStr> {
    fn from_parts(tag: u8, flag: bool, size: u64, mode: u16, text: &'a CStr) -> Option<Self> {
        Some(match tag {
            1 => MountAction::Bind {
                source: text,
                read_only: flag,
            },
            2 => MountAction::Tmpfs {
                size,
                mode,
                devices: flag,
            },
            3 => MountAction::Proc { read_only: flag },
            4 => MountAction::Cgroup { read_only: flag },
            5 => MountAction::ReadOnly { recursive: flag },
            6 => MountAction::Protect,
            7 => MountAction::Symlink(text),
            8 => MountAction::Secrets(Owner::from_number(size)),
            9 => MountAction::Secret {
                source: text,
                owner: Owner::from_number(size),
            },
            _ => return None,
        })
    }
}

/// The list of a plan's mounts, in order.
#[derive(Clone, Copy, Debug)]
pub struct Mounts<'a> {
    bytes: &'a [u8],
}

impl<'a> Mounts<'a> {
    /// Checks all of them.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Mounts<'a>, DecodeError> {
        let mut reader = Reader(bytes);
        let mut found = 0;
        while !reader.0.is_empty() {
            read(&mut reader)?;
            found += 1;
        }
        if (1..=MAX_MOUNTS).contains(&found) {
            Ok(Mounts { bytes })
        } else {
            Err(DecodeError::Body(StepKind::Mounts))
        }
    }

    /// The mounts in order.
    pub fn iter(&self) -> impl Iterator<Item = Mount<&'a CStr>> + use<'a> {
        let mut reader = Reader(self.bytes);
        // All of them have been read once: this ends where the bytes do.
        core::iter::from_fn(move || read(&mut reader).ok())
    }
}

fn read<'a>(reader: &mut Reader<'a>) -> Result<Mount<&'a CStr>, DecodeError> {
    let malformed = DecodeError::Body(StepKind::Mounts);
    let (tag, flag) = (reader.u8()?, reader.u8()?);
    let (mode, create_below, size) = (reader.u16()?, reader.u16()?, reader.u64()?);
    let (text, target) = (reader.path()?, reader.path()?);
    let action = MountAction::from_parts(tag, flag != 0, size, mode, text).ok_or(malformed)?;
    let absolute = |path: &CStr| path.to_bytes().starts_with(b"/");
    let source_is_absolute = match action {
        MountAction::Bind { source, .. } | MountAction::Secret { source, .. } => absolute(source),
        _ => true,
    };
    let within = usize::from(create_below) < target.count_bytes();
    if flag > 1 || mode > 0o1777 || !within || !absolute(target) || !source_is_absolute {
        return Err(malformed);
    }
    Ok(Mount {
        action,
        target,
        create_below,
    })
}
