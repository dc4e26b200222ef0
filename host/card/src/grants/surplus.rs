//! [`audit`]: a component's imports beside its Card's grants, and what to say about those that are too many.

use std::fmt;

use super::{GRANTS, Grant, Needs, lookup};
use crate::interface::InterfaceName;
use crate::permissions::Networking;
use crate::{Capability, Card};

/// An import that the Card does not grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Surplus {
    /// Label of the Card.
    pub label: String,
    /// The import, as the component names it.
    pub import: String,
    /// Why it is refused.
    pub reason: SurplusReason,
}

/// Why an import is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SurplusReason {
    /// The Card would have to grant more.
    NotGranted {
        /// What would allow it.
        needs: Needs,
        /// What the Card grants of that, as it stands there.
        granted: String,
    },
    /// It is not the host's, so another Ente would have to provide it, which the Card does not require.
    NotRequired,
    /// The host has the interface in this version, which is not compatible with the one imported.
    Version(&'static Grant),
    /// The host has no such interface.
    Unknown,
}

impl fmt::Display for Surplus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Card {:?}: {}", self.label, self.refusal())
    }
}

impl Surplus {
    /// The import, why it is refused, and what to do, without the Card's label.
    #[must_use]
    pub fn refusal(&self) -> String {
        let Self { import, reason, .. } = self;
        let why = match reason {
            SurplusReason::NotGranted { needs, granted } => format!(
                "which needs {needs}; found {granted}; grant it in the Card or use another component"
            ),
            SurplusReason::NotRequired => format!(
                "which this host does not have; if another Ente provides it, add {{\"Wit\": {import:?}}} to the \
                 Card's requires; else build the component without it"
            ),
            SurplusReason::Version(Grant {
                interface,
                version: (major, minor, patch),
                ..
            }) => format!(
                "but this host has {interface}@{major}.{minor}.{patch}; build the component against that"
            ),
            SurplusReason::Unknown => {
                "which this host does not have; no permission allows it; build the component without it"
                    .to_owned()
            }
        };
        format!("the component imports {import}, {why}")
    }
}

impl std::error::Error for Surplus {}

/// Compares what a component imports with what its Card grants.
///
/// # Errors
/// Every import that is not granted, in the order given.
pub fn audit<'i>(
    card: &Card,
    imports: impl IntoIterator<Item = &'i str>,
) -> Result<(), Vec<Surplus>> {
    let surplus: Vec<Surplus> = imports
        .into_iter()
        .filter_map(|import| judge(card, import))
        .collect();
    if surplus.is_empty() {
        Ok(())
    } else {
        Err(surplus)
    }
}

/// How many imports [`summary`] names, over all reasons.
const MAX_NAMED: usize = 4;

/// How much of an import's name [`summary`] shows, bytes. Real ones have less.
const MAX_NAME_BYTES: usize = 48;

/// All of a component's surplus in one text of less than 512 bytes, however much there is: what to do comes before
/// which imports it is about, and those are named as far as there is room. [`Surplus`] tells of each.
pub fn summary(surplus: &[Surplus]) -> String {
    let names = |wanted: &dyn Fn(&SurplusReason) -> bool| -> Vec<&str> {
        let of_reason = surplus.iter().filter(|one| wanted(&one.reason));
        of_reason.map(|one| one.import.as_str()).collect()
    };
    // One setting each would grant all of its kind.
    let settings: Vec<(String, Vec<&str>)> = [
        most_networking(surplus),
        first(surplus, |needs| matches!(needs, Needs::Ipc(_))),
        first(surplus, |needs| needs == Needs::Spawn),
    ]
    .into_iter()
    .flatten()
    .map(|(needs, found)| {
        let kind = std::mem::discriminant(&needs);
        let of_kind = |reason: &SurplusReason| {
            matches!(reason, SurplusReason::NotGranted { needs, .. }
                    if std::mem::discriminant(needs) == kind)
        };
        (
            format!("it needs {needs}, found {found}, for"),
            names(&of_kind),
        )
    })
    .collect();
    let lacks = [
        (
            "this host has other versions of",
            names(&|reason| matches!(reason, SurplusReason::Version(_))),
        ),
        (
            "this host has no",
            names(&|reason| matches!(reason, SurplusReason::Unknown)),
        ),
        (
            "its requires does not list",
            names(&|reason| matches!(reason, SurplusReason::NotRequired)),
        ),
    ];
    let grantable = settings.len();
    let lacks = lacks.map(|(what, names)| (what.to_owned(), names));
    let parts: Vec<(String, Vec<&str>)> = settings
        .into_iter()
        .chain(lacks)
        .filter(|(_, names)| !names.is_empty())
        .collect();
    let required = surplus
        .iter()
        .all(|one| one.reason == SurplusReason::NotRequired);
    let remedy = match grantable == parts.len() {
        true => "grant it in the Card, or use another component",
        false if required => "add it there, as {\"Wit\": …}, or build the component without",
        false => "no permission allows that: build the component without, or use another one",
    };
    let shown = MAX_NAMED / parts.len().max(1);
    let texts: Vec<String> = parts
        .iter()
        .map(|(what, names)| format!("{what} {}", some_of(names, shown.max(1))))
        .collect();
    format!("{}; {remedy}", texts.join("; "))
}

