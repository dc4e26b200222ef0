//! What the core loop does for the bus: lets it read, decides requests, carries them out.

use super::{Core, Mode, Outcome};
use crate::bus::{self, Bus, Caller, Change, Decision, Member, Peer, Power, Task};
use crate::sleep::Sleep;
use arje_bus::{BusError, ErrorCode, RequestFrame, Response, Undecodable};
use arje_card::Id;
use arje_supervisor::{Cause, EventKind, Incarnation, State};
use std::path::Path;

impl Core {
    /// Answers on this bus from now on.
    pub fn attach_bus(&mut self, bus: Option<Bus>) {
        self.bus = bus;
        if let Some(bus) = &mut self.bus {
            bus.tell_routes(self.bodies.routes());
        }
    }

    /// Whether this token belongs to the bus.
    pub(super) fn is_of_bus(&self, token: u64) -> bool {
        self.bus.as_ref().is_some_and(|bus| bus.owns(token))
    }

    /// A socket of the bus is ready.
    pub(super) fn serve_bus(&mut self, token: u64) {
        let now = self.now();
        let Some(bus) = &mut self.bus else {
            return;
        };
        let (supervisor, bodies) = (&self.supervisor, &self.bodies);
        bus.ready(token, now, &mut self.poller, |peer: &Peer| Caller {
            pid: peer.pid.cast_unsigned(),
            uid: peer.uid,
            gid: peer.gid,
            ente: bodies.ente_of(peer.pid).and_then(|id| {
                Some(Member {
                    card: supervisor.card(id)?.clone(),
                    incarnation: supervisor.status(id)?.incarnation,
                })
            }),
        });
        self.work_bus();
    }

    /// The time of some connections is over.
    pub(super) fn expire_bus(&mut self) {
        let now = self.now();
        if let Some(bus) = &mut self.bus {
            bus.expire(now, &mut self.poller);
        }
    }

    /// The loop was woken, perhaps by new lines in logs.
    pub(super) fn wake_bus(&mut self) {
        if let Some(bus) = &mut self.bus {
            bus.logs_grew();
        }
        self.work_bus();
    }

    /// A turn of the loop begins.
    pub(super) fn begin_turn_of_bus(&mut self) {
        if let Some(bus) = &mut self.bus {
            bus.begin_turn();
        }
    }

    /// Answers what was asked, at most so much in one turn, however many sockets are ready.
    pub(super) fn work_bus(&mut self) {
        loop {
            let now = self.now();
            let incoming = match &mut self.bus {
                Some(bus) => bus.next_request(now, &mut self.poller),
                None => None,
            };
            let Some(incoming) = incoming else {
                break;
            };
            match incoming.frame {
                Ok(frame) => self.answer(incoming.token, &incoming.caller, frame),
                Err(problem) => self.answer_undecodable(incoming.token, problem),
            }
        }
        self.flush_bus();
    }

    /// Sends what waits; comes back when more is to be done than one turn allows.
    pub(super) fn flush_bus(&mut self) {
        let now = self.now();
        let Some(bus) = &mut self.bus else {
            return;
        };
        bus.flush(now, &mut self.poller);
        if bus.has_more() {
            self.poller.wake_handle().wake();
        }
    }

    /// Tells subscribers of a change of state.
    pub(super) fn publish(&mut self, id: Id, incarnation: Incarnation, to: State, cause: &Cause) {
        let now = self.now();
        let on_bus = self.bus.as_ref().is_some_and(Bus::has_subscribers);
        if !on_bus && self.hearers.is_empty() {
            return;
        }
        let Some(card) = self.supervisor.card(id) else {
            return;
        };
        let event = bus::event(Change {
            at: now,
            id,
            label: &card.label,
            incarnation,
            to,
            cause,
            text: bus::cause_text(&self.supervisor, cause),
        });
        self.tell_components(&event);
        if let Some(bus) = &mut self.bus {
            bus.publish(&event, now);
        }
    }

    fn answer(&mut self, token: u64, caller: &Caller, frame: RequestFrame) {
        let running = self.alive();
        let view = self.view(&running);
        let serial = frame.serial;
        let response = match bus::route(caller, &frame.request, &view) {
            Decision::Answer(response) => response,
            Decision::Allow => match self.carry(token, caller, frame) {
                Ok(Some(response)) => response,
                Ok(None) => return, // it comes later
                Err(error) => Response::Error(error),
            },
            Decision::Do(task) => match self.audit(caller, token, serial, task) {
                Ok(Some(response)) => response,
                Ok(None) => return, // it comes later
                Err(error) => Response::Error(error),
            },
        };
        self.reply(token, serial, response);
    }

    /// Performs a task, and logs who wanted it if it changes something: before it is begun, and again if it is refused.
    pub(super) fn audit(
        &mut self,
        caller: &Caller,
        token: u64,
        serial: u32,
        task: Task,
    ) -> Result<Option<Response>, BusError> {
        let what = self.describe(&task);
        if let Some(what) = &what {
            log(caller, what);
        }
        let done = self.perform(token, serial, task);
        if let (Some(what), Err(error)) = (what, &done) {
            log_refusal(&what, &error.message);
        }
        done
    }

