//! One rule of `docs/supervision.md` per test, told as short scripts: what happens, and what is done
//! about it.

#![expect(
    clippy::expect_used,
    reason = "a test's helpers fail like the test itself"
)]

mod bench;
mod handover;
mod lives;
mod needs;
mod requests;
