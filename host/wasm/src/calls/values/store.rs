//! From bytes to a component's memory and stack, by the canonical ABI.
//!
//! The counterpart of wasmtime's `Val::lower` and `Val::store`, without a `Val` in between.
//!
//! Source: the component model's `CanonicalABI.md`, "Storing" and "Flat Lowering".

use super::decode::Decoder;
use super::layout::{Cases, number};
use super::{Unfit, little_endian, width};
use std::mem::MaybeUninit;
use wasmtime::component::__internal::{
    CanonicalAbiInfo, ComponentTypes, InterfaceType, LowerContext,
};
use wasmtime::component::Lower;
use wasmtime::{Error, Result, ValRaw};

/// What is still to be given.
pub(super) struct Storer<'c, 'm, 'b, T: 'static> {
    cx: &'c mut LowerContext<'m, T>,
    types: &'m ComponentTypes,
    from: Decoder<'b>,
}

/// Bytes were looked at before they came so far ([`check`](super::check), or a component's own type).
impl From<Unfit> for Error {
    fn from(_: Unfit) -> Error {
        Error::msg("values that are not of the function's type")
    }
}

impl<'c, 'm, 'b, T> Storer<'c, 'm, 'b, T> {
    pub(super) fn new(cx: &'c mut LowerContext<'m, T>, bytes: &'b [u8]) -> Self {
        Storer {
            types: cx.types,
            cx,
            from: Decoder::new(bytes),
        }
    }

    /// Whether nothing is left.
    pub(super) fn finished(&self) -> Result<()> {
        Ok(self.from.finished()?)
    }

    /// A value onto the stack. Slots that are not written stay zero.
    pub(super) fn flat(&mut self, ty: InterfaceType, slots: &mut &mut [ValRaw]) -> Result<()> {
        if let Some(width) = number(ty) {
            let bits = self.from.wide(width)?;
            *next(slots)? = ValRaw::u64(extended(ty, bits));
            return Ok(());
        }
        match ty {
            InterfaceType::Bool => {
                *next(slots)? = ValRaw::u32(u32::from(self.from.bit()?));
                Ok(())
            }
            InterfaceType::Char => {
                *next(slots)? = ValRaw::u32(u32::from(self.from.character()?));
                Ok(())
            }
            InterfaceType::String => {
                let text = self.from.text()?;
                let mut pair = MaybeUninit::new([ValRaw::u64(0); 2]);
                text.linear_lower_to_flat(self.cx, ty, &mut pair)?;
                // SAFETY: it was made with a value, and whoever writes there can only write another one.
                for slot in unsafe { pair.assume_init() } {
                    *next(slots)? = slot;
                }
                Ok(())
            }
            InterfaceType::List(_) | InterfaceType::Map(_) => {
                let (at, count) = self.listed(ty)?;
                *next(slots)? = ValRaw::u32(at);
                *next(slots)? = ValRaw::u32(count);
                Ok(())
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
                let bits = self.from.take(self.types[flags].names.len().div_ceil(8))?;
                bits.chunks(4).try_for_each(|bits| {
                    *next(slots)? = ValRaw::u32(little_endian(bits) as u32);
                    Ok(())
                })
            }
            ty => {
                let count = self.abi(ty).flat_count(usize::MAX);
                let mut own = split(slots, count)?;
                let (case, payload) = self.case(&cases(self.types, ty)?)?;
                *next(&mut own)? = ValRaw::u32(case);
                match payload {
                    Some(ty) => self.flat(ty, &mut own),
                    None => Ok(()),
                }
            }
        }
    }

    /// A value into memory. `at` is within the component's memory for as many bytes as its type has.
    pub(super) fn store(&mut self, ty: InterfaceType, at: usize) -> Result<()> {
        if let Some(width) = number(ty) {
            let bytes = self.from.take(width)?;
            return self.put(at, bytes);
        }
        match ty {
            InterfaceType::Bool => {
                let bit = self.from.bit()?;
                self.put(at, &[u8::from(bit)])
            }
            InterfaceType::Char => {
                let code = u32::from(self.from.character()?);
                self.put(at, &code.to_le_bytes())
            }
            InterfaceType::String => {
                let text = self.from.text()?;
                text.linear_lower_to_memory(self.cx, ty, at)
            }
            InterfaceType::List(_) | InterfaceType::Map(_) => {
                let (list, count) = self.listed(ty)?;
                self.put(at, &list.to_le_bytes())?;
                self.put(at + 4, &count.to_le_bytes())
            }
            InterfaceType::FixedLengthList(list) => {
                let list = &self.types[list];
                self.elements(list.element, at, list.size as usize)
            }
            InterfaceType::Record(record) => {
                let types = self.types[record].fields.iter().map(|field| field.ty);
                self.fields(types, at)
            }
            InterfaceType::Tuple(tuple) => self.fields(self.types[tuple].types.iter().copied(), at),
            InterfaceType::Flags(flags) => {
                let count = self.types[flags].names.len();
                let bits = self.from.take(count.div_ceil(8))?;
                // In memory they take 1, 2 or 4 bytes.
                let mut wide = [0; 4];
                let room = wide.get_mut(..bits.len()).ok_or(Unfit::Malformed)?;
                room.copy_from_slice(bits);
                let size = self.abi(ty).size32 as usize;
                self.put(at, wide.get(..size).ok_or(Unfit::Malformed)?)
            }
            ty => {
                let cases = cases(self.types, ty)?;
                let (case, payload) = self.case(&cases)?;
                self.put(at, &case.to_le_bytes()[..width(cases.len())])?;
                match payload {
                    Some(ty) => self.store(ty, at + cases.payload()),
                    None => Ok(()),
                }
            }
        }
    }

