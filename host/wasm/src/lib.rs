//! Components as actors: the Wasm half of arje.
//!
//! A [`Host`] owns one wasmtime engine without a compiler, a small pool of worker threads, and one
//! actor per living Wasm Ente. The core loop asks it to [`start`](Host::start),
//! [`stop`](Host::stop) and [`kill`](Host::kill) Entes and reads [`Event`]s; none of these calls
//! waits for a component.
//!
//! What a component can reach is decided before it runs: its imports are compared with its Card
//! (`arje_card::grants`), and only interfaces in that table are ever linked, each in a file of its
//! own under `iface`. What it can use up is bounded: memory by a ledger over all
//! its memories and tables, time by deadlines and by lanes that keep a spinning
//! component away from the others, log lines by permits.
//!
//! A component whose Card asks for a body runs in a process of its own (`ente-worker`), which has a
//! host for just that one. Here is PID 1's end of it (`remote`) and what the two ends say
//! to each other ([`wire`]).
//!
//! Components call each other and are called (`calls`): by capability with bytes, or by the types of an interface that
//! one exports and the other imports.
//!
//! Not here: when an Ente starts again (arje-supervisor), what its module is (arje-store),
//! processes (arje-native).

mod actor;
mod body;
mod calls;
mod capability;
mod control;
mod ctx;
mod event;
mod exports;
#[doc(hidden)]
pub mod fuzzing;
mod host;
mod idle;
mod iface;
mod lane;
mod ledger;
mod linker;
mod loader;
mod output;
mod remote;
mod sealed;
mod succession;
mod tend;
mod ticker;
mod trap;
mod vigil;
pub mod wire;

pub use calls::delivery::Delivery;
pub use calls::{Call, Share};
pub use control::StopReason;
pub use event::{Ask, End, EnteInfo, Event, EventKind, InvokeReply, NoAnswer};
pub use host::{Host, HostConfig, InvokeError, NotRunning, StartRequest};
pub use iface::log::Level;
pub use linker::linked_interfaces;
pub use loader::LoadError;
pub use output::{Line, LineSink, printable};
pub use sealed::SealedModule;
pub use tend::{EnteStatus, MAX_CARD, Tended, Wish};
