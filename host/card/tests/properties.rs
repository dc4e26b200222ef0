//! Properties over arbitrary Cards and arbitrary texts.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use std::net::{IpAddr, SocketAddr};

use arje_card::*;
use proptest::collection::{btree_map, btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value};

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z/.:=-]{0,12}", any::<String>()]
}

fn id() -> impl Strategy<Value = Id> {
    any::<[u8; 16]>().prop_map(Id::from_bytes)
}

fn interface() -> impl Strategy<Value = InterfaceName> {
    "[a-z]{1,4}:[a-z]{1,4}(-[a-z][a-z0-9]{0,3})?/[a-z]{1,4}@(0|[1-9][0-9]{0,3})\\.[0-9]\\.[0-9]"
        .prop_map(|text| text.parse().unwrap())
}

fn capability() -> impl Strategy<Value = Capability> {
    use Capability::*;
    let words = [
        FilesystemRoot,
        LegacyLogind,
        Spawn,
        Journal,
        SwitchRoot,
        Power,
    ];
    let netlink = [
        Netlink::Uevent,
        Netlink::Route,
        Netlink::Generic,
        Netlink::Audit,
    ];
    let class = [
        DeviceClass::Block,
        DeviceClass::Tty,
        DeviceClass::Input,
        DeviceClass::Drm,
        DeviceClass::Net,
        DeviceClass::Hidraw,
    ];
    prop_oneof![
        select(words.to_vec()),
        select(netlink.to_vec()).prop_map(KernelNetlink),
        select(class.to_vec()).prop_map(|class| Device { class }),
        any::<([u8; 16], u16)>().prop_map(|(bytes, version)| Endpoint {
            interface: InterfaceId(bytes),
            version
        }),
        interface().prop_map(Wit),
    ]
}

fn capabilities() -> impl Strategy<Value = CapabilitySet> {
    btree_set(capability(), 0..3)
}

fn contract() -> impl Strategy<Value = Contract> {
    prop_oneof![
        capabilities().prop_map(Contract::Any),
        (capabilities(), any::<u32>()).prop_map(|(of, at_least)| Contract::Quorum { of, at_least }),
        capabilities().prop_map(Contract::Conflicts),
        capabilities().prop_map(Contract::After),
    ]
}

fn permissions() -> impl Strategy<Value = Permissions> {
    use {Filesystem as F, Networking as N};
    let networking = select(vec![N::None, N::Loopback, N::Outbound, N::Full]);
    let filesystem = select(vec![F::None, F::ReadOnly, F::ReadWrite]);
    (networking, filesystem, vec(text(), 0..2), any::<bool>()).prop_map(
        |(networking, filesystem, allow, processes)| Permissions {
            networking,
            filesystem,
            ipc: Ipc { allow },
            processes,
        },
    )
}

fn bind() -> impl Strategy<Value = Bind> {
    (text(), text(), any::<bool>()).prop_map(|(source, target, ro)| Bind { source, target, ro })
}

fn namespaces() -> impl Strategy<Value = Namespaces> {
    any::<[bool; 7]>().prop_map(|[mount, pid, net, uts, ipc, user, cgroup]| Namespaces {
        mount,
        pid,
        net,
        uts,
        ipc,
        user,
        cgroup,
    })
}

fn cgroup() -> impl Strategy<Value = Cgroup> {
    let cpu_max = any::<(u64, u64)>().prop_map(|(quota_us, period_us)| CpuMax {
        quota_us,
        period_us,
    });
    let io_max =
        (text(), any::<[Option<u64>; 4]>()).prop_map(|(device, [rbps, wbps, riops, wiops])| {
            IoMax {
                device,
                rbps,
                wbps,
                riops,
                wiops,
            }
        });
    let numbers = any::<(
        Option<u32>,
        Option<u32>,
        Option<u64>,
        Option<u64>,
        Option<u64>,
    )>();
    (
        option::of(text()),
        numbers,
        option::of(cpu_max),
        vec(io_max, 0..2),
    )
        .prop_map(
            |(
                path,
                (cpu_weight, io_weight, memory_max, memory_high, pids_max),
                cpu_max,
                io_max,
            )| Cgroup {
                path,
                cpu_weight,
                io_weight,
                memory_max,
                memory_high,
                pids_max,
                cpu_max,
                io_max,
            },
        )
}

