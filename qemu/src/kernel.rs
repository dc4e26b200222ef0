//! Which kernel to boot: the one asked for, this machine's, or the distribution's cloud kernel, fetched
//! and unpacked without installing anything and without root.

use std::cmp::Ordering;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::Error;

/// Debian's kernel for virtual machines: small, and with the drivers QEMU needs built in.
const CLOUD_PACKAGE: &str = "linux-image-cloud-amd64";

/// Where in a bzImage the pointer to the version string is, and what it counts from
/// (`Documentation/arch/x86/boot.rst`: `kernel_version`).
const VERSION_POINTER: usize = 0x20e;
const VERSION_BASE: usize = 0x200;
/// "HdrS" at this place marks a bzImage.
const MAGIC_AT: usize = 0x202;
/// Enough of the file for any version pointer.
const HEAD: usize = 0x200 + 0x1_0000 + 0x100;

/// A kernel and, where they are known, its modules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kernel {
    /// The `vmlinuz` file.
    pub image: PathBuf,
    /// Its release (`uname -r`); `None` when the file does not say.
    pub release: Option<String>,
    /// `/lib/modules/RELEASE` belonging to it, if there is such a folder.
    pub modules: Option<PathBuf>,
}

/// Where to look for kernels.
#[derive(Debug, Clone)]
pub struct Search {
    /// `/boot`, or another folder in tests.
    pub boot: PathBuf,
    /// The release this machine runs.
    pub running: String,
    /// Where a fetched kernel is unpacked and found again.
    pub cache: PathBuf,
}

impl Search {
    /// This machine, with fetched kernels below `cache` (`target/kernel`).
    #[must_use]
    pub fn here(cache: impl Into<PathBuf>) -> Self {
        let running = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        Self {
            boot: PathBuf::from("/boot"),
            running: running.trim().to_owned(),
            cache: cache.into(),
        }
    }

    /// The first of: `asked`; `/boot/vmlinuz-$(uname -r)`; the newest readable `/boot/vmlinuz-*`; the
    /// newest in the cache; the distribution's cloud kernel, fetched into the cache.
    ///
    /// # Errors
    /// [`Error::Io`] when `asked` is not readable; [`Error::NoKernel`] or [`Error::Program`] when
    /// nothing is there and fetching fails.
    pub fn find(&self, asked: Option<&Path>) -> Result<Kernel, Error> {
        if let Some(path) = asked {
            std::fs::File::open(path).map_err(Error::io("open", path))?;
            return Ok(describe(path));
        }
        if let Some(found) = self.local() {
            return Ok(found);
        }
        self.fetch()?;
        self.cached().ok_or_else(|| {
            Error::NoKernel(format!(
                "{CLOUD_PACKAGE} was unpacked below {} but has no boot/vmlinuz-*; name a kernel with --kernel",
                self.cache.display()
            ))
        })
    }

    /// [`Search::find`] without an argument and without fetching.
    #[must_use]
    pub fn local(&self) -> Option<Kernel> {
        let running = self.boot.join(format!("vmlinuz-{}", self.running));
        if readable(&running) {
            return Some(describe(&running));
        }
        newest(&self.boot).or_else(|| self.cached())
    }

    fn cached(&self) -> Option<Kernel> {
        let packages = std::fs::read_dir(&self.cache).ok()?;
        let found = packages.filter_map(|entry| newest(&entry.ok()?.path().join("boot")));
        found.max_by(|a, b| by_version(&a.image, &b.image))
    }

    /// Downloads the cloud kernel's package with apt and unpacks it into the cache, one process at a time.
    /// Whatever is half done stays in a folder of its own and never looks like a kernel.
    fn fetch(&self) -> Result<(), Error> {
        std::fs::create_dir_all(&self.cache).map_err(Error::io("create", &self.cache))?;
        let lock = self.cache.join(".lock");
        let guard = std::fs::File::create(&lock).map_err(Error::io("create", &lock))?;
        guard.lock().map_err(Error::io("lock", &lock))?;
        if self.cached().is_some() {
            return Ok(()); // fetched while this waited for the lock
        }
        let package = real_package(&output("apt-cache", &["depends", CLOUD_PACKAGE], None)?)?;
        let work = self.cache.join(".fetch");
        // Nobody else works there while the lock is held; what is there was left by a killed run.
        let _ = std::fs::remove_dir_all(&work);
        std::fs::create_dir_all(&work).map_err(Error::io("create", &work))?;
        let result = self.fetch_into(&work, &package);
        // Leftovers are harmless, and the first error is the one to tell.
        let _ = std::fs::remove_dir_all(&work);
        result
    }

