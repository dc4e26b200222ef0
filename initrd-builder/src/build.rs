//! From options to an image: gathers everything into a [`Tree`], checks it against the Cards, packs it.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use arje_card::{Card, Payload, Pin, Visit};
use arje_store::Sha256;
use arje_verify::Findings;
use arje_verify::modules::Modules;
use arje_verify::pins::{self, Components};

use crate::artifacts;
use crate::busybox;
use crate::closure::{Libraries, Placed};
use crate::cpio;
use crate::elf::{self, ElfProblem};
use crate::error::{Error, read_capped};
use crate::kmod::{ModuleFolder, Selection};
use crate::modcard;
use crate::options::{Options, Program};
use crate::report::Summary;
use crate::seed::{self, Loaded};
use crate::skeleton;
use crate::tree::{Group, Tree};

/// Where busybox is looked for when nobody says: Debian's and Fedora's places.
const BUSYBOX_PLACES: [&str; 4] = [
    "/bin/busybox",
    "/usr/bin/busybox",
    "/sbin/busybox",
    "/usr/sbin/busybox",
];

/// Bytes of one program.
const MAX_PROGRAM: u64 = cpio::MAX_FILE;

/// Helpers of the image: name and place.
const HELPERS: [(&str, &str); 3] = [
    ("ente-zero", skeleton::PID_1),
    ("ente-spawn", "/usr/lib/ente/ente-spawn"),
    ("ente", "/usr/bin/ente"),
];
const COMPILER: &str = "ente-compile";

/// Everything of an image but its bytes.
#[derive(Debug)]
pub struct Assembled {
    /// The files.
    pub tree: Tree,
    /// The seed as it is packed: pinned, and with the Card that loads kernel modules.
    pub seed: Card,
    /// The session fragments as they are packed, each with its name (`kiosk` of `session-kiosk.card.json`).
    pub fragments: Vec<(String, Card)>,
    /// What is worth telling about how they were found, one line each.
    pub notes: Vec<String>,
}

/// Builds the image and writes it to `out`, atomically: a reader sees the old file or the whole new one.
///
/// # Errors
/// [`Error`]: everything that is wrong with the Cards and that the image lacks for them, and the first thing that
/// else stands in the way.
pub fn build(options: &Options, out: &Path) -> Result<Summary, Error> {
    let assembled = assemble(options)?;
    let unpacked = cpio::pack(&assembled.tree, options.mtime)?;
    let packed = options.compression.compress(&unpacked)?;
    write_atomically(out, &packed)?;
    Ok(Summary::new(
        out,
        options.compression,
        assembled,
        unpacked.len() as u64,
        &packed,
    ))
}

/// Gathers the files of the image and checks them against the Cards.
///
/// # Errors
/// As [`build`].
pub fn assemble(options: &Options) -> Result<Assembled, Error> {
    let mut modules = open_modules(options)?;
    let mut cards = load_cards(options, &mut modules)?;
    let mut assembly = Assembly::new(options);
    let loader = refuse_bad(&mut cards, assembly.gather(), &assembly.tree)?;
    if let Some(card) = loader {
        let seed = &mut cards[0];
        seed.reading.document.card.genesis.insert(0, card);
        // The seed gained a Card: labels and identities must still be unique.
        let report = seed.reading.report();
        if !report.is_empty() {
            let findings = Findings::of_report(&report);
            return Err(Error::cards([(seed.source.as_path(), &findings)], None));
        }
    }
    assembly.add_cards(&cards)?;
    assembly.add_modules(&cards, modules.components())?;
    let seed = cards.remove(0).reading.document.card;
    let fragments = cards.into_iter().map(|loaded| {
        let name = seed::session_of(&loaded.source).unwrap_or_default();
        (name.to_owned(), loaded.reading.document.card)
    });
    let fragments = fragments.collect();
    Ok(Assembled {
        tree: assembly.tree,
        seed,
        fragments,
        notes: assembly.notes,
    })
}

fn open_modules(options: &Options) -> Result<Modules, Error> {
    let mut folders = options.components.clone();
    // As in dev mode: a seed and its components can simply lie side by side.
    let beside = options.seed.with_file_name("components");
    if beside.is_dir() {
        folders.push(beside);
    }
    Ok(Modules::of_folders(&folders)?)
}

/// The seed first, then the fragments.
fn load_cards(options: &Options, modules: &mut Modules) -> Result<Vec<Loaded>, Error> {
    let mut cards = vec![seed::load(&options.seed, modules)?];
    if let Some(folder) = &options.fragments {
        for path in seed::fragments(folder)? {
            cards.push(seed::load(&path, modules)?);
        }
    }
    if options.locked {
        cards.iter_mut().for_each(Loaded::refuse_changes);
    }
    Ok(cards)
}