fn soma() -> impl Strategy<Value = Soma> {
    let rlimits = any::<[Option<u64>; 3]>().prop_map(|[mem_bytes, nproc, nofile]| Rlimits {
        mem_bytes,
        nproc,
        nofile,
    });
    let run_as = any::<(u32, u32)>().prop_flat_map(|(uid, gid)| {
        vec(any::<u32>(), 0..3).prop_map(move |groups| RunAs { uid, gid, groups })
    });
    let tmpfs = (text(), any::<Option<u64>>())
        .prop_map(|(target, size_bytes)| Tmpfs { target, size_bytes });
    let mounts =
        (vec(bind(), 0..2), vec(tmpfs, 0..2)).prop_map(|(binds, tmpfs)| Mounts { binds, tmpfs });
    let affinity = option::of(vec(any::<u32>(), 0..3));
    (
        namespaces(),
        rlimits,
        cgroup(),
        affinity,
        option::of(run_as),
        mounts,
    )
        .prop_map(
            |(namespaces, rlimits, cgroup, cpu_affinity, run_as, mounts)| Soma {
                namespaces,
                rlimits,
                cgroup,
                cpu_affinity,
                run_as,
                mounts,
            },
        )
}

fn env() -> impl Strategy<Value = Env> {
    vec((text(), text()), 0..3).prop_map(Env)
}

fn payload() -> impl Strategy<Value = Payload> {
    let entry = prop_oneof![
        select(vec!["run", "service", "http"]).prop_map(str::to_owned),
        text()
    ];
    let wasm = (
        any::<[u8; 32]>(),
        entry,
        vec(text(), 0..3),
        env(),
        vec(bind(), 0..2),
    )
        .prop_map(|(pin, entry, argv, envp, preopens)| WasmPayload {
            module_sha256: Pin(pin),
            entry: entry.as_str().into(),
            argv,
            envp,
            preopens,
        });
    let native = (text(), vec(text(), 0..3), env()).prop_map(|(exec, argv, envp)| NativePayload {
        exec,
        argv,
        envp,
    });
    let fakes = [
        Fake::SystemdLogind,
        Fake::SystemdHostnamed,
        Fake::SystemdNotify,
    ];
    let legacy = (text(), vec(text(), 0..3), vec(select(fakes.to_vec()), 0..3))
        .prop_map(|(exec, argv, fakes)| LegacyPayload { exec, argv, fakes });
    prop_oneof![
        Just(Payload::Virtual),
        wasm.prop_map(Payload::Wasm),
        native.prop_map(Payload::Native),
        legacy.prop_map(Payload::Legacy),
    ]
}

fn supervision() -> impl Strategy<Value = Supervision> {
    prop_oneof![
        Just(Supervision::OneShot),
        Just(Supervision::Delegate),
        any::<(u64, u64)>().prop_map(|(initial, max)| Supervision::Restart { initial, max }),
    ]
}

fn listen() -> impl Strategy<Value = Listen> {
    let address = || any::<(IpAddr, u16)>().prop_map(SocketAddr::from);
    let on = prop_oneof![
        text().prop_map(ListenOn::Unix),
        text().prop_map(ListenOn::UnixDatagram),
        address().prop_map(ListenOn::Tcp),
        address().prop_map(ListenOn::Udp),
    ];
    (text(), on).prop_map(|(name, on)| Listen { name, on })
}

fn flow() -> impl Strategy<Value = Flow> {
    let ty = prop_oneof![
        text().prop_map(|name| FlowType::Primitive { name }),
        (text(), option::of(text()), text()).prop_map(|(package, interface, name)| FlowType::Wit {
            package,
            interface,
            name
        }),
    ];
    (text(), ty, option::of(text())).prop_map(|(name, ty, pin_to)| Flow { name, ty, pin_to })
}

fn flows() -> impl Strategy<Value = Flows> {
    (vec(flow(), 0..2), vec(flow(), 0..2)).prop_map(|(input, output)| Flows { input, output })
}

