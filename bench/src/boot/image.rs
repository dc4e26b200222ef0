//! The images of the timed boots. All have the same first program and are not compressed: unpacking is over
//! before the hand-over.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use arje_card::{Card, Filesystem, Id, NativePayload, Networking, Payload, Supervision};
use arje_guest_artifacts::components;
use arje_qemu::milestones::{Milestone, of_seed};
use initrd_builder::tree::{Group, Node, Tree};
use initrd_builder::{Options, Program, assemble, busybox, cpio};

use super::SERVICES;
use super::peer::{FOLDER, Init, Load};
use crate::error::Error;
use crate::places::{FREESTANDING, Places};

/// The seed that shows what Wasm can do.
const SEED: &str = "seeds/arje-wasm.card.json";

/// Where the programs of a timed boot are in the image.
const FIRST: &str = "/bench/first";
const SERVICE: &str = "/bench/service";
const MORTAL: &str = "/bench/mortal";
const MOUNTS: &str = "/bench/mounts";

/// Where `bench/native/mounts.sh` mounts, as far as it does not make the folders itself.
const MOUNT_POINTS: [&str; 4] = ["/proc", "/sys", "/run", "/tmp"];

/// Which image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Image {
    /// So many `hello` services.
    Wasm(usize),
    /// The same, and `/init` is the shell script that images have by default.
    WasmByScript(usize),
    /// busybox init with native services without a C library.
    BusyboxNative,
    /// The same, after a script has mounted the file systems that arje mounts.
    BusyboxMounts,
    /// busybox init with native services with static glibc.
    BusyboxGlibc,
    /// arje with native services without a C library.
    ArjeNative,
    /// arje with native services with static glibc.
    ArjeGlibc,
    /// The seed of this tree with components of all kinds.
    Seed,
    /// Native services without a C library under one of the supervisors, which mounts what it mounts by
    /// itself.
    Under(Init, Load),
}

impl Image {
    /// Those of the timed boots, in an order that puts what is compared side by side.
    pub const BOOTS: [Image; 9] = [
        Image::Wasm(1),
        Image::Wasm(SERVICES),
        Image::BusyboxMounts,
        Image::BusyboxNative,
        Image::ArjeNative,
        Image::BusyboxGlibc,
        Image::ArjeGlibc,
        Image::WasmByScript(SERVICES),
        Image::Seed,
    ];

    fn init(self) -> Init {
        match self {
            Image::BusyboxNative | Image::BusyboxMounts | Image::BusyboxGlibc => Init::Busybox,
            Image::Under(init, _) => init,
            _ => Init::Arje,
        }
    }

    /// Native services, if it has any.
    fn load(self) -> Load {
        match self {
            Image::Under(_, load) => load,
            _ => Load::Many(SERVICES),
        }
    }

    fn glibc(self) -> bool {
        matches!(self, Image::BusyboxGlibc | Image::ArjeGlibc)
    }
}

/// An image file, and what a boot of it must show.
#[derive(Debug, Clone)]
pub struct Built {
    pub path: PathBuf,
    pub milestones: Vec<Milestone>,
}

/// Builds each image when it is first asked for.
#[derive(Debug)]
pub struct Images<'p> {
    places: &'p Places,
    /// The first program, which becomes each of the supervisors.
    first: BTreeMap<Init, PathBuf>,
    /// The native service without a C library, and with one.
    services: [PathBuf; 2],
    /// The one that dies.
    mortal: PathBuf,
    built: BTreeMap<Image, Built>,
    /// Entes of [`SEED`] that have something to run; known once it was built.
    pub seed_entes: usize,
}

