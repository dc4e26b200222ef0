//! Whole images from small seeds: with scripts in the place of the helpers, and a compiler that only
//! hashes. What is tested is what goes in, what is refused, and that bytes repeat.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests say what they expect"
)]

#[path = "../common/archive.rs"]
mod archive;
mod faults;
mod refusals;
mod workshop;

use std::path::PathBuf;

use archive::Read;
use arje_store::Store;
use initrd_builder::{Program, build};
use serde_json::{Value, json};
use workshop::*;

#[test]
fn the_layout() {
    let workshop = Workshop::new();
    let seed = seed(vec![
        native(1, "shell", "/bin/sh"),
        wasm(2, "one", &hello()),
        wasm(3, "two", &hello()),
    ]);
    let mut options = workshop.options(&seed);
    options.environment = vec![("RUST_LOG".to_owned(), "debug".to_owned())];
    let (summary, entries) = workshop.build(&options).unwrap();

    for (path, mode) in [
        ("init", 0o100_755),
        ("sbin/ente-zero", 0o100_755),
        ("usr/lib/ente/ente-spawn", 0o100_755),
        ("usr/lib/ente/ente-worker", 0o120_777),
        ("usr/bin/ente", 0o100_755),
        ("ente/seed.card.json", 0o100_644),
        ("ente/fragments", 0o040_755),
        ("bin/busybox", 0o100_755),
        ("bin/sh", 0o120_777),
        ("dev/console", 0o020_600),
        ("dev/null", 0o020_666),
        ("proc", 0o040_555),
        ("sys/fs/cgroup", 0o040_755),
        ("run", 0o040_755),
        ("tmp", 0o041_777),
        ("etc/initrd-release", 0o100_644),
    ] {
        let entry = entries.iter().find(|entry| entry.name == path);
        assert_eq!(entry.map(|entry| entry.mode), Some(mode), "{path}");
    }
    assert!(
        !has(&entries, "usr/lib/ente/ente-compile"),
        "only when asked for"
    );
    assert_eq!(
        data(&entries, "init"),
        b"#!/bin/sh\nexport RUST_LOG='debug'\nexec /sbin/ente-zero \"$@\"\n"
    );
    assert!(data(&entries, "etc/initrd-release").starts_with(b"NAME=\"arje\"\nID=arje\n"));

    let packed: Value = serde_json::from_slice(data(&entries, "ente/seed.card.json")).unwrap();
    assert_eq!(packed["genesis"].as_array().unwrap().len(), 3);
    let modules: Vec<&Read> = entries
        .iter()
        .filter(|e| e.name.starts_with("ente/cas/"))
        .collect();
    assert_eq!(
        modules.len(),
        1,
        "one module, though two Cards pin it, and none that nobody pins"
    );
    assert_eq!(modules[0].name, format!("ente/cas/{}", hello()));

    let text = summary.to_string();
    for part in [
        "arje: ",
        &format!("modules: 1 entries, {} bytes", hello_wasm().len()),
        &summary.sha256,
        "packed",
        "/ente/aot/index",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[test]
fn components_beside_the_seed_are_found_last() {
    let workshop = Workshop::new();
    let mut options = workshop.options(&seed(vec![wasm(1, "one", &hello())]));
    options.components.clear();
    workshop.build(&options).unwrap();
    // A folder that is named comes first: by name it wins, and the pin is found beside the seed.
    workshop.put("other/hello.wasm", b"another hello");
    options.components = vec![workshop.path("other")];
    workshop.build(&options).unwrap();
}

#[test]
fn the_store_in_the_image_is_one_that_the_store_reads() {
    let workshop = Workshop::new();
    let options = workshop.options(&seed(vec![wasm(1, "one", &hello())]));
    let (_, entries) = workshop.build(&options).unwrap();
    let root = workshop.path("unpacked");
    for entry in entries
        .iter()
        .filter(|e| e.name.starts_with("ente/") && e.mode >> 12 == 0o10)
    {
        workshop.put(&format!("unpacked/{}", entry.name), &entry.data);
    }
    let store = Store::open(root.join("ente")).unwrap();
    let artifact = store
        .artifact(hello().parse().unwrap(), ENGINE.parse().unwrap())
        .unwrap();
    let compiled = [b"compiled ".as_slice(), &hello_wasm()].concat();
    assert_eq!(artifact.bytes(), compiled);
}

#[test]
fn the_same_bytes_from_two_folders() {
    let images: Vec<(String, String)> = (0..2)
        .map(|_| {
            let workshop = Workshop::new();
            let seed = seed(vec![
                native(1, "shell", "/bin/sh"),
                wasm(2, "one", &hello()),
            ]);
            let mut options = workshop.options(&seed);
            options.programs = vec!["/usr/bin/ls=/bin/ls".parse().unwrap()];
            options.mtime = 1_700_000_000;
            let (zstd, entries) = workshop.build(&options).unwrap();
            assert!(entries.iter().all(|entry| entry.mtime == 1_700_000_000));
            options.compression = initrd_builder::compress::Compression::Gzip;
            let gzip = build(&options, &workshop.path("image.gz")).unwrap();
            assert!(std::fs::read_dir(workshop.0.path()).unwrap().all(|entry| {
                !entry
                    .unwrap()
                    .file_name()
                    .to_string_lossy()
                    .ends_with(".tmp")
            }));
            (zstd.sha256, gzip.sha256)
        })
        .collect();
    assert_eq!(images[0], images[1]);
    assert_ne!(images[0].0, images[0].1);
}

#[test]
fn programs_come_with_their_libraries() {
    let workshop = Workshop::new();
    workshop.script("tool.sh", "#!/bin/sh\n");
    let seed = seed(vec![
        native(1, "ls", "/opt/ls"),
        native(2, "tool", "/opt/tool"),
    ]);
    let mut options = workshop.options(&seed);
    let program = |dest: &str, source: PathBuf| Program {
        dest: dest.to_owned(),
        source,
    };
    options.programs = vec![
        program("/opt/ls", PathBuf::from("/bin/ls")),
        program("/opt/tool", workshop.path("tool.sh")),
    ];
    let (_, entries) = workshop.build(&options).unwrap();
    assert_eq!(data(&entries, "opt/ls"), std::fs::read("/bin/ls").unwrap());
    let libc = entries
        .iter()
        .any(|entry| entry.name.ends_with("/libc.so.6"));
    let loader = entries.iter().any(|entry| entry.name.contains("/ld-linux"));
    assert!(libc && loader);
}

#[test]
fn without_a_wrapper_init_is_a_link() {
    let workshop = Workshop::new();
    let mut options = workshop.options(&seed(vec![native(1, "shell", "/bin/sh")]));
    options.wrapper = false;
    options.with_compiler = true;
    let (_, entries) = workshop.build(&options).unwrap();
    assert_eq!(data(&entries, "init"), b"/sbin/ente-zero");
    assert_eq!(
        data(&entries, "usr/lib/ente/ente-compile"),
        COMPILER.as_bytes()
    );
}

#[test]
fn names_are_pinned_and_locked_pins_stay() {
    let workshop = Workshop::new();
    let stale = "33".repeat(32);
    let named = |pin: &str| with(wasm(1, "one", pin), "module", json!("hello"));
    let mut options = workshop.options(&seed(vec![named(&stale)]));
    let (summary, entries) = workshop.build(&options).unwrap();
    let packed: Value = serde_json::from_slice(data(&entries, "ente/seed.card.json")).unwrap();
    assert_eq!(
        packed["genesis"][0]["payload"]["Wasm"]["module_sha256"],
        json!(hello())
    );
    assert!(summary.to_string().contains(&stale), "the change is told");

    options.locked = true;
    std::fs::remove_file(workshop.path("image.zst")).unwrap();
    let pinned = hello();
    assert_eq!(
        workshop.refused(&options),
        [
            "nothing was built: 1 error in the Cards".to_owned(),
            format!(
                "seed.card.json: error: $.genesis[0].payload.Wasm.module_sha256 (Card \"one\"): --locked: found the pin \
                 {stale}; expected {pinned}, the sha256 of hello.wasm; run `ente pin` on the seed or build the pinned \
                 component"
            ),
        ]
    );
    let mut options = workshop.options(&seed(vec![named(&hello())]));
    options.locked = true;
    workshop.build(&options).unwrap();
}

#[test]
fn session_fragments_are_packed_and_checked() {
    let workshop = Workshop::new();
    let mut options = workshop.options(&seed(vec![native(1, "shell", "/bin/sh")]));
    options.fragments = Some(workshop.path("fragments"));
    let fragment = with(
        card(7, "kiosk", json!("Virtual")),
        "genesis",
        json!([wasm(8, "k", &hello())]),
    );
    workshop.put(
        "fragments/session-kiosk.card.json",
        fragment.to_string().as_bytes(),
    );
    workshop.put("fragments/notes.txt", b"not a fragment");
    let (summary, entries) = workshop.build(&options).unwrap();
    assert!(has(&entries, "ente/fragments/session-kiosk.card.json"));
    let packed = summary.fragments.iter();
    let packed: Vec<(&str, usize)> = packed
        .map(|(name, card)| (name.as_str(), card.walk().count()))
        .collect();
    assert_eq!(packed, [("kiosk", 2)]);
    assert!(
        has(&entries, &format!("ente/cas/{}", hello())),
        "its modules come along"
    );
    assert!(!has(&entries, "ente/fragments/notes.txt"));

    let broken = with(
        card(7, "kiosk", json!("Virtual")),
        "genesis",
        json!([native(8, "k", "/no")]),
    );
    workshop.put(
        "fragments/session-kiosk.card.json",
        broken.to_string().as_bytes(),
    );
    std::fs::remove_file(workshop.path("image.zst")).unwrap();
    assert_eq!(
        workshop.refused(&options)[1],
        "fragments/session-kiosk.card.json: error: $.genesis[0].payload.Native.exec (Card \"k\"): exec /no is not in the \
         image; add it with --bin /no=FILE"
    );
}

#[test]
fn kernel_modules_come_with_a_card_that_loads_them() {
    let workshop = Workshop::new();
    workshop.put("modules/9.9.9/kernel/a.ko", b"a");
    workshop.put("modules/9.9.9/kernel/b.ko", b"b");
    workshop.put("modules/9.9.9/kernel/unwanted.ko", b"u");
    workshop.put(
        "modules/9.9.9/modules.dep",
        b"kernel/a.ko: kernel/b.ko\nkernel/b.ko:\n",
    );
    workshop.put("modules/9.9.9/modules.softdep", b"");
    workshop.put("modules/9.9.9/modules.builtin", b"kernel/c.ko\n");
    let mut options = workshop.options(&seed(vec![native(1, "shell", "/bin/sh")]));
    options.modules = vec!["a".to_owned(), "c".to_owned()];
    options.modules_dir = Some(workshop.path("modules/9.9.9"));
    let (summary, entries) = workshop.build(&options).unwrap();
    assert_eq!(data(&entries, "lib/modules/9.9.9/kernel/b.ko"), b"b");
    assert_eq!(
        data(&entries, "lib/modules/9.9.9/modules.dep"),
        b"kernel/a.ko: kernel/b.ko\nkernel/b.ko:\n"
    );
    assert!(!has(&entries, "lib/modules/9.9.9/kernel/unwanted.ko"));
    let packed: Value = serde_json::from_slice(data(&entries, "ente/seed.card.json")).unwrap();
    let loader = &packed["genesis"][0];
    assert_eq!(loader["label"], "modules-load");
    assert_eq!(
        loader["payload"]["Native"]["argv"],
        json!(["modprobe", "-a", "b", "a"])
    );
    assert!(
        summary
            .notes
            .iter()
            .any(|note| note.contains("c is built into 9.9.9"))
    );

    // A seed that has such a Card already would have two of one label.
    let mut clash = workshop.options(&seed(vec![native(1, "modules-load", "/bin/sh")]));
    clash.modules.clone_from(&options.modules);
    clash.modules_dir.clone_from(&options.modules_dir);
    std::fs::remove_file(workshop.path("image.zst")).unwrap();
    let refused = workshop.refused(&clash);
    assert_eq!(refused.len(), 2, "{refused:?}");
    assert!(refused[1].contains("[label-duplicate]"), "{refused:?}");
}
