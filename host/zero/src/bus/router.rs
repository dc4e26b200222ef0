//! Who may what: one pure function from a caller, a request and the state of the system to a
//! decision. Sockets are on the other side of `connection.rs`, effects in `core/bus.rs`.

use super::caller::Caller;
use super::spawn::may_spawn;
use super::view::View;
use crate::sleep::Sleep;
use arje_bus::{BusError, ErrorCode, Filter, Logs, Request, Response, Rights, SwitchRoot, Target};
use arje_card::{Capability, Id, Payload, Pin};
use arje_supervisor::{Command, State};
use nix::sys::signal::Signal;

/// What is to come of a request.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// This answer, and nothing else.
    Answer(Response),
    /// This is to be done; what comes of it is the answer.
    Do(Task),
    /// The caller may; the request itself says what is to be done.
    Allow,
}

/// What an allowed request wants done.
#[derive(Debug, Clone, PartialEq)]
pub enum Task {
    /// A command for the supervisor.
    Command(Id, Command),
    /// A signal for an Ente.
    Signal(Id, Signal),
    /// Another share of the machine for an Ente.
    Resource(Id, Share),
    /// The end of the machine.
    Power(Power),
    /// A pause of the machine.
    Sleep(Sleep),
    /// Events, of this Ente or of all, of the kinds whose bits are set.
    Subscribe(Option<Id>, u64),
    /// Lines of a log.
    Logs {
        /// Whose.
        id: Id,
        /// The last so many.
        lines: u32,
        /// And each further one.
        follow: bool,
    },
    /// A new `ente-zero` in place of this one.
    Reexec,
    /// Another root.
    SwitchRoot(SwitchRoot),
    /// This module in an Ente's place; without one, that which it ran before.
    Deploy(Id, Option<Pin>),
}

/// What an Ente is to have of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Share {
    /// Its share of the processors.
    CpuWeight(u32),
    /// Its share of the disks.
    IoWeight(u32),
    /// The memory that it may have.
    MemoryMax(u64),
    /// The memory above which it is slowed down.
    MemoryHigh(u64),
    /// Whether its processes stand still.
    Frozen(bool),
}

/// How the machine is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Power {
    /// Off.
    Off,
    /// On again.
    Reboot,
    /// Halted.
    Halt,
}

/// Whether a request changes something.
#[must_use]
pub fn changes(request: &Request) -> bool {
    Right::needed(request).is_some()
}

/// Decides. Everything but reading needs a right; reading is for everybody who was admitted.
pub fn route(caller: &Caller, request: &Request, view: &View<'_>) -> Decision {
    decide(caller, request, view).unwrap_or_else(|error| Decision::Answer(Response::Error(error)))
}

