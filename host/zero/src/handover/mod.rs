//! What one image of `ente-zero` leaves to the next one: see `docs/handover.md`.
//!
//! The state travels in a sealed memfd (`parcel.rs`), the descriptors that it names stay open across
//! execve(2) (`keep.rs`), and before anything is stopped the next image is looked at (`image.rs`).

mod image;
mod keep;
mod parcel;

pub use image::Next;
pub use keep::{Keep, Kept};
pub use parcel::{
    BroughtRecord, ExecRecord, Inventory, ListenRecord, NativeRecord, Parcel, PipeRecord,
};
