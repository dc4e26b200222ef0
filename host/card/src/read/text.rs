//! From bytes to a Card: JSON and TOML texts, files, and the `{"seed": …}` wrapper.

use serde::de::DeserializeSeed;

use super::decode::{Decode, Decoder, Taints};
use super::node::{Node, NodeSeed, Notes};
use crate::Card;
use crate::document::{Format, MAX_BYTES};
use crate::path::Path;
use crate::report::{Finding, Report};
use crate::rule::Rule;

/// The key of the wrapper.
pub(crate) const WRAPPER: &str = "seed";

/// A Card as read, with everything its shape got wrong.
pub(crate) struct Shape {
    pub(crate) card: Card,
    pub(crate) wrapped: bool,
    pub(crate) report: Report,
    pub(crate) taints: Taints,
}

/// Reads a text. An error means there is no tree at all; otherwise the report may still be full.
pub(crate) fn read(bytes: &[u8], format: Format) -> Result<Shape, Report> {
    if bytes.len() > MAX_BYTES {
        return Err(alone(
            &Path::ROOT.to_string(),
            too_large(bytes.len() as u64),
        ));
    }
    let notes = Notes::default();
    let node = match format {
        Format::Json => read_json(bytes, &notes),
        Format::Toml => read_toml(bytes, &notes),
    };
    match node {
        Ok(node) => Ok(shape(&node, notes)),
        Err(finding) => {
            let (_, at) = notes.into_parts();
            Err(alone(at.as_deref().unwrap_or("$"), finding))
        }
    }
}

/// What to say of a file of this many bytes.
pub(crate) fn too_large(bytes: u64) -> Finding {
    Finding::new(
        Rule::TooLarge,
        format!("{bytes} bytes"),
        format!("at most {MAX_BYTES} bytes"),
        "move part of the genesis into another Card",
    )
}

/// Decodes a tree.
pub(crate) fn shape(root: &Node, notes: Notes) -> Shape {
    let mut cx = Decoder {
        report: notes.into_parts().0,
        taints: Taints::default(),
    };
    // A Card has no key `seed`, a wrapper no key `payload`.
    let inner = root.get(WRAPPER).filter(|_| root.get("payload").is_none());
    let at = Path::ROOT.key(WRAPPER);
    let place = if inner.is_some() { &at } else { &Path::ROOT };
    if let (Node::Object(entries), true) = (root, inner.is_some()) {
        refuse_beside_wrapper(entries, &mut cx);
    }
    let card = Card::decode(inner.unwrap_or(root), place, &mut cx);
    // A Card always decodes to a Card.
    let card = card.unwrap_or_else(|| {
        Card::new(
            Default::default(),
            "",
            Default::default(),
            Default::default(),
        )
    });
    let Decoder { mut report, taints } = cx;
    report.name_cards(|path| label_at(root, path));
    Shape {
        card,
        wrapped: inner.is_some(),
        report,
        taints,
    }
}

fn refuse_beside_wrapper(entries: &[(String, Node)], cx: &mut Decoder) {
    for (key, _) in entries.iter().filter(|(key, _)| key != WRAPPER) {
        let finding = Finding::new(
            Rule::UnknownKey,
            format!("the key {key:?} beside {WRAPPER:?}"),
            format!("{WRAPPER:?} alone"),
            "move it into the Card",
        );
        cx.add(&Path::ROOT.key(key), finding);
    }
}

/// The label of the innermost Card a path lies in.
fn label_at(root: &Node, path: &str) -> Option<String> {
    let mut rest = path.strip_prefix('$')?;
    let mut card = root;
    let seed = format!(".{WRAPPER}");
    if let Some((inside, inner)) = rest.strip_prefix(&seed).zip(root.get(WRAPPER)) {
        (rest, card) = (inside, inner);
    }
    while let Some((index, after)) = rest
        .strip_prefix(".genesis[")
        .and_then(|rest| rest.split_once(']'))
    {
        let Some(Node::List(cards)) = card.get("genesis") else {
            break;
        };
        let Some(child) = index.parse().ok().and_then(|index: usize| cards.get(index)) else {
            break;
        };
        (rest, card) = (after, child);
    }
    match card.get("label") {
        Some(Node::Text(label)) if !label.is_empty() => Some(crate::report::shortened(label)),
        _ => None,
    }
}

fn alone(path: &str, finding: Finding) -> Report {
    let mut report = Report::default();
    let mut violation = finding.at(&Path::ROOT, None);
    violation.path = path.to_owned();
    report.push(violation);
    report
}

fn read_json(bytes: &[u8], notes: &Notes) -> Result<Node, Finding> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let seed = NodeSeed {
        at: &Path::ROOT,
        notes,
    };
    let node = seed.deserialize(&mut deserializer);
    node.and_then(|node| deserializer.end().map(|()| node))
        .map_err(|error| {
            // serde_json repeats the place at the end of its message.
            let text = error.to_string();
            let why = text
                .rsplit_once(" at line ")
                .map_or(text.as_str(), |(why, _)| why);
            syntax("JSON", why, error.line(), error.column())
        })
}

fn read_toml(bytes: &[u8], notes: &Notes) -> Result<Node, Finding> {
    let text = str::from_utf8(bytes).map_err(|error| {
        let (line, column) = place_of(bytes, error.valid_up_to());
        syntax("TOML", "not UTF-8", line, column)
    })?;
    let seed = NodeSeed {
        at: &Path::ROOT,
        notes,
    };
    toml::Deserializer::parse(text)
        .and_then(|deserializer| seed.deserialize(deserializer))
        .map_err(|error| {
            let start = error.span().map_or(0, |span| span.start);
            let (line, column) = place_of(bytes, start);
            syntax("TOML", error.message(), line, column)
        })
}

/// Line and column of a byte, both from 1; the column counts bytes, as serde_json does.
fn place_of(bytes: &[u8], offset: usize) -> (usize, usize) {
    let before = bytes.get(..offset).unwrap_or(bytes);
    let line_start = before
        .iter()
        .rposition(|b| *b == b'\n')
        .map_or(0, |newline| newline + 1);
    (
        before.iter().filter(|b| **b == b'\n').count() + 1,
        before.len() - line_start + 1,
    )
}

fn syntax(language: &str, why: &str, line: usize, column: usize) -> Finding {
    let why = why.trim().replace('\n', ", ");
    let why = crate::report::shortened(&why);
    // At the very beginning of a line there is no byte that has been read.
    let place = match column {
        0 => format!("line {line}"),
        column => format!("line {line}, column {column}"),
    };
    let (rule, found) = if why.starts_with("more than") {
        (Rule::TooManyValues, format!("{why} at {place}"))
    } else {
        (
            Rule::Syntax,
            format!("broken {language} at {place} ({why})"),
        )
    };
    Finding::new(
        rule,
        found,
        format!("one Card as {language}"),
        "correct the text there",
    )
}
