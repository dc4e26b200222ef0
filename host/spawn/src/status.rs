//! What the executor says on the status pipe.
//!
//! Without an init of its own (the step *init*), a program that could be executed closes the pipe without a word. An
//! init says [`Message::Running`] instead, since it stays, and how the program ended if a signal ended it: the first
//! process of a PID namespace cannot end by a signal of its own.

use crate::kind::StepKind;

/// Length of an encoded [`Message`].
pub const MESSAGE_BYTES: usize = 5;

/// Longest subject of a failure in bytes; what is longer is cut off. With its message it is one write below `PIPE_BUF`,
/// so it arrives whole or not at all (`pipe(7)`).
pub const MAX_SUBJECT_BYTES: usize = 1024;

/// Exit code of the executor after a failed step: what shells use for "could not be executed".
pub const FAILURE_EXIT_CODE: i32 = 127;

/// Exit code of an init whose program was ended by a signal, less that signal's number: what shells use. The message
/// tells it from an exit with that code.
pub const SIGNAL_EXIT_CODE: i32 = 128;

/// Tag of [`Message::Running`]. Tags below 0x80 are those of steps.
const RUNNING: u8 = 0x80;

/// Tag of [`Message::Died`].
const DIED: u8 = 0x81;

/// One message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message {
    /// A step failed. What it was about, such as a path, follows up to the end of what was written at once.
    Failed(Failure),
    /// The program was executed, below an init.
    Running,
    /// A signal ended the program below an init.
    Died {
        /// Number of the signal.
        signal: i32,
        /// Whether the kernel wrote a core dump.
        core_dumped: bool,
    },
}

/// A step that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The step.
    pub step: StepKind,
    /// The error number of `errno(3)`. For [`StepKind::Plan`]: `EPERM` the plan is not sealed, `EFBIG` it is longer
    /// than [`MAX_PLAN_BYTES`](crate::MAX_PLAN_BYTES), `EBADMSG` it is malformed.
    pub errno: i32,
}

impl Message {
    /// The bytes on the pipe: tag, then a number in little-endian order.
    #[must_use]
    pub fn encode(self) -> [u8; MESSAGE_BYTES] {
        let (tag, number) = match self {
            Message::Failed(Failure { step, errno }) => (step as u8, errno),
            Message::Running => (RUNNING, 0),
            // Signals are below 128: bit 7 is free, as in the status of wait(2).
            Message::Died {
                signal,
                core_dumped,
            } => (DIED, signal & 0x7f | i32::from(core_dumped) << 7),
        };
        let [a, b, c, d] = number.to_le_bytes();
        [tag, a, b, c, d]
    }

    /// Reads what [`Message::encode`] wrote. `None` if the tag is unknown.
    #[must_use]
    pub fn decode(bytes: [u8; MESSAGE_BYTES]) -> Option<Message> {
        let [tag, a, b, c, d] = bytes;
        let number = i32::from_le_bytes([a, b, c, d]);
        Some(match tag {
            RUNNING => Message::Running,
            DIED => Message::Died {
                signal: number & 0x7f,
                core_dumped: number & 0x80 != 0,
            },
            _ => Message::Failed(Failure {
                step: StepKind::from_tag(tag)?,
                errno: number,
            }),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_survives_the_pipe() {
        for step in StepKind::ALL {
            for errno in [0, 2, 13, i32::MAX, -1] {
                let message = Message::Failed(Failure { step, errno });
                assert_eq!(Message::decode(message.encode()), Some(message));
            }
        }
        for signal in 1..=64 {
            for core_dumped in [false, true] {
                let message = Message::Died {
                    signal,
                    core_dumped,
                };
                assert_eq!(Message::decode(message.encode()), Some(message));
            }
        }
        assert_eq!(
            Message::decode(Message::Running.encode()),
            Some(Message::Running)
        );
    }

    #[test]
    fn unknown_tags_are_not_guessed() {
        assert_eq!(Message::decode([0x01, 0, 0, 0, 0]), None);
        assert_eq!(Message::decode([0xff, 0, 0, 0, 0]), None);
    }
}
