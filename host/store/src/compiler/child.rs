//! One run of the compiler program: descriptors, deadline, end.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::memfd::{MFdFlags, memfd_create};

use super::error::CompileError;

/// How much of the compiler's standard error is kept, in bytes. It says one line.
const MAX_MESSAGE_BYTES: usize = 4096;

/// How often to look for the exit status once the pipe has ended: between the two the kernel only
/// takes the process apart. (A descriptor of the process would tell, but std has none yet.)
const EXIT_POLL: Duration = Duration::from_millis(1);

/// How a child ended, and what it said.
pub(super) struct Ended {
    /// Exit status or signal.
    pub(super) status: ExitStatus,
    /// The beginning of its standard error.
    pub(super) message: String,
}

/// A finished run.
pub(super) struct Output {
    /// How it ended.
    pub(super) ended: Ended,
    /// What it wrote to standard output.
    pub(super) file: File,
}

fn transfer(action: &'static str) -> impl FnOnce(io::Error) -> CompileError {
    move |source| CompileError::Transfer { action, source }
}

/// Runs `program` over `input` until it ends, or until `deadline` has passed.
pub(super) fn run(
    program: &Path,
    arguments: &[&str],
    input: &[u8],
    deadline: Duration,
) -> Result<Output, CompileError> {
    let stdin = sealed(input).map_err(transfer("handing over the module"))?;
    let file = memory_file(c"artifact").map_err(transfer("making room for the artifact"))?;
    let stdout = file
        .try_clone()
        .map_err(transfer("making room for the artifact"))?;
    let mut child = Command::new(program)
        .args(arguments)
        .env_clear()
        .stdin(stdin)
        .stdout(stdout)
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|source| CompileError::Start {
            program: program.to_owned(),
            source,
        })?;
    let ended = wait(&mut child, deadline)?;
    Ok(Output { ended, file })
}

/// Reads what a child wrote. It has ended, so nobody writes any more.
pub(super) fn read_output(file: &File, most: u64) -> Result<Vec<u8>, CompileError> {
    let action = "reading the artifact";
    let length = file.metadata().map_err(transfer(action))?.len();
    let size = match usize::try_from(length) {
        Ok(size) if length <= most => size,
        _ => {
            return Err(CompileError::TooLarge(format!(
                "the compiler wrote {length} bytes, more than the {most} expected at most"
            )));
        }
    };
    let mut bytes = vec![0; size];
    file.read_exact_at(&mut bytes, 0)
        .map_err(transfer(action))?;
    Ok(bytes)
}

fn memory_file(name: &std::ffi::CStr) -> io::Result<File> {
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    Ok(File::from(memfd_create(name, flags)?))
}

/// A memory file with these contents, which nobody can change, positioned at its beginning.
fn sealed(contents: &[u8]) -> io::Result<File> {
    let mut file = memory_file(c"module")?;
    file.write_all(contents)?;
    file.rewind()?;
    let seals = SealFlag::F_SEAL_WRITE
        | SealFlag::F_SEAL_GROW
        | SealFlag::F_SEAL_SHRINK
        | SealFlag::F_SEAL_SEAL;
    fcntl(&file, FcntlArg::F_ADD_SEALS(seals))?;
    Ok(file)
}

/// Waits for the child's end, and kills it at the deadline.
fn wait(child: &mut Child, deadline: Duration) -> Result<Ended, CompileError> {
    let end = Instant::now() + deadline;
    let ended = wait_until(child, end);
    if let Ok(Some(ended)) = ended {
        return Ok(ended);
    }
    let lost = matches!(&ended, Err(error) if error.raw_os_error() == Some(Errno::ECHILD as i32));
    // When somebody else has collected the child, its number may belong to another process by now.
    if !lost {
        let _ = child.kill();
        let _ = child.wait();
    }
    Err(match ended {
        Err(error) => transfer("waiting for the compiler")(error),
        Ok(_) => CompileError::Deadline(deadline),
    })
}

/// A child has its standard error open as long as it lives, so most of the waiting is for the end
/// of that pipe. `None` when the time comes first.
fn wait_until(child: &mut Child, end: Instant) -> io::Result<Option<Ended>> {
    let said = match child.stderr.take() {
        Some(stderr) => listen(stderr, end)?,
        None => Some(Vec::new()),
    };
    let Some(said) = said else { return Ok(None) };
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(Ended {
                status,
                message: message(&said),
            }));
        }
        if Instant::now() >= end {
            return Ok(None);
        }
        std::thread::sleep(EXIT_POLL);
    }
}

/// Reads the pipe to its end and keeps the beginning; `None` when the time comes first.
fn listen(mut pipe: ChildStderr, end: Instant) -> io::Result<Option<Vec<u8>>> {
    let mut said = Vec::new();
    let mut buffer = [0; 512];
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(None);
        }
        if !readable(&pipe, left)? {
            continue;
        }
        let count = match pipe.read(&mut buffer) {
            Ok(0) => return Ok(Some(said)),
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let keep = count.min(MAX_MESSAGE_BYTES - said.len());
        said.extend_from_slice(&buffer[..keep]);
    }
}

/// Waits until the pipe has something or has ended; `false` when the time is over or a signal came.
fn readable(pipe: &ChildStderr, left: Duration) -> io::Result<bool> {
    let mut watched = [PollFd::new(pipe.as_fd(), PollFlags::POLLIN)];
    // A millisecond more, since poll rounds down and would spin through the last one.
    let timeout =
        PollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX);
    match poll(&mut watched, timeout) {
        Ok(count) => Ok(count > 0),
        Err(Errno::EINTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// The text of a message, on one line, without the program's name before it.
fn message(said: &[u8]) -> String {
    let text = String::from_utf8_lossy(said);
    let text = text.trim();
    let text = text.strip_prefix("ente-compile: ").unwrap_or(text);
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
