//! [`Node`]: a document as it was written. serde_json's own tree keeps only the last of two equal keys,
//! and says of a wrong value neither where it stands nor which others are wrong.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::path::Path;
use crate::report::{Finding, Report, quoted};
use crate::rule::Rule;

/// How many values a document may hold. A file of 4 MiB with four bytes a value would have as many;
/// each costs about 40 bytes of memory here.
pub(crate) const MAX_VALUES: usize = 1 << 20;

/// The key by which `toml` hands a date over to serde.
const TOML_DATETIME: &str = "$__toml_private_datetime";

/// A value of a document.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Node {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Node>),
    /// In the order written, each key once.
    Object(Vec<(String, Node)>),
}

impl Node {
    /// The value under a key, if this is an object that has it.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Object(entries) => entries.iter().find_map(|(k, v)| (k == key).then_some(v)),
            _ => None,
        }
    }

    /// What this is, in words, with its value where that is short.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Null => "null".to_owned(),
            Self::Bool(value) => value.to_string(),
            Self::Number(number) => format!("the number {number}"),
            Self::Text(text) => format!("the text {}", quoted(text)),
            Self::List(items) => format!("a list of {}", items.len()),
            Self::Object(entries) => format!("an object of {}", entries.len()),
        }
    }

    pub(crate) fn to_value(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(*value),
            Self::Number(number) => Value::Number(number.clone()),
            Self::Text(text) => Value::String(text.clone()),
            Self::List(items) => Value::Array(items.iter().map(Self::to_value).collect()),
            Self::Object(entries) => Value::Object(to_map(entries.iter())),
        }
    }
}

/// Keys and values as serde_json knows them, in the same order.
pub(crate) fn to_map<'n>(entries: impl Iterator<Item = &'n (String, Node)>) -> Map<String, Value> {
    entries
        .map(|(key, node)| (key.clone(), node.to_value()))
        .collect()
}

/// Keys of an object that are compared one by one: all of a Card's. Beyond that it would take quadratic time in a
/// hostile file.
const FEW: usize = 32;

/// Whether a key is among the entries, and if not, that it will be; `seen` has them once there are many.
fn is_known(entries: &[(String, Node)], seen: &mut HashSet<String>, key: &str) -> bool {
    if entries.len() < FEW {
        return entries.iter().any(|(known, _)| known == key);
    }
    if seen.is_empty() {
        seen.extend(entries.iter().map(|(known, _)| known.clone()));
    }
    !seen.insert(key.to_owned())
}

/// What is noticed while a document is read.
#[derive(Default)]
pub(crate) struct Notes {
    values: Cell<usize>,
    report: RefCell<Report>,
    /// The innermost place that was being read when the deserializer gave up.
    failed_at: RefCell<Option<String>>,
}

impl Notes {
    /// What was wrong, and where reading ended if it failed.
    pub(crate) fn into_parts(self) -> (Report, Option<String>) {
        (self.report.into_inner(), self.failed_at.into_inner())
    }

    fn add(&self, at: &Path<'_>, finding: Finding) {
        self.report.borrow_mut().push(finding.at(at, None));
    }

    fn failed(&self, at: &Path<'_>) {
        self.failed_at
            .borrow_mut()
            .get_or_insert_with(|| at.to_string());
    }
}

/// Reads one value; `at` is its place.
#[derive(Clone, Copy)]
pub(crate) struct NodeSeed<'a> {
    pub(crate) at: &'a Path<'a>,
    pub(crate) notes: &'a Notes,
}

impl<'de> DeserializeSeed<'de> for NodeSeed<'_> {
    type Value = Node;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        deserializer
            .deserialize_any(self)
            .inspect_err(|_| self.notes.failed(self.at))
    }
}

impl NodeSeed<'_> {
    fn count<E: Error>(self) -> Result<(), E> {
        let count = self.notes.values.get() + 1;
        self.notes.values.set(count);
        if count > MAX_VALUES {
            return Err(E::custom(format_args!("more than {MAX_VALUES} values")));
        }
        Ok(())
    }

    fn leaf<E: Error>(self, node: Node) -> Result<Node, E> {
        self.count()?;
        Ok(node)
    }

    fn duplicate_key(self, key: &str) {
        let finding = Finding::new(
            Rule::DuplicateKey,
            format!("the key {} again", quoted(key)),
            "each key once",
            "remove one of the two",
        );
        self.notes.add(&self.at.key(key), finding);
    }

    /// TOML's dates have no form in JSON, so writing one back would change its type.
    fn refuse_date(self, entries: &[(String, Node)]) {
        let finding = Finding::new(
            Rule::WrongType,
            "a TOML date",
            "a type that JSON has too",
            "write the date as a text, in quotes",
        );
        if entries.iter().any(|(key, _)| key == TOML_DATETIME) {
            self.notes.add(self.at, finding);
        }
    }
}

impl<'de> Visitor<'de> for NodeSeed<'_> {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: Error>(self) -> Result<Node, E> {
        self.leaf(Node::Null)
    }

    fn visit_none<E: Error>(self) -> Result<Node, E> {
        self.leaf(Node::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        self.deserialize(deserializer)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Node, E> {
        self.leaf(Node::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Node, E> {
        self.leaf(Node::Number(value.into()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Node, E> {
        self.leaf(Node::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Node, E> {
        let Some(number) = Number::from_f64(value) else {
            let finding = Finding::new(
                Rule::WrongType,
                format!("{value}"),
                "a finite number",
                "JSON has neither infinity nor NaN: leave the key out",
            );
            self.notes.add(self.at, finding);
            return self.leaf(Node::Number(0.into()));
        };
        self.leaf(Node::Number(number))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Node, E> {
        self.leaf(Node::Text(value.to_owned()))
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Node, E> {
        self.leaf(Node::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Node, A::Error> {
        self.count()?;
        let mut items = Vec::new();
        loop {
            let at = self.at.index(items.len());
            match seq.next_element_seed(NodeSeed {
                at: &at,
                notes: self.notes,
            })? {
                Some(item) => items.push(item),
                None => return Ok(Node::List(items)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        self.count()?;
        let mut entries: Vec<(String, Node)> = Vec::new();
        let mut seen = HashSet::new();
        while let Some(key) = map.next_key::<String>()? {
            let at = self.at.key(&key);
            let node = map.next_value_seed(NodeSeed {
                at: &at,
                notes: self.notes,
            })?;
            if is_known(&entries, &mut seen, &key) {
                self.duplicate_key(&key);
            } else {
                entries.push((key, node));
            }
        }
        self.refuse_date(&entries);
        Ok(Node::Object(entries))
    }
}
