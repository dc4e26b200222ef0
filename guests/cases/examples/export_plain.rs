//! Host: with the entry "tick", calls that exported function of the world, which logs "tick".
#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

use arje_sdk::{freestanding, info};

wit_bindgen::generate!({ path: "wit", world: "plain" });

struct Case;

impl Guest for Case {
    fn tick() {
        info!("tick");
    }
}

freestanding!();
export!(Case);
