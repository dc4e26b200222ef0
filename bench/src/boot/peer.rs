//! Programs that supervise native services as the kernel's first program: arje, and those that the
//! distribution packages.

use std::path::Path;

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Init {
    /// `ente-zero`.
    Arje,
    /// busybox init.
    Busybox,
    /// `runsvdir` of runit; its `runit` would run scripts before that.
    Runit,
    /// `s6-svscan` of s6.
    S6,
}

/// What it supervises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Load {
    /// So many services that stay.
    Many(usize),
    /// One service that dies again and again.
    Mortal,
}

/// Where the folders of services are that runit and s6 look after.
pub const FOLDER: &str = "/service";

impl Init {
    /// All, in the order of the table.
    pub const ALL: [Init; 4] = [Init::Arje, Init::Busybox, Init::Runit, Init::S6];

    /// What the table calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Init::Arje => "arje",
            Init::Busybox => "busybox init",
            Init::Runit => "runit",
            Init::S6 => "s6",
        }
    }

    /// What the first program of the image becomes: a path in the image, and its arguments.
    pub const fn command(self) -> &'static [&'static str] {
        match self {
            Init::Arje => &["/init"],
            Init::Busybox => &["/sbin/init"],
            Init::Runit => &["/usr/bin/runsvdir", "-P", FOLDER],
            Init::S6 => &["/usr/bin/s6-svscan", FOLDER],
        }
    }

    /// The programs that it consists of, where this machine has them and the image will; arje and busybox
    /// are in the image anyway.
    pub const fn programs(self) -> &'static [&'static str] {
        match self {
            Init::Arje | Init::Busybox => &[],
            Init::Runit => &["/usr/bin/runsvdir", "/usr/bin/runsv"],
            Init::S6 => &["/usr/bin/s6-svscan", "/usr/bin/s6-supervise"],
        }
    }

    /// Whether this machine has all of them.
    pub fn is_here(self) -> bool {
        self.programs().iter().all(|it| Path::new(it).exists())
    }

    /// How many services it is tried with at once, besides those that every one is tried with. One process
    /// more for each service, and a look at each folder, would take the emulated processor minutes.
    pub const fn takes(self, services: usize) -> bool {
        services <= super::SERVICES || matches!(self, Init::Arje | Init::Busybox)
    }
}
