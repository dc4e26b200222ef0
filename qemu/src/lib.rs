//! Boots an image in QEMU: by hand on a terminal, or as a typed [`Vm`] that tests talk to over the
//! serial console. It knows the machine and the milestones of a boot; it does not build images (that is
//! `initrd-builder`) and does not judge what a guest prints beyond them.

pub mod accel;
pub mod check;
pub mod console;
mod error;
pub mod kernel;
pub mod machine;
pub mod milestones;
mod vm;

pub use error::Error;
pub use machine::Machine;
pub use vm::{Output, Vm};
