//! What the verbs of `ente` are made of: reading components, checking Cards against them, writing files, and showing
//! what a running system says.
//!
//! The words (arguments, what is printed, exit codes) are the program's, in `src/verb/`, one file for
//! each verb. The rules of a Card are `arje-card`'s, resolving names to pins is `initrd-builder`'s, and
//! the store is `arje-store`'s, the way to a running system is `arje-bus`'s; nothing here runs a component.

pub mod component;
pub mod draft;
pub mod entry;
pub mod file;
pub mod json;
pub mod modules;
pub mod table;
pub mod verify;
pub mod wait;
pub mod words;
