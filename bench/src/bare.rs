//! What wasmtime and the store take by themselves, step by step: the same component without an actor.
//! It shows which part of a start or of a call belongs to whom.

use std::time::Instant;

use arje_store::{Sha256, Store as ContentStore};
use wasmtime::component::{Component, Instance, InstancePre, Linker, TypedFunc};
use wasmtime::{Engine, Store};

use crate::error::Error;
use crate::places::Places;
use crate::rig::Rig;
use crate::stats::Samples;

/// The function that is called.
pub const ECHO: &str = "echo";
/// The interface that exports it.
pub const CALLS: &str = "arje:test/calls@1.0.0";

type Echo = TypedFunc<(Vec<u8>,), (Vec<u8>,)>;

/// The steps of a start.
#[derive(Debug, Default)]
pub struct Steps {
    /// Reading module and artifact and checking both hashes.
    pub verify: Samples,
    /// Making a component of the artifact's bytes.
    pub deserialize: Samples,
    /// Resolving its imports.
    pub link: Samples,
    /// Making its first instance, on a fibre; this also makes the image of its initial memory.
    pub instantiate: Samples,
    /// Making another one.
    pub again: Samples,
    /// Dropping the instance.
    pub drop: Samples,
}

/// An engine like the host's, and a store.
pub struct Bare {
    engine: Engine,
    store: ContentStore,
    fingerprint: Sha256,
}

impl Bare {
    /// # Errors
    /// The engine or the store cannot be had.
    pub fn new(places: &Places) -> Result<Self, Error> {
        Ok(Self {
            engine: arje_engine::engine().map_err(Error::tree)?,
            store: places.open_store()?,
            fingerprint: places.fingerprint,
        })
    }

    /// Goes through the steps of a start once. `rig` lends its worker threads.
    ///
    /// # Errors
    /// One of them fails.
    pub fn start(&self, pin: Sha256, rig: &Rig, steps: &mut Steps) -> Result<(), Error> {
        let begin = Instant::now();
        let artifact = self
            .store
            .artifact(pin, self.fingerprint)
            .map_err(Error::tree)?;
        let verified = Instant::now();
        let component = self.deserialize(artifact.bytes())?;
        let deserialized = Instant::now();
        let pre = self.link(&component)?;
        let linked = Instant::now();
        let (store, _) = self.instantiate(&pre, rig)?;
        let instantiated = Instant::now();
        let (another, _) = self.instantiate(&pre, rig)?;
        steps.again.push(instantiated.elapsed());
        let dropped = Instant::now();
        drop(another);
        steps.drop.push(dropped.elapsed());
        drop(store);
        steps.verify.push(verified - begin);
        steps.deserialize.push(deserialized - verified);
        steps.link.push(linked - deserialized);
        steps.instantiate.push(instantiated - linked);
        Ok(())
    }

    /// Calls `echo` with so many bytes, so many times.
    ///
    /// # Errors
    /// The component has no such export, or a call fails.
    pub fn calls(
        &self,
        pin: Sha256,
        rig: &Rig,
        size: usize,
        count: usize,
    ) -> Result<Samples, Error> {
        let artifact = self
            .store
            .artifact(pin, self.fingerprint)
            .map_err(Error::tree)?;
        let component = self.deserialize(artifact.bytes())?;
        let (mut store, instance) = self.instantiate(&self.link(&component)?, rig)?;
        let echo = echo_of(&instance, &mut store)?;
        let payload = vec![7; size];
        let calls = async {
            let mut samples = Samples::default();
            for _ in 0..count {
                let payload = payload.clone();
                let begin = Instant::now();
                echo.call_async(&mut store, (payload,)).await?;
                samples.push(begin.elapsed());
            }
            Ok::<_, wasmtime::Error>(samples)
        };
        rig.host.workers().block_on(calls).map_err(Error::tree)
    }

    fn deserialize(&self, artifact: &[u8]) -> Result<Component, Error> {
        // SAFETY: the bytes come out of `ContentStore::artifact`, which hashed them and found the hash
        // in an index that this run wrote.
        unsafe { Component::deserialize(&self.engine, artifact) }.map_err(Error::tree)
    }

    /// Its imports trap when they are called; `echo` calls none.
    fn link(&self, component: &Component) -> Result<InstancePre<()>, Error> {
        let mut linker = Linker::new(&self.engine);
        linker
            .define_unknown_imports_as_traps(component)
            .and_then(|()| linker.instantiate_pre(component))
            .map_err(Error::tree)
    }

    fn instantiate(
        &self,
        pre: &InstancePre<()>,
        rig: &Rig,
    ) -> Result<(Store<()>, Instance), Error> {
        let mut store = Store::new(&self.engine, ());
        store.set_epoch_deadline(1); // nobody counts epochs of this engine
        let made = pre.instantiate_async(&mut store);
        let instance = rig.host.workers().block_on(made).map_err(Error::tree)?;
        Ok((store, instance))
    }
}

fn echo_of(instance: &Instance, store: &mut Store<()>) -> Result<Echo, Error> {
    let missing = || Error::guest(CALLS, "it is not exported");
    let interface = instance
        .get_export_index(&mut *store, None, CALLS)
        .ok_or_else(missing)?;
    let function = instance
        .get_export_index(&mut *store, Some(&interface), ECHO)
        .ok_or_else(missing)?;
    instance
        .get_typed_func(store, function)
        .map_err(Error::tree)
}
