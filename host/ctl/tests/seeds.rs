//! The seeds of this tree: valid, enforceable, and as their generator prints them.

#![expect(clippy::unwrap_used, reason = "tests say what they expect")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use arje_card::{Card, Document, Format, Payload, Pin};
use arje_verify::verify;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../seeds")
}

fn seeds() -> Vec<PathBuf> {
    let files = std::fs::read_dir(folder()).unwrap();
    let mut seeds: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    seeds.retain(|path| {
        path.extension()
            .is_some_and(|extension| extension == "json")
    });
    seeds
}

fn generated() -> Card {
    let script = folder().join("generate-wasm.sh");
    let printed = Command::new("sh").arg(script).output().unwrap();
    assert!(printed.status.success(), "{printed:?}");
    let document = Document::parse(&printed.stdout, Format::Json).unwrap();
    document.card
}

/// Sets all pins to one: they differ from compiler to compiler.
fn unpin(card: &mut Card) {
    if let Payload::Wasm(wasm) = &mut card.payload {
        wasm.module_sha256 = Pin([0x11; 32]);
    }
    card.genesis.iter_mut().for_each(unpin);
}

#[test]
fn seeds_are_valid_and_can_be_enforced() {
    assert!(seeds().len() >= 3);
    for seed in seeds() {
        let findings = verify(&seed, None).unwrap();
        assert_eq!(findings.problems, [], "{}", seed.display());
        assert_eq!(findings.warnings, [], "{}", seed.display());
        let card = Card::load(&seed).unwrap();
        assert!(card.is_seed());
        for visit in card.walk() {
            let refused = arje_native::enforceable(visit.card);
            assert_eq!(refused, Ok(()), "{}", visit.card.label);
            let is_wasm = matches!(visit.card.payload, Payload::Wasm(_));
            let module = visit.card.extensions.get("module");
            assert_eq!(is_wasm, module.is_some(), "{}", visit.card.label);
        }
    }
}

#[test]
fn the_generated_seed_is_what_its_generator_prints() {
    let mut committed = Card::load(folder().join("arje-wasm.card.json")).unwrap();
    unpin(&mut committed);
    assert!(
        committed == generated(),
        "run the command in seeds/generate-wasm.sh"
    );
}

#[test]
fn the_generated_seed_has_components_of_every_kind() {
    let seed = generated();
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    for visit in seed.walk() {
        if let Some(module) = visit.card.extensions.get("module") {
            *kinds.entry(module.to_string()).or_default() += 1;
        }
    }
    assert_eq!(kinds.values().sum::<usize>(), 120);
    assert_eq!(kinds.len(), 4, "{kinds:?}");
}
