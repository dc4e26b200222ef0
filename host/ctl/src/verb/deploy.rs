//! `ente deploy`, `rollback`: another module in an Ente's place, while it lives (`docs/deployment.md`).

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use arje_bus::{
    BusError, ClientError, Deploy, Deployed, EnteSummary, ErrorCode, Request, Response, Target,
};
use arje_card::Pin;
use arje_store::compiler::Compiler;
use arje_store::{EnsureError, Sha256, Store, StoreError};
use clap::Args;
use ente::place;
use serde_json::json;

use super::bus::{self, BusArguments};
use super::{Failure, Outcome, life};

/// The store of a machine, and where its compiler is if its image has one.
const STORE: &str = "/ente";
const COMPILER: &str = "/usr/lib/ente/ente-compile";

/// How long a deployment may take: loading, `start`, the health that `liveness_ms` asks for, the state.
const PATIENCE: Duration = Duration::from_secs(300);

/// Run another module in an Ente's place, without a call being lost
#[derive(Args)]
pub struct Arguments {
    /// Label or id
    #[arg(value_name = "ENTE")]
    ente: String,
    /// The component's .wasm file, or the sha256 of one that the store has
    #[arg(value_name = "MODULE")]
    module: String,
    /// The store that the system runs from [default: $ARJE_STORE, else /ente, else that of dev mode]
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,
    /// ente-compile [default: $ARJE_ENTE_COMPILE, else beside this program, else /usr/lib/ente]
    #[arg(long, value_name = "FILE")]
    compiler: Option<PathBuf>,
    /// Print one JSON object instead of a line
    #[arg(long)]
    json: bool,
}

/// Go back to the module that ran before the last deployment
#[derive(Args)]
pub struct RollbackArguments {
    /// Label or id
    #[arg(value_name = "ENTE")]
    ente: String,
}

impl Arguments {
    pub fn run(self, bus: &BusArguments, out: &mut dyn Write) -> Result<Outcome, Failure> {
        // First what needs nobody: a wrong file or name is told before anything is stored.
        let mut client = bus.connect()?;
        let before = bus::status(&mut client, &Target::of(&self.ente))?.summary;
        let store = self.open_store()?;
        let pin = self.put(&store)?;
        let compiled = self.compile(&store, pin)?;
        let target = Target::id(before.id);
        life::settle(&mut client, &target, &before.label)?;
        client.set_patience(PATIENCE);
        let deploy = Deploy {
            target,
            module: *pin.as_bytes(),
        };
        let deployed = match client.request(Request::Deploy(deploy)) {
            Ok(response) => deployed(response)?,
            Err(ClientError::Refused(error)) => return self.refused(&before, &error, out),
            Err(error) => return Err(error.into()),
        };
        let pin = Pin(*pin.as_bytes());
        let compiled = compiled.map(|took| took.as_millis());
        if self.json {
            let object = json!({
                "id": before.id.to_string(),
                "label": before.label,
                "pin": pin.to_string(),
                "incarnation": deployed.incarnation,
                "paused_us": deployed.paused_us,
                "compiled_ms": compiled.map(|ms| u64::try_from(ms).unwrap_or(u64::MAX)),
            });
            writeln!(out, "{object}")?;
            return Ok(Outcome::Done);
        }
        let compiled = compiled.map_or_else(String::new, |took| format!("; compiled in {took} ms"));
        writeln!(out, "{}: {pin}{}{compiled}", before.label, told(deployed))?;
        Ok(Outcome::Done)
    }

    /// It was refused, which programs are told in words of their own.
    fn refused(
        &self,
        ente: &EnteSummary,
        error: &BusError,
        out: &mut dyn Write,
    ) -> Result<Outcome, Failure> {
        if self.json {
            let object = json!({
                "id": ente.id.to_string(),
                "label": ente.label,
                "refused": format!("{:?}", error.code),
                "why": error.message,
            });
            writeln!(out, "{object}")?;
        }
        Err(Failure::Refused(why(
            error,
            &ente.label,
            "`ente deploy` again",
        )))
    }

    /// The module's hash, after the store has it.
    fn put(&self, store: &Store) -> Result<Sha256, Failure> {
        if let Ok(pin) = self.module.parse::<Pin>() {
            return Ok((*pin.as_bytes()).into());
        }
        let path = Path::new(&self.module);
        let wasm = std::fs::read(path)
            .map_err(|error| Failure::unusable(format!("{}: {error}", path.display())))?;
        arje_verify::component::Component::read(&wasm)
            .map_err(|why| Failure::unusable(format!("{}: {why}", path.display())))?;
        store.put_module(&wasm).map_err(Failure::unusable)
    }

