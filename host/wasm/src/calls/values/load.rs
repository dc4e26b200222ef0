//! From a component's memory and stack to bytes, by the canonical ABI.
//!
//! The counterpart of wasmtime's `Val::lift` and `Val::load`, which make a `Val` of 24 bytes of every byte of a
//! `list<u8>`. Numbers that lie side by side are copied in one piece here.
//!
//! Source: the component model's `CanonicalABI.md`, "Loading" and "Flat Lifting".

use super::encode::Encoder;
use super::layout::{Cases, number};
use super::{Unfit, little_endian, width};
use crate::ctx::MAX_CALL_BYTES;
use wasmtime::component::__internal::wasmtime_environ::component::{StringEncoding, TypeMap};
use wasmtime::component::__internal::{
    CanonicalAbiInfo, ComponentTypes, InterfaceType, LiftContext,
};
use wasmtime::component::Lift;
use wasmtime::{Error, Result, ValRaw};

/// Why values could not be taken.
pub(super) enum Stop {
    /// They do not cross: the caller's affair, which its function may be able to say.
    Unfit(Unfit),
    /// The component broke the canonical ABI, and traps.
    Trap(Error),
}

impl From<Unfit> for Stop {
    fn from(unfit: Unfit) -> Stop {
        Stop::Unfit(unfit)
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Stop {
        Stop::Trap(error)
    }
}

fn trap<T>(why: &'static str) -> Result<T, Stop> {
    Err(Stop::Trap(Error::msg(why)))
}

/// What is taken, so far.
pub(super) struct Loader<'c, 'm> {
    cx: &'c mut LiftContext<'m>,
    types: &'m ComponentTypes,
    memory: &'m [u8],
    /// Bytes of lists that may still be taken: they take as many in the memory of the component that gets them.
    left: usize,
    out: Encoder,
}

impl<'c, 'm> Loader<'c, 'm> {
    pub(super) fn new(cx: &'c mut LiftContext<'m>) -> Loader<'c, 'm> {
        Loader {
            types: cx.types,
            memory: cx.memory(),
            cx,
            left: MAX_CALL_BYTES,
            out: Encoder::default(),
        }
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.out.bytes
    }

    /// A value on the stack.
    pub(super) fn flat(&mut self, ty: InterfaceType, slots: &mut &[ValRaw]) -> Result<(), Stop> {
        self.out.steps.take(1)?;
        if let Some(width) = number(ty) {
            // Narrow ones wrap, as in the ABI; floats are their bits.
            let bits = next(slots)?.get_u64().to_le_bytes();
            return Ok(self.out.put(&bits[..width])?);
        }
        match ty {
            InterfaceType::Bool => self.bit(next(slots)?.get_u32()),
            InterfaceType::Char => self.character(next(slots)?.get_u32()),
            InterfaceType::String => {
                let (at, length) = pair(slots)?;
                self.text(at, length)
            }
            InterfaceType::List(list) => {
                let (at, count) = pair(slots)?;
                self.list(self.types[list].element, at, count)
            }
            InterfaceType::Map(map) => {
                let (at, count) = pair(slots)?;
                self.map(&self.types[map], at, count)
            }
            InterfaceType::FixedLengthList(list) => {
                let list = &self.types[list];
                (0..list.size).try_for_each(|_| self.flat(list.element, slots))
            }
            InterfaceType::Record(record) => {
                let mut fields = self.types[record].fields.iter();
                fields.try_for_each(|field| self.flat(field.ty, slots))
            }
            InterfaceType::Tuple(tuple) => {
                let mut types = self.types[tuple].types.iter();
                types.try_for_each(|ty| self.flat(*ty, slots))
            }
            InterfaceType::Flags(flags) => {
                let count = self.types[flags].names.len();
                let mut bits = Vec::with_capacity(count.div_ceil(32) * 4);
                for _ in 0..count.div_ceil(32) {
                    bits.extend_from_slice(&next(slots)?.get_u32().to_le_bytes());
                }
                self.flags(count, &bits)
            }
            ty => {
                let cases = cases(self.types, ty)?;
                let (mut own, rest) = split(slots, self.abi(ty))?;
                *slots = rest;
                let case = next(&mut own)?.get_u32() as usize;
                match self.case(&cases, case)? {
                    Some(ty) => self.flat(ty, &mut own),
                    None => Ok(()),
                }
            }
        }
    }

