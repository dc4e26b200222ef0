//! Kernel modules and what they depend on: which files go into the image, and in which order they are
//! loaded.
//!
//! Dependencies come from `modules.dep` and `modules.softdep` (modules.dep(5), modprobe.d(5)); where these are
//! missing, as in a kernel package that was unpacked but never installed, from the `.modinfo` section
//! of the modules themselves, which is where depmod(8) has them from. Modules packed with gzip or zstd are
//! unpacked, because the image is compressed as a whole and busybox cannot load zstd; a signature at the end of a module
//! stays. xz is refused: nothing in this tree unpacks it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use crate::error::{Error, read_capped};
use tables::{ModInfo, SoftDeps, module_name, parse_dep, parse_softdep};

mod tables;

/// Bytes of one unpacked module; the largest of a Debian kernel (amdgpu) has 20 MB.
const MAX_MODULE: u64 = 256 << 20;
/// Bytes of a table such as `modules.dep`; Debian's has 0.5 MB.
const MAX_TABLE: u64 = 16 << 20;
/// Modules below one folder; a distribution's kernel has 4,000.
const MAX_MODULES: usize = 65_536;
/// Folders within folders below `/lib/modules/RELEASE`; the kernel tree has about eight.
const MAX_DEPTH: usize = 16;

/// A module that goes into the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KernelModule {
    /// Its name, with underscores, as `lsmod` shows it.
    pub name: String,
    /// Its path below `/lib/modules/RELEASE`, without the suffix of a compression.
    pub path: String,
    /// The unpacked `.ko` file.
    pub data: Vec<u8>,
    /// The paths of everything it needs, the nearest first, as `modules.dep` lists them.
    pub deps: Vec<String>,
}

/// What [`ModuleFolder::select`] found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// The modules, in an order in which each comes after what it needs.
    pub modules: Vec<KernelModule>,
    /// Names asked for that are part of the kernel itself.
    pub builtin: Vec<String>,
}

impl Selection {
    /// The text of a `modules.dep` with these modules only.
    #[must_use]
    pub fn modules_dep(&self) -> String {
        let mut lines: Vec<String> = self
            .modules
            .iter()
            .map(|module| {
                let mut line = format!("{}:", module.path);
                for dep in &module.deps {
                    line.push(' ');
                    line.push_str(dep);
                }
                line.push('\n');
                line
            })
            .collect();
        lines.sort();
        lines.concat()
    }
}

/// One `/lib/modules/RELEASE`.
#[derive(Debug)]
pub struct ModuleFolder {
    folder: PathBuf,
    /// Module name to its path below the folder, as it is on disk.
    files: BTreeMap<String, String>,
    /// `modules.dep`: name to the paths of its dependencies. `None`: there is no such file.
    deps: Option<BTreeMap<String, Vec<String>>>,
    /// `modules.softdep`. `None`: there is no such file.
    soft: Option<BTreeMap<String, SoftDeps>>,
    builtin: BTreeSet<String>,
}

impl ModuleFolder {
    /// Reads the tables of a module folder (`/lib/modules/6.1.0-18-amd64`).
    ///
    /// # Errors
    /// [`Error::Io`] when the folder cannot be read, [`Error::TooLarge`] past a cap.
    pub fn open(folder: &Path) -> Result<Self, Error> {
        let mut paths = Vec::new();
        walk(folder, Path::new(""), 0, &mut paths)?;
        let files = paths
            .into_iter()
            .map(|path| (module_name(&path), path))
            .collect();
        let builtin = table(folder, "modules.builtin")?.unwrap_or_default();
        Ok(Self {
            folder: folder.to_owned(),
            files,
            deps: table(folder, "modules.dep")?.map(|text| parse_dep(&text)),
            soft: table(folder, "modules.softdep")?.map(|text| parse_softdep(&text)),
            builtin: builtin.lines().map(module_name).collect(),
        })
    }

