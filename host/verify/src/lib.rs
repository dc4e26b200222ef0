//! What can be said about Card files without running them, for all who read them: `ente verify`, the image
//! builder and PID 1 tell the same faults in the same words, and all of them at once.
//!
//! The rules of a Card are `arje-card`'s, what processes can be confined to is `arje-native`'s, what can
//! live together is `arje-supervisor`'s, and the store is `arje-store`'s. Here they are asked one after
//! the other, and none of them is left out because another one has found something. With the feature
//! `components` the modules that Cards pin are looked into, too.

mod findings;
mod judge;

#[cfg(feature = "components")]
pub mod component;
#[cfg(feature = "components")]
pub mod entry;
#[cfg(feature = "components")]
mod folder;
#[cfg(feature = "components")]
pub mod modules;
#[cfg(feature = "components")]
pub mod pins;
#[cfg(feature = "components")]
mod provides;
#[cfg(feature = "components")]
mod verify;

pub use findings::{Findings, Place, Problem};
#[cfg(feature = "components")]
pub use folder::{FolderError, read_capped};
pub use judge::{Machine, judge};
#[cfg(feature = "components")]
pub use verify::{verify, verify_reading};