fn decide(caller: &Caller, request: &Request, view: &View<'_>) -> Result<Decision, BusError> {
    request
        .check()
        .map_err(|problem| BusError::new(ErrorCode::BadRequest, problem))?;
    if !caller.is_current(view.supervisor) {
        return Err(BusError::new(
            ErrorCode::Forbidden,
            "the life of the Ente that this connection belongs to is over; connect anew",
        ));
    }
    if let Some(right) = Right::needed(request)
        && !right.is_in(caller.rights(view.owner_uid))
    {
        return Err(right.missing(caller, request));
    }
    Ok(match request {
        Request::WhoAmI => Decision::Answer(Response::You(caller.identity(view.owner_uid))),
        Request::ListEntes(list) => Decision::Answer(Response::Entes(view.page(list.after))),
        Request::EnteStatus(target) => {
            let status = view
                .status(find(view, target)?)
                .ok_or_else(|| unknown(target))?;
            Decision::Answer(Response::Status(Box::new(status)))
        }
        Request::EnteTelemetry(target) => {
            let numbers = view.telemetry(find(view, target)?);
            Decision::Answer(Response::Telemetry(numbers))
        }
        Request::Start(target) => command(view, target, Command::Start)?,
        Request::Restart(target) => command(view, target, Command::Restart)?,
        Request::Stop(stop) if stop.now => command(view, &stop.target, Command::Kill)?,
        Request::Stop(stop) => command(view, &stop.target, Command::Stop)?,
        Request::KillEnte(kill) => Decision::Do(Task::Signal(
            find(view, &kill.target)?,
            signal(kill.signal)?,
        )),
        Request::PowerOff(_) => Decision::Do(Task::Power(Power::Off)),
        Request::Reboot(_) => Decision::Do(Task::Power(Power::Reboot)),
        Request::Halt(_) => Decision::Do(Task::Power(Power::Halt)),
        Request::Subscribe(subscribe) => self::subscribe(view, &subscribe.filter)?,
        Request::Logs(logs) => self::logs(view, logs)?,
        Request::Reexec => Decision::Do(Task::Reexec),
        Request::SwitchRoot(switch) => Decision::Do(Task::SwitchRoot(switch.clone())),
        Request::Announce(announce) => offer(caller, view, &announce.capabilities)?,
        Request::UpdateCapabilities(update) => offer(caller, view, &update.adds)?,
        Request::Invoke(_)
        | Request::Answer(_)
        | Request::RunCard(_)
        | Request::SpawnCardFromDisk(_)
        | Request::StopCardFromDisk(_) => Decision::Allow,
        Request::SetCpuWeight(set) => resource(view, &set.target, Share::CpuWeight(set.weight))?,
        Request::SetIoWeight(set) => resource(view, &set.target, Share::IoWeight(set.weight))?,
        Request::SetMemoryMax(set) => resource(view, &set.target, Share::MemoryMax(set.bytes))?,
        Request::SetMemoryHigh(set) => resource(view, &set.target, Share::MemoryHigh(set.bytes))?,
        Request::Freeze(freeze) => resource(view, &freeze.target, Share::Frozen(freeze.frozen))?,
        Request::Suspend(_) => Decision::Do(Task::Sleep(Sleep::Suspend)),
        Request::Hibernate(_) => Decision::Do(Task::Sleep(Sleep::Hibernate)),
        Request::Remove(target) => command(view, target, Command::Remove)?,
        Request::Deploy(deploy) => {
            let id = may_replace(caller, view, &deploy.target)?;
            Decision::Do(Task::Deploy(id, Some(Pin(deploy.module))))
        }
        Request::Rollback(target) => {
            Decision::Do(Task::Deploy(may_replace(caller, view, target)?, None))
        }
    })
}

/// An Ente in which the caller may have other code run: code gets whatever its Ente may, so that may be no more than
/// the caller may itself.
fn may_replace(caller: &Caller, view: &View<'_>, target: &Target) -> Result<Id, BusError> {
    let id = find(view, target)?;
    if let Some(card) = view.supervisor.card(id) {
        may_spawn(caller, view.owner_uid, card)?;
    }
    Ok(id)
}

/// Whether an Ente may offer these: what its Card provides, or anything if it may start whatever it likes.
fn offer(
    caller: &Caller,
    view: &View<'_>,
    capabilities: &[Capability],
) -> Result<Decision, BusError> {
    let forbidden = |message: String| Err(BusError::new(ErrorCode::Forbidden, message));
    let Some(member) = &caller.ente else {
        return forbidden("only a process of an Ente can offer capabilities".to_owned());
    };
    let card = &member.card;
    if matches!(card.payload, Payload::Wasm(_)) {
        return forbidden(format!(
            "Card `{}`: a component offers by itself",
            card.label
        ));
    }
    let status = view.supervisor.status(card.id);
    if status.is_some_and(|status| status.state == State::Stopping) {
        let message = format!("Ente `{}` is being stopped", card.label);
        return Err(BusError::new(ErrorCode::Refused, message));
    }
    let unlisted = capabilities
        .iter()
        .find(|capability| !card.provides.contains(capability));
    match unlisted {
        Some(capability) if !caller.rights(view.owner_uid).entes => forbidden(format!(
            "Card `{}`: provides: does not list {capability}; add it, if this Ente is to offer that",
            card.label
        )),
        _ => Ok(Decision::Allow),
    }
}

fn command(view: &View<'_>, target: &Target, command: Command) -> Result<Decision, BusError> {
    Ok(Decision::Do(Task::Command(find(view, target)?, command)))
}

fn resource(view: &View<'_>, target: &Target, what: Share) -> Result<Decision, BusError> {
    Ok(Decision::Do(Task::Resource(find(view, target)?, what)))
}

fn subscribe(view: &View<'_>, filter: &Filter) -> Result<Decision, BusError> {
    let target = filter.target.as_ref();
    let id = target.map(|target| find(view, target)).transpose()?;
    Ok(Decision::Do(Task::Subscribe(
        id,
        filter.kinds.unwrap_or(u64::MAX),
    )))
}

fn logs(view: &View<'_>, logs: &Logs) -> Result<Decision, BusError> {
    Ok(Decision::Do(Task::Logs {
        id: find(view, &logs.target)?,
        lines: logs.lines,
        follow: logs.follow,
    }))
}

