//! The published JSON Schema: it equals what the types generate, and it knows what the reader knows.
//! `UPDATE_GOLDEN=1` rewrites it.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests fail the test"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use arje_card::{CARD_KEYS, Card, Document, Rule, SCHEMA_ID, grants, json_schema};
use serde_json::{Map, Value, json};

/// Compares a file under `docs/` with what it must be.
fn golden(name: &str, expected: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../docs")
        .join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&file, expected).unwrap();
    }
    let found = fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(
        found, expected,
        "docs/{name} is out of date; UPDATE_GOLDEN=1 rewrites it"
    );
}

#[test]
fn the_published_schema_is_the_generated_one() {
    let text = serde_json::to_string_pretty(&json_schema()).unwrap() + "\n";
    golden("card.schema.json", &text);
    assert_eq!(json_schema()["$id"], SCHEMA_ID);
}

#[test]
fn the_published_permissions_are_the_table() {
    golden("permissions.md", &grants::markdown());
}

fn properties(schema: &Value) -> BTreeSet<&str> {
    schema["properties"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, _)| key.as_str())
        .collect()
}

#[test]
fn the_schema_knows_the_keys_of_a_card() {
    let schema = json_schema();
    assert_eq!(properties(&schema), CARD_KEYS.iter().copied().collect());
    let required: BTreeSet<&str> = schema["required"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
        .collect();
    let expected = ["schema_version", "id", "label", "payload", "supervision"];
    assert_eq!(required, expected.into());
}

/// The keys of one kind of object, by what the reader says when it meets a key it does not know.
fn keys_by_reader(key: &str, value: Value) -> BTreeSet<String> {
    let mut card = json!({
        "schema_version": 1, "id": "01ARZ3NDEKTSV4RRFFQ69G5FA0", "label": "x",
        "payload": "Virtual", "supervision": "OneShot",
    });
    card[key] = value;
    let report = Card::from_json(card.to_string().as_bytes()).unwrap_err();
    let unknown = report
        .violations()
        .iter()
        .find(|v| v.rule == Rule::UnknownKey);
    let expected = &unknown.unwrap_or_else(|| panic!("{report}")).expected;
    expected
        .trim_start_matches("only ")
        .split(", ")
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_schema_and_the_reader_know_the_same_keys() {
    let bad = || json!({"?": 0});
    // Where an object of each kind stands in a Card, and the name of its schema.
    let kinds = [
        ("permissions", bad(), "Permissions"),
        ("permissions", json!({"ipc": bad()}), "Ipc"),
        ("soma", bad(), "Soma"),
        ("soma", json!({"namespaces": bad()}), "Namespaces"),
        ("soma", json!({"rlimits": bad()}), "Rlimits"),
        ("soma", json!({"cgroup": bad()}), "Cgroup"),
        ("soma", json!({"cgroup": {"cpu_max": bad()}}), "CpuMax"),
        ("soma", json!({"cgroup": {"io_max": [bad()]}}), "IoMax"),
        ("soma", json!({"run_as": bad()}), "RunAs"),
        ("soma", json!({"mounts": bad()}), "Mounts"),
        ("soma", json!({"mounts": {"binds": [bad()]}}), "Bind"),
        ("soma", json!({"mounts": {"tmpfs": [bad()]}}), "Tmpfs"),
        ("payload", json!({"Wasm": bad()}), "WasmPayload"),
        ("payload", json!({"Native": bad()}), "NativePayload"),
        ("payload", json!({"Legacy": bad()}), "LegacyPayload"),
        ("start_limit", bad(), "StartLimit"),
        ("limits", bad(), "Limits"),
        ("dbus", bad(), "Dbus"),
        ("credentials", json!([bad()]), "Credential"),
        ("flow", bad(), "Flows"),
        ("flow", json!({"input": [bad()]}), "Flow"),
        ("references", json!([bad()]), "Reference"),
        ("data", bad(), "DataFacet"),
        (
            "priority_contexts",
            json!({"work": bad()}),
            "PriorityContext",
        ),
    ];
    let schema = json_schema();
    for (key, value, name) in kinds {
        let definition = &schema["$defs"][name];
        let by_schema: BTreeSet<String> = properties(definition)
            .into_iter()
            .map(str::to_owned)
            .collect();
        assert_eq!(keys_by_reader(key, value), by_schema, "{name}");
        assert_eq!(definition["additionalProperties"], json!(false), "{name}");
    }
}

/// A Card in which an object of each kind with defaults stands, and where.
fn one_of_each() -> (Value, Vec<(&'static str, &'static str)>) {
    let card = json!({
        "schema_version": 1, "id": "01ARZ3NDEKTSV4RRFFQ69G5FA0", "label": "x", "supervision": "OneShot",
        "payload": {"Wasm": {"module_sha256": "ab".repeat(32), "entry": "run"}},
        "permissions": {"ipc": {}},
        "soma": {
            "namespaces": {}, "rlimits": {}, "run_as": {"uid": 1, "gid": 1},
            "cgroup": {"cpu_max": {"quota_us": 1000}},
            "mounts": {"binds": [{"source": "/a", "target": "/b"}]},
        },
        "start_limit": {}, "limits": {}, "dbus": {}, "flow": {}, "data": {},
        "priority_contexts": {"work": {}},
        "genesis": [
            {"schema_version": 1, "id": "01ARZ3NDEKTSV4RRFFQ69G5FA1", "label": "n", "supervision": "OneShot",
             "payload": {"Native": {"exec": "/n"}}},
            {"schema_version": 1, "id": "01ARZ3NDEKTSV4RRFFQ69G5FA2", "label": "l", "supervision": "OneShot",
             "payload": {"Legacy": {"exec": "/l"}}},
        ],
    });
    let places = vec![
        ("", ""),
        ("WasmPayload", "/payload/Wasm"),
        ("NativePayload", "/genesis/0/payload/Native"),
        ("LegacyPayload", "/genesis/1/payload/Legacy"),
        ("Permissions", "/permissions"),
        ("Ipc", "/permissions/ipc"),
        ("Soma", "/soma"),
        ("Namespaces", "/soma/namespaces"),
        ("RunAs", "/soma/run_as"),
        ("Cgroup", "/soma/cgroup"),
        ("CpuMax", "/soma/cgroup/cpu_max"),
        ("Mounts", "/soma/mounts"),
        ("Bind", "/soma/mounts/binds/0"),
        ("StartLimit", "/start_limit"),
        ("Limits", "/limits"),
        ("Dbus", "/dbus"),
        ("Flows", "/flow"),
        ("DataFacet", "/data"),
        ("PriorityContext", "/priority_contexts/work"),
    ];
    (card, places)
}

fn may_be_absent(schema: &Value) -> impl Iterator<Item = (&String, &Value)> {
    let required = schema["required"].as_array();
    let is_required = move |key: &str| required.into_iter().flatten().any(|name| name == key);
    let properties = schema["properties"].as_object().into_iter().flatten();
    properties.filter(move |(key, _)| !is_required(key))
}

/// Whether absence is a value of its own.
fn is_optional(property: &Value) -> bool {
    property.to_string().contains("\"null\"")
}

#[test]
fn a_default_is_what_the_reader_makes_of_an_absent_key() {
    let schema = json_schema();
    let read = |card: &Value| serde_json::from_value::<Card>(card.clone()).unwrap();
    let (whole, places) = one_of_each();
    for (name, place) in &places {
        let definition = match *name {
            "" => &schema,
            name => &schema["$defs"][name],
        };
        for (key, property) in may_be_absent(definition) {
            if is_optional(property) {
                assert!(property.get("default").is_none(), "{name}.{key}");
                continue;
            }
            let default = property.get("default");
            let default = default.unwrap_or_else(|| panic!("{name}.{key} has no default"));
            let mut with = whole.clone();
            let mut without = whole.clone();
            with.pointer_mut(place).unwrap()[key] = default.clone();
            let object = without.pointer_mut(place).unwrap();
            object.as_object_mut().unwrap().remove(key);
            assert_eq!(read(&with), read(&without), "{name}.{key}: {default}");
        }
    }
    // And no other kind of object has a default.
    let named: BTreeSet<&str> = places.iter().map(|(name, _)| *name).collect();
    for (name, definition) in schema["$defs"].as_object().unwrap() {
        let mut absent = may_be_absent(definition);
        let has = absent.any(|(_, property)| !is_optional(property));
        assert_eq!(has, named.contains(name.as_str()), "{name}");
    }
}

/// A validator for the part of JSON Schema that the generated schema uses. Unknown keywords are an
/// error, so that a schema it does not understand cannot pass.
fn accepts(root: &Value, schema: &Value, value: &Value) -> bool {
    let Some(schema) = schema.as_object() else {
        return schema.as_bool().unwrap_or_else(|| panic!("{schema}"));
    };
    schema
        .iter()
        .all(|(keyword, rule)| keyword_accepts(root, schema, keyword, rule, value))
}

fn keyword_accepts(
    root: &Value,
    schema: &Map<String, Value>,
    keyword: &str,
    rule: &Value,
    value: &Value,
) -> bool {
    let rules = || rule.as_array().into_iter().flatten();
    let number = || rule.as_f64().unwrap();
    match keyword {
        "$id" | "$schema" | "$defs" | "title" | "description" | "default" | "format" => true,
        "$ref" => {
            let pointer = rule.as_str().unwrap().trim_start_matches('#');
            accepts(
                root,
                root.pointer(pointer).unwrap_or_else(|| panic!("{pointer}")),
                value,
            )
        }
        "type" if rule.is_array() => rules().any(|name| has_type(name, value)),
        "type" => has_type(rule, value),
        "const" => rule == value,
        "enum" => rules().any(|known| known == value),
        "oneOf" => rules().filter(|one| accepts(root, one, value)).count() == 1,
        "anyOf" => rules().any(|one| accepts(root, one, value)),
        "allOf" => rules().all(|one| accepts(root, one, value)),
        "required" => rules().all(|key| value.get(key.as_str().unwrap()).is_some()),
        "properties" => rule.as_object().unwrap().iter().all(|(key, rule)| {
            value
                .get(key)
                .is_none_or(|value| accepts(root, rule, value))
        }),
        "additionalProperties" => value.as_object().into_iter().flatten().all(|(key, value)| {
            let declared = schema
                .get("properties")
                .is_some_and(|p| p.get(key).is_some());
            declared || accepts(root, rule, value)
        }),
        "unevaluatedProperties" => no_other_keys(root, schema, value),
        "items" => value
            .as_array()
            .into_iter()
            .flatten()
            .all(|item| accepts(root, rule, item)),
        "minItems" => value
            .as_array()
            .is_none_or(|items| items.len() as f64 >= number()),
        "maxItems" => value
            .as_array()
            .is_none_or(|items| items.len() as f64 <= number()),
        "minLength" => value
            .as_str()
            .is_none_or(|text| text.chars().count() as f64 >= number()),
        "maxLength" => value
            .as_str()
            .is_none_or(|text| text.chars().count() as f64 <= number()),
        "minimum" => value.as_f64().is_none_or(|value| value >= number()),
        "maximum" => value.as_f64().is_none_or(|value| value <= number()),
        // Patterns are tested where they are declared; this has no regular expressions.
        "pattern" => true,
        other => panic!("unknown keyword {other}"),
    }
}

fn no_other_keys(root: &Value, schema: &Map<String, Value>, value: &Value) -> bool {
    let branches = schema
        .get("oneOf")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    let taken = branches
        .filter(|branch| accepts(root, branch, value))
        .flat_map(properties);
    let own = schema
        .get("properties")
        .and_then(Value::as_object)
        .into_iter()
        .flatten();
    let known: BTreeSet<&str> = own.map(|(key, _)| key.as_str()).chain(taken).collect();
    value
        .as_object()
        .into_iter()
        .flatten()
        .all(|(key, _)| known.contains(key.as_str()))
}

fn has_type(name: &Value, value: &Value) -> bool {
    match name.as_str().unwrap() {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("unknown type {other}"),
    }
}

fn corpus(kind: &str) -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/corpus")
        .join(kind);
    let files = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let files = files.filter(|file| file.extension().is_some_and(|e| e == "json"));
    files
        .map(|file| {
            (
                file.display().to_string(),
                fs::read_to_string(&file).unwrap(),
            )
        })
        .collect()
}

#[test]
fn the_schema_accepts_every_valid_card() {
    let schema = json_schema();
    for (name, text) in corpus("valid") {
        let mut value: Value = serde_json::from_str(&text).unwrap();
        if let Some(seed) = value.get("seed") {
            value = seed.clone();
        }
        assert!(accepts(&schema, &schema, &value), "{name}");
        let document = Document::parse(text.as_bytes(), Default::default()).unwrap();
        let written = serde_json::to_value(&document.card).unwrap();
        assert!(accepts(&schema, &schema, &written), "{name}, written back");
    }
}

#[test]
fn the_schema_refuses_wrong_shapes() {
    let schema = json_schema();
    let wrong = [
        "missing-keys",
        "wrong-types",
        "numbers-out-of-range",
        "unknown-words",
        "unknown-capability",
        "unknown-nested-keys",
        "payload-two-keys",
        "payload-missing-keys",
        "contract-shape",
        "env-shape",
        "listen-shape",
        "not-an-object",
        "schema-version",
        "label-too-long",
        "rlimits-zero",
        "rlimits-high",
        "backoff-zero",
        "zero-ranges",
        "mailbox-cap",
    ];
    let texts = corpus("invalid");
    for case in wrong {
        let (_, text) = texts
            .iter()
            .find(|(name, _)| name.ends_with(&format!("/{case}.json")))
            .unwrap();
        let value: Value = serde_json::from_str(text).unwrap();
        assert!(!accepts(&schema, &schema, &value), "{case}");
    }
}
