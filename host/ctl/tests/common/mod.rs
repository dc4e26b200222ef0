//! A folder with Card files, components and stores, for the program to work in.

use std::fs;
use std::path::{Path, PathBuf};

use arje_store::{RECORD_BYTES, Sha256, Store};
use tempfile::TempDir;

/// Name and text of each component.
const MODULES: &[(&str, &str)] = &[
    ("hello", HELLO),
    ("ticker", TICKER),
    ("fetch", FETCH),
    ("web", WEB),
    ("both", BOTH),
    ("plain", PLAIN),
    ("strange", STRANGE),
    ("core", "(module)"),
];

const HELLO: &str = r#"(component
    (import "arje:ente/log@1.0.0" (instance))
    (core module $m (func (export "f")))
    (core instance $i (instantiate $m))
    (func $f (canon lift (core func $i "f")))
    (instance $e (export "start" (func $f)) (export "stop" (func $f)))
    (export "arje:ente/service@1.0.0" (instance $e)))"#;

/// Also has health, and a function of its own.
const TICKER: &str = r#"(component
    (import "arje:ente/log@1.0.0" (instance))
    (core module $m (func (export "f")))
    (core instance $i (instantiate $m))
    (func $f (canon lift (core func $i "f")))
    (instance $e (export "start" (func $f)) (export "stop" (func $f)))
    (instance $h (export "health" (func $f)))
    (export "arje:ente/service@1.2.0" (instance $e))
    (export "arje:ente/health@1.0.0" (instance $h))
    (export "tick" (func $f)))"#;

/// A command that reaches out.
const FETCH: &str = r#"(component
    (import "wasi:cli/stdout@0.2.6" (instance))
    (import "wasi:sockets/tcp-create-socket@0.2.6" (instance))
    (import "wasi:sockets/ip-name-lookup@0.2.6" (instance))
    (core module $m (func (export "f")))
    (core instance $i (instantiate $m))
    (func $f (canon lift (core func $i "f")))
    (instance $e (export "run" (func $f)))
    (export "wasi:cli/run@0.2.6" (instance $e)))"#;

const WEB: &str = r#"(component
    (import "wasi:http/types@0.2.6" (instance))
    (core module $m (func (export "f")))
    (core instance $i (instantiate $m))
    (func $f (canon lift (core func $i "f")))
    (instance $e (export "handle" (func $f)))
    (export "wasi:http/incoming-handler@0.2.6" (instance $e)))"#;

/// A command and a service.
const BOTH: &str = r#"(component
    (core module $m (func (export "f")))
    (core instance $i (instantiate $m))
    (func $f (canon lift (core func $i "f")))
    (instance $r (export "run" (func $f)))
    (instance $s (export "start" (func $f)) (export "stop" (func $f)))
    (export "wasi:cli/run@0.2.0" (instance $r))
    (export "arje:ente/service@1.0.0" (instance $s)))"#;

/// A function and no more.
const PLAIN: &str = r#"(component
    (core module $m (func (export "f")))
    (core instance $i (instantiate $m))
    (func (export "go") (canon lift (core func $i "f"))))"#;

/// Imports what no host of ours has.
const STRANGE: &str = r#"(component
    (import "acme:kv/store@1.0.0" (instance))
    (import "arje:ente/log@2.0.0" (instance))
    (core module $m (func (export "f")))
    (core instance $i (instantiate $m))
    (func $f (canon lift (core func $i "f")))
    (instance $e (export "run" (func $f)))
    (export "wasi:cli/run@0.2.0" (instance $e)))"#;

/// The folder: Card files of `tests/fixtures` with `@NAME@` replaced by the sha256 of that component,
/// `modules/NAME.wasm`, `store/` with hello and web, `damaged/`, where hello has a flipped bit, and those of
/// `fill_compiled`.
pub struct Workplace {
    folder: TempDir,
    /// Name and sha256 of each component.
    hashes: Vec<(&'static str, String)>,
}

impl Workplace {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let modules = root.join("modules");
        fs::create_dir(&modules).unwrap();
        let mut hashes = Vec::new();
        for (name, text) in MODULES {
            let wasm = wat::parse_str(text).unwrap();
            fs::write(modules.join(format!("{name}.wasm")), &wasm).unwrap();
            hashes.push((*name, Sha256::of(&wasm).to_string()));
        }
        let mut workplace = Self { folder, hashes };
        workplace.fill_stores();
        workplace.copy_fixtures();
        workplace
    }

    fn fill_stores(&mut self) {
        for store in ["store", "damaged"] {
            let store = Store::create(self.path(store)).unwrap();
            for name in ["hello", "web"] {
                let wasm = fs::read(self.path(&format!("modules/{name}.wasm"))).unwrap();
                store.put_module(&wasm).unwrap();
            }
        }
        let hello = self.path("damaged/cas").join(self.hash("hello"));
        let mut wasm = fs::read(&hello).unwrap();
        wasm[0] ^= 1;
        let damaged = Sha256::of(&wasm).to_string();
        self.hashes.push(("hello, a bit flipped", damaged));
        fs::write(&hello, wasm).unwrap();
        self.fill_compiled();
    }

    /// `compiled/`, where hello has artifacts for two engines, and `spoilt/`, where one of these is gone, the other
    /// has a flipped bit, and the index ends in the middle of the record of web.
    fn fill_compiled(&self) {
        for name in ["compiled", "spoilt"] {
            let store = Store::create(self.path(name)).unwrap();
            for module in ["hello", "web"] {
                let wasm = fs::read(self.path(&format!("modules/{module}.wasm"))).unwrap();
                store.put_module(&wasm).unwrap();
            }
            let hello = self.hash("hello").parse().unwrap();
            let first = store.put_artifact(hello, Sha256::of(b"one engine"), b"native".to_vec());
            let second = store.put_artifact(hello, Sha256::of(b"another"), b"code".to_vec());
            if name == "spoilt" {
                fs::remove_file(store.artifact_path(first.unwrap().record().artifact)).unwrap();
                let second = store.artifact_path(second.unwrap().record().artifact);
                fs::write(second, b"bode").unwrap();
                let mut index = fs::read(store.index_path()).unwrap();
                let (_, torn) = index.split_at(RECORD_BYTES);
                index = [&index, &torn[..100]].concat();
                fs::write(store.index_path(), index).unwrap();
            }
        }
    }

    fn copy_fixtures(&self) {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
        for entry in fs::read_dir(fixtures).unwrap() {
            let path = entry.unwrap().path();
            let mut text = fs::read_to_string(&path).unwrap();
            for (name, hash) in &self.hashes {
                text = text.replace(&format!("@{name}@"), hash);
            }
            fs::write(self.folder.path().join(path.file_name().unwrap()), text).unwrap();
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn hash(&self, module: &str) -> &str {
        let found = self.hashes.iter().find(|(name, _)| *name == module);
        &found.unwrap().1
    }

    /// A text with hashes replaced by what they are of: another release of the assembler may change them.
    #[expect(
        clippy::allow_attributes,
        reason = "not every test that shares this file masks"
    )]
    #[allow(dead_code)]
    pub fn mask(&self, text: &str) -> String {
        self.hashes
            .iter()
            .fold(text.to_owned(), |text, (name, hash)| {
                text.replace(hash, &format!("@{name}@"))
            })
    }
}