    /// One after the other, as the fields of a record lie.
    pub(super) fn fields(
        &mut self,
        mut types: impl Iterator<Item = InterfaceType>,
        mut at: usize,
    ) -> Result<()> {
        types.try_for_each(|ty| {
            let field = self.abi(ty).next_field32_size(&mut at);
            self.store(ty, field)
        })
    }

    fn abi(&self, ty: InterfaceType) -> &'m CanonicalAbiInfo {
        self.types.canonical_abi(&ty)
    }

    fn put(&mut self, at: usize, bytes: &[u8]) -> Result<()> {
        let memory = self.cx.as_slice_mut();
        let room = memory
            .get_mut(at..)
            .and_then(|rest| rest.get_mut(..bytes.len()));
        room.ok_or_else(|| Error::msg("a place beyond the component's memory"))?
            .copy_from_slice(bytes);
        Ok(())
    }

    /// A list or a map into memory that the component allocates: where it is, and how many are in it.
    fn listed(&mut self, ty: InterfaceType) -> Result<(u32, u32)> {
        let count = self.from.number(4)?;
        let abi = match ty {
            InterfaceType::List(list) => self.abi(self.types[list].element),
            InterfaceType::Map(map) => &self.types[map].entry_abi,
            _ => return Err(Error::msg("neither a list nor a map")),
        };
        let size = abi.size32 as usize;
        let bytes = count.checked_mul(size).ok_or(Unfit::TooLarge)?;
        let at = self.cx.realloc(0, 0, abi.align32, bytes)?;
        match ty {
            InterfaceType::List(list) => self.elements(self.types[list].element, at, count)?,
            InterfaceType::Map(map) => {
                let map = &self.types[map];
                for n in 0..count {
                    self.store(map.key, at + n * size)?;
                    self.store(map.value, at + n * size + map.value_offset32 as usize)?;
                }
            }
            _ => {}
        }
        Ok((u32::try_from(at)?, u32::try_from(count)?))
    }

    /// Values of one type side by side.
    fn elements(&mut self, ty: InterfaceType, at: usize, count: usize) -> Result<()> {
        if let Some(width) = number(ty) {
            let bytes = self.from.take(count.saturating_mul(width))?;
            return self.put(at, bytes);
        }
        let size = self.abi(ty).size32 as usize;
        (0..count).try_for_each(|n| self.store(ty, at + n * size))
    }

    /// The number of the case that comes, and the type of what it holds.
    fn case(&mut self, cases: &Cases<'_>) -> Result<(u32, Option<InterfaceType>)> {
        let case = self.from.number(width(cases.len()))?;
        let payload = cases.get(case).ok_or(Unfit::Malformed)?;
        Ok((u32::try_from(case)?, payload))
    }
}

/// A number as it lies on the stack: narrow signed ones are extended to 32 bits; whatever is 32 bits wide has zeros above.
fn extended(ty: InterfaceType, bits: u64) -> u64 {
    let narrow = match ty {
        InterfaceType::S8 => i32::from(bits as i8),
        InterfaceType::S16 => i32::from(bits as i16),
        _ => return bits,
    };
    u64::from(narrow as u32)
}

fn cases(types: &ComponentTypes, ty: InterfaceType) -> Result<Cases<'_>> {
    // Refused when the component was linked.
    Cases::of(types, ty).ok_or_else(|| Error::msg("a value that stays where it is"))
}

fn too_few() -> Error {
    Error::msg("fewer values on the stack than the function has")
}

fn next<'s>(slots: &mut &'s mut [ValRaw]) -> Result<&'s mut ValRaw> {
    slots.split_off_first_mut().ok_or_else(too_few)
}

/// The slots of one value; the others stay.
fn split<'s>(slots: &mut &'s mut [ValRaw], count: Option<usize>) -> Result<&'s mut [ValRaw]> {
    let own = count.and_then(|count| slots.split_off_mut(..count));
    own.ok_or_else(too_few)
}
