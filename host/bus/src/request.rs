//! What can be asked for.

use std::fmt;

use arje_card::Id;
use serde::{Deserialize, Serialize};

use crate::calling::{Announce, Answer, Invoke, UpdateCapabilities};
use crate::limits::{MAX_FILE_NAME, MAX_LABEL, MAX_LOG_LINES, MAX_MEMORY, MAX_PATH};
use crate::wire::{maybe_id, wire_enum};

wire_enum! {
    /// Which Ente is meant.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub enum Target {
        /// The one with these 128 bits, most significant first, as its id.
        0 => Id(id: [u8; 16]),
        /// The one with this label.
        1 => Label(label: String),
    }
}

impl Target {
    /// By id.
    #[must_use]
    pub fn id(id: Id) -> Self {
        Self::Id(id.to_bytes())
    }

    /// A word as people write it: a ULID, else a label.
    #[must_use]
    pub fn of(word: &str) -> Self {
        word.parse()
            .map_or_else(|_| Self::Label(word.to_owned()), Self::id)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(bytes) => Id::from_bytes(*bytes).fmt(f),
            Self::Label(label) => write!(f, "`{label}`"),
        }
    }
}

/// Asks for a page of the list of Entes, in order of id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListEntes {
    /// The last id of the page before; none for the first page.
    #[serde(with = "maybe_id")]
    pub after: Option<Id>,
}

/// Asks for an end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopEnte {
    /// Whose.
    pub target: Target,
    /// At once: no grace, and no waiting for those that depend on it.
    pub now: bool,
}

/// Asks for a signal to all processes of an Ente.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KillEnte {
    /// Whose.
    pub target: Target,
    /// Its number (signal(7)).
    pub signal: u8,
}

/// Asks for another module in an Ente's place. The store has it, compiled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deploy {
    /// Whose place.
    pub target: Target,
    /// The sha256 of the component's `.wasm` file.
    pub module: [u8; 32],
}

/// Which events a subscriber wants.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filter {
    /// Those of this Ente only.
    pub target: Option<Target>,
    /// Those whose bit is set: bit n for the event with the number n. None means all.
    pub kinds: Option<u64>,
}

/// Asks for events.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscribe {
    /// Which.
    pub filter: Filter,
}

/// Asks for what an Ente wrote to its standard output and error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Logs {
    /// Whose.
    pub target: Target,
    /// The last so many records: lines, and places where lines are missing.
    pub lines: u32,
    /// And from now on each further one.
    pub follow: bool,
}

/// Asks for a move to another root.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SwitchRoot {
    /// The mount point that becomes the root.
    pub new_root: String,
    /// The program to go on with, a path inside the new root; none for `ente-zero` where the image has it.
    pub init: Option<String>,
}

/// Asks for another weight of an Ente's cgroup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetWeight {
    /// Whose.
    pub target: Target,
    /// 1 to 10,000; 100 is what others have.
    pub weight: u32,
}

/// Asks for another bound of an Ente's memory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetMemory {
    /// Whose.
    pub target: Target,
    /// At least 1, below 1 TiB.
    pub bytes: u64,
}

/// Asks to freeze an Ente, or to thaw it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Freeze {
    /// Whom.
    pub target: Target,
    /// Whether its processes are to stand still.
    pub frozen: bool,
}

impl SetWeight {
    fn check(&self) -> Result<(), String> {
        match self.weight {
            1..=10_000 => check_target(&self.target),
            weight => Err(format!("weight: {weight}; expected 1 to 10000")),
        }
    }
}

impl SetMemory {
    fn check(&self) -> Result<(), String> {
        match self.bytes {
            1..MAX_MEMORY => check_target(&self.target),
            bytes => Err(format!("bytes: {bytes}; expected 1 to {}", MAX_MEMORY - 1)),
        }
    }
}

/// Asks for a new Ente.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunCard {
    /// Its Card as JSON, with everything below it in `genesis`.
    pub card: String,
}

/// Names a file with a Card.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CardFile {
    /// The name of the file, without a folder.
    pub name: String,
}

