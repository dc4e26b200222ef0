//! Seeds with one fault of every kind, for the tests of all who read seeds: each is to tell all that it can know, in
//! one go and in the same words.
//!
//! Beside `NAME.card.json` lies `NAME.txt`: what is to be told, a line each, after a word that says by whom. `any` are
//! all readers; `name` those to whom the key `module` means something; `modules` those who look into components;
//! `image` is the builder alone. `@NAME@` is the sha256 of a component.

use std::fs;
use std::path::PathBuf;

use arje_store::Sha256;
use tempfile::TempDir;

/// Name, Card and what is to be told of each seed.
const SEEDS: [(&str, &str, &str); 2] = [
    (
        "faults",
        include_str!("faults.card.json"),
        include_str!("faults.txt"),
    ),
    (
        "circle",
        include_str!("circle.card.json"),
        include_str!("circle.txt"),
    ),
];

const HELLO: &str = r#"(component
    (core module $m (func (export "f")))
    (core instance $i (instantiate $m))
    (func $f (canon lift (core func $i "f")))
    (instance $e (export "start" (func $f)) (export "stop" (func $f)))
    (export "arje:ente/service@1.0.0" (instance $e)))"#;

const FETCH: &str = r#"(component
    (import "wasi:sockets/tcp-create-socket@0.2.6" (instance))
    (core module $m (func (export "f")))
    (core instance $i (instantiate $m))
    (func $f (canon lift (core func $i "f")))
    (instance $e (export "run" (func $f)))
    (export "wasi:cli/run@0.2.6" (instance $e)))"#;

/// A folder with `NAME.card.json` of each seed, and the components in `components/`.
pub struct Faults {
    pub folder: TempDir,
    hashes: Vec<(String, String)>,
}

impl Faults {
    pub fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let components = folder.path().join("components");
        fs::create_dir(&components).unwrap();
        let mut hashes = Vec::new();
        for (name, text) in [("hello", HELLO), ("fetch", FETCH)] {
            let wasm = wat::parse_str(text).unwrap();
            fs::write(components.join(format!("{name}.wasm")), &wasm).unwrap();
            hashes.push((format!("@{name}@"), Sha256::of(&wasm).to_string()));
        }
        for (seed, card, _) in SEEDS {
            let mut text = card.to_owned();
            for (name, hash) in &hashes {
                text = text.replace(name, hash);
            }
            fs::write(folder.path().join(format!("{seed}.card.json")), text).unwrap();
        }
        Self { folder, hashes }
    }

    /// Has each seed read, and compares what is told with what these readers are to tell, line by line.
    pub fn compare(&self, readers: &[&str], read: impl Fn(PathBuf) -> String) {
        for (seed, _, expected) in SEEDS {
            let printed = self.mask(&read(self.folder.path().join(format!("{seed}.card.json"))));
            let file = format!("{seed}.card.json: ");
            let told = printed.lines().filter_map(|line| line.split_once(&file));
            let told: Vec<&str> = told.map(|(_, told)| told).collect();
            let expected = expected.lines().filter_map(|line| line.split_once(' '));
            let expected = expected.filter(|(reader, _)| readers.contains(reader));
            let expected: Vec<&str> = expected.map(|(_, line)| line).collect();
            assert_eq!(told, expected, "{seed}:\n{printed}");
        }
    }

    fn mask(&self, printed: &str) -> String {
        let folder = format!("{}/", self.folder.path().display());
        let printed = printed.replace(&folder, "");
        let mask = |text: String, (name, hash): &(String, String)| text.replace(hash, name);
        self.hashes.iter().fold(printed, mask)
    }
}
