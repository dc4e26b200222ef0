//! The state in a sealed memfd: two lines of JSON, what `ente-zero` itself keeps, and the supervisor's
//! snapshot.
//!
//! The next image is another program, perhaps a newer one, so it believes nothing that it has not
//! checked: that nobody can have changed the memfd, the format and its version, and every number.

use super::keep::inherit;
use crate::bus::Owner;
use arje_card::Id;
use arje_supervisor::limits::MAX_SNAPSHOT;
use arje_supervisor::{Incarnation, Snapshot};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::{AsFd, OwnedFd, RawFd};

/// What the parcel says that it is.
const FORMAT: &str = "ente-zero-handover";

/// The version of the format, also in the mark of the program (`image.rs`). Raised with every change that another version could
/// misread.
pub const VERSION: u32 = 3;

/// Bytes of the first line: some 200 for each process, and there are at most as many as Entes.
const MAX_INVENTORY: usize = 32 << 20;

/// Nobody can change it any more, nor lift that.
const SEALS: SealFlag = SealFlag::F_SEAL_SEAL
    .union(SealFlag::F_SEAL_SHRINK)
    .union(SealFlag::F_SEAL_GROW)
    .union(SealFlag::F_SEAL_WRITE);

/// What `ente-zero` keeps beside the supervisor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inventory {
    format: String,
    version: u32,
    /// How often the image was replaced so far, this time included.
    pub generation: u64,
    /// What the clock of the events shows, milliseconds.
    pub clock_ms: u64,
    /// `CLOCK_MONOTONIC` at that moment, nanoseconds; it runs on across execve(2).
    pub monotonic_ns: u64,
    /// Dev mode: when to leave, by the clock of the events.
    pub leave_at_ms: Option<u64>,
    /// Entes of the seed that have not come up for the first time yet.
    pub coming_up: Vec<Id>,
    /// Cards that came while the system ran.
    pub brought: Vec<BroughtRecord>,
    /// The machine has moved to another root, whose seed is still to be read.
    pub new_root: bool,
    /// The running processes.
    pub natives: Vec<NativeRecord>,
    /// The pipes through which they print.
    pub pipes: Vec<PipeRecord>,
    /// The sockets that processes listen on.
    pub listening: Vec<ListenRecord>,
    /// The socket for notifications.
    pub notify: Option<RawFd>,
    /// The socket of the bus.
    pub bus: Option<RawFd>,
    /// All descriptors that were left.
    pub descriptors: Vec<RawFd>,
}

/// One process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NativeRecord {
    pub id: Id,
    pub incarnation: Incarnation,
    pub pid: i32,
    pub pidfd: RawFd,
    /// Whether it is the init of a PID namespace.
    pub init: bool,
    pub exec: ExecRecord,
}

/// How far its exec has come.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ExecRecord {
    /// The executor is at work; its status pipe.
    Pending(RawFd),
    /// It succeeded; the status pipe of an init.
    Done(Option<RawFd>),
    /// Which step failed, by its tag, the error number, and what it was about.
    Failed {
        step: u8,
        errno: i32,
        subject: String,
    },
}

/// A pipe through which a process prints.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PipeRecord {
    pub id: Id,
    pub incarnation: Incarnation,
    pub is_stderr: bool,
    pub fd: RawFd,
    /// What was read of a line that has not ended, and how many more bytes of it were not kept.
    pub partial: Vec<u8>,
    pub cut: u64,
}

/// The listening sockets of an Ente, in the order of its Card.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListenRecord {
    pub id: Id,
    pub sockets: Vec<RawFd>,
}

/// A Card that came while the system ran, with all below it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BroughtRecord {
    pub id: Id,
    /// Who brought it.
    pub owner: Owner,
    /// How long its text was.
    pub bytes: usize,
}

/// The beginning of every version.
#[derive(Deserialize)]
struct Header {
    format: String,
    version: u32,
}

impl Inventory {
    /// An empty one.
    #[must_use]
    pub fn new(generation: u64) -> Inventory {
        Inventory {
            format: FORMAT.to_owned(),
            version: VERSION,
            generation,
            clock_ms: 0,
            monotonic_ns: 0,
            leave_at_ms: None,
            coming_up: Vec::new(),
            brought: Vec::new(),
            new_root: false,
            natives: Vec::new(),
            pipes: Vec::new(),
            listening: Vec::new(),
            notify: None,
            bus: None,
            descriptors: Vec::new(),
        }
    }
}

/// All that one image leaves to the next one, but the descriptors.
#[derive(Clone, Debug, PartialEq)]
pub struct Parcel {
    /// What `ente-zero` itself keeps.
    pub inventory: Inventory,
    /// What the supervisor knows.
    pub supervisor: Snapshot,
}

impl Parcel {
    /// Writes it to a sealed memfd.
    ///
    /// # Errors
    ///
    /// It is too large, or the kernel has no memory for it.
    pub fn seal(&self) -> io::Result<OwnedFd> {
        let supervisor = self.supervisor.to_json().map_err(io::Error::other)?;
        let mut inventory = serde_json::to_vec(&self.inventory)?;
        if inventory.len() > MAX_INVENTORY {
            return Err(io::Error::other(format!(
                "the table of processes has {} bytes, and {MAX_INVENTORY} is the most",
                inventory.len()
            )));
        }
        inventory.push(b'\n');
        let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
        let mut file = File::from(memfd_create(c"ente-zero hand-over", flags)?);
        file.write_all(&inventory)?;
        file.write_all(&supervisor)?;
        file.write_all(b"\n")?;
        file.rewind()?;
        fcntl(&file, FcntlArg::F_ADD_SEALS(SEALS))?;
        Ok(file.into())
    }

