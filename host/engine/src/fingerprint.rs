//! Names an engine by everything that decides whether it can load an artifact.

use std::fmt::Write as _;
use std::hash::{Hash as _, Hasher};

use sha2::{Digest as _, Sha256};
use wasmtime::{Engine, ModuleVersionStrategy};

/// First line of what is hashed. It changes when the list below does.
const SCHEME: &str = "arje-engine 1\n";

/// The sha256 over wasmtime's exact version and every setting that an artifact depends on.
///
/// Two engines with equal fingerprints load each other's artifacts, whether or not they were built
/// with a compiler; wasmtime's own `precompile_compatibility_hash` exists only where Cranelift is
/// linked. The exact version counts, though wasmtime itself asks for the same major version only:
/// a patch release that mends code generation must lead to recompilation. Which CPU an artifact
/// was compiled for is not part of it: the artifact says so itself, and wasmtime checks it.
#[must_use]
pub fn fingerprint(engine: &Engine) -> [u8; 32] {
    let mut hasher = Sha256Hasher(Sha256::new());
    hasher.write(SCHEME.as_bytes());
    // The only place where wasmtime gives away its full version.
    ModuleVersionStrategy::WasmtimeVersion.hash(&mut hasher);
    hasher.write(settings(engine).as_bytes());
    hasher.0.finalize().into()
}

/// The settings, one a line, as the engine itself reports them, defaults included.
fn settings(engine: &Engine) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: &dyn std::fmt::Debug| {
        // Writing into a String cannot fail.
        let _ = writeln!(text, "{name} = {value:?}");
    };
    line("wasm_features", &engine.get_wasm_features().bits());
    line("epoch_interruption", &engine.get_epoch_interruption());
    line("consume_fuel", &engine.get_consume_fuel());
    line("concurrency_support", &engine.get_concurrency_support());
    line("signals_based_traps", &engine.get_signals_based_traps());
    line("memory_reservation", &engine.get_memory_reservation());
    line("memory_guard_size", &engine.get_memory_guard_size());
    line("memory_may_move", &engine.get_memory_may_move());
    line("memory_init_cow", &engine.get_memory_init_cow());
    line(
        "guard_before_linear_memory",
        &engine.get_guard_before_linear_memory(),
    );
    line("table_lazy_init", &engine.get_table_lazy_init());
    line("gc_heap_reservation", &engine.get_gc_heap_reservation());
    line("gc_heap_guard_size", &engine.get_gc_heap_guard_size());
    line("gc_heap_may_move", &engine.get_gc_heap_may_move());
    line("gc_heap_initial_size", &engine.get_gc_heap_initial_size());
    line(
        "relaxed_simd_deterministic",
        &engine.get_relaxed_simd_deterministic(),
    );
    line("compiler_inlining", &engine.get_compiler_inlining());
    line("debug_info", &engine.get_debug_info());
    line("debug_symbols", &engine.get_debug_symbols());
    line("guest_debug", &engine.get_guest_debug());
    text
}

/// Lets a `Hash` implementation write into a sha256, which unlike std's hashers means the same
/// bytes in every build.
struct Sha256Hasher(Sha256);

impl Hasher for Sha256Hasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Never asked for: the digest is taken from the field.
    fn finish(&self) -> u64 {
        0
    }
}
