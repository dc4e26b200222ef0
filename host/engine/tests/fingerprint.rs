//! The fingerprint is the same in every build of the same settings, and another one for others.

use wasmtime::{Config, Engine, WasmFeatures};

/// What `ente-compile` compares itself with too, there with Cranelift linked in. It changes with
/// the settings and with wasmtime's version, and then every artifact is to be compiled anew.
const GOLDEN: &str = include_str!("fingerprint.golden");

fn hex(engine: &Engine) -> String {
    arje_engine::fingerprint(engine)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[test]
fn fingerprint_is_the_recorded_one() {
    let engine = arje_engine::engine().unwrap();
    assert_eq!(
        hex(&engine),
        GOLDEN.trim(),
        "settings or wasmtime changed; if that was meant, put the new value into tests/fingerprint.golden"
    );
}

#[test]
fn every_setting_counts() {
    type Change = fn(&mut Config);
    let changes: [(&str, Change); 12] = [
        ("epochs", |c| {
            c.epoch_interruption(false);
        }),
        ("fuel", |c| {
            c.consume_fuel(true);
        }),
        ("reservation", |c| {
            c.memory_reservation(1 << 30);
        }),
        ("guard", |c| {
            c.memory_guard_size(1 << 20);
        }),
        ("guard before", |c| {
            c.guard_before_linear_memory(false);
        }),
        ("may move", |c| {
            c.memory_may_move(false);
        }),
        ("copy-on-write", |c| {
            c.memory_init_cow(false);
        }),
        ("lazy tables", |c| {
            c.table_lazy_init(false);
        }),
        ("signals", |c| {
            c.signals_based_traps(false);
        }),
        ("relaxed SIMD", |c| {
            c.relaxed_simd_deterministic(true);
        }),
        ("symbols", |c| {
            c.debug_symbols(true);
        }),
        ("features", |c| {
            c.wasm_features(WasmFeatures::MEMORY64, true);
        }),
    ];
    let mut seen = vec![hex(&arje_engine::engine().unwrap())];
    for (name, change) in changes {
        let mut config = arje_engine::config();
        change(&mut config);
        let other = hex(&Engine::new(&config).unwrap());
        assert!(!seen.contains(&other), "{name} leaves no trace");
        seen.push(other);
    }
}

#[test]
fn what_never_reaches_code_does_not_count() {
    let mut config = arje_engine::config();
    config.max_wasm_stack(64 << 10).async_stack_size(128 << 10);
    let smaller = Engine::new(&config).unwrap();
    assert_eq!(hex(&smaller), hex(&arje_engine::engine().unwrap()));
}

#[test]
fn nothing_experimental_is_on() {
    let features = arje_engine::engine().unwrap().get_wasm_features();
    for (name, off) in [
        ("threads", WasmFeatures::THREADS),
        (
            "shared-everything threads",
            WasmFeatures::SHARED_EVERYTHING_THREADS,
        ),
        ("gc", WasmFeatures::GC),
        ("exceptions", WasmFeatures::EXCEPTIONS),
        ("stack switching", WasmFeatures::STACK_SWITCHING),
        ("64-bit memories", WasmFeatures::MEMORY64),
        ("async components", WasmFeatures::CM_ASYNC),
    ] {
        assert!(!features.intersects(off), "{name} is on");
    }
    for (name, on) in [
        ("multi-memory", WasmFeatures::MULTI_MEMORY),
        ("SIMD", WasmFeatures::SIMD),
        ("components", WasmFeatures::COMPONENT_MODEL),
    ] {
        assert!(features.contains(on), "{name} is off");
    }
}
