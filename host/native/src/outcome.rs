//! What became of the exec, and of a program below an init: the reading end of the status pipe.

use std::fmt;
use std::os::fd::AsFd;

use ente_spawn::{Failure, MAX_SUBJECT_BYTES, MESSAGE_BYTES, Message, StepKind};
use nix::errno::Errno;

use crate::reap::ExitStatus;

/// A step of the plan that failed, so that the program never ran.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecFailure {
    /// The step.
    pub step: StepKind,
    /// Why.
    pub errno: Errno,
    /// What it was about, such as a path; empty where the step says it all.
    pub subject: String,
}

impl ExecFailure {
    /// The error in words, with what it was about.
    #[must_use]
    pub fn reason(&self) -> String {
        match (self.step, self.errno) {
            // "Too many levels of symbolic links": mounts follow none at all.
            (StepKind::Mounts, Errno::ELOOP) => format!(
                "{:?} leads over a symbolic link, and mounts follow none; name the real path",
                self.subject
            ),
            (_, errno) if self.subject.is_empty() => errno.desc().to_owned(),
            (_, errno) => format!("{}: {:?}", errno.desc(), self.subject),
        }
    }
}

impl fmt::Display for ExecFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { step, errno, .. } = self;
        let reason = self.reason();
        write!(
            f,
            "the step \"{}\" failed with {errno:?}: {reason}",
            step.name()
        )
    }
}

impl std::error::Error for ExecFailure {}

/// How far a start has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExecOutcome {
    /// The executor is still at work.
    Pending,
    /// The program runs (or has run): the pipe was closed without a word, or its init says so. An executor that is
    /// killed from outside before its exec closes the pipe just so; then the exit status, death by that signal,
    /// tells the rest.
    Started,
    /// The program could not be run; the process exits with code 127.
    Failed(ExecFailure),
}

/// Reads [`Started::status`](crate::Started::status) without waiting. Poll it for input and call this: anything but
/// [`ExecOutcome::Pending`] is final, and the descriptor can be closed, unless the Ente has an init
/// ([`Started::init`](crate::Started::init)): then it is kept for [`read_death`].
///
/// # Errors
/// `EBADMSG` if something else than a message stands in the pipe, else what `read(2)` says.
pub fn read_exec_outcome(status: impl AsFd) -> nix::Result<ExecOutcome> {
    match read_message(&status) {
        Ok(None | Some(Message::Running)) => Ok(ExecOutcome::Started),
        Ok(Some(Message::Failed(Failure { step, errno }))) => {
            Ok(ExecOutcome::Failed(ExecFailure {
                step,
                errno: Errno::from_raw(errno),
                subject: read_subject(&status),
            }))
        }
        // An init says first that its program runs.
        Ok(Some(Message::Died { .. })) => Err(Errno::EBADMSG),
        Err(Errno::EAGAIN | Errno::EINTR) => Ok(ExecOutcome::Pending),
        Err(errno) => Err(errno),
    }
}

/// How the program below an init ended, if a signal ended it: to be asked when the init has been reaped, and instead of
/// its exit status, which cannot say it. `None` if the program exited, or the init itself was killed.
pub fn read_death(status: impl AsFd) -> Option<ExitStatus> {
    loop {
        match read_message(&status) {
            Ok(Some(Message::Died {
                signal,
                core_dumped,
            })) => {
                return Some(ExitStatus::Signal {
                    number: signal,
                    core_dumped,
                });
            }
            // Not read yet, because the program was faster than the poll.
            Ok(Some(Message::Running)) | Err(Errno::EINTR) => {}
            _ => return None,
        }
    }
}

/// `None` at the end of the pipe.
fn read_message(status: &impl AsFd) -> nix::Result<Option<Message>> {
    let mut bytes = [0; MESSAGE_BYTES];
    match nix::unistd::read(status.as_fd(), &mut bytes)? {
        0 => Ok(None),
        // One write below PIPE_BUF is never torn, so a short read is not the executor's.
        MESSAGE_BYTES => Message::decode(bytes).map(Some).ok_or(Errno::EBADMSG),
        _ => Err(Errno::EBADMSG),
    }
}

/// What was written along with a failure; nothing follows it.
fn read_subject(status: &impl AsFd) -> String {
    let mut bytes = [0; MAX_SUBJECT_BYTES];
    let length = nix::unistd::read(status.as_fd(), &mut bytes).unwrap_or(0);
    String::from_utf8_lossy(bytes.get(..length).unwrap_or(&[])).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::fcntl::OFlag;
    use nix::unistd::{pipe2, write};

    #[test]
    fn the_pipe_is_read_as_documented() {
        let failed = |step, errno, subject: &str| {
            Ok(ExecOutcome::Failed(ExecFailure {
                step,
                errno,
                subject: subject.to_owned(),
            }))
        };
        let cases: [(&[u8], bool, nix::Result<ExecOutcome>); 8] = [
            (&[], false, Ok(ExecOutcome::Pending)),
            (&[], true, Ok(ExecOutcome::Started)),
            (
                &[0x7f, 2, 0, 0, 0],
                false,
                failed(StepKind::Exec, Errno::ENOENT, ""),
            ),
            (
                b"\x30\x02\0\0\0/no/such",
                true,
                failed(StepKind::Mounts, Errno::ENOENT, "/no/such"),
            ),
            (&[0x80, 0, 0, 0, 0], false, Ok(ExecOutcome::Started)),
            (&[0x81, 9, 0, 0, 0], false, Err(Errno::EBADMSG)),
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
            subject: String::new(),
        };
        assert_eq!(
            failure.to_string(),
            "the step \"exec\" failed with ENOENT: No such file or directory"
        );
        let failure = ExecFailure {
            subject: "/bin/x".into(),
            ..failure
        };
        assert_eq!(failure.reason(), "No such file or directory: \"/bin/x\"");
    }

    #[test]
    fn a_death_below_an_init_is_read_after_the_start() {
        let killed = Some(ExitStatus::Signal {
            number: 9,
            core_dumped: true,
        });
        let cases: [(&[u8], Option<ExitStatus>); 4] = [
            (&[0x80, 0, 0, 0, 0, 0x81, 0x89, 0, 0, 0], killed),
            (&[0x81, 0x89, 0, 0, 0], killed),
            (&[0x80, 0, 0, 0, 0], None),
            (&[], None),
        ];
        for (bytes, expected) in cases {
            let (reader, writer) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK).unwrap();
            write(&writer, bytes).unwrap();
            drop(writer);
            assert_eq!(read_death(&reader), expected, "{bytes:?}");
        }
    }
}
