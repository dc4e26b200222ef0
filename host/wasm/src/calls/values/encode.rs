//! From values to bytes.

use super::{Steps, Unfit, width};
use arje_bus::MAX_PAYLOAD;
use wasmtime::component::Val;
use wasmtime::component::types::Type;

pub(super) struct Encoder {
    pub(super) bytes: Vec<u8>,
    pub(super) steps: Steps,
}

impl Default for Encoder {
    fn default() -> Encoder {
        Encoder {
            bytes: Vec::new(),
            steps: Steps::new(),
        }
    }
}

impl Encoder {
    pub(super) fn put(&mut self, bytes: &[u8]) -> Result<(), Unfit> {
        self.room(bytes.len())?;
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn room(&self, bytes: usize) -> Result<(), Unfit> {
        match self.bytes.len() + bytes <= MAX_PAYLOAD {
            true => Ok(()),
            false => Err(Unfit::TooLarge),
        }
    }

    /// A length, before as many values of a byte or more.
    pub(super) fn count(&mut self, count: usize) -> Result<(), Unfit> {
        self.room(count)?;
        self.put(&(count as u32).to_le_bytes())
    }

    /// The number of a case, by its name.
    fn case<'n>(
        &mut self,
        name: &str,
        mut names: impl ExactSizeIterator<Item = &'n str>,
    ) -> Result<usize, Unfit> {
        let width = width(names.len());
        let case = names.position(|one| one == name).ok_or(Unfit::Malformed)?;
        self.steps.take(2 * case)?; // a variant's is looked up once more
        self.put(&(case as u32).to_le_bytes()[..width])?;
        Ok(case)
    }

    fn all(&mut self, values: &[Val], ty: &Type) -> Result<(), Unfit> {
        if !matches!(ty, Type::U8) {
            return values.iter().try_for_each(|value| self.value(value, ty));
        }
        let byte = |value: &Val| match value {
            Val::U8(byte) => Ok(*byte),
            _ => Err(Unfit::Malformed),
        };
        self.room(values.len())?;
        self.bytes.reserve(values.len());
        values
            .iter()
            .try_for_each(|value| byte(value).map(|byte| self.bytes.push(byte)))
    }

    fn maybe(&mut self, value: Option<&Val>, ty: Option<&Type>) -> Result<(), Unfit> {
        match (value, ty) {
            (Some(value), Some(ty)) => self.value(value, ty),
            (None, None) => Ok(()),
            _ => Err(Unfit::Malformed),
        }
    }

    pub(super) fn value(&mut self, value: &Val, ty: &Type) -> Result<(), Unfit> {
        self.steps.take(1)?;
        match (value, ty) {
            (Val::Bool(value), Type::Bool) => self.put(&[u8::from(*value)]),
            (Val::S8(value), Type::S8) => self.put(&value.to_le_bytes()),
            (Val::U8(value), Type::U8) => self.put(&[*value]),
            (Val::S16(value), Type::S16) => self.put(&value.to_le_bytes()),
            (Val::U16(value), Type::U16) => self.put(&value.to_le_bytes()),
            (Val::S32(value), Type::S32) => self.put(&value.to_le_bytes()),
            (Val::U32(value), Type::U32) => self.put(&value.to_le_bytes()),
            (Val::S64(value), Type::S64) => self.put(&value.to_le_bytes()),
            (Val::U64(value), Type::U64) => self.put(&value.to_le_bytes()),
            (Val::Float32(value), Type::Float32) => self.put(&value.to_le_bytes()),
            (Val::Float64(value), Type::Float64) => self.put(&value.to_le_bytes()),
            (Val::Char(value), Type::Char) => self.put(&u32::from(*value).to_le_bytes()),
            (Val::String(value), Type::String) => {
                self.count(value.len())?;
                self.put(value.as_bytes())
            }
            (Val::List(values), Type::List(list)) => {
                self.count(values.len())?;
                self.all(values, &list.ty())
            }
            (Val::FixedLengthList(values), Type::FixedLengthList(list))
                if values.len() == list.len() as usize =>
            {
                self.all(values, &list.ty())
            }
            (Val::Map(pairs), Type::Map(map)) => {
                self.count(pairs.len())?;
                let (key, value) = (map.key(), map.value());
                pairs.iter().try_for_each(|(a, b)| {
                    self.value(a, &key)?;
                    self.value(b, &value)
                })
            }
            (Val::Tuple(values), Type::Tuple(tuple)) if values.len() == tuple.types().len() => {
                let mut pairs = values.iter().zip(tuple.types());
                pairs.try_for_each(|(value, ty)| self.value(value, &ty))
            }
            (Val::Record(fields), Type::Record(record))
                if fields.len() == record.fields().len() =>
            {
                let mut pairs = fields.iter().zip(record.fields());
                pairs.try_for_each(|((name, value), field)| match name == field.name {
                    true => self.value(value, &field.ty),
                    false => Err(Unfit::Malformed),
                })
            }
            (Val::Enum(name), Type::Enum(names)) => self.case(name, names.names()).map(drop),
            (Val::Variant(name, value), Type::Variant(variant)) => {
                let case = self.case(name, variant.cases().map(|case| case.name))?;
                let ty = variant.cases().nth(case).and_then(|case| case.ty);
                self.maybe(value.as_deref(), ty.as_ref())
            }
            (Val::Option(value), Type::Option(option)) => {
                self.put(&[u8::from(value.is_some())])?;
                let ty = value.is_some().then(|| option.ty());
                self.maybe(value.as_deref(), ty.as_ref())
            }
            (Val::Result(value), Type::Result(result)) => {
                self.put(&[u8::from(value.is_err())])?;
                match value {
                    Ok(value) => self.maybe(value.as_deref(), result.ok().as_ref()),
                    Err(value) => self.maybe(value.as_deref(), result.err().as_ref()),
                }
            }
            (Val::Flags(set), Type::Flags(flags)) => {
                let mut bits = vec![0; flags.names().len().div_ceil(8)];
                for name in set {
                    let mut names = flags.names();
                    let bit = names.position(|one| one == name).ok_or(Unfit::Malformed)?;
                    bits[bit / 8] |= 1 << (bit % 8);
                }
                self.put(&bits)
            }
            _ => Err(Unfit::Malformed),
        }
    }
}