fn find(view: &View<'_>, target: &Target) -> Result<Id, BusError> {
    view.find(target).ok_or_else(|| unknown(target))
}

fn unknown(target: &Target) -> BusError {
    BusError::new(
        ErrorCode::UnknownEnte,
        format!("no Ente {target}; `ente status` shows all"),
    )
}

fn signal(number: u8) -> Result<Signal, BusError> {
    Signal::try_from(i32::from(number)).map_err(|_| {
        BusError::new(
            ErrorCode::BadRequest,
            format!("signal: {number}; expected 1 to 31 (signal(7))"),
        )
    })
}

/// A right, by the capability in `holds` that gives it.
#[derive(Debug, Clone, Copy)]
enum Right {
    Spawn,
    Power,
    SwitchRoot,
}

impl Right {
    fn needed(request: &Request) -> Option<Right> {
        match request {
            Request::WhoAmI
            | Request::ListEntes(_)
            | Request::EnteStatus(_)
            | Request::EnteTelemetry(_)
            | Request::Subscribe(_)
            | Request::Logs(_)
            | Request::Announce(_)
            | Request::UpdateCapabilities(_)
            | Request::Invoke(_)
            | Request::Answer(_) => None,
            Request::Start(_)
            | Request::Stop(_)
            | Request::Restart(_)
            | Request::KillEnte(_)
            | Request::RunCard(_)
            | Request::SpawnCardFromDisk(_)
            | Request::StopCardFromDisk(_)
            | Request::SetCpuWeight(_)
            | Request::SetIoWeight(_)
            | Request::SetMemoryMax(_)
            | Request::SetMemoryHigh(_)
            | Request::Freeze(_)
            | Request::Remove(_)
            | Request::Deploy(_)
            | Request::Rollback(_) => Some(Right::Spawn),
            Request::PowerOff(_)
            | Request::Reboot(_)
            | Request::Halt(_)
            | Request::Suspend(_)
            | Request::Hibernate(_) => Some(Right::Power),
            Request::Reexec | Request::SwitchRoot(_) => Some(Right::SwitchRoot),
        }
    }

    const fn is_in(self, rights: Rights) -> bool {
        match self {
            Right::Spawn => rights.entes,
            Right::Power => rights.power,
            Right::SwitchRoot => rights.switch_root,
        }
    }

    fn missing(self, caller: &Caller, request: &Request) -> BusError {
        let message = match &caller.ente {
            Some(member) => format!(
                "Card `{}`: holds: lacks {self:?}, which {} needs; add it, if this Ente is to do that",
                member.card.label,
                name(request)
            ),
            None => format!(
                "user {} may not: {} needs user 0, or an Ente whose Card holds {self:?}",
                caller.uid,
                name(request)
            ),
        };
        BusError::new(ErrorCode::Forbidden, message)
    }
}

fn name(request: &Request) -> &'static str {
    match request {
        Request::WhoAmI => "WhoAmI",
        Request::ListEntes(_) => "ListEntes",
        Request::EnteStatus(_) => "EnteStatus",
        Request::EnteTelemetry(_) => "EnteTelemetry",
        Request::Start(_) => "Start",
        Request::Stop(_) => "Stop",
        Request::Restart(_) => "Restart",
        Request::KillEnte(_) => "KillEnte",
        Request::PowerOff(_) => "PowerOff",
        Request::Reboot(_) => "Reboot",
        Request::Halt(_) => "Halt",
        Request::Subscribe(_) => "Subscribe",
        Request::Logs(_) => "Logs",
        Request::Reexec => "Reexec",
        Request::SwitchRoot(_) => "SwitchRoot",
        Request::Announce(_) => "Announce",
        Request::UpdateCapabilities(_) => "UpdateCapabilities",
        Request::Invoke(_) => "Invoke",
        Request::Answer(_) => "Answer",
        Request::RunCard(_) => "RunCard",
        Request::SpawnCardFromDisk(_) => "SpawnCardFromDisk",
        Request::StopCardFromDisk(_) => "StopCardFromDisk",
        Request::Remove(_) => "Remove",
        Request::Deploy(_) => "Deploy",
        Request::Rollback(_) => "Rollback",
        Request::SetCpuWeight(_) => "SetCpuWeight",
        Request::SetIoWeight(_) => "SetIoWeight",
        Request::SetMemoryMax(_) => "SetMemoryMax",
        Request::SetMemoryHigh(_) => "SetMemoryHigh",
        Request::Freeze(_) => "Freeze",
        Request::Suspend(_) => "Suspend",
        Request::Hibernate(_) => "Hibernate",
    }
}
