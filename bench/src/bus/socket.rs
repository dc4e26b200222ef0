//! A bare Unix socket: two threads on one processor, which send each other what they get.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::Instant;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

use crate::error::Error;
use crate::stats::Samples;

/// Round trips of so many bytes; a sample is the mean of `row` of them.
///
/// # Errors
/// The kernel would not.
pub fn ping_pong(size: usize, rounds: usize, row: u32) -> Result<Samples, Error> {
    let (mut here, mut there) = UnixStream::pair().map_err(Error::tree)?;
    // A thread of its own, so that nobody else stays on that processor.
    let measured = thread::spawn(move || {
        stay_on_one()?;
        let answering = thread::spawn(move || {
            let mut bytes = vec![0; size];
            while there.read_exact(&mut bytes).is_ok() && there.write_all(&bytes).is_ok() {}
        });
        let mut samples = Samples::default();
        let mut bytes = vec![7; size];
        for _ in 0..rounds {
            let begin = Instant::now();
            for _ in 0..row {
                here.write_all(&bytes).map_err(Error::tree)?;
                here.read_exact(&mut bytes).map_err(Error::tree)?;
            }
            samples.push(begin.elapsed() / row);
        }
        drop(here);
        let _ = answering.join(); // it has ended with the socket
        Ok(samples)
    });
    let failed = |_| Error::Tree("the socket's thread panicked".to_owned());
    measured.join().map_err(failed)?
}

/// Keeps this thread, and those that it starts, on one of the processors it may use.
fn stay_on_one() -> Result<(), Error> {
    let this = Pid::from_raw(0);
    let all = sched_getaffinity(this).map_err(Error::tree)?;
    let first = (0..CpuSet::count()).find(|cpu| all.is_set(*cpu).unwrap_or(false));
    let mut one = CpuSet::new();
    one.set(first.unwrap_or(0)).map_err(Error::tree)?;
    sched_setaffinity(this, &one).map_err(Error::tree)
}