fn references() -> impl Strategy<Value = Vec<Reference>> {
    use ReferenceKind::*;
    let kind = select(vec![Owns, OwnedBy, Processes, ProcessedBy, Sibling]);
    let reference = (kind, id(), text()).prop_map(|(kind, target_id, target_label)| Reference {
        kind,
        target_id,
        target_label,
    });
    vec(reference, 0..2)
}

fn finite() -> impl Strategy<Value = f64> {
    any::<f64>().prop_filter("JSON has finite numbers only", |number| number.is_finite())
}

fn data() -> impl Strategy<Value = DataFacet> {
    let lists = (vec(text(), 0..3), vec(finite(), 0..3));
    (text(), lists, any::<u64>(), finite(), option::of(text())).prop_map(
        |(summary, (keywords, centroid), member_count, dispersion, presentation_hint)| DataFacet {
            summary,
            keywords,
            centroid,
            member_count,
            dispersion,
            presentation_hint,
        },
    )
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        finite().prop_map(Value::from),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        let object =
            vec((text(), inner.clone()), 0..3).prop_map(|pairs| pairs.into_iter().collect());
        prop_oneof![
            vec(inner, 0..3).prop_map(Value::Array),
            object.prop_map(Value::Object)
        ]
    })
}

fn extensions() -> impl Strategy<Value = Map<String, Value>> {
    let unknown = |key: &String| !CARD_KEYS.contains(&key.as_str());
    let key = text().prop_filter("not a field", unknown);
    vec((key, value()), 0..3).prop_map(|pairs| pairs.into_iter().collect())
}

prop_compose! {
    /// What others see of a Card.
    fn outside()(
        id in id(), lineage in option::of(id()), label in text(),
        sets in (capabilities(), capabilities(), capabilities()), contracts in vec(contract(), 0..2),
        permissions in permissions().boxed(), payload in payload().boxed(), supervision in supervision(),
        soma in soma().boxed(),
    ) -> Card {
        let (provides, requires, holds) = sets;
        Card {
            lineage, provides, requires, holds, contracts, permissions, soma,
            ..Card::new(id, label, payload, supervision)
        }
    }
}

prop_compose! {
    /// The words of a Card.
    fn words()(
        lifecycle in select(vec![Lifecycle::Daemon, Lifecycle::Oneshot, Lifecycle::Widget]),
        priority in
            select(vec![Priority::Low, Priority::Normal, Priority::High, Priority::Critical]),
        readiness in select(vec![
            Readiness::Started, Readiness::Notify, Readiness::Announce, Readiness::Exit,
        ]),
        restart_on in select(vec![RestartOn::Always, RestartOn::Failure]),
        kind in select(vec![CardKind::Ente, CardKind::Data]),
    ) -> (Lifecycle, Priority, Readiness, RestartOn, CardKind) {
        (lifecycle, priority, readiness, restart_on, kind)
    }
}

prop_compose! {
    /// What the host does for a Card.
    fn host()(
        times in any::<(u32, Option<u64>, u32, u64, u64)>(), limits in any::<(u64, u64, u64, u32)>(),
        listen in vec(listen(), 0..2), own in option::of(vec(text(), 0..2)),
        credentials in vec((text(), text()), 0..2),
    ) -> Card {
        let (schema_version, liveness_ms, burst, interval_ms, stop_timeout_ms) = times;
        let (memory_bytes, tables, call_ms, mailbox) = limits;
        let credential = |(name, source)| Credential { name, source };
        Card {
            schema_version, liveness_ms, stop_timeout_ms, listen,
            start_limit: StartLimit { burst, interval_ms },
            limits: Limits { memory_bytes, tables, call_ms, mailbox },
            dbus: own.map(|own| Dbus { own, bus: DbusBus::System }),
            credentials: credentials.into_iter().map(credential).collect(),
            ..Card::new(Id::NIL, "", Payload::Virtual, Supervision::OneShot)
        }
    }
}

