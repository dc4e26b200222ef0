//! The targets. A new one is a function in a file here, a line in [`ALL`], and a program for libFuzzer.

mod bus_frames;
mod bus_server;
mod card;
mod component;
mod notify;
mod store_index;
mod typed_values;
mod worker_wire;

/// Something that reads bytes from strangers.
#[derive(Debug)]
pub struct Target {
    /// Its name, also that of the folder with its corpus.
    pub name: &'static str,
    /// What it reads.
    pub about: &'static str,
    /// Takes any bytes; panics when what they did is wrong.
    pub check: fn(&[u8]),
    /// Inputs to begin with that follow from the types of this tree.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Folders with further inputs, seen from the root of the tree.
    pub also: &'static [&'static str],
    /// The longest input, in bytes; longer files of others are left out.
    pub longest: usize,
    /// Changed inputs in `./dev test`: together they take some seconds.
    pub runs: u64,
}

/// The shortest body that begins like this, goes on with zeroes, and is known: of most kinds of frames there is one.
fn zeros(head: Vec<u8>, known: impl Fn(&[u8]) -> bool) -> Option<Vec<u8>> {
    let mut body = head;
    for _ in 0..256 {
        if known(&body) {
            return Some(body);
        }
        body.push(0);
    }
    None
}

fn none() -> Vec<Vec<u8>> {
    Vec::new()
}

/// Whatever is longer is more of the same.
const USUAL: usize = 64 << 10;

const VALID: &str = "host/card/tests/corpus/valid";
const INVALID: &str = "host/card/tests/corpus/invalid";

/// All targets.
pub const ALL: &[Target] = &[
    Target {
        name: "card_json",
        about: "Cards as JSON: parsed, held to the rules, judged, written and read again",
        check: card::json,
        seeds: none,
        also: &[VALID, INVALID, "seeds"],
        longest: USUAL,
        runs: 6_000,
    },
    Target {
        name: "card_toml",
        about: "Cards as TOML: the same",
        check: card::toml,
        seeds: card::in_toml,
        also: &[],
        longest: USUAL,
        runs: 6_000,
    },
    Target {
        name: "bus_frames",
        about: "frames of the bus, in both directions: a stream of bytes, however it is cut",
        check: bus_frames::check,
        seeds: bus_frames::seeds,
        also: &[],
        longest: USUAL,
        runs: 200_000,
    },
    Target {
        name: "bus_server",
        about: "the server of the bus with lives and calls behind it: clients that do whatever the input says",
        check: bus_server::check,
        seeds: bus_server::seeds,
        also: &[],
        longest: USUAL,
        runs: 3_000,
    },
    Target {
        name: "worker_wire",
        about: "what a worker says to PID 1, and PID 1 to a worker: a stream of bytes, however it is cut",
        check: worker_wire::check,
        seeds: worker_wire::seeds,
        also: &[],
        longest: USUAL,
        runs: 200_000,
    },
    Target {
        name: "typed_values",
        about: "values of typed calls, which a worker sends: bytes by the types of a function",
        check: typed_values::check,
        seeds: typed_values::seeds,
        also: &[],
        longest: USUAL,
        runs: 100_000,
    },
    Target {
        name: "component",
        about: "components as `ente verify` and the builder read them: imports, exports, entries, grants",
        check: component::check,
        seeds: none,
        also: &["target/guests/components"],
        longest: 512 << 10,
        runs: 3_000,
    },
    Target {
        name: "store_index",
        about: "the index of the store: which artifact may be loaded for which module",
        check: store_index::check,
        seeds: store_index::seeds,
        also: &[],
        longest: USUAL,
        runs: 20_000,
    },
    Target {
        name: "notify",
        about: "datagrams of sd_notify(3)",
        check: notify::check,
        seeds: notify::seeds,
        also: &[],
        longest: USUAL,
        runs: 200_000,
    },
];

/// The target with this name.
#[must_use]
pub fn named(name: &str) -> Option<&'static Target> {
    ALL.iter().find(|target| target.name == name)
}
