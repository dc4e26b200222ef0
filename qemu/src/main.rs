//! `arje-qemu`: boots an image on this terminal, or checks what it says.

mod args;

use std::ffi::OsString;
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use args::{Action, Arguments, Boot, Check, Subject};
use arje_card::{Card, append_fragment};
use arje_qemu::check::{Plan, check};
use arje_qemu::kernel::{Kernel, Search};
use arje_qemu::machine::Terminal;
use arje_qemu::milestones::{Milestone, of_any_seed, of_seed, of_seed_and_more, session_in};
use arje_qemu::{Error, Machine};
use clap::Parser;
use initrd_builder::cli::{Environment, ImageArgs};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = match &arguments.action {
        Action::Boot(boot) => run_boot(boot).map(|()| true),
        Action::Check(check) => run_check(check),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("arje-qemu: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Becomes QEMU; returns only when that fails.
fn run_boot(boot: &Boot) -> Result<(), Error> {
    let kernel = boot.machine.kernel()?;
    let machine = boot.machine.describe(&kernel)?;
    let (image, _) = image_of(&boot.subject, &boot.image, &kernel)?;
    eprintln!(
        "booting {} with {} ({}); Ctrl-A X leaves",
        image.display(),
        machine.kernel.display(),
        machine.accel.name()
    );
    let error = Command::new(&machine.program)
        .args(machine.arguments(&image, Terminal::Interactive))
        .exec();
    Err(Error::Program {
        command: machine.program.display().to_string(),
        reason: format!("{error}; is the package qemu-system-x86 installed?"),
    })
}

fn run_check(arguments: &Check) -> Result<bool, Error> {
    let kernel = arguments.machine.kernel()?;
    let machine = arguments.machine.describe(&kernel)?;
    let (image, packed) = image_of(&arguments.subject, &arguments.image, &kernel)?;
    let session = session_in(&machine.append);
    let milestones = match (packed, &arguments.seed) {
        (Some(Packed { seed, fragments }), _) => {
            let asked = |(name, _): &(String, Card)| Some(name.as_str()) == session;
            let fragment = fragments.into_iter().find(asked);
            of_session(seed, fragment.map(|(_, card)| card))
        }
        (None, Some(path)) => {
            let seed = initrd_builder::seed::read(path)?;
            match (session, &arguments.image.fragments) {
                (None, _) => of_seed(&seed),
                (Some(_), None) => of_seed_and_more(&seed),
                (Some(name), Some(folder)) => {
                    let path = folder.join(format!("session-{name}.card.json"));
                    of_session(seed, Some(initrd_builder::seed::read(&path)?))
                }
            }
        }
        (None, None) => of_any_seed(),
    };
    let plan = Plan {
        milestones,
        commands: arguments.guest.commands.clone(),
        deadline: Duration::from_secs(arguments.deadline),
    };
    let verdict = check(&machine, &image, &plan)?;
    // A reader that closed the pipe still gets the exit status.
    let _ = write!(std::io::stdout(), "{verdict}");
    Ok(verdict.passed())
}

/// The milestones of a seed with the fragment of its session, which PID 1 appends in the same way.
fn of_session(mut seed: Card, fragment: Option<Card>) -> Vec<Milestone> {
    if let Some(fragment) = fragment {
        append_fragment(&mut seed, fragment);
    }
    of_seed(&seed)
}

/// What was packed into an image: the seed, and the session fragments with their names.
struct Packed {
    seed: Card,
    fragments: Vec<(String, Card)>,
}

/// The image itself, or one built now from the seed, with the Cards as they were packed.
fn image_of(
    subject: &Subject,
    image: &ImageArgs,
    kernel: &Kernel,
) -> Result<(PathBuf, Option<Packed>), Error> {
    let Some(seed) = subject.seed() else {
        return Ok((subject.path.clone(), None));
    };
    let mut options = image.options(seed, &Environment::of_process())?;
    if options.modules_dir.is_none() && options.kernel_release.is_none() {
        // The modules must be those of the kernel that boots.
        options.modules_dir.clone_from(&kernel.modules);
        options.kernel_release.clone_from(&kernel.release);
    }
    let out = subject.out(seed);
    if let Some(folder) = out.parent().filter(|folder| *folder != Path::new("")) {
        std::fs::create_dir_all(folder).map_err(|source| Error::Io {
            action: "create",
            path: folder.to_owned(),
            source,
        })?;
    }
    let summary = initrd_builder::build(&options, &out)?;
    eprint!("{summary}");
    let packed = Packed {
        seed: summary.seed,
        fragments: summary.fragments,
    };
    Ok((out, Some(packed)))
}

impl args::MachineArgs {
    fn kernel(&self) -> Result<Kernel, Error> {
        Search::here(self.cache()).find(self.kernel.as_deref())
    }

    fn describe(&self, kernel: &Kernel) -> Result<Machine, Error> {
        let mut machine = Machine::new(&kernel.image);
        if let Some(accel) = self.accel {
            machine.accel = accel.into();
        }
        machine.icount = self.icount;
        machine.memory_mib = self.memory;
        machine.cpus = self.cpus;
        machine.append.extend(self.append.iter().cloned());
        machine.append.extend(std::env::var("KERNEL_CMD").ok());
        for item in &self.fw_cfg {
            machine.fw_cfg.push(item.parse()?);
        }
        machine.extra.extend(self.extra.iter().map(OsString::from));
        Ok(machine)
    }
}
