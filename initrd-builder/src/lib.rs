//! Reproducible initramfs images from a Seed Card: the same inputs give the same bytes, in any folder, as
//! any user. No `cpio`, `ldd` or `depmod` is run, and no root is needed.
//!
//! [`build`] does it all; the parts are public because others use them: tests of the virtual machine the
//! [`tree`] and [`cpio`] writer. What is wrong with Cards, whatever the image, is `arje-verify`'s.

mod artifacts;
mod build;
pub mod busybox;
pub mod cli;
pub mod closure;
pub mod compress;
pub mod cpio;
pub mod elf;
mod error;
pub mod kmod;
mod lacks;
mod ldconf;
mod modcard;
mod options;
mod report;
pub mod seed;
mod skeleton;
pub mod tree;

pub use build::{Assembled, assemble, build};
pub use error::Error;
pub use options::{Options, Program};
pub use report::Summary;
