//! [`Reading`]: a file that may be wrong in any way, read as far as it can be, and all that is wrong with it.

use std::path::Path as FilePath;

use crate::document::{Document, Format, LoadError};
use crate::path::Path;
use crate::read::decode::Taints;
use crate::read::text;
use crate::report::Report;
use crate::rules::{self, Findings};
use crate::warning::{Oddity, Warning};
use crate::{Card, Visit};

/// What could be read of a file, whatever is wrong with it.
///
/// Where a value could not be read, a stand-in is in its place, so that nothing else is hidden by it.
/// Whoever judges the Cards asks [`is_sound`](Self::is_sound) first, lest a stand-in be blamed.
#[derive(Clone, Debug)]
pub struct Reading {
    /// The Cards. Where pins are resolved, it is here that they are changed.
    pub document: Document,
    shape: Report,
    taints: Taints,
}

impl Reading {
    /// Reads a text.
    ///
    /// # Errors
    /// There is no tree of values at all: broken JSON or TOML, or too much of it.
    pub fn parse(bytes: &[u8], format: Format) -> Result<Self, Report> {
        let shape = text::read(bytes, format)?;
        Ok(Self {
            document: Document {
                card: shape.card,
                format,
                wrapped: shape.wrapped,
            },
            shape: shape.report,
            taints: shape.taints,
        })
    }

    /// Reads a file. [`Format::of`] says in which language.
    ///
    /// # Errors
    /// The file cannot be read, is too large, or holds no tree of values at all.
    pub fn load(file: impl AsRef<FilePath>) -> Result<Self, LoadError> {
        Document::load_with(file.as_ref(), Self::parse)
    }

    /// A Card that was not read but made.
    #[must_use]
    pub fn of(card: Card) -> Self {
        Self {
            document: Document {
                card,
                format: Format::Json,
                wrapped: false,
            },
            shape: Report::default(),
            taints: Taints::default(),
        }
    }

    /// Everything that is wrong in shape, and by the rules with what could be read; empty when nothing is.
    #[must_use]
    pub fn report(&self) -> Report {
        let mut findings = Findings::new(self.shape.clone(), self.taints.clone());
        let root = Path::ROOT.key(text::WRAPPER);
        let root = if self.document.wrapped {
            &root
        } else {
            &Path::ROOT
        };
        rules::check(&self.document.card, root, &mut findings);
        findings.into_report()
    }

    /// The Cards with their places in the file: [`Card::walk`] begins at the Card, the file may have a wrapper.
    pub fn walk(&self) -> impl Iterator<Item = Visit<'_>> {
        let wrapped = self.document.wrapped;
        self.document.card.walk().map(move |mut visit| {
            if wrapped {
                visit.path = visit.path.replacen('$', "$.seed", 1);
            }
            visit
        })
    }

    /// Whether a field of the Card at this place is what the file says, or is absent as in the file.
    #[must_use]
    pub fn is_sound(&self, card: &str, field: &str) -> bool {
        self.taints.is_empty() || !self.taints.touch(&format!("{card}.{field}"))
    }

    /// What is allowed, but hardly meant, as far as it does not follow from a stand-in.
    #[must_use]
    pub fn warnings(&self) -> Vec<Warning> {
        let mut warnings = self.document.warnings();
        warnings.retain(|warning| match warning.oddity {
            Oddity::UnknownKey { .. } => true,
            Oddity::NeverReady { .. } => {
                let card = warning.path.rsplit_once('.').map_or("", |(card, _)| card);
                ["payload", "supervision", "readiness"]
                    .iter()
                    .all(|field| self.is_sound(card, field))
            }
        });
        warnings
    }
}
