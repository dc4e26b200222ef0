//! How one incarnation of an Ente ended.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::limits::MAX_STATUS_TEXT;

/// How one incarnation ended. The same for every payload, so that policy needs no special cases.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ExitStatus {
    /// It returned or exited with this code. Wasm `run`: 0 for ok, 1 for an error.
    Code(i32),
    /// A signal ended it (signal(7)).
    Signal(i32),
    /// The Wasm component trapped.
    Trap {
        /// Class of trap.
        kind: TrapKind,
        /// Message and, if any, the innermost frames.
        detail: String,
    },
    /// An export of the component returned an error: which one did, and the error.
    Error(String),
    /// It never ran.
    StartFailed {
        /// The step that failed, for example `execve`, `mount /proc`, `verify module`.
        step: String,
        /// What went wrong and what to do about it.
        message: String,
    },
    /// SIGKILL ended it, and who sent that is known.
    Killed(KilledFor),
}

/// Why something was ended by SIGKILL that nobody had asked to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum KilledFor {
    /// The kernel's: memory was out, the machine's or that of its cgroup.
    Memory,
    /// The supervisor's: no sign of life within `liveness_ms`, or one that says that it cannot go on.
    Silence,
}

impl fmt::Display for KilledFor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Memory => {
                "the kernel killed it because memory was out (OOM killer); see soma.cgroup.memory_max"
            }
            Self::Silence => "its watchdog killed it: no sign of life in time (liveness_ms)",
        })
    }
}

/// The number of SIGKILL (signal(7)).
pub(crate) const SIGKILL: i32 = 9;

/// Classes of Wasm traps: few, so that they can label a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum TrapKind {
    /// The `unreachable` instruction; what a guest's panic or `abort` becomes.
    Unreachable,
    /// Access outside a memory or table, or a wrong indirect call.
    OutOfBounds,
    /// Division by zero, integer overflow, invalid conversion.
    Arithmetic,
    /// The guest's call stack ran out.
    StackOverflow,
    /// Asked for more memory or table entries than its Card allows.
    OutOfMemory,
    /// One call took longer than the Card's `limits.call_ms`.
    Deadline,
    /// A host function refused or failed in a way the guest cannot handle.
    Host,
    /// Any other trap.
    Other,
}

impl TrapKind {
    /// The name used in messages and as a metric's label.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::OutOfBounds => "out-of-bounds",
            Self::Arithmetic => "arithmetic",
            Self::StackOverflow => "stack-overflow",
            Self::OutOfMemory => "out-of-memory",
            Self::Deadline => "deadline",
            Self::Host => "host",
            Self::Other => "other",
        }
    }
}

impl fmt::Display for TrapKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl ExitStatus {
    /// Whether the end counts as success: exit code 0, nothing else.
    #[must_use]
    pub const fn success(&self) -> bool {
        matches!(self, Self::Code(0))
    }

    /// The same status with its texts cut to what the supervisor keeps per status.
    pub(crate) fn bounded(mut self) -> Self {
        match &mut self {
            Self::Code(_) | Self::Signal(_) | Self::Killed(_) => {}
            Self::Trap { detail, .. } => cut(detail),
            Self::Error(message) => cut(message),
            Self::StartFailed { step, message } => {
                cut(step);
                cut(message);
            }
        }
        self
    }
}

/// Cuts `text` to [`MAX_STATUS_TEXT`] bytes, at a character boundary, and gives the rest back.
fn cut(text: &mut String) {
    if text.len() > MAX_STATUS_TEXT {
        text.truncate(text.floor_char_boundary(MAX_STATUS_TEXT));
        text.shrink_to_fit();
    }
}

impl fmt::Display for ExitStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exited with code {code}"),
            Self::Signal(signal) => write!(f, "ended by signal {signal}"),
            Self::Killed(why) => write!(f, "ended by signal {SIGKILL}: {why}"),
            Self::Trap { kind, detail } if detail.is_empty() => write!(f, "trapped: {kind}"),
            Self::Trap { kind, detail } => write!(f, "trapped: {kind}: {detail}"),
            Self::Error(message) => f.write_str(message),
            Self::StartFailed { step, message } => {
                write!(f, "could not be started: {step}: {message}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts() {
        let failed = ExitStatus::StartFailed {
            step: "execve".into(),
            message: "no such file".into(),
        };
        let trap = |detail: &str| ExitStatus::Trap {
            kind: TrapKind::Deadline,
            detail: detail.into(),
        };
        for (status, text, success) in [
            (ExitStatus::Code(0), "exited with code 0", true),
            (ExitStatus::Code(3), "exited with code 3", false),
            (ExitStatus::Signal(9), "ended by signal 9", false),
            (
                ExitStatus::Killed(KilledFor::Silence),
                "ended by signal 9: its watchdog killed it: no sign of life in time (liveness_ms)",
                false,
            ),
            (trap(""), "trapped: deadline", false),
            (trap("in run"), "trapped: deadline: in run", false),
            (
                ExitStatus::Error("`start` returned an error: no disk".into()),
                "`start` returned an error: no disk",
                false,
            ),
            (failed, "could not be started: execve: no such file", false),
        ] {
            assert_eq!(status.to_string(), text);
            assert_eq!(status.success(), success, "{text}");
        }
    }

    #[test]
    fn long_texts_are_cut_at_a_character() {
        let status = ExitStatus::Error("é".repeat(MAX_STATUS_TEXT)).bounded();
        let ExitStatus::Error(text) = status else {
            panic!("changed its kind");
        };
        assert!(text.len() <= MAX_STATUS_TEXT && text.len() > MAX_STATUS_TEXT - 2);
    }
}
