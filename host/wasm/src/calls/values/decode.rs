//! From bytes to values, or past them.

use super::layout::number_of;
use super::{Steps, Unfit, little_endian, width};
use crate::ctx::MAX_CALL_BYTES;
use wasmtime::component::Val;
use wasmtime::component::types::Type;

/// Bytes in memory of the values of one call: what is made of the bytes may be a multiple of them, since each value has a
/// tag and its case or field a name, and in a component's memory each takes as much as the largest of its type.
const MAX_VALUES: usize = 2 * MAX_CALL_BYTES;

/// What an allocation takes beside its bytes.
const ALLOCATION: usize = 16;

/// How deep types may be nested: what crosses at all has 33 levels at most, see `shape`.
const MAX_DEPTH: usize = 40;

pub(super) struct Decoder<'b> {
    bytes: &'b [u8],
    /// Bytes in memory that may still be made.
    left: usize,
    steps: Steps,
}

impl<'b> Decoder<'b> {
    pub(super) fn new(bytes: &'b [u8]) -> Decoder<'b> {
        Decoder {
            bytes,
            left: MAX_VALUES,
            steps: Steps::new(),
        }
    }

    pub(super) fn finished(&self) -> Result<(), Unfit> {
        match self.bytes {
            [] => Ok(()),
            _ => Err(Unfit::Malformed),
        }
    }

    pub(super) fn take(&mut self, bytes: usize) -> Result<&'b [u8], Unfit> {
        let (taken, rest) = self.bytes.split_at_checked(bytes).ok_or(Unfit::Malformed)?;
        self.bytes = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Unfit> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    /// A number of so many bytes, 8 at most.
    pub(super) fn wide(&mut self, width: usize) -> Result<u64, Unfit> {
        Ok(little_endian(self.take(width)?))
    }

    /// A number of so many bytes, 4 at most.
    pub(super) fn number(&mut self, width: usize) -> Result<usize, Unfit> {
        Ok(self.wide(width)? as usize)
    }

    pub(super) fn character(&mut self) -> Result<char, Unfit> {
        let code = u32::from_le_bytes(self.array()?);
        char::from_u32(code).ok_or(Unfit::Malformed)
    }

    /// Accounts for memory, before it is asked for.
    fn charge(&mut self, bytes: usize) -> Result<(), Unfit> {
        self.left = self.left.checked_sub(bytes).ok_or(Unfit::TooLarge)?;
        Ok(())
    }

    /// So many values come, which lie together.
    fn values(&mut self, count: usize) -> Result<usize, Unfit> {
        self.values_of(count, size_of::<Val>())
    }

    /// The same of values that take so many bytes of memory each.
    fn values_of(&mut self, count: usize, size: usize) -> Result<usize, Unfit> {
        if count > self.bytes.len() {
            return Err(Unfit::Malformed);
        }
        self.steps.take(count)?;
        self.charge(count * size + ALLOCATION)?;
        Ok(count)
    }

    /// A value, or a flag, has a name.
    fn named(&mut self, name: &str) -> Result<(), Unfit> {
        self.charge(size_of::<String>() + name.len() + ALLOCATION)
    }

    /// A length, and as many values come.
    fn count(&mut self) -> Result<usize, Unfit> {
        let count = self.number(4)?;
        self.values(count)
    }

    pub(super) fn text(&mut self) -> Result<&'b str, Unfit> {
        let length = self.number(4)?;
        let bytes = self.take(length)?;
        self.charge(length + ALLOCATION)?;
        std::str::from_utf8(bytes).map_err(|_| Unfit::Malformed)
    }

