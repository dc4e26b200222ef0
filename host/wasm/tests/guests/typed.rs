//! Typed services: components that call each other by the types of an interface.

use crate::calls::{COMMAND, endpoint};
use crate::rig::{Rig, card, card_for, pin_of};
use arje_bus::CallError;
use arje_card::{Capability, Card};
use arje_wasm::{End, InvokeError};

const SHAPES: &str = "test:shapes/shapes@1.2.0";

pub fn provider() -> Card {
    let mut card = card("typed_provider", "service");
    card.permissions.ipc.allow = vec!["wit-v1".into()];
    card.provides = [Capability::Wit(SHAPES.parse().unwrap())].into();
    card
}

pub fn client() -> Card {
    let mut card = card("typed_client", "service");
    card.requires = [Capability::Wit(SHAPES.parse().unwrap())].into();
    card
}

#[test]
pub fn typed_provider() {
    values_cross(&Rig::new());
}

/// Wherever the two live.
pub fn values_cross(rig: &Rig) {
    let (provider, client) = (rig.serve(provider()), client());
    rig.start_ready(&client);
    assert_eq!(rig.tell(&client, "text é"), "é");
    assert_eq!(rig.tell(&client, "bytes some bytes"), "some bytes");
    assert_eq!(rig.tell(&client, "add 4294967295"), "0");
    assert_eq!(rig.tell(&client, "all"), "all the same");
    assert_eq!(rig.tell(&client, "stack"), "all the same");
    assert_eq!(rig.tell(&client, "fail oh"), "mine: oh");
    let who = rig.tell(&client, "who");
    assert!(who.starts_with("typed_client within "), "{who}");
    // The longest text that crosses (with its length, and in the answer two cases before that), the first whose answer
    // does not, and the first that does not cross itself.
    let most = arje_bus::MAX_PAYLOAD - 6;
    assert_eq!(rig.tell(&client, &format!("long {most}")), most.to_string());
    for bytes in [most + 1, most + 3] {
        let said = rig.tell(&client, &format!("long {bytes}"));
        let reason = CallError::TooLarge(arje_bus::MAX_PAYLOAD as u32);
        assert_eq!(said, format!("unavailable: {reason}"));
    }
    // It goes on with whoever provides it next, here the same component in another life.
    rig.kill(&provider).unwrap();
    assert_eq!(rig.end_of(&provider), End::Killed);
    rig.start_ready(&provider);
    assert_eq!(rig.tell(&client, "text again"), "again");
}

#[test]
pub fn typed_client() {
    what_is_not_answered_is_said(&Rig::new());
}

/// Wherever the two live.
pub fn what_is_not_answered_is_said(rig: &Rig) {
    let client = client();
    // Nobody provides it yet, which is no reason not to start: contracts see to the order.
    rig.start_ready(&client);
    let said = rig.tell(&client, "fail x");
    assert_eq!(said, "unavailable: nobody who is Ready provides it");
    let provider = rig.serve(provider());
    assert_eq!(rig.tell(&client, "text there"), "there");
    // An error case of the very name is preferred to the one for all.
    let mut hasty = self::client();
    // It waits for nine tenths of it, and has to end its own call in the last one.
    hasty.limits.call_ms = 4000;
    rig.start_ready(&hasty);
    assert_eq!(rig.tell(&hasty, "spin 4500"), "deadline");
    // It has come to an end with that, and begins the next one at once.
    while rig.tell(&client, "spin 0") == "deadline" {}
    // Its own errors stay its own; a death is told as a string where that is the error.
    assert_eq!(
        rig.tell(&client, "die"),
        "the provider ended before it answered"
    );
    assert!(matches!(rig.end_of(&provider), End::Trapped { .. }));
    // Where the function cannot say it, the caller traps.
    let call = rig.invoke(&client, COMMAND, b"text x");
    assert_eq!(call, Err(InvokeError::ProviderDied));
    let End::Trapped { message, .. } = rig.end_of(&client) else {
        panic!("no trap");
    };
    assert!(
        message.contains("test:shapes/shapes@1.2.0#text: nobody who is Ready provides it"),
        "{message}"
    );
}

