//! Dev mode: the same program, not as PID 1. It mounts nothing and takes no signal from others
//! than its user; it runs a seed for a while and tells whether all became Ready.

use crate::args::{Args, USAGE};
use crate::console::{self, Console};
use crate::core::{Beginning, Core, Left, MachineParts, Mode};
use crate::down;
use crate::hardware::Hardware;
use crate::logs::Logs;
use crate::machine::{announce_genesis, announce_seed};
use crate::platform;
use crate::poller::Poller;
use crate::run_dir::{BUS_SOCKET, RunDir};
use crate::seed::{self, BadSeed};
use crate::wiring::{self, Cgroups, Places};
use arje_card::{Card, Payload};
use arje_native::cgroup::Support;
use arje_store::compiler::Compiler;
use arje_store::{EnsureError, Sha256, Store, StoreError};
use arje_wasm::Level;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// The seed of a dev mode that is given none.
const BUILT_IN: &str = include_str!("built-in.card.json");

/// How long the last lines may take to get out.
const FLUSH: Duration = Duration::from_secs(5);

/// Exit codes: all Ready; something was not; nothing was run.
const READY: u8 = 0;
const NOT_READY: u8 = 1;
const USAGE_ERROR: u8 = 2;

/// Runs dev mode.
pub fn main(args: &Args, problems: &[String]) -> ExitCode {
    if args.version {
        println!("ente-zero {}", env!("CARGO_PKG_VERSION"));
        return ExitCode::SUCCESS;
    }
    if args.help {
        print!("{USAGE}");
        return READY.into();
    }
    if !problems.is_empty() {
        eprintln!("{}\n\n{USAGE}", problems.join("\n"));
        return USAGE_ERROR.into();
    }
    match run(args) {
        Ok(true) => READY.into(),
        Ok(false) => NOT_READY.into(),
        Err(message) => {
            eprintln!("{message}");
            USAGE_ERROR.into()
        }
    }
}

fn run(args: &Args) -> Result<bool, String> {
    let level = std::env::var("RUST_LOG")
        .ok()
        .and_then(|filter| console::parse_level(&filter))
        .unwrap_or(Level::Info);
    // Before anything is opened or done, so that what cannot be believed has changed nothing.
    let left = args.resume.map(Left::open).transpose();
    let left = left.map_err(|reason| format!("reexec: {reason}"))?;
    // Before the first thread; how large the table is shows only in the time that it takes.
    let _ = arje_native::make_room_for_descriptors();
    let asked_for = args.run_dir.as_deref();
    let mut run_dir = match left {
        Some(_) => RunDir::take_over(asked_for)?,
        None => RunDir::open(asked_for)?,
    };
    let cgroups = Cgroups::of_a_process();
    let store = store_folder(args)?;
    let seed = match left {
        Some(_) => None,
        None => {
            let (card, path) = load(args, &cgroups.support).map_err(|bad| bad.to_string())?;
            prepare_modules(args, &card, &path, &store)?;
            Some((card, path))
        }
    };
    // Threads inherit the signals that this blocks, so it comes before the first of them.
    let mut poller =
        Poller::new().map_err(|error| format!("cannot make the core loop: {error}"))?;
    let console = Console::start(std::io::stdout(), level).map_err(|error| error.to_string())?;
    console::trace_to(&console, level);
    let places = Places {
        store,
        executor: helper("ARJE_ENTE_SPAWN", "ente-spawn")?,
        worker: place_of("ARJE_ENTE_WORKER", ente_worker::NAME)?,
        output: "/dev/stdout".into(),
        notify: run_dir.place("notify"),
        credentials: run_dir.place("credentials"),
        terminal: None,
    };
    let logs =
        Logs::start(console.clone(), poller.wake_handle()).map_err(|error| error.to_string())?;
    let mut beginning = match (left, seed) {
        (Some(left), _) => Beginning::Left(Box::new(left), None),
        (None, Some((card, path))) => {
            announce_seed(&console, &path);
            Beginning::Seed(Box::new(card))
        }
        (None, None) => return Err("there is nothing to run".to_owned()),
    };
    let notify = wiring::notify(&places, beginning.take_notify()?, &mut poller);
    let mut bodies = wiring::bodies(&places, cgroups.leaves, &logs, &notify, &poller)?;
    let socket = run_dir.place(BUS_SOCKET);
    let left = beginning.take_bus()?;
    let bus = wiring::bus(&socket, left, &mut bodies, (&logs, &console), &mut poller);
    if let Some(card) = beginning.seed() {
        announce_genesis(&console, card);
    }
    let machine = MachineParts {
        hardware: Hardware::new(&mut poller, None),
        shutdown: down::DEFAULT,
        crash: None,
        support: cgroups.support,
        cards: wiring::cards_folder(),
    };
    let mode = Mode::Dev(args.run_for);
    let mut core = Core::new(bodies, poller, console.clone(), mode, machine);
    core.attach_notify(notify);
    core.attach_bus(bus);
    let core = core.begin(beginning)?;
    let ended = core.run();
    logs.flush(FLUSH);
    console.flush(FLUSH);
    let ended = ended.map_err(|error| format!("the core loop failed: {error}"))?;
    Ok(ended.all_ready)
}

