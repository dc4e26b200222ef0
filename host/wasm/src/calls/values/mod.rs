//! Values of the component model as bytes, for calls that cross to or from a worker process.
//!
//! Nothing in the bytes says what they are: both sides have the function's type, from the same component. Integers and
//! floats are little-endian at their width; `bool` and the choice of an `option` or `result` are one byte, 0 or 1; a `char`
//! is four; a `string`, `list` or `map` has its length (u32) in front; the case of a `variant` or `enum` is its number in as
//! many bytes as the canonical ABI gives it, `flags` are a bit each, from the lowest. Records and tuples are their fields.
//!
//! What a worker sends is taken for hostile: a count is held against what is there and against a bound before
//! anything is made for it. Every value takes a byte at least, so there are never more of them than bytes.

mod decode;
mod encode;

use arje_bus::{HandlerError, MAX_PAYLOAD};
use decode::Decoder;
use encode::Encoder;
use wasmtime::component::Val;
use wasmtime::component::types::{ComponentFunc, Type};

/// The parameters or the results of a typed call.
#[derive(Debug)]
pub(crate) enum Values {
    /// As they come out of a component in this process.
    Here(Vec<Val>),
    /// Of one in another process. Those that a worker sent have been [checked](check).
    Sent(Vec<u8>),
}

/// Why values do not cross.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unfit {
    /// They are not of this type.
    Malformed,
    /// They take more than [`arje_bus::MAX_PAYLOAD`] bytes, too much memory, or too many steps.
    TooLarge,
}

impl Values {
    pub(crate) fn into_vals(self, types: &[Type]) -> Result<Vec<Val>, Unfit> {
        match self {
            Values::Here(values) => Ok(values),
            Values::Sent(bytes) => decode(&bytes, types),
        }
    }

    pub(crate) fn into_bytes(self, types: &[Type]) -> Result<Vec<u8>, Unfit> {
        match self {
            Values::Here(values) => encode(&values, types),
            Values::Sent(bytes) => Ok(bytes),
        }
    }
}

impl From<Unfit> for crate::host::InvokeError {
    fn from(unfit: Unfit) -> Self {
        match unfit {
            Unfit::TooLarge => Self::TooLarge,
            Unfit::Malformed => Self::Refused(HandlerError::Failed(
                "the values are not of the function's type".into(),
            )),
        }
    }
}

/// Steps that bytes may take to be read or made: a value is one, and so is each case that is passed on the way to
/// another one. Values are a million at most; the rest is for their cases. It is done in one go, in some 50 ms at most,
/// wherever the bytes come from.
const MAX_STEPS: usize = 1 << 22;

/// What is left of them.
#[derive(Debug)]
struct Steps(usize);

impl Steps {
    fn new() -> Steps {
        Steps(MAX_STEPS)
    }

    fn take(&mut self, steps: usize) -> Result<(), Unfit> {
        self.0 = self.0.checked_sub(steps).ok_or(Unfit::TooLarge)?;
        Ok(())
    }
}

/// The types of a function's parameters.
pub(crate) fn params(function: &ComponentFunc) -> Vec<Type> {
    function.params().map(|(_, ty)| ty).collect()
}

/// The types of a function's results.
pub(crate) fn results(function: &ComponentFunc) -> Vec<Type> {
    function.results().collect()
}

/// The bytes of values that have these types.
pub(crate) fn encode(values: &[Val], types: &[Type]) -> Result<Vec<u8>, Unfit> {
    let mut encoder = Encoder::default();
    if values.len() != types.len() {
        return Err(Unfit::Malformed);
    }
    for (value, ty) in values.iter().zip(types) {
        encoder.value(value, ty)?;
    }
    Ok(encoder.bytes)
}

/// The values that bytes are, by these types.
pub(crate) fn decode(bytes: &[u8], types: &[Type]) -> Result<Vec<Val>, Unfit> {
    let mut decoder = Decoder::new(bytes);
    let values = types.iter().map(|ty| decoder.value(ty, 0));
    let values = values.collect::<Result<_, _>>()?;
    decoder.finished()?;
    Ok(values)
}

/// Whether [`decode`] would take these bytes, without making anything of them.
pub(crate) fn check(bytes: &[u8], types: &[Type]) -> Result<(), Unfit> {
    let mut decoder = Decoder::new(bytes);
    types.iter().try_for_each(|ty| decoder.skip(ty, 0))?;
    decoder.finished()
}

/// Whether values that stay in this process would cross to another one: a component cannot tell where those are that it
/// calls. Nearly always told from a look at their lengths.
pub(crate) fn fit(values: &[Val], types: impl FnOnce() -> Vec<Type>) -> Result<(), Unfit> {
    match values.iter().map(at_most).sum::<usize>() <= MAX_PAYLOAD {
        true => Ok(()),
        false => encode(values, &types()).map(drop),
    }
}

/// The bytes that a value takes, or some more.
fn at_most(value: &Val) -> usize {
    match value {
        Val::Bool(_) | Val::S8(_) | Val::U8(_) => 1,
        Val::S16(_) | Val::U16(_) => 2,
        Val::S32(_) | Val::U32(_) | Val::Float32(_) | Val::Char(_) => 4,
        Val::String(text) => 4 + text.len(),
        Val::List(values) | Val::FixedLengthList(values) => 4 + all_at_most(values),
        Val::Map(pairs) => {
            4 + pairs
                .iter()
                .map(|(a, b)| at_most(a) + at_most(b))
                .sum::<usize>()
        }
        Val::Tuple(values) => values.iter().map(at_most).sum(),
        Val::Record(fields) => fields.iter().map(|(_, value)| at_most(value)).sum(),
        Val::Variant(_, value) => 4 + value.as_deref().map_or(0, at_most),
        Val::Option(value) | Val::Result(Ok(value) | Err(value)) => {
            1 + value.as_deref().map_or(0, at_most)
        }
        _ => 8, // the largest numbers; flags are 32 at most
    }
}

/// The same of values of one type.
fn all_at_most(values: &[Val]) -> usize {
    match values.first() {
        Some(Val::Bool(_) | Val::S8(_) | Val::U8(_)) => values.len(),
        _ => values.iter().map(at_most).sum(),
    }
}

/// Bytes that the number of a case takes.
fn width(cases: usize) -> usize {
    match cases {
        0..=0x100 => 1,
        0x101..=0x1_0000 => 2,
        _ => 4,
    }
}

#[cfg(test)]
mod tests;
