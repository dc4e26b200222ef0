//! What a component exports, looked up once when it is loaded.

use wasmtime::component::{Component, ComponentExportIndex};

/// Names of the interfaces that the host drives.
const RUN: &str = "wasi:cli/run@0.2.0";
const SERVICE: &str = "arje:ente/service@1.0.0";
const HEALTH: &str = "arje:ente/health@1.0.0";
const TIMER_HANDLER: &str = "arje:ente/timer-handler@1.0.0";
const HANDOFF: &str = "arje:state/handoff@1.0.0";
const SUPERVISOR_HANDLER: &str = "arje:ente/supervisor-handler@1.0.0";
const HANDLER: &str = "arje:bus/handler@1.0.0";
/// The name under which `http` is asked for in error messages.
pub(crate) const INCOMING_HANDLER: &str = "wasi:http/incoming-handler@0.2.0";

/// Where the exports that the host may call are.
#[derive(Debug, Clone)]
pub(crate) struct Exports {
    pub(crate) run: Option<ComponentExportIndex>,
    pub(crate) service: Option<Service>,
    pub(crate) health: Option<ComponentExportIndex>,
    pub(crate) on_timer: Option<ComponentExportIndex>,
    pub(crate) on_event: Option<ComponentExportIndex>,
    pub(crate) handle: Option<ComponentExportIndex>,
    pub(crate) save: Option<ComponentExportIndex>,
    pub(crate) restore: Option<ComponentExportIndex>,
}

/// The two functions of `arje:ente/service`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Service {
    pub(crate) start: ComponentExportIndex,
    pub(crate) stop: ComponentExportIndex,
}

impl Exports {
    pub(crate) fn of(component: &Component) -> Exports {
        Exports {
            run: function(component, RUN, "run"),
            service: service(component),
            health: function(component, HEALTH, "health"),
            on_timer: function(component, TIMER_HANDLER, "on-timer"),
            on_event: function(component, SUPERVISOR_HANDLER, "on-event"),
            handle: function(component, HANDLER, "handle"),
            save: function(component, HANDOFF, "save"),
            restore: function(component, HANDOFF, "restore"),
        }
    }
}

fn service(component: &Component) -> Option<Service> {
    Some(Service {
        start: function(component, SERVICE, "start")?,
        stop: function(component, SERVICE, "stop")?,
    })
}

/// A function of an exported interface; versions match as semver does.
fn function(
    component: &Component,
    interface: &str,
    function: &str,
) -> Option<ComponentExportIndex> {
    let interface = component.get_export_index(None, interface)?;
    component.get_export_index(Some(&interface), function)
}

/// A function by its full name: `name` for one of the world, `interface#name` for one of an
/// exported interface.
pub(crate) fn by_full_name(component: &Component, name: &str) -> Option<ComponentExportIndex> {
    match name.split_once('#') {
        Some((interface, name)) => function(component, interface, name),
        None => component.get_export_index(None, name),
    }
}
