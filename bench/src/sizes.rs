//! Sizes of programs and of the minimal image.

use std::collections::BTreeMap;

use arje_guest_artifacts::components;
use initrd_builder::tree::Group;
use initrd_builder::{Options, Summary, build};

use crate::error::Error;
use crate::places::Places;
use crate::stats::Bytes;
use crate::table::Table;

/// Programs of the tree whose size is told.
const PROGRAMS: [&str; 4] = ["ente-zero", "ente-spawn", "ente", "ente-compile"];

/// The seed of the smallest useful image.
const MINIMAL: &str = "seeds/arje-minimal.card.json";

/// What was measured.
#[derive(Debug)]
pub struct Sizes {
    programs: Vec<(&'static str, u64)>,
    image: Summary,
}

/// Measures the programs beside this one, and builds the minimal image.
///
/// # Errors
/// A program is missing, or the image cannot be built.
pub fn measure(places: &Places) -> Result<Sizes, Error> {
    let mut options = Options::new(places.root.join(MINIMAL));
    options.components = vec![components()];
    options.helpers = vec![places.programs.clone()];
    let out = places.work.join("minimal.img");
    Ok(Sizes {
        programs: PROGRAMS
            .iter()
            .map(|name| size(places, name))
            .collect::<Result<_, _>>()?,
        image: build(&options, &out).map_err(Error::tree)?,
    })
}

fn size(places: &Places, name: &'static str) -> Result<(&'static str, u64), Error> {
    let path = places.programs.join(name);
    let metadata = std::fs::metadata(&path).map_err(Error::io("look at", &path))?;
    Ok((name, metadata.len()))
}

impl Sizes {
    /// Bytes of `ente-zero`.
    #[must_use]
    pub fn ente_zero(&self) -> u64 {
        self.program("ente-zero")
    }

    /// Bytes of the command line.
    #[must_use]
    pub fn ente(&self) -> u64 {
        self.program("ente")
    }

    fn program(&self, name: &str) -> u64 {
        let found = self.programs.iter().find(|(known, _)| *known == name);
        found.map_or(0, |(_, bytes)| *bytes)
    }

    /// Bytes of the minimal image, packed.
    #[must_use]
    pub fn packed(&self) -> u64 {
        self.image.packed
    }

    /// The tables of this section.
    #[must_use]
    pub fn tables(&self) -> Vec<Table> {
        let mut table = Table::new("Sizes", &["what", "size", "bytes"]);
        let mut row = |what: String, bytes: u64| {
            table.row([what, Bytes(bytes).to_string(), bytes.to_string()]);
        };
        for (name, bytes) in &self.programs {
            row(format!("`{name}`, static and stripped"), *bytes);
        }
        let form = self.image.compression.name();
        row(format!("minimal image, packed ({form})"), self.image.packed);
        row("minimal image, unpacked".to_owned(), self.image.unpacked);
        for (group, bytes) in self.groups() {
            row(format!("… of which {group}"), bytes);
        }
        vec![table]
    }

    /// Bytes of the image by what they are there for.
    fn groups(&self) -> BTreeMap<Group, u64> {
        let mut groups = BTreeMap::new();
        for (_, entry) in self.image.tree.iter() {
            *groups.entry(entry.group).or_default() += entry.size();
        }
        groups
    }
}
