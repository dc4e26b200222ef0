//! Builds the `Config`. Every setting that an artifact depends on is set here explicitly, even
//! where it repeats wasmtime's default: several defaults follow cargo features, and cargo turns
//! on more of them in one program than in another.

use std::sync::Arc;

use crate::stacks::Creator;
use wasmtime::{Config, Engine, WasmBacktraceDetails, WasmFeatures};

/// Native stack that Wasm code of one call may use, in bytes.
///
/// 512 KiB is what the `wasmtime` command grants, so that a program tried there does not overflow
/// here. Only touched pages become resident; a deep recursion therefore costs its Ente at most
/// this much on top of its memory cap.
pub const WASM_STACK_BYTES: usize = 512 << 10;

/// The whole stack of a fibre, in bytes: Wasm's share and as much again for the host functions
/// that it calls, which run on the same stack. A host function that overflows its share ends the
/// process, so the share is generous; it is address space, not memory.
pub const ASYNC_STACK_BYTES: usize = 2 * WASM_STACK_BYTES;

/// The proposals that a component may use: WebAssembly 3.0 without what needs a garbage collector
/// (GC, typed function references, exceptions), without shared memory, and without 64-bit
/// memories, which the canonical ABI of WASI 0.2 cannot address. A list of what is allowed, so
/// that a new release of wasmtime adds nothing by itself.
const FEATURES: WasmFeatures = WasmFeatures::MUTABLE_GLOBAL
    .union(WasmFeatures::SATURATING_FLOAT_TO_INT)
    .union(WasmFeatures::SIGN_EXTENSION)
    .union(WasmFeatures::MULTI_VALUE)
    .union(WasmFeatures::BULK_MEMORY)
    .union(WasmFeatures::REFERENCE_TYPES)
    .union(WasmFeatures::FLOATS)
    .union(WasmFeatures::SIMD)
    .union(WasmFeatures::RELAXED_SIMD)
    .union(WasmFeatures::TAIL_CALL)
    .union(WasmFeatures::EXTENDED_CONST)
    .union(WasmFeatures::MULTI_MEMORY)
    .union(WasmFeatures::COMPONENT_MODEL);

/// The settings of every engine in this tree.
///
/// Calls that suspend run on fibres; wasmtime 48 needs no switch for that. What a caller may still
/// change without losing the artifacts is what never reaches generated code: the instance
/// allocator and its pool.
#[must_use]
pub fn config() -> Config {
    let mut config = Config::new();
    config
        .wasm_features(WasmFeatures::all(), false)
        .wasm_features(FEATURES, true)
        // The async part of the component model is not used, and it makes each call 2-3 times dearer.
        .concurrency_support(false)
        .shared_memory(false)
        // An endless loop ends at its deadline. Epochs cost nothing measurable; fuel costs a
        // counter in every block.
        .epoch_interruption(true)
        .consume_fuel(false)
        .max_wasm_stack(WASM_STACK_BYTES)
        .async_stack_size(ASYNC_STACK_BYTES);
    memory(&mut config);
    diagnostics(&mut config);
    config
}

/// How linear memories lie in the address space.
///
/// 4 GiB reserved for each and a guard area on both sides: a 32-bit address cannot leave it, so
/// loads and stores need no bounds checks, and the page fault becomes the trap.
fn memory(config: &mut Config) {
    config
        .signals_based_traps(true)
        .memory_reservation(4 << 30)
        .memory_guard_size(32 << 20)
        .guard_before_linear_memory(true)
        .memory_may_move(true)
        // The initial contents are mapped copy-on-write: instances of one module share the pages
        // they never write.
        .memory_init_cow(true)
        .table_lazy_init(true);
}

/// What an artifact and a trap say about the source.
///
/// A trap takes no trace: nothing prints one, and taking it is a good part of what a trap costs.
/// The map from native code to Wasm offsets does not stay: it helps only with a debugger at hand,
/// and is a tenth of the artifact. Nothing is read from the environment, which wasmtime would do
/// for `WASMTIME_BACKTRACE_DETAILS`.
fn diagnostics(config: &mut Config) {
    config
        .wasm_backtrace_max_frames(None)
        .wasm_backtrace_details(WasmBacktraceDetails::Disable)
        .generate_address_map(false)
        .debug_info(false)
        .debug_symbols(false);
}

/// An engine with the settings of [`config`], for a program that only loads artifacts. It keeps the
/// stacks of ended components for the next ones.
///
/// # Errors
///
/// wasmtime's own, when the settings contradict the features it was built with or the memory for
/// the engine is not to be had.
pub fn engine() -> wasmtime::Result<Engine> {
    let mut config = config();
    config.with_host_stack(Arc::new(Creator(Arc::default())));
    Engine::new(&config)
}

#[cfg(feature = "compiler")]
pub use compiler::{Cpu, TARGET, compiler_config};

#[cfg(feature = "compiler")]
mod compiler {
    use super::config;
    use wasmtime::{Config, OptLevel};

    /// The target triple that artifacts are compiled for; it is also the host's.
    pub const TARGET: &str = "x86_64-unknown-linux-gnu";

    /// The processor that an artifact may rely on.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub enum Cpu {
        /// x86-64 as first specified (SSE2): runs on any CPU model, real or emulated.
        #[default]
        Baseline,
        /// Every extension of the CPU that compiles. The artifact names them, and wasmtime refuses
        /// to load it where one is missing.
        Native,
    }

    /// The settings of [`config`] with those of code generation added.
    ///
    /// # Errors
    ///
    /// wasmtime's own, when it does not know [`TARGET`].
    pub fn compiler_config(cpu: Cpu) -> wasmtime::Result<Config> {
        let mut config = config();
        config
            .cranelift_opt_level(OptLevel::Speed)
            // Frame pointers are enough for wasmtime's own stack walks; DWARF unwind tables would
            // serve only a native debugger.
            .native_unwind_info(false);
        if cpu == Cpu::Baseline {
            // Naming a target, even the host's own, is what turns off the detection of CPU features.
            config.target(TARGET)?;
        }
        Ok(config)
    }
}
