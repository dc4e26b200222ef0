//! Components, before anything compiles them.

use arje_card::grants::audit;
use arje_card::{Card, Id, Payload, Supervision, WasmPayload};
use arje_verify::component::Component;
use arje_verify::entry::{self, has_health, offered};

/// Memory for a component of this length: types of types, which the validator bounds, and a fixed number of tables.
const fn memory(wasm: usize) -> usize {
    (4 << 20) + 2048 * wasm
}

/// What `ente verify` and the builder do with a file that a Card pins.
pub fn check(input: &[u8]) {
    crate::within(memory(input.len()), || match Component::read(input) {
        Err(error) => assert!(!error.to_string().is_empty()),
        Ok(component) => look_into(&component),
    });
}

fn look_into(component: &Component) {
    for entry in offered(component) {
        assert_eq!(entry::check(component, &entry), Ok(()));
    }
    let _ = has_health(component);
    let id = Id::from_bytes([1; 16]);
    let payload = Payload::Wasm(WasmPayload::default());
    let card = Card::new(id, "fuzz", payload, Supervision::OneShot);
    let names = component.imports.iter().map(String::as_str);
    if let Err(surplus) = audit(&card, names) {
        assert!(!arje_card::grants::summary(&surplus).is_empty());
    }
}
