//! What packages promise, as a list: each thing that a component, or the host, may rely on.

use crate::text;
use std::collections::{BTreeMap, BTreeSet};
use wit_parser::{Docs, Interface, PackageId, Resolve, Stability, World, WorldItem, WorldKey};

/// The promises of some packages.
#[derive(Debug, Default)]
pub struct Api {
    /// By `namespace:name@major`.
    pub packages: BTreeMap<String, Package>,
    /// By name: `package/interface#function`, and the like.
    pub entries: BTreeMap<String, Entry>,
    /// Interfaces that worlds of these packages export: components implement them.
    pub implemented: BTreeSet<String>,
}

/// A package.
#[derive(Debug)]
pub struct Package {
    /// Its whole version.
    pub version: String,
    /// The same in its order.
    order: (u64, u64, u64),
}

impl Package {
    /// Major, minor and patch number.
    #[must_use]
    pub const fn order(&self) -> (u64, u64, u64) {
        self.order
    }
}

/// What a thing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An interface.
    Interface,
    /// A world.
    World,
    /// A function of an interface.
    Function,
    /// A type.
    Type,
    /// What a world imports.
    Import,
    /// What a world exports.
    Export,
}

/// One thing.
#[derive(Debug)]
pub struct Entry {
    /// What it is.
    pub kind: Kind,
    /// `namespace:name@major` of its package.
    pub package: String,
    /// What it is part of, if that is an interface or a world.
    pub of: Option<String>,
    /// What it is, in the words of WIT.
    pub text: String,
    /// The version since which it is there: its own gate, or that of what it is part of.
    pub since: Option<(u64, u64, u64)>,
    /// Whether it is to be described, and is not.
    pub undocumented: bool,
}

/// What the things of one interface or world have in common.
struct Scope<'a> {
    package: &'a str,
    name: &'a str,
    since: Option<(u64, u64, u64)>,
}

impl Api {
    /// Everything in these packages. What has the gate `@unstable` is left out by the parser, as nothing is promised.
    #[must_use]
    pub fn of(resolve: &Resolve, packages: &[PackageId]) -> Self {
        let mut api = Self::default();
        for id in packages {
            let package = &resolve.packages[*id];
            let name = text::package(resolve, *id);
            for interface in package.interfaces.values() {
                let interface = &resolve.interfaces[*interface];
                let path = text::interface(resolve, interface);
                api.interface(resolve, &name, &path, interface, None);
            }
            for world in package.worlds.values() {
                api.world(resolve, &name, &resolve.worlds[*world]);
            }
            let version = package.name.version.as_ref();
            let order = version.map(|one| (one.major, one.minor, one.patch));
            let package = Package {
                version: version.map(ToString::to_string).unwrap_or_default(),
                order: order.unwrap_or_default(),
            };
            api.packages.insert(name, package);
        }
        api
    }

    fn interface(
        &mut self,
        resolve: &Resolve,
        package: &str,
        path: &str,
        interface: &Interface,
        inherited: Option<(u64, u64, u64)>,
    ) {
        let since = since(&interface.stability).or(inherited);
        self.entries.insert(
            path.to_owned(),
            Entry {
                package: package.to_owned(),
                of: None,
                kind: Kind::Interface,
                text: "interface".to_owned(),
                since,
                undocumented: is_empty(&interface.docs),
            },
        );
        let scope = Scope {
            package,
            name: path,
            since,
        };
        for (name, id) in &interface.types {
            let def = &resolve.types[*id];
            // Only a name for what is described elsewhere, and used by its other name wherever a text has it.
            if !text::is_use(resolve, def) {
                let text = text::definition(resolve, def);
                let undocumented = is_empty(&def.docs);
                self.part(
                    &scope,
                    (Kind::Type, name),
                    text,
                    &def.stability,
                    undocumented,
                );
            }
        }
        for (name, function) in &interface.functions {
            let text = text::function(resolve, function);
            let undocumented = is_empty(&function.docs);
            self.part(
                &scope,
                (Kind::Function, name),
                text,
                &function.stability,
                undocumented,
            );
        }
    }

    fn world(&mut self, resolve: &Resolve, package: &str, world: &World) {
        let path = format!("{package}/{}", world.name);
        let since = since(&world.stability);
        self.entries.insert(
            path.clone(),
            Entry {
                package: package.to_owned(),
                of: None,
                kind: Kind::World,
                text: "world".to_owned(),
                since,
                undocumented: is_empty(&world.docs),
            },
        );
        let scope = Scope {
            package,
            name: &path,
            since,
        };
        for (key, item) in &world.imports {
            self.world_item(resolve, &scope, Kind::Import, key, item);
        }
        for (key, item) in &world.exports {
            self.world_item(resolve, &scope, Kind::Export, key, item);
        }
    }

    fn world_item(
        &mut self,
        resolve: &Resolve,
        scope: &Scope<'_>,
        kind: Kind,
        key: &WorldKey,
        item: &WorldItem,
    ) {
        let name = match key {
            WorldKey::Name(name) => name.clone(),
            WorldKey::Interface(id) => text::interface(resolve, &resolve.interfaces[*id]),
        };
        let direction = if kind == Kind::Export {
            "export"
        } else {
            "import"
        };
        let key = format!("{direction} {name}");
        match item {
            WorldItem::Interface { id, stability, .. } => {
                let path = match resolve.interfaces[*id].name {
                    Some(_) => name,
                    // Written out in the world, so it is described here.
                    None => format!("{}#{key}", scope.name),
                };
                if resolve.interfaces[*id].name.is_none() {
                    let interface = &resolve.interfaces[*id];
                    self.interface(resolve, scope.package, &path, interface, scope.since);
                } else {
                    let text = format!("{direction} of an interface");
                    self.part(scope, (kind, &key), text, stability, false);
                }
                if kind == Kind::Export {
                    self.implemented.insert(path);
                }
            }
            WorldItem::Function(function) => {
                let text = text::function(resolve, function);
                let undocumented = is_empty(&function.docs);
                self.part(scope, (kind, &key), text, &function.stability, undocumented);
            }
            WorldItem::Type { id, .. } => {
                let def = &resolve.types[*id];
                if !text::is_use(resolve, def) {
                    let text = text::definition(resolve, def);
                    let undocumented = is_empty(&def.docs);
                    self.part(scope, (kind, &key), text, &def.stability, undocumented);
                }
            }
        }
    }

    fn part(
        &mut self,
        scope: &Scope<'_>,
        (kind, name): (Kind, &str),
        text: String,
        stability: &Stability,
        undocumented: bool,
    ) {
        self.entries.insert(
            format!("{}#{name}", scope.name),
            Entry {
                kind,
                package: scope.package.to_owned(),
                of: Some(scope.name.to_owned()),
                text,
                // What is in a gated interface cannot be older than that.
                since: since(stability).max(scope.since),
                undocumented,
            },
        );
    }
}

fn since(stability: &Stability) -> Option<(u64, u64, u64)> {
    match stability {
        Stability::Stable { since, .. } => Some((since.major, since.minor, since.patch)),
        Stability::Unknown | Stability::Unstable { .. } => None,
    }
}

fn is_empty(docs: &Docs) -> bool {
    docs.contents
        .as_deref()
        .is_none_or(|text| text.trim().is_empty())
}
