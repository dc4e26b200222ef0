//! What the verbs of `ente` are made of: drafting Cards, the folder of a new service, a
//! session of `ente dev`, writing files, and showing what a running system says.
//!
//! The words (arguments, what is printed, exit codes) are the program's, in `src/verb/`, one file for
//! each verb. What can be said about Cards and their components is `arje-verify`'s, the way to a
//! running system is `arje-bus`'s; nothing here runs a component.

pub mod capability;
pub mod dev;
pub mod draft;
pub mod file;
pub mod json;
pub mod place;
pub mod service;
pub mod table;
pub mod wait;
pub mod words;
