//! Encoder of plans. It writes the steps in their one order, whatever the caller thinks of first.

use alloc::ffi::CString;
use alloc::vec::Vec;
use core::ffi::CStr;
use core::fmt;

use crate::confinement::Confinement;
use crate::format::{
    HEADER_BYTES, MAGIC, MAX_PASSED, MAX_PLAN_BYTES, MAX_STRINGS, Rlimit, VERSION,
};
use crate::kind::StepKind;

/// What a plan shall do. The session is always new, surplus descriptors are always closed: a program of
/// arje never starts without these.
#[derive(Clone, Debug)]
pub struct Recipe<'a> {
    /// Make standard input, which must be a terminal, the controlling terminal.
    pub terminal: bool,
    /// File mode creation mask, at most `0o777`.
    pub umask: u32,
    /// Working directory, absolute.
    pub working_directory: &'a CStr,
    /// How many descriptors to pass beyond 0-2, at most [`MAX_PASSED`].
    pub passed: u32,
    /// Resource limits, each resource at most once, in any order.
    pub rlimits: &'a [Rlimit],
    /// Namespaces, mounts, user, and what is taken away. The default is nothing of it.
    pub confinement: &'a Confinement,
    /// Path of the program, absolute.
    pub program: &'a CStr,
    /// Its arguments, the program's name first; not empty.
    pub argv: &'a [CString],
    /// Its whole environment, as `KEY=VALUE`. A `KEY` alone becomes `KEY=` and the program's own process id.
    pub envp: &'a [CString],
}

/// Why a recipe cannot be written as a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EncodeError {
    /// A path is not absolute; holds what it is for.
    RelativePath(StepKind),
    /// The mask has bits beyond `0o777`.
    Umask(u32),
    /// More descriptors than [`MAX_PASSED`].
    TooManyDescriptors(u32),
    /// A part of the confinement is malformed, or longer than this; holds its step and the bound.
    Confinement(StepKind, usize),
    /// A resource is limited twice.
    RepeatedLimit(Rlimit),
    /// There is no argument 0.
    NoArguments,
    /// More arguments or environment entries than [`MAX_STRINGS`]; holds how many.
    TooManyStrings(usize),
    /// The plan would be longer than [`MAX_PLAN_BYTES`]; holds its length.
    TooLong(usize),
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RelativePath(step) => {
                write!(f, "the path for \"{}\" must be absolute", step.name())
            }
            Self::Umask(mask) => write!(f, "umask {mask:#o} is larger than 0o777"),
            Self::TooManyDescriptors(found) => {
                write!(
                    f,
                    "{found} descriptors to pass, at most {MAX_PASSED} are allowed"
                )
            }
            Self::Confinement(step, bound) => write!(
                f,
                "the step \"{}\" is malformed or has more than {bound} entries",
                step.name()
            ),
            Self::RepeatedLimit(rlimit) => write!(f, "{:?} is limited twice", rlimit.resource),
            Self::NoArguments => f.write_str("there must be an argument 0"),
            Self::TooManyStrings(found) => write!(
                f,
                "{found} arguments or environment entries, at most {MAX_STRINGS} are allowed"
            ),
            Self::TooLong(found) => {
                write!(
                    f,
                    "spawn plan has {found} bytes, at most {MAX_PLAN_BYTES} are allowed"
                )
            }
        }
    }
}

impl core::error::Error for EncodeError {}

