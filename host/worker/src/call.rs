//! A call as the component's host takes it.

use arje_bus::{CallFrom, CallOrigin, Caller, Invoke, Origin};
use arje_card::{Card, Payload, Supervision};
use arje_wasm::Call;
use arje_wasm::wire::within;
use std::sync::Arc;

/// The call that was sent.
pub(crate) fn received(from: CallFrom, invoke: Invoke) -> Call {
    let card = from.ente.map(|id| {
        // Nothing else of the caller's Card is told, and nobody looks at it.
        let label = from.label.unwrap_or_default();
        Arc::new(Card::new(id, label, Payload::Virtual, Supervision::OneShot))
    });
    let origin = match from.origin {
        CallOrigin::Component => Origin::Component,
        CallOrigin::Process(process) => Origin::Process {
            pid: process.pid,
            uid: process.uid,
            gid: process.gid,
        },
    };
    Call {
        caller: Caller { card, origin },
        capability: invoke.capability,
        payload: invoke.payload,
        deadline: within(invoke.deadline_ms),
    }
}
