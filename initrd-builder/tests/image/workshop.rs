//! What the tests of images share: inputs, small seeds, and a look into the image.

use std::path::PathBuf;
use std::process::Command;

use crate::archive::{Read, read_cpio};
use arje_store::Sha256;
use initrd_builder::{Error, Options, Summary, build};
use serde_json::{Value, json};

/// The engine that the pretended compiler compiles for.
pub const ENGINE: &str = "abababababababababababababababababababababababababababababababab";

/// Speaks the protocol of `ente-compile` and returns the module with a word before it.
pub const COMPILER: &str = "#!/bin/sh
case \"$1\" in
--fingerprint) echo abababababababababababababababababababababababababababababababab ;;
*) printf 'compiled '; cat ;;
esac
";

/// Lists its applets as busybox does; the real one is packed and booted by the tests of the machine.
pub const BUSYBOX: &str = "#!/bin/sh
printf 'bin/sh\\nsbin/modprobe\\nusr/bin/awk\\n'
";

pub struct Workshop(pub tempfile::TempDir);

impl Workshop {
    pub fn new() -> Self {
        let workshop = Self(tempfile::tempdir().unwrap());
        for name in ["ente-zero", "ente-spawn", "ente"] {
            workshop.script(
                &format!("helpers/{name}"),
                &format!("#!/bin/sh\n# {name}\n"),
            );
        }
        workshop.script("helpers/ente-compile", COMPILER);
        workshop.script("busybox", BUSYBOX);
        workshop.put("components/hello.wasm", &hello_wasm());
        workshop.put("components/unused.wasm", b"nobody pins this");
        workshop
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn put(&self, name: &str, data: &[u8]) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, data).unwrap();
    }

    /// Another process writes it: if this one did, a child that another test starts at the same moment would inherit
    /// the descriptor for an instant, and the kernel runs no file that is open for writing (`ETXTBSY`).
    pub fn script(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let written = Command::new("/bin/sh")
            .args(["-c", "printf %s \"$1\" >\"$0\" && chmod 755 \"$0\""])
            .arg(path)
            .arg(text)
            .status()
            .unwrap();
        assert!(written.success());
    }

    pub fn options(&self, seed: &Value) -> Options {
        self.put("seed.card.json", seed.to_string().as_bytes());
        Options {
            components: vec![self.path("components")],
            helpers: vec![self.path("helpers")],
            busybox: Some(self.path("busybox")),
            ..Options::new(self.path("seed.card.json"))
        }
    }

    /// What is said of Cards that cannot be packed, a line each.
    pub fn refused(&self, options: &Options) -> Vec<String> {
        let refused = self.build(options).unwrap_err();
        assert!(matches!(refused, Error::Cards { .. }), "{refused}");
        assert!(!self.path("image.zst").exists());
        let folder = format!("{}/", self.0.path().display());
        let text = refused.to_string().replace(&folder, "");
        text.lines().map(|line| line.trim().to_owned()).collect()
    }

    pub fn build(&self, options: &Options) -> Result<(Summary, Vec<Read>), Error> {
        let out = self.path("image.zst");
        let summary = build(options, &out)?;
        let packed = std::fs::read(&out).unwrap();
        assert_eq!(summary.sha256, Sha256::of(&packed).to_string());
        let unpacked = zstd::decode_all(packed.as_slice()).unwrap();
        assert_eq!(summary.unpacked, unpacked.len() as u64);
        Ok((summary, read_cpio(&unpacked)))
    }
}

/// A command that needs nothing.
pub fn hello_wasm() -> Vec<u8> {
    wat::parse_str(
        r#"(component
            (core module $m (func (export "f")))
            (core instance $i (instantiate $m))
            (func $f (canon lift (core func $i "f")))
            (instance $e (export "run" (func $f)))
            (export "wasi:cli/run@0.2.0" (instance $e)))"#,
    )
    .unwrap()
}

pub fn hello() -> String {
    Sha256::of(&hello_wasm()).to_string()
}

pub fn id(n: u32) -> String {
    format!("01J0000000000000000000{n:04}")
}

pub fn card(n: u32, label: &str, payload: Value) -> Value {
    json!({ "schema_version": 1, "id": id(n), "label": label, "payload": payload, "supervision": "OneShot" })
}

pub fn native(n: u32, label: &str, exec: &str) -> Value {
    card(n, label, json!({ "Native": { "exec": exec } }))
}

pub fn wasm(n: u32, label: &str, pin: &str) -> Value {
    card(
        n,
        label,
        json!({ "Wasm": { "module_sha256": pin, "entry": "run" } }),
    )
}

pub fn with(mut card: Value, key: &str, value: Value) -> Value {
    card[key] = value;
    card
}

pub fn seed(genesis: Vec<Value>) -> Value {
    with(
        card(0, "seed", json!("Virtual")),
        "genesis",
        Value::Array(genesis),
    )
}

pub fn data<'a>(entries: &'a [Read], path: &str) -> &'a [u8] {
    let found = entries.iter().find(|entry| entry.name == path);
    &found.unwrap_or_else(|| panic!("no {path}")).data
}

pub fn has(entries: &[Read], path: &str) -> bool {
    entries.iter().any(|entry| entry.name == path)
}
