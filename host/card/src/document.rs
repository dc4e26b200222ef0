//! [`Document`]: a Card with the form it was written in, so that it can be written back the same way.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path as FilePath, PathBuf};

use serde_json::Value;

use crate::Card;
use crate::path::Path;
use crate::read::text;
use crate::reading::Reading;
use crate::report::Report;
use crate::rules::{self, Findings};
use crate::warning::{self, Warning};

/// The size of the largest file that is read: 4 MiB, some ten thousand Cards.
pub const MAX_BYTES: usize = 4 << 20;

/// The language of a Card's text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Format {
    /// JSON (RFC 8259), the default.
    #[default]
    Json,
    /// TOML 1.1.
    Toml,
}

impl Format {
    /// TOML for the extension `.toml`, else JSON.
    pub fn of(file: &FilePath) -> Self {
        match file.extension() {
            Some(extension) if extension.eq_ignore_ascii_case("toml") => Self::Toml,
            _ => Self::Json,
        }
    }
}

/// A Card, and how its file was written.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// The Card.
    pub card: Card,
    /// The language.
    pub format: Format,
    /// Whether the Card was wrapped as `{"seed": …}`.
    pub wrapped: bool,
}

impl Document {
    /// Reads a text and applies every rule.
    ///
    /// # Errors
    /// Everything that is wrong, in shape and by the rules.
    pub fn parse(bytes: &[u8], format: Format) -> Result<Self, Report> {
        let reading = Reading::parse(bytes, format)?;
        reading.report().into_result()?;
        Ok(reading.document)
    }

    /// Reads a text without applying the rules: for tools that complete an unfinished Card.
    ///
    /// # Errors
    /// Everything that is wrong in shape.
    pub fn parse_unchecked(bytes: &[u8], format: Format) -> Result<Self, Report> {
        let shape = text::read(bytes, format)?;
        shape.report.into_result()?;
        Ok(Self {
            card: shape.card,
            format,
            wrapped: shape.wrapped,
        })
    }

    /// Reads a file and applies every rule. [`Format::of`] says in which language.
    ///
    /// # Errors
    /// The file cannot be read, is too large, or holds a Card with something wrong.
    pub fn load(file: impl AsRef<FilePath>) -> Result<Self, LoadError> {
        Self::load_with(file.as_ref(), Self::parse)
    }

    /// Reads a file without applying the rules.
    ///
    /// # Errors
    /// The file cannot be read, is too large, or does not have the shape of a Card.
    pub fn load_unchecked(file: impl AsRef<FilePath>) -> Result<Self, LoadError> {
        Self::load_with(file.as_ref(), Self::parse_unchecked)
    }

    pub(crate) fn load_with<T>(
        file: &FilePath,
        parse: fn(&[u8], Format) -> Result<T, Report>,
    ) -> Result<T, LoadError> {
        let bytes = read_capped(file)?;
        parse(&bytes, Format::of(file)).map_err(|report| LoadError::Invalid {
            file: file.to_owned(),
            report,
        })
    }

    /// What is allowed, but hardly meant; such as unknown keys, with the known name nearest to each.
    pub fn warnings(&self) -> Vec<Warning> {
        let wrapper = Path::ROOT.key(text::WRAPPER);
        warning::of(
            &self.card,
            if self.wrapped { &wrapper } else { &Path::ROOT },
        )
    }

    /// The Card as a text, in its language and with its wrapper. What equals its default is left out.
    ///
    /// # Errors
    /// TOML has no null, so a Card with a null in an unknown key cannot be written as TOML.
    pub fn to_text(&self) -> Result<String, WriteError> {
        if self.format == Format::Toml {
            refuse_nulls(&self.card)?;
        }
        // One tree for both languages: two writers would be generated for each type of a Card.
        let mut tree = serde_json::to_value(&self.card).map_err(WriteError::new)?;
        if self.wrapped {
            tree = serde_json::json!({ text::WRAPPER: tree });
        }
        match self.format {
            Format::Json => indented(&tree),
            Format::Toml => toml::to_string(&tree).map_err(WriteError::new),
        }
    }
}

fn indented(tree: &Value) -> Result<String, WriteError> {
    let text = serde_json::to_string_pretty(tree).map_err(WriteError::new)?;
    Ok(text + "\n")
}

/// The TOML writer leaves out keys whose value is null; what a Card says must not be lost.
fn refuse_nulls(card: &Card) -> Result<(), WriteError> {
    for visit in card.walk() {
        if let Some((key, _)) = visit
            .card
            .extensions
            .iter()
            .find(|(_, value)| has_null(value))
        {
            let (path, label) = (visit.path, &visit.card.label);
            return Err(WriteError(format!(
                "{path} (Card {label:?}): found a null in the key {key:?}; expected none, because TOML \
                 has no null; remove it or write JSON"
            )));
        }
    }
    Ok(())
}

