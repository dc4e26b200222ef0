//! The JSON Schema of a Card, made from the types.

use schemars::generate::SchemaSettings;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::{
    Card, CardKind, DEFAULT_STOP_TIMEOUT_MS, DbusBus, Filesystem, Lifecycle, Networking, Priority,
    Readiness, RestartOn,
};

/// The identity of the schema this crate generates. It carries the schema's version.
pub const SCHEMA_ID: &str = "urn:arje:card:1";

/// What [`json_schema`] makes, as text, made beforehand: whoever only shows it need not have the generator. A test keeps
/// both the same.
pub const JSON_SCHEMA: &str = include_str!("../../../docs/card.schema.json");

/// The JSON Schema (draft 2020-12) of schema version 1. It describes the shape; the rules that compare
/// one key with another are [`Card::validate`]'s.
pub fn json_schema() -> Value {
    let schema = SchemaSettings::draft2020_12()
        .into_generator()
        .into_root_schema_for::<Card>();
    let mut object = Map::new();
    object.insert("$id".to_owned(), SCHEMA_ID.into());
    if let Value::Object(generated) = schema.to_value() {
        object.extend(generated);
    }
    let mut schema = Value::Object(object);
    add_defaults(&mut schema, &default_words());
    schema
}

/// Adds to each key that may be absent what it then stands for, where that is a value. The generator leaves out the
/// defaults of what is not written when it has its default, which is nearly all.
fn add_defaults(schema: &mut Value, words: &Map<String, Value>) {
    match schema {
        Value::Array(all) => all.iter_mut().for_each(|one| add_defaults(one, words)),
        Value::Object(object) => {
            object.values_mut().for_each(|one| add_defaults(one, words));
            let required = object.get("required").cloned().unwrap_or_default();
            let is_required = |key: &str| {
                let required = required.as_array().into_iter().flatten();
                required.into_iter().any(|name| name == key)
            };
            let properties = object.get_mut("properties").and_then(Value::as_object_mut);
            for (key, property) in properties.into_iter().flatten() {
                if let (false, Some(property)) = (is_required(key), property.as_object_mut())
                    && !property.contains_key("default")
                    && let Some(default) = default_of(key, property, words)
                {
                    property.insert("default".to_owned(), default);
                }
            }
        }
        _ => {}
    }
}

/// What a property stands for that is absent: the empty value of its type, unless there is a word or a number for it.
fn default_of(
    key: &str,
    property: &Map<String, Value>,
    words: &Map<String, Value>,
) -> Option<Value> {
    if let Some(reference) = property.get("$ref").and_then(Value::as_str) {
        let name = reference.rsplit('/').next().unwrap_or_default();
        let of_name = words.get(name).cloned();
        // An object of which nothing is given.
        return Some(of_name.unwrap_or_else(|| Value::Object(Map::new())));
    }
    match property.get("type")?.as_str()? {
        "array" => Some(Value::Array(Vec::new())),
        "object" => Some(Value::Object(Map::new())),
        "boolean" => Some(false.into()),
        "string" => Some("".into()),
        "integer" if key == "stop_timeout_ms" => Some(DEFAULT_STOP_TIMEOUT_MS.into()),
        "integer" => Some(0.into()),
        "number" => Some(0.0.into()),
        _ => None,
    }
}

/// The defaults of types that are not objects, by their names in the schema.
fn default_words() -> Map<String, Value> {
    let word = |name: &str, value: Value| (name.to_owned(), value);
    [
        word("Networking", json(Networking::default())),
        word("Filesystem", json(Filesystem::default())),
        word("Lifecycle", json(Lifecycle::default())),
        word("Priority", json(Priority::default())),
        word("Readiness", json(Readiness::default())),
        word("RestartOn", json(RestartOn::default())),
        word("CardKind", json(CardKind::default())),
        word("DbusBus", json(DbusBus::default())),
        word("Env", Value::Array(Vec::new())),
    ]
    .into_iter()
    .collect()
}

/// A plain word, which always can be written.
fn json(word: impl Serialize) -> Value {
    serde_json::to_value(word).unwrap_or_default()
}
