//! From a pin to a running component, beside starting a process, in turns.

use std::time::Instant;

use arje_store::{Sha256, Store};

use crate::bare::{Bare, Steps};
use crate::error::Error;
use crate::native::Nothing;
use crate::places::{Places, wasm};
use crate::plan::Plan;
use crate::rig::{Rig, hello};
use crate::stats::{Bytes, Samples};
use crate::table::Table;

/// What was measured.
#[derive(Debug, Default)]
pub struct Starts {
    compile: Samples,
    /// The first component of a process.
    first: Samples,
    /// Never loaded before, timed on the worker.
    pub cold: Samples,
    cold_from_loop: Samples,
    /// Already loaded, timed on the worker.
    pub warm: Samples,
    warm_from_loop: Samples,
    /// `posix_spawn`, exit and wait of a static program with glibc.
    pub spawn: Samples,
    /// The same of a program without a C library.
    pub spawn_without_libc: Samples,
    /// The parts of a start, without an actor.
    pub steps: Steps,
    module_bytes: u64,
    artifact_bytes: u64,
}

/// Measures loading, instantiating, compiling and spawning.
///
/// # Errors
/// A program or component is missing or does not run.
pub fn measure(places: &Places, plan: &Plan) -> Result<Starts, Error> {
    let mut starts = Starts::default();
    let variants = variants(places, 2 * plan.cold * plan.rounds, &mut starts)?;
    let natives = [Nothing::with_libc(places)?, Nothing::without_libc(places)?];
    let resident = places.stock("hello")?;
    let rig = Rig::new(places)?;
    let bare = Bare::new(places)?;
    starts.first.push(rig.time_on_worker(&hello(resident))?);
    for fresh in variants.chunks_exact(2 * plan.cold) {
        let (on_worker, from_loop) = fresh.split_at(plan.cold);
        let resident = vec![resident; plan.repeats];
        worker_starts(&rig, on_worker, &mut starts.cold)?;
        worker_starts(&rig, &resident, &mut starts.warm)?;
        loop_starts(&rig, from_loop, &mut starts.cold_from_loop)?;
        loop_starts(&rig, &resident, &mut starts.warm_from_loop)?;
        spawns(&natives[0], plan.repeats, &mut starts.spawn)?;
        spawns(&natives[1], plan.repeats, &mut starts.spawn_without_libc)?;
        for pin in resident {
            bare.start(pin, &rig, &mut starts.steps)?;
        }
    }
    Ok(starts)
}

fn worker_starts(rig: &Rig, pins: &[Sha256], samples: &mut Samples) -> Result<(), Error> {
    for pin in pins {
        let card = hello(*pin);
        samples.push(rig.time_on_worker(&card)?);
        rig.end(&card)?;
    }
    Ok(())
}

fn loop_starts(rig: &Rig, pins: &[Sha256], samples: &mut Samples) -> Result<(), Error> {
    for pin in pins {
        let card = hello(*pin);
        samples.push(rig.time_from_loop(&card)?);
        rig.end(&card)?;
    }
    Ok(())
}

fn spawns(program: &Nothing, count: usize, samples: &mut Samples) -> Result<(), Error> {
    for _ in 0..count {
        samples.push(program.run()?);
    }
    Ok(())
}

/// Puts so many components into the store that differ in their pins only, and compiles each.
fn variants(places: &Places, count: usize, starts: &mut Starts) -> Result<Vec<Sha256>, Error> {
    let (store, original) = (places.open_store()?, wasm("hello")?);
    starts.module_bytes = original.len() as u64;
    (0..count)
        .map(|n| compile(places, &store, &variant(&original, n), starts))
        .collect()
}

fn compile(
    places: &Places,
    store: &Store,
    wasm: &[u8],
    starts: &mut Starts,
) -> Result<Sha256, Error> {
    let pin = store.put_module(wasm).map_err(Error::tree)?;
    let begin = Instant::now();
    let artifact = places
        .compiler
        .compile(wasm, places.fingerprint)
        .map_err(Error::tree)?;
    starts.compile.push(begin.elapsed());
    starts.artifact_bytes = artifact.len() as u64;
    store
        .put_artifact(pin, places.fingerprint, artifact)
        .map_err(Error::tree)?;
    Ok(pin)
}

/// The component with a custom section at its end (binary format: id 0, size, name with its size,
/// contents), which gives it another hash and changes nothing else.
fn variant(wasm: &[u8], n: usize) -> Vec<u8> {
    const NAME: &[u8] = b"variant";
    let contents = (n as u64).to_le_bytes();
    // All sizes are below 128, so each is one byte of LEB128.
    let size = 1 + NAME.len() + contents.len();
    let mut bytes = wasm.to_vec();
    bytes.extend([0, size as u8, NAME.len() as u8]);
    bytes.extend(NAME);
    bytes.extend(contents);
    bytes
}

impl Starts {
    /// The tables of this section.
    #[must_use]
    pub fn tables(&self) -> Vec<Table> {
        vec![self.starts(), self.steps()]
    }

    fn starts(&self) -> Table {
        let mut table = Table::of_times("Starting: a component beside a process");
        for (what, samples) in [
            (
                "component not in memory: verify, load, link, instantiate",
                &self.cold,
            ),
            ("component already loaded: instantiate", &self.warm),
            (
                "the same two as the core loop sees them: not in memory",
                &self.cold_from_loop,
            ),
            ("… and already loaded", &self.warm_from_loop),
            ("the first component of a process", &self.first),
            ("posix_spawn + exit + wait, static with glibc", &self.spawn),
            (
                "posix_spawn + exit + wait, without libc",
                &self.spawn_without_libc,
            ),
            (
                "compiling it (`ente-compile`, sandbox and process included)",
                &self.compile,
            ),
        ] {
            table.times(what, samples.summary());
        }
        table.note(format!(
            "The component is `hello`: {} of Wasm, {} of artifact. Not in memory: each sample is another pin, \
             never loaded before; the files are in the page cache.",
            Bytes(self.module_bytes),
            Bytes(self.artifact_bytes)
        ));
        table.note(
            "Rows 1 and 2: from `Host::start` to the event `Started`, both on a worker thread. As the core loop \
             sees it, a wake-up of the worker and one of the loop come on top.",
        );
        table
    }

    fn steps(&self) -> Table {
        let steps = &self.steps;
        let mut table = Table::of_times("The steps of a start, without an actor");
        for (what, samples) in [
            (
                "read and hash module and artifact (`Store::artifact`)",
                &steps.verify,
            ),
            (
                "make the component (`Component::deserialize`)",
                &steps.deserialize,
            ),
            ("link", &steps.link),
            (
                "instantiate, on a fibre (with the image of its memory)",
                &steps.instantiate,
            ),
            ("instantiate again", &steps.again),
            ("drop", &steps.drop),
        ] {
            table.times(what, samples.summary());
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variants_differ_in_their_pin_only() {
        let original = [0, 0x61, 0x73, 0x6d, 0x0d, 0, 1, 0];
        let (a, b) = (variant(&original, 1), variant(&original, 2));
        assert_ne!(a, b);
        assert!(a.starts_with(&original));
        // Section id, size of the rest, size of the name.
        assert_eq!(a[8..11], [0, 16, 7]);
        assert_eq!(a.len(), 8 + 2 + 16);
    }
}