fn has_null(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.iter().any(has_null),
        Value::Object(entries) => entries.values().any(has_null),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// Reads a file of at most [`MAX_BYTES`]; the size is checked before anything is allocated, and again
/// while reading, since the file may grow.
fn read_capped(file: &FilePath) -> Result<Vec<u8>, LoadError> {
    let failed = |source| LoadError::Io {
        file: file.to_owned(),
        source,
    };
    let too_large = |bytes| LoadError::TooLarge {
        file: file.to_owned(),
        bytes,
    };
    let handle = File::open(file).map_err(failed)?;
    let size = handle.metadata().map_err(failed)?.len();
    let cap = MAX_BYTES as u64;
    if size > cap {
        return Err(too_large(size));
    }
    let mut bytes = Vec::new();
    handle
        .take(cap + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() > MAX_BYTES {
        Err(too_large(bytes.len() as u64))
    } else {
        Ok(bytes)
    }
}

impl Card {
    /// Reads a Card from JSON, wrapped or not, and applies every rule.
    ///
    /// # Errors
    /// Everything that is wrong.
    pub fn from_json(bytes: &[u8]) -> Result<Self, Report> {
        Document::parse(bytes, Format::Json).map(|document| document.card)
    }

    /// Reads a Card from TOML, wrapped or not, and applies every rule.
    ///
    /// # Errors
    /// Everything that is wrong.
    pub fn from_toml(text: &str) -> Result<Self, Report> {
        Document::parse(text.as_bytes(), Format::Toml).map(|document| document.card)
    }

    /// Reads a Card from a file and applies every rule; TOML by the extension `.toml`, else JSON.
    ///
    /// # Errors
    /// The file cannot be read, is too large, or holds a Card with something wrong.
    pub fn load(file: impl AsRef<FilePath>) -> Result<Self, LoadError> {
        Document::load(file).map(|document| document.card)
    }

    /// Applies every rule to the Card and the Cards in its genesis.
    ///
    /// # Errors
    /// Everything that is wrong.
    pub fn validate(&self) -> Result<(), Report> {
        let mut findings = Findings::default();
        rules::check(self, &Path::ROOT, &mut findings);
        findings.into_report().into_result()
    }

    /// What is allowed in the Card and the Cards in its genesis, but hardly meant.
    pub fn warnings(&self) -> Vec<Warning> {
        warning::of(self, &Path::ROOT)
    }

    /// The Card as indented JSON, ended by a newline. What equals its default is left out.
    ///
    /// # Errors
    /// None is known: every Card has a JSON text.
    pub fn to_json(&self) -> Result<String, WriteError> {
        indented(&serde_json::to_value(self).map_err(WriteError::new)?)
    }

    /// The Card as JSON in one line without a newline: for a program that reads it, not for people.
    /// What equals its default is left out.
    ///
    /// # Errors
    /// None is known: every Card has a JSON text.
    pub fn to_json_line(&self) -> Result<String, WriteError> {
        serde_json::to_string(self).map_err(WriteError::new)
    }
}

/// Why a file gives no Card.
#[derive(Debug)]
pub enum LoadError {
    /// The file cannot be opened or read.
    Io {
        /// Which file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is larger than [`MAX_BYTES`].
    TooLarge {
        /// Which file.
        file: PathBuf,
        /// Its size as far as it was looked at.
        bytes: u64,
    },
    /// The file holds something that is not a valid Card.
    Invalid {
        /// Which file.
        file: PathBuf,
        /// Everything that is wrong.
        report: Report,
    },
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { file, source } => write!(f, "{}: cannot be read: {source}", file.display()),
            Self::TooLarge { file, bytes } => write!(
                f,
                "{}: found {bytes} bytes; expected at most {MAX_BYTES}; move part of the genesis into another Card",
                file.display()
            ),
            Self::Invalid { file, report } => write!(f, "{}: {report}", file.display()),
        }
    }
}

impl std::error::Error for LoadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            Self::TooLarge { .. } => None,
            Self::Invalid { report, .. } => Some(report),
        }
    }
}

/// Why a Card cannot be written in a language.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriteError(String);

impl WriteError {
    fn new(why: impl fmt::Display) -> Self {
        Self(why.to_string())
    }
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the Card cannot be written in this language: {}", self.0)
    }
}

impl std::error::Error for WriteError {}
