//! Takes a plan's bytes apart, without allocating and without panicking.

use core::ffi::CStr;

use crate::decode::DecodeError;
use crate::format::MAX_STRINGS;

/// A list of NUL-terminated strings inside a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Strings<'a> {
    count: usize,
    bytes: &'a [u8],
}

impl<'a> Strings<'a> {
    /// How many strings there are, at most [`MAX_STRINGS`].
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// The strings in order, exactly [`Strings::count`] of them.
    #[must_use]
    pub fn iter(&self) -> StringIter<'a> {
        StringIter { rest: self.bytes }
    }
}

/// Iterator over [`Strings`].
#[derive(Clone, Debug)]
pub struct StringIter<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for StringIter<'a> {
    type Item = &'a CStr;

    fn next(&mut self) -> Option<&'a CStr> {
        let string = CStr::from_bytes_until_nul(self.rest).ok()?;
        self.rest = self.rest.get(string.count_bytes() + 1..).unwrap_or(&[]);
        Some(string)
    }
}

/// Takes integers and strings off the front of a slice.
#[derive(Clone, Debug)]
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn take(&mut self, length: usize) -> Result<&'a [u8], DecodeError> {
        let (front, rest) = self
            .0
            .split_at_checked(length)
            .ok_or(DecodeError::Truncated)?;
        self.0 = rest;
        Ok(front)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (front, rest) = self.0.split_first_chunk().ok_or(DecodeError::Truncated)?;
        self.0 = rest;
        Ok(*front)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, DecodeError> {
        self.array().map(u8::from_le_bytes)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, DecodeError> {
        self.array().map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, DecodeError> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, DecodeError> {
        self.array().map(u64::from_le_bytes)
    }

    /// Number of ids, then the ids.
    pub(crate) fn ids(&mut self) -> Result<Ids<'a>, DecodeError> {
        let count = usize::from(self.u16()?);
        let bytes = self.take(count * size_of::<u32>())?;
        Ok(Ids { bytes })
    }

    /// All that is left.
    pub(crate) fn rest(&mut self) -> &'a [u8] {
        core::mem::take(&mut self.0)
    }

    /// A string with its terminating NUL.
    pub(crate) fn path(&mut self) -> Result<&'a CStr, DecodeError> {
        let path = CStr::from_bytes_until_nul(self.0).map_err(|_| DecodeError::Truncated)?;
        self.take(path.count_bytes() + 1)?;
        Ok(path)
    }

    /// Number of strings, number of bytes, then the strings, each with its terminating NUL.
    pub(crate) fn strings(&mut self) -> Result<Strings<'a>, DecodeError> {
        let count = self.u32()? as usize;
        let length = self.u32()? as usize;
        let bytes = self.take(length)?;
        let terminators = bytes.iter().filter(|byte| **byte == 0).count();
        let ends_whole = bytes.last().is_none_or(|byte| *byte == 0);
        if count > MAX_STRINGS || terminators != count || !ends_whole {
            return Err(DecodeError::Truncated);
        }
        Ok(Strings { count, bytes })
    }
}

/// A list of ids inside a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ids<'a> {
    bytes: &'a [u8],
}

impl<'a> Ids<'a> {
    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.bytes.len() / size_of::<u32>()
    }

    /// The ids in order, exactly [`Ids::count`] of them.
    pub fn iter(&self) -> impl Iterator<Item = u32> + use<'a> {
        let (ids, _) = self.bytes.as_chunks();
        ids.iter().map(|id| u32::from_le_bytes(*id))
    }
}