    pub(super) fn bit(&mut self) -> Result<bool, Unfit> {
        match self.number(1)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Unfit::Malformed),
        }
    }

    /// The case with the number that comes, of these.
    fn case<T>(
        &mut self,
        mut cases: impl ExactSizeIterator<Item = T>,
        name: impl FnOnce(&T) -> &str,
    ) -> Result<T, Unfit> {
        let number = self.number(width(cases.len()))?;
        self.steps.take(number)?;
        let case = cases.nth(number).ok_or(Unfit::Malformed)?;
        self.charge(name(&case).len() + ALLOCATION)?;
        Ok(case)
    }

    /// The names of the flags that are set.
    fn flags<'n>(
        &mut self,
        names: impl ExactSizeIterator<Item = &'n str>,
    ) -> Result<Vec<&'n str>, Unfit> {
        let count = names.len();
        let bits = self.take(count.div_ceil(8))?;
        let is_set = |bit: usize| {
            bits.get(bit / 8)
                .is_some_and(|byte| byte >> (bit % 8) & 1 == 1)
        };
        if (count..bits.len() * 8).any(is_set) {
            return Err(Unfit::Malformed);
        }
        let set: Vec<&str> = names
            .enumerate()
            .filter_map(|(bit, name)| is_set(bit).then_some(name))
            .collect();
        self.steps.take(count)?;
        set.iter().try_for_each(|name| self.named(name))?;
        Ok(set)
    }

    fn deeper(depth: usize) -> Result<usize, Unfit> {
        match depth < MAX_DEPTH {
            true => Ok(depth + 1),
            false => Err(Unfit::Malformed),
        }
    }

    /// What is no more than itself.
    fn simple(&mut self, ty: &Type) -> Result<Val, Unfit> {
        Ok(match ty {
            Type::Bool => Val::Bool(self.bit()?),
            Type::S8 => Val::S8(i8::from_le_bytes(self.array()?)),
            Type::U8 => Val::U8(u8::from_le_bytes(self.array()?)),
            Type::S16 => Val::S16(i16::from_le_bytes(self.array()?)),
            Type::U16 => Val::U16(u16::from_le_bytes(self.array()?)),
            Type::S32 => Val::S32(i32::from_le_bytes(self.array()?)),
            Type::U32 => Val::U32(u32::from_le_bytes(self.array()?)),
            Type::S64 => Val::S64(i64::from_le_bytes(self.array()?)),
            Type::U64 => Val::U64(u64::from_le_bytes(self.array()?)),
            Type::Float32 => Val::Float32(f32::from_le_bytes(self.array()?)),
            Type::Float64 => Val::Float64(f64::from_le_bytes(self.array()?)),
            Type::Char => Val::Char(self.character()?),
            _ => return Err(Unfit::Malformed), // what stays where it is, see `shape`
        })
    }

    fn all(&mut self, count: usize, ty: &Type, depth: usize) -> Result<Vec<Val>, Unfit> {
        match ty {
            Type::U8 => Ok(self
                .take(count)?
                .iter()
                .map(|byte| Val::U8(*byte))
                .collect()),
            ty => {
                // Its size is accounted for.
                let mut values = Vec::with_capacity(count);
                for _ in 0..count {
                    values.push(self.value(ty, depth)?);
                }
                Ok(values)
            }
        }
    }

    fn boxed(&mut self, ty: Option<&Type>, depth: usize) -> Result<Option<Box<Val>>, Unfit> {
        let Some(ty) = ty else {
            return Ok(None);
        };
        self.charge(size_of::<Val>() + ALLOCATION)?;
        Ok(Some(Box::new(self.value(ty, depth)?)))
    }

    pub(super) fn value(&mut self, ty: &Type, depth: usize) -> Result<Val, Unfit> {
        let depth = Self::deeper(depth)?;
        Ok(match ty {
            Type::String => Val::String(self.text()?.to_owned()),
            Type::List(list) => {
                let count = self.count()?;
                Val::List(self.all(count, &list.ty(), depth)?)
            }
            Type::FixedLengthList(list) => {
                let count = self.values(list.len() as usize)?;
                Val::FixedLengthList(self.all(count, &list.ty(), depth)?)
            }
            Type::Map(map) => {
                let (key, value) = (map.key(), map.value());
                let count = self.count()?;
                self.values(count)?;
                let mut pairs = Vec::with_capacity(count);
                for _ in 0..count {
                    pairs.push((self.value(&key, depth)?, self.value(&value, depth)?));
                }
                Val::Map(pairs)
            }
            Type::Tuple(tuple) => {
                let count = self.values(tuple.types().len())?;
                let mut values = Vec::with_capacity(count);
                for ty in tuple.types() {
                    values.push(self.value(&ty, depth)?);
                }
                Val::Tuple(values)
            }
            Type::Record(record) => {
                let count = self.values(record.fields().len())?;
                let mut fields = Vec::with_capacity(count);
                for field in record.fields() {
                    self.named(field.name)?;
                    fields.push((field.name.to_owned(), self.value(&field.ty, depth)?));
                }
                Val::Record(fields)
            }
            Type::Enum(names) => Val::Enum(self.case(names.names(), |name| name)?.to_owned()),
            Type::Variant(variant) => {
                let case = self.case(variant.cases(), |case| case.name)?;
                let value = self.boxed(case.ty.as_ref(), depth)?;
                Val::Variant(case.name.to_owned(), value)
            }
            Type::Option(option) => {
                let ty = self.bit()?.then(|| option.ty());
                Val::Option(self.boxed(ty.as_ref(), depth)?)
            }
            Type::Result(result) => Val::Result(match self.bit()? {
                false => Ok(self.boxed(result.ok().as_ref(), depth)?),
                true => Err(self.boxed(result.err().as_ref(), depth)?),
            }),
            Type::Flags(flags) => {
                let set = self.flags(flags.names())?;
                Val::Flags(set.into_iter().map(str::to_owned).collect())
            }
            simple => self.simple(simple)?,
        })
    }

    /// Passes a value over, with the same checks and the same account.
    pub(super) fn skip(&mut self, ty: &Type, depth: usize) -> Result<(), Unfit> {
        let depth = Self::deeper(depth)?;
        match ty {
            Type::String => self.text().map(drop),
            Type::List(list) => {
                let count = self.number(4)?;
                self.skip_all(count, &list.ty(), depth)
            }
            Type::FixedLengthList(list) => self.skip_all(list.len() as usize, &list.ty(), depth),
            Type::Map(map) => {
                let (key, value) = (map.key(), map.value());
                let count = self.count()?;
                self.values(count)?;
                (0..count).try_for_each(|_| {
                    self.skip(&key, depth)?;
                    self.skip(&value, depth)
                })
            }
            Type::Tuple(tuple) => {
                self.values(tuple.types().len())?;
                tuple.types().try_for_each(|ty| self.skip(&ty, depth))
            }
            Type::Record(record) => {
                self.values(record.fields().len())?;
                record.fields().try_for_each(|field| {
                    self.named(field.name)?;
                    self.skip(&field.ty, depth)
                })
            }
            Type::Enum(names) => self.case(names.names(), |name| name).map(drop),
            Type::Variant(variant) => {
                let case = self.case(variant.cases(), |case| case.name)?;
                self.skip_boxed(case.ty.as_ref(), depth)
            }
            Type::Option(option) => {
                let ty = self.bit()?.then(|| option.ty());
                self.skip_boxed(ty.as_ref(), depth)
            }
            Type::Result(result) => {
                let ty = match self.bit()? {
                    false => result.ok(),
                    true => result.err(),
                };
                self.skip_boxed(ty.as_ref(), depth)
            }
            Type::Flags(flags) => self.flags(flags.names()).map(drop),
            simple => self.simple(simple).map(drop),
        }
    }

    fn skip_all(&mut self, count: usize, ty: &Type, depth: usize) -> Result<(), Unfit> {
        if let Some(width) = number_of(ty) {
            // They stay as they are on their way into a component.
            let count = self.values_of(count, width)?;
            return self.take(count * width).map(drop);
        }
        let count = self.values(count)?;
        (0..count).try_for_each(|_| self.skip(ty, depth))
    }

    fn skip_boxed(&mut self, ty: Option<&Type>, depth: usize) -> Result<(), Unfit> {
        match ty {
            None => Ok(()),
            Some(ty) => {
                self.charge(size_of::<Val>() + ALLOCATION)?;
                self.skip(ty, depth)
            }
        }
    }
}
