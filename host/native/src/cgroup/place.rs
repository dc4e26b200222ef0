//! Where in the tree the cgroup of an Ente is.

use std::fmt;

use arje_card::{Card, Payload};

/// Levels of a place. Every level costs the kernel time whenever something is accounted.
const MAX_DEPTH: usize = 8;

/// Longest name of a folder, in bytes (`NAME_MAX`, limits.h).
const MAX_NAME: usize = 255;

/// The kernel's own files begin so, and a folder cannot have the name of one. The list holds controllers that the
/// host does not use, too: they may be switched on by somebody else.
const RESERVED: [&str; 12] = [
    "cgroup",
    "cpu",
    "cpuset",
    "io",
    "memory",
    "pids",
    "hugetlb",
    "rdma",
    "misc",
    "perf_event",
    "irq",
    "dmem",
];

/// A path below the host's subtree, without a leading slash.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place(String);

impl Place {
    /// The Card's `soma.cgroup.path`, else a folder named by its id.
    #[must_use]
    pub fn of(card: &Card) -> Place {
        Place(match &card.soma.cgroup.path {
            Some(path) => path.clone(),
            None => card.id.to_string(),
        })
    }

    /// As text, `a/b`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Each folder on the way, the place itself last: `a`, `a/b`.
    pub(crate) fn levels(&self) -> impl Iterator<Item = &str> {
        let inner = self
            .0
            .match_indices('/')
            .filter_map(|(end, _)| self.0.get(..end));
        inner.chain([self.0.as_str()])
    }

    /// Whether this is `other`, or lies below it.
    fn is_within(&self, other: &Place) -> bool {
        let rest = self.0.strip_prefix(other.0.as_str());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// What keeps it from being a place, if anything.
    fn problem(&self) -> Option<String> {
        let parts = || self.0.split('/');
        if parts().count() > MAX_DEPTH {
            return Some(format!("more than {MAX_DEPTH} levels; use fewer"));
        }
        let bad = |part: &&str| matches!(*part, "" | "." | "..") || part.len() > MAX_NAME;
        if let Some(part) = parts().find(bad) {
            return Some(format!(
                "{part:?} is no name of a cgroup; use 1 to {MAX_NAME} bytes"
            ));
        }
        let reserved = |part: &&str| {
            part.split_once('.')
                .is_some_and(|(head, _)| RESERVED.contains(&head))
        };
        let part = parts().find(reserved)?;
        Some(format!(
            "{part:?} could be a file of the kernel's; use another name"
        ))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether a Card's processes get a cgroup: those of native payloads, and of a component with a body of its own.
fn has_processes(card: &Card) -> bool {
    match card.payload {
        Payload::Native(_) | Payload::Legacy(_) => true,
        Payload::Wasm(_) => !card.soma.is_off(),
        Payload::Virtual => false,
    }
}

/// What is wrong with the places of the Cards of a tree: each Card's label, and the problem. No two Entes may share a
/// cgroup, nor may one's lie in another's: killing or limiting the one would kill or limit the other, and the
/// kernel has no processes in a cgroup with controllers below it.
#[must_use]
pub fn check_places(root: &Card) -> Vec<(String, String)> {
    let mut problems = Vec::new();
    let mut places = Vec::new();
    for visit in root.walk().filter(|visit| has_processes(visit.card)) {
        let place = Place::of(visit.card);
        let label = visit.card.label.as_str();
        match place.problem() {
            Some(problem) => {
                problems.push((
                    label.to_owned(),
                    format!("soma.cgroup.path: {:?}: {problem}", place.0),
                ));
            }
            None => places.push((place, label)),
        }
    }
    // By parts, so that all that lies in a place comes right after it.
    places.sort_by(|(a, _), (b, _)| a.0.split('/').cmp(b.0.split('/')));
    let mut outer: Option<(Place, &str)> = None;
    for (place, label) in places {
        match &outer {
            Some((taken, owner)) if place.is_within(taken) => problems.push((
                label.to_owned(),
                format!("soma.cgroup.path: {:?} lies in {:?}, the cgroup of `{owner}`; give each its own", place.0, taken.0),
            )),
            _ => outer = Some((place, label)),
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;
    use arje_card::{Id, NativePayload, Supervision};

    fn card(number: u8, path: Option<&str>) -> Card {
        let payload = Payload::Native(NativePayload::default());
        let id = Id::from_bytes([number; 16]);
        let mut card = Card::new(id, format!("c{number}"), payload, Supervision::OneShot);
        card.soma.cgroup.path = path.map(str::to_owned);
        card
    }

    fn problems(paths: &[Option<&str>]) -> Vec<String> {
        let mut root = card(0, None);
        root.payload = Payload::Virtual;
        root.genesis = (1..).zip(paths).map(|(n, path)| card(n, *path)).collect();
        check_places(&root)
            .into_iter()
            .map(|(label, _)| label)
            .collect()
    }

    #[test]
    fn places_are_apart() {
        assert!(
            problems(&[
                None,
                None,
                Some("a/b"),
                Some("a/c"),
                Some("a-b"),
                Some("ab")
            ])
            .is_empty()
        );
        assert_eq!(problems(&[Some("a"), Some("a")]), ["c2"]);
        assert_eq!(
            problems(&[Some("a/b"), Some("a-b"), Some("a/x"), Some("a")]),
            ["c1", "c3"]
        );
        let same_as_an_id = Id::from_bytes([1; 16]).to_string();
        assert_eq!(problems(&[None, Some(&same_as_an_id)]), ["c2"]);
    }

    #[test]
    fn names_are_possible() {
        assert!(problems(&[Some("web"), Some("memory"), Some("x.y")]).is_empty());
        let long = "x".repeat(256);
        for bad in [
            "cgroup.procs",
            "a/memory.max",
            "io.x/b",
            "a//b",
            &long,
            "1/2/3/4/5/6/7/8/9",
        ] {
            assert_eq!(problems(&[Some(bad)]), ["c1"], "{bad}");
        }
    }

    #[test]
    fn levels_end_with_the_place() {
        let place = Place("a/b/c".into());
        assert_eq!(place.levels().collect::<Vec<_>>(), ["a", "a/b", "a/b/c"]);
    }
}
