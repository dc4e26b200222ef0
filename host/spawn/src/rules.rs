//! The rules of a landlock step.

use core::ffi::CStr;

use crate::decode::DecodeError;
use crate::format::MAX_PATHS;
use crate::kind::StepKind;
use crate::reader::Reader;

/// What is allowed at a path and below it. `T` is a string: borrowed from a plan, or owned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathRule<T> {
    /// Absolute path of a file or folder; symbolic links are followed.
    pub path: T,
    /// `LANDLOCK_ACCESS_FS_*`. What applies to folders only is left out for a file.
    pub access: u64,
    /// It need not exist.
    pub optional: bool,
    /// It is a program: if it is a script, its interpreter is allowed the same.
    pub program: bool,
}

/// The list of rules.
#[derive(Clone, Copy, Debug)]
pub struct PathRules<'a> {
    bytes: &'a [u8],
}

impl<'a> PathRules<'a> {
    /// Checks all of them.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<PathRules<'a>, DecodeError> {
        let mut reader = Reader(bytes);
        let mut found = 0;
        while !reader.0.is_empty() {
            read(&mut reader)?;
            found += 1;
        }
        if found <= MAX_PATHS {
            Ok(PathRules { bytes })
        } else {
            Err(DecodeError::Body(StepKind::Landlock))
        }
    }

    /// The rules in order.
    pub fn iter(&self) -> impl Iterator<Item = PathRule<&'a CStr>> + use<'a> {
        let mut reader = Reader(self.bytes);
        // All of them have been read once: this ends where the bytes do.
        core::iter::from_fn(move || read(&mut reader).ok())
    }
}

fn read<'a>(reader: &mut Reader<'a>) -> Result<PathRule<&'a CStr>, DecodeError> {
    let (access, flags, path) = (reader.u64()?, reader.u8()?, reader.path()?);
    if flags > 3 || !path.to_bytes().starts_with(b"/") {
        return Err(DecodeError::Body(StepKind::Landlock));
    }
    Ok(PathRule {
        path,
        access,
        optional: flags & 1 != 0,
        program: flags & 2 != 0,
    })
}
