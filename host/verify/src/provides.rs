//! What a Card says that its component answers to.

use arje_card::{Capability, Card, InterfaceName};

use crate::component::{Component, ExportKind};
use crate::entry::has_function;

/// With which a component answers calls by capability, whichever one that is.
const HANDLER: &str = "arje:bus/handler@1.0.0";

/// Typed services in a Card's `provides` that nobody could call: the component exports neither the interface nor
/// `arje:bus/handler`, which answers bytes under that name, too. A line for each.
pub fn missing(component: &Component, card: &Card) -> Vec<String> {
    if has_function(component, HANDLER, "handle") {
        return Vec::new();
    }
    let typed = card
        .provides
        .iter()
        .filter_map(|capability| match capability {
            Capability::Wit(interface) => Some(interface),
            _ => None,
        });
    typed
        .filter(|interface| !is_exported(component, interface))
        .map(|interface| {
            format!(
                "provides {interface}, but the component does not export that interface{}; export it, or correct \
                 provides",
                exported(component)
            )
        })
        .collect()
}

fn is_exported(component: &Component, wanted: &InterfaceName) -> bool {
    interfaces(component).any(|name| {
        let name = name.parse::<InterfaceName>();
        name.is_ok_and(|name| name.compatible_with(wanted))
    })
}

/// `; it exports …`
fn exported(component: &Component) -> String {
    let names: Vec<&str> = interfaces(component).collect();
    match names.as_slice() {
        [] => "; it exports no interface".to_owned(),
        names => format!("; it exports {}", names.join(", ")),
    }
}

fn interfaces(component: &Component) -> impl Iterator<Item = &str> {
    let exports = component.exports.iter();
    exports.filter_map(|export| match export.kind {
        ExportKind::Interface(_) => Some(export.name.as_str()),
        ExportKind::Function | ExportKind::Other => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::component::Export;

    fn component(interfaces: &[(&str, &str)]) -> Component {
        let export = |(name, function): &(&str, &str)| Export {
            name: (*name).to_owned(),
            kind: ExportKind::Interface(vec![(*function).to_owned()]),
        };
        Component {
            imports: Vec::new(),
            exports: interfaces.iter().map(export).collect(),
        }
    }

    fn card(provides: &str) -> Card {
        let card = serde_json::json!({
            "schema_version": 1, "id": "01J00000000000000000000000", "label": "a",
            "supervision": "OneShot", "payload": "Virtual", "provides": [{ "Wit": provides }, "Journal"],
        });
        serde_json::from_value(card).unwrap()
    }

    #[test]
    fn what_is_provided_is_exported_or_handled() {
        let card = card("acme:kv/store@1.2.0");
        let handler = ("arje:bus/handler@1.3.0", "handle");
        for (exports, lines) in [
            (vec![("acme:kv/store@1.2.0", "get")], 0),
            // Versions match as they do when it is called.
            (vec![("acme:kv/store@1.0.0", "get")], 0),
            (vec![handler], 0),
            (vec![("arje:bus/handler@2.0.0", "handle")], 1),
            (vec![("acme:kv/store@2.0.0", "get")], 1),
            (vec![("acme:kv/stores@1.2.0", "get")], 1),
            (vec![], 1),
        ] {
            let found = missing(&component(&exports), &card);
            assert_eq!(found.len(), lines, "{exports:?}: {found:?}");
        }
        let told = missing(&component(&[("a:b/c@1.0.0", "d"), ("e:f/g", "h")]), &card);
        assert_eq!(
            told,
            [
                "provides acme:kv/store@1.2.0, but the component does not export that interface; it exports \
                 a:b/c@1.0.0, e:f/g; export it, or correct provides"
            ]
        );
    }
}
