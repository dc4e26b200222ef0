//! Where the components of these tests live: in this process.

use arje_card::Card;
use arje_wasm::{Host, NotRunning, StartRequest};
use std::sync::Arc;

/// The place, as the rig sees it.
#[derive(Default)]
pub struct Place {}

impl Place {
    pub fn start(&self, host: &Arc<Host>, request: StartRequest) {
        host.start(request);
    }

    pub fn kill(&self, host: &Host, card: &Card) -> Result<(), NotRunning> {
        host.kill(card.id, 1)
    }

    /// The host says that it has ended.
    pub fn ended(&self, _card: &Card) {}
}
