//! The command line of the builder, shared with the program that builds an image before it boots it.

use std::path::PathBuf;

use arje_store::compiler::protocol::Cpu;
use clap::{ArgAction, Args};

use crate::compress::Compression;
use crate::error::Error;
use crate::options::{Options, Program};

/// What goes into an image. The seed and the output file are arguments of their own.
#[derive(Debug, Clone, Default, Args)]
pub struct ImageArgs {
    /// Folder of NAME.wasm components; may be given several times, earlier ones win; components/ beside the seed comes last
    #[arg(long, value_name = "DIR")]
    pub components: Vec<PathBuf>,
    /// Fail when a component at hand differs from the seed's pin
    #[arg(long)]
    pub locked: bool,
    /// Folder of session fragments (session-NAME.card.json)
    #[arg(long, value_name = "DIR")]
    pub fragments: Option<PathBuf>,
    /// Folder with ente-zero, ente-spawn, ente and ente-compile; may be given several times [default: the folder of this program]
    #[arg(long, value_name = "DIR")]
    pub helpers: Vec<PathBuf>,
    /// Static busybox [default: $BUSYBOX_BIN, else /bin/busybox]
    #[arg(long, value_name = "FILE")]
    pub busybox: Option<PathBuf>,
    /// Add a program with its libraries; may be given several times
    #[arg(long = "bin", value_name = "DEST=SRC")]
    pub bins: Vec<String>,
    /// Add programs at their own paths, with their libraries, separated by spaces [also: $EXTRA_BINS]
    #[arg(long, value_name = "PROGRAMS")]
    pub extra_bins: Vec<String>,
    /// Kernel modules to put in and to load at boot, separated by commas
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub modules: Vec<String>,
    /// Folder of the kernel's modules [default: /lib/modules/RELEASE]
    #[arg(long, value_name = "DIR")]
    pub modules_dir: Option<PathBuf>,
    /// Release of the kernel that will boot the image [default: the last part of --modules-dir, else that of this machine]
    #[arg(long, value_name = "RELEASE")]
    pub kernel_release: Option<String>,
    /// Compress with gzip, for kernels that cannot unpack zstd
    #[arg(long, action = ArgAction::SetTrue)]
    pub gzip: bool,
    /// Put ente-compile into the image
    #[arg(long)]
    pub with_compiler: bool,
    /// Processor the artifacts may rely on: baseline (any x86-64), or native (this machine's)
    #[arg(long, value_name = "CPU", default_value = "baseline")]
    pub cpu: String,
    /// Make /init a link to ente-zero instead of a script that exports variables
    #[arg(long)]
    pub no_wrapper: bool,
}

/// The variables that the builder reads, taken once.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    variables: Vec<(String, String)>,
}

impl Environment {
    /// This process's variables; those that are not UTF-8 are none of ours.
    #[must_use]
    pub fn of_process() -> Self {
        let variables = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        Self::from_iter(variables)
    }

    fn get(&self, name: &str) -> Option<&str> {
        let found = self.variables.iter().find(|(known, _)| known == name);
        found
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    /// `RUST_LOG` and `BRAHMAN_*`, sorted: what the wrapper hands to PID 1.
    fn exported(&self) -> Vec<(String, String)> {
        let plain = |name: &str| name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        let mut exported: Vec<(String, String)> = self
            .variables
            .iter()
            .filter(|(name, _)| name == "RUST_LOG" || name.starts_with("BRAHMAN_"))
            .filter(|(name, _)| plain(name))
            .cloned()
            .collect();
        exported.sort();
        exported
    }
}

impl FromIterator<(String, String)> for Environment {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(variables: I) -> Self {
        Self {
            variables: variables.into_iter().collect(),
        }
    }
}

impl ImageArgs {
    /// The options for a seed, from these arguments and the variables `BUSYBOX_BIN`, `EXTRA_BINS`,
    /// `SOURCE_DATE_EPOCH`, `RUST_LOG`, `BRAHMAN_*` and `PATH`. Arguments win.
    ///
    /// # Errors
    /// [`Error::Option`] for a value that makes no sense, [`Error::NotFound`] for a program that is not there.
    pub fn options(
        &self,
        seed: impl Into<PathBuf>,
        environment: &Environment,
    ) -> Result<Options, Error> {
        let cpu = Cpu::from_name(&self.cpu).ok_or_else(|| Error::Option {
            name: "--cpu",
            reason: format!("{:?} is neither baseline nor native", self.cpu),
        })?;
        Ok(Options {
            fragments: self.fragments.clone(),
            components: self.components.clone(),
            locked: self.locked,
            helpers: self.helper_folders()?,
            with_compiler: self.with_compiler,
            cpu,
            wrapper: !self.no_wrapper,
            environment: environment.exported(),
            busybox: self
                .busybox
                .clone()
                .or_else(|| environment.get("BUSYBOX_BIN").map(PathBuf::from)),
            programs: self.programs(environment)?,
            modules: self.modules.clone(),
            modules_dir: self.modules_dir.clone(),
            kernel_release: self.kernel_release.clone(),
            compression: if self.gzip {
                Compression::Gzip
            } else {
                Compression::Zstd
            },
            mtime: source_date(environment)?,
            ..Options::new(seed)
        })
    }

