//! How `ente-compile` is called and what it answers. Its command line and this crate's client
//! both take the words from here.
//!
//! Standard input is the `.wasm` file, standard output the artifact and nothing else, standard
//! error one line of text when the exit status is not 0.

use std::fmt;

/// Prints the engine fingerprint as 64 hexadecimal digits and exits.
pub const FLAG_FINGERPRINT: &str = "--fingerprint";
/// The processor to compile for: `baseline` or `native`.
pub const FLAG_CPU: &str = "--cpu";
/// The engine fingerprint that the caller will load the artifact into.
pub const FLAG_ENGINE: &str = "--engine";
/// Address space that the compiler may use, in bytes (`RLIMIT_AS`).
pub const FLAG_MEMORY_BYTES: &str = "--memory-bytes";
/// Processor time that the compiler may use, in seconds (`RLIMIT_CPU`).
pub const FLAG_CPU_SECONDS: &str = "--cpu-seconds";

/// The processor that an artifact may rely on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cpu {
    /// x86-64 as first specified: the artifact runs on any CPU model.
    #[default]
    Baseline,
    /// Every extension of the CPU that compiles; a host without one of them refuses the artifact.
    Native,
}

impl Cpu {
    /// The value of [`FLAG_CPU`].
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Baseline => "baseline",
            Self::Native => "native",
        }
    }

    /// The processor with that [`name`](Self::name).
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Baseline, Self::Native]
            .into_iter()
            .find(|cpu| cpu.name() == name)
    }
}

/// What one compilation may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Address space in bytes.
    pub memory_bytes: u64,
    /// Processor time in seconds.
    pub cpu_seconds: u64,
}

impl Limits {
    /// 2 GiB and 120 s. Cranelift takes 30-100 ms for what a service usually is, and 35 s for a
    /// module of 60 MB; under full emulation everything is 10-20 times slower.
    pub const DEFAULT: Self = Self {
        memory_bytes: 2 << 30,
        cpu_seconds: 120,
    };
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// The exit status of `ente-compile`. A death by signal has its own meanings, which
/// [`CompileError`](super::CompileError) lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// The artifact, or the fingerprint, is on standard output.
    Done = 0,
    /// The module is not a valid component, or uses a proposal that the engine has switched off.
    Refused = 1,
    /// The command line is wrong.
    Usage = 2,
    /// The sandbox could not be set up; nothing was read.
    Sandbox = 3,
    /// The caller's engine is not the one this compiler compiles for; nothing was read.
    OtherEngine = 4,
    /// Reading standard input or writing standard output failed.
    Io = 5,
    /// The module is larger than [`MAX_MODULE_BYTES`](crate::MAX_MODULE_BYTES), or the artifact
    /// larger than [`MAX_ARTIFACT_BYTES`](crate::MAX_ARTIFACT_BYTES).
    TooLarge = 6,
    /// The compiler itself failed: a panic in wasmtime or Cranelift.
    Internal = 7,
}

impl Exit {
    const ALL: [Self; 8] = [
        Self::Done,
        Self::Refused,
        Self::Usage,
        Self::Sandbox,
        Self::OtherEngine,
        Self::Io,
        Self::TooLarge,
        Self::Internal,
    ];

    /// The status with this number, or `None` when `ente-compile` has no such status.
    #[must_use]
    pub fn from_code(code: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|exit| *exit as i32 == code)
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Done => "done",
            Self::Refused => "the module was refused",
            Self::Usage => "the compiler was called wrongly",
            Self::Sandbox => "the compiler's sandbox could not be set up",
            Self::OtherEngine => "the compiler belongs to another engine",
            Self::Io => "the compiler could not read the module or write the artifact",
            Self::TooLarge => "the module or its artifact is too large",
            Self::Internal => "the compiler failed internally",
        })
    }
}
