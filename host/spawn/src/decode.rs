//! Zero-copy, allocation-free decoder. It never panics, whatever the bytes are.

use core::fmt;

use crate::format::{HEADER_BYTES, MAGIC, MAX_PLAN_BYTES, RECORD_BYTES, VERSION};
use crate::kind::StepKind;
use crate::reader::Reader;
use crate::step::Step;

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
            if rank < last || rank == last && !step.repeats() {
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
