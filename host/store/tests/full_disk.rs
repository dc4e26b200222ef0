//! A file system of 128 KiB runs full while the store writes to it. It is a tmpfs in a mount
//! namespace of this process, so it needs either root or user namespaces, and goes with the
//! process.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::process::ExitCode;

use arje_store::{Sha256, Store, StoreError};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

/// More than the folder, the index and some modules take; less than `BIG`.
const DISK: &str = "size=128k,mode=0755";
/// An artifact or a module that does not fit.
const BIG: usize = 256 << 10;

fn main() -> ExitCode {
    let folder = tempfile::tempdir().unwrap();
    small_disk(folder.path());
    nothing_half_written_is_left(folder.path());
    the_index_survives_being_full(folder.path());
    println!("full_disk: all as expected");
    ExitCode::SUCCESS
}

/// Mounts the small file system over the folder, for this process only.
fn small_disk(folder: &Path) {
    let (user, group) = (nix::unistd::geteuid(), nix::unistd::getegid());
    if user.is_root() {
        unshare(CloneFlags::CLONE_NEWNS).unwrap();
    } else {
        unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWUSER)
            .expect("without root, this test needs user namespaces");
        // user_namespaces(7): a file's owner must have a number inside, too.
        fs::write("/proc/self/setgroups", "deny").unwrap();
        fs::write("/proc/self/uid_map", format!("0 {user} 1")).unwrap();
        fs::write("/proc/self/gid_map", format!("0 {group} 1")).unwrap();
    }
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(None::<&str>, "/", None::<&str>, private, None::<&str>).unwrap();
    mount(
        Some("tmpfs"),
        folder,
        Some("tmpfs"),
        MsFlags::empty(),
        Some(DISK),
    )
    .unwrap();
}

fn engine() -> Sha256 {
    Sha256::of(b"engine")
}

/// The names of all files in a folder.
fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn assert_full<T: std::fmt::Debug>(result: Result<T, StoreError>) {
    match result {
        Err(StoreError::Io {
            action,
            path,
            source,
        }) => {
            assert_eq!(
                source.kind(),
                ErrorKind::StorageFull,
                "{action} {}",
                path.display()
            );
        }
        other => panic!("expected a full disk, got {other:?}"),
    }
}

fn nothing_half_written_is_left(root: &Path) {
    let store = Store::create(root).unwrap();
    let small = store.put_module(b"small").unwrap();
    store
        .put_artifact(small, engine(), b"artifact".to_vec())
        .unwrap();
    let (cas, aot) = (names(&root.join("cas")), names(&root.join("aot")));
    let index = fs::read(store.index_path()).unwrap();

    assert_full(store.put_module(&vec![1; BIG]));
    assert_full(store.put_artifact(small, engine(), vec![1; BIG]));

    assert_eq!(names(&root.join("cas")), cas);
    assert_eq!(names(&root.join("aot")), aot);
    assert_eq!(fs::read(store.index_path()).unwrap(), index);
    // There is room again for what fits.
    store.put_module(b"another").unwrap();
    assert_eq!(
        store.artifact(small, engine()).unwrap().bytes(),
        b"artifact"
    );
}

/// Fills the disk record by record, so that sooner or later it is the index that does not fit.
fn the_index_survives_being_full(root: &Path) {
    let store = Store::open(root).unwrap();
    let mut stored = Vec::new();
    let error = loop {
        let number: u32 = stored.len().try_into().unwrap();
        let result = store
            .put_module(&number.to_le_bytes())
            .and_then(|pin| store.put_artifact(pin, engine(), number.to_be_bytes().to_vec()));
        match result {
            Ok(artifact) => stored.push(artifact.record().module),
            Err(error) => break error,
        }
    };
    assert_full::<()>(Err(error));
    assert!(stored.len() > 3, "only {} fitted", stored.len());
    let index = store.index().unwrap();
    assert_eq!(index.damaged(), []);
    for pin in &stored {
        store.artifact(*pin, engine()).unwrap();
    }
    assert!(!names(&root.join("cas")).contains(&".unfinished".to_owned()));
    assert!(!names(&root.join("aot")).contains(&".unfinished".to_owned()));
}