    fn helper_folders(&self) -> Result<Vec<PathBuf>, Error> {
        if !self.helpers.is_empty() {
            return Ok(self.helpers.clone());
        }
        let me = std::env::current_exe().map_err(Error::io("find", "this program"))?;
        Ok(me.parent().map(PathBuf::from).into_iter().collect())
    }

    fn programs(&self, environment: &Environment) -> Result<Vec<Program>, Error> {
        let mut programs = Vec::new();
        for text in &self.bins {
            programs.push(text.parse()?);
        }
        let path = environment.get("PATH").unwrap_or_default();
        let from_environment = environment.get("EXTRA_BINS");
        let lists = self.extra_bins.iter().map(String::as_str);
        for list in lists.chain(from_environment) {
            for name in list.split_ascii_whitespace() {
                programs.push(Program::at_its_path(name, path)?);
            }
        }
        Ok(programs)
    }
}

/// `SOURCE_DATE_EPOCH` (reproducible-builds.org), or 0.
fn source_date(environment: &Environment) -> Result<u32, Error> {
    match environment.get("SOURCE_DATE_EPOCH") {
        None => Ok(0),
        Some(text) => text.parse().map_err(|_| Error::Option {
            name: "SOURCE_DATE_EPOCH",
            reason: format!(
                "{text:?} is not a number of seconds since 1970 that fits into 32 bits, which is what the archive's headers have"
            ),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Environment {
        let owned = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        owned.collect()
    }

    fn args() -> ImageArgs {
        ImageArgs {
            cpu: "baseline".to_owned(),
            ..ImageArgs::default()
        }
    }

    #[test]
    fn variables_work_and_arguments_win() {
        let variables = environment(&[
            ("BUSYBOX_BIN", "/env/busybox"),
            ("EXTRA_BINS", "sh /bin/ls"),
            ("PATH", "/bin"),
            ("SOURCE_DATE_EPOCH", "1700000000"),
            ("RUST_LOG", "debug"),
            ("BRAHMAN_Z", "1"),
            ("BRAHMAN_A", "2"),
            ("BRAHMAN_$(x)", "3"),
            ("HOME", "/root"),
        ]);
        let options = args().options("s.json", &variables).unwrap();
        assert_eq!(options.busybox, Some(PathBuf::from("/env/busybox")));
        let dests: Vec<&str> = options.programs.iter().map(|p| p.dest.as_str()).collect();
        assert_eq!(dests, ["/bin/sh", "/bin/ls"]);
        assert_eq!(options.mtime, 1_700_000_000);
        let names: Vec<&str> = options
            .environment
            .iter()
            .map(|(n, _)| n.as_str())
            .collect();
        assert_eq!(names, ["BRAHMAN_A", "BRAHMAN_Z", "RUST_LOG"]);

        let mut args = args();
        args.busybox = Some(PathBuf::from("/arg/busybox"));
        args.gzip = true;
        let options = args.options("s.json", &variables).unwrap();
        assert_eq!(options.busybox, Some(PathBuf::from("/arg/busybox")));
        assert_eq!(options.compression, Compression::Gzip);
    }

    #[test]
    fn values_that_make_no_sense() {
        for epoch in ["yesterday", "-1", "4294967296", "1.5"] {
            let error = args()
                .options("s", &environment(&[("SOURCE_DATE_EPOCH", epoch)]))
                .unwrap_err();
            assert!(error.to_string().contains(epoch), "{error}");
        }
        let mut args = args();
        args.cpu = "z80".to_owned();
        let error = args.options("s", &environment(&[])).unwrap_err();
        assert!(error.to_string().contains("z80"), "{error}");
    }
}
