//! Zero-copy, allocation-free decoder. It never panics, whatever the bytes are.

use core::ffi::CStr;
use core::fmt;

use crate::format::{
    HEADER_BYTES, MAGIC, MAX_PASSED, MAX_PLAN_BYTES, MAX_STRINGS, RECORD_BYTES, Resource, Rlimit,
    StepKind, VERSION,
};

/// Why bytes are not a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// Longer than [`MAX_PLAN_BYTES`]; holds the length found.
    TooLong(usize),
    /// The bytes end inside the header, a record or a body.
    Truncated,
    /// The first eight bytes are not the plan's.
    Magic,
    /// Another version of the format.
    Version(u16),
    /// The header gives another length or record count than the bytes have.
    Length,
    /// No such step.
    UnknownStep(u8),
    /// Reserved bytes are not zero.
    Reserved,
    /// This step does not come after the one before it.
    Order(StepKind),
    /// The body of this step is malformed.
    Body(StepKind),
    /// A plan must have this step.
    Missing(StepKind),
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong(found) => {
                write!(
                    f,
                    "spawn plan has {found} bytes, at most {MAX_PLAN_BYTES} are allowed"
                )
            }
            Self::Truncated => f.write_str("spawn plan ends early"),
            Self::Magic => f.write_str("not a spawn plan: it does not start with ENTEPLAN"),
            Self::Version(found) => {
                write!(f, "spawn plan has version {found}, expected {VERSION}")
            }
            Self::Length => f.write_str("spawn plan has another length than its header says"),
            Self::UnknownStep(tag) => write!(f, "spawn plan has the unknown step {tag:#04x}"),
            Self::Reserved => f.write_str("spawn plan has a reserved byte that is not zero"),
            Self::Order(step) => write!(
                f,
                "spawn plan has the step \"{}\" out of order",
                step.name()
            ),
            Self::Body(step) => {
                write!(f, "spawn plan has a malformed step \"{}\"", step.name())
            }
            Self::Missing(step) => write!(f, "spawn plan lacks the step \"{}\"", step.name()),
        }
    }
}

impl core::error::Error for DecodeError {}

/// A checked plan over borrowed bytes.
#[derive(Clone, Copy, Debug)]
pub struct Plan<'a> {
    records: &'a [u8],
}

impl<'a> Plan<'a> {
    /// Checks the whole plan, so that nothing has been done when it turns out to be malformed.
    ///
    /// # Errors
    /// The first thing wrong with the bytes.
    pub fn parse(bytes: &'a [u8]) -> Result<Plan<'a>, DecodeError> {
        if bytes.len() > MAX_PLAN_BYTES {
            return Err(DecodeError::TooLong(bytes.len()));
        }
        let mut header = Reader(bytes);
        if header.take(MAGIC.len())? != MAGIC {
            return Err(DecodeError::Magic);
        }
        let version = header.u16()?;
        if version != VERSION {
            return Err(DecodeError::Version(version));
        }
        let records = header.u16()?;
        if header.u32()? as usize != bytes.len() {
            return Err(DecodeError::Length);
        }
        let plan = Plan {
            records: bytes.get(HEADER_BYTES..).ok_or(DecodeError::Truncated)?,
        };
        plan.check(usize::from(records))?;
        Ok(plan)
    }

    /// The steps, in the order in which they are to be performed.
    #[must_use]
    pub fn steps(&self) -> Steps<'a> {
        Steps {
            rest: Reader(self.records),
        }
    }

    fn check(&self, records: usize) -> Result<(), DecodeError> {
        let mut last = (StepKind::Plan, 0);
        let mut closes_descriptors = false;
        let mut found = 0;
        for step in self.steps() {
            let step = step?;
            let rank = step.rank();
            if rank <= last {
                return Err(DecodeError::Order(rank.0));
            }
            closes_descriptors |= rank.0 == StepKind::Descriptors;
            last = rank;
            found += 1;
        }
        if !closes_descriptors {
            return Err(DecodeError::Missing(StepKind::Descriptors));
        }
        if last.0 != StepKind::Exec {
            return Err(DecodeError::Missing(StepKind::Exec));
        }
        if found != records {
            return Err(DecodeError::Length);
        }
        Ok(())
    }
}

/// One step with what it needs.
#[derive(Clone, Copy, Debug)]
pub enum Step<'a> {
    /// Every signal to its default disposition, nothing blocked.
    Signals,
    /// `setsid(2)`.
    Session,
    /// `TIOCSCTTY` on standard input.
    Terminal,
    /// `umask(2)` with this mask.
    Umask(u32),
    /// `chdir(2)`.
    WorkingDirectory(&'a CStr),
    /// Pass this many descriptors, close all others beyond 0-2.
    Descriptors {
        /// How many lie at [`FIRST_PASSED_FD`](crate::FIRST_PASSED_FD) and after.
        passed: u32,
    },
    /// `prlimit(2)`.
    Rlimit(Rlimit),
    /// `execve(2)`.
    Exec {
        /// Path of the program.
        program: &'a CStr,
        /// Its arguments, the program's name first.
        argv: Strings<'a>,
        /// Its whole environment, as `KEY=VALUE`.
        envp: Strings<'a>,
    },
}

impl<'a> Step<'a> {
    /// Which step this is.
    #[must_use]
    pub fn kind(&self) -> StepKind {
        match self {
            Step::Signals => StepKind::Signals,
            Step::Session => StepKind::Session,
            Step::Terminal => StepKind::Terminal,
            Step::Umask(_) => StepKind::Umask,
            Step::WorkingDirectory(_) => StepKind::WorkingDirectory,
            Step::Descriptors { .. } => StepKind::Descriptors,
            Step::Rlimit(_) => StepKind::Rlimit,
            Step::Exec { .. } => StepKind::Exec,
        }
    }

