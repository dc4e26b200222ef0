//! What is wrong with a Card: [`Violation`], collected in a [`Report`].

use std::fmt;

use crate::path::Path;
use crate::rule::Rule;

/// How many violations a report keeps; further ones are counted. A report is printed on a console, and
/// a broken file of 4 MiB could break a rule at every byte.
pub const MAX_VIOLATIONS: usize = 1_000;

/// How many bytes of a found value are printed.
const MAX_FOUND_BYTES: usize = 96;

/// One rule broken at one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Where, as a JSON path: `$.genesis[3].payload.Wasm.module_sha256`.
    pub path: String,
    /// Label of the Card it is in, if the Card has one.
    pub label: Option<String>,
    /// Which rule.
    pub rule: Rule,
    /// What stands there, shortened where it is long.
    pub found: String,
    /// What may stand there.
    pub expected: String,
    /// What to do about it.
    pub remedy: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            path,
            label,
            rule,
            found,
            expected,
            remedy,
        } = self;
        f.write_str(path)?;
        if let Some(label) = label {
            write!(f, " (Card {label:?})")?;
        }
        write!(f, ": found {found}; expected {expected}; {remedy} [{rule}]")
    }
}

/// Everything that is wrong with a Card and the Cards in its genesis. Never empty as an error.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    violations: Vec<Violation>,
    omitted: usize,
}

impl Report {
    /// The violations, in the order in which they were found; at most [`MAX_VIOLATIONS`].
    pub fn violations(&self) -> &[Violation] {
        &self.violations
    }

    /// How many more there were.
    pub fn omitted(&self) -> usize {
        self.omitted
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.violations.is_empty()
    }

    /// Adds a violation, or counts it when there are too many.
    pub fn push(&mut self, violation: Violation) {
        if self.is_full() {
            self.omitted += 1;
        } else {
            self.violations.push(violation);
        }
    }

    pub(crate) fn is_full(&self) -> bool {
        self.violations.len() >= MAX_VIOLATIONS
    }

    /// Sets the label of each violation that has none, from its path.
    pub(crate) fn name_cards(&mut self, label_of: impl Fn(&str) -> Option<String>) {
        for violation in self.violations.iter_mut().filter(|v| v.label.is_none()) {
            violation.label = label_of(&violation.path);
        }
    }

    /// Ok when nothing is wrong, else this report.
    pub(crate) fn into_result(self) -> Result<(), Self> {
        if self.is_empty() { Ok(()) } else { Err(self) }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.violations.len() + self.omitted;
        write!(f, "{count} violation{}", if count == 1 { "" } else { "s" })?;
        for (index, violation) in self.violations.iter().enumerate() {
            write!(f, "\n  {}. {violation}", index + 1)?;
        }
        if self.omitted > 0 {
            write!(f, "\n  and {} more, not listed", self.omitted)?;
        }
        Ok(())
    }
}

impl std::error::Error for Report {}

/// What a rule has to say at one place.
pub(crate) struct Finding {
    pub(crate) rule: Rule,
    pub(crate) found: String,
    pub(crate) expected: String,
    pub(crate) remedy: String,
}

impl Finding {
    /// `found` is printed as it is; [`quoted`] and [`shortened`] make one from a value.
    pub(crate) fn new(
        rule: Rule,
        found: impl Into<String>,
        expected: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            rule,
            found: found.into(),
            expected: expected.into(),
            remedy: remedy.into(),
        }
    }

    pub(crate) fn at(self, path: &Path<'_>, label: Option<&str>) -> Violation {
        let Self {
            rule,
            found,
            expected,
            remedy,
        } = self;
        let label = label.filter(|label| !label.is_empty()).map(shortened);
        Violation {
            path: path.to_string(),
            label,
            rule,
            found,
            expected,
            remedy,
        }
    }
}

/// A text in quotes, control characters escaped, shortened.
pub(crate) fn quoted(text: &str) -> String {
    format!("{:?}", shortened(text))
}

/// The beginning of a text, with its length where something was cut off.
pub(crate) fn shortened(text: &str) -> String {
    if text.len() <= MAX_FOUND_BYTES {
        return text.to_owned();
    }
    let cut = text.floor_char_boundary(MAX_FOUND_BYTES);
    format!("{}… ({} bytes)", &text[..cut], text.len())
}