/// Writes a plan.
///
/// # Errors
/// The first part of the recipe that the format cannot hold. A plan that is returned is one that
/// [`Plan::parse`](crate::Plan::parse) accepts.
pub fn encode(recipe: &Recipe<'_>) -> Result<Vec<u8>, EncodeError> {
    check(recipe)?;
    let mut writer = Writer::new();
    writer.record(StepKind::Session, &[]);
    writer.record(StepKind::Umask, &recipe.umask.to_le_bytes());
    recipe.confinement.write_surroundings(&mut writer);
    if recipe.terminal {
        writer.record(StepKind::Terminal, &[]);
    }
    writer.record(
        StepKind::WorkingDirectory,
        recipe.working_directory.to_bytes_with_nul(),
    );
    writer.record(StepKind::Descriptors, &recipe.passed.to_le_bytes());
    recipe.confinement.write_affinity(&mut writer);
    for rlimit in sorted(recipe.rlimits)? {
        let mut body = Vec::with_capacity(9);
        body.push(rlimit.resource as u8);
        body.extend_from_slice(&rlimit.limit.to_le_bytes());
        writer.record(StepKind::Rlimit, &body);
    }
    recipe.confinement.write_privileges(&mut writer);
    writer.record(StepKind::Exec, &exec_body(recipe));
    writer.finish()
}

fn check(recipe: &Recipe<'_>) -> Result<(), EncodeError> {
    recipe.confinement.check()?;
    for (path, step) in [
        (recipe.working_directory, StepKind::WorkingDirectory),
        (recipe.program, StepKind::Exec),
    ] {
        if !path.to_bytes().starts_with(b"/") {
            return Err(EncodeError::RelativePath(step));
        }
    }
    if recipe.umask > 0o777 {
        return Err(EncodeError::Umask(recipe.umask));
    }
    if recipe.passed > MAX_PASSED {
        return Err(EncodeError::TooManyDescriptors(recipe.passed));
    }
    if recipe.argv.is_empty() {
        return Err(EncodeError::NoArguments);
    }
    for strings in [recipe.argv, recipe.envp] {
        if strings.len() > MAX_STRINGS {
            return Err(EncodeError::TooManyStrings(strings.len()));
        }
    }
    Ok(())
}

fn sorted(rlimits: &[Rlimit]) -> Result<Vec<Rlimit>, EncodeError> {
    let mut rlimits = Vec::from(rlimits);
    rlimits.sort_by_key(|rlimit| rlimit.resource);
    match rlimits
        .array_windows()
        .find(|[a, b]| a.resource == b.resource)
    {
        Some([_, repeated]) => Err(EncodeError::RepeatedLimit(*repeated)),
        None => Ok(rlimits),
    }
}

fn exec_body(recipe: &Recipe<'_>) -> Vec<u8> {
    let mut body = Vec::from(recipe.program.to_bytes_with_nul());
    for strings in [recipe.argv, recipe.envp] {
        let length: usize = strings.iter().map(|s| s.count_bytes() + 1).sum();
        // A length past u32 makes a plan past MAX_PLAN_BYTES, which `finish` refuses.
        body.extend_from_slice(&(strings.len() as u32).to_le_bytes());
        body.extend_from_slice(&(length as u32).to_le_bytes());
        for string in strings {
            body.extend_from_slice(string.to_bytes_with_nul());
        }
    }
    body
}

pub(crate) struct Writer {
    bytes: Vec<u8>,
    records: u16,
}

impl Writer {
    fn new() -> Writer {
        let mut bytes = Vec::with_capacity(1024);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.resize(HEADER_BYTES, 0);
        Writer { bytes, records: 0 }
    }

    pub(crate) fn record(&mut self, step: StepKind, body: &[u8]) {
        self.bytes.extend_from_slice(&[step as u8, 0, 0, 0]);
        self.bytes
            .extend_from_slice(&(body.len() as u32).to_le_bytes());
        self.bytes.extend_from_slice(body);
        self.records += 1;
    }

    fn finish(mut self) -> Result<Vec<u8>, EncodeError> {
        if self.bytes.len() > MAX_PLAN_BYTES {
            return Err(EncodeError::TooLong(self.bytes.len()));
        }
        let length = self.bytes.len() as u32;
        let tail = MAGIC.len() + 2;
        self.bytes[tail..tail + 2].copy_from_slice(&self.records.to_le_bytes());
        self.bytes[tail + 2..HEADER_BYTES].copy_from_slice(&length.to_le_bytes());
        Ok(self.bytes)
    }
}
