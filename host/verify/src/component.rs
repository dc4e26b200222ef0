//! [`Component`]: what a component imports and exports, read without an engine.
//!
//! Function bodies are not validated here: the compiler does that, under the engine's own settings.
//! Everything else is, because the names that an exported instance holds follow from its type.

use std::fmt;

use wasmparser::component_types::{ComponentAnyTypeId, ComponentEntityType};
use wasmparser::types::{Types, TypesRef};
use wasmparser::{Encoding, Parser, Payload, ValidPayload, Validator, WasmFeatures};

/// The first bytes of every module and component (WebAssembly Core Specification, "Binary Format").
const MAGIC: &[u8] = b"\0asm";

/// The outside of a component.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Component {
    /// Names of what the host must supply, in the order of the binary. Types that only describe are
    /// left out, as the linker leaves them out.
    pub imports: Vec<String>,
    /// What it offers, in the order of the binary.
    pub exports: Vec<Export>,
}

/// An export of a component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Export {
    /// Its name; of an interface `namespace:package/interface@version`.
    pub name: String,
    /// What it is.
    pub kind: ExportKind,
}

/// What an export is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExportKind {
    /// A function.
    Function,
    /// An instance, with the names of its functions.
    Interface(Vec<String>),
    /// A type, a module, a value: nothing that can be called.
    Other,
}

/// Why a file is not a component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotAComponent {
    /// It is no WebAssembly.
    NotWasm,
    /// It is a core module.
    CoreModule,
    /// It is damaged: what the reader says.
    Malformed(String),
}

impl fmt::Display for NotAComponent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotWasm => f.write_str(
                "found a file that does not begin like WebAssembly; expected a component; name the \
                 .wasm file",
            ),
            Self::CoreModule => f.write_str(
                "found a core module; expected a component; build it for the target wasm32-wasip2, \
                 or wrap it with `wasm-tools component new`",
            ),
            Self::Malformed(why) => write!(
                f,
                "found a damaged component ({why}); expected a sound one; build it again"
            ),
        }
    }
}

impl std::error::Error for NotAComponent {}

impl Component {
    /// Reads the binary form.
    ///
    /// # Errors
    /// [`NotAComponent`].
    pub fn read(wasm: &[u8]) -> Result<Self, NotAComponent> {
        if !wasm.starts_with(MAGIC) {
            return Err(NotAComponent::NotWasm);
        }
        Reader::default().read(wasm)
    }
}

/// Names met so far. Only the outermost component counts; `depth` is how far inside the parser is.
#[derive(Default)]
struct Reader<'w> {
    depth: usize,
    imports: Vec<&'w str>,
    exports: Vec<&'w str>,
}

impl<'w> Reader<'w> {
    fn read(mut self, wasm: &'w [u8]) -> Result<Component, NotAComponent> {
        // Which proposals are allowed is the engine's list; here only names are wanted.
        let mut validator = Validator::new_with_features(WasmFeatures::all());
        let mut types = None;
        let mut parser = Parser::new(0);
        parser.set_features(WasmFeatures::all());
        for payload in parser.parse_all(wasm) {
            let payload = payload.map_err(malformed)?;
            if let ValidPayload::End(ended) = validator.payload(&payload).map_err(malformed)? {
                types = Some(ended);
            }
            self.take(&payload)?;
        }
        let types = types.ok_or_else(|| NotAComponent::Malformed("it is empty".to_owned()))?;
        Ok(self.finish(&types))
    }

    fn take(&mut self, payload: &Payload<'w>) -> Result<(), NotAComponent> {
        match payload {
            Payload::Version { encoding, .. }
                if self.depth == 0 && *encoding == Encoding::Module =>
            {
                return Err(NotAComponent::CoreModule);
            }
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => self.depth += 1,
            Payload::End(_) => self.depth = self.depth.saturating_sub(1),
            Payload::ComponentImportSection(section) if self.depth == 0 => {
                for import in section.clone() {
                    self.imports.push(import.map_err(malformed)?.name.name);
                }
            }
            Payload::ComponentExportSection(section) if self.depth == 0 => {
                for export in section.clone() {
                    self.exports.push(export.map_err(malformed)?.name.name);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn finish(self, types: &Types) -> Component {
        let types = types.as_ref();
        let imports = self.imports.into_iter();
        let exports = self.exports.into_iter();
        Component {
            imports: imports
                .filter(|name| is_supplied(types, name))
                .map(str::to_owned)
                .collect(),
            exports: exports
                .map(|name| Export {
                    name: name.to_owned(),
                    kind: export_kind(types, name),
                })
                .collect(),
        }
    }
}

/// Whether the host has to supply an import: everything but types, and of types the resources.
fn is_supplied(types: TypesRef<'_>, name: &str) -> bool {
    match types.component_item_for_import(name).map(|item| item.ty) {
        Some(ComponentEntityType::Type { created, .. }) => {
            matches!(created, ComponentAnyTypeId::Resource(_))
        }
        _ => true,
    }
}

fn export_kind(types: TypesRef<'_>, name: &str) -> ExportKind {
    match types.component_item_for_export(name).map(|item| item.ty) {
        Some(ComponentEntityType::Func(_)) => ExportKind::Function,
        Some(ComponentEntityType::Instance(id)) => ExportKind::Interface(
            types[id]
                .exports
                .iter()
                .filter(|(_, item)| matches!(item.ty, ComponentEntityType::Func(_)))
                .map(|(name, _)| name.clone())
                .collect(),
        ),
        _ => ExportKind::Other,
    }
}

fn malformed(error: wasmparser::BinaryReaderError) -> NotAComponent {
    NotAComponent::Malformed(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Component, NotAComponent> {
        Component::read(&wat::parse_str(text).unwrap())
    }

    #[test]
    fn only_the_outermost_names_count() {
        let component = read(
            r#"(component
                (import "a:b/c@1.0.0" (instance))
                (type $r (record (field "x" u32)))
                (import "only-a-type" (type (eq $r)))
                (import "resource" (type (sub resource)))
                (component (import "inner" (instance)) (export "inner-too" (instance 0)))
                (core module (func (export "core")))
                (core module $m (func (export "f")))
                (core instance $i (instantiate $m))
                (func $f (canon lift (core func $i "f")))
                (instance $e (export "go" (func $f)) (export "t" (type $r)))
                (export "x:y/z@0.2.3" (instance $e))
                (export "plain" (func $f)))"#,
        )
        .unwrap();
        assert_eq!(component.imports, ["a:b/c@1.0.0", "resource"]);
        let interface = ExportKind::Interface(vec!["go".to_owned()]);
        let found: Vec<_> = component
            .exports
            .iter()
            .map(|export| (export.name.as_str(), &export.kind))
            .collect();
        assert_eq!(
            found,
            [
                ("x:y/z@0.2.3", &interface),
                ("plain", &ExportKind::Function)
            ]
        );
    }

    #[test]
    fn what_is_no_component_is_said() {
        assert_eq!(read("(module)"), Err(NotAComponent::CoreModule));
        let whole = wat::parse_str(r#"(component (import "a" (func)))"#).unwrap();
        for other in [&b""[..], b"#!/bin/sh\n", &whole[..3]] {
            assert_eq!(Component::read(other), Err(NotAComponent::NotWasm));
        }
        let torn = Component::read(&whole[..whole.len() - 1]);
        assert!(matches!(torn, Err(NotAComponent::Malformed(_))), "{torn:?}");
    }
}
