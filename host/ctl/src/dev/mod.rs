//! What `ente dev` is made of: it builds components, runs a seed with them in dev mode, and deploys what changes.
//!
//! - [`sources`] knows what a component is made of, and whether that has changed;
//! - [`watch`] tells that something did;
//! - [`project`] has the folders that are built;
//! - [`plan`] has the seed, and which Ente of it runs what;
//! - [`child`] starts programs of ours and ends them, with everything that they started;
//! - [`screen`] prints a line for each event;
//! - [`session`] decides what is next, one thing at a time.

pub mod child;
pub mod plan;
pub mod project;
pub mod screen;
pub mod session;
pub mod sources;
pub mod watch;
