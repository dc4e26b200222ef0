//! The JSON Schema of a Card, made from the types.

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value};

use crate::Card;

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
    Value::Object(object)
}
