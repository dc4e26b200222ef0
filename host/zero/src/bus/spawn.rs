//! What a caller may bring to life: nothing that may more than itself. Pure.
//!
//! Who is under no restriction may spawn anything. Anybody else has the right by its Card's `holds`, and its Card is
//! then the measure: each Card that it brings, and each one below, gets no more than that Card has. Where more and
//! less cannot be told (namespaces, mounts, users), it has to be the same; and what PID 1 opens with an authority of
//! its own (sockets, credentials, folders, terminals) is handed on by nobody.

use super::caller::{Caller, is_unconfined};
use super::caps;
use arje_bus::{BusError, ErrorCode};
use arje_card::{Card, Payload};

/// Whether this caller may bring this Card to life, with all below it.
///
/// # Errors
///
/// Some Card would get more than the caller has: which, and what.
pub fn may_spawn(caller: &Caller, owner_uid: u32, root: &Card) -> Result<(), BusError> {
    if caller.is_unrestricted(owner_uid) {
        return Ok(());
    }
    let forbidden = |message: String| Err(BusError::new(ErrorCode::Forbidden, message));
    let Some(member) = &caller.ente else {
        // It has no right to spawn either.
        return forbidden("only user 0 and Entes can spawn".to_owned());
    };
    let spawner = &member.card;
    for visit in root.walk() {
        let excess = match runs_as(visit.card, caller, spawner, owner_uid) {
            true => excess(visit.card, spawner),
            false => Some("soma.run_as"),
        };
        if let Some(field) = excess {
            return forbidden(format!(
                "{} (Card `{}`): {field}: is more than its spawner `{}` has, or something else; \
                 a spawned Card gets no more than its spawner",
                visit.path, visit.card.label, spawner.label
            ));
        }
    }
    Ok(())
}

/// Whether its processes would be the user that asks. A component without a body has no user, so it brings no
/// processes to life.
fn runs_as(card: &Card, caller: &Caller, spawner: &Card, owner_uid: u32) -> bool {
    match (&card.payload, &spawner.soma.run_as) {
        (Payload::Virtual, _) => true,
        (Payload::Wasm(_), _) if card.soma.is_off() => true,
        (_, None) => caller.is_trusted_user(owner_uid),
        (_, Some(user)) => caller.uid == user.uid,
    }
}

/// The first field in which a Card has more than its spawner.
fn excess(card: &Card, spawner: &Card) -> Option<&'static str> {
    let (may, has) = (&card.permissions, &spawner.permissions);
    let (is_process, preopens) = match &card.payload {
        Payload::Virtual => (false, false),
        // With a body it runs in a process.
        Payload::Wasm(wasm) => (!card.soma.is_off(), !wasm.preopens.is_empty()),
        Payload::Native(_) | Payload::Legacy(_) => (true, false),
    };
    // The network of a component is PID 1's, whichever one its spawner sees.
    let reaches_out =
        matches!(card.payload, Payload::Wasm(_)) && may.networking != Default::default();
    // A component sees its preopens; a process sees whatever there is.
    let sees_more = is_process
        && matches!(spawner.payload, Payload::Wasm(_))
        && may.filesystem != Default::default();
    let new_way = |name: &String| !has.ipc.allows(name);
    let (soma, own) = (&card.soma, &spawner.soma);
    let checks = [
        ("holds", !card.holds.is_subset(&spawner.holds)),
        (
            "permissions.networking",
            may.networking > has.networking || reaches_out,
        ),
        (
            "permissions.filesystem",
            may.filesystem > has.filesystem || sees_more,
        ),
        ("permissions.ipc.allow", may.ipc.allow.iter().any(new_way)),
        ("permissions.processes", may.processes && !has.processes),
        (
            "soma.namespaces",
            is_process && soma.namespaces != own.namespaces,
        ),
        ("soma.mounts", is_process && soma.mounts != own.mounts),
        ("soma.run_as", is_process && soma.run_as != own.run_as),
        ("soma.cgroup.path", soma.cgroup.path.is_some()),
        ("permissions", is_unconfined(card)),
        ("listen", !card.listen.is_empty()),
        ("credentials", !card.credentials.is_empty()),
        ("payload.Wasm.preopens", preopens),
        (
            "console",
            !matches!(arje_native::console_of(card), Ok(None)),
        ),
    ];
    let found = checks.into_iter().find(|(_, exceeds)| *exceeds);
    found
        .map(|(field, _)| field)
        .or_else(|| caps::exceeded(card, spawner))
}