impl CardFile {
    fn check(&self) -> Result<(), String> {
        let name = &self.name;
        let is_plain = !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\0']);
        if is_plain && name.len() <= MAX_FILE_NAME {
            return Ok(());
        }
        Err(format!(
            "name: not the name of a file: at most {MAX_FILE_NAME} bytes, without `/`, and no dot in front"
        ))
    }
}

wire_enum! {
    /// What can be asked for. [`Request::RESERVED`] has the numbers of those to come.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub enum Request {
        /// Whom the server takes the caller for, and what it may do.
        0 => WhoAmI,
        /// A page of all Entes.
        1 => ListEntes(page: ListEntes),
        /// Everything about one.
        2 => EnteStatus(target: Target),
        /// What one uses of the machine.
        3 => EnteTelemetry(target: Target),
        /// Want it: start it as soon as its contracts allow.
        4 => Start(target: Target),
        /// Do not want it: stop it, its dependents first.
        5 => Stop(stop: StopEnte),
        /// Stop it, dependents first, and start it again.
        6 => Restart(target: Target),
        /// Signal it. What comes of that is the Ente's: an end counts as its own.
        7 => KillEnte(kill: KillEnte),
        /// Stop everything and power off. The value: whether the caller's user may be asked, where a policy wants to.
        8 => PowerOff(interactive: bool),
        /// Stop everything and reboot.
        9 => Reboot(interactive: bool),
        /// Stop everything and halt.
        10 => Halt(interactive: bool),
        /// Send events from now on.
        11 => Subscribe(subscribe: Subscribe),
        /// What an Ente wrote.
        12 => Logs(logs: Logs),
        /// Replace the running `ente-zero` by the program at its place now; Entes go on.
        13 => Reexec,
        /// Move to another root.
        14 => SwitchRoot(switch: SwitchRoot),
        /// Serve the calls to the caller's Ente on this connection; also the sign of readiness `announce`.
        16 => Announce(announce: Announce),
        /// Offer more or less.
        17 => UpdateCapabilities(update: UpdateCapabilities),
        /// Call whoever provides a capability. The answer comes when the provider has given it, so later than those
        /// to requests sent after it.
        18 => Invoke(invoke: Invoke),
        /// Answer a call that came on this connection.
        19 => Answer(answer: Answer),
        /// Take in a Card, below the caller's Ente.
        20 => RunCard(run: RunCard),
        /// Take in the Card in a file of the folder for such (`/etc/arje/cards.d`).
        21 => SpawnCardFromDisk(file: CardFile),
        /// Stop what came from such a file, with everything below it, and forget it.
        22 => StopCardFromDisk(file: CardFile),
        /// Change an Ente's share of the processors.
        24 => SetCpuWeight(set: SetWeight),
        /// Change its share of the disks.
        25 => SetIoWeight(set: SetWeight),
        /// Change the memory that it may have.
        26 => SetMemoryMax(set: SetMemory),
        /// Change the memory above which it is slowed down.
        27 => SetMemoryHigh(set: SetMemory),
        /// Stop all its processes where they are, or let them go on.
        28 => Freeze(freeze: Freeze),
        /// Suspend the machine to memory. The value as for `PowerOff`.
        29 => Suspend(interactive: bool),
        /// Suspend the machine to disk.
        30 => Hibernate(interactive: bool),
        /// Stop an Ente with everything below it, and forget it.
        32 => Remove(target: Target),
        /// Have another module run in an Ente's place, without a call being lost. The answer comes when it does, or
        /// when that has failed and nothing has changed.
        23 => Deploy(deploy: Deploy),
        /// As `Deploy`, of the module that ran before the last one.
        33 => Rollback(target: Target),
    }
}

