//! What the bus says, as JSON.

use arje_bus::{
    EnteStatus, EnteSummary, Event, Happening, Identity, LogEntry, LogRecord, Telemetry,
};
use serde_json::{Value, json};

use crate::table::pin;

/// An Ente on a list.
#[must_use]
pub fn summary(ente: &EnteSummary) -> Value {
    json!({
        "id": ente.id.to_string(),
        "label": ente.label,
        "parent": ente.parent.map(|id| id.to_string()),
        "payload": ente.payload.name(),
        "state": ente.state.name(),
        "since_ms": ente.since_ms,
        "wanted": ente.wanted,
        "incarnation": ente.incarnation,
        "restarts": ente.restarts,
        "pid": ente.pid,
        "pin": pin(ente),
        "held_by": ente.held_by,
        "provides": ente.provides,
        "provides_total": ente.provides_total,
    })
}

/// Everything about one.
#[must_use]
pub fn status(status: &EnteStatus, telemetry: &Telemetry) -> Value {
    let history = status.history.iter().map(|change| {
        json!({
            "ago_ms": change.ago_ms,
            "incarnation": change.incarnation,
            "from": change.from.name(),
            "to": change.to.name(),
            "cause": change.cause,
        })
    });
    let mut value = summary(&status.summary);
    let more = json!({
        "starts": status.starts,
        "started_ms": status.started_ms,
        "ready_after_ms": status.ready_after_ms,
        "last_exit": status.last_exit.as_ref().map(exit),
        "next_in_ms": status.next_in_ms,
        "history": history.collect::<Value>(),
        "says": status.says,
        "mem_bytes": telemetry.mem_bytes,
        "nproc": telemetry.nproc,
        "cpu_usec": telemetry.cpu_usec,
    });
    if let (Value::Object(value), Value::Object(more)) = (&mut value, more) {
        value.extend(more);
    }
    value
}

fn exit(exit: &arje_bus::Exit) -> Value {
    json!({
        "kind": format!("{:?}", exit.kind).to_lowercase(),
        "number": exit.number,
        "text": exit.text,
    })
}

/// An event.
#[must_use]
pub fn event(event: &Event) -> Value {
    match (event, event.happening()) {
        (Event::Lagged(count), _) => json!({ "event": "lagged", "count": count }),
        (_, Some(what)) => happening(&event.name(), what),
        (_, None) => json!({ "event": event.name() }),
    }
}

fn happening(name: &str, what: &Happening) -> Value {
    json!({
        "event": name,
        "at_ms": what.at_ms,
        "id": what.id.to_string(),
        "label": what.label,
        "incarnation": what.incarnation,
        "state": what.state.name(),
        "cause": what.cause,
        "exit": what.exit.as_ref().map(exit),
    })
}

/// A record of a log.
#[must_use]
pub fn log_record(record: &LogRecord) -> Value {
    let mut value = json!({
        "number": record.number,
        "time_us": record.time_us,
        "incarnation": record.incarnation,
    });
    match &record.entry {
        LogEntry::Line(line) => {
            value["source"] = line.source.name().into();
            value["text"] = line.text.clone().into();
        }
        LogEntry::Lost(lost) => {
            value["lost"] = json!({ "lines": lost.lines, "bytes": lost.bytes });
        }
    }
    value
}

/// A caller.
#[must_use]
pub fn identity(who: &Identity) -> Value {
    json!({
        "pid": who.pid,
        "uid": who.uid,
        "gid": who.gid,
        "ente": who.ente.map(|id| id.to_string()),
        "label": who.label,
        "rights": {
            "entes": who.rights.entes,
            "power": who.rights.power,
            "switch_root": who.rights.switch_root,
        },
    })
}
