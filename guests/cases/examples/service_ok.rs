//! Host: calls `start`, is Ready, calls `stop` with the reason; both are logged.
#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

use alloc::string::String;
use arje_sdk::{CardInfo, Service, StopReason, freestanding, info, service};

struct Case;

impl Service for Case {
    fn start(card: &CardInfo) -> Result<Self, String> {
        info!("started"; label = card.label, id = card.id, incarnation = card.incarnation);
        Ok(Self)
    }

    fn stop(self, reason: StopReason) {
        let reason = match reason {
            StopReason::Requested => "requested",
            StopReason::Restart => "restart",
            StopReason::DependencyLost => "dependency-lost",
            StopReason::Replaced => "replaced",
            StopReason::Unhealthy => "unhealthy",
            StopReason::Shutdown => "shutdown",
        };
        info!("stopped"; reason = reason);
    }
}

freestanding!();
service!(Case);
