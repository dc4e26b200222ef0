//! The command line. Written by hand: five flags do not need a parser library in the program with
//! the largest attack surface.

use std::fmt;

use arje_store::compiler::protocol::{
    Cpu, FLAG_CPU, FLAG_CPU_SECONDS, FLAG_ENGINE, FLAG_FINGERPRINT, FLAG_MEMORY_BYTES, Limits,
};

/// What `--help` prints, and what follows a usage error.
pub const USAGE: &str = "\
usage: ente-compile [OPTIONS] < module.wasm > artifact
       ente-compile --fingerprint

Compiles a WebAssembly component ahead of time, in a sandbox.

  --cpu baseline|native   processor to compile for [baseline]
  --engine HEX            refuse unless this is the compiler's engine fingerprint
  --memory-bytes N        address space the compiler may use [2147483648]
  --cpu-seconds N         processor time the compiler may use [120]
  --fingerprint           print the engine fingerprint
  --help                  print this

exit status: 0 done, 1 module refused, 2 usage, 3 sandbox, 4 other engine,
             5 input or output, 6 too large, 7 internal error
";

/// What the program is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// Compile standard input to standard output.
    Compile,
    /// Print the engine fingerprint.
    Fingerprint,
    /// Print the usage.
    Help,
}

/// The command line, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Args {
    /// What to do.
    pub task: Task,
    /// The processor to compile for.
    pub cpu: Cpu,
    /// The fingerprint that the caller's engine has, as it was written.
    pub engine: Option<String>,
    /// What the compilation may use.
    pub limits: Limits,
}

/// A command line that is not understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UsageError {
    /// No such flag.
    Unknown(String),
    /// The flag wants a value and is the last word.
    Missing(&'static str),
    /// The flag's value is not what it takes.
    Value {
        /// The flag.
        flag: &'static str,
        /// What was given.
        found: String,
        /// What it takes.
        expected: &'static str,
    },
}

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(word) => write!(f, "unknown argument {word:?}"),
            Self::Missing(flag) => write!(f, "{flag} wants a value"),
            Self::Value {
                flag,
                found,
                expected,
            } => write!(f, "{flag} is {found:?}, expected {expected}"),
        }
    }
}

impl std::error::Error for UsageError {}

/// Reads the command line, without the program's name.
///
/// # Errors
///
/// [`UsageError`] for the first word that is not understood.
pub fn parse(words: impl IntoIterator<Item = String>) -> Result<Args, UsageError> {
    let mut args = Args {
        task: Task::Compile,
        cpu: Cpu::default(),
        engine: None,
        limits: Limits::DEFAULT,
    };
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--help" => args.task = Task::Help,
            FLAG_FINGERPRINT => args.task = Task::Fingerprint,
            FLAG_CPU => args.cpu = cpu(value(FLAG_CPU, &mut words)?)?,
            FLAG_ENGINE => args.engine = Some(value(FLAG_ENGINE, &mut words)?),
            FLAG_MEMORY_BYTES => {
                args.limits.memory_bytes = number(FLAG_MEMORY_BYTES, &mut words)?;
            }
            FLAG_CPU_SECONDS => args.limits.cpu_seconds = number(FLAG_CPU_SECONDS, &mut words)?,
            _ => return Err(UsageError::Unknown(word)),
        }
    }
    Ok(args)
}

fn value(
    flag: &'static str,
    words: &mut impl Iterator<Item = String>,
) -> Result<String, UsageError> {
    words.next().ok_or(UsageError::Missing(flag))
}

fn number(flag: &'static str, words: &mut impl Iterator<Item = String>) -> Result<u64, UsageError> {
    let found = value(flag, words)?;
    match found.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err(UsageError::Value {
            flag,
            found,
            expected: "a number above 0",
        }),
    }
}

fn cpu(found: String) -> Result<Cpu, UsageError> {
    Cpu::from_name(&found).ok_or(UsageError::Value {
        flag: FLAG_CPU,
        found,
        expected: "baseline or native",
    })
}