    /// Compiles it, unless that was done before; how long that took.
    fn compile(&self, store: &Store, pin: Sha256) -> Result<Option<Duration>, Failure> {
        let compiler = Compiler::new(self.compiler()?);
        let engine = compiler.fingerprint().map_err(Failure::unusable)?;
        match store.artifact(pin, engine) {
            Ok(_) => return Ok(None),
            Err(StoreError::NotIndexed(_)) => {}
            Err(error) => return Err(Failure::refused(error)),
        }
        let began = Instant::now();
        match store.ensure(pin, engine, &compiler) {
            Ok(_) => Ok(Some(began.elapsed())),
            Err(error @ EnsureError::Compile { .. }) => Err(Failure::refused(error)),
            Err(error) => Err(Failure::unusable(error)),
        }
    }

    fn open_store(&self) -> Result<Store, Failure> {
        let named = self.store.clone().or_else(place::named_store);
        let root = named.or_else(|| {
            let machine = PathBuf::from(STORE);
            machine.join("cas").is_dir().then_some(machine)
        });
        let root = root.or_else(place::dev_store);
        let root = root.ok_or_else(|| {
            Failure::unusable(
                "no store: neither /ente nor that of dev mode is there; say --store DIR",
            )
        })?;
        Store::open(root).map_err(Failure::unusable)
    }

    fn compiler(&self) -> Result<PathBuf, Failure> {
        let beside = std::env::current_exe().ok();
        let beside = beside.map(|this| this.with_file_name("ente-compile"));
        let named = self
            .compiler
            .clone()
            .or_else(|| variable("ARJE_ENTE_COMPILE"));
        let places = named.map_or_else(
            || vec![beside, Some(COMPILER.into())],
            |named| vec![Some(named)],
        );
        let places: Vec<PathBuf> = places.into_iter().flatten().collect();
        let found = places.iter().find(|place| place.is_file());
        found.cloned().ok_or_else(|| {
            let places: Vec<String> = places.iter().map(|p| p.display().to_string()).collect();
            Failure::unusable(format!(
                "ente-compile is not at {}; say --compiler FILE, or build the image with --with-compiler",
                places.join(" or ")
            ))
        })
    }
}

impl RollbackArguments {
    pub fn run(self, bus: &BusArguments, out: &mut dyn Write) -> Result<Outcome, Failure> {
        let mut client = bus.connect()?;
        let target = Target::of(&self.ente);
        client.set_patience(PATIENCE);
        // First what may be misspelt.
        let label = bus::status(&mut client, &target)?.summary.label;
        let deployed = match client.request(Request::Rollback(target.clone())) {
            Ok(response) => deployed(response)?,
            Err(ClientError::Refused(error)) => {
                return Err(Failure::Refused(why(
                    &error,
                    &label,
                    "`ente rollback` again",
                )));
            }
            Err(error) => return Err(error.into()),
        };
        let now = bus::status(&mut client, &target)?.summary;
        let pin = now.pin.map_or_else(String::new, |pin| Pin(pin).to_string());
        writeln!(out, "{}: {pin}{}", now.label, told(deployed))?;
        Ok(Outcome::Done)
    }
}

fn deployed(response: Response) -> Result<Deployed, Failure> {
    match response {
        Response::Deployed(deployed) => Ok(deployed),
        _ => Err(bus::unexpected()),
    }
}

/// Why it is refused, and what to do where something can be done.
fn why(error: &BusError, ente: &str, again: &str) -> String {
    match error.code {
        ErrorCode::Incompatible => format!(
            "{error}; that one goes on. To have the other one start, with nothing of what it knows: `ente stop {ente}`, \
             then {again}"
        ),
        _ => error.to_string(),
    }
}

fn told(deployed: Deployed) -> String {
    match deployed.paused_us {
        Some(paused) => format!(
            " answers as incarnation {}, after {}.{:03} ms in which nobody did",
            deployed.incarnation,
            paused / 1000,
            paused % 1000
        ),
        None => " is what it starts with; nothing of it was alive".to_owned(),
    }
}

fn variable(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).map(PathBuf::from)
}
