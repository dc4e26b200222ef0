//! A door for `fuzz/` alone: the values of typed calls as bytes, with which nobody outside of this crate has to do
//! otherwise.

use crate::calls::values::{Unfit, check, decode, encode, params};
use std::fmt;
use wasmtime::component::Component;
use wasmtime::component::types::{ComponentItem, Type};

/// The parameters of a function, by whose types bytes are read and written.
pub struct Parameters {
    name: String,
    types: Vec<Type>,
}

/// Why bytes are not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// They are not of these types.
    Malformed,
    /// They are, or may be, but would take too much of something.
    TooLarge,
}

impl From<Unfit> for Refused {
    fn from(unfit: Unfit) -> Refused {
        match unfit {
            Unfit::Malformed => Refused::Malformed,
            Unfit::TooLarge => Refused::TooLarge,
        }
    }
}

impl Parameters {
    /// Those of every function in the interfaces that a component imports.
    ///
    /// # Errors
    ///
    /// The artifact is not one of this engine's.
    ///
    /// # Safety
    ///
    /// The artifact is what the compiler made, and was not changed.
    pub unsafe fn of_imports(artifact: &[u8]) -> wasmtime::Result<Vec<Parameters>> {
        let engine = arje_engine::engine()?;
        // SAFETY: the caller's promise.
        let component = unsafe { Component::deserialize(&engine, artifact) }?;
        let ty = component.component_type();
        let mut all = Vec::new();
        for (_, import) in ty.imports(&engine) {
            let ComponentItem::ComponentInstance(instance) = import.ty else {
                continue;
            };
            for (name, export) in instance.exports(&engine) {
                if let ComponentItem::ComponentFunc(function) = export.ty {
                    let (name, types) = (name.to_owned(), params(&function));
                    all.push(Parameters { name, types });
                }
            }
        }
        Ok(all)
    }

    /// The function's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether these bytes are taken, as PID 1 asks of what a worker sends.
    ///
    /// # Errors
    ///
    /// They are not.
    pub fn check(&self, bytes: &[u8]) -> Result<(), Refused> {
        Ok(check(bytes, &self.types)?)
    }

    /// Makes values of these bytes, and bytes of the values.
    ///
    /// # Errors
    ///
    /// No values can be made of them, or no bytes of the values.
    pub fn again(&self, bytes: &[u8]) -> Result<Vec<u8>, Refused> {
        let values = decode(bytes, &self.types)?;
        Ok(encode(&values, &self.types)?)
    }
}

impl fmt::Debug for Parameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{:?}", self.name, self.types)
    }
}
