//! Types and functions as text, in the words of WIT. Two are the same exactly if their texts are.

use wit_parser::{
    Function, FunctionKind, Handle, Interface, PackageId, Resolve, Type, TypeDef, TypeDefKind,
    TypeId, TypeOwner,
};

/// `namespace:name@major`: the versions of one such package are compatible, so the rest of the number is left out. A
/// package without a version is never released, and has no number.
pub fn package(resolve: &Resolve, id: PackageId) -> String {
    let name = &resolve.packages[id].name;
    let major = name
        .version
        .as_ref()
        .map(|version| format!("@{}", version.major));
    format!(
        "{}:{}{}",
        name.namespace,
        name.name,
        major.unwrap_or_default()
    )
}

/// `package/interface`.
pub fn interface(resolve: &Resolve, interface: &Interface) -> String {
    let package = interface.package.map(|id| package(resolve, id));
    let name = interface.name.as_deref().unwrap_or("(inline)");
    format!("{}/{name}", package.unwrap_or_default())
}

/// A function's parameters and result.
pub fn function(resolve: &Resolve, function: &Function) -> String {
    let params: Vec<String> = function
        .params
        .iter()
        .map(|param| format!("{}: {}", param.name, reference(resolve, &param.ty)))
        .collect();
    let result = function
        .result
        .as_ref()
        .map(|ty| format!(" -> {}", reference(resolve, ty)));
    format!(
        "{}func({}){}",
        kind(&function.kind),
        params.join(", "),
        result.unwrap_or_default()
    )
}

const fn kind(kind: &FunctionKind) -> &'static str {
    match kind {
        FunctionKind::Freestanding | FunctionKind::Method(_) => "",
        FunctionKind::AsyncFreestanding | FunctionKind::AsyncMethod(_) => "async ",
        FunctionKind::Static(_) => "static ",
        FunctionKind::AsyncStatic(_) => "static async ",
        FunctionKind::Constructor(_) => "constructor ",
    }
}

/// Whether a type is only another interface's, under a name of this one (`use`).
pub fn is_use(resolve: &Resolve, def: &TypeDef) -> bool {
    match def.kind {
        TypeDefKind::Type(Type::Id(of)) => {
            resolve.types[of].name.is_some() && resolve.types[of].owner != def.owner
        }
        _ => false,
    }
}

/// What a type consists of.
pub fn definition(resolve: &Resolve, def: &TypeDef) -> String {
    let of = |ty: &Type| reference(resolve, ty);
    let with = |name: &str, ty: &Option<Type>| match ty {
        Some(ty) => format!("{name}({})", of(ty)),
        None => name.to_owned(),
    };
    match &def.kind {
        TypeDefKind::Record(record) => block(
            "record",
            record
                .fields
                .iter()
                .map(|field| format!("{}: {}", field.name, of(&field.ty))),
        ),
        TypeDefKind::Variant(variant) => block(
            "variant",
            variant.cases.iter().map(|case| with(&case.name, &case.ty)),
        ),
        TypeDefKind::Enum(cases) => block("enum", cases.cases.iter().map(|case| case.name.clone())),
        TypeDefKind::Flags(flags) => {
            block("flags", flags.flags.iter().map(|flag| flag.name.clone()))
        }
        TypeDefKind::Resource => "resource".to_owned(),
        TypeDefKind::Unknown => "?".to_owned(),
        kind => shape(resolve, kind),
    }
}

/// A type where it is used: by name if it has one.
fn reference(resolve: &Resolve, ty: &Type) -> String {
    let name = match ty {
        Type::Id(id) => return named(resolve, *id),
        Type::Bool => "bool",
        Type::U8 => "u8",
        Type::U16 => "u16",
        Type::U32 => "u32",
        Type::U64 => "u64",
        Type::S8 => "s8",
        Type::S16 => "s16",
        Type::S32 => "s32",
        Type::S64 => "s64",
        Type::F32 => "f32",
        Type::F64 => "f64",
        Type::Char => "char",
        Type::String => "string",
        Type::ErrorContext => "error-context",
    };
    name.to_owned()
}

fn named(resolve: &Resolve, id: TypeId) -> String {
    let def = &resolve.types[id];
    if let (TypeDefKind::Type(of), true) = (&def.kind, is_use(resolve, def)) {
        return reference(resolve, of);
    }
    let Some(name) = &def.name else {
        return shape(resolve, &def.kind);
    };
    match def.owner {
        TypeOwner::Interface(id) => {
            format!("{}#{name}", interface(resolve, &resolve.interfaces[id]))
        }
        TypeOwner::World(id) => {
            let world = &resolve.worlds[id];
            let package = world.package.map(|id| package(resolve, id));
            format!("{}/{}#{name}", package.unwrap_or_default(), world.name)
        }
        TypeOwner::None => name.clone(),
    }
}

/// A type without a name.
fn shape(resolve: &Resolve, kind: &TypeDefKind) -> String {
    let of = |ty: &Type| reference(resolve, ty);
    let or_nothing = |ty: &Option<Type>| ty.as_ref().map_or("_".to_owned(), of);
    match kind {
        TypeDefKind::Handle(Handle::Own(id)) => format!("own<{}>", named(resolve, *id)),
        TypeDefKind::Handle(Handle::Borrow(id)) => format!("borrow<{}>", named(resolve, *id)),
        TypeDefKind::Tuple(tuple) => {
            let types: Vec<String> = tuple.types.iter().map(of).collect();
            format!("tuple<{}>", types.join(", "))
        }
        TypeDefKind::Option(ty) => format!("option<{}>", of(ty)),
        TypeDefKind::Result(result) => format!(
            "result<{}, {}>",
            or_nothing(&result.ok),
            or_nothing(&result.err)
        ),
        TypeDefKind::List(ty) => format!("list<{}>", of(ty)),
        TypeDefKind::Map(key, value) => format!("map<{}, {}>", of(key), of(value)),
        TypeDefKind::FixedLengthList(ty, length) => format!("list<{}, {length}>", of(ty)),
        TypeDefKind::Future(ty) => format!("future<{}>", or_nothing(ty)),
        TypeDefKind::Stream(ty) => format!("stream<{}>", or_nothing(ty)),
        TypeDefKind::Type(ty) => of(ty),
        // These always have a name.
        TypeDefKind::Record(_)
        | TypeDefKind::Variant(_)
        | TypeDefKind::Enum(_)
        | TypeDefKind::Flags(_)
        | TypeDefKind::Resource
        | TypeDefKind::Unknown => "?".to_owned(),
    }
}

fn block(keyword: &str, parts: impl Iterator<Item = String>) -> String {
    let parts: Vec<String> = parts.collect();
    format!("{keyword} {{ {} }}", parts.join(", "))
}