impl Request {
    /// Numbers of requests that are part of the protocol and not of this version of it.
    pub const RESERVED: &'static [(u32, &'static str)] = &[(15, "Debug"), (31, "Checkpoint")];

    /// Whether every value is within its bounds.
    ///
    /// # Errors
    /// What is not, and its bound.
    pub fn check(&self) -> Result<(), String> {
        match self {
            Self::EnteStatus(target)
            | Self::EnteTelemetry(target)
            | Self::Start(target)
            | Self::Remove(target)
            | Self::Restart(target)
            | Self::Rollback(target) => check_target(target),
            Self::Deploy(deploy) => check_target(&deploy.target),
            Self::Stop(stop) => check_target(&stop.target),
            Self::KillEnte(kill) => check_target(&kill.target),
            Self::Subscribe(subscribe) => subscribe
                .filter
                .target
                .as_ref()
                .map_or(Ok(()), check_target),
            Self::Logs(logs) if logs.lines > MAX_LOG_LINES => Err(format!(
                "lines: {}; at most {MAX_LOG_LINES} can be asked for",
                logs.lines
            )),
            Self::Logs(logs) => check_target(&logs.target),
            Self::SwitchRoot(switch) => {
                check_path("new_root", &switch.new_root)?;
                switch
                    .init
                    .as_ref()
                    .map_or(Ok(()), |init| check_path("init", init))
            }
            Self::SpawnCardFromDisk(file) | Self::StopCardFromDisk(file) => file.check(),
            Self::SetCpuWeight(set) | Self::SetIoWeight(set) => set.check(),
            Self::SetMemoryMax(set) | Self::SetMemoryHigh(set) => set.check(),
            Self::Freeze(freeze) => check_target(&freeze.target),
            Self::Announce(announce) => announce.check(),
            Self::UpdateCapabilities(update) => update.check(),
            // What is too large in a call is an outcome of the call.
            Self::Invoke(_)
            | Self::Answer(_)
            | Self::RunCard(_)
            | Self::WhoAmI
            | Self::ListEntes(_)
            | Self::PowerOff(_)
            | Self::Reboot(_)
            | Self::Halt(_)
            | Self::Suspend(_)
            | Self::Hibernate(_)
            | Self::Reexec => Ok(()),
        }
    }
}

fn check_target(target: &Target) -> Result<(), String> {
    match target {
        Target::Label(label) if label.len() > MAX_LABEL => Err(format!(
            "target: a label of {} bytes; labels have at most {MAX_LABEL}",
            label.len()
        )),
        _ => Ok(()),
    }
}

fn check_path(field: &str, path: &str) -> Result<(), String> {
    if path.starts_with('/') && path.len() < MAX_PATH && !path.contains('\0') {
        return Ok(());
    }
    Err(format!(
        "{field}: not an absolute path below {MAX_PATH} bytes and without NUL"
    ))
}

/// A request, and the number that its answer will carry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestFrame {
    /// Chosen by the client; repeated in the answer and in all events that follow from it.
    pub serial: u32,
    /// What is asked for.
    pub request: Request,
}

/// Why the body of a frame is no request of this version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Undecodable {
    /// Not even its serial can be read.
    Garbage,
    /// A request with this number is not known.
    Unknown {
        /// Its serial.
        serial: u32,
        /// Its number.
        number: u32,
    },
    /// A request that the protocol has, and this version does not.
    Reserved {
        /// Its serial.
        serial: u32,
        /// Its name.
        name: &'static str,
    },
    /// The values of a known request cannot be read.
    Malformed {
        /// Its serial.
        serial: u32,
    },
}

impl RequestFrame {
    /// Reads the body of a frame.
    ///
    /// # Errors
    /// [`Undecodable`]; all but garbage can be answered.
    pub fn decode(body: &[u8]) -> Result<Self, Undecodable> {
        let head = || {
            let (serial, rest) = postcard::take_from_bytes::<u32>(body).ok()?;
            let (number, _) = postcard::take_from_bytes::<u32>(rest).ok()?;
            Some((serial, number))
        };
        let (serial, number) = head().ok_or(Undecodable::Garbage)?;
        if let Some(frame) = crate::decode(body) {
            return Ok(frame);
        }
        let named = |list: &[(u32, &'static str)]| {
            let found = list.iter().find(|(known, _)| *known == number);
            found.map(|(_, name)| *name)
        };
        Err(match (named(Self::known()), named(Request::RESERVED)) {
            (Some(_), _) => Undecodable::Malformed { serial },
            (None, Some(name)) => Undecodable::Reserved { serial, name },
            (None, None) => Undecodable::Unknown { serial, number },
        })
    }

    fn known() -> &'static [(u32, &'static str)] {
        Request::NUMBERS
    }
}
