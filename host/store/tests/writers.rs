//! Several processes with several threads write to one store; nothing is lost, and every reader
//! meanwhile sees a whole index.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Child, Command, ExitCode};
use std::thread;

use arje_store::{Index, Record, Sha256, Store};

const PROCESSES: u32 = 4;
const THREADS: u32 = 3;
/// Modules that each thread puts in.
const MODULES: u32 = 8;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.as_slice() {
        [_, mode, root, number] if mode == "writer" => {
            write(Path::new(root), number.parse().unwrap());
        }
        _ => orchestrate(),
    }
    ExitCode::SUCCESS
}

fn engine() -> Sha256 {
    Sha256::of(b"engine")
}

/// The module of that number, its artifact, and their record.
fn module(number: u32) -> (Vec<u8>, Vec<u8>, Record) {
    let wasm = format!("module {number}").into_bytes();
    let artifact = format!("artifact {number}").repeat(1000).into_bytes();
    let record = Record {
        module: Sha256::of(&wasm),
        artifact: Sha256::of(&artifact),
        engine: engine(),
        bytes: artifact.len() as u64,
    };
    (wasm, artifact, record)
}

/// One process: its threads share a store, its neighbours have their own.
fn write(root: &Path, process: u32) {
    let store = Store::open(root).unwrap();
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let store = &store;
            scope.spawn(move || {
                let first = (process * THREADS + thread) * MODULES;
                // The last of each is also the first of the next: two writers of one file.
                for number in first..=first + MODULES {
                    let (wasm, artifact, record) = module(number);
                    let pin = store.put_module(&wasm).unwrap();
                    store.put_artifact(pin, engine(), artifact).unwrap();
                    store.artifact(record.module, engine()).unwrap();
                }
            });
        }
    });
}

fn orchestrate() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::create(folder.path()).unwrap();
    let mut writers: Vec<Child> = (0..PROCESSES)
        .map(|number| {
            Command::new(std::env::current_exe().unwrap())
                .args(["writer".as_ref(), folder.path().as_os_str()])
                .arg(number.to_string())
                .spawn()
                .unwrap()
        })
        .collect();

    let mut seen = BTreeSet::new();
    let mut reads = 0;
    while writers
        .iter_mut()
        .any(|writer| writer.try_wait().unwrap().is_none())
    {
        let index = store.index().unwrap();
        assert_eq!(index.damaged(), [], "a reader saw a torn index");
        for record in index.records() {
            if seen.insert(record.module) {
                store.artifact(record.module, engine()).unwrap();
            }
        }
        assert_eq!(index.len(), seen.len(), "a record vanished");
        reads += 1;
    }
    for mut writer in writers {
        assert!(writer.wait().unwrap().success());
    }

    let mut expected = Index::default();
    for number in 0..=PROCESSES * THREADS * MODULES {
        let (wasm, artifact, record) = module(number);
        expected.insert(record);
        assert_eq!(store.get_module(record.module).unwrap(), wasm);
        assert_eq!(
            store.artifact(record.module, engine()).unwrap().bytes(),
            artifact
        );
    }
    assert_eq!(*store.index().unwrap(), expected);
    println!(
        "writers: {} records by {PROCESSES} processes, {reads} reads meanwhile",
        expected.len()
    );
}
