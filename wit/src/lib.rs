#![doc = include_str!("../README.md")]

mod api;
mod compare;
mod text;

pub use api::{Api, Entry, Kind, Package};
pub use compare::{Broken, compare};
pub use wit_parser::Resolve;
