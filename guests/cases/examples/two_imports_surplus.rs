//! Host: with no permissions, refuses it before it runs, and the error names both imports
//! (`wasi:sockets/instance-network`, `wasi:filesystem/preopens`) and the permission each needs.
#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

use alloc::string::String;
use arje_sdk::{CardInfo, Service, freestanding, info, service};

struct Case;

impl Service for Case {
    fn start(_card: &CardInfo) -> Result<Self, String> {
        let _network = wasip2::sockets::instance_network::instance_network();
        info!("granted"; folders = wasip2::filesystem::preopens::get_directories().len());
        Ok(Self)
    }
}

freestanding!();
service!(Case);
