//! The shapes of typed functions: whether two are the same, how they are written, and how a failed call is said in
//! them.

use arje_bus::CallError;
use std::fmt::Write as _;
use wasmtime::component::Val;
use wasmtime::component::types::{ComponentFunc, Type};

/// How deep types are written out; deeper ones end in `…`. Real ones have a handful of levels.
const MAX_DEPTH: usize = 8;

/// Longest signature in an error message, bytes: enough to see where two differ, and two of them fit into an exit status.
const MAX_SIGNATURE: usize = 1024;

/// Whether values of one function's type can be handed to the other as they are.
pub(crate) fn same(one: &ComponentFunc, other: &ComponentFunc) -> bool {
    one.params().eq(other.params()) && one.results().eq(other.results())
}

/// What in the types of a function cannot cross from one component to another, if anything.
pub(crate) fn cannot_cross(function: &ComponentFunc) -> Option<&'static str> {
    if function.async_() {
        return Some("is an async function");
    }
    let params = function.params().map(|(_, ty)| ty);
    params
        .chain(function.results())
        .find_map(|ty| stays(&ty, 0))
}

fn stays(ty: &Type, depth: usize) -> Option<&'static str> {
    if depth > 32 {
        return Some("has a type nested more than 32 deep");
    }
    let inner = |ty: &Type| stays(ty, depth + 1);
    match ty {
        Type::Own(_) | Type::Borrow(_) => Some("takes or returns a resource"),
        Type::Future(_) | Type::Stream(_) => Some("takes or returns a stream or a future"),
        Type::ErrorContext => Some("takes or returns an error-context"),
        Type::List(list) => inner(&list.ty()),
        Type::FixedLengthList(list) => inner(&list.ty()),
        Type::Map(map) => inner(&map.key()).or_else(|| inner(&map.value())),
        Type::Record(record) => record.fields().find_map(|field| inner(&field.ty)),
        Type::Tuple(tuple) => tuple.types().find_map(|ty| inner(&ty)),
        Type::Variant(variant) => variant.cases().find_map(|case| inner(&case.ty?)),
        Type::Option(option) => inner(&option.ty()),
        Type::Result(result) => [result.ok(), result.err()]
            .into_iter()
            .flatten()
            .find_map(|ty| inner(&ty)),
        _ => None,
    }
}

/// A function as WIT writes it, but for the names of types.
pub(crate) fn signature(name: &str, function: &ComponentFunc) -> String {
    let mut text = format!("{name}: func(");
    for (n, (param, ty)) in function.params().enumerate() {
        if n > 0 {
            text.push_str(", ");
        }
        let _ = write!(text, "{param}: "); // writing to a String cannot fail
        write_type(&mut text, &ty, 0);
    }
    text.push(')');
    for ty in function.results() {
        text.push_str(" -> ");
        write_type(&mut text, &ty, 0);
    }
    if text.len() > MAX_SIGNATURE {
        text.truncate(text.floor_char_boundary(MAX_SIGNATURE));
        text.push('…');
    }
    text
}

fn write_type(text: &mut String, ty: &Type, depth: usize) {
    if depth == MAX_DEPTH || text.len() > MAX_SIGNATURE {
        text.push('…');
        return;
    }
    let names = |text: &mut String, word: &str, names: &mut dyn Iterator<Item = &str>| {
        text.push_str(word);
        let list: Vec<&str> = names.collect();
        let _ = write!(text, " {{ {} }}", list.join(", "));
    };
    match ty {
        Type::List(list) => wrap(text, "list", &[Some(list.ty())], depth),
        Type::FixedLengthList(list) => {
            wrap(text, "list", &[Some(list.ty())], depth);
            let _ = write!(text, " of {}", list.len());
        }
        Type::Map(map) => wrap(text, "map", &[Some(map.key()), Some(map.value())], depth),
        Type::Option(option) => wrap(text, "option", &[Some(option.ty())], depth),
        Type::Result(result) => wrap(text, "result", &[result.ok(), result.err()], depth),
        Type::Tuple(tuple) => {
            let types: Vec<Option<Type>> = tuple.types().map(Some).collect();
            wrap(text, "tuple", &types, depth);
        }
        Type::Record(record) => {
            text.push_str("record {");
            for field in record.fields() {
                let _ = write!(text, " {}: ", field.name);
                write_type(text, &field.ty, depth + 1);
                text.push(',');
            }
            text.push_str(" }");
        }
        Type::Variant(variant) => {
            text.push_str("variant {");
            for case in variant.cases() {
                let _ = write!(text, " {}", case.name);
                if let Some(ty) = &case.ty {
                    text.push('(');
                    write_type(text, ty, depth + 1);
                    text.push(')');
                }
                text.push(',');
            }
            text.push_str(" }");
        }
        Type::Enum(cases) => names(text, "enum", &mut cases.names()),
        Type::Flags(flags) => names(text, "flags", &mut flags.names()),
        simple => text.push_str(word(simple)),
    }
}

fn wrap(text: &mut String, word: &str, inside: &[Option<Type>], depth: usize) {
    text.push_str(word);
    if inside.iter().all(Option::is_none) {
        return;
    }
    text.push('<');
    for (n, ty) in inside.iter().enumerate() {
        if n > 0 {
            text.push_str(", ");
        }
        match ty {
            Some(ty) => write_type(text, ty, depth + 1),
            None => text.push('_'),
        }
    }
    text.push('>');
}

