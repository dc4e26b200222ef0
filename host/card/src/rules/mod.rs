//! The rules a Card must keep beyond its shape. They see the whole tree and never stop at the first.
//!
//! What the running kernel can enforce is not judged here but where it is known: at load, by the init.

mod host;
mod payload;
mod relations;
mod soma;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;

use crate::Card;
use crate::card::SCHEMA_VERSION;
use crate::id::Id;
use crate::path::Path;
use crate::read::decode::Taints;
use crate::report::{Finding, Report, quoted};
use crate::rule::Rule;
use crate::warning::CARD_KEYS;

/// How deep Cards may be nested; the root is at depth 1.
pub const MAX_DEPTH: usize = 32;

/// How many Cards a tree may have: some tables are indexed by 16 bits, and no machine runs more Entes.
pub const MAX_CARDS: usize = 65_536;

/// The length of the longest label, bytes.
pub const MAX_LABEL_BYTES: usize = 256;

/// What the rules have found, and where they must be silent.
#[derive(Default)]
pub(crate) struct Findings {
    report: Report,
    taints: Taints,
    label: String,
}

impl Findings {
    /// Continues a report; nothing is added about tainted places.
    pub(crate) fn new(report: Report, taints: Taints) -> Self {
        Self {
            report,
            taints,
            label: String::new(),
        }
    }

    pub(crate) fn into_report(self) -> Report {
        self.report
    }

    fn add(&mut self, at: &Path<'_>, finding: Finding) {
        let violation = finding.at(at, Some(&self.label));
        if !self.taints.cover(&violation.path) {
            self.report.push(violation);
        }
    }

    /// Whether the value at a place is the one that was written. Rules that compare two places ask this
    /// of the other one.
    fn is_sound(&self, at: &Path<'_>) -> bool {
        self.taints.is_empty() || !self.taints.touch(&at.to_string())
    }

    /// The same of an object of which a rule asks one key: what is wrong with these others does not matter. A key
    /// that nobody knows does, since it may be the one that is meant.
    fn is_sound_but_for(&self, at: &Path<'_>, others: &[&str]) -> bool {
        self.taints.is_empty() || !self.taints.touch_but_for(&at.to_string(), others)
    }

    /// Whether a Card's permission of this name is the one that was written.
    fn is_granted(&self, card: &Path<'_>, name: &str) -> bool {
        let mut others = vec!["networking", "filesystem", "ipc", "processes"];
        others.retain(|other| *other != name);
        self.is_sound_but_for(&card.key("permissions"), &others)
    }

    /// A path that must be absolute, without `..` and without NUL.
    fn absolute(&mut self, at: &Path<'_>, path: &str) {
        let climbs = path.split('/').any(|part| part == "..");
        if !path.starts_with('/') || climbs || path.contains('\0') {
            let expected = "an absolute path without \"..\"";
            let remedy = "write the path from the root, beginning with /";
            self.add(
                at,
                Finding::new(Rule::PathAbsolute, quoted(path), expected, remedy),
            );
        }
    }

    /// Names that must differ from each other. `at` leads from an index to the name's place.
    fn distinct<'n>(
        &mut self,
        rule: Rule,
        list: &Path<'_>,
        key: &str,
        names: impl Iterator<Item = &'n str>,
    ) {
        let mut first = HashMap::new();
        for (index, name) in names.enumerate() {
            let before = *first.entry(name).or_insert(index);
            if before != index && self.is_sound(&list.index(before).key(key)) {
                let found = format!("{} again", quoted(name));
                let expected = format!("another name than {}", list.index(before));
                let finding = Finding::new(rule, found, expected, "rename one of the two");
                self.add(&list.index(index).key(key), finding);
            }
        }
    }

    /// A number that must lie in a range.
    fn range(
        &mut self,
        rule: Rule,
        at: &Path<'_>,
        value: u64,
        range: std::ops::RangeInclusive<u64>,
    ) {
        if !range.contains(&value) {
            let expected = match *range.end() {
                u64::MAX => format!("at least {}", range.start()),
                end => format!("{} to {end}", range.start()),
            };
            let remedy = "write a number in this range";
            self.add(at, Finding::new(rule, value.to_string(), expected, remedy));
        }
    }
}

/// Applies every rule to a Card at a place, and to the Cards in its genesis.
pub(crate) fn check(card: &Card, at: &Path<'_>, findings: &mut Findings) {
    Tree::default().visit(card, at, 1, findings);
}

/// What has been seen of the tree.
#[derive(Default)]
struct Tree {
    cards: usize,
    ids: HashMap<Id, String>,
    labels: HashMap<String, String>,
}

