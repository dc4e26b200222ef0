//! What the core loop does for calls of peers on the bus: takes them to those who answer.

use super::Core;
use super::bus::{log, refused};
use crate::bus::{self, Caller, Destination, Outcome, Question, UnderWay, Waiter};
use crate::natives::Who;
use arje_bus::{
    BusError, CallError, ErrorCode, Invoke, MAX_PAYLOAD, Place, Request, RequestFrame, Response,
};
use arje_card::{Capability, Id};
use arje_supervisor::{EventKind, Millis, ReadyBy, Report};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What components have answered to peers, and the loop has not taken.
pub(super) type Answered = Arc<Mutex<Vec<(Waiter, Outcome)>>>;

impl Core {
    pub(super) fn withdrawn(&mut self, capability: &Capability, by: Id) {
        self.bodies.withdrawn(capability, by);
        if let Some(bus) = &mut self.bus {
            bus.withdrawn(by, capability);
        }
    }

    pub(super) fn life_over(&mut self, id: Id) {
        if let Some(bus) = &mut self.bus {
            bus.life_over(id);
        }
    }

    /// Carries out a request that the caller may make; none if the answer comes later.
    pub(super) fn carry(
        &mut self,
        token: u64,
        caller: &Caller,
        frame: RequestFrame,
    ) -> Result<Option<Response>, BusError> {
        let now = self.now();
        match frame.request {
            Request::Invoke(invoke) => {
                let serial = frame.serial;
                return self.invoke(token, caller, serial, invoke).map(|()| None);
            }
            Request::Answer(answer) => {
                if let Some(bus) = &mut self.bus {
                    bus.answer(token, answer, now)?;
                }
            }
            Request::Announce(announce) => {
                self.offer(caller, announce.capabilities, Vec::new())?;
                // Before the supervisor hears of it: what it does then may be to let calls come.
                if let Some(bus) = &mut self.bus {
                    bus.announce(token);
                }
                let by = ReadyBy::Announce;
                self.report_of(caller, Report::Ready { by })?;
            }
            Request::UpdateCapabilities(update) => {
                self.offer(caller, update.adds, update.removes)?;
            }
            Request::RunCard(run) => self.run_card(caller, &run.card)?,
            Request::SpawnCardFromDisk(file) => self.spawn_card_from_disk(caller, &file.name)?,
            Request::StopCardFromDisk(file) => self.stop_card_from_disk(caller, &file.name)?,
            // Decided otherwise (`bus/router.rs`).
            _ => {
                return Err(BusError::new(
                    ErrorCode::Unsupported,
                    "not for this version",
                ));
            }
        }
        Ok(Some(Response::Ok))
    }

    fn offer(
        &mut self,
        caller: &Caller,
        adds: Vec<Capability>,
        removes: Vec<Capability>,
    ) -> Result<(), BusError> {
        if adds.is_empty() && removes.is_empty() {
            return Ok(());
        }
        let names = |list: &[Capability]| {
            let names: Vec<String> = list.iter().map(ToString::to_string).collect();
            bus::short(format!("[{}]", names.join(", ")))
        };
        log(
            caller,
            &format!("offers {}, no longer {}", names(&adds), names(&removes)),
        );
        self.report_of(caller, Report::Capabilities { adds, removes })
    }

    /// A report of the caller's Ente about itself.
    fn report_of(&mut self, caller: &Caller, report: Report) -> Result<(), BusError> {
        let Some(member) = &caller.ente else {
            return Ok(());
        };
        let who = Who {
            id: member.card.id,
            incarnation: member.incarnation,
        };
        self.report(who, report).map_err(refused)
    }

    /// Tells the supervisor what an incarnation says; else why it does not take that.
    pub(super) fn report(&mut self, who: Who, report: Report) -> Result<(), String> {
        let Who { id, incarnation } = who;
        let kind = EventKind::Report {
            id,
            incarnation,
            report,
        };
        self.step(kind).map_err(|refusal| refusal.to_string())
    }

    fn invoke(
        &mut self,
        token: u64,
        caller: &Caller,
        serial: u32,
        invoke: Invoke,
    ) -> Result<(), BusError> {
        if let Some(bus) = &mut self.bus {
            bus.begin_call(token)?;
        }
        let now = self.now();
        let waiter = Waiter::Peer { token, serial };
        if invoke.payload.len() > MAX_PAYLOAD {
            self.settle_call(waiter, Err(CallError::TooLarge(MAX_PAYLOAD as u32)));
            return Ok(());
        }
        let question = Question {
            caller: caller.to_providers(),
            capability: invoke.capability,
            payload: invoke.payload,
            deadline: bus::deadline(now, invoke.deadline_ms),
        };
        match self.bodies.provider(&question.capability) {
            Some(provider) if provider.place == Place::Process => {
                self.send_call(provider.id, question, waiter);
            }
            Some(provider) => self.deliver(token, provider.id, question, waiter),
            None => self.settle_call(waiter, Err(CallError::NoProvider)),
        }
        Ok(())
    }

    /// Puts a call of this connection into a component's mailbox. Its answer comes on a thread of the Wasm host, and waits
    /// for the loop. When the connection is gone before, the call is not begun any more.
    fn deliver(&mut self, token: u64, provider: Id, question: Question, waiter: Waiter) {
        let call = arje_wasm::Call {
            caller: question.caller,
            capability: question.capability,
            payload: question.payload,
            deadline: self.began + Duration::from_millis(question.deadline.0),
        };
        let (answered, wake) = (Arc::clone(&self.answered), self.poller.wake_handle());
        let delivery = self.bodies.deliver(provider, call, move |outcome| {
            let mut answered = answered.lock().unwrap_or_else(PoisonError::into_inner);
            answered.push((waiter, outcome));
            wake.wake();
        });
        if let (Some(delivery), Some(bus)) = (delivery, &mut self.bus) {
            bus.hold(token, Box::new(delivery));
        }
    }

    /// Tells peers what components have answered. There are at most as many as there are calls under way.
    pub(super) fn take_answers(&mut self) {
        let answered = self.answered.lock();
        let answered = std::mem::take(&mut *answered.unwrap_or_else(PoisonError::into_inner));
        for (waiter, outcome) in answered {
            self.settle_call(waiter, outcome);
        }
    }

    /// When it is, on the clock of the loop's events; not before it.
    pub(super) fn millis_of(&self, at: Instant) -> Millis {
        let nanos = at.saturating_duration_since(self.began).as_nanos();
        Millis(nanos.div_ceil(1_000_000) as u64)
    }

    /// Sends a call to a process that provides what is asked for.
    pub(super) fn send_call(&mut self, provider: Id, question: Question, waiter: Waiter) {
        let now = self.now();
        let found = self.supervisor.card(provider);
        let status = self.supervisor.status(provider);
        if let (Some(bus), Some(card), Some(status)) = (&mut self.bus, found, status) {
            let to = Destination {
                card,
                incarnation: status.incarnation,
            };
            bus.send_call(&to, question, waiter, now);
        } else {
            self.settle_call(waiter, Err(CallError::NoProvider));
        }
    }

    fn settle_call(&mut self, waiter: Waiter, outcome: Outcome) {
        let now = self.now();
        match (&mut self.bus, waiter) {
            (Some(bus), waiter) => bus.settle(waiter, outcome, now),
            (None, Waiter::Component(asking)) => asking.tell(outcome),
            (None, Waiter::Peer { .. }) => {}
        }
    }
}

impl UnderWay for arje_wasm::Delivery {
    fn is_over(&self) -> bool {
        arje_wasm::Delivery::is_over(self)
    }
}