    /// A value in memory, at the start of these bytes.
    pub(super) fn load(&mut self, ty: InterfaceType, bytes: &[u8]) -> Result<(), Stop> {
        self.out.steps.take(1)?;
        if let Some(width) = number(ty) {
            return Ok(self.out.put(slice(bytes, 0, width)?)?);
        }
        match ty {
            InterfaceType::Bool => self.bit(word(bytes, 0, 1)?),
            InterfaceType::Char => self.character(word(bytes, 0, 4)?),
            InterfaceType::String => {
                self.text(word(bytes, 0, 4)? as usize, word(bytes, 4, 4)? as usize)
            }
            InterfaceType::List(list) => {
                let (at, count) = (word(bytes, 0, 4)?, word(bytes, 4, 4)?);
                self.list(self.types[list].element, at as usize, count as usize)
            }
            InterfaceType::Map(map) => {
                let (at, count) = (word(bytes, 0, 4)?, word(bytes, 4, 4)?);
                self.map(&self.types[map], at as usize, count as usize)
            }
            InterfaceType::FixedLengthList(list) => {
                let list = &self.types[list];
                self.elements(list.element, bytes, list.size as usize)
            }
            InterfaceType::Record(record) => {
                let types = self.types[record].fields.iter().map(|field| field.ty);
                self.fields(types, bytes)
            }
            InterfaceType::Tuple(tuple) => {
                self.fields(self.types[tuple].types.iter().copied(), bytes)
            }
            InterfaceType::Flags(flags) => {
                let count = self.types[flags].names.len();
                self.flags(count, slice(bytes, 0, count.div_ceil(8))?)
            }
            ty => {
                let cases = cases(self.types, ty)?;
                let case = word(bytes, 0, width(cases.len()))? as usize;
                match self.case(&cases, case)? {
                    Some(ty) => self.load(ty, bytes.get(cases.payload()..).unwrap_or_default()),
                    None => Ok(()),
                }
            }
        }
    }

    fn abi(&self, ty: InterfaceType) -> &'m CanonicalAbiInfo {
        self.types.canonical_abi(&ty)
    }

    fn bit(&mut self, bits: u32) -> Result<(), Stop> {
        Ok(self.out.put(&[u8::from(bits != 0)])?)
    }

    fn character(&mut self, code: u32) -> Result<(), Stop> {
        match char::from_u32(code) {
            Some(_) => Ok(self.out.put(&code.to_le_bytes())?),
            None => trap("a char that is no Unicode scalar value"),
        }
    }

    fn text(&mut self, at: usize, length: usize) -> Result<(), Stop> {
        if self.cx.options().string_encoding == StringEncoding::Utf8 {
            return match std::str::from_utf8(slice(self.memory, at, length)?) {
                Ok(text) => self.string(text),
                Err(_) => trap("a string that is not UTF-8"),
            };
        }
        let pair = [at, length].map(|number| ValRaw::u64(number as u64));
        let text = String::linear_lift_from_flat(self.cx, InterfaceType::String, &pair)?;
        self.string(&text)
    }

    fn string(&mut self, text: &str) -> Result<(), Stop> {
        self.out.count(text.len())?;
        Ok(self.out.put(text.as_bytes())?)
    }

    fn list(&mut self, element: InterfaceType, at: usize, count: usize) -> Result<(), Stop> {
        let abi = self.abi(element);
        let bytes = self.array(abi, at, count)?;
        self.out.count(count)?;
        self.elements(element, bytes, count)
    }

    /// Values of one type side by side.
    fn elements(&mut self, ty: InterfaceType, bytes: &[u8], count: usize) -> Result<(), Stop> {
        if let Some(width) = number(ty) {
            return Ok(self.out.put(slice(bytes, 0, count * width)?)?);
        }
        let size = self.abi(ty).size32 as usize;
        (0..count).try_for_each(|n| self.load(ty, slice(bytes, n * size, size)?))
    }

