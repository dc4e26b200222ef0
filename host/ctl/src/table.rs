//! The tree of all Entes, as lines of a table.

use std::collections::{HashMap, HashSet};

use arje_bus::EnteSummary;
use arje_card::Id;

use crate::words::duration;

/// What the columns are called.
const HEADER: [&str; 7] = ["ENTE", "STATE", "FOR", "BODY", "LIFE", "RESTARTS", "NOTE"];

/// Digits of a pin that are shown; as in the milestones of a boot.
const PIN_DIGITS: usize = 12;

/// The tree, one line for each Ente, children below their parent and indented; with a header. Order is that of `entes`.
#[must_use]
pub fn tree(entes: &[EnteSummary]) -> Vec<String> {
    let rows: Vec<[String; 7]> = [HEADER.map(str::to_owned)]
        .into_iter()
        .chain(
            in_order(entes)
                .into_iter()
                .map(|(depth, ente)| row(depth, ente)),
        )
        .collect();
    let widths: [usize; 7] = std::array::from_fn(|column| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.max().unwrap_or_default()
    });
    rows.iter().map(|row| line(row, &widths)).collect()
}

/// Parents before children. Whose parent is not among them stands at the top, so that nobody is left out.
fn in_order(entes: &[EnteSummary]) -> Vec<(usize, &EnteSummary)> {
    let known: HashSet<Id> = entes.iter().map(|ente| ente.id).collect();
    let mut children: HashMap<Option<Id>, Vec<&EnteSummary>> = HashMap::new();
    for ente in entes {
        let parent = ente.parent.filter(|parent| known.contains(parent));
        children.entry(parent).or_default().push(ente);
    }
    let mut order = Vec::new();
    let mut open: Vec<(usize, &EnteSummary)> = Vec::new();
    let push = |open: &mut Vec<_>, depth: usize, found: Option<Vec<_>>| {
        open.extend(
            found
                .unwrap_or_default()
                .into_iter()
                .rev()
                .map(|ente| (depth, ente)),
        );
    };
    push(&mut open, 0, children.remove(&None));
    while let Some((depth, ente)) = open.pop() {
        order.push((depth, ente));
        push(&mut open, depth + 1, children.remove(&Some(ente.id)));
    }
    order
}

fn row(depth: usize, ente: &EnteSummary) -> [String; 7] {
    [
        format!("{:indent$}{}", "", ente.label, indent = depth * 2),
        ente.state.name().to_owned(),
        duration(ente.since_ms),
        body(ente),
        ente.incarnation.to_string(),
        ente.restarts.to_string(),
        note(ente),
    ]
}

/// What an Ente lives as: a process, or a component by its pin.
#[must_use]
pub fn body(ente: &EnteSummary) -> String {
    match (ente.pid, pin(ente)) {
        (Some(pid), Some(pin)) => format!("pid {pid} wasm {}", &pin[..PIN_DIGITS]),
        (Some(pid), None) => format!("pid {pid}"),
        (None, Some(pin)) => format!("wasm {}", &pin[..PIN_DIGITS]),
        (None, None) => "-".to_owned(),
    }
}

/// The pin of its component as 64 hexadecimal digits.
#[must_use]
pub fn pin(ente: &EnteSummary) -> Option<String> {
    let bytes = ente.pin?;
    Some(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn note(ente: &EnteSummary) -> String {
    match (&ente.held_by, ente.wanted) {
        (Some(hold), _) => hold.clone(),
        (None, false) => "not wanted".to_owned(),
        (None, true) => String::new(),
    }
}

fn line(row: &[String; 7], widths: &[usize; 7]) -> String {
    let cells = row.iter().zip(widths);
    let padded: Vec<String> = cells
        .map(|(cell, width)| format!("{cell:width$}", width = *width))
        .collect();
    padded.join("  ").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use arje_bus::{EnteState, PayloadKind};

    fn ente(number: u8, parent: Option<u8>) -> EnteSummary {
        EnteSummary {
            id: Id::from_bytes([number; 16]),
            label: format!("e{number}"),
            parent: parent.map(|number| Id::from_bytes([number; 16])),
            payload: PayloadKind::Virtual,
            state: EnteState::Ready,
            since_ms: 1000,
            wanted: true,
            incarnation: 1,
            restarts: 0,
            pid: None,
            pin: None,
            held_by: None,
            provides: Vec::new(),
            provides_total: 0,
        }
    }

    #[test]
    fn children_stand_below_their_parents_and_nobody_is_left_out() {
        let entes = [
            ente(1, Some(9)),
            ente(2, Some(1)),
            ente(3, None),
            ente(4, Some(2)),
            ente(5, Some(1)),
        ];
        let labels: Vec<String> = tree(&entes)
            .iter()
            .map(|line| line.split("  ready").next().unwrap().trim_end().to_owned())
            .collect();
        assert_eq!(labels[1..], ["e1", "  e2", "    e4", "  e5", "e3"]);
    }

    #[test]
    fn columns_are_aligned_and_notes_say_why() {
        let mut held = ente(1, None);
        held.held_by = Some("needs Power".into());
        held.state = EnteState::Waiting;
        let mut process = ente(2, None);
        process.pid = Some(77);
        process.wanted = false;
        let mut component = ente(3, None);
        component.pin = Some([0xab; 32]);
        let mut stopped = ente(4, None);
        stopped.state = EnteState::Declared;
        stopped.wanted = false;
        assert_eq!(
            tree(&[held, process, component, stopped]),
            [
                "ENTE  STATE     FOR  BODY               LIFE  RESTARTS  NOTE",
                "e1    waiting   1 s  -                  1     0         needs Power",
                "e2    ready     1 s  pid 77             1     0         not wanted",
                "e3    ready     1 s  wasm abababababab  1     0",
                "e4    declared  1 s  -                  1     0         not wanted",
            ]
        );
    }
}
