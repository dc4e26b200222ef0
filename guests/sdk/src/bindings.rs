//! What `wit-bindgen` makes of `wit/ente`, `wit/bus` and `wit/state`, in parts.
//!
//! A world demands every export it names, so one world with everything would force each
//! component to export everything. There is one small world per export instead; a component's
//! own world is the union of those its `service!` names. Unused imports are dropped when the
//! component is encoded.

/// Everything a component may import, and the types.
pub mod host {
    wit_bindgen::generate!({
        inline: "
            package arje:sdk-host;
            world host {
                import arje:ente/types@1.0.0;
                import arje:ente/log@1.0.0;
                import arje:ente/clock@1.0.0;
                import arje:ente/timer@1.0.0;
            }",
        path: "../../wit/ente",
        world: "arje:sdk-host/host",
        runtime_path: "::arje_sdk::rt::wit_bindgen_rt",
        generate_all,
        generate_unused_types: true,
        additional_derives: [PartialEq],
    });
}

/// `arje:ente/supervisor`, and its types. Not in `host`, or every component without it would have them.
pub mod supervisor {
    wit_bindgen::generate!({
        inline: "
            package arje:sdk-supervisor;
            world supervisor {
                import arje:ente/supervisor@1.0.0;
            }",
        path: "../../wit/ente",
        world: "arje:sdk-supervisor/supervisor",
        runtime_path: "::arje_sdk::rt::wit_bindgen_rt",
        with: { "arje:ente/types@1.0.0": crate::bindings::host::arje::ente::types },
        generate_all,
        generate_unused_types: true,
        additional_derives: [PartialEq],
    });
}

/// The export `arje:ente/supervisor-handler`.
pub mod events {
    wit_bindgen::generate!({
        inline: "
            package arje:sdk-events;
            world events {
                export arje:ente/supervisor-handler@1.0.0;
            }",
        path: "../../wit/ente",
        world: "arje:sdk-events/events",
        runtime_path: "::arje_sdk::rt::wit_bindgen_rt",
        with: {
            "arje:ente/types@1.0.0": crate::bindings::host::arje::ente::types,
            "arje:ente/supervisor@1.0.0": crate::bindings::supervisor::arje::ente::supervisor,
        },
        generate_all,
        pub_export_macro: true,
        export_macro_name: "export_events",
        default_bindings_module: "arje_sdk::bindings::events",
    });
}

/// The export `arje:ente/service`.
pub mod service {
    wit_bindgen::generate!({
        inline: "
            package arje:sdk-service;
            world service {
                export arje:ente/service@1.0.0;
            }",
        path: "../../wit/ente",
        world: "arje:sdk-service/service",
        runtime_path: "::arje_sdk::rt::wit_bindgen_rt",
        with: { "arje:ente/types@1.0.0": crate::bindings::host::arje::ente::types },
        generate_all,
        pub_export_macro: true,
        export_macro_name: "export_service",
        default_bindings_module: "arje_sdk::bindings::service",
    });
}

/// The export `arje:ente/health`.
pub mod health {
    wit_bindgen::generate!({
        inline: "
            package arje:sdk-health;
            world health {
                export arje:ente/health@1.0.0;
            }",
        path: "../../wit/ente",
        world: "arje:sdk-health/health",
        runtime_path: "::arje_sdk::rt::wit_bindgen_rt",
        generate_all,
        pub_export_macro: true,
        export_macro_name: "export_health",
        default_bindings_module: "arje_sdk::bindings::health",
    });
}

/// The export `arje:ente/timer-handler`.
pub mod timers {
    wit_bindgen::generate!({
        inline: "
            package arje:sdk-timers;
            world timers {
                export arje:ente/timer-handler@1.0.0;
            }",
        path: "../../wit/ente",
        world: "arje:sdk-timers/timers",
        runtime_path: "::arje_sdk::rt::wit_bindgen_rt",
        generate_all,
        pub_export_macro: true,
        export_macro_name: "export_timers",
        default_bindings_module: "arje_sdk::bindings::timers",
    });
}

/// `arje:bus/bus`, and the types.
pub mod bus {
    wit_bindgen::generate!({
        inline: "
            package arje:sdk-bus;
            world bus {
                import arje:bus/types@1.0.0;
                import arje:bus/bus@1.0.0;
            }",
        path: ["../../wit/ente", "../../wit/bus"],
        world: "arje:sdk-bus/bus",
        runtime_path: "::arje_sdk::rt::wit_bindgen_rt",
        with: { "arje:ente/types@1.0.0": crate::bindings::host::arje::ente::types },
        generate_all,
        generate_unused_types: true,
        additional_derives: [PartialEq],
    });
}

/// The export `arje:bus/handler`.
pub mod handler {
    wit_bindgen::generate!({
        inline: "
            package arje:sdk-handler;
            world handler {
                export arje:bus/handler@1.0.0;
            }",
        path: ["../../wit/ente", "../../wit/bus"],
        world: "arje:sdk-handler/handler",
        runtime_path: "::arje_sdk::rt::wit_bindgen_rt",
        with: {
            "arje:ente/types@1.0.0": crate::bindings::host::arje::ente::types,
            "arje:bus/types@1.0.0": crate::bindings::bus::arje::bus::types,
        },
        generate_all,
        pub_export_macro: true,
        export_macro_name: "export_handler",
        default_bindings_module: "arje_sdk::bindings::handler",
    });
}

/// The export `arje:state/handoff`.
pub mod handoff {
    wit_bindgen::generate!({
        inline: "
            package arje:sdk-handoff;
            world handoff {
                export arje:state/handoff@1.0.0;
            }",
        path: "../../wit/state",
        world: "arje:sdk-handoff/handoff",
        runtime_path: "::arje_sdk::rt::wit_bindgen_rt",
        generate_all,
        pub_export_macro: true,
        export_macro_name: "export_handoff",
        default_bindings_module: "arje_sdk::bindings::handoff",
    });
}
