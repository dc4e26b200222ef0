//! Deployment: another module in an Ente's place, while it lives (`docs/deployment.md`).

use super::Core;
use super::bus::{log_refusal, refused};
use crate::bodies::{Bodies, TAKE_PLACE};
use crate::natives::Who;
use arje_bus::{BusError, Deployed, ErrorCode, Response};
use arje_card::{Id, Payload, Pin};
use arje_supervisor::{EventKind, ExitStatus, Incarnation, Report};
use std::time::Duration;

/// A deployment under way, and who waits for what comes of it.
pub(super) struct Deployment {
    incarnation: Incarnation,
    token: u64,
    serial: u32,
}

impl Core {
    /// Has a module run in an Ente's place; without one, that which ran before the last deployment. None if the
    /// answer comes later.
    pub(super) fn deploy(
        &mut self,
        (token, serial): (u64, u32),
        id: Id,
        module: Option<Pin>,
    ) -> Result<Option<Response>, BusError> {
        // Whoever sends nothing more stays connected for an answer that is still to come.
        if let Some(bus) = &mut self.bus {
            bus.begin_call(token)?;
        }
        let done = self.begin_deployment((token, serial), id, module);
        if let (Some(bus), false) = (&mut self.bus, matches!(done, Ok(None))) {
            bus.end_call(token);
        }
        done
    }

    fn begin_deployment(
        &mut self,
        (token, serial): (u64, u32),
        id: Id,
        module: Option<Pin>,
    ) -> Result<Option<Response>, BusError> {
        let card = self.supervisor.card(id).cloned();
        let card = card.ok_or_else(|| refused(format!("no Ente {id}")))?;
        Bodies::can_be_replaced(&card).map_err(refused)?;
        let former = || self.supervisor.status(id)?.former;
        let module = module.or_else(former).ok_or_else(|| {
            refused(format!(
                "Ente `{}` has run no other module since it was adopted; `ente deploy` names one",
                card.label
            ))
        })?;
        if self.handover.is_some() || self.moving.is_some() {
            return Err(refused(
                "PID 1 is about to be replaced itself; ask again afterwards".into(),
            ));
        }
        self.step(EventKind::Succeed { id, module })
            .map_err(|refusal| refused(refusal.to_string()))?;
        let status = self.supervisor.status(id);
        let Some(status) = status else {
            return Err(refused(format!("no Ente {id}")));
        };
        match status.successor {
            Some(incarnation) => {
                let deployment = Deployment {
                    incarnation,
                    token,
                    serial,
                };
                self.deployments.insert(id, deployment);
                Ok(None)
            }
            // Nothing of it lived, so it starts with the module: what comes of that is told by events.
            None => Ok(Some(Response::Deployed(Deployed {
                incarnation: status.incarnation,
                paused_us: None,
            }))),
        }
    }

    /// A successor answers from now on.
    pub(super) fn took_over(&mut self, who: Who, paused: Duration) {
        if !self.is_successor(who) {
            return; // given up meanwhile: its end is on its way
        }
        self.feed(EventKind::Report {
            id: who.id,
            incarnation: who.incarnation,
            report: Report::TookOver,
        });
        if let Some(card) = self.supervisor.card(who.id)
            && let Payload::Wasm(payload) = &card.payload
        {
            let pin = payload.module_sha256.short();
            let line = format!("Ente {}: replaced by wasm={pin}", card.label);
            self.console.line(line);
        }
        let response = Response::Deployed(Deployed {
            incarnation: who.incarnation,
            paused_us: Some(paused.as_micros() as u64),
        });
        self.answer_deployment(who, response);
    }

    /// Whether an incarnation is to take another one's place.
    pub(super) fn is_successor(&self, who: Who) -> bool {
        let status = self.supervisor.status(who.id);
        status.is_some_and(|status| status.successor == Some(who.incarnation))
    }

    /// An incarnation has ended; if somebody waits for it to take another one's place, that is told.
    pub(super) fn deployment_failed(&mut self, who: Who, status: &ExitStatus) {
        let its = |it: &Deployment| it.incarnation == who.incarnation;
        if !self.deployments.get(&who.id).is_some_and(its) {
            return;
        }
        let card = self.supervisor.card(who.id);
        let label = card.map_or("?", |card| card.label.as_str());
        let (code, message) = match status {
            ExitStatus::StartFailed { step, message } if step == TAKE_PLACE => (
                ErrorCode::Incompatible,
                format!("Ente `{label}`: the new module cannot {TAKE_PLACE}: {message}"),
            ),
            status => (
                ErrorCode::Failed,
                format!(
                    "Ente `{label}`: {status}; the module has not changed, and no call went to the new one"
                ),
            ),
        };
        log_refusal("a deployment", &message);
        self.answer_deployment(who, Response::Error(BusError::new(code, message)));
    }

    fn answer_deployment(&mut self, who: Who, response: Response) {
        let its = |it: &Deployment| it.incarnation == who.incarnation;
        if self.deployments.get(&who.id).is_some_and(its)
            && let Some(Deployment { token, serial, .. }) = self.deployments.remove(&who.id)
        {
            if let Some(bus) = &mut self.bus {
                bus.end_call(token);
            }
            self.reply(token, serial, response);
        }
    }
}