fn word(ty: &Type) -> &'static str {
    match ty {
        Type::Bool => "bool",
        Type::S8 => "s8",
        Type::U8 => "u8",
        Type::S16 => "s16",
        Type::U16 => "u16",
        Type::S32 => "s32",
        Type::U32 => "u32",
        Type::S64 => "s64",
        Type::U64 => "u64",
        Type::Float32 => "f32",
        Type::Float64 => "f64",
        Type::Char => "char",
        Type::String => "string",
        Type::Own(_) => "own resource",
        Type::Borrow(_) => "borrowed resource",
        Type::Future(_) => "future",
        Type::Stream(_) => "stream",
        _ => "error-context",
    }
}

/// How a function can say that a call of it failed before it was answered.
#[derive(Debug, Clone)]
pub(crate) enum Failure {
    /// It cannot: the caller traps.
    Trap,
    /// Its error is a `string`, which gets the reason.
    Text,
    /// Its error is an `enum`, with these of its names that mean something here.
    Enum(Vec<String>),
    /// Its error is a `variant`; of its cases those that mean something here, and whether each takes a `string`.
    Variant(Vec<(String, bool)>),
}

/// The case that stands for every reason without a case of its own.
const ANY_REASON: &str = "unavailable";

impl Failure {
    /// How this function can say it: in the error case of the one `result` that it returns.
    pub(crate) fn of(function: &ComponentFunc) -> Failure {
        let mut results = function.results();
        let (Some(Type::Result(result)), None) = (results.next(), results.next()) else {
            return Failure::Trap;
        };
        match result.err() {
            Some(Type::String) => Failure::Text,
            Some(Type::Enum(names)) => Failure::Enum(
                names
                    .names()
                    .filter(|name| known(name))
                    .map(str::to_owned)
                    .collect(),
            ),
            Some(Type::Variant(variant)) => {
                let fits = |ty: &Option<Type>| matches!(ty, None | Some(Type::String));
                let cases = variant
                    .cases()
                    .filter(|case| known(case.name) && fits(&case.ty));
                Failure::Variant(
                    cases
                        .map(|case| (case.name.to_owned(), case.ty.is_some()))
                        .collect(),
                )
            }
            _ => Failure::Trap,
        }
    }

    /// The failed call as the function's result; none where the caller traps.
    pub(crate) fn say(&self, error: &CallError) -> Option<Val> {
        let text = || Val::String(error.to_string());
        let own = reason(error);
        let said = match self {
            Failure::Trap => return None,
            Failure::Text => text(),
            Failure::Enum(names) => {
                let name = best(names.iter().map(String::as_str), own)?;
                Val::Enum(name.to_owned())
            }
            Failure::Variant(cases) => {
                let name = best(cases.iter().map(|(name, _)| name.as_str()), own)?;
                let takes_text = cases.iter().any(|(case, text)| case == name && *text);
                let payload = takes_text.then(|| Box::new(text()));
                Val::Variant(name.to_owned(), payload)
            }
        };
        Some(Val::Result(Err(Some(Box::new(said)))))
    }
}

/// Names of the cases that stand for the reasons, as `arje:bus/types.invoke-error` has them.
const REASONS: [&str; 6] = [
    "no-provider",
    "overloaded",
    "deadline",
    "provider-died",
    "deadlock",
    "too-large",
];

fn known(case: &str) -> bool {
    case == ANY_REASON || REASONS.contains(&case)
}

fn reason(error: &CallError) -> &'static str {
    match error {
        CallError::NoProvider => "no-provider",
        CallError::Overloaded => "overloaded",
        CallError::Deadline => "deadline",
        CallError::ProviderDied => "provider-died",
        CallError::Deadlock => "deadlock",
        CallError::TooLarge(_) => "too-large",
        CallError::Refused(_) => ANY_REASON,
    }
}

fn best<'c>(cases: impl Iterator<Item = &'c str> + Clone, own: &str) -> Option<&'c str> {
    let find = |wanted: &str| cases.clone().find(|case| *case == wanted);
    find(own).or_else(|| find(ANY_REASON))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_case_of_its_own_comes_first_then_the_one_for_all() {
        let names = |list: &[&str]| Failure::Enum(list.iter().map(|n| (*n).to_owned()).collect());
        let said = |failure: &Failure, error| match failure.say(&error) {
            Some(Val::Result(Err(Some(value)))) => Some(*value),
            Some(other) => panic!("{other:?}"),
            None => None,
        };
        let both = names(&["unavailable", "deadline"]);
        assert_eq!(
            said(&both, CallError::Deadline),
            Some(Val::Enum("deadline".into()))
        );
        assert_eq!(
            said(&both, CallError::Deadlock),
            Some(Val::Enum("unavailable".into()))
        );
        assert_eq!(said(&names(&["deadline"]), CallError::Overloaded), None);
        let with_text = Failure::Variant(vec![("unavailable".into(), true)]);
        let Some(Val::Variant(name, Some(text))) = said(&with_text, CallError::ProviderDied) else {
            panic!("no variant");
        };
        assert_eq!(name, "unavailable");
        assert_eq!(*text, Val::String(CallError::ProviderDied.to_string()));
        assert_eq!(said(&Failure::Trap, CallError::ProviderDied), None);
    }
}
