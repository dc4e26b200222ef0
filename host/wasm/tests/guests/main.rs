//! The guests, one test per case, under the case's name: what a component does that behaves, fails,
//! asks for too much, or attacks. `foreach_case!` fails the build when a guest has no test here.
//! host/worker runs the same tests with each component in a process of its own.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may panic; helpers outside of test functions, too"
)]

mod calls;
mod cases;
mod commands;
mod deploy;
mod http;
mod place;
mod rig;
mod tend;
mod typed;
mod waiting;
