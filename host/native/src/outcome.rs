//! What became of the exec: the reading end of the status pipe.

use std::fmt;
use std::os::fd::AsFd;

use ente_spawn::{FAILURE_BYTES, Failure, StepKind};
use nix::errno::Errno;

/// A step of the plan that failed, so that the program never ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExecFailure {
    /// The step.
    pub step: StepKind,
    /// Why.
    pub errno: Errno,
}

impl fmt::Display for ExecFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { step, errno } = self;
        write!(
            f,
            "the step \"{}\" failed with {errno:?}: {}",
            step.name(),
            errno.desc()
        )
    }
}

impl std::error::Error for ExecFailure {}

/// How far a start has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExecOutcome {
    /// The executor is still at work.
    Pending,
    /// The program runs (or has run): the pipe was closed without a word. An executor that is killed from outside
    /// before its exec closes the pipe just so; then the exit status, death by that signal, tells the rest.
    Started,
    /// The program could not be run; the process exits with code 127.
    Failed(ExecFailure),
}

/// Reads [`Started::status`](crate::Started::status) without waiting. Poll it for input and call this: anything but
/// [`ExecOutcome::Pending`] is final, and the descriptor can be closed.
///
/// # Errors
/// `EBADMSG` if something else than a failure stands in the pipe, else what `read(2)` says.
pub fn read_exec_outcome(status: impl AsFd) -> nix::Result<ExecOutcome> {
    let mut bytes = [0; FAILURE_BYTES];
    match nix::unistd::read(status.as_fd(), &mut bytes) {
        Ok(0) => Ok(ExecOutcome::Started),
        // One write below PIPE_BUF is never torn, so a short read is not the executor's.
        Ok(FAILURE_BYTES) => {
            let failure = Failure::decode(bytes).ok_or(Errno::EBADMSG)?;
            Ok(ExecOutcome::Failed(ExecFailure {
                step: failure.step,
                errno: Errno::from_raw(failure.errno),
            }))
        }
        Ok(_) => Err(Errno::EBADMSG),
        Err(Errno::EAGAIN | Errno::EINTR) => Ok(ExecOutcome::Pending),
        Err(errno) => Err(errno),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::fcntl::OFlag;
    use nix::unistd::{pipe2, write};

    #[test]
    fn the_pipe_is_read_as_documented() {
        let cases: [(&[u8], bool, nix::Result<ExecOutcome>); 5] = [
            (&[], false, Ok(ExecOutcome::Pending)),
            (&[], true, Ok(ExecOutcome::Started)),
            (
                &[0x7f, 2, 0, 0, 0],
                false,
                Ok(ExecOutcome::Failed(ExecFailure {
                    step: StepKind::Exec,
                    errno: Errno::ENOENT,
                })),
            ),
            (&[0x01, 2, 0, 0, 0], true, Err(Errno::EBADMSG)),
            (&[0x7f, 2], true, Err(Errno::EBADMSG)),
        ];
        for (bytes, close, expected) in cases {
            let (reader, writer) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK).unwrap();
            if !bytes.is_empty() {
                write(&writer, bytes).unwrap();
            }
            let _writer = (!close).then_some(writer);
            assert_eq!(read_exec_outcome(&reader), expected, "{bytes:?}");
        }
    }

    #[test]
    fn a_failure_names_step_and_error() {
        let failure = ExecFailure {
            step: StepKind::Exec,
            errno: Errno::ENOENT,
        };
        assert_eq!(
            failure.to_string(),
            "the step \"exec\" failed with ENOENT: No such file or directory"
        );
    }
}
