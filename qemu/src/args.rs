//! The command line of `arje-qemu`.

use std::path::{Path, PathBuf};

use arje_qemu::accel::Accel;
use arje_qemu::check::GuestCommand;
use clap::{
    Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches, Parser, Subcommand, ValueEnum,
};
use initrd_builder::cli::ImageArgs;

/// Boots arje in QEMU.
#[derive(Parser)]
#[command(name = "arje-qemu", version)]
pub struct Arguments {
    #[command(subcommand)]
    pub action: Action,
}

#[derive(Subcommand)]
pub enum Action {
    /// Boot on this terminal (Ctrl-A X leaves)
    Boot(Boot),
    /// Boot without a terminal, wait for the milestones, run commands; exit 0 only if all came
    Check(Check),
}

#[derive(Args)]
pub struct Boot {
    #[command(flatten)]
    pub subject: Subject,
    #[command(flatten)]
    pub machine: MachineArgs,
    #[command(flatten)]
    pub image: ImageArgs,
}

#[derive(Args)]
pub struct Check {
    #[command(flatten)]
    pub subject: Subject,
    /// The seed inside an IMAGE, for its milestones
    #[arg(long, value_name = "FILE")]
    pub seed: Option<PathBuf>,
    /// Seconds for everything together
    #[arg(long, value_name = "SECONDS", default_value_t = 180)]
    pub deadline: u64,
    #[command(flatten)]
    pub guest: GuestArgs,
    #[command(flatten)]
    pub machine: MachineArgs,
    #[command(flatten)]
    pub image: ImageArgs,
}

/// `--run` and `--expect`, in the order given: which text belongs to which command is a matter of their
/// places, so this reads the places and not just the values.
#[derive(Clone, Debug, Default)]
pub struct GuestArgs {
    pub commands: Vec<GuestCommand>,
}

const RUN: &str = "run";
const EXPECT: &str = "expect";

impl Args for GuestArgs {
    fn augment_args(command: Command) -> Command {
        let option = |name: &'static str| Arg::new(name).long(name).action(ArgAction::Append);
        command
            .arg(option(RUN).value_name("COMMAND").help(
                "A command for the guest's shell; it must end with 0, or print what the --expect after it say",
            ))
            .arg(
                option(EXPECT)
                    .value_name("TEXT")
                    .help("Text in the output of the --run before it; may be given several times"),
            )
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for GuestArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let placed = |name: &'static str| {
            let places = matches.indices_of(name).into_iter().flatten();
            let values = matches.get_many::<String>(name).into_iter().flatten();
            places
                .zip(values.cloned())
                .map(move |(place, value)| (place, name, value))
        };
        let mut words: Vec<_> = placed(RUN).chain(placed(EXPECT)).collect();
        words.sort_by_key(|(place, ..)| *place);
        let mut commands: Vec<GuestCommand> = Vec::new();
        for (_, name, value) in words {
            match commands.last_mut() {
                _ if name == RUN => commands.push(GuestCommand {
                    command: value,
                    expect: Vec::new(),
                }),
                Some(last) => last.expect.push(value),
                None => {
                    let text = format!("--expect {value:?} stands before any --run\n");
                    return Err(clap::Error::raw(
                        clap::error::ErrorKind::ValueValidation,
                        text,
                    ));
                }
            }
        }
        Ok(Self { commands })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// What is booted.
#[derive(Args)]
pub struct Subject {
    /// A seed (.json or .toml), from which an image is built first, or an image
    #[arg(value_name = "SEED|IMAGE")]
    pub path: PathBuf,
    /// Where the image built from a seed is written [default: target/image/NAME.img]
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

impl Subject {
    /// The seed, if it is one.
    pub fn seed(&self) -> Option<&Path> {
        let extension = self.path.extension()?.to_str()?;
        matches!(extension, "json" | "toml").then_some(self.path.as_path())
    }

    /// Where the image of this seed goes.
    pub fn out(&self, seed: &Path) -> PathBuf {
        let name = seed.file_name().unwrap_or_default().to_string_lossy();
        let name = name.split(".card.").next().unwrap_or(&name);
        self.out
            .clone()
            .unwrap_or_else(|| target().join("image").join(format!("{name}.img")))
    }
}

/// Cargo's output folder, where things that can be made again belong.
fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from)
}