    /// A task that changes something, in words; nothing for one that only reads.
    fn describe(&self, task: &Task) -> Option<String> {
        let of = |id: &Id| {
            let card = self.supervisor.card(*id);
            card.map_or_else(|| id.to_string(), |card| card.label.clone())
        };
        Some(match task {
            Task::Command(id, command) => format!("{command} {}", of(id)),
            Task::Signal(id, signal) => format!("{signal} to {}", of(id)),
            Task::Resource(id, what) => format!("{what:?} for {}", of(id)),
            Task::Sleep(sleep) => sleep.name().to_owned(),
            Task::Power(Power::Off) => "power off".to_owned(),
            Task::Power(Power::Reboot) => "reboot".to_owned(),
            Task::Power(Power::Halt) => "halt".to_owned(),
            Task::Reexec => "reexec".to_owned(),
            Task::SwitchRoot(switch) => format!("switch root to {}", switch.new_root),
            Task::Deploy(id, Some(module)) => format!("deploy {} to {}", module.short(), of(id)),
            Task::Deploy(id, None) => format!("rollback of {}", of(id)),
            Task::Subscribe(..) | Task::Logs { .. } => return None,
        })
    }

    fn answer_undecodable(&mut self, token: u64, problem: Undecodable) {
        let (serial, code, message) = match problem {
            // Nobody knows which request to answer, and what comes next.
            Undecodable::Garbage => {
                if let Some(bus) = &mut self.bus {
                    bus.close(token);
                }
                return;
            }
            Undecodable::Unknown { serial, number } => (
                serial,
                ErrorCode::Unsupported,
                format!("there is no request with the number {number}"),
            ),
            Undecodable::Reserved { serial, name } => (
                serial,
                ErrorCode::Unsupported,
                format!("{name}: this version of ente-zero does not have it"),
            ),
            Undecodable::Malformed { serial } => (
                serial,
                ErrorCode::BadRequest,
                "the values of the request cannot be read".to_owned(),
            ),
        };
        self.reply(token, serial, Response::Error(BusError::new(code, message)));
    }

    pub(super) fn reply(&mut self, token: u64, serial: u32, response: Response) {
        let now = self.now();
        if let Some(bus) = &mut self.bus {
            bus.reply(token, serial, response, now);
        }
    }

    /// None if the answer comes later.
    fn perform(
        &mut self,
        token: u64,
        serial: u32,
        task: Task,
    ) -> Result<Option<Response>, BusError> {
        match task {
            Task::Deploy(id, module) => return self.deploy((token, serial), id, module),
            Task::Command(id, command) => self
                .step(EventKind::Command { id, command })
                .map_err(|refusal| BusError::new(ErrorCode::Refused, refusal.to_string()))?,
            Task::Signal(id, signal) => {
                let status = self.supervisor.status(id);
                let incarnation = status.map(|status| status.incarnation).unwrap_or_default();
                if let Some(card) = self.supervisor.card(id) {
                    self.bodies
                        .signal(card, incarnation, signal)
                        .map_err(|problem| BusError::new(ErrorCode::Refused, problem))?;
                }
            }
            Task::Resource(id, what) => {
                if let Some(card) = self.supervisor.card(id) {
                    self.bodies.set_resource(card, what).map_err(refused)?;
                }
            }
            Task::Sleep(sleep) => self.sleep(sleep)?,
            Task::Power(power) => self.power(power)?,
            Task::Subscribe(of, kinds) => {
                if let Some(bus) = &mut self.bus {
                    bus.subscribe(token, serial, of, kinds)?;
                }
            }
            Task::Logs { id, lines, follow } => {
                if let Some(bus) = &mut self.bus {
                    return bus.log(token, serial, id, lines, follow).map(Some);
                }
            }
            Task::Reexec => self.request_reexec(None).map_err(refused)?,
            Task::SwitchRoot(switch) => {
                let init = switch.init.as_deref().map(Path::new);
                self.request_switch_root(Path::new(&switch.new_root), init)
                    .map_err(refused)?;
            }
        }
        Ok(Some(Response::Ok))
    }

    fn sleep(&mut self, sleep: Sleep) -> Result<(), BusError> {
        if self.down.is_some() {
            return Err(refused("everything is being stopped".to_owned()));
        }
        if self.mode != Mode::Machine {
            let message = "in dev mode the machine is somebody else's";
            return Err(BusError::new(ErrorCode::Unsupported, message));
        }
        sleep
            .begin()
            .map_err(|problem| BusError::new(ErrorCode::Unsupported, problem))
    }

    fn power(&mut self, power: Power) -> Result<(), BusError> {
        if self.down.is_some() {
            return Err(BusError::new(
                ErrorCode::Refused,
                "everything is being stopped already",
            ));
        }
        self.leave(match (self.mode, power) {
            (Mode::Dev(_), _) => Outcome::Leave,
            (Mode::Machine, Power::Off) => Outcome::PowerOff,
            (Mode::Machine, Power::Reboot) => Outcome::Reboot,
            (Mode::Machine, Power::Halt) => Outcome::Halt,
        });
        Ok(())
    }
}

/// Who changed what, after authentication.
pub(super) fn log(caller: &Caller, what: &str) {
    let (pid, uid) = (caller.pid, caller.uid);
    match &caller.ente {
        Some(member) if pid == 0 => {
            tracing::info!("{what}, asked for by component {}", member.card.label);
        }
        Some(member) => tracing::info!(
            "bus: {what}, asked for by pid {pid}, user {uid}, of Ente {}",
            member.card.label
        ),
        None => tracing::info!("bus: {what}, asked for by pid {pid}, user {uid}"),
    }
}

/// That something which was asked for is not done, and why.
pub(super) fn log_refusal(what: &str, why: &str) {
    tracing::warn!("refused: {what}: {why}");
}

pub(super) fn refused(problem: String) -> BusError {
    BusError::new(ErrorCode::Refused, problem)
}
