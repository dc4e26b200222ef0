//! The components of the image and their ahead-of-time artifacts, in the layout of `arje-store` below
//! `/ente`: `cas/SHA256`, `aot/SHA256` and `aot/index`. PID 1 trusts the index because it came with the image.

use std::path::PathBuf;

use arje_card::Pin;
use arje_store::compiler::{Compiler, protocol::Cpu};
use arje_store::{Index, MAX_RECORDS, Record, Sha256};
use arje_verify::pins::Components;

use crate::error::Error;
use crate::tree::{Group, Tree};

/// The store in the image.
const ROOT: &str = "/ente";

/// Adds each component, compiles it, adds the artifact, and binds them in the index. Each pin comes with the
/// label of a Card that pins it, for errors; its component must be at hand.
///
/// # Errors
/// [`Error::Module`] when the compiler refuses a component or cannot be run; [`Error::TooLarge`] for more
/// modules than an index takes.
pub fn add(
    tree: &mut Tree,
    pinned: &[(Pin, &str)],
    components: &Components,
    compiler: PathBuf,
    cpu: Cpu,
) -> Result<(), Error> {
    if pinned.len() > MAX_RECORDS {
        return Err(Error::TooLarge {
            what: "modules of the image".to_owned(),
            found: pinned.len() as u64,
            cap: MAX_RECORDS as u64,
        });
    }
    let compiler = Compiler::new(compiler).cpu(cpu);
    let engine = compiler.fingerprint().map_err(|error| Error::NotFound {
        what: format!("usable compiler: {error}"),
        searched: vec![compiler.program().to_owned()],
        remedy: "build ente-compile anew".to_owned(),
    })?;
    let mut index = Index::default();
    for (pin, label) in pinned {
        let module = |reason: String| Error::Module {
            label: (*label).to_owned(),
            pin: pin.to_string(),
            reason,
        };
        let wasm = components
            .wasm(*pin)
            .ok_or_else(|| module("not at hand".to_owned()))?;
        let artifact = compiler
            .compile(wasm, engine)
            .map_err(|error| module(error.to_string()))?;
        let record = Record {
            module: Sha256::from(pin.0),
            artifact: Sha256::of(&artifact),
            engine,
            bytes: artifact.len() as u64,
        };
        index.insert(record);
        tree.add_file(&format!("{ROOT}/cas/{pin}"), wasm, 0o644, Group::Modules)?;
        let path = format!("{ROOT}/aot/{}", record.artifact);
        tree.add_file(&path, artifact, 0o644, Group::Artifacts)?;
    }
    tree.add_file(
        &format!("{ROOT}/aot/index"),
        index.encode(),
        0o644,
        Group::Artifacts,
    )
}