/// Refuses everything at once: what is wrong with the Cards, what the image lacks, and what kept it from being gathered,
/// in which case nobody knows what it lacks.
fn refuse_bad<T>(
    cards: &mut [Loaded],
    gathered: Result<T, Error>,
    tree: &Tree,
) -> Result<T, Error> {
    if gathered.is_ok() {
        cards
            .iter_mut()
            .for_each(|loaded| loaded.judge_against(tree));
    }
    if cards
        .iter()
        .all(|loaded| loaded.findings.problems.is_empty())
    {
        return gathered;
    }
    let files = cards
        .iter()
        .map(|loaded| (loaded.source.as_path(), &loaded.findings));
    Err(Error::cards(files, gathered.err()))
}

struct Assembly<'o> {
    options: &'o Options,
    libraries: Libraries,
    tree: Tree,
    notes: Vec<String>,
}

impl<'o> Assembly<'o> {
    fn new(options: &'o Options) -> Self {
        Self {
            options,
            libraries: Libraries::below(Path::new("/")),
            tree: Tree::new(),
            notes: Vec::new(),
        }
    }

    /// Everything of the image but the Cards and their components; returns the Card that loads kernel modules.
    fn gather(&mut self) -> Result<Option<Card>, Error> {
        skeleton::add(&mut self.tree, self.options)?;
        self.add_helpers()?;
        for program in &self.options.programs {
            self.add_program(program, Group::Programs)?;
        }
        self.add_busybox()?;
        self.add_kernel_modules()
    }

    fn add_helpers(&mut self) -> Result<(), Error> {
        for (name, dest) in HELPERS {
            let source = self.helper(name)?;
            self.add_helper(dest, source)?;
        }
        if self.options.with_compiler {
            let source = self.helper(COMPILER)?;
            self.add_helper("/usr/lib/ente/ente-compile", source)?;
        }
        Ok(())
    }

    fn add_helper(&mut self, dest: &str, source: PathBuf) -> Result<(), Error> {
        let dest = dest.to_owned();
        self.add_program(&Program { dest, source }, Group::Arje)
    }

    fn helper(&self, name: &str) -> Result<PathBuf, Error> {
        let candidates: Vec<PathBuf> = self
            .options
            .helpers
            .iter()
            .map(|folder| folder.join(name))
            .collect();
        match candidates.iter().find(|path| path.is_file()) {
            Some(found) => Ok(found.clone()),
            None => Err(Error::NotFound {
                what: format!("program {name}"),
                searched: candidates,
                remedy: format!(
                    "build it (cargo build --release -p {name}) or name its folder with --helpers"
                ),
            }),
        }
    }

    /// Adds a program and what its loader needs.
    fn add_program(&mut self, program: &Program, group: Group) -> Result<(), Error> {
        let Program { dest, source } = program;
        let data = read_capped(source, MAX_PROGRAM)?;
        match elf::parse(&data) {
            Ok(info) => {
                for placed in self.libraries.closure(dest, source, &info)? {
                    self.place(placed)?;
                }
            }
            // A script, or something its owner knows how to use; Cards that run it are checked later.
            Err(ElfProblem::NotElf) => {}
            Err(problem) => {
                return Err(Error::Elf {
                    path: source.clone(),
                    reason: problem.to_string(),
                });
            }
        }
        self.tree.add_file(dest, data, 0o755, group)
    }

    fn place(&mut self, placed: Placed) -> Result<(), Error> {
        match placed {
            Placed::File { path, data, .. } => {
                self.tree.add_file(&path, data, 0o755, Group::Libraries)
            }
            Placed::Link { path, target } => {
                self.tree.add_symlink(&path, &target, Group::Libraries)
            }
        }
    }

    fn add_busybox(&mut self) -> Result<(), Error> {
        let source = match &self.options.busybox {
            Some(path) => path.clone(),
            None => BUSYBOX_PLACES
                .iter()
                .map(PathBuf::from)
                .find(|path| path.is_file())
                .ok_or_else(|| Error::NotFound {
                    what: "busybox".to_owned(),
                    searched: BUSYBOX_PLACES.iter().map(PathBuf::from).collect(),
                    remedy: "install busybox-static, or name one with --busybox or BUSYBOX_BIN"
                        .to_owned(),
                })?,
        };
        let (applets, asked) = busybox::applets(&source);
        if !asked {
            let source = source.display();
            self.notes.push(format!(
                "{source} does not list its applets on this machine; the image has a fixed list of links"
            ));
        }
        let dest = busybox::PATH.to_owned();
        self.add_program(&Program { dest, source }, Group::Busybox)?;
        busybox::add_applets(&mut self.tree, &applets)
    }

