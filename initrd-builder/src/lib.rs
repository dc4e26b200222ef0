//! Reproducible initramfs images from a Seed Card: the same inputs give the same bytes, in any folder, as
//! any user.

pub mod closure;
pub mod compress;
pub mod cpio;
pub mod elf;
mod error;
pub mod kmod;
mod ldconf;
pub mod tree;

pub use error::Error;