    fn map(&mut self, map: &'m TypeMap, at: usize, count: usize) -> Result<(), Stop> {
        let (size, value) = (map.entry_abi.size32, map.value_offset32);
        let bytes = self.array(&map.entry_abi, at, count)?;
        self.out.count(count)?;
        for n in 0..count {
            let entry = slice(bytes, n * size as usize, size as usize)?;
            self.load(map.key, entry)?;
            self.load(map.value, entry.get(value as usize..).unwrap_or_default())?;
        }
        Ok(())
    }

    /// The bytes of so many values, or pairs, in memory.
    fn array(&mut self, abi: &CanonicalAbiInfo, at: usize, count: usize) -> Result<&'m [u8], Stop> {
        if !at.is_multiple_of(abi.align32 as usize) {
            return trap("a list that is not aligned");
        }
        let size = count * abi.size32 as usize; // both come from 32 bits
        let bytes = slice(self.memory, at, size)?;
        self.left = self.left.checked_sub(size).ok_or(Unfit::TooLarge)?;
        Ok(bytes)
    }

    fn fields(
        &mut self,
        types: impl Iterator<Item = InterfaceType>,
        bytes: &[u8],
    ) -> Result<(), Stop> {
        let mut end = 0;
        for ty in types {
            let at = self.abi(ty).next_field32_size(&mut end);
            self.load(ty, bytes.get(at..).unwrap_or_default())?;
        }
        Ok(())
    }

    /// The bits of flags; those beyond the last one mean nothing.
    fn flags(&mut self, count: usize, bits: &[u8]) -> Result<(), Stop> {
        let mut bits = slice(bits, 0, count.div_ceil(8))?.to_vec();
        if let (Some(last), rest @ 1..) = (bits.last_mut(), count % 8) {
            *last &= (1 << rest) - 1;
        }
        Ok(self.out.put(&bits)?)
    }

    /// The number of a case; the type of what it holds, if anything.
    fn case(&mut self, cases: &Cases<'_>, case: usize) -> Result<Option<InterfaceType>, Stop> {
        let Some(payload) = cases.get(case) else {
            return trap("a case that does not exist");
        };
        let width = width(cases.len());
        self.out.put(&(case as u32).to_le_bytes()[..width])?;
        Ok(payload)
    }
}

fn cases(types: &ComponentTypes, ty: InterfaceType) -> Result<Cases<'_>, Stop> {
    match Cases::of(types, ty) {
        Some(cases) => Ok(cases),
        None => trap("a value that stays where it is"), // refused when the component was linked
    }
}

fn next<'s>(slots: &mut &'s [ValRaw]) -> Result<&'s ValRaw, Stop> {
    match slots.split_first() {
        Some((first, rest)) => {
            *slots = rest;
            Ok(first)
        }
        None => trap("fewer values on the stack than the function has"),
    }
}

fn pair(slots: &mut &[ValRaw]) -> Result<(usize, usize), Stop> {
    let (first, second) = (next(slots)?.get_u32(), next(slots)?.get_u32());
    Ok((first as usize, second as usize))
}

/// The slots of one value, and the others.
fn split<'s>(
    slots: &'s [ValRaw],
    abi: &CanonicalAbiInfo,
) -> Result<(&'s [ValRaw], &'s [ValRaw]), Stop> {
    let count = abi.flat_count(usize::MAX);
    match count.and_then(|count| slots.split_at_checked(count)) {
        Some(split) => Ok(split),
        None => trap("fewer values on the stack than the function has"),
    }
}

fn slice(bytes: &[u8], at: usize, length: usize) -> Result<&[u8], Stop> {
    let taken = bytes.get(at..).and_then(|rest| rest.get(..length));
    match taken {
        Some(taken) => Ok(taken),
        None => trap("a pointer or a length beyond the component's memory"),
    }
}

/// A number of so many bytes, 4 at most.
fn word(bytes: &[u8], at: usize, width: usize) -> Result<u32, Stop> {
    Ok(little_endian(slice(bytes, at, width)?) as u32)
}
