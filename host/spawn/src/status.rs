//! What the executor says on the status pipe when a step fails.

use crate::format::StepKind;

/// Length of an encoded [`Failure`]: one write below `PIPE_BUF`, so it arrives whole or not at all (`pipe(7)`).
pub const FAILURE_BYTES: usize = 5;

/// Exit code of the executor after a failed step: what shells use for "could not be executed".
pub const FAILURE_EXIT_CODE: i32 = 127;

/// A step that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The step.
    pub step: StepKind,
    /// The error number of `errno(3)`. For [`StepKind::Plan`]: `EPERM` the plan is not sealed, `EFBIG` it is longer
    /// than [`MAX_PLAN_BYTES`](crate::MAX_PLAN_BYTES), `EBADMSG` it is malformed.
    pub errno: i32,
}

impl Failure {
    /// The bytes on the pipe: step, then the error number in little-endian order.
    #[must_use]
    pub fn encode(self) -> [u8; FAILURE_BYTES] {
        let [a, b, c, d] = self.errno.to_le_bytes();
        [self.step as u8, a, b, c, d]
    }

    /// Reads what [`Failure::encode`] wrote. `None` if the step is unknown.
    #[must_use]
    pub fn decode(bytes: [u8; FAILURE_BYTES]) -> Option<Failure> {
        let [step, a, b, c, d] = bytes;
        Some(Failure {
            step: StepKind::from_tag(step)?,
            errno: i32::from_le_bytes([a, b, c, d]),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_survives_the_pipe() {
        for step in StepKind::ALL {
            for errno in [0, 2, 13, i32::MAX, -1] {
                let failure = Failure { step, errno };
                assert_eq!(Failure::decode(failure.encode()), Some(failure));
            }
        }
    }

    #[test]
    fn unknown_steps_are_not_guessed() {
        assert_eq!(Failure::decode([0x01, 0, 0, 0, 0]), None);
        assert_eq!(Failure::decode([0xff, 0, 0, 0, 0]), None);
    }
}
