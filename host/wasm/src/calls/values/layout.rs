//! What the canonical ABI makes of types.

use wasmtime::component::__internal::wasmtime_environ::component::{
    TypeEnum, TypeOption, TypeResult, TypeVariant,
};
use wasmtime::component::__internal::{ComponentTypes, InterfaceType};
use wasmtime::component::types::Type;

/// Bytes of a number, which are the same in memory and between Entes: little-endian, at its width.
pub(super) fn number(ty: InterfaceType) -> Option<usize> {
    match ty {
        InterfaceType::S8 | InterfaceType::U8 => Some(1),
        InterfaceType::S16 | InterfaceType::U16 => Some(2),
        InterfaceType::S32 | InterfaceType::U32 | InterfaceType::Float32 => Some(4),
        InterfaceType::S64 | InterfaceType::U64 | InterfaceType::Float64 => Some(8),
        _ => None,
    }
}

/// The same of a type as the engine tells it.
pub(super) fn number_of(ty: &Type) -> Option<usize> {
    match ty {
        Type::S8 | Type::U8 => Some(1),
        Type::S16 | Type::U16 => Some(2),
        Type::S32 | Type::U32 | Type::Float32 => Some(4),
        Type::S64 | Type::U64 | Type::Float64 => Some(8),
        _ => None,
    }
}

/// A type that is one of several cases.
pub(super) enum Cases<'t> {
    Enum(&'t TypeEnum),
    Variant(&'t TypeVariant),
    Option(&'t TypeOption),
    Result(&'t TypeResult),
}

impl<'t> Cases<'t> {
    pub(super) fn of(types: &'t ComponentTypes, ty: InterfaceType) -> Option<Cases<'t>> {
        match ty {
            InterfaceType::Enum(ty) => Some(Cases::Enum(&types[ty])),
            InterfaceType::Variant(ty) => Some(Cases::Variant(&types[ty])),
            InterfaceType::Option(ty) => Some(Cases::Option(&types[ty])),
            InterfaceType::Result(ty) => Some(Cases::Result(&types[ty])),
            _ => None,
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Cases::Enum(ty) => ty.names.len(),
            Cases::Variant(ty) => ty.cases.len(),
            Cases::Option(_) | Cases::Result(_) => 2,
        }
    }

    /// Whether there is such a case, and the type of what it holds, if anything.
    pub(super) fn get(&self, case: usize) -> Option<Option<InterfaceType>> {
        match (self, case) {
            (Cases::Enum(ty), case) => (case < ty.names.len()).then_some(None),
            (Cases::Variant(ty), case) => ty.cases.get_index(case).map(|(_, ty)| *ty),
            (Cases::Option(_), 0) => Some(None),
            (Cases::Option(ty), 1) => Some(Some(ty.ty)),
            (Cases::Result(ty), 0) => Some(ty.ok),
            (Cases::Result(ty), 1) => Some(ty.err),
            _ => None,
        }
    }

    /// Where in memory it lies what a case holds.
    pub(super) fn payload(&self) -> usize {
        let info = match self {
            Cases::Enum(ty) => &ty.info,
            Cases::Variant(ty) => &ty.info,
            Cases::Option(ty) => &ty.info,
            Cases::Result(ty) => &ty.info,
        };
        info.payload_offset32 as usize
    }
}

/// The most values that a function takes on the stack; the parameters of one with more lie in memory.
///
/// Source: `MAX_FLAT_PARAMS` of the component model's `CanonicalABI.md`.
pub(crate) const MAX_FLAT_PARAMS: usize = 16;

/// The values on the stack that values of these types are, if they are few enough to lie there.
pub(super) fn flat_count(mut types: impl Iterator<Item = Type>) -> Option<usize> {
    types.try_fold(0, |count, ty| few(count + flat(&ty)?))
}

fn few(count: usize) -> Option<usize> {
    (count <= MAX_FLAT_PARAMS).then_some(count)
}

fn flat(ty: &Type) -> Option<usize> {
    match ty {
        Type::String | Type::List(_) | Type::Map(_) => Some(2),
        Type::FixedLengthList(list) => few(flat(&list.ty())?.checked_mul(list.len() as usize)?),
        Type::Record(record) => flat_count(record.fields().map(|field| field.ty)),
        Type::Tuple(tuple) => flat_count(tuple.types()),
        Type::Flags(flags) => few(flags.names().len().div_ceil(32)),
        Type::Variant(variant) => one_of(variant.cases().map(|case| case.ty)),
        Type::Option(option) => one_of([None, Some(option.ty())].into_iter()),
        Type::Result(result) => one_of([result.ok(), result.err()].into_iter()),
        _ => Some(1),
    }
}

/// Of cases that share the stack: as many as the largest takes, and one says which it is.
fn one_of(mut cases: impl Iterator<Item = Option<Type>>) -> Option<usize> {
    let largest = cases.try_fold(0, |largest, ty| match ty {
        Some(ty) => Some(flat(&ty)?.max(largest)),
        None => Some(largest),
    });
    few(1 + largest?)
}
