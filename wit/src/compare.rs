//! What of a release is no longer kept.

use crate::api::{Api, Entry, Kind};
use std::fmt;

/// A promise that is not kept.
#[derive(Debug, PartialEq, Eq)]
pub struct Broken {
    /// Of what.
    pub name: String,
    /// In which way, and what to do.
    pub why: String,
    /// As it was released; none for what was not.
    pub released: Option<String>,
    /// As it is; none for what is not there.
    pub today: Option<String>,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "(nothing)".to_owned());
        write!(
            f,
            "{}: {}\n    released: {}\n    today:    {}",
            self.name,
            self.why,
            text(&self.released),
            text(&self.today)
        )
    }
}

/// Everything in which `today` does not keep what `released` promised.
#[must_use]
pub fn compare(released: &Api, today: &Api) -> Vec<Broken> {
    let mut broken = versions(released, today);
    for (name, before) in &released.entries {
        let now = today.entries.get(name);
        broken.extend(kept(released, name, before, now));
    }
    let is_new = |name: &&String| !released.entries.contains_key(*name);
    for name in today.entries.keys().filter(is_new) {
        broken.extend(added(released, today, name, &today.entries[name]));
    }
    broken
}

fn versions(released: &Api, today: &Api) -> Vec<Broken> {
    let mut broken = Vec::new();
    for (name, before) in &released.packages {
        let now = today.packages.get(name);
        let why = match now {
            None => "the package is gone",
            Some(now) if now.order() < before.order() => "the package has an older version",
            Some(_) => continue,
        };
        broken.push(Broken {
            name: name.clone(),
            why: why.to_owned(),
            released: Some(before.version.clone()),
            today: now.map(|now| now.version.clone()),
        });
    }
    broken
}

/// Something that was released.
fn kept(released: &Api, name: &str, before: &Entry, now: Option<&Entry>) -> Option<Broken> {
    let version = released.packages[&before.package].order();
    let why = match now {
        None => "it is gone",
        Some(now) if now.text != before.text => "it is another",
        Some(now) if now.since.is_some_and(|since| since > version) => {
            "its gate says that it came after the release that has it"
        }
        Some(_) => return None,
    };
    Some(Broken {
        name: name.to_owned(),
        why: why.to_owned(),
        released: Some(before.text.clone()),
        today: now.map(|now| now.text.clone()),
    })
}

/// Something that was not.
fn added(released: &Api, today: &Api, name: &str, now: &Entry) -> Option<Broken> {
    // A whole package that was never released promises nothing yet.
    let version = released.packages.get(&now.package)?;
    let of = now
        .of
        .as_deref()
        .filter(|of| released.entries.contains_key(*of));
    let implemented =
        |of: &&str| released.implemented.contains(*of) || today.implemented.contains(*of);
    let why = if now.kind == Kind::Function && of.filter(implemented).is_some() {
        "components export this interface, and those of the release do not have it; make an interface of its own".to_owned()
    } else if now.kind == Kind::Export && of.is_some() {
        "components of the release do not export it; make a world of its own".to_owned()
    } else if now.since.is_none_or(|since| since <= version.order()) {
        format!(
            "it is not in the released version {}, so it needs the gate @since(version = …) with a later one",
            version.version
        )
    } else {
        return None;
    };
    Some(Broken {
        name: name.to_owned(),
        why,
        released: None,
        today: Some(now.text.clone()),
    })
}
