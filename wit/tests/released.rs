//! The packages of the tree, beside those of the last release.
#![expect(
    clippy::panic,
    reason = "helpers of tests; the lint spares only the tests themselves"
)]

use arje_wit::{Api, Resolve, compare};
use std::path::Path;

/// Each after those it uses.
const PACKAGES: &[&str] = &["ente", "bus", "state"];

fn read(folder: &str) -> Api {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut resolve = Resolve::new();
    let packages: Vec<_> = PACKAGES
        .iter()
        .map(|package| match resolve.push_dir(folder.join(package)) {
            Ok((id, _)) => id,
            Err(error) => panic!("{}: {error:#}", folder.join(package).display()),
        })
        .collect();
    Api::of(&resolve, &packages)
}

#[test]
fn what_was_released_is_kept() {
    let (released, today) = (read("released"), read("."));
    assert_eq!(released.packages.len(), PACKAGES.len());
    assert!(released.entries.len() > 50, "the release is not empty");
    let broken = compare(&released, &today);
    let texts: Vec<String> = broken.iter().map(ToString::to_string).collect();
    assert!(
        texts.is_empty(),
        "not compatible with the release (wit/README.md):\n\n{}\n",
        texts.join("\n")
    );
}

#[test]
fn everything_is_described() {
    let today = read(".");
    let bare: Vec<&str> = today
        .entries
        .iter()
        .filter(|(_, entry)| entry.undocumented)
        .map(|(name, _)| name.as_str())
        .collect();
    assert!(bare.is_empty(), "without documentation: {bare:#?}");
}

#[test]
fn no_package_is_left_out() {
    let mut found: Vec<String> = Path::new(env!("CARGO_MANIFEST_DIR"))
        .read_dir()
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| {
            let first = Path::new(env!("CARGO_MANIFEST_DIR")).join(name).read_dir();
            let is_wit = |file: std::path::PathBuf| file.extension().is_some_and(|it| it == "wit");
            first.is_ok_and(|mut files| files.any(|file| is_wit(file.unwrap().path())))
        })
        .collect();
    found.sort();
    let mut known = PACKAGES.to_vec();
    known.sort_unstable();
    assert_eq!(found, known);
}
