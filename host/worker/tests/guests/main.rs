//! The tests of the guests once more, each component in a worker process: the same cases, the same
//! words. What is particular to workers is in `worker.rs`.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may panic; helpers outside of test functions, too"
)]

#[path = "../../../wasm/tests/guests/calls.rs"]
mod calls;
#[path = "../../../wasm/tests/guests/cases.rs"]
mod cases;
#[path = "../../../wasm/tests/guests/commands.rs"]
mod commands;
mod deploy;
#[path = "../../../wasm/tests/guests/http.rs"]
mod http;
mod mixed;
mod place;
#[path = "../../../wasm/tests/guests/rig.rs"]
mod rig;
#[path = "../../../wasm/tests/guests/tend.rs"]
mod tend;
#[path = "../../../wasm/tests/guests/typed.rs"]
mod typed;
mod typed_worker;
#[path = "../../../wasm/tests/guests/waiting.rs"]
mod waiting;
mod worker;
