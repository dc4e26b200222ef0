//! The store as its users see it: what goes in comes out, and what was changed is refused.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use arje_store::{
    Index, Kind, MAX_MODULE_BYTES, Mismatch, NotIndexed, RECORD_BYTES, Sha256, Store, StoreError,
};
use tempfile::TempDir;

fn store() -> (TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::create(folder.path()).unwrap();
    (folder, store)
}

fn engine() -> Sha256 {
    Sha256::of(b"engine")
}

/// Puts in a module of that name and an artifact for it; returns the pin.
fn fill(store: &Store, name: &str) -> Sha256 {
    let pin = store
        .put_module(format!("module {name}").as_bytes())
        .unwrap();
    let artifact = format!("artifact {name}").into_bytes();
    store.put_artifact(pin, engine(), artifact).unwrap();
    pin
}

/// Flips one bit of a file, by writing into it as a broken disk would.
fn flip(path: &Path, bit: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[bit / 8] ^= 1 << (bit % 8);
    fs::write(path, bytes).unwrap();
}

/// Every file below a folder, with its contents.
fn contents(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    for part in ["cas", "aot"] {
        for entry in fs::read_dir(folder.join(part)).unwrap() {
            let path = entry.unwrap().path();
            let name = path
                .strip_prefix(folder)
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned();
            files.push((name, fs::read(path).unwrap()));
        }
    }
    files.sort();
    files
}

#[test]
fn what_goes_in_comes_out() {
    let (folder, store) = store();
    let pin = fill(&store, "a");
    assert_eq!(pin, Sha256::of(b"module a"));
    assert_eq!(store.get_module(pin).unwrap(), b"module a");
    let artifact = store.artifact(pin, engine()).unwrap();
    assert_eq!(artifact.bytes(), b"artifact a");
    assert_eq!(artifact.record().artifact, Sha256::of(b"artifact a"));
    // Also for somebody who opens it later.
    let later = Store::open(folder.path()).unwrap();
    assert_eq!(
        later.artifact(pin, engine()).unwrap().bytes(),
        b"artifact a"
    );
}

#[test]
fn the_layout_is_the_documented_one() {
    let (folder, store) = store();
    let pin = fill(&store, "a");
    let names: Vec<_> = contents(folder.path())
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    let expected = [
        format!("aot/{}", Sha256::of(b"artifact a")),
        "aot/index".to_owned(),
        "aot/index.lock".to_owned(),
        format!("cas/{pin}"),
    ];
    assert_eq!(names, expected);
    for name in names {
        let mode = fs::metadata(folder.path().join(&name))
            .unwrap()
            .permissions()
            .mode()
            & 0o777;
        assert_eq!(mode & 0o022, 0, "{name} has mode {mode:o}");
    }
}

#[test]
fn the_same_contents_make_the_same_files() {
    let (first, a) = store();
    let (second, b) = store();
    let names = ["x", "y", "z", "w"];
    for name in names {
        fill(&a, name);
    }
    for name in names.iter().rev() {
        fill(&b, name);
        fill(&b, name);
    }
    assert_eq!(contents(first.path()), contents(second.path()));
}

#[test]
fn one_store_sees_what_another_wrote() {
    let (folder, reader) = store();
    let writer = Store::open(folder.path()).unwrap();
    for name in ["a", "b", "c"] {
        let pin = fill(&writer, name);
        let expected = format!("artifact {name}");
        assert_eq!(
            reader.artifact(pin, engine()).unwrap().bytes(),
            expected.as_bytes()
        );
    }
}

#[test]
fn a_new_artifact_takes_the_place_of_the_old() {
    let (_folder, store) = store();
    let pin = fill(&store, "a");
    store
        .put_artifact(pin, engine(), b"better".to_vec())
        .unwrap();
    assert_eq!(store.artifact(pin, engine()).unwrap().bytes(), b"better");
    assert_eq!(store.index().unwrap().len(), 1);
}

#[test]
fn a_flipped_bit_in_a_module_or_artifact_is_refused_and_the_rest_runs() {
    let (_folder, store) = store();
    let victim = fill(&store, "victim");
    let neighbour = fill(&store, "neighbour");
    let artifact = store.artifact(victim, engine()).unwrap().record().artifact;
    for (kind, path, name) in [
        (Kind::Module, store.module_path(victim), victim),
        (Kind::Artifact, store.artifact_path(artifact), artifact),
    ] {
        let size = fs::metadata(&path).unwrap().len();
        for bit in 0..usize::try_from(size).unwrap() * 8 {
            flip(&path, bit);
            let found = Sha256::of(&fs::read(&path).unwrap());
            let error = store.artifact(victim, engine()).unwrap_err();
            let text = error.to_string();
            let StoreError::Mismatch(mismatch) = error else {
                panic!("bit {bit} of the {kind}: {text}");
            };
            let expected = Mismatch {
                kind,
                path: path.clone(),
                expected: name,
                expected_bytes: (kind == Kind::Artifact).then_some(size),
                found,
                found_bytes: size,
            };
            assert_eq!(*mismatch, expected);
            for part in [
                name.to_string(),
                found.to_string(),
                path.display().to_string(),
            ] {
                assert!(text.contains(&part), "{part} is not in {text}");
            }
            store.artifact(neighbour, engine()).unwrap();
            flip(&path, bit);
        }
    }
    store.artifact(victim, engine()).unwrap();
}

