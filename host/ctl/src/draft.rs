//! [`draft`]: a new Card from a payload, with no more permissions than the payload needs.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::time::{SystemTime, UNIX_EPOCH};

use arje_card::grants::{self, Needs, Surplus};
use arje_card::{
    Bind, Capability, Card, Entry, Env, Filesystem, Id, Lifecycle, Listen, ListenOn, NativePayload,
    Networking, Payload, Permissions, Pin, Report, Supervision, WasmPayload,
};
use arje_store::Sha256;
use arje_verify::component::{Component, NotAComponent};
use arje_verify::entry::{self, MissingEntry};
use arje_verify::pins::MODULE_KEY;

/// The delays of a restarted Ente: short enough not to be noticed at first, then out of the way.
const RESTART: Supervision = Supervision::Restart {
    initial: 200,
    max: 30_000,
};

/// What is wanted.
#[derive(Clone, Debug)]
pub struct Request {
    /// Its identity; [`fresh_id`] makes one.
    pub id: Id,
    /// Its label.
    pub label: String,
    /// What it runs.
    pub payload: RequestedPayload,
    /// Arguments after the program name.
    pub argv: Vec<String>,
    /// Environment variables.
    pub envp: Env,
    /// Whether it runs once; otherwise a command does, and everything else is restarted.
    pub oneshot: bool,
}

/// What a new Card runs.
#[derive(Clone, Debug)]
pub enum RequestedPayload {
    /// A component.
    Wasm(RequestedComponent),
    /// A process.
    Native {
        /// The executable, absolute.
        exec: String,
        /// Whether it gets the console.
        console: bool,
        /// The sockets that it finds from descriptor 3 on.
        listen: Vec<ListenOn>,
    },
    /// Nothing.
    Virtual,
}

/// A component that a new Card runs.
#[derive(Clone, Debug)]
pub struct RequestedComponent {
    /// The bytes of its file.
    pub wasm: Vec<u8>,
    /// The name from which `ente pin` is to write the pin.
    pub module: Option<String>,
    /// What the host drives; without, the one of run, service and http that it exports.
    pub entry: Option<Entry>,
    /// Folders it sees.
    pub preopens: Vec<Bind>,
    /// Where its requests come from.
    pub listen: Vec<ListenOn>,
}

/// Why there is no new Card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DraftError {
    /// The file is not a component.
    NotAComponent(NotAComponent),
    /// It exports several of run, service and http.
    SeveralEntries(Vec<Entry>),
    /// It exports none of run, service and http; this is the first of them that it lacks.
    NothingToDrive(MissingEntry),
    /// It does not export the entry that was asked for.
    NoEntry(MissingEntry),
    /// `http`, but nothing to listen on.
    NothingToListenOn,
    /// It imports what no permission allows.
    Imports(Vec<Surplus>),
    /// The Card would break rules.
    Rules(Report),
}

impl fmt::Display for DraftError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAComponent(why) => why.fmt(f),
            Self::SeveralEntries(entries) => {
                let words: Vec<&str> = entries.iter().map(Entry::as_str).collect();
                write!(
                    f,
                    "found several entries ({}); expected one; choose it with --entry",
                    words.join(", ")
                )
            }
            Self::NothingToDrive(missing) => write!(
                f,
                "found none of the entries run, service and http; expected one{}; choose a function \
                 with --entry",
                missing.exported()
            ),
            Self::NoEntry(missing) => missing.fmt(f),
            Self::NothingToListenOn => f.write_str(
                "the entry \"http\" has no socket for its requests; name one with --listen \
                 tcp:127.0.0.1:8080 or --listen unix:/run/NAME.sock",
            ),
            Self::Imports(surplus) => {
                let lines: Vec<String> = surplus.iter().map(ToString::to_string).collect();
                f.write_str(&lines.join("; "))
            }
            Self::Rules(report) => report.fmt(f),
        }
    }
}

impl std::error::Error for DraftError {}

/// A new identity, from the clock and the kernel's random bytes.
///
/// # Errors
/// `/dev/urandom` cannot be read.
pub fn fresh_id() -> io::Result<Id> {
    let mut random = [0; 10];
    File::open("/dev/urandom")?.read_exact(&mut random)?;
    // A clock before 1970 counts as 1970; the random part is enough to tell two Cards apart.
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH);
    let unix_ms = since_1970.map_or(0, |time| time.as_millis());
    Ok(Id::from_parts(
        u64::try_from(unix_ms).unwrap_or(u64::MAX),
        random,
    ))
}

