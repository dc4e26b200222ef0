//! The program that is to take over: looked at before anything is stopped for it.

use super::parcel::VERSION;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;

/// What every mark begins with; the version follows.
const PREFIX: &[u8] = b"ente-zero takes over, version ";

/// By this a program is known as an `ente-zero` that takes over what this version leaves. Three digits.
#[used]
pub static MARK: [u8; PREFIX.len() + 4] = mark();

const fn mark() -> [u8; PREFIX.len() + 4] {
    let mut mark = [b'\n'; PREFIX.len() + 4];
    let mut at = 0;
    while at < PREFIX.len() {
        mark[at] = PREFIX[at];
        at += 1;
    }
    let digits = [VERSION / 100 % 10, VERSION / 10 % 10, VERSION % 10];
    let mut n = 0;
    while n < digits.len() {
        mark[at + n] = b'0' + digits[n] as u8;
        n += 1;
    }
    mark
}

/// Bytes of a program that are looked at: several times the size of `ente-zero`.
const MAX_PROGRAM: u64 = 64 << 20;

/// Read at once.
const CHUNK: usize = 256 << 10;

/// What a program is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// An `ente-zero` that takes over what this one leaves.
    Ours,
    /// An `ente-zero` with another format.
    Other(u32),
    /// Something else.
    Foreign,
}

impl Next {
    /// Looks at a program.
    ///
    /// # Errors
    ///
    /// It cannot be read, or nobody may execute it.
    pub fn of(program: &mut File) -> io::Result<Next> {
        let metadata = program.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::other("is not a file"));
        }
        if metadata.mode() & 0o111 == 0 {
            return Err(io::Error::other("is not executable"));
        }
        let mut source = program.take(MAX_PROGRAM);
        let mut buffer = vec![0; CHUNK];
        let mut found = Next::Foreign;
        // So that a mark across two chunks is seen.
        let mut carried = 0;
        loop {
            let read = source.read(&mut buffer[carried..])?;
            if read == 0 {
                return Ok(found);
            }
            let filled = carried + read;
            match search(&buffer[..filled]) {
                Some(version) if version == VERSION => return Ok(Next::Ours),
                Some(version) => found = Next::Other(version),
                None => {}
            }
            let overlap = filled.min(MARK.len() - 1);
            buffer.copy_within(filled - overlap..filled, 0);
            carried = overlap;
        }
    }
}

/// The version in a mark, the own one if there are several.
fn search(bytes: &[u8]) -> Option<u32> {
    let versions = bytes.windows(MARK.len()).filter_map(version);
    versions.min_by_key(|version| *version != VERSION)
}

fn version(mark: &[u8]) -> Option<u32> {
    // The first byte alone sorts nearly everything out.
    if mark.first() != PREFIX.first() {
        return None;
    }
    let digits = mark.strip_prefix(PREFIX)?.strip_suffix(b"\n")?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;

    fn program(bytes: &[u8], mode: u32) -> (tempfile::TempDir, File) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("program");
        let mut file = File::create(&path).unwrap();
        file.write_all(bytes).unwrap();
        file.set_permissions(std::fs::Permissions::from_mode(mode))
            .unwrap();
        (folder, File::open(path).unwrap())
    }

    fn of(bytes: &[u8]) -> Next {
        let (_folder, mut file) = program(bytes, 0o755);
        Next::of(&mut file).unwrap()
    }

    #[test]
    fn this_program_is_ours_and_others_are_not() {
        // The test's own binary has the mark, as ente-zero has.
        assert_eq!(
            Next::of(&mut File::open("/proc/self/exe").unwrap()).unwrap(),
            Next::Ours
        );
        assert_eq!(
            Next::of(&mut File::open("/bin/sh").unwrap()).unwrap(),
            Next::Foreign
        );
        assert_eq!(of(b"#!/bin/sh\n"), Next::Foreign);
        assert_eq!(of(b""), Next::Foreign);
    }

    #[test]
    fn a_mark_is_found_wherever_it_is() {
        for at in [0, 1, CHUNK - MARK.len(), CHUNK - 1, CHUNK, 3 * CHUNK - 7] {
            let mut bytes = vec![b'e'; 3 * CHUNK + 100];
            bytes[at..at + MARK.len()].copy_from_slice(&MARK);
            assert_eq!(of(&bytes), Next::Ours, "at {at}");
            bytes[at + PREFIX.len()..at + PREFIX.len() + 3].copy_from_slice(b"777");
            assert_eq!(of(&bytes), Next::Other(777), "at {at}");
        }
    }

    #[test]
    fn what_cannot_be_executed_is_refused() {
        let (folder, mut file) = program(&MARK, 0o644);
        assert!(Next::of(&mut file).is_err());
        assert!(Next::of(&mut File::open(folder.path()).unwrap()).is_err());
    }
}
