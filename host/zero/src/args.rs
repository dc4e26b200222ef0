//! The arguments of `ente-zero`. As PID 1 the kernel passes words of its command line that it does
//! not know, so PID 1 reports unknown arguments and boots; in dev mode they are errors.
//!
//! By hand, since there are few and PID 1 should stay small.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// How long dev mode runs unless told otherwise.
const DEV_SECONDS: u64 = 4;

/// Usage of dev mode.
pub const USAGE: &str = "\
usage: ente-zero [--for SECONDS | --forever] [--store DIR] [--components DIR] [--compiler FILE]
                 [--run-dir DIR] [SEED]
       ente-zero --version

As PID 1 it boots /ente/seed.card.json. Anywhere else this is dev mode: it runs SEED (default:
./seed.card.json, else a small built-in one) for 4 seconds, or as long as said, or until nothing
is left to do, and exits 0 only if every Ente that should be Ready was.

  --for SECONDS    how long to run
  --forever        until SIGINT or SIGTERM
  --components DIR a folder of .wasm files to put into the store first
                   (default: components/ beside the seed, if there is one)
  --store DIR      where modules are by hash (DIR/cas) and their artifacts (DIR/aot)
                   (default: $XDG_CACHE_HOME/ente)
  --run-dir DIR    where the sockets are (default: $XDG_RUNTIME_DIR/ente-PID)
  --compiler FILE  ente-compile, to make artifacts that the store lacks

Its helper programs are beside it, or where ARJE_ENTE_SPAWN, ARJE_ENTE_COMPILE and ARJE_ENTE_WORKER say.
";

/// What the command line asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Args {
    /// The Seed Card.
    pub seed: Option<PathBuf>,
    /// How long dev mode runs; `None` is for ever.
    pub run_for: Option<Duration>,
    /// The store's folder.
    pub store: Option<PathBuf>,
    /// `ente-compile`.
    pub compiler: Option<PathBuf>,
    /// A folder of components to put into the store.
    pub components: Option<PathBuf>,
    /// Where the sockets go.
    pub run_dir: Option<PathBuf>,
    /// PID 1 replaced itself after a failure of its core; the text says why.
    pub rescue: Option<String>,
    /// Another image left its state under this descriptor.
    pub resume: Option<i32>,
    /// `--help`
    pub help: bool,
    /// `--version`
    pub version: bool,
}

impl Default for Args {
    fn default() -> Args {
        Args {
            seed: None,
            run_for: Some(Duration::from_secs(DEV_SECONDS)),
            store: None,
            compiler: None,
            components: None,
            run_dir: None,
            rescue: None,
            resume: None,
            help: false,
            version: false,
        }
    }
}

/// Reads the arguments after the program's name. The second value lists what was not understood.
#[must_use]
pub fn parse(args: impl IntoIterator<Item = OsString>) -> (Args, Vec<String>) {
    let mut parsed = Args::default();
    let mut problems = Vec::new();
    let mut args = args.into_iter();
    while let Some(arg) = args.next() {
        let name = arg.to_string_lossy().into_owned();
        let mut value = || args.next().ok_or(format!("{name} needs a value"));
        let result = match name.as_str() {
            "--help" | "-h" => {
                parsed.help = true;
                Ok(())
            }
            "--version" | "-V" => {
                parsed.version = true;
                Ok(())
            }
            "--forever" => {
                parsed.run_for = None;
                Ok(())
            }
            "--for" => value().and_then(|value| {
                parsed.run_for = Some(seconds(&value)?);
                Ok(())
            }),
            "--store" => value().map(|value| parsed.store = Some(value.into())),
            "--compiler" => value().map(|value| parsed.compiler = Some(value.into())),
            "--components" => value().map(|value| parsed.components = Some(value.into())),
            "--run-dir" => value().map(|value| parsed.run_dir = Some(value.into())),
            "--rescue" => value().map(|value| {
                parsed.rescue = Some(value.to_string_lossy().into_owned());
            }),
            "--resume" => value().and_then(|value| {
                let number = value.to_str().and_then(|text| text.parse().ok());
                parsed.resume = Some(number.ok_or("--resume: not a descriptor")?);
                Ok(())
            }),
            _ if name.starts_with('-') => Err(format!("unknown option {name}")),
            _ if parsed.seed.is_some() => Err(format!("a second seed: {name}")),
            _ => {
                parsed.seed = Some(arg.into());
                Ok(())
            }
        };
        problems.extend(result.err());
    }
    (parsed, problems)
}

fn seconds(value: &OsString) -> Result<Duration, String> {
    value
        .to_str()
        .and_then(|text| text.parse::<f64>().ok())
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .ok_or(format!("--for {value:?}: not a number of seconds"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(words: &[&str]) -> (Args, Vec<String>) {
        parse(words.iter().map(OsString::from))
    }

    #[test]
    fn options_and_the_seed_in_any_order() {
        let (args, problems) = of(&["--for", "1.5", "a.card.json", "--store", "/s"]);
        assert_eq!(problems, [""; 0]);
        assert_eq!(args.seed, Some("a.card.json".into()));
        assert_eq!(args.store, Some("/s".into()));
        assert_eq!(args.run_for, Some(Duration::from_millis(1500)));
        assert_eq!(of(&["--forever"]).0.run_for, None);
    }

    #[test]
    fn every_mistake_is_reported() {
        let (_, problems) = of(&[
            "--fast", "a", "b", "--for", "soon", "--for", "-1", "--store",
        ]);
        assert_eq!(
            problems,
            [
                "unknown option --fast",
                "a second seed: b",
                "--for \"soon\": not a number of seconds",
                "--for \"-1\": not a number of seconds",
                "--store needs a value",
            ]
        );
    }
}
