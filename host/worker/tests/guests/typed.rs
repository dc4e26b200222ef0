//! Typed services: this version runs their components in PID 1 only, and says so when the seed is loaded.

use crate::rig::card;
use arje_card::{Capability, Card, unsupported};

fn refused(card: &mut Card) {
    card.soma.namespaces.net = true;
    let why = unsupported(card).concat();
    assert!(
        why.starts_with("soma: this version does not connect"),
        "{why}"
    );
}

#[test]
pub fn typed_provider() {
    let mut card = card("typed_provider", "service");
    card.provides = [Capability::Wit("test:shapes/shapes@1.2.0".parse().unwrap())].into();
    refused(&mut card);
}

#[test]
pub fn typed_client() {
    let mut card = card("typed_client", "service");
    card.requires = [Capability::Wit("test:shapes/shapes@1.2.0".parse().unwrap())].into();
    refused(&mut card);
}
