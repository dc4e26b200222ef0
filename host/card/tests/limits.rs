//! Hostile sizes: long, deep and broken files end in one report, and never in a panic or a full stack.
use std::fs;

use arje_card::{
    Card, Document, Format, Id, LoadError, MAX_BYTES, MAX_CARDS, MAX_VIOLATIONS, Payload, Report,
    Rule, Supervision,
};

fn id(number: usize) -> Id {
    Id::from_parts(number as u64 + 1, [7; 10])
}

fn card(number: usize, label: &str) -> Card {
    Card::new(id(number), label, Payload::Virtual, Supervision::OneShot)
}

fn rules(report: &Report) -> Vec<Rule> {
    report
        .violations()
        .iter()
        .map(|violation| violation.rule)
        .collect()
}

#[test]
fn the_size_of_a_file_is_checked_before_it_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("large.card.json");
    let text = card(0, "x").to_json().unwrap();
    let padded = |size: usize| text.clone() + &" ".repeat(size - text.len());
    fs::write(&file, padded(MAX_BYTES)).unwrap();
    assert_eq!(Card::load(&file).unwrap(), card(0, "x"));
    fs::write(&file, padded(MAX_BYTES + 1)).unwrap();
    let error = Card::load(&file).unwrap_err();
    assert!(matches!(error, LoadError::TooLarge { bytes, .. } if bytes == MAX_BYTES as u64 + 1));
    assert!(
        error
            .to_string()
            .contains("large.card.json: found 4194305 bytes"),
        "{error}"
    );
    // A file of a tebibyte without contents: reading it first would take long.
    fs::File::create(&file).unwrap().set_len(1 << 40).unwrap();
    assert!(matches!(Card::load(&file), Err(LoadError::TooLarge { .. })));
    // Its size is not known before it is read.
    assert!(matches!(
        Card::load("/dev/zero"),
        Err(LoadError::TooLarge { .. })
    ));
}

#[test]
fn a_text_is_measured_too() {
    let report = Card::from_json(&vec![b' '; MAX_BYTES + 1]).unwrap_err();
    assert_eq!(rules(&report), [Rule::TooLarge]);
}

#[test]
fn a_missing_file_is_named() {
    let error = Card::load("/nowhere/x.card.json").unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("/nowhere/x.card.json: cannot be read: "),
        "{error}"
    );
}

#[test]
fn the_extension_says_the_language() {
    let folder = tempfile::tempdir().unwrap();
    let toml = Document {
        card: card(0, "x"),
        format: Format::Toml,
        wrapped: true,
    };
    let file = folder.path().join("x.TOML");
    fs::write(&file, toml.to_text().unwrap()).unwrap();
    assert_eq!(Document::load(&file).unwrap(), toml);
    let misnamed = folder.path().join("x.card");
    fs::copy(&file, &misnamed).unwrap();
    assert!(matches!(
        Card::load(misnamed),
        Err(LoadError::Invalid { .. })
    ));
}

#[test]
fn deep_texts_do_not_fill_the_stack() {
    let deep = 500_000;
    let texts = [
        ("[".repeat(deep), Format::Json),
        ("{\"genesis\":[".repeat(deep / 6), Format::Json),
        (format!("a = {}", "[".repeat(deep)), Format::Toml),
        (format!("a = {}", "{a=".repeat(deep / 2)), Format::Toml),
        (format!("{}a = 1", "a.".repeat(deep)), Format::Toml),
        (format!("[{}a]", "a.".repeat(deep)), Format::Toml),
        (
            format!("a = {{ {}a = 1 }}", "a.".repeat(deep)),
            Format::Toml,
        ),
    ];
    for (text, format) in texts {
        let report = Document::parse(text.as_bytes(), format).unwrap_err();
        assert_eq!(rules(&report), [Rule::Syntax], "{}", &text[..12]);
    }
}

#[test]
fn cards_are_counted_in_depth_as_far_as_texts_go() {
    // Two levels of JSON for each Card, and serde_json stops at 128.
    let mut root = card(63, "63");
    for number in (0..63).rev() {
        root = Card {
            genesis: vec![root],
            ..card(number, &number.to_string())
        };
    }
    let text = serde_json::to_string(&root).unwrap();
    assert_eq!(
        rules(&Card::from_json(text.as_bytes()).unwrap_err()),
        [Rule::Depth]
    );
}

#[test]
fn too_many_values_are_refused() {
    let report = Card::from_json(format!("[{}0]", "0,".repeat(1 << 20)).as_bytes()).unwrap_err();
    assert_eq!(rules(&report), [Rule::TooManyValues]);
}

#[test]
fn a_report_has_an_end() {
    let text = format!("{{\"genesis\":[{}0]}}", "0,".repeat(9_999));
    let report = Card::from_json(text.as_bytes()).unwrap_err();
    assert_eq!(report.violations().len(), MAX_VIOLATIONS);
    // Each 0 is no Card; the root lacks five keys.
    assert_eq!(report.violations().len() + report.omitted(), 10_005);
    assert!(
        report
            .to_string()
            .ends_with("\n  and 9005 more, not listed")
    );
}

#[test]
fn the_number_of_cards_is_capped() {
    let mut root = card(0, "root");
    root.genesis = (1..MAX_CARDS)
        .map(|number| card(number, &number.to_string()))
        .collect();
    root.validate().unwrap();
    root.genesis.push(card(MAX_CARDS, "more"));
    root.genesis.push(card(MAX_CARDS + 1, "and more"));
    let report = root.validate().unwrap_err();
    assert_eq!(rules(&report), [Rule::CardCount]);
    assert_eq!(
        report.violations()[0].path,
        format!("$.genesis[{}]", MAX_CARDS - 1)
    );
}

#[test]
fn an_extension_cannot_pass_for_a_field() {
    let mut card = card(0, "x");
    card.extensions.insert("permissions".to_owned(), 1.into());
    assert_eq!(rules(&card.validate().unwrap_err()), [Rule::ExtensionName]);
}
