//! `ente dev`: runs what is being written, and deploys it again whenever it is saved.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use ente::dev::plan::{COMPONENTS, SEED};
use ente::dev::project::Package;
use ente::dev::screen::Screen;
use ente::dev::session::{Session, Settings, Trouble};
use ente::place;

use super::{Failure, Outcome};

/// Run a seed in dev mode, and build and deploy its components whenever their sources are saved
///
/// Builds the packages, runs the seed in dev mode with their components, and watches the sources. What is saved is built
/// and deployed into the running system, as `ente deploy` does it; what does not build, or is refused, is said, and what runs goes
/// on. What cannot take over from what runs, as its interface has changed for example, has the system start anew, which is said; so
/// has a seed that is saved. The seed is pinned in memory only. Ctrl-C ends everything; three times, at once.
#[derive(Args)]
pub struct Arguments {
    /// Folder of a package; may be given several times; they are built in this order
    #[arg(long = "path", value_name = "DIR", default_value = ".")]
    packages: Vec<PathBuf>,
    /// The seed [default: seed.card.json, in the folder if there is one package, else in the current one]
    #[arg(long, value_name = "FILE")]
    seed: Option<PathBuf>,
    /// Where components are, NAME.wasm each [default: components beside the seed]
    #[arg(long, value_name = "DIR")]
    components: Option<PathBuf>,
    /// How packages without a Cargo.toml are built: a line for sh, run in the folder, which leaves NAME.wasm in $ARJE_COMPONENTS
    #[arg(long, value_name = "COMMAND")]
    build: Option<String>,
    /// The store of the system [default: $ARJE_STORE, else that of dev mode]
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,
    /// Where the sockets of the system are [default: a folder of its own]
    #[arg(long, value_name = "DIR")]
    run_dir: Option<PathBuf>,
}

impl Arguments {
    pub fn run(self, out: &mut dyn Write) -> Result<Outcome, Failure> {
        let settings = self.settings()?;
        let session = Session::new(settings, Screen::new(out)).map_err(Failure::Unusable)?;
        match session.run() {
            Ok(()) => Ok(Outcome::Done),
            Err(Trouble::Output(error)) => Err(Failure::Output(error)),
            Err(Trouble::Unusable(why)) => Err(Failure::Unusable(why)),
        }
    }

    fn settings(&self) -> Result<Settings, Failure> {
        let seed = self.seed()?;
        let beside = seed.with_file_name(COMPONENTS);
        let components = absolute(self.components.as_deref().unwrap_or(&beside))?;
        let store = self.store.clone().or_else(place::named_store);
        let store = store.or_else(place::dev_store).ok_or_else(|| {
            Failure::unusable("neither XDG_CACHE_HOME nor HOME is set; say --store DIR")
        })?;
        let store = absolute(&store)?;
        let run_dir = self.run_dir.as_deref().map(absolute).transpose()?;
        let build = self.build.as_deref();
        let packages = self.packages.iter();
        // Where these are in the folder of a package, they are no sources of it.
        let mut skipped = vec![components.as_path(), &seed, &store];
        skipped.extend(run_dir.as_deref());
        let packages = packages.map(|folder| Package::open(folder, build, &skipped));
        let packages = packages
            .collect::<Result<_, _>>()
            .map_err(Failure::Unusable)?;
        // Last, so that what is refused leaves nothing behind.
        fs::create_dir_all(&components)
            .map_err(|error| Failure::Unusable(format!("{}: {error}", components.display())))?;
        Ok(Settings {
            packages,
            seed,
            components,
            store,
            run_dir,
        })
    }

    fn seed(&self) -> Result<PathBuf, Failure> {
        let seed = match (&self.seed, self.packages.as_slice()) {
            (Some(seed), _) => seed.clone(),
            (None, [package]) => package.join(SEED),
            (None, _) => SEED.into(),
        };
        // Without links, as the folders of packages are.
        seed.canonicalize().map_err(|error| {
            Failure::Unusable(format!(
                "{}: {error}; name the seed with --seed, or make a folder that has one with `ente new service NAME`",
                seed.display()
            ))
        })
    }
}

fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    std::path::absolute(path)
        .map_err(|error| Failure::Unusable(format!("{}: {error}", path.display())))
}
