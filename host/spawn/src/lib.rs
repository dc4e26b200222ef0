//! The spawn plan: what `ente-spawn` does between clone and exec, as bytes.
//!
//! PID 1 encodes a `Recipe` (`encode`, feature `alloc`), seals it in a memfd and passes it on descriptor
//! [`PLAN_FD`]; the executor decodes it without allocating ([`Plan`]) and performs its steps in order. A step that
//! fails is reported as a [`Failure`] on descriptor [`STATUS_FD`].
//!
//! This crate knows no Cards and makes no system calls; the executor itself is the binary of this package. The
//! format and the reasons for the order of steps are written down in `docs/native.md`.

#![no_std]

#[cfg(any(test, feature = "alloc"))]
extern crate alloc;
#[cfg(test)]
extern crate std;

mod decode;
#[cfg(any(test, feature = "alloc"))]
mod encode;
mod format;
mod status;
#[cfg(test)]
mod tests;

pub use decode::{DecodeError, Plan, Step, Steps, StringIter, Strings};
#[cfg(any(test, feature = "alloc"))]
pub use encode::{EncodeError, Recipe, encode};
pub use format::{
    FIRST_PASSED_FD, MAX_PASSED, MAX_PLAN_BYTES, MAX_STRINGS, PLAN_FD, Resource, Rlimit, STATUS_FD,
    StepKind,
};
pub use status::{FAILURE_BYTES, FAILURE_EXIT_CODE, Failure};