    /// Reads what the old image left under this descriptor, which is closed.
    ///
    /// # Errors
    ///
    /// It is not a parcel for this version; the text says what it is instead.
    pub fn open(number: RawFd) -> Result<Parcel, String> {
        Parcel::read(inherit(number)?)
    }

    fn read(fd: OwnedFd) -> Result<Parcel, String> {
        check_seals(&fd)?;
        let mut bytes = Vec::new();
        let most = (MAX_INVENTORY + MAX_SNAPSHOT) as u64 + 2;
        File::from(fd)
            .take(most)
            .read_to_end(&mut bytes)
            .map_err(|error| format!("the state cannot be read: {error}"))?;
        let text = bytes.strip_suffix(b"\n").ok_or("the state is cut off")?;
        let end = text.iter().position(|byte| *byte == b'\n');
        let (inventory, rest) = text.split_at(end.ok_or("the state is cut off")?);
        Ok(Parcel {
            inventory: read_inventory(inventory)?,
            supervisor: Snapshot::from_json(&rest[1..]).map_err(|error| error.to_string())?,
        })
    }
}

fn check_seals(fd: impl AsFd) -> Result<(), String> {
    let seals = fcntl(fd, FcntlArg::F_GET_SEALS).map_err(|errno| match errno {
        Errno::EINVAL => "the state is not in a memfd".to_owned(),
        errno => errno.desc().to_owned(),
    })?;
    match SealFlag::from_bits_retain(seals).contains(SEALS) {
        true => Ok(()),
        false => Err("the state is not sealed, so somebody may have changed it".to_owned()),
    }
}

fn read_inventory(text: &[u8]) -> Result<Inventory, String> {
    let unreadable = |error: serde_json::Error| format!("the state cannot be read: {error}");
    let header: Header = serde_json::from_slice(text).map_err(unreadable)?;
    if header.format != FORMAT || header.version != VERSION {
        return Err(format!(
            "the state is {} of version {}; this program reads {FORMAT} of version {VERSION}",
            header.format, header.version
        ));
    }
    serde_json::from_slice(text).map_err(unreadable)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arje_supervisor::{Millis, Supervisor};

    fn parcel() -> Parcel {
        let mut inventory = Inventory::new(3);
        inventory.natives.push(NativeRecord {
            id: Id::from_parts(1, [1; 10]),
            incarnation: 7,
            pid: 42,
            pidfd: 9,
            init: false,
            exec: ExecRecord::Failed {
                step: 0x7f,
                errno: 2,
                subject: String::new(),
            },
        });
        Parcel {
            inventory,
            supervisor: Supervisor::new().snapshot(Millis(5)),
        }
    }

    fn memfd(text: &[u8], seals: SealFlag) -> OwnedFd {
        let mut file = File::from(memfd_create(c"test", MFdFlags::MFD_ALLOW_SEALING).unwrap());
        file.write_all(text).unwrap();
        file.rewind().unwrap();
        fcntl(&file, FcntlArg::F_ADD_SEALS(seals)).unwrap();
        file.into()
    }

    #[test]
    fn what_was_sealed_is_read() {
        assert_eq!(Parcel::read(parcel().seal().unwrap()), Ok(parcel()));
    }

    #[test]
    fn a_sealed_parcel_cannot_be_changed() {
        let mut file = File::from(parcel().seal().unwrap());
        assert!(file.write_all(b"x").is_err());
        assert!(file.set_len(0).is_err());
    }

    #[test]
    fn anything_else_is_refused_with_a_reason() {
        let mut good = Vec::new();
        File::from(parcel().seal().unwrap())
            .read_to_end(&mut good)
            .unwrap();
        let text = String::from_utf8(good.clone()).unwrap();
        let other = |from: &str, to: &str| text.replacen(from, to, 1).into_bytes();
        for (bytes, seals, why) in [
            (good.clone(), SealFlag::empty(), "is not sealed"),
            (good.clone(), SealFlag::F_SEAL_WRITE, "is not sealed"),
            (good[..good.len() - 1].to_vec(), SEALS, "is cut off"),
            (good[..good.len() / 2].to_vec(), SEALS, "cut off"),
            (Vec::new(), SEALS, "is cut off"),
            (b"ELF\n\n".to_vec(), SEALS, "cannot be read"),
            (
                other("\"version\":3", "\"version\":9"),
                SEALS,
                "of version 9",
            ),
            (
                other("\"pid\":42", "\"pid\":\"x\""),
                SEALS,
                "cannot be read",
            ),
            (
                other("\"natives\"", "\"more\":1,\"natives\""),
                SEALS,
                "unknown field",
            ),
        ] {
            let error = Parcel::read(memfd(&bytes, seals)).unwrap_err();
            assert!(error.contains(why), "{why}: {error}");
        }
        let file = File::open("/proc/self/exe").unwrap();
        let error = Parcel::read(file.into()).unwrap_err();
        assert_eq!(error, "the state is not in a memfd");
    }
}
