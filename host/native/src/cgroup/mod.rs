//! Cgroups of native Entes (cgroup v2; the kernel's `Documentation/admin-guide/cgroup-v2.rst`).
//!
//! A [`CgroupTree`] is the host's own subtree; below it every native Ente has one [`Leaf`], into which its processes
//! are born and which holds all that they start. So an Ente can be killed as a whole, its end can be told from the
//! end of its first process, its resources can be limited and counted, and a process can be asked whose it is.
//!
//! Nothing here waits. What is where, and what happens to leftovers, is written down in `docs/cgroups.md`.

mod error;
mod file;
mod identity;
mod kill;
mod leaf;
mod place;
mod settings;
mod tree;
mod usage;

pub use error::CgroupError;
pub use leaf::{Leaf, LeafState};
pub use place::{Place, check_places};
pub use settings::{Support, check_settings};
pub use tree::{CgroupTree, Controllers};
pub use usage::Usage;
