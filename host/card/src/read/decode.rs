//! The frame of decoding: what is collected ([`Decoder`]), objects ([`Fields`]), enums ([`Choice`]).

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::node::{Node, to_map};
use crate::nearest::hint;
use crate::path::Path;
use crate::report::{Finding, Report, quoted};
use crate::rule::Rule;

/// What is wrong so far.
#[derive(Default)]
pub(crate) struct Decoder {
    pub(crate) report: Report,
    pub(crate) taints: Taints,
}

impl Decoder {
    pub(crate) fn add(&mut self, at: &Path<'_>, finding: Finding) {
        let violation = finding.at(at, None);
        self.taints.0.insert(violation.path.clone());
        self.report.push(violation);
    }

    /// Like [`add`](Self::add), but says nothing of the values below: only of these keys is nothing known.
    pub(crate) fn add_about(&mut self, at: &Path<'_>, keys: &[&str], finding: Finding) {
        self.report.push(finding.at(at, None));
        for key in keys {
            self.taint(&at.key(key));
        }
    }

    /// Notes that a stand-in is at a place.
    pub(crate) fn taint(&mut self, at: &Path<'_>) {
        self.taints.0.insert(at.to_string());
    }

    /// Reports that a value has another type than `expected`.
    pub(crate) fn wrong_type(&mut self, node: &Node, at: &Path<'_>, expected: &str) {
        let remedy = "write a value of that type, or leave the key out if it is optional";
        self.add(
            at,
            Finding::new(Rule::WrongType, node.describe(), expected, remedy),
        );
    }

    /// Reports a text that has not the form asked for.
    pub(crate) fn malformed(
        &mut self,
        text: &str,
        at: &Path<'_>,
        expected: &str,
        why: &dyn std::fmt::Display,
    ) {
        self.add(
            at,
            Finding::new(Rule::Malformed, quoted(text), expected, why.to_string()),
        );
    }
}

/// Places whose value could not be read, so that a stand-in is there now. Rules say nothing about them:
/// what is wrong has been said.
#[derive(Clone, Debug, Default)]
pub(crate) struct Taints(BTreeSet<String>);

impl Taints {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the place itself, or one it lies in, could not be read.
    pub(crate) fn cover(&self, path: &str) -> bool {
        !self.0.is_empty()
            && path
                .char_indices()
                .filter(|(_, c)| matches!(c, '.' | '['))
                .map(|(end, _)| &path[..end])
                .chain([path])
                .any(|place| self.0.contains(place))
    }

    /// Whether the place, one it lies in, or one in it could not be read.
    pub(crate) fn touch(&self, path: &str) -> bool {
        self.touch_but_for(path, &[])
    }

    /// The same, whatever lies below these keys of the place.
    pub(crate) fn touch_but_for(&self, path: &str, others: &[&str]) -> bool {
        let below = |place: &&String| place.starts_with(path);
        let counts = |place: &String| {
            let step = &place[path.len()..];
            let key = step.strip_prefix('.').unwrap_or_default();
            let key = key.split(['.', '[']).next().unwrap_or_default();
            step.starts_with(['.', '[']) && !others.contains(&key)
        };
        self.cover(path)
            || self
                .0
                .range(path.to_owned()..)
                .take_while(below)
                .any(counts)
    }
}

/// A type that is read from a node. `None` means: not readable, and reported.
pub(crate) trait Decode: Sized {
    fn decode(node: &Node, at: &Path<'_>, cx: &mut Decoder) -> Option<Self>;

    /// What takes the place of an element of a list that is not readable, so that the others keep theirs.
    fn stand_in() -> Option<Self> {
        None
    }
}

/// An object being read key by key.
pub(crate) struct Fields<'n, 'p> {
    entries: &'n [(String, Node)],
    at: &'p Path<'p>,
    known: Vec<&'static str>,
}

impl<'n, 'p> Fields<'n, 'p> {
    /// Starts reading an object; anything else is reported.
    pub(crate) fn open(node: &'n Node, at: &'p Path<'p>, cx: &mut Decoder) -> Option<Self> {
        let Node::Object(entries) = node else {
            cx.wrong_type(node, at, "an object");
            return None;
        };
        Some(Self {
            entries,
            at,
            known: Vec::new(),
        })
    }