#[test]
fn a_flipped_bit_in_the_index_costs_one_record() {
    let (_folder, store) = store();
    let pins: Vec<_> = ["a", "b", "c"]
        .iter()
        .map(|name| fill(&store, name))
        .collect();
    let path = store.index_path();
    let size = usize::try_from(fs::metadata(&path).unwrap().len()).unwrap();
    // One bit in every byte; the index's own tests flip all of them.
    for byte in 0..size {
        let bit = byte * 8 + byte % 8;
        flip(&path, bit);
        let refused: Vec<_> = pins
            .iter()
            .filter_map(|pin| store.artifact(*pin, engine()).err())
            .collect();
        let [StoreError::NotIndexed(missing)] = refused.as_slice() else {
            panic!("byte {byte}: {refused:?}");
        };
        let [damaged] = missing.damaged.as_slice() else {
            panic!("byte {byte}: {missing:?}");
        };
        assert_eq!(damaged.number, byte / RECORD_BYTES + 1);
        assert!(missing.to_string().contains("expected"), "{missing}");
        assert!(missing.to_string().contains("found"), "{missing}");
        flip(&path, bit);
    }
}

#[test]
fn torn_files_are_refused() {
    let (_folder, store) = store();
    let victim = fill(&store, "victim");
    let neighbour = fill(&store, "neighbour");
    let artifact = store.artifact(victim, engine()).unwrap().record().artifact;
    for path in [store.module_path(victim), store.artifact_path(artifact)] {
        let whole = fs::read(&path).unwrap();
        for length in 0..whole.len() {
            fs::write(&path, &whole[..length]).unwrap();
            let error = store.artifact(victim, engine()).unwrap_err();
            let StoreError::Mismatch(mismatch) = error else {
                panic!("{length} bytes: {error}");
            };
            assert_eq!(mismatch.found_bytes, length as u64);
            store.artifact(neighbour, engine()).unwrap();
        }
        fs::write(&path, whole).unwrap();
    }

    let index = fs::read(store.index_path()).unwrap();
    fs::write(store.index_path(), &index[..RECORD_BYTES + 100]).unwrap();
    let refused: Vec<_> = [victim, neighbour]
        .iter()
        .filter_map(|pin| store.artifact(*pin, engine()).err())
        .map(|error| error.to_string())
        .collect();
    assert_eq!(refused.len(), 1);
    assert!(
        refused[0].contains("record 2: torn: expected 276 bytes, found 100"),
        "{refused:?}"
    );
}

#[test]
fn a_damaged_record_is_healed_by_compiling_again() {
    let (_folder, store) = store();
    let victim = fill(&store, "victim");
    let neighbour = fill(&store, "neighbour");
    let healthy = fs::read(store.index_path()).unwrap();
    flip(&store.index_path(), 1000);
    flip(&store.index_path(), RECORD_BYTES * 8 + 1000);
    assert!(store.artifact(victim, engine()).is_err());
    fill(&store, "victim");
    fill(&store, "neighbour");
    assert!(store.artifact(neighbour, engine()).is_ok());
    assert_eq!(fs::read(store.index_path()).unwrap(), healthy);
}

#[test]
fn what_is_missing_is_named() {
    let (folder, store) = store();
    let pin = fill(&store, "a");
    let unknown = Sha256::of(b"unknown");

    let error = store.get_module(unknown).unwrap_err();
    assert!(matches!(error, StoreError::NoModule { module, .. } if module == unknown));

    let other = Sha256::of(b"another engine");
    let error = store.artifact(pin, other).unwrap_err();
    assert!(error.to_string().contains(&engine().to_string()), "{error}");
    let expected = NotIndexed {
        module: pin,
        engine: other,
        others: vec![engine()],
        index: store.index_path(),
        damaged: Vec::new(),
    };
    assert!(matches!(error, StoreError::NotIndexed(missing) if *missing == expected));

    let artifact = store.artifact(pin, engine()).unwrap().record().artifact;
    fs::remove_file(store.artifact_path(artifact)).unwrap();
    let error = store.artifact(pin, engine()).unwrap_err();
    assert!(matches!(error, StoreError::NoArtifact { module, .. } if module == pin));

    fs::remove_file(store.index_path()).unwrap();
    let error = store.artifact(pin, engine()).unwrap_err();
    assert!(matches!(error, StoreError::NotIndexed(_)));

    let error = Store::open(folder.path().join("nowhere")).unwrap_err();
    assert!(error.to_string().starts_with("open store "), "{error}");
}

