//! Values of the component model as bytes, as they cross from one component to another, wherever the two are.
//!
//! Nothing in the bytes says what they are: both sides have the function's type, from the same component. Integers and
//! floats are little-endian at their width; `bool` and the choice of an `option` or `result` are one byte, 0 or 1; a `char`
//! is four; a `string`, `list` or `map` has its length (u32) in front; the case of a `variant` or `enum` is its number in as
//! many bytes as the canonical ABI gives it, `flags` are a bit each, from the lowest. Records and tuples are their fields.
//!
//! They are made of what is on a component's stack and in its memory, and put there again, without anything in between
//! ([`direct`]); those of functions with many parameters go by way of [`Val`]s.
//!
//! What a worker sends is taken for hostile: a count is held against what is there and against a bound before
//! anything is made for it. Every value takes a byte at least, so there are never more of them than bytes.

mod decode;
pub(crate) mod direct;
mod encode;
mod layout;
mod load;
mod store;

use arje_bus::HandlerError;
use decode::Decoder;
use encode::Encoder;
use wasmtime::component::Val;
use wasmtime::component::types::{ComponentFunc, Type};

/// Why values do not cross.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unfit {
    /// They are not of this type.
    Malformed,
    /// They take more than [`arje_bus::MAX_PAYLOAD`] bytes, too much memory, or too many steps.
    TooLarge,
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

/// How a function's values get onto a component's stack, and off it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Way {
    /// As how many values its parameters lie there; none if they are too many.
    pub(crate) stack: Option<usize>,
    /// Its result does not fit there, and lies in memory.
    pub(crate) returns_in_memory: bool,
}

impl Way {
    pub(crate) fn of(function: &ComponentFunc) -> Way {
        Way {
            stack: layout::flat_count(function.params().map(|(_, ty)| ty)),
            returns_in_memory: !matches!(layout::flat_count(function.results()), Some(0 | 1)),
        }
    }
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

/// The number that so many bytes are, 8 at most.
fn little_endian(bytes: &[u8]) -> u64 {
    let bytes = bytes.iter().rev();
    bytes.fold(0, |number, byte| number << 8 | u64::from(*byte))
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
mod direct_tests;
#[cfg(test)]
mod tests;
