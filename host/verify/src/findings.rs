//! [`Findings`]: what was found in one file, ready to be printed.

use std::fmt;

use arje_card::{Report, Violation, Warning};

/// Something wrong with a Card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where; `None` where it is about no one place.
    pub place: Option<Place>,
    /// What is there, why that is wrong, and what to do about it.
    pub text: String,
}

/// Where in a file, and of which Card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// A JSON path.
    pub path: String,
    /// The Card's label, if it has one.
    pub label: Option<String>,
}

impl Place {
    /// A place in the Card with this label.
    #[must_use]
    pub fn of(path: String, label: &str) -> Self {
        let label = Some(label.to_owned()).filter(|label| !label.is_empty());
        Self { path, label }
    }
}

impl Problem {
    /// What is wrong at a place.
    #[must_use]
    pub fn at(place: Place, text: impl Into<String>) -> Self {
        Self {
            place: Some(place),
            text: text.into(),
        }
    }

    /// Where, as a JSON path, where there is one place.
    #[must_use]
    pub fn path(&self) -> Option<&str> {
        Some(&self.place.as_ref()?.path)
    }

    /// The label of the Card it is about.
    #[must_use]
    pub fn label(&self) -> Option<&str> {
        self.place.as_ref()?.label.as_deref()
    }
}

impl From<&Violation> for Problem {
    fn from(violation: &Violation) -> Self {
        let Violation {
            path,
            label,
            rule,
            found,
            expected,
            remedy,
        } = violation;
        let (path, label) = (path.clone(), label.clone());
        Self::at(
            Place { path, label },
            format!("found {found}; expected {expected}; {remedy} [{rule}]"),
        )
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        f.write_str(&self.text)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path)?;
        match &self.label {
            Some(label) => write!(f, " (Card {label:?})"),
            None => Ok(()),
        }
    }
}

/// What was found in one file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// Cards in it, as far as it could be read.
    pub cards: usize,
    /// What is wrong.
    pub problems: Vec<Problem>,
    /// What is odd, such as unknown keys.
    pub warnings: Vec<Warning>,
}

impl Findings {
    /// What a report says.
    #[must_use]
    pub fn of_report(report: &Report) -> Self {
        let mut problems: Vec<Problem> = report.violations().iter().map(Problem::from).collect();
        if report.omitted() > 0 {
            let text = format!("and {} more violations, not listed", report.omitted());
            problems.push(Problem { place: None, text });
        }
        Self {
            problems,
            ..Self::default()
        }
    }

    /// Everything, a line each: what is wrong, then what is odd, since a misspelt key is often the reason.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let errors = self
            .problems
            .iter()
            .map(|problem| format!("error: {problem}"));
        let warnings = self
            .warnings
            .iter()
            .map(|warning| format!("warning: {warning}"));
        errors.chain(warnings).collect()
    }
}