fn load(args: &Args, support: &Support) -> Result<(Card, PathBuf), BadSeed> {
    let given = args.seed.clone();
    let here = PathBuf::from("seed.card.json");
    match given.or_else(|| here.exists().then_some(here)) {
        Some(path) => {
            let session = std::env::var("ARJE_SESSION").ok();
            let seed = seed::load(&path, session.as_deref(), support)?;
            for warning in &seed.warnings {
                eprintln!("warning: {warning}");
            }
            Ok((seed.card, path))
        }
        None => {
            let card = Card::from_json(BUILT_IN.as_bytes())
                .map_err(|error| BadSeed(vec![error.to_string()]))?;
            match platform::problems(&card, support) {
                problems if problems.is_empty() => Ok((card, "(built in)".into())),
                problems => Err(BadSeed(problems)),
            }
        }
    }
}

fn store_folder(args: &Args) -> Result<PathBuf, String> {
    if let Some(store) = &args.store {
        return Ok(store.clone());
    }
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")))
        .ok_or("neither XDG_CACHE_HOME nor HOME is set; say --store DIR")?;
    Ok(cache.join("ente"))
}

/// Puts the components at hand into the store and makes the artifacts that it lacks. Before the
/// core loop begins, since that reaps every child, the compiler included.
fn prepare_modules(args: &Args, card: &Card, seed: &Path, store: &Path) -> Result<(), String> {
    let pins = pins(card);
    if pins.is_empty() {
        return Ok(());
    }
    let store = open_store(args, store)?;
    put_components(args, seed, &store)?;
    let fingerprint = wiring::fingerprint()?;
    let missing: Vec<(Sha256, &str)> = pins
        .into_iter()
        .filter(|(pin, _)| {
            let artifact = store.artifact(*pin, fingerprint);
            matches!(artifact, Err(StoreError::NotIndexed(_)))
        })
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let program = match &args.compiler {
        Some(program) => program.clone(),
        None => helper("ARJE_ENTE_COMPILE", "ente-compile")?,
    };
    let compiler = Compiler::new(program);
    for (pin, label) in missing {
        // One module that cannot be compiled is one Ente that does not start, and says why.
        if let Err(error) = store.ensure(pin, fingerprint, &compiler) {
            eprintln!(
                "warning: Card `{label}`: payload.Wasm.module_sha256: {error}{}",
                hint(&error)
            );
        }
    }
    Ok(())
}

fn open_store(args: &Args, store: &Path) -> Result<Store, String> {
    Store::create(store).map_err(|error| match args.store {
        Some(_) => error.to_string(),
        // They never named the folder.
        None => format!("{error}; say --store DIR, a folder for modules that can be written"),
    })
}

/// What a developer can do about a module that is not there.
fn hint(error: &EnsureError) -> &'static str {
    match error {
        EnsureError::Store(StoreError::NoModule { .. }) => {
            " with `ente pin`; the .wasm files in components/ beside the seed, or in the folder after --components, are \
             put into the store"
        }
        _ => "",
    }
}

fn put_components(args: &Args, seed: &Path, store: &Store) -> Result<(), String> {
    let beside = seed.with_file_name("components");
    let folder = match &args.components {
        Some(folder) => folder.clone(),
        None if beside.is_dir() => beside,
        None => return Ok(()),
    };
    let entries = fs::read_dir(&folder)
        .map_err(|error| format!("--components {}: {error}", folder.display()))?;
    for entry in entries {
        let path = entry.map_err(|error| error.to_string())?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "wasm")
        {
            let bytes = fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            match store.put_module(&bytes) {
                // One Ente that is refused when it is loaded, in the same words, and not the others.
                Ok(_) | Err(StoreError::Mismatch(_)) => {}
                Err(error) => return Err(format!("{}: {error}", path.display())),
            }
        }
    }
    Ok(())
}

/// The modules that are pinned, each with the label of the first Card that does.
fn pins(card: &Card) -> BTreeMap<Sha256, &str> {
    let mut pins = BTreeMap::new();
    for visit in card.walk() {
        if let Payload::Wasm(payload) = &visit.card.payload {
            let pin = (*payload.module_sha256.as_bytes()).into();
            pins.entry(pin).or_insert(visit.card.label.as_str());
        }
    }
    pins
}

/// A program of ours: from the environment, or beside this one.
fn helper(variable: &str, name: &str) -> Result<PathBuf, String> {
    let path = place_of(variable, name)?;
    if path.exists() {
        Ok(path)
    } else {
        Err(format!(
            "{name} is not at {}; build it with ./dev, or set {variable}",
            path.display()
        ))
    }
}

/// Where that would be.
fn place_of(variable: &str, name: &str) -> Result<PathBuf, String> {
    if let Some(path) = std::env::var_os(variable) {
        return Ok(path.into());
    }
    let this = std::env::current_exe().map_err(|error| format!("cannot find myself: {error}"))?;
    Ok(this.with_file_name(name))
}
