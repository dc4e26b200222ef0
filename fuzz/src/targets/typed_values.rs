//! Values of typed calls as a worker sends them: bytes that mean something by the types of a function alone.

use super::zeros;
use arje_store::compiler::Compiler;
use arje_wasm::fuzzing::{Parameters, Refused};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// What becomes of the bytes takes no more memory than this, as docs/worker.md has it, and what is needed beside it.
const MOST: usize = (32 << 20) + (64 << 10);

/// A component with functions of types of every kind that the engine takes, but for those that cannot cross.
const COMPONENT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/typed_values.wasm"));

static FUNCTIONS: LazyLock<Vec<Parameters>> = LazyLock::new(|| {
    let engine = arje_engine::engine().expect("an engine");
    let fingerprint = arje_engine::fingerprint(&engine).into();
    let program = ente_compile();
    let artifact = Compiler::new(&program).compile(COMPONENT, fingerprint);
    let artifact = artifact.unwrap_or_else(|error| panic!("{}: {error}", program.display()));
    // SAFETY: it was compiled just now.
    unsafe { Parameters::of_imports(&artifact) }.expect("an artifact for this engine")
});

/// As the tests find it: types are those of a compiled component.
fn ente_compile() -> PathBuf {
    let built = "../target/compile/x86_64-unknown-linux-gnu/release/ente-compile";
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join(built);
    std::env::var_os("ARJE_ENTE_COMPILE").map_or(built, PathBuf::from)
}

/// Bytes of values. The first one says of which function.
pub fn check(input: &[u8]) {
    let Some((function, bytes)) = input.split_first() else {
        return;
    };
    let function = &FUNCTIONS[usize::from(*function) % FUNCTIONS.len()];
    crate::drive::count(1);
    // Looked at, nothing is made of them.
    let checked = crate::within(4096, || function.check(bytes));
    // A byte can be a value with a name, and the longest has 500; beside that there are the bytes themselves, twice.
    let memory = MOST.min(4096 + 1024 * bytes.len());
    let again = crate::within(memory + 4 * bytes.len(), || function.again(bytes));
    match (checked, again) {
        (Ok(()), Ok(again)) => assert_eq!(again, bytes, "{}", function.name()),
        // There are no types here of which more steps are needed to write values than to read them.
        (Err(refused), Err(again)) => assert_eq!(again, refused, "{}", function.name()),
        (checked, again) => panic!("{}: {checked:?}, {again:?}", function.name()),
    }
    assert!(checked != Err(Refused::TooLarge) || bytes.len() > MOST / 1024);
}

/// Values of each function, as far as they follow from how many there are, or which one it is, and zeroes.
pub fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for (number, function) in FUNCTIONS.iter().enumerate() {
        seeds.push(vec![number as u8]);
        for first in 0..4_u8 {
            for second in 0..4_u8 {
                for head in [vec![first], vec![first, 0, 0, 0, second]] {
                    let known = |bytes: &[u8]| function.check(bytes).is_ok();
                    let found = zeros(head, known);
                    seeds.extend(found.map(|bytes| [&[number as u8][..], &bytes].concat()));
                }
            }
        }
    }
    seeds.sort();
    seeds.dedup();
    seeds
}