#[test]
fn an_artifact_loads_without_its_module() {
    let (_folder, store) = store();
    let pin = fill(&store, "a");
    fs::remove_file(store.module_path(pin)).unwrap();
    assert_eq!(
        store.artifact(pin, engine()).unwrap().bytes(),
        b"artifact a"
    );
}

#[test]
fn a_damaged_module_is_not_replaced_until_it_is_removed() {
    let (_folder, store) = store();
    let pin = fill(&store, "a");
    flip(&store.module_path(pin), 3);
    assert!(store.get_module(pin).is_err());
    let error = store.put_module(b"module a").unwrap_err();
    assert!(matches!(error, StoreError::Mismatch(_)), "{error}");
    fs::remove_file(store.module_path(pin)).unwrap();
    store.put_module(b"module a").unwrap();
    assert_eq!(store.get_module(pin).unwrap(), b"module a");
}

#[test]
fn an_index_that_others_can_write_is_refused() {
    let (_folder, store) = store();
    let pin = fill(&store, "a");
    for (mode, trusted) in [
        (0o644, true),
        (0o600, true),
        (0o664, false),
        (0o646, false),
        (0o666, false),
        (0o444, true),
    ] {
        fs::set_permissions(store.index_path(), Permissions::from_mode(mode)).unwrap();
        match (store.artifact(pin, engine()), trusted) {
            (Ok(_), true) => {}
            (Err(StoreError::UntrustedIndex { mode: found, .. }), false) => assert_eq!(found, mode),
            (other, _) => panic!("{mode:o}: {other:?}"),
        }
        // A writer must not adopt it either.
        let put = store.put_artifact(pin, engine(), b"artifact a".to_vec());
        assert_eq!(put.is_ok(), trusted, "{mode:o}");
    }
}

/// Only root can give a file away; for anybody else the owner is their own, and trusted.
#[test]
fn an_index_of_somebody_else_is_refused() {
    let (_folder, store) = store();
    let pin = fill(&store, "a");
    let given = std::os::unix::fs::chown(store.index_path(), Some(54_321), None);
    if nix::unistd::geteuid().is_root() {
        given.unwrap();
        let error = store.artifact(pin, engine()).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("owner 54321, mode 0644; expected owner 0"),
            "{error}"
        );
    } else {
        given.unwrap_err();
        store.artifact(pin, engine()).unwrap();
    }
}

#[test]
fn only_regular_files_are_read() {
    let (folder, store) = store();
    let pin = fill(&store, "a");
    let elsewhere = folder.path().join("elsewhere");
    let artifact = store.artifact(pin, engine()).unwrap().record().artifact;
    for path in [
        store.module_path(pin),
        store.artifact_path(artifact),
        store.index_path(),
    ] {
        fs::rename(&path, &elsewhere).unwrap();
        symlink(&elsewhere, &path).unwrap();
        assert!(matches!(
            store.artifact(pin, engine()),
            Err(StoreError::NotAFile { .. })
        ));
        fs::remove_file(&path).unwrap();
        // A pipe without a writer: a reader that waited for one would hang here.
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(matches!(
            store.artifact(pin, engine()),
            Err(StoreError::NotAFile { .. })
        ));
        fs::remove_file(&path).unwrap();
        fs::rename(&elsewhere, &path).unwrap();
    }
    store.artifact(pin, engine()).unwrap();
}

#[test]
fn a_file_that_is_too_large_is_not_read() {
    let (_folder, store) = store();
    let pin = fill(&store, "a");
    // Sparse: it takes no space.
    let file = fs::File::options()
        .write(true)
        .open(store.module_path(pin))
        .unwrap();
    file.set_len(MAX_MODULE_BYTES + 1).unwrap();
    let error = store.artifact(pin, engine()).unwrap_err();
    assert!(matches!(error, StoreError::TooLarge { limit, .. } if limit == MAX_MODULE_BYTES));

    let huge = vec![0; usize::try_from(MAX_MODULE_BYTES).unwrap() + 1];
    assert!(matches!(
        store.put_module(&huge),
        Err(StoreError::TooLarge { .. })
    ));
}

#[test]
fn a_file_left_behind_by_a_dead_writer_is_in_nobodys_way() {
    let (folder, store) = store();
    for part in ["cas", "aot"] {
        fs::write(folder.path().join(part).join(".unfinished"), b"half").unwrap();
    }
    let pin = fill(&store, "a");
    store.artifact(pin, engine()).unwrap();
    let left: Vec<_> = contents(folder.path())
        .into_iter()
        .filter(|(name, _)| name.contains("unfinished"))
        .collect();
    assert_eq!(left, []);
}

#[test]
fn an_empty_store_has_an_empty_index() {
    let (_folder, store) = store();
    assert_eq!(*store.index().unwrap(), Index::default());
}
