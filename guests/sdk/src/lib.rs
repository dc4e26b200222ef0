//! The guest kit: what a component is written with that arje's host runs as a service.
//!
//! ```no_run
//! use arje_sdk::{CardInfo, Service, info, service};
//!
//! struct Hello;
//!
//! impl Service for Hello {
//!     fn start(card: &CardInfo) -> Result<Self, String> {
//!         info!("hello"; label = card.label);
//!         Ok(Hello)
//!     }
//! }
//!
//! service!(Hello);
//! ```
//!
//! - [`Service`] is implemented by the component's type; [`service!`] exports it. [`Timers`] and
//!   [`Health`] are further exports, named in the macro.
//! - [`bus`] calls others, and a [`Handler`] is called. An interface of one's own, which others import, is exported
//!   with `wit_bindgen::generate!`; its functions reach the service by [`Instance::with`].
//! - [`supervisor`] sees and tends the tree of Entes, and [`Events`] hears what happens in it.
//! - A [`Handoff`] takes over what the version before it knew, when it is deployed in its place.
//! - [`info!`] and its siblings log, [`timer`] sets timers, [`clock`] tells the time.
//! - The same code compiles natively. There the host is [`fake`], so business logic is tested with
//!   plain `cargo test`.
//! - [`freestanding!`] makes a component without `std`: it imports only `arje:ente` and is a few
//!   kilobytes.
//!
//! The kit covers `arje:ente` (`wit/ente`), `arje:bus` (`wit/bus`) and `arje:state` (`wit/state`). For WASI, components use `std` or the `wasip2` crate.

#![no_std]

extern crate alloc;
#[cfg(not(target_family = "wasm"))]
extern crate std;
// Generated code and macros name this crate the same way inside and outside of it.
extern crate self as arje_sdk;

#[doc(hidden)]
pub mod bindings;
pub mod bus;
pub mod clock;
#[cfg(not(target_family = "wasm"))]
pub mod fake;
mod host;
mod log;
mod macros;
#[doc(hidden)]
pub mod rt;
mod service;
pub mod supervisor;
pub mod timer;

pub use bindings::host::arje::ente::log::Level;
pub use bindings::host::arje::ente::types::{
    Capability, CardInfo, DeviceClass, Endpoint, Netlink, StopReason,
};
pub use log::log;
pub use service::{Events, Handler, Handoff, Health, Instance, Service, Timers};