prop_compose! {
    /// A Card without genesis, each part at its default half of the time.
    fn leaf()(
        outside in outside().boxed(), words in option::of(words().boxed()), host in option::of(host().boxed()),
        flow in flows().boxed(), service_socket in option::of(text()), references in references(),
        data in option::of(data().boxed()),
        contexts in btree_map(text(), (option::of(text()), any::<i8>()), 0..2),
        extensions in extensions().boxed(),
    ) -> Card {
        let (lifecycle, priority, readiness, restart_on, kind) = words.unwrap_or_default();
        let host = host.unwrap_or_else(|| outside.clone());
        let context = |(name, (pin_to, priority_offset))| {
            (name, PriorityContext { pin_to, priority_offset })
        };
        Card {
            lifecycle, priority, readiness, restart_on, kind, flow, service_socket, references, data,
            extensions,
            schema_version: host.schema_version,
            liveness_ms: host.liveness_ms,
            start_limit: host.start_limit,
            stop_timeout_ms: host.stop_timeout_ms,
            limits: host.limits,
            listen: host.listen,
            dbus: host.dbus,
            credentials: host.credentials,
            priority_contexts: contexts.into_iter().map(context).collect(),
            ..outside
        }
    }
}

fn card() -> impl Strategy<Value = Card> {
    leaf().boxed().prop_recursive(3, 6, 3, |inner| {
        (leaf(), vec(inner, 0..3)).prop_map(|(card, genesis)| Card { genesis, ..card })
    })
}

fn round_trip(document: &Document) -> Result<(), TestCaseError> {
    let text = document
        .to_text()
        .map_err(|error| TestCaseError::fail(error.to_string()))?;
    let again = Document::parse_unchecked(text.as_bytes(), document.format)
        .map_err(|report| TestCaseError::fail(format!("{report}\n{text}")))?;
    prop_assert_eq!(&again, document);
    Ok(())
}

/// Whether there is a null anywhere: TOML has none.
fn has_null(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.iter().any(has_null),
        Value::Object(entries) => entries.values().any(has_null),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

fn without_nulls(value: &mut Value) {
    match value {
        Value::Array(items) => {
            items.retain(|item| !item.is_null());
            items.iter_mut().for_each(without_nulls);
        }
        Value::Object(entries) => {
            entries.retain(|_, value| !value.is_null());
            entries.values_mut().for_each(without_nulls);
        }
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..Default::default() })]

    #[test]
    fn json_round_trip(card in card(), wrapped in any::<bool>()) {
        round_trip(&Document { card, format: Format::Json, wrapped })?;
    }

    #[test]
    fn serde_round_trip(card in card()) {
        let value = serde_json::to_value(&card).unwrap();
        prop_assert_eq!(serde_json::from_value::<Card>(value).unwrap(), card);
    }

    #[test]
    fn toml_round_trip(card in card(), wrapped in any::<bool>()) {
        let whole = serde_json::to_value(&card).unwrap();
        let written = Document { card, format: Format::Toml, wrapped }.to_text();
        prop_assert_eq!(written.is_ok(), !has_null(&whole), "{:?}", written);
        let mut less = whole;
        without_nulls(&mut less);
        let card: Card = serde_json::from_value(less).unwrap();
        round_trip(&Document { card, format: Format::Toml, wrapped })?;
    }

    /// Checking a tree finds the same as checking its text, and never panics.
    #[test]
    fn rules_see_the_same_in_text_and_in_memory(card in card()) {
        let document = Document { card, format: Format::Json, wrapped: false };
        let text = document.to_text().unwrap();
        let by_text = Document::parse(text.as_bytes(), Format::Json).map(|_| ());
        prop_assert_eq!(document.card.validate(), by_text);
        prop_assert_eq!(document.card.warnings(), document.warnings());
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in vec(any::<u8>(), 0..256)) {
        let _ = Document::parse(&bytes, Format::Json);
        let _ = Document::parse(&bytes, Format::Toml);
    }

    #[test]
    fn arbitrary_json_never_panics(value in value(), key in select(CARD_KEYS.to_vec())) {
        let _ = Card::from_json(value.to_string().as_bytes());
        let object = Value::Object(Map::from_iter([(key.to_owned(), value)]));
        // Required keys are missing, so this is never a Card.
        prop_assert!(Card::from_json(object.to_string().as_bytes()).is_err());
    }

    /// One byte changed in a valid text is read or refused, and never panics.
    #[test]
    fn damaged_text_never_panics(card in card(), place in any::<prop::sample::Index>(), byte: u8) {
        let mut bytes = card.to_json().unwrap().into_bytes();
        let place = place.index(bytes.len());
        bytes[place] = byte;
        let _ = Document::parse(&bytes, Format::Json);
    }
}
