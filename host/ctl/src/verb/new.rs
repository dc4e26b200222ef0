//! `ente new`: the folder of a new service.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::{Args, Subcommand};
use ente::draft::fresh_id;
use ente::service::{Name, NewService, SDK_VARIABLE, find_kit};

use super::{Failure, Outcome};

/// Make the folder of something new
#[derive(Subcommand)]
pub enum NewVerb {
    Service(Arguments),
}

/// Make a folder NAME with a typed service
///
/// The folder has a component in Rust, the interface that it provides, native tests, and a seed that runs it. It
/// builds, tests and runs as it is, `ente dev` keeps it running while it is written; docs/writing-a-component.md goes on from there.
#[derive(Args)]
pub struct Arguments {
    /// Name of the service and of its folder: lower-case words with hyphens between them
    name: Name,
    /// The tree of arje, or the folder of its guest kit [default: $ARJE_SDK, else the tree in whose target folder this program is]
    #[arg(long, value_name = "PATH")]
    sdk: Option<PathBuf>,
}

impl NewVerb {
    pub fn run(self, out: &mut dyn Write) -> Result<Outcome, Failure> {
        match self {
            Self::Service(arguments) => arguments.run(out),
        }
    }
}

impl Arguments {
    fn run(self, out: &mut dyn Write) -> Result<Outcome, Failure> {
        let name = &self.name;
        let program = std::env::current_exe()
            .map_err(|error| Failure::Unusable(format!("the path of this program: {error}")))?;
        let variable = std::env::var_os(SDK_VARIABLE).map(PathBuf::from);
        let kit = find_kit(self.sdk.as_deref(), variable.as_deref(), &program)
            .map_err(Failure::Unusable)?;
        let kit = kit
            .canonicalize()
            .map_err(|error| Failure::Unusable(format!("{}: {error}", kit.display())))?;
        let id = || fresh_id().map_err(|error| Failure::Unusable(format!("/dev/urandom: {error}")));
        let service = NewService {
            name,
            kit: &kit,
            ids: [id()?, id()?],
        };
        let folder = PathBuf::from(name.to_string());
        service
            .write(&folder)
            .map_err(|(path, error)| match error.kind() {
                io::ErrorKind::AlreadyExists => Failure::Refused(format!(
                    "{}: it exists; expected a new folder; choose another name, or remove it",
                    path.display()
                )),
                _ => Failure::Unusable(format!("{}: cannot be written: {error}", path.display())),
            })?;
        write!(
            out,
            "{name}: a service, with its interface, tests and a seed. To test it, and to run it while you write:\n\
             \n  cd {name}\
             \n  cargo test\
             \n  ente dev\n"
        )?;
        Ok(Outcome::Done)
    }
}