#[test]
fn who_would_wait_for_itself_is_told_at_once() {
    a_circle_is_refused(&Rig::new());
}

/// Wherever the two live.
pub fn a_circle_is_refused(rig: &Rig) {
    let mut waiting = client();
    waiting.provides = [endpoint(9)].into();
    let (_provider, client) = (rig.serve(provider()), rig.serve(waiting));
    assert_eq!(rig.tell(&client, "back 8"), "Err(InvokeError::NoProvider)");
    assert_eq!(rig.tell(&client, "back 9"), "Err(InvokeError::Deadlock)");
}

#[test]
fn a_newer_compatible_version_serves_and_another_does_not() {
    versions(&Rig::new());
}

/// Wherever the two live.
pub fn versions(rig: &Rig) {
    let _provider = rig.serve(provider());
    let text = r#"(export "text" (func (param "text" string) (result string)))"#;
    let version = |version: &str| {
        let name = format!("test:shapes/shapes@{version}");
        rig.run(&imports_from(&name, text))
    };
    assert_eq!(version("1.1.0"), End::Exited(0));
    // Nobody provides these, so there is nothing to compare with.
    assert_eq!(version("1.3.0"), End::Exited(0));
    assert_eq!(version("2.0.0"), End::Exited(0));
    let other = r#"(export "text" (func (param "text" string) (result bool)))"#;
    let why = rig.run(&imports_from("test:shapes/shapes@1.1.0", other));
    let End::Refused(why) = why else {
        panic!("{why:?}");
    };
    assert!(why.contains("@1.1.0 has other types"), "{why}");
    assert_eq!(
        rig.run(&imports_from("test:shapes/shapes@2.0.0", other)),
        End::Exited(0)
    );
}

#[test]
fn a_typed_import_is_granted_by_requires_alone() {
    let rig = Rig::new();
    let mut card = client();
    card.requires.clear();
    card.permissions.ipc.allow = vec!["wit-v1".into()];
    let End::Refused(why) = rig.run(&card) else {
        panic!("it started");
    };
    assert!(
        why.contains("its requires does not list test:shapes/shapes@1.2.0"),
        "{why}"
    );
}

/// A component that imports `text` of the interface with this type.
fn imports(ty: &str) -> Card {
    imports_from(SHAPES, ty)
}

fn imports_from(name: &str, ty: &str) -> Card {
    let wat = format!(
        r#"(component
            (import "{name}" (instance {ty}))
            (core module $m (func (export "f")))
            (core instance $i (instantiate $m))
            (func $f (canon lift (core func $i "f")))
            (export "go" (func $f)))"#
    );
    let mut card = card_for(pin_of(&wat::parse_str(wat).unwrap()), "wat", "go");
    card.requires = [Capability::Wit(name.parse().unwrap())].into();
    card
}

/// A component that calls `text`, in UTF-16, and `bytes` as this WebAssembly says.
fn calls(wat: &str) -> Card {
    let wat = format!(
        r#"(component
            (import "{SHAPES}" (instance $s
                (export "text" (func (param "text" string) (result string)))
                (export "bytes" (func (param "bytes" (list u8)) (result (list u8))))))
            (core module $memory
                (memory (export "memory") 1)
                (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024)))
            (core instance $l (instantiate $memory))
            (alias core export $l "memory" (core memory $mem))
            (core func $text (canon lower (func $s "text") (memory (core memory $mem))
                (realloc (core func $l "realloc")) string-encoding=utf16))
            (core func $bytes (canon lower (func $s "bytes") (memory (core memory $mem))
                (realloc (core func $l "realloc"))))
            (core module $m
                (import "l" "memory" (memory 1))
                (import "s" "text" (func $text (param i32 i32 i32)))
                (import "s" "bytes" (func $bytes (param i32 i32 i32)))
                (data (i32.const 16) "h\00\e9\00")
                (func (export "f") {wat}))
            (core instance $i (instantiate $m (with "l" (instance $l)) (with "s" (instance
                (export "text" (func $text)) (export "bytes" (func $bytes))))))
            (func $f (canon lift (core func $i "f")))
            (export "go" (func $f)))"#
    );
    let mut card = card_for(pin_of(&wat::parse_str(wat).unwrap()), "wat", "go");
    card.requires = [Capability::Wit(SHAPES.parse().unwrap())].into();
    card
}

