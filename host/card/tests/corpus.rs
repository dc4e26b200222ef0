//! A corpus of Cards, one per case. Valid ones are read, written back and read again; for each invalid
//! one the whole report is compared with the `.err` file beside it. `UPDATE_GOLDEN=1` rewrites those.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use arje_card::{Document, LoadError, Rule};

fn cards(kind: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/corpus")
        .join(kind);
    let is_card = |file: &PathBuf| {
        file.extension()
            .is_some_and(|extension| extension == "json" || extension == "toml")
    };
    let files = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = files.filter(is_card).collect();
    files.sort();
    files
}

#[test]
fn there_are_enough_cases() {
    assert!(cards("valid").len() >= 25, "{}", cards("valid").len());
    assert!(cards("invalid").len() >= 40, "{}", cards("invalid").len());
}

#[test]
fn valid_cards_survive_a_round_trip() {
    for file in cards("valid") {
        let document = Document::load(&file).unwrap_or_else(|error| panic!("{error}"));
        let text = document
            .to_text()
            .unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let again = Document::parse(text.as_bytes(), document.format)
            .unwrap_or_else(|report| panic!("{}: written back: {report}\n{text}", file.display()));
        assert_eq!(again, document, "{}", file.display());
        assert_eq!(again.to_text().unwrap(), text, "{}", file.display());
    }
}

#[test]
fn invalid_cards_list_everything_that_is_wrong() {
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut different = Vec::new();
    for file in cards("invalid") {
        let report = match Document::load(&file) {
            Err(LoadError::Invalid { report, .. }) => format!("{report}\n"),
            other => panic!("{}: {other:?}", file.display()),
        };
        let golden = file.with_extension("err");
        if update {
            fs::write(&golden, report).unwrap();
        } else if fs::read_to_string(&golden).unwrap_or_default() != report {
            different.push(format!("{}:\n{report}", file.display()));
        }
    }
    assert!(
        different.is_empty(),
        "UPDATE_GOLDEN=1 rewrites:\n{}",
        different.join("\n")
    );
}

/// Rules that no file can break: they need a file too large to keep here, a Card built by a
/// program, or a machine.
const NOT_IN_FILES: [Rule; 5] = [
    Rule::TooLarge,
    Rule::TooManyValues,
    Rule::CardCount,
    Rule::ExtensionName,
    Rule::Unenforceable,
];

#[test]
fn every_rule_has_a_case() {
    let seen: BTreeSet<Rule> = cards("invalid")
        .iter()
        .filter_map(|file| match Document::load(file) {
            Err(LoadError::Invalid { report, .. }) => Some(report),
            _ => None,
        })
        .flat_map(|report| {
            report
                .violations()
                .iter()
                .map(|v| v.rule)
                .collect::<Vec<_>>()
        })
        .collect();
    let missing: Vec<&Rule> = Rule::ALL
        .iter()
        .filter(|rule| !seen.contains(rule) && !NOT_IN_FILES.contains(rule))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
    let codes: BTreeSet<&str> = Rule::ALL.iter().map(|rule| rule.code()).collect();
    assert_eq!(codes.len(), Rule::ALL.len());
}
