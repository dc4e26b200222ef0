//! What components import: one file per interface of `arje:ente`, and one for WASI.

pub(crate) mod bus;
pub(crate) mod clock;
pub(crate) mod http;
pub(crate) mod log;
pub(crate) mod supervisor;
pub(crate) mod timer;
pub(crate) mod wasi;
