//! Host: with no permissions, refuses it before it runs, and the error names both imports
//! (`wasi:sockets/instance-network`, `wasi:sockets/ip-name-lookup`) and the permission each needs.
#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

use alloc::string::String;
use arje_sdk::{CardInfo, Service, freestanding, info, service};

struct Case;

impl Service for Case {
    fn start(_card: &CardInfo) -> Result<Self, String> {
        let network = wasip2::sockets::instance_network::instance_network();
        let found = wasip2::sockets::ip_name_lookup::resolve_addresses(&network, "localhost");
        info!("granted"; resolving = found.is_ok());
        Ok(Self)
    }
}

freestanding!();
service!(Case);
