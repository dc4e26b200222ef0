//! What PID 1 asks of `ente-spawn`: a child ([`Order`]), and what that does before it becomes the program, the spawn plan.
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

#[cfg(any(test, feature = "alloc"))]
mod confinement;
mod decode;
#[cfg(any(test, feature = "alloc"))]
mod encode;
mod format;
mod kind;
mod mounts;
mod namespaces;
mod order;
mod reader;
mod rules;
mod status;
mod step;
#[cfg(test)]
mod tests;

#[cfg(any(test, feature = "alloc"))]
pub use confinement::{Confinement, Credentials, IdMaps, Landlock};
pub use decode::{DecodeError, Plan, Steps};
#[cfg(any(test, feature = "alloc"))]
pub use encode::{EncodeError, Recipe, encode};
pub use format::{
    FIRST_PASSED_FD, INSTRUCTION_BYTES, MAX_CPU_BYTES, MAX_GROUPS, MAX_HOST_NAME_BYTES,
    MAX_INSTRUCTIONS, MAX_MOUNTS, MAX_PASSED, MAX_PATHS, MAX_PLAN_BYTES, MAX_SECRET_BYTES,
    MAX_STRINGS, PLAN_FD, Resource, Rlimit, STATUS_FD,
};
pub use kind::StepKind;
pub use mounts::{Mount, MountAction, Mounts, Owner};
pub use namespaces::Namespaces;
pub use order::{ANSWER_BYTES, MAX_SENT, ORDER_BYTES, Order, SERVER_FD};
pub use reader::{Ids, StringIter, Strings};
pub use rules::{PathRule, PathRules};
pub use status::{
    FAILURE_EXIT_CODE, Failure, MAX_SUBJECT_BYTES, MESSAGE_BYTES, Message, SIGNAL_EXIT_CODE,
};
pub use step::Step;