/// The one setting of `permissions.networking` that would grant all that it can, and what stands there.
fn most_networking(surplus: &[Surplus]) -> Option<(Needs, &str)> {
    let networking = surplus.iter().filter_map(|one| match &one.reason {
        SurplusReason::NotGranted {
            needs: Needs::Networking(least),
            granted,
        } => Some((*least, granted.as_str())),
        _ => None,
    });
    let (least, granted): (Networking, &str) = networking.max_by_key(|(least, _)| *least)?;
    Some((Needs::Networking(least), granted))
}

/// The first need of a kind that one setting meets, and what stands there.
fn first(surplus: &[Surplus], kind: impl Fn(Needs) -> bool) -> Option<(Needs, &str)> {
    surplus.iter().find_map(|one| match &one.reason {
        SurplusReason::NotGranted { needs, granted } if kind(*needs) => {
            Some((*needs, granted.as_str()))
        }
        _ => None,
    })
}

fn some_of(names: &[&str], shown: usize) -> String {
    let cut = |name: &&str| match name.len() > MAX_NAME_BYTES {
        true => format!("{}…", &name[..name.floor_char_boundary(MAX_NAME_BYTES)]),
        false => (*name).to_owned(),
    };
    let named: Vec<String> = names.iter().take(shown).map(cut).collect();
    let named = named.join(", ");
    match names.len().saturating_sub(shown) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

fn judge(card: &Card, import: &str) -> Option<Surplus> {
    let reason = match lookup(import) {
        Some(grant) if grant.needs.granted_by(card) => return None,
        Some(grant) => SurplusReason::NotGranted {
            needs: grant.needs,
            granted: grant.needs.found_in(card),
        },
        None => match other_version(import) {
            Some(grant) => SurplusReason::Version(grant),
            None => judge_service(card, import)?,
        },
    };
    Some(Surplus {
        label: card.label.clone(),
        import: import.to_owned(),
        reason,
    })
}

/// Namespaces of what only a host can have.
const HOST_NAMESPACES: [&str; 2] = ["wasi:", "arje:"];

/// Why an import that is not the host's is too much, if it is: another Ente may provide it, and `requires` says so.
fn judge_service(card: &Card, import: &str) -> Option<SurplusReason> {
    let is_hosts = HOST_NAMESPACES.iter().any(|own| import.starts_with(own));
    let Ok(interface) = import.parse::<InterfaceName>() else {
        return Some(SurplusReason::Unknown);
    };
    if is_hosts {
        return Some(SurplusReason::Unknown);
    }
    let serves = |required: &Capability| match required {
        Capability::Wit(name) => name.satisfies(&interface),
        _ => false,
    };
    match card.requires.iter().any(serves) {
        true => None,
        false => Some(SurplusReason::NotRequired),
    }
}

fn other_version(import: &str) -> Option<&'static Grant> {
    let path = import.split_once('@').map_or(import, |(path, _)| path);
    GRANTS.iter().find(|grant| grant.interface == path)
}