/// Makes the Card. Its permissions are the least with which the payload starts.
///
/// # Errors
/// [`DraftError`].
pub fn draft(request: Request) -> Result<Card, DraftError> {
    let Request {
        id,
        label,
        payload,
        argv,
        envp,
        oneshot,
    } = request;
    let mut card = Card::new(id, label, Payload::Virtual, RESTART);
    match payload {
        // Nothing runs that could end, so nothing is to be restarted.
        RequestedPayload::Virtual => card.supervision = Supervision::OneShot,
        RequestedPayload::Native {
            exec,
            console,
            listen,
        } => {
            card.listen = name_sockets("socket", listen);
            card.payload = Payload::Native(NativePayload { exec, argv, envp });
            card.permissions = unconfined();
            if console {
                card.extensions.insert("console".to_owned(), true.into());
            }
        }
        RequestedPayload::Wasm(component) => draft_wasm(&mut card, component, argv, envp)?,
    }
    if oneshot || runs_once(&card.payload) {
        card.supervision = Supervision::OneShot;
        card.lifecycle = Lifecycle::Oneshot;
    }
    card.validate().map_err(DraftError::Rules)?;
    Ok(card)
}

fn draft_wasm(
    card: &mut Card,
    requested: RequestedComponent,
    argv: Vec<String>,
    envp: Env,
) -> Result<(), DraftError> {
    let component = Component::read(&requested.wasm).map_err(DraftError::NotAComponent)?;
    let payload = WasmPayload {
        module_sha256: Pin(*Sha256::of(&requested.wasm).as_bytes()),
        entry: choose_entry(&component, requested.entry)?,
        argv,
        envp,
        preopens: requested.preopens,
    };
    card.listen = name_sockets("http", requested.listen);
    if payload.entry == Entry::Http && card.listen.is_empty() {
        return Err(DraftError::NothingToListenOn);
    }
    grant(card, &component, &payload.preopens)?;
    card.payload = Payload::Wasm(payload);
    if let Some(module) = requested.module {
        card.extensions.insert(MODULE_KEY.to_owned(), module.into());
    }
    Ok(())
}

/// A command and a function come to their end by themselves.
fn runs_once(payload: &Payload) -> bool {
    match payload {
        Payload::Wasm(wasm) => !matches!(wasm.entry, Entry::Service | Entry::Http),
        Payload::Native(_) | Payload::Legacy(_) | Payload::Virtual => false,
    }
}

/// What a program that nobody has looked at yet needs, at most; its author narrows it (`docs/confinement.md`).
fn unconfined() -> Permissions {
    Permissions {
        networking: Networking::Full,
        filesystem: Filesystem::ReadWrite,
        processes: true,
        ..Permissions::default()
    }
}

fn choose_entry(component: &Component, asked: Option<Entry>) -> Result<Entry, DraftError> {
    if let Some(entry) = asked {
        entry::check(component, &entry).map_err(DraftError::NoEntry)?;
        return Ok(entry);
    }
    match entry::offered(component).as_slice() {
        [] => {
            let entry = Entry::default();
            entry::check(component, &entry).map_err(DraftError::NothingToDrive)?;
            Ok(entry)
        }
        [entry] => Ok(entry.clone()),
        several => Err(DraftError::SeveralEntries(several.to_vec())),
    }
}

fn name_sockets(first: &str, listen: Vec<ListenOn>) -> Vec<Listen> {
    let name = |index: usize| match index {
        0 => first.to_owned(),
        index => format!("{first}-{}", index + 1),
    };
    let named = |(index, on)| Listen {
        name: name(index),
        on,
    };
    listen.into_iter().enumerate().map(named).collect()
}

/// Sets the least permissions for what the component imports, sees and listens on.
fn grant(card: &mut Card, component: &Component, preopens: &[Bind]) -> Result<(), DraftError> {
    for import in &component.imports {
        if let Some(grant) = grants::lookup(import) {
            match grant.needs {
                Needs::Nothing => {}
                Needs::Networking(least) => raise(&mut card.permissions.networking, least),
                Needs::Ipc(name) if card.permissions.ipc.allows(name) => {}
                Needs::Ipc(name) => card.permissions.ipc.allow.push(name.to_owned()),
                Needs::Spawn => drop(card.holds.insert(Capability::Spawn)),
            }
        }
    }
    for listen in &card.listen {
        if let ListenOn::Tcp(address) | ListenOn::Udp(address) = &listen.on {
            let least = match address.ip().is_loopback() {
                true => Networking::Loopback,
                false => Networking::Full,
            };
            raise(&mut card.permissions.networking, least);
        }
    }
    for preopen in preopens {
        let least = match preopen.ro {
            true => Filesystem::ReadOnly,
            false => Filesystem::ReadWrite,
        };
        raise(&mut card.permissions.filesystem, least);
    }
    let imports = component.imports.iter().map(String::as_str);
    grants::audit(card, imports).map_err(DraftError::Imports)
}

fn raise<T: Ord>(granted: &mut T, least: T) {
    if *granted < least {
        *granted = least;
    }
}