    /// Place in the order; the second part orders the limits among each other.
    fn rank(&self) -> (StepKind, u8) {
        let within = match self {
            Step::Rlimit(rlimit) => rlimit.resource as u8,
            _ => 0,
        };
        (self.kind(), within)
    }

    fn parse(kind: StepKind, body: &'a [u8]) -> Result<Step<'a>, DecodeError> {
        let mut body = Reader(body);
        let step = match kind {
            StepKind::Plan | StepKind::Executor => {
                return Err(DecodeError::UnknownStep(kind as u8));
            }
            StepKind::Signals => Step::Signals,
            StepKind::Session => Step::Session,
            StepKind::Terminal => Step::Terminal,
            StepKind::Umask => Step::Umask(body.u32()?),
            StepKind::WorkingDirectory => Step::WorkingDirectory(body.path()?),
            StepKind::Descriptors => Step::Descriptors {
                passed: body.u32()?,
            },
            StepKind::Rlimit => Step::Rlimit(Rlimit {
                resource: Resource::from_number(body.u8()?).ok_or(DecodeError::Body(kind))?,
                limit: body.u64()?,
            }),
            StepKind::Exec => Step::Exec {
                program: body.path()?,
                argv: body.strings()?,
                envp: body.strings()?,
            },
        };
        if !body.0.is_empty() || !step.within_bounds() {
            return Err(DecodeError::Body(kind));
        }
        Ok(step)
    }

    fn within_bounds(&self) -> bool {
        match self {
            Step::Umask(mask) => *mask <= 0o777,
            Step::WorkingDirectory(path) => path.to_bytes().starts_with(b"/"),
            Step::Descriptors { passed } => *passed <= MAX_PASSED,
            Step::Exec { program, argv, .. } => {
                program.to_bytes().starts_with(b"/") && argv.count > 0
            }
            Step::Signals | Step::Session | Step::Terminal | Step::Rlimit(_) => true,
        }
    }
}

/// Iterator over the steps of a [`Plan`]. It yields no error after [`Plan::parse`] has accepted the bytes.
#[derive(Clone, Debug)]
pub struct Steps<'a> {
    rest: Reader<'a>,
}

impl<'a> Steps<'a> {
    fn record(&mut self) -> Result<Step<'a>, DecodeError> {
        let head = self.rest.take(RECORD_BYTES - 4)?;
        let length = self.rest.u32()? as usize;
        let body = self.rest.take(length)?;
        let (tag, reserved) = head.split_first().ok_or(DecodeError::Truncated)?;
        if reserved.iter().any(|byte| *byte != 0) {
            return Err(DecodeError::Reserved);
        }
        let kind = StepKind::from_tag(*tag).ok_or(DecodeError::UnknownStep(*tag))?;
        Step::parse(kind, body).map_err(|error| match error {
            // What does not fit into the body is that step's fault, not the plan's length.
            DecodeError::Truncated => DecodeError::Body(kind),
            other => other,
        })
    }
}

impl<'a> Iterator for Steps<'a> {
    type Item = Result<Step<'a>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.0.is_empty() {
            return None;
        }
        let record = self.record();
        if record.is_err() {
            self.rest = Reader(&[]);
        }
        Some(record)
    }
}

/// A list of NUL-terminated strings inside a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Strings<'a> {
    count: usize,
    bytes: &'a [u8],
}

impl<'a> Strings<'a> {
    /// How many strings there are, at most [`MAX_STRINGS`].
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// The strings in order, exactly [`Strings::count`] of them.
    #[must_use]
    pub fn iter(&self) -> StringIter<'a> {
        StringIter { rest: self.bytes }
    }
}

/// Iterator over [`Strings`].
#[derive(Clone, Debug)]
pub struct StringIter<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for StringIter<'a> {
    type Item = &'a CStr;

    fn next(&mut self) -> Option<&'a CStr> {
        let string = CStr::from_bytes_until_nul(self.rest).ok()?;
        self.rest = self.rest.get(string.count_bytes() + 1..).unwrap_or(&[]);
        Some(string)
    }
}

/// Takes integers and strings off the front of a slice.
#[derive(Clone, Debug)]
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], DecodeError> {
        let (front, rest) = self
            .0
            .split_at_checked(length)
            .ok_or(DecodeError::Truncated)?;
        self.0 = rest;
        Ok(front)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (front, rest) = self.0.split_first_chunk().ok_or(DecodeError::Truncated)?;
        self.0 = rest;
        Ok(*front)
    }

    fn u8(&mut self) -> Result<u8, DecodeError> {
        self.array().map(u8::from_le_bytes)
    }

    fn u16(&mut self) -> Result<u16, DecodeError> {
        self.array().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Result<u32, DecodeError> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, DecodeError> {
        self.array().map(u64::from_le_bytes)
    }

    /// A string with its terminating NUL.
    fn path(&mut self) -> Result<&'a CStr, DecodeError> {
        let path = CStr::from_bytes_until_nul(self.0).map_err(|_| DecodeError::Truncated)?;
        self.take(path.count_bytes() + 1)?;
        Ok(path)
    }

    /// Number of strings, number of bytes, then the strings, each with its terminating NUL.
    fn strings(&mut self) -> Result<Strings<'a>, DecodeError> {
        let count = self.u32()? as usize;
        let length = self.u32()? as usize;
        let bytes = self.take(length)?;
        let terminators = bytes.iter().filter(|byte| **byte == 0).count();
        let ends_whole = bytes.last().is_none_or(|byte| *byte == 0);
        if count > MAX_STRINGS || terminators != count || !ends_whole {
            return Err(DecodeError::Truncated);
        }
        Ok(Strings { count, bytes })
    }
}
