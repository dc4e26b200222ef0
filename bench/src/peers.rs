//! A whole one-shot component, from the request to its exit: in the host, and as a process of the
//! `wasmtime` program, in turns.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arje_store::Sha256;
use arje_wasm::End;

use crate::error::Error;
use crate::places::Places;
use crate::plan::Plan;
use crate::rig::{Rig, card};
use crate::stats::Samples;
use crate::table::Table;

/// A component of the entry `run` that prints one line and exits with 0.
const ONE_SHOT: &str = "run_ok";

/// The peer, at the major version that this tree uses.
const PEER: &str = "wasmtime-cli";
const PEER_VERSION: &str = "^48";
/// What `wasmtime run` and `wasmtime compile` need for a component, and nothing that would slow it
/// down. Without the feature `cache`, `run` compiles each time.
const PEER_FEATURES: &str = "run,compile,component-model,parallel-compilation";

/// What was measured.
#[derive(Debug, Default)]
pub struct OneShots {
    /// In the host, not in memory.
    pub cold: Samples,
    /// In the host, already loaded.
    pub warm: Samples,
    /// `wasmtime run` of what `wasmtime compile` made.
    pub precompiled: Samples,
    /// `wasmtime run`, compiling.
    pub compiling: Samples,
    peer: String,
}

/// Measures one-shots. A peer that cannot be had is a note, not an error.
///
/// # Errors
/// A component is missing or does not run.
pub fn measure(places: &Places, plan: &Plan) -> Result<OneShots, Error> {
    let mut shots = OneShots::default();
    let pin = places.stock(ONE_SHOT)?;
    let peer = Peer::get(places, plan.build_peer);
    shots.peer = match &peer {
        Ok(peer) => peer.version()?,
        Err(error) => format!("not measured: {error}"),
    };
    for _ in 0..plan.oneshot_rounds {
        one_round(places, pin, &mut shots)?;
        if let Ok(peer) = &peer {
            shots.precompiled.push(peer.run(&peer.artifact)?);
            shots.compiling.push(peer.run(&peer.component)?);
        }
    }
    Ok(shots)
}

/// A host that has not loaded the component yet runs it, and runs it again.
fn one_round(places: &Places, pin: Sha256, shots: &mut OneShots) -> Result<(), Error> {
    let rig = Rig::new(places)?;
    // Not the first component of its process.
    let other = places.stock("hello")?;
    let other = Arc::new(card(other, "hello", "service"));
    rig.start_ready(&other)?;
    rig.end(&other)?;
    shots.cold.push(run(&rig, pin)?);
    shots.warm.push(run(&rig, pin)?);
    Ok(())
}

fn run(rig: &Rig, pin: Sha256) -> Result<Duration, Error> {
    let card = Arc::new(card(pin, ONE_SHOT, "run"));
    let begin = Instant::now();
    rig.start(&card);
    let end = rig.wait_end(&card)?;
    let took = begin.elapsed();
    if end == End::Exited(0) {
        Ok(took)
    } else {
        Err(Error::guest(ONE_SHOT, end))
    }
}

/// The `wasmtime` program and what it runs.
struct Peer {
    program: PathBuf,
    component: PathBuf,
    artifact: PathBuf,
}

impl Peer {
    fn get(places: &Places, build: bool) -> Result<Self, Error> {
        let root = places.work.join("peers");
        let program = root.join("bin/wasmtime");
        if !program.is_file() {
            install(&root, build)?;
        }
        let guest = arje_guest_artifacts::find(ONE_SHOT)
            .ok_or_else(|| Error::guest(ONE_SHOT, "it was not built"))?;
        let peer = Self {
            program,
            component: guest.path().to_owned(),
            artifact: places.work.join("run_ok.cwasm"),
        };
        let mut compile = Command::new(&peer.program);
        compile
            .arg("compile")
            .arg("-o")
            .args([&peer.artifact, &peer.component]);
        succeed(&mut compile)?;
        Ok(peer)
    }

    fn version(&self) -> Result<String, Error> {
        let output = Command::new(&self.program)
            .arg("--version")
            .output()
            .map_err(|error| Error::program(&self.program, error))?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// `posix_spawn` (which `Command` uses), exit and wait.
    fn run(&self, component: &Path) -> Result<Duration, Error> {
        let mut command = Command::new(&self.program);
        command.args(["run", "--allow-precompiled"]).arg(component);
        let begin = Instant::now();
        succeed(&mut command)?;
        Ok(begin.elapsed())
    }
}

fn install(root: &Path, build: bool) -> Result<(), Error> {
    if !build {
        return Err(Error::Missing(
            "`wasmtime` was not built yet; a run without --quick builds it".to_owned(),
        ));
    }
    eprintln!("bench: building {PEER} {PEER_VERSION} as a peer; this takes minutes, once");
    let mut cargo = Command::new("cargo");
    cargo
        .args(["install", PEER, "--locked", "--no-default-features"])
        .args([
            "--version",
            PEER_VERSION,
            "--features",
            PEER_FEATURES,
            "--root",
        ])
        .arg(root)
        .arg("--target-dir")
        .arg(root.join("build"));
    succeed(&mut cargo)
}

/// Runs a program whose words do not matter unless it fails.
fn succeed(command: &mut Command) -> Result<(), Error> {
    let program = PathBuf::from(command.get_program());
    let output = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .output()
        .map_err(|error| Error::program(&program, error))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let last = said.trim().lines().last().unwrap_or_default();
    Err(Error::program(
        program,
        format!("{}: {last}", output.status),
    ))
}

impl OneShots {
    /// The tables of this section.
    #[must_use]
    pub fn tables(&self) -> Vec<Table> {
        let mut table = Table::of_times("A whole one-shot: from the request to the exit status");
        for (what, samples) in [
            ("in the host, already loaded", &self.warm),
            ("in the host, not in memory", &self.cold),
            (
                "`wasmtime run` of a precompiled artifact",
                &self.precompiled,
            ),
            ("`wasmtime run`, compiling", &self.compiling),
        ] {
            table.times(what, samples.summary());
        }
        table.note(format!(
            "The component is `{ONE_SHOT}` (Rust with std and WASI; prints a line). The peer: {}.",
            self.peer
        ));
        vec![table]
    }
}
