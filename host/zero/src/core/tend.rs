//! What components ask of the supervisor: the bus's requests and rules, for callers
//! that have no connection.

use super::Core;
use super::bus::refused;
use crate::bus::{self, Caller, Decision, Member, Task};
use crate::natives::Who;
use arje_bus::{
    BusError, ErrorCode, Filter, KillEnte, Request, Response, RunCard, StopEnte, Subscribe,
};
use arje_card::{Card, Pin};
use arje_wasm::{EnteStatus, Tended, Wish};
use std::sync::Arc;

/// The user of whoever is no process: nobody's, as user 65534 is somebody's.
const NO_USER: u32 = u32::MAX;

impl Core {
    /// Does what a component wants, if it may.
    pub(super) fn tend(&mut self, who: Who, wish: Wish) -> Tended {
        let Some(card) = self.supervisor.card(who.id).cloned() else {
            return Err(refused("the Ente that asks is no more".to_owned()));
        };
        let Some(request) = request(wish) else {
            self.hears_no_more(who);
            self.bodies.forget_events(who.id, who.incarnation);
            return Ok(None);
        };
        let mut acts_as = who.incarnation;
        if self.is_successor(who) {
            if bus::changes(&request) {
                let why = "it has not taken the place of the module before yet";
                return Err(refused(why.to_owned()));
            }
            // It may look as the one may whose place it is to take.
            let status = self.supervisor.status(who.id);
            acts_as = status.map_or(acts_as, |status| status.incarnation);
        }
        let caller = self.component(card, acts_as);
        self.tend_as(&caller, who, request)
    }

    /// A component as one that asks. What it may is decided by its Card.
    fn component(&self, card: Arc<Card>, incarnation: u64) -> Caller {
        let (uid, gid) = match (card.soma.is_off(), &card.soma.run_as) {
            (true, _) => (NO_USER, NO_USER),
            (false, None) => (self.owner_uid, self.owner_uid),
            (false, Some(user)) => (user.uid, user.gid),
        };
        Caller {
            pid: 0,
            uid,
            gid,
            ente: Some(Member { card, incarnation }),
        }
    }

    fn tend_as(&mut self, caller: &Caller, who: Who, request: Request) -> Tended {
        let running = self.alive();
        let view = self.view(&running);
        match (bus::route(caller, &request, &view), request) {
            (Decision::Answer(Response::Status(status)), _) => Ok(Some(Box::new(told(*status)))),
            (Decision::Answer(Response::Error(error)), _) => Err(error),
            (Decision::Allow, Request::RunCard(run)) => {
                self.run_card(caller, &run.card).map(|()| None)
            }
            (Decision::Do(Task::Subscribe(of, kinds)), _) => self.hear(who, of, kinds),
            (Decision::Do(task @ (Task::Command(..) | Task::Signal(..))), _) => {
                self.audit(caller, 0, 0, task).map(|_| None)
            }
            _ => Err(BusError::new(
                ErrorCode::Unsupported,
                "no component can ask for that",
            )),
        }
    }
}

/// The request of the bus that a wish is; none for the one that the bus does not have.
fn request(wish: Wish) -> Option<Request> {
    Some(match wish {
        Wish::Status(target) => Request::EnteStatus(target),
        Wish::Spawn(card) => Request::RunCard(RunCard { card }),
        Wish::Start(target) => Request::Start(target),
        Wish::Stop(target) => Request::Stop(StopEnte { target, now: false }),
        Wish::Restart(target) => Request::Restart(target),
        Wish::Kill(target, signal) => Request::KillEnte(KillEnte { target, signal }),
        Wish::Remove(target) => Request::Remove(target),
        Wish::Subscribe(target) => Request::Subscribe(Subscribe {
            filter: Filter {
                target,
                kinds: None,
            },
        }),
        Wish::Unsubscribe => return None,
    })
}

fn told(status: arje_bus::EnteStatus) -> EnteStatus {
    let summary = status.summary;
    EnteStatus {
        id: summary.id,
        label: summary.label,
        state: summary.state,
        since_ms: summary.since_ms,
        wanted: summary.wanted,
        incarnation: summary.incarnation,
        restarts: summary.restarts,
        pid: summary.pid,
        pin: summary.pin.map(Pin),
        held_by: summary.held_by,
        last_exit: status.last_exit,
    }
}
