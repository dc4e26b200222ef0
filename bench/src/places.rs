//! Where things are and go: the programs of this tree, the store of this run, small native programs
//! built for it. Everything made is below `target/bench`.

use std::path::{Path, PathBuf};
use std::process::Command;

use arje_guest_artifacts::{ente_compile, find, folders};
use arje_store::compiler::Compiler;
use arje_store::{Sha256, Store};

use crate::error::Error;

/// The C compiler, which `./dev setup` installs.
const CC: &str = "cc";

/// Folders and helpers of one run.
#[derive(Debug)]
pub struct Places {
    /// The checkout.
    pub root: PathBuf,
    /// Cargo's target folder.
    pub target: PathBuf,
    /// Ours, below it; emptied when a run begins, but for the peers.
    pub work: PathBuf,
    /// Where `ente-zero` and its helpers are: beside this program.
    pub programs: PathBuf,
    /// The store with the components of this run.
    pub store: PathBuf,
    /// Makes artifacts.
    pub compiler: Compiler,
    /// The engine that artifacts are for.
    pub fingerprint: Sha256,
}

impl Places {
    /// Looks for everything, and makes the folders.
    ///
    /// # Errors
    /// Something is missing; the error says how to get it.
    pub fn prepare() -> Result<Self, Error> {
        let places = Self::find()?;
        for stale in [&places.store, &places.work.join("boot")] {
            // What is not there need not go.
            let _ = std::fs::remove_dir_all(stale);
        }
        for folder in [&places.work, &places.work.join("boot")] {
            std::fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
        }
        Store::create(&places.store).map_err(Error::tree)?;
        Ok(places)
    }

    /// Looks for everything; for a child of a run that is under way.
    ///
    /// # Errors
    /// As [`prepare`](Self::prepare).
    pub fn find() -> Result<Self, Error> {
        let folders = folders();
        let work = folders.target.join("bench");
        let exe = std::env::current_exe().map_err(Error::io("find", "arje-bench"))?;
        let engine = arje_engine::engine().map_err(Error::tree)?;
        Ok(Self {
            root: folders
                .guests
                .parent()
                .map(Path::to_owned)
                .unwrap_or_default(),
            programs: exe.parent().map(Path::to_owned).unwrap_or_default(),
            store: work.join("store"),
            work,
            target: folders.target,
            compiler: Compiler::new(ente_compile().map_err(Error::Missing)?),
            fingerprint: arje_engine::fingerprint(&engine).into(),
        })
    }

    /// The store of this run.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn open_store(&self) -> Result<Store, Error> {
        Store::open(&self.store).map_err(Error::tree)
    }

    /// Puts a component of this tree into the store, compiled, and returns its pin.
    ///
    /// # Errors
    /// There is none of this name, or it cannot be read or compiled.
    pub fn stock(&self, name: &str) -> Result<Sha256, Error> {
        let store = self.open_store()?;
        let pin = store.put_module(&wasm(name)?).map_err(Error::tree)?;
        store
            .ensure(pin, self.fingerprint, &self.compiler)
            .map_err(Error::tree)?;
        Ok(pin)
    }

    /// Builds a C program of `bench/native` as a static executable.
    ///
    /// # Errors
    /// The compiler is missing or does not like the program.
    pub fn build_native(&self, source: &str, name: &str, flags: &[&str]) -> Result<PathBuf, Error> {
        let source = self.root.join("bench/native").join(source);
        let program = self.work.join(name);
        let output = Command::new(CC)
            .args(["-O2", "-Wall", "-static", "-s", "-o"])
            .args([&program, &source])
            .args(flags)
            .output()
            .map_err(|error| Error::program(CC, error))?;
        if output.status.success() {
            return Ok(program);
        }
        let reason = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Err(Error::program(CC, reason))
    }
}

/// Flags for a C program without a C library.
pub const FREESTANDING: [&str; 4] = [
    "-nostdlib",
    "-ffreestanding",
    "-fno-stack-protector",
    "-fno-asynchronous-unwind-tables",
];

/// The bytes of a component of this tree.
///
/// # Errors
/// There is none of this name, or it cannot be read.
pub fn wasm(name: &str) -> Result<Vec<u8>, Error> {
    let guest = find(name).ok_or_else(|| Error::guest(name, "it was not built"))?;
    guest.bytes().map_err(Error::io("read", guest.path()))
}
