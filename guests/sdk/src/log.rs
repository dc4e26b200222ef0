//! Log lines: `arje:ente/log`.

use crate::{Level, host};
use alloc::string::String;

/// Writes one line; [`info!`](crate::info!) and its siblings are the comfortable way.
///
/// The host cuts what is too long: a message after 16 KiB, a field's name or value after 1 KiB,
/// the list after 32 fields.
pub fn log(level: Level, message: &str, fields: &[(String, String)]) {
    host::log(level, message, fields);
}