    /// The modules of these names with everything they depend on, in loading order.
    ///
    /// # Errors
    /// [`Error::KernelModule`] for a module that does not exist, is packed with xz, or has a circle in its
    /// dependencies; [`Error::Io`] when one cannot be read.
    pub fn select<S: AsRef<str>>(&self, names: &[S]) -> Result<Selection, Error> {
        let mut order = Order {
            folder: self,
            state: BTreeMap::new(),
            selection: Selection::default(),
            hard: BTreeMap::new(),
        };
        for name in names {
            let name = module_name(name.as_ref());
            if self.builtin.contains(&name) {
                order.selection.builtin.push(name);
            } else {
                order.visit(&name, None)?;
            }
        }
        Ok(order.selection)
    }

    /// Reads a module and unpacks it if it is compressed.
    fn read(&self, name: &str) -> Result<Option<(String, Vec<u8>)>, Error> {
        let Some(path) = self.files.get(name) else {
            return Ok(None);
        };
        let file = self.folder.join(path);
        let packed = read_capped(&file, MAX_MODULE)?;
        let (plain, data) = if let Some(plain) = path.strip_suffix(".gz") {
            let decoder = flate2::read::GzDecoder::new(packed.as_slice());
            (plain, unpack(name, &file, decoder)?)
        } else if let Some(plain) = path.strip_suffix(".zst") {
            let decoder =
                zstd::Decoder::new(packed.as_slice()).map_err(Error::io("unpack", &file))?;
            (plain, unpack(name, &file, decoder)?)
        } else if path.ends_with(".xz") {
            return Err(Error::KernelModule {
                name: name.to_owned(),
                reason: format!(
                    "{} is packed with xz, which this builder cannot unpack; unpack the folder (`find DIR -name '*.ko.xz' -exec unxz {{}} +` in a copy of it) and name the copy with --modules-dir",
                    file.display()
                ),
            });
        } else {
            (path.as_str(), packed)
        };
        Ok(Some((plain.to_owned(), data)))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Visit {
    Open,
    Done,
}

/// A depth-first walk that emits a module after what it needs.
struct Order<'a> {
    folder: &'a ModuleFolder,
    state: BTreeMap<String, Visit>,
    selection: Selection,
    /// The direct or transitive dependencies by name, for `modules.dep` lines.
    hard: BTreeMap<String, Vec<String>>,
}

impl Order<'_> {
    fn visit(&mut self, name: &str, needed_by: Option<&str>) -> Result<(), Error> {
        let fail = |reason: String| Error::KernelModule {
            name: name.to_owned(),
            reason: match needed_by {
                Some(by) => format!("{reason} (needed by {by})"),
                None => reason,
            },
        };
        match self.state.get(name) {
            Some(Visit::Done) => return Ok(()),
            Some(Visit::Open) => return Err(fail("it depends on itself".to_owned())),
            None => {}
        }
        let Some((path, data)) = self.folder.read(name)? else {
            let folder = self.folder.folder.display();
            return Err(fail(format!("not in {folder}")));
        };
        self.state.insert(name.to_owned(), Visit::Open);
        let (hard, soft) = self.dependencies(name, &data).map_err(fail)?;
        for dep in &hard {
            self.visit(dep, Some(name))?;
        }
        self.visit_soft(&soft.pre, name)?;
        let deps = self.closure(&hard);
        let paths = deps.iter().filter_map(|dep| self.path_of(dep)).collect();
        self.hard.insert(name.to_owned(), deps);
        self.state.insert(name.to_owned(), Visit::Done);
        self.selection.modules.push(KernelModule {
            name: name.to_owned(),
            path,
            data,
            deps: paths,
        });
        self.visit_soft(&soft.post, name)
    }

    /// Soft dependencies are wishes: absent ones and those already on the way are passed over.
    fn visit_soft(&mut self, names: &[String], by: &str) -> Result<(), Error> {
        for name in names {
            if self.folder.files.contains_key(name) && !self.state.contains_key(name) {
                self.visit(name, Some(by))?;
            }
        }
        Ok(())
    }

