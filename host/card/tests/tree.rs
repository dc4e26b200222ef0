//! Walking over a tree, appending a fragment, keeping and warning about unknown keys.
use arje_card::{Card, Document, Format, Id, Payload, Supervision, append_fragment};

fn card(label: &str, genesis: Vec<Card>) -> Card {
    // The label's bytes make ids that differ as the labels do.
    let mut bytes = [1; 16];
    bytes[..label.len()].copy_from_slice(label.as_bytes());
    let id = Id::from_bytes(bytes);
    Card {
        genesis,
        ..Card::new(id, label, Payload::Virtual, Supervision::OneShot)
    }
}

fn labels(card: &Card) -> Vec<String> {
    card.walk()
        .map(|visit| format!("{} {} {}", visit.depth, visit.path, visit.card.label))
        .collect()
}

#[test]
fn parents_come_before_children() {
    let seed = card(
        "seed",
        vec![card("a", vec![card("b", vec![])]), card("c", vec![])],
    );
    let expected = [
        "1 $ seed",
        "2 $.genesis[0] a",
        "3 $.genesis[0].genesis[0] b",
        "2 $.genesis[1] c",
    ];
    assert_eq!(labels(&seed), expected);
    assert_eq!(seed.children().len(), 2);
    assert!(seed.is_seed() && !seed.genesis[1].is_seed());
}

#[test]
fn a_fragment_adds_only_what_is_new() {
    let mut base = card("seed", vec![card("a", vec![card("b", vec![])])]);
    let fragment = card(
        "session",
        vec![
            card("b", vec![card("lost", vec![])]),
            card("c", vec![card("a", vec![]), card("d", vec![])]),
            card("c", vec![]),
            card("seed", vec![]),
        ],
    );
    assert_eq!(
        append_fragment(&mut base, fragment),
        ["b", "a", "c", "seed"]
    );
    let expected = [
        "1 $ seed",
        "2 $.genesis[0] a",
        "3 $.genesis[0].genesis[0] b",
        "2 $.genesis[1] c",
        "3 $.genesis[1].genesis[0] d",
    ];
    assert_eq!(labels(&base), expected);
    base.validate().unwrap();
}

#[test]
fn unknown_keys_keep_their_order_and_are_warned_about() {
    let text = |format| {
        let mut seed = card("seed", vec![card("a", vec![])]);
        let unknown = [("zeta", 1), ("lable", 2), ("$schema", 3), ("alpha", 4)];
        seed.genesis[0].extensions = unknown
            .map(|(key, value)| (key.to_owned(), value.into()))
            .into_iter()
            .collect();
        Document {
            card: seed,
            format,
            wrapped: true,
        }
        .to_text()
        .unwrap()
    };
    for format in [Format::Json, Format::Toml] {
        let document = Document::parse(text(format).as_bytes(), format).unwrap();
        let keys: Vec<&String> = document.card.genesis[0].extensions.keys().collect();
        assert_eq!(keys, ["zeta", "lable", "$schema", "alpha"], "{format:?}");
        let warnings: Vec<String> = document
            .warnings()
            .iter()
            .map(ToString::to_string)
            .collect();
        let expected = [
            "$.seed.genesis[0].zeta (Card \"a\"): unknown key \"zeta\", kept and without effect",
            "$.seed.genesis[0].lable (Card \"a\"): unknown key \"lable\", kept and without effect; \
             did you mean \"label\"?",
            "$.seed.genesis[0].alpha (Card \"a\"): unknown key \"alpha\", kept and without effect",
        ];
        assert_eq!(warnings, expected, "{format:?}");
    }
}

#[test]
fn pins_and_environments_are_written_in_one_form() {
    let text = r#"{
        "schema_version": 1, "id": "01arz3ndektsv4rrffq69g5fav", "label": "x", "supervision": "OneShot",
        "payload": {"Wasm": {"entry": "run", "envp": {"B": "1", "A": "2"}, "module_sha256":
            [1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,255]}}
    }"#;
    let written = serde_json::to_value(Card::from_json(text.as_bytes()).unwrap()).unwrap();
    let wasm = &written["payload"]["Wasm"];
    assert_eq!(written["id"], "01ARZ3NDEKTSV4RRFFQ69G5FAV");
    assert_eq!(wasm["module_sha256"], "01".repeat(31) + "ff");
    assert_eq!(wasm["envp"].to_string(), r#"[["B","1"],["A","2"]]"#);
    assert_eq!(
        written.as_object().unwrap().len(),
        5,
        "defaults are left out: {written}"
    );
}
