//! Entries that run once to their end: `run` (`wasi:cli/run`) and an exported function.

use super::Actor;
use crate::body::{Job, Reply};
use crate::event::End;
use crate::exports::by_full_name;
use crate::loader::Loaded;
use arje_card::{Entry, WasmPayload};

/// Runs to the end. There is no deadline: how long a command lives is its own affair, and its
/// Card's supervisor can kill it. Being asked to stop is the end: a command has no way to hear it.
pub(super) async fn live(
    actor: &Actor,
    payload: &WasmPayload,
    loaded: &Loaded,
) -> Result<End, End> {
    let job = job(payload, loaded)?;
    let body = actor.instantiate(payload, loaded).await?;
    actor.started(payload);
    let (body, reply) = tokio::select! {
        biased;
        done = actor.call(body, job, None) => done?,
        () = actor.control.stopped() => return Err(End::Killed),
    };
    actor.leave(body); // what it printed last goes out before its end is told
    Ok(match reply {
        Reply::Done | Reply::Bytes(_) | Reply::Values(_) | Reply::Refused(_) => End::Exited(0),
        // `run` says no more than that it failed; the convention is exit code 1.
        Reply::Failed(message) if message.is_empty() => End::Exited(1),
        Reply::Failed(message) => {
            End::Failed(format!("`{}` returned an error: {message}", payload.entry))
        }
    })
}

fn job(payload: &WasmPayload, loaded: &Loaded) -> Result<Job, End> {
    match (&payload.entry, loaded.exports.run) {
        (Entry::Run, Some(run)) => Ok(Job::Run(run)),
        (entry, _) => by_full_name(&loaded.component, &entry.to_string())
            .map(Job::Export)
            .ok_or_else(|| {
                End::Refused(format!(
                    "payload.Wasm.entry is {:?}, but the component exports no such function; \
                     write `run`, `service`, `http`, `name` or `namespace:package/interface#name`",
                    entry.to_string()
                ))
            }),
    }
}