    /// Hard and soft dependencies by name, from the tables or from the module itself.
    fn dependencies(&self, name: &str, data: &[u8]) -> Result<(Vec<String>, SoftDeps), String> {
        let folder = self.folder;
        let info = match (&folder.deps, &folder.soft) {
            (Some(_), Some(_)) => ModInfo::default(),
            _ => ModInfo::parse(data)?,
        };
        let hard = match &folder.deps {
            Some(table) => {
                let paths = table
                    .get(name)
                    .ok_or("modules.dep does not list it; run depmod for this kernel")?;
                paths.iter().map(|path| module_name(path)).collect()
            }
            None => info
                .depends
                .into_iter()
                .filter(|dep| !folder.builtin.contains(dep))
                .collect(),
        };
        let soft = match &folder.soft {
            Some(table) => table.get(name).cloned().unwrap_or_default(),
            None => info.soft,
        };
        Ok((hard, soft))
    }

    /// Everything these modules need, the nearest first: the reverse is an order to load in.
    fn closure(&self, hard: &[String]) -> Vec<String> {
        let mut wanted: BTreeSet<&str> = BTreeSet::new();
        for dep in hard {
            wanted.insert(dep);
            if let Some(further) = self.hard.get(dep) {
                wanted.extend(further.iter().map(String::as_str));
            }
        }
        let loaded = self.selection.modules.iter().rev();
        loaded
            .filter(|module| wanted.contains(module.name.as_str()))
            .map(|module| module.name.clone())
            .collect()
    }

    fn path_of(&self, name: &str) -> Option<String> {
        let mut modules = self.selection.modules.iter();
        modules
            .find(|module| module.name == name)
            .map(|module| module.path.clone())
    }
}

fn is_module(name: &str) -> bool {
    [".ko", ".ko.gz", ".ko.xz", ".ko.zst"]
        .iter()
        .any(|suffix| name.ends_with(suffix))
}

fn table(folder: &Path, name: &str) -> Result<Option<String>, Error> {
    let path = folder.join(name);
    if !path.is_file() {
        return Ok(None);
    }
    let bytes = read_capped(&path, MAX_TABLE)?;
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

/// Lists module files below `folder`, sorted; links (`build`, `source`) are not followed.
fn walk(
    folder: &Path,
    relative: &Path,
    depth: usize,
    found: &mut Vec<String>,
) -> Result<(), Error> {
    let here = folder.join(relative);
    let entries = std::fs::read_dir(&here).map_err(Error::io("list", &here))?;
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(Error::io("list", &here))?;
        let kind = entry.file_type().map_err(Error::io("list", &here))?;
        if let Ok(name) = entry.file_name().into_string() {
            names.push((name, kind));
        }
    }
    names.sort_by(|a, b| a.0.cmp(&b.0));
    for (name, kind) in names {
        let path = relative.join(&name);
        if kind.is_dir() && depth < MAX_DEPTH {
            walk(folder, &path, depth + 1, found)?;
        } else if kind.is_file() && is_module(&name) {
            if found.len() >= MAX_MODULES {
                return Err(Error::TooLarge {
                    what: format!("modules in {}", folder.display()),
                    found: found.len() as u64 + 1,
                    cap: MAX_MODULES as u64,
                });
            }
            found.push(path.to_string_lossy().into_owned());
        }
    }
    Ok(())
}

fn unpack(name: &str, file: &Path, decoder: impl std::io::Read) -> Result<Vec<u8>, Error> {
    let mut data = Vec::new();
    // One byte over the cap is enough to see that it is passed.
    decoder
        .take(MAX_MODULE + 1)
        .read_to_end(&mut data)
        .map_err(Error::io("unpack", file))?;
    if data.len() as u64 > MAX_MODULE {
        return Err(Error::TooLarge {
            what: format!("kernel module {name} unpacked"),
            found: data.len() as u64,
            cap: MAX_MODULE,
        });
    }
    Ok(data)
}
