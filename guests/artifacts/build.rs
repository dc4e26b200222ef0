//! Builds all guests and writes what the library hands out: `guests.rs` with a table of the
//! components, and `foreach_case!`.

#[path = "src/builder/mod.rs"]
#[expect(dead_code, reason = "the library and the tests use the rest")]
mod builder;

use builder::manifest::{Components, Entry};
use builder::toolchain::{self, Toolchain};
use builder::{Folders, Result, at, nested};
use std::env;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

/// The components that are no test cases.
const GUESTS: &[&str] = &[
    "counter",
    "echo",
    "greet",
    "hello",
    "kv",
    "kv-counter",
    "kv-front",
    "policy-provider",
    "ticker",
    "web",
];
/// What the components are built from, seen from `guests/`.
const SOURCES: &[&str] = &[
    "Cargo.toml",
    "Cargo.lock",
    "sdk",
    "hello",
    "echo",
    "counter",
    "kv",
    "kv-counter",
    "kv-front",
    "policy-provider",
    "greet",
    "web",
    "ticker",
    "cases",
    "../wit/ente",
    "../wit/bus",
    "../wit/state",
    "../Cargo.toml",
];

/// A test case and where its component comes from.
struct Case {
    name: String,
    /// A WAT file, or none: cargo built it.
    wat: Option<PathBuf>,
    /// Where cargo puts it, below its output folder.
    built: PathBuf,
}

fn main() {
    if let Err(error) = build() {
        // Cargo shows this as the error of the crate, without a backtrace of the build script.
        for line in error.lines() {
            println!("cargo::error={line}");
        }
        std::process::exit(1);
    }
}

fn build() -> Result<()> {
    let folders = folders()?;
    let components = Components::open(folders.components())?;
    watch(&folders);

    let toolchain = toolchain::choose(&folders)?;
    let mark = folders.own().join("TOOLCHAIN");
    components.write(&mark, format!("{}\n", toolchain.describe()?).as_bytes())?;
    if toolchain.way() != "installed" {
        println!(
            "cargo::warning=guests are built with {}",
            toolchain.describe()?
        );
    }
    compile(&toolchain, &folders)?;

    let cases = cases(&folders.guests.join("cases"))?;
    let entries = install(&components, &toolchain.output(&folders), &cases)?;
    let mut keep: Vec<&str> = entries.iter().map(|e| e.name.as_str()).collect();
    keep.extend(
        builder::third_party::PROGRAMS
            .iter()
            .map(|program| program.name),
    );
    components.prune(&keep)?;
    components.write_manifest()?;
    for entry in &entries {
        println!("cargo::rerun-if-changed={}", entry.path.display());
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?);
    let out = out.join("guests.rs");
    at(&out, fs::write(&out, generated(&folders, &entries, &cases)))
}

/// The target folder is known by its shape below: `[TRIPLE/]PROFILE/build/PACKAGE-HASH/out`. So it is
/// right for `CARGO_TARGET_DIR`, `--target-dir` and the configuration alike.
fn folders() -> Result<Folders> {
    let here = env::var_os("CARGO_MANIFEST_DIR").ok_or("CARGO_MANIFEST_DIR is not set")?;
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?);
    let triple = env::var_os("TARGET").unwrap_or_default();
    let target = out
        .ancestors()
        .skip(4)
        .find(|folder| folder.file_name() != Some(&triple))
        .ok_or_else(|| format!("no target folder above {}", out.display()))?;
    let guests = Path::new(&here)
        .parent()
        .ok_or("the crate has no parent folder")?;
    Ok(Folders {
        guests: guests.to_owned(),
        target: target.to_owned(),
    })
}

fn watch(folders: &Folders) {
    for source in SOURCES {
        println!(
            "cargo::rerun-if-changed={}",
            folders.guests.join(source).display()
        );
    }
    for own in ["build.rs", "src/builder"] {
        println!("cargo::rerun-if-changed={own}");
    }
    println!("cargo::rerun-if-env-changed={}", toolchain::FORCE);
}

fn compile(toolchain: &Toolchain, folders: &Folders) -> Result<()> {
    let mut cargo = toolchain.cargo("build", folders, &[]);
    // Not `--all-targets`: tests are native.
    cargo.args([
        "--workspace",
        "--lib",
        "--bins",
        "--examples",
        "--release",
        "--locked",
    ]);
    nested::run(&mut cargo)
}

/// All cases, sorted by name: programs, library components, and WAT files.
fn cases(folder: &Path) -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    for (part, extension, built) in [
        ("src/bin", "rs", ""),
        ("examples", "rs", "examples"),
        ("wat", "wat", ""),
    ] {
        let part = folder.join(part);
        for entry in at(&part, fs::read_dir(&part))? {
            let path = at(&part, entry)?.path();
            let Some(name) = path.file_stem().and_then(|name| name.to_str()) else {
                continue;
            };
            if path.extension().is_none_or(|found| found != extension) {
                return Err(format!("{}: expected a .{extension} file", path.display()));
            }
            cases.push(Case {
                name: name.to_owned(),
                built: Path::new(built).join(format!("{name}.wasm")),
                wat: (extension == "wat").then_some(path.clone()),
            });
        }
    }
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    match cases.windows(2).find(|pair| pair[0].name == pair[1].name) {
        Some(pair) => Err(format!("two cases are named {}", pair[0].name)),
        None => Ok(cases),
    }
}

fn install(components: &Components, output: &Path, cases: &[Case]) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for name in GUESTS {
        // Cargo names what it builds from a library after the crate, not after the package.
        let path = output.join(format!("{}.wasm", name.replace('-', "_")));
        let wasm = at(&path, fs::read(&path))?;
        entries.push(components.install(name, &wasm)?);
    }
    for case in cases {
        let wasm = match &case.wat {
            Some(path) => wat::parse_file(path).map_err(|e| e.to_string())?,
            None => {
                let path = output.join(&case.built);
                at(&path, fs::read(&path))?
            }
        };
        entries.push(components.install(&case.name, &wasm)?);
    }
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(entries)
}

fn generated(folders: &Folders, entries: &[Entry], cases: &[Case]) -> String {
    let mut code = String::new();
    let target = &folders.target;
    let _ = writeln!(code, "const TARGET_FOLDER: &str = {target:?};");
    let guests = &folders.guests;
    let _ = writeln!(code, "const GUESTS_FOLDER: &str = {guests:?};");
    code.push_str("/// All components, sorted by name.\npub static GUESTS: &[Guest] = &[\n");
    for Entry {
        name,
        path,
        sha256,
        size,
    } in entries
    {
        let _ = writeln!(
            code,
            "    Guest {{ name: {name:?}, path: {path:?}, sha256: {sha256:?}, size: {size} }},"
        );
    }
    code.push_str("];\n");
    code.push_str(FOREACH_DOC);
    code.push_str("#[macro_export]\nmacro_rules! foreach_case {\n    ($mac:ident) => {\n");
    for case in cases {
        let _ = writeln!(code, "        $mac!({});", case.name);
    }
    code.push_str("    };\n}\n");
    code
}

const FOREACH_DOC: &str = "\
/// Calls a macro with the name of each test case. A test file that opens with
///
/// ```ignore
/// macro_rules! assert_test_exists {
///     ($name:ident) => {
///         #[expect(unused_imports, reason = \"fails to compile when the test is missing\")]
///         use self::$name as _;
///     };
/// }
/// arje_guest_artifacts::foreach_case!(assert_test_exists);
/// ```
///
/// does not compile until it has a function named after each case.
";