    fn fetch_into(&self, work: &Path, package: &str) -> Result<(), Error> {
        output("apt-get", &["download", package], Some(work))?;
        let archive = std::fs::read_dir(work)
            .map_err(Error::io("list", work))?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .find(|path| path.extension().is_some_and(|end| end == "deb"))
            .ok_or_else(|| {
                Error::NoKernel(format!("apt-get download {package} left no .deb file"))
            })?;
        let tree = work.join("tree");
        let (archive, target) = (archive.to_string_lossy(), tree.to_string_lossy());
        output("dpkg", &["-x", &archive, &target], None)?;
        let place = self.cache.join(package);
        std::fs::rename(&tree, &place).map_err(Error::io("move the unpacked kernel to", &place))
    }
}

/// The package that the cloud kernel's metapackage depends on, from `apt-cache depends`.
fn real_package(depends: &str) -> Result<String, Error> {
    depends
        .lines()
        .filter_map(|line| line.trim().strip_prefix("Depends: "))
        .find(|name| name.starts_with("linux-image-"))
        .map(str::to_owned)
        .ok_or_else(|| {
            Error::NoKernel(format!(
                "there is none in /boot, and apt knows no {CLOUD_PACKAGE}; run `apt-get update`, or name a kernel with --kernel"
            ))
        })
}

fn output(program: &str, args: &[&str], folder: Option<&Path>) -> Result<String, Error> {
    let shown = || format!("{program} {}", args.join(" "));
    let mut command = Command::new(program);
    command.args(args).env("LC_ALL", "C");
    if let Some(folder) = folder {
        command.current_dir(folder);
    }
    let output = command.output().map_err(|error| Error::Program {
        command: shown(),
        reason: format!("{error}; install a kernel into /boot or name one with --kernel"),
    })?;
    if !output.status.success() {
        return Err(Error::Program {
            command: shown(),
            reason: format!(
                "{}: {}",
                output.status,
                String::from_utf8_lossy(&output.stderr).trim()
            ),
        });
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The newest readable `vmlinuz-*` in a folder, by version.
fn newest(folder: &Path) -> Option<Kernel> {
    let entries = std::fs::read_dir(folder).ok()?;
    entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            let name = path.file_name().and_then(|name| name.to_str());
            name.is_some_and(|name| name.starts_with("vmlinuz-")) && readable(path)
        })
        .max_by(|a, b| by_version(a, b))
        .map(|path| describe(&path))
}

fn readable(path: &Path) -> bool {
    path.is_file() && std::fs::File::open(path).is_ok()
}

fn describe(image: &Path) -> Kernel {
    let release = release_of(image);
    let modules = release.as_deref().and_then(|release| {
        // A package's own tree first, so that a fetched kernel gets its own modules.
        let beside = image.parent()?.parent()?;
        [beside, Path::new("/")]
            .map(|root| root.join("lib/modules").join(release))
            .into_iter()
            .find(|folder| folder.is_dir())
    });
    Kernel {
        image: image.to_owned(),
        release,
        modules,
    }
}

/// The release from inside the kernel image, else from its name.
fn release_of(image: &Path) -> Option<String> {
    use std::io::Read as _;
    let mut head = Vec::new();
    if let Ok(file) = std::fs::File::open(image) {
        // What could be read is looked at; an error shows as a missing version.
        let _ = file.take(HEAD as u64).read_to_end(&mut head);
    }
    let name = image.file_name()?.to_str()?;
    release_in(&head).or_else(|| name.strip_prefix("vmlinuz-").map(str::to_owned))
}

/// The first word of the version string of a bzImage.
fn release_in(head: &[u8]) -> Option<String> {
    if head.get(MAGIC_AT..MAGIC_AT + 4)? != b"HdrS" {
        return None;
    }
    let pointer = head.get(VERSION_POINTER..VERSION_POINTER + 2)?;
    let at = usize::from(u16::from_le_bytes([pointer[0], pointer[1]])) + VERSION_BASE;
    let text = head.get(at..)?.split(|byte| *byte == 0).next()?;
    let word = std::str::from_utf8(text).ok()?.split(' ').next()?;
    (!word.is_empty()).then(|| word.to_owned())
}