impl<'p> Images<'p> {
    /// Builds the programs that go into them.
    ///
    /// # Errors
    /// One cannot be built.
    pub fn prepare(places: &'p Places) -> Result<Self, Error> {
        let freestanding =
            |name: &str| places.build_native(&format!("{name}.c"), name, &FREESTANDING);
        let first = Init::ALL
            .into_iter()
            .map(|init| Ok((init, build_first(places, init)?)))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            first,
            services: [
                freestanding("service-freestanding")?,
                places.build_native("service.c", "service", &[])?,
            ],
            mortal: freestanding("service-mortal")?,
            places,
            built: BTreeMap::new(),
            seed_entes: 0,
        })
    }

    /// # Errors
    /// It cannot be built.
    pub fn get(&mut self, image: Image) -> Result<Built, Error> {
        if let Some(built) = self.built.get(&image) {
            return Ok(built.clone());
        }
        let (mut tree, milestones) = match image.init() {
            // A thousand services are not held to their lines on a slow console: they have their own word.
            Init::Arje if matches!(image, Image::Under(..)) => (self.arje(image)?.0, Vec::new()),
            Init::Arje => self.arje(image)?,
            Init::Busybox => (self.busybox(image)?, Vec::new()),
            Init::Runit | Init::S6 => (self.folders(image)?, Vec::new()),
        };
        // Before /dev is mounted, and where nobody mounts it.
        for (path, device) in [("/dev/kmsg", (1, 11)), ("/dev/ttyS0", (4, 64))] {
            tree.add_char(path, device, 0o600).map_err(Error::tree)?;
        }
        let number = self.built.len();
        let path = self.places.work.join(format!("boot/{number}.cpio"));
        let archive = cpio::pack(&tree, 0).map_err(Error::tree)?;
        std::fs::write(&path, archive).map_err(Error::io("write", &path))?;
        let built = Built { path, milestones };
        self.built.insert(image, built.clone());
        Ok(built)
    }

    fn service(&self, image: Image) -> &Path {
        &self.services[usize::from(image.glibc())]
    }

    fn arje(&mut self, image: Image) -> Result<(Tree, Vec<Milestone>), Error> {
        let mut options = Options::new(self.seed(image)?);
        options.components = vec![components()];
        options.helpers = vec![self.places.programs.clone()];
        options.wrapper = matches!(image, Image::WasmByScript(_));
        options.programs = vec![
            program(FIRST, &self.first[&image.init()]),
            program(SERVICE, self.service(image)),
            program(MORTAL, &self.mortal),
        ];
        let of_peer = image.init().programs().iter();
        options
            .programs
            .extend(of_peer.map(|path| program(path, Path::new(path))));
        let assembled = assemble(&options).map_err(Error::tree)?;
        if image == Image::Seed {
            let cards = assembled.seed.walk().map(|visit| visit.card);
            self.seed_entes = cards
                .filter(|card| card.payload != Payload::Virtual)
                .count();
        }
        Ok((assembled.tree, of_seed(&assembled.seed)))
    }

    /// The seed's file: the tree's own, or one made here.
    fn seed(&self, image: Image) -> Result<PathBuf, Error> {
        let entes: Vec<Card> = match image {
            Image::Wasm(count) | Image::WasmByScript(count) => {
                let pin = arje_card::Pin(*self.places.stock("hello")?.as_bytes());
                (0..count).map(|n| hello(n, pin)).collect()
            }
            Image::Seed => return Ok(self.places.root.join(SEED)),
            _ => match image.load() {
                Load::Many(count) => (0..count)
                    .map(|n| native(n, SERVICE, SUPERVISION))
                    .collect(),
                Load::Mortal => vec![native(0, MORTAL, AT_ONCE)],
            },
        };
        let mut seed = Card::new(id(0), "bench", Payload::Virtual, Supervision::OneShot);
        seed.genesis = entes;
        let path = self.places.work.join("boot/seed.card.json");
        let text = seed.to_json().map_err(Error::tree)?;
        std::fs::write(&path, text).map_err(Error::io("write", &path))?;
        Ok(path)
    }

    /// One folder for each service, whose `run` is the service itself: what runit and s6 look after.
    fn folders(&mut self, image: Image) -> Result<Tree, Error> {
        let (mut tree, _) = self.arje(image)?;
        let (count, service) = match image.load() {
            Load::Many(count) => (count, self.service(image)),
            Load::Mortal => (1, &*self.mortal),
        };
        let run = std::fs::read(service).map_err(Error::io("read", service))?;
        for n in 0..count {
            let path = format!("{FOLDER}/{n:02}/run");
            tree.add_file(&path, run.clone(), 0o755, Group::Programs)
                .map_err(Error::tree)?;
        }
        Ok(tree)
    }

    /// The same busybox as in the other images, as their init.
    fn busybox(&mut self, image: Image) -> Result<Tree, Error> {
        let (arje, _) = self.arje(Image::ArjeNative)?;
        let program = match arje.resolve(busybox::PATH).map(|(_, entry)| &entry.node) {
            Some(Node::File(data)) => data.to_vec(),
            _ => return Err(Error::Missing("the image has no busybox".to_owned())),
        };
        let services = match image.load() {
            // busybox init takes two equal commands for one.
            Load::Many(count) => (0..count)
                .map(|n| format!("::once:{SERVICE} {n}\n"))
                .collect(),
            Load::Mortal => vec![format!("::respawn:{MORTAL}\n")],
        };
        let mounts = (image == Image::BusyboxMounts).then(|| format!("::sysinit:{MOUNTS}\n"));
        let inittab: String = mounts.into_iter().chain(services).collect();
        let read = |path: &Path| std::fs::read(path).map_err(Error::io("read", path));
        let native = self.places.root.join("bench/native");
        let mut tree = Tree::new();
        for folder in MOUNT_POINTS {
            tree.add_dir(folder, 0o755, Group::Skeleton)
                .map_err(Error::tree)?;
        }
        for applet in ["sh", "mount", "mkdir"] {
            tree.add_symlink(&format!("/bin/{applet}"), "busybox", Group::Busybox)
                .map_err(Error::tree)?;
        }
        for (path, data, mode) in [
            (busybox::PATH, program, 0o755),
            ("/etc/inittab", inittab.into_bytes(), 0o644),
            (FIRST, read(&self.first[&Init::Busybox])?, 0o755),
            (SERVICE, read(self.service(image))?, 0o755),
            (MORTAL, read(&self.mortal)?, 0o755),
            (MOUNTS, read(&native.join("mounts.sh"))?, 0o755),
        ] {
            tree.add_file(path, data, mode, Group::Programs)
                .map_err(Error::tree)?;
        }
        tree.add_symlink("/sbin/init", "../bin/busybox", Group::Busybox)
            .and_then(|()| tree.add_char("/dev/console", (5, 1), 0o600))
            .and_then(|()| tree.add_char("/dev/null", (1, 3), 0o666))
            .map_err(Error::tree)?;
        Ok(tree)
    }
}

