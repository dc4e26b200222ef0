//! What a running Ente has of the machine, changed while it runs.

use super::{Bodies, workers};
use crate::bus::Share;
use arje_card::{Card, Payload};

impl Bodies {
    /// Changes it, until the Ente's next life.
    ///
    /// # Errors
    ///
    /// It has no cgroup, or the kernel does not take the value.
    pub fn set_resource(&mut self, card: &Card, what: Share) -> Result<(), String> {
        let label = &card.label;
        match &card.payload {
            Payload::Virtual => Err(format!(
                "Ente `{label}` is a container, which has no processes; name those in it"
            )),
            Payload::Wasm(_) if !workers::has_body(card) => Err(format!(
                "Ente `{label}` is a component in ente-zero itself, which has no cgroup of its own"
            )),
            _ => self
                .natives
                .set_resource(card.id, what)
                .map_err(|problem| format!("Ente `{label}`: {problem}")),
        }
    }
}