#[derive(Clone, Copy, ValueEnum)]
pub enum AccelArg {
    Kvm,
    Tcg,
}

impl From<AccelArg> for Accel {
    fn from(arg: AccelArg) -> Self {
        match arg {
            AccelArg::Kvm => Self::Kvm,
            AccelArg::Tcg => Self::Tcg,
        }
    }
}

/// The machine.
#[derive(Args)]
pub struct MachineArgs {
    /// The kernel [default: /boot/vmlinuz-$(uname -r), else the newest in /boot, else Debian's cloud kernel, fetched]
    #[arg(long, value_name = "FILE")]
    pub kernel: Option<PathBuf>,
    /// Where a fetched kernel is kept [default: target/kernel]
    #[arg(long, value_name = "DIR")]
    pub kernel_cache: Option<PathBuf>,
    /// [default: kvm where it works, else tcg]
    #[arg(long, value_enum)]
    pub accel: Option<AccelArg>,
    /// The deterministic clock, for timing: TCG in one thread, 2 ns for each instruction, 512 MiB
    #[arg(long)]
    pub icount: bool,
    /// Memory in MiB
    #[arg(long, value_name = "MIB", default_value_t = 1024)]
    pub memory: u32,
    /// Processors
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub cpus: u32,
    /// Words for the kernel's command line; may be given several times [also: $KERNEL_CMD]
    #[arg(long, value_name = "WORDS", allow_hyphen_values = true)]
    pub append: Vec<String>,
    /// A blob for the guest's firmware configuration, below opt/ente/
    #[arg(long, value_name = "NAME,string=TEXT|file=PATH")]
    pub fw_cfg: Vec<String>,
    /// Further arguments for QEMU, after --
    #[arg(last = true, value_name = "QEMU ARGUMENTS")]
    pub extra: Vec<String>,
}

impl MachineArgs {
    pub fn cache(&self) -> PathBuf {
        self.kernel_cache
            .clone()
            .unwrap_or_else(|| target().join("kernel"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(words: &[&str]) -> Check {
        let words = ["arje-qemu", "check"].iter().chain(words);
        match Arguments::try_parse_from(words).unwrap().action {
            Action::Check(check) => check,
            Action::Boot(_) => panic!("boot"),
        }
    }

    #[test]
    fn seeds_and_images_are_told_apart() {
        for (path, seed) in [
            ("seeds/a.card.json", true),
            ("a.toml", true),
            ("a.img", false),
            ("initrd", false),
        ] {
            assert_eq!(check(&[path]).subject.seed().is_some(), seed, "{path}");
        }
        let subject = check(&["seeds/arje-wasm.card.json"]).subject;
        assert!(subject.out(&subject.path).ends_with("image/arje-wasm.img"));
    }

    #[test]
    fn an_expectation_belongs_to_the_command_before_it() {
        let words = [
            "s.json", "--run", "a", "--run", "b", "--expect", "B", "--expect", "BB", "--run", "c",
        ];
        let commands = check(&words).guest.commands;
        let pairs: Vec<(&str, Vec<&str>)> = commands
            .iter()
            .map(|c| {
                (
                    c.command.as_str(),
                    c.expect.iter().map(String::as_str).collect(),
                )
            })
            .collect();
        assert_eq!(
            pairs,
            [("a", vec![]), ("b", vec!["B", "BB"]), ("c", vec![])]
        );
        let early = [
            "arje-qemu",
            "check",
            "s.json",
            "--expect",
            "x",
            "--run",
            "a",
        ];
        let error = Arguments::try_parse_from(early)
            .err()
            .map(|e| e.to_string());
        assert!(error.is_some_and(|text| text.contains("before any --run")));
    }

    #[test]
    fn everything_after_two_dashes_is_for_qemu() {
        let check = check(&[
            "s.json",
            "--append",
            "quiet",
            "--",
            "-device",
            "virtio-rng-pci",
        ]);
        assert_eq!(check.machine.extra, ["-device", "virtio-rng-pci"]);
        assert_eq!(check.machine.append, ["quiet"]);
    }
}