/// The first program of an image, which becomes this one.
fn build_first(places: &Places, init: Init) -> Result<PathBuf, Error> {
    let command: Vec<String> = init
        .command()
        .iter()
        .map(|it| format!("\"{it}\""))
        .collect();
    let name = format!("first-{}", init.name().replace(' ', "-"));
    let path = format!("-DINIT={}", command[0]);
    let arguments = format!("-DARGV={}", command.join(","));
    places.build_native("first.c", &name, &[&path, &arguments])
}

fn program(dest: &str, source: &Path) -> Program {
    Program {
        dest: dest.to_owned(),
        source: source.to_owned(),
    }
}

fn id(number: usize) -> Id {
    Id::from_parts(1 + number as u64, [2; 10])
}

/// As services are supervised: started again when they end.
const SUPERVISION: Supervision = Supervision::Restart {
    initial: 200,
    max: 30_000,
};

fn hello(n: usize, pin: arje_card::Pin) -> Card {
    let payload = Payload::Wasm(arje_card::WasmPayload {
        module_sha256: pin,
        entry: arje_card::Entry::Service,
        ..Default::default()
    });
    Card::new(id(1 + n), format!("hello-{n:02}"), payload, SUPERVISION)
}

/// The shortest delay that a Card can ask for.
const AT_ONCE: Supervision = Supervision::Restart {
    initial: 1,
    max: 1_000,
};

fn native(n: usize, program: &str, supervision: Supervision) -> Card {
    let payload = Payload::Native(NativePayload {
        exec: program.to_owned(),
        ..NativePayload::default()
    });
    let mut card = Card::new(id(1 + n), format!("native-{n:02}"), payload, supervision);
    // Unconfined, as its peers start it.
    card.permissions.networking = Networking::Full;
    card.permissions.filesystem = Filesystem::ReadWrite;
    card.permissions.processes = true;
    card
}
