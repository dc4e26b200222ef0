//! Reaping: every child that ended, whether PID 1 started it or adopted it.

use std::fmt;

use nix::errno::Errno;
use nix::unistd::Pid;

/// Most children reaped in one turn. Processes can end faster than they are reaped, and the core loop has timers
/// and sockets to serve between two turns.
pub const REAP_BATCH: usize = 256;

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    /// It exited with this code, 0..=255.
    Code(i32),
    /// A signal ended it.
    Signal {
        /// Number of the signal; real-time signals included, which is why it is no enumeration.
        number: i32,
        /// Whether the kernel wrote a core dump.
        core_dumped: bool,
    },
}

impl ExitStatus {
    /// Whether it exited with code 0.
    #[must_use]
    pub fn success(self) -> bool {
        self == ExitStatus::Code(0)
    }

    /// Reads a status word of `wait(2)`. `None` for a process that stopped or continued.
    fn from_wait_status(status: i32) -> Option<ExitStatus> {
        if libc::WIFEXITED(status) {
            Some(ExitStatus::Code(libc::WEXITSTATUS(status)))
        } else if libc::WIFSIGNALED(status) {
            Some(ExitStatus::Signal {
                number: libc::WTERMSIG(status),
                core_dumped: libc::WCOREDUMP(status),
            })
        } else {
            None
        }
    }
}

impl fmt::Display for ExitStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal {
                number,
                core_dumped,
            } => {
                match nix::sys::signal::Signal::try_from(*number) {
                    Ok(signal) => write!(f, "killed by {signal}")?,
                    Err(_) => write!(f, "killed by signal {number}")?,
                }
                if *core_dumped {
                    f.write_str(", core dumped")?;
                }
                Ok(())
            }
        }
    }
}

/// A child that ended and is no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reaped {
    /// Its process id, free to be used again from now on.
    pub pid: Pid,
    /// How it ended.
    pub status: ExitStatus,
}

/// Iterator over the children that have ended by now; it never waits for one.
///
/// It stops after [`REAP_BATCH`] children. One `SIGCHLD` may stand for many of them, so when [`Reaper::more`] says
/// so, the next turn has to come without another signal.
#[derive(Debug)]
pub struct Reaper {
    left: usize,
    drained: bool,
}

impl Reaper {
    /// A turn of reaping. It takes *any* child, so only the one place that owns all children may use it.
    #[must_use]
    pub fn turn() -> Reaper {
        Reaper {
            left: REAP_BATCH,
            drained: false,
        }
    }

    /// Whether the turn ended at its limit, so that more children may be waiting.
    #[must_use]
    pub fn more(&self) -> bool {
        !self.drained
    }
}

impl Iterator for Reaper {
    type Item = Reaped;

    fn next(&mut self) -> Option<Reaped> {
        if self.drained || self.left == 0 {
            return None;
        }
        match reap_one() {
            Some(reaped) => {
                self.left -= 1;
                Some(reaped)
            }
            None => {
                self.drained = true;
                None
            }
        }
    }
}

/// `waitpid(2)` for any child, without waiting. nix's wrapper is not used: it fails with `EINVAL` for a process that
/// a real-time signal killed, after the kernel has already forgotten that process.
fn reap_one() -> Option<Reaped> {
    loop {
        let mut status = 0;
        // SAFETY: the call writes one integer, which `status` is.
        let pid = unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG | libc::__WALL) };
        match Errno::result(pid) {
            Ok(0) | Err(Errno::ECHILD) => return None,
            Ok(pid) => {
                // Stopped and continued children are not asked for, but a tracer may report them.
                let Some(status) = ExitStatus::from_wait_status(status) else {
                    continue;
                };
                let pid = Pid::from_raw(pid);
                return Some(Reaped { pid, status });
            }
            Err(Errno::EINTR) => {}
            Err(errno) => {
                tracing::error!(%errno, "waitpid failed");
                return None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wait_statuses_are_read_as_the_manual_says() {
        let killed = |number, core_dumped| {
            Some(ExitStatus::Signal {
                number,
                core_dumped,
            })
        };
        let cases = [
            (0x0000, Some(ExitStatus::Code(0)), "exit code 0"),
            (0x7f00, Some(ExitStatus::Code(127)), "exit code 127"),
            (0xff00, Some(ExitStatus::Code(255)), "exit code 255"),
            (0x0009, killed(9, false), "killed by SIGKILL"),
            (0x008b, killed(11, true), "killed by SIGSEGV, core dumped"),
            (0x0022, killed(34, false), "killed by signal 34"),
            (0x137f, None, ""), // Stopped.
            (0xffff, None, ""), // Continued.
        ];
        for (word, expected, text) in cases {
            let status = ExitStatus::from_wait_status(word);
            assert_eq!(status, expected, "{word:#x}");
            assert_eq!(
                status.map(|status| status.to_string()).unwrap_or_default(),
                text
            );
        }
    }

    #[test]
    fn only_code_zero_is_success() {
        assert!(ExitStatus::Code(0).success());
        assert!(!ExitStatus::Code(1).success());
        let killed = ExitStatus::Signal {
            number: 15,
            core_dumped: false,
        };
        assert!(!killed.success());
    }
}