    pub(crate) fn find(&mut self, key: &'static str) -> Option<&'n Node> {
        self.known.push(key);
        self.entries
            .iter()
            .find_map(|(k, node)| (k == key).then_some(node))
    }

    /// A key that may be absent or null.
    pub(crate) fn option<T: Decode>(&mut self, key: &'static str, cx: &mut Decoder) -> Option<T> {
        let node = self.find(key).filter(|node| **node != Node::Null)?;
        T::decode(node, &self.at.key(key), cx)
    }

    /// A key that may be absent, with its default.
    pub(crate) fn or<T: Decode>(&mut self, key: &'static str, default: T, cx: &mut Decoder) -> T {
        let found = self
            .find(key)
            .and_then(|node| T::decode(node, &self.at.key(key), cx));
        found.unwrap_or(default)
    }

    /// A key that may be absent, with its type's default.
    pub(crate) fn or_default<T: Decode + Default>(
        &mut self,
        key: &'static str,
        cx: &mut Decoder,
    ) -> T {
        self.or(key, T::default(), cx)
    }

    /// A key that must be there. `None` means it is not, or is not readable; both are reported.
    pub(crate) fn required<T: Decode>(&mut self, key: &'static str, cx: &mut Decoder) -> Option<T> {
        match self.find(key) {
            Some(node) => T::decode(node, &self.at.key(key), cx),
            None => {
                let finding = Finding::new(
                    Rule::MissingKey,
                    "nothing",
                    format!("the key {key:?}"),
                    format!("add {key:?}"),
                );
                cx.add(&self.at.key(key), finding);
                None
            }
        }
    }

    /// A key that must be there; its type's default stands in for one that is not readable.
    pub(crate) fn required_or_default<T: Decode + Default>(
        &mut self,
        key: &'static str,
        cx: &mut Decoder,
    ) -> T {
        self.required(key, cx).unwrap_or_default()
    }

    /// Ends reading: every key not asked for is reported.
    pub(crate) fn finish(self, cx: &mut Decoder) {
        let unknown = self
            .entries
            .iter()
            .filter(|(key, _)| !self.known.contains(&key.as_str()));
        for (key, _) in unknown {
            let finding = Finding::new(
                Rule::UnknownKey,
                format!("the key {}{}", quoted(key), hint(key, &self.known)),
                format!("only {}", self.known.join(", ")),
                "remove it or correct its name: only a Card itself may have keys of others",
            );
            cx.add(&self.at.key(key), finding);
        }
    }

    /// Ends reading: every key not asked for is handed back.
    pub(crate) fn finish_open(self) -> Map<String, Value> {
        to_map(
            self.entries
                .iter()
                .filter(|(key, _)| !self.known.contains(&key.as_str())),
        )
    }
}

/// An externally tagged enum: `"Name"` or `{"Name": …}`.
pub(crate) enum Choice<'n> {
    Unit(&'n str),
    With(&'n str, &'n Node),
}

impl<'n> Choice<'n> {
    /// Reads the name; `units` stand alone, `with` have a value.
    pub(crate) fn open(
        node: &'n Node,
        at: &Path<'_>,
        cx: &mut Decoder,
        units: &[&str],
        with: &[&str],
    ) -> Option<Self> {
        match node {
            Node::Text(name) if units.contains(&name.as_str()) => return Some(Self::Unit(name)),
            Node::Text(name) if with.contains(&name.as_str()) => {
                let expected = format!("an object {{{name:?}: …}}");
                let remedy = format!("{name} needs a value");
                cx.add(
                    at,
                    Finding::new(Rule::WrongType, node.describe(), expected, remedy),
                );
            }
            Node::Text(name) => unknown_word(name, at, cx, &[units, with].concat()),
            Node::Object(entries) => match entries.as_slice() {
                [(name, value)] if with.contains(&name.as_str()) => {
                    return Some(Self::With(name, value));
                }
                [(name, _)] if units.contains(&name.as_str()) => {
                    let expected = format!("the text {name:?}");
                    let remedy = format!("{name} stands alone, without a value");
                    cx.add(
                        at,
                        Finding::new(Rule::WrongType, "an object", expected, remedy),
                    );
                }
                [(name, _)] => unknown_word(name, at, cx, &[units, with].concat()),
                _ => cx.wrong_type(node, at, "a text, or an object with exactly one key"),
            },
            _ => cx.wrong_type(node, at, "a text, or an object with exactly one key"),
        }
        None
    }
}

/// Reports a word that is not among those known.
pub(crate) fn unknown_word(word: &str, at: &Path<'_>, cx: &mut Decoder, known: &[&str]) {
    let finding = Finding::new(
        Rule::UnknownWord,
        format!("{}{}", quoted(word), hint(word, known)),
        format!("one of {}", known.join(", ")),
        "write one of these",
    );
    cx.add(at, finding);
}

/// Reads an enum whose variants are plain words.
pub(crate) fn word<T: Copy>(
    node: &Node,
    at: &Path<'_>,
    cx: &mut Decoder,
    words: &[(&str, T)],
) -> Option<T> {
    let Node::Text(text) = node else {
        cx.wrong_type(node, at, "a text");
        return None;
    };
    let found = words.iter().find(|(word, _)| word == text);
    if found.is_none() {
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        unknown_word(text, at, cx, &known);
    }
    found.map(|(_, value)| *value)
}

impl<T: Decode> Decode for Vec<T> {
    /// Elements that are not readable are stood in for. Where that cannot be, they are left out, and the
    /// list is tainted: the places of those after them would be wrong.
    fn decode(node: &Node, at: &Path<'_>, cx: &mut Decoder) -> Option<Self> {
        let Node::List(items) = node else {
            cx.wrong_type(node, at, "a list");
            return None;
        };
        let read = |(index, item)| {
            let at = at.index(index);
            T::decode(item, &at, cx).or_else(|| {
                cx.taint(&at);
                T::stand_in()
            })
        };
        let values: Self = items.iter().enumerate().filter_map(read).collect();
        if values.len() < items.len() {
            cx.taint(at);
        }
        Some(values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taints() {
        let taints = Taints(
            ["$.genesis[1].id", "$.listen[0].tcp"]
                .map(str::to_owned)
                .into(),
        );
        for covered in ["$.genesis[1].id", "$.genesis[1].id.x", "$.listen[0].tcp[4]"] {
            assert!(taints.cover(covered), "{covered}");
        }
        for clean in ["$.genesis[1]", "$.genesis[1].idx", "$.genesis[11].id", "$"] {
            assert!(!taints.cover(clean), "{clean}");
        }
        assert!(taints.touch("$.listen") && taints.touch("$") && taints.touch("$.listen[0]"));
        assert!(!taints.touch("$.list") && !taints.touch("$.genesis[0]"));
    }
}