    /// Adds the kernel modules asked for, and returns the Card that loads them.
    fn add_kernel_modules(&mut self) -> Result<Option<Card>, Error> {
        if self.options.modules.is_empty() {
            return Ok(None);
        }
        let (folder, release) = module_folder(self.options)?;
        let selection = ModuleFolder::open(&folder)?.select(&self.options.modules)?;
        let Selection { modules, builtin } = &selection;
        for name in builtin {
            self.notes
                .push(format!("kernel module {name} is built into {release}"));
        }
        let base = format!("/lib/modules/{release}");
        for module in modules {
            let path = format!("{base}/{}", module.path);
            self.tree
                .add_file(&path, module.data.as_slice(), 0o644, Group::KernelModules)?;
        }
        if !modules.is_empty() {
            let text = selection.modules_dep().into_bytes();
            self.tree.add_file(
                &format!("{base}/modules.dep"),
                text,
                0o644,
                Group::KernelModules,
            )?;
        }
        Ok(modcard::card(&selection))
    }

    fn add_cards(&mut self, cards: &[Loaded]) -> Result<(), Error> {
        for (index, loaded) in cards.iter().enumerate() {
            let file = loaded.source.display();
            let warnings = loaded.findings.warnings.iter();
            self.notes
                .extend(warnings.map(|warning| format!("{file}: warning: {warning}")));
            self.notes.extend(pins::by_component(&loaded.changes));
            let path = match (index, loaded.source.file_name().and_then(|n| n.to_str())) {
                (0, _) | (_, None) => skeleton::SEED.to_owned(),
                (_, Some(name)) => format!("{}/{name}", skeleton::FRAGMENTS),
            };
            let text = loaded.card().to_json().map_err(|error| Error::Option {
                name: "--seed",
                reason: format!("{file}: {error}"),
            })?;
            self.tree
                .add_file(&path, text.into_bytes(), 0o644, Group::Seed)?;
        }
        Ok(())
    }

    /// Adds the pinned components and what is compiled from them.
    fn add_modules(&mut self, cards: &[Loaded], components: &Components) -> Result<(), Error> {
        let mut pinned: Vec<(Pin, &str)> = cards
            .iter()
            .flat_map(|loaded| loaded.card().walk())
            .filter_map(|Visit { card, .. }| match &card.payload {
                Payload::Wasm(wasm) => Some((wasm.module_sha256, card.label.as_str())),
                Payload::Native(_) | Payload::Virtual | Payload::Legacy(_) => None,
            })
            .collect();
        // One of each, with the first Card that pins it: seeds run one component many times over.
        pinned.sort_by_key(|(pin, _)| *pin);
        pinned.dedup_by_key(|(pin, _)| *pin);
        if pinned.is_empty() {
            return Ok(());
        }
        let compiler = self.helper(COMPILER)?;
        artifacts::add(
            &mut self.tree,
            &pinned,
            components,
            compiler,
            self.options.cpu,
        )
    }
}

/// The folder of the kernel's modules, and the release it is for.
fn module_folder(options: &Options) -> Result<(PathBuf, String), Error> {
    let named = options.modules_dir.as_deref();
    let release = match (&options.kernel_release, named) {
        (Some(release), _) => release.clone(),
        (None, Some(folder)) => {
            let name = folder.file_name().and_then(|name| name.to_str());
            name.map(str::to_owned).ok_or_else(|| Error::Option {
                name: "--modules-dir",
                reason: format!(
                    "{} does not end in a release; add --kernel-release",
                    folder.display()
                ),
            })?
        }
        (None, None) => {
            let file = Path::new("/proc/sys/kernel/osrelease");
            let text = std::fs::read_to_string(file).map_err(Error::io("read", file))?;
            text.trim().to_owned()
        }
    };
    if release.is_empty() || release.contains('/') {
        return Err(Error::Option {
            name: "--kernel-release",
            reason: format!("{release:?} is not a kernel's release (see `uname -r`)"),
        });
    }
    let folder = named.map_or_else(|| Path::new("/lib/modules").join(&release), Path::to_owned);
    Ok((folder, release))
}

/// Writes beside the target and renames. The temporary name carries the process id, so that two builds do
/// not write into one file.
fn write_atomically(out: &Path, bytes: &[u8]) -> Result<(), Error> {
    let mut name = out.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let temporary = out.with_file_name(name);
    let written = std::fs::File::create(&temporary).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    let result = written
        .map_err(Error::io("write", &temporary))
        .and_then(|()| std::fs::rename(&temporary, out).map_err(Error::io("write", out)));
    if result.is_err() {
        // Nothing half-written stays; that it cannot be removed either adds nothing to the error.
        let _ = std::fs::remove_file(&temporary);
    }
    result
}

/// The sha256 of the image, as it is printed.
pub(crate) fn digest(bytes: &[u8]) -> String {
    Sha256::of(bytes).to_string()
}
