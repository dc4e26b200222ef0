//! Cards: read, held to the rules, judged, written, read again.

use crate::seed;
use crate::within;
use arje_card::{Document, Format, Reading};
use arje_native::cgroup::Support;
use std::fs;
use std::path::Path;

/// Memory for a text of this length. A Card is a hundred times its shortest text (`[{}]` as `genesis`), and what is wrong
/// with it is said in at most so many messages, each of which may show a part of it.
const fn memory(text: usize) -> usize {
    (1 << 20) + 1024 * text
}

/// A Card as JSON: as a file, and as RunCard brings it.
pub fn json(input: &[u8]) {
    within(memory(input.len()), || {
        check(input, Format::Json);
        if let Ok(text) = std::str::from_utf8(input) {
            run(text);
        }
    });
}

/// A Card as TOML.
pub fn toml(input: &[u8]) {
    within(memory(input.len()), || check(input, Format::Toml));
}

/// What PID 1 does with a Card from the bus before anybody is asked whether its sender may.
fn run(text: &str) {
    match seed::parse(
        text,
        Path::new("RunCard"),
        &Support::none("no cgroups here"),
    ) {
        Ok((card, _)) => assert!(card.walk().count() > 0),
        Err(problems) => assert!(!problems.0.is_empty()),
    }
}

fn check(input: &[u8], format: Format) {
    // What tools do with an unfinished Card.
    if let Ok(reading) = Reading::parse(input, format) {
        let _ = (reading.report().to_string(), reading.document.warnings());
    }
    match Document::parse(input, format) {
        Err(report) => assert!(!report.to_string().is_empty()),
        Ok(document) => again(&document),
    }
}

/// A Card that is accepted means the same when it is written and read again.
fn again(document: &Document) {
    // TOML has no null, which an extension in JSON may bring along.
    let Ok(text) = document.to_text() else {
        assert_eq!(document.format, Format::Toml);
        return;
    };
    match Document::parse(text.as_bytes(), document.format) {
        Ok(read) => assert_eq!(&read, document, "{text}"),
        Err(report) => panic!("accepted, and refused when written again: {report}\n{text}"),
    }
}

/// The valid Cards of the corpus in JSON, in TOML.
pub fn in_toml() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .join(super::VALID);
    let Ok(files) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut files: Vec<_> = files.filter_map(|file| Some(file.ok()?.path())).collect();
    files.sort();
    let texts = files.iter().filter_map(|file| {
        let text = fs::read(file).ok()?;
        let mut document = Document::parse(&text, Format::of(file)).ok()?;
        document.format = Format::Toml;
        Some(document.to_text().ok()?.into_bytes())
    });
    texts.collect()
}