#[test]
fn texts_cross_between_encodings_and_who_breaks_the_abi_traps_alone() {
    let rig = Rig::new();
    let provider = rig.serve(provider());
    let same = "(call $text (i32.const 16) (i32.const 2) (i32.const 64))
        (if (i32.ne (i32.load (i32.const 68)) (i32.const 2)) (then unreachable))
        (if (i32.ne (i32.load (i32.load (i32.const 64))) (i32.const 0xe90068)) (then unreachable))";
    assert_eq!(rig.run(&calls(same)), End::Exited(0));
    let broken = [
        "(call $bytes (i32.const 65000) (i32.const 537) (i32.const 64))",
        "(call $bytes (i32.const -1) (i32.const -1) (i32.const 64))",
        "(call $bytes (i32.const 0) (i32.const 1) (i32.const 65532))", // no room for the answer
        "(call $bytes (i32.const 0) (i32.const 1) (i32.const 65))",    // nor aligned
        "(call $bytes (i32.const 0) (i32.const 65000) (i32.const 64))", // nor for what is in it
        "(call $text (i32.const 17) (i32.const 1) (i32.const 64))",
        "(call $text (i32.const 65534) (i32.const 2) (i32.const 64))",
        "(i32.store (i32.const 16) (i32.const 0xdc00)) (call $text (i32.const 16) (i32.const 1) (i32.const 64))",
    ];
    for wat in broken {
        let end = rig.run(&calls(wat));
        assert!(matches!(end, End::Trapped { .. }), "{wat}: {end:?}");
    }
    let within = "(call $bytes (i32.const 65000) (i32.const 536) (i32.const 64))";
    assert_eq!(rig.run(&calls(within)), End::Exited(0));
    rig.kill(&provider).unwrap();
    assert_eq!(rig.end_of(&provider), End::Killed); // it lived until now
}

#[test]
fn what_means_something_else_or_cannot_cross_is_refused_with_both_types() {
    refusals(&Rig::new());
}

/// Wherever the two live.
pub fn refusals(rig: &Rig) {
    let _provider = rig.serve(provider());
    let refused = |ty: &str| match rig.run(&imports(ty)) {
        End::Refused(why) => why,
        end => panic!("{ty}: {end:?}"),
    };
    let right = r#"(export "text" (func (param "text" string) (result string)))"#;
    assert_eq!(rig.run(&imports(right)), End::Exited(0));
    let other = r#"(export "text" (func (param "text" string) (result (list u8))))"#;
    assert_eq!(
        refused(other),
        "test:shapes/shapes@1.2.0 has other types on the two sides: imported `text: func(text: string) -> \
         list<u8>`, provided `text: func(text: string) -> string`; build both from the same WIT"
    );
    let renamed = r#"(export "text" (func (param "words" string) (result string)))"#;
    assert!(refused(renamed).contains("func(words: string) -> string`, provided"));
    let more = r#"(export "shout" (func (param "text" string)))"#;
    let why = refused(more);
    assert!(
        why.contains("`shout: func(text: string)`, which the provider does not have"),
        "{why}"
    );
    let resource = r#"(export "thing" (type (sub resource)))"#;
    let why = refused(resource);
    assert!(
        why.contains("test:shapes/shapes@1.2.0 has the resource thing"),
        "{why}"
    );
}