fn by_version(a: &Path, b: &Path) -> Ordering {
    let name = |path: &Path| {
        path.file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default()
    };
    compare_versions(&name(a), &name(b))
}

/// Compares with runs of digits taken as numbers, so that 6.10 is newer than 6.9.
fn compare_versions(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a, b);
    loop {
        let (Some(x), Some(y)) = (a.chars().next(), b.chars().next()) else {
            return a.len().cmp(&b.len());
        };
        if x.is_ascii_digit() && y.is_ascii_digit() {
            let (left, rest_a) = split_digits(a);
            let (right, rest_b) = split_digits(b);
            // Without leading zeros, the longer run of digits is the larger number.
            let order = left.len().cmp(&right.len()).then(left.cmp(right));
            if order != Ordering::Equal {
                return order;
            }
            (a, b) = (rest_a, rest_b);
        } else if x == y {
            (a, b) = (&a[x.len_utf8()..], &b[y.len_utf8()..]);
        } else {
            return x.cmp(&y);
        }
    }
}

fn split_digits(text: &str) -> (&str, &str) {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    (text[..end].trim_start_matches('0'), &text[end..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        let sorted = [
            "vmlinuz-5.10.0-9-amd64",
            "vmlinuz-5.10.0-10-amd64",
            "vmlinuz-6.1.0-18-amd64",
            "vmlinuz-6.1.0-18-cloud-amd64",
            "vmlinuz-6.9.1",
            "vmlinuz-6.10",
            "vmlinuz-6.10.1",
        ];
        let mut shuffled = sorted;
        shuffled.reverse();
        shuffled.sort_by(|a, b| compare_versions(a, b));
        assert_eq!(shuffled, sorted);
    }

    #[test]
    fn the_real_package_behind_the_metapackage() {
        let text = "linux-image-cloud-amd64\n  Depends: linux-image-6.1.0-18-cloud-amd64\n";
        assert_eq!(
            real_package(text).unwrap(),
            "linux-image-6.1.0-18-cloud-amd64"
        );
        assert!(matches!(real_package(""), Err(Error::NoKernel(_))));
    }

    #[test]
    fn the_release_is_read_from_the_image() {
        let mut image = vec![0; 0x1000];
        image[MAGIC_AT..MAGIC_AT + 4].copy_from_slice(b"HdrS");
        image[VERSION_POINTER..VERSION_POINTER + 2].copy_from_slice(&0x300u16.to_le_bytes());
        let version = b"6.1.0-18-amd64 (debian@x) #1 SMP\0";
        image[0x500..0x500 + version.len()].copy_from_slice(version);
        assert_eq!(release_in(&image).as_deref(), Some("6.1.0-18-amd64"));
        image[MAGIC_AT] = 0;
        assert_eq!(release_in(&image), None);
        assert_eq!(release_in(b"short"), None);
    }

    #[test]
    fn the_order_of_choice() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let search = Search {
            boot: root.join("boot"),
            running: "6.5.0".to_owned(),
            cache: root.join("cache"),
        };
        let put = |path: &str| {
            let path = root.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, "not a bzImage").unwrap();
            path
        };
        assert_eq!(search.local(), None);
        let cached = put("cache/linux-image-6.1/boot/vmlinuz-6.1.0");
        std::fs::create_dir_all(root.join("cache/linux-image-6.1/lib/modules/6.1.0")).unwrap();
        let found = search.local().unwrap();
        assert_eq!(
            (&found.image, found.release.as_deref()),
            (&cached, Some("6.1.0"))
        );
        assert_eq!(
            found.modules,
            Some(root.join("cache/linux-image-6.1/lib/modules/6.1.0"))
        );
        put("boot/vmlinuz-6.9.0");
        let newest = put("boot/vmlinuz-6.10.0");
        assert_eq!(search.local().unwrap().image, newest);
        let running = put("boot/vmlinuz-6.5.0");
        assert_eq!(search.local().unwrap().image, running);
        let asked = put("mine/kernel.img");
        let found = search.find(Some(&asked)).unwrap();
        assert_eq!((found.image, found.release), (asked, None));
        assert!(matches!(
            search.find(Some(&root.join("none"))),
            Err(Error::Io { .. })
        ));
    }
}
