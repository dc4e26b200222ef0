//! Reading Cards. A text becomes a [`node::Node`] tree, the tree becomes a [`crate::Card`], and every
//! place where the shape is wrong is reported, not only the first.
//!
//! Below a Card, an unknown key is an error: a misspelled permission must never pass for an absent one.
//! In a Card itself it is kept in `extensions`.

pub(crate) mod decode;
mod host;
mod leaf;
pub(crate) mod node;
mod parts;
mod serde_impl;
pub(crate) mod text;