impl Tree {
    fn visit(&mut self, card: &Card, at: &Path<'_>, depth: usize, findings: &mut Findings) {
        // A full report says nothing of further violations but their number.
        if self.cards > MAX_CARDS || findings.report.is_full() {
            return;
        }
        self.cards += 1;
        findings.label.clone_from(&card.label);
        if self.cards > MAX_CARDS {
            let remedy = "split the seed";
            let expected = format!("at most {MAX_CARDS} Cards");
            findings.add(
                at,
                Finding::new(Rule::CardCount, "one Card more", expected, remedy),
            );
            return;
        }
        if depth > MAX_DEPTH {
            let expected = format!("at most {MAX_DEPTH} levels of genesis");
            let remedy = "move the Card up in the tree";
            findings.add(
                at,
                Finding::new(Rule::Depth, format!("depth {depth}"), expected, remedy),
            );
            return;
        }
        self.identity(card, at, findings);
        check_one(card, at, findings);
        let genesis = at.key("genesis");
        for (index, child) in card.genesis.iter().enumerate() {
            self.visit(child, &genesis.index(index), depth + 1, findings);
        }
    }

    fn identity(&mut self, card: &Card, at: &Path<'_>, findings: &mut Findings) {
        let id_at = at.key("id");
        nil_id(card.id, &id_at, findings);
        if let Some(before) = first_place(&mut self.ids, card.id, &id_at)
            && !card.id.is_nil()
        {
            let expected = format!("another ULID than {before}");
            let remedy = "give one of the two Cards a new id";
            findings.add(
                &id_at,
                Finding::new(Rule::IdDuplicate, card.id.to_string(), expected, remedy),
            );
        }
        let label_at = at.key("label");
        if let Some(before) = first_place(&mut self.labels, card.label.clone(), &label_at)
            && !card.label.trim().is_empty()
        {
            let expected = format!("another label than {before}");
            let remedy = "rename one of the two Cards";
            let found = quoted(&card.label);
            findings.add(
                &label_at,
                Finding::new(Rule::LabelDuplicate, found, expected, remedy),
            );
        }
    }
}

/// Where the same was seen before; if nowhere, this is the place from now on.
fn first_place<'t, K: Eq + Hash>(
    seen: &'t mut HashMap<K, String>,
    key: K,
    at: &Path<'_>,
) -> Option<&'t str> {
    match seen.entry(key) {
        Entry::Occupied(before) => Some(before.into_mut()),
        Entry::Vacant(free) => {
            free.insert(at.to_string());
            None
        }
    }
}

fn check_one(card: &Card, at: &Path<'_>, findings: &mut Findings) {
    head(card, at, findings);
    relations::check(card, at, findings);
    payload::check(card, at, findings);
    soma::check(&card.soma, &at.key("soma"), findings);
    host::check(card, at, findings);
}

fn head(card: &Card, at: &Path<'_>, findings: &mut Findings) {
    if card.schema_version != SCHEMA_VERSION {
        let finding = Finding::new(
            Rule::SchemaVersion,
            card.schema_version.to_string(),
            SCHEMA_VERSION.to_string(),
            "this program reads schema version 1 only",
        );
        findings.add(&at.key("schema_version"), finding);
    }
    label(&card.label, &at.key("label"), findings);
    if let Some(lineage) = card.lineage {
        nil_id(lineage, &at.key("lineage"), findings);
    }
    if let Some(socket) = &card.service_socket {
        findings.absolute(&at.key("service_socket"), socket);
    }
    for key in card
        .extensions
        .keys()
        .filter(|key| CARD_KEYS.contains(&key.as_str()))
    {
        let expected = "a name that is not a field of the Card";
        let finding = Finding::new(
            Rule::ExtensionName,
            quoted(key),
            expected,
            "set the field itself",
        );
        findings.add(&at.key(key), finding);
    }
}

fn label(label: &str, at: &Path<'_>, findings: &mut Findings) {
    if label.trim().is_empty() || label.len() > MAX_LABEL_BYTES {
        let expected = format!("1 to {MAX_LABEL_BYTES} bytes, not only blanks");
        let remedy = "give the Card a short name";
        findings.add(
            at,
            Finding::new(Rule::LabelLength, quoted(label), expected, remedy),
        );
    }
    if label.contains(char::is_control) {
        let expected = "no control characters: labels are printed on consoles";
        let remedy = "remove them";
        findings.add(
            at,
            Finding::new(Rule::LabelControl, quoted(label), expected, remedy),
        );
    }
}

fn nil_id(id: Id, at: &Path<'_>, findings: &mut Findings) {
    if id.is_nil() {
        let expected = "a ULID that is not all zeros";
        findings.add(
            at,
            Finding::new(Rule::IdNil, id.to_string(), expected, "make a new one"),
        );
    }
}
