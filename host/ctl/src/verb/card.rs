//! `ente card`: a new Card, and the schema of Cards.

use std::fs::File;
use std::io::{Read as _, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use arje_card::{Bind, Entry, Env, Id, ListenOn};
use arje_store::MAX_MODULE_BYTES;
use clap::{Args, Subcommand};
use ente::draft::{Request, RequestedComponent, RequestedPayload, draft, fresh_id};

use super::{Failure, Outcome};

/// Write a new Card, or the schema of Cards
#[derive(Subcommand)]
pub enum CardVerb {
    New(Box<Arguments>),
    /// Print the JSON Schema of a Card
    Schema,
}

/// Print a new Card as JSON
///
/// The Card has an identity of its own, the pin of its component, and no more permissions than its
/// payload needs, so that `ente verify` accepts it. A command runs once; everything else is restarted
/// when it ends.
#[derive(Args)]
pub struct Arguments {
    #[command(flatten)]
    payload: PayloadArguments,
    /// Its name for people [default: the name of FILE or EXEC]
    #[arg(long, value_name = "LABEL")]
    label: Option<String>,
    /// Its identity, a ULID [default: a new one]
    #[arg(long, value_name = "ULID")]
    id: Option<Id>,
    /// Name of the component, from which `ente pin` writes the pin
    #[arg(long, value_name = "NAME", conflicts_with_all = ["native", "virtual_"])]
    module: Option<String>,
    /// What the host drives: run, service, http, or an exported function [default: the one of the three that the component exports]
    #[arg(long, value_name = "ENTRY", conflicts_with_all = ["native", "virtual_"])]
    entry: Option<Entry>,
    /// A folder that the component sees; `:ro` makes it read-only; may be given several times
    #[arg(long, value_name = "SOURCE:TARGET[:ro]", conflicts_with_all = ["native", "virtual_"], value_parser = parse_preopen)]
    preopen: Vec<Bind>,
    /// A socket to listen on: for the requests of the entry http, or from descriptor 3 on of a program; may be given several times
    #[arg(long, value_name = "tcp:IP:PORT|unix:PATH", conflicts_with = "virtual_", value_parser = parse_listen)]
    listen: Vec<ListenOn>,
    /// Give it the console, as a shell needs it
    #[arg(long, conflicts_with_all = ["wasm", "virtual_"])]
    console: bool,
    /// An argument after the program name; may be given several times
    #[arg(
        long,
        value_name = "ARG",
        conflicts_with = "virtual_",
        allow_hyphen_values = true
    )]
    arg: Vec<String>,
    /// An environment variable; may be given several times
    #[arg(long, value_name = "NAME=VALUE", conflicts_with = "virtual_", value_parser = parse_variable)]
    env: Vec<(String, String)>,
    /// Run it once, also where it is not a command
    #[arg(long)]
    oneshot: bool,
}

/// What it runs: exactly one of these.
#[derive(Args)]
#[group(required = true, multiple = false)]
struct PayloadArguments {
    /// Run this component
    #[arg(long, value_name = "FILE")]
    wasm: Option<PathBuf>,
    /// Run this program, as a process
    #[arg(long, value_name = "EXEC")]
    native: Option<String>,
    /// Run nothing: group the Cards in its genesis
    #[arg(long = "virtual", id = "virtual_")]
    virtual_: bool,
}

impl CardVerb {
    pub fn run(self, out: &mut dyn Write) -> Result<Outcome, Failure> {
        match self {
            Self::New(arguments) => arguments.run(out),
            Self::Schema => {
                out.write_all(arje_card::JSON_SCHEMA.as_bytes())?;
                Ok(Outcome::Done)
            }
        }
    }
}

impl Arguments {
    fn run(self, out: &mut dyn Write) -> Result<Outcome, Failure> {
        let label = self.label()?;
        let id = match self.id {
            Some(id) => id,
            None => {
                fresh_id().map_err(|error| Failure::Unusable(format!("/dev/urandom: {error}")))?
            }
        };
        let file = self.payload.wasm.clone();
        let payload = match (self.payload.wasm, self.payload.native) {
            (Some(file), _) => RequestedPayload::Wasm(RequestedComponent {
                wasm: read_module(&file)?,
                module: self.module,
                entry: self.entry,
                preopens: self.preopen,
                listen: self.listen,
            }),
            (None, Some(exec)) => RequestedPayload::Native {
                exec,
                console: self.console,
                listen: self.listen,
            },
            (None, None) => RequestedPayload::Virtual,
        };
        let request = Request {
            id,
            label,
            payload,
            argv: self.arg,
            envp: Env(self.env),
            oneshot: self.oneshot,
        };
        let card = draft(request).map_err(|error| match file {
            Some(file) => Failure::Refused(format!("{}: {error}", file.display())),
            None => Failure::refused(error),
        })?;
        for warning in card.warnings() {
            eprintln!("warning: {warning}");
        }
        let text = card.to_json().map_err(Failure::refused)?;
        out.write_all(text.as_bytes())?;
        Ok(Outcome::Done)
    }

    fn label(&self) -> Result<String, Failure> {
        let from_file = match (&self.payload.wasm, &self.payload.native) {
            (Some(file), _) => file.file_stem(),
            (None, Some(exec)) => Path::new(exec).file_name(),
            (None, None) => None,
        };
        self.label
            .clone()
            .or_else(|| from_file?.to_str().map(str::to_owned))
            .ok_or_else(|| Failure::Unusable("the Card needs a label; give it --label".to_owned()))
    }
}

fn read_module(file: &Path) -> Result<Vec<u8>, Failure> {
    let unreadable =
        |error| Failure::Unusable(format!("{}: cannot be read: {error}", file.display()));
    let mut wasm = Vec::new();
    File::open(file)
        .and_then(|opened| opened.take(MAX_MODULE_BYTES + 1).read_to_end(&mut wasm))
        .map_err(unreadable)?;
    if wasm.len() as u64 > MAX_MODULE_BYTES {
        return Err(Failure::Refused(format!(
            "{}: found more than {MAX_MODULE_BYTES} bytes; expected at most that; no store takes a \
             larger component",
            file.display()
        )));
    }
    Ok(wasm)
}

fn parse_preopen(text: &str) -> Result<Bind, String> {
    let (paths, ro) = match text.strip_suffix(":ro") {
        Some(paths) => (paths, true),
        None => (text, false),
    };
    match paths.split_once(':') {
        Some((source, target)) if !target.contains(':') => Ok(Bind {
            source: source.to_owned(),
            target: target.to_owned(),
            ro,
        }),
        _ => Err("expected SOURCE:TARGET or SOURCE:TARGET:ro, both absolute".to_owned()),
    }
}

fn parse_listen(text: &str) -> Result<ListenOn, String> {
    match text.split_once(':') {
        Some(("unix", path)) => Ok(ListenOn::Unix(path.to_owned())),
        Some(("tcp", address)) => address
            .parse::<SocketAddr>()
            .map(ListenOn::Tcp)
            .map_err(|_| format!("{address:?} is not IP:PORT, as in 127.0.0.1:8080")),
        _ => Err("expected tcp:IP:PORT or unix:PATH".to_owned()),
    }
}

fn parse_variable(text: &str) -> Result<(String, String), String> {
    text.split_once('=')
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .ok_or_else(|| "expected NAME=VALUE".to_owned())
}
