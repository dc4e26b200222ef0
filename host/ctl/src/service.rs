//! The folder of a new service: what is in it, how it may be called, and where the guest kit is.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use arje_card::Id;

/// Names the guest kit, when no argument does.
pub const SDK_VARIABLE: &str = "ARJE_SDK";
/// The kit, seen from the root of the tree.
const KIT: &str = "guests/sdk";
/// Longest name: it is part of labels, file names and the names of interfaces.
const MAX_NAME: usize = 48;

/// Words that are no names of packages: they mean something to Rust or to WIT, or are crates that the service uses.
const TAKEN: &str = "abstract alloc arje-sdk as async await become bool borrow box break char const constructor \
    continue core crate do dyn else enum export extern f32 f64 false final flags fn for from func future gen if impl \
    import in include interface let list loop macro match mod move mut option override own package priv pub record ref \
    resource result return s16 s32 s64 s8 self static std stream string struct super test trait true try tuple type \
    typeof u16 u32 u64 u8 union unsafe unsized use variant virtual where while wit-bindgen with world yield";

/// The name of a service: that of its folder, its package, its component, its Card and its WIT package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name(String);

/// Why something is not a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BadName {
    /// Not what WIT calls kebab-case; perhaps this was meant.
    Shape(Option<Name>),
    /// Too many characters.
    Long,
    /// It means something else.
    Taken,
}

impl fmt::Display for BadName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shape(meant) => {
                f.write_str(
                    "expected lower-case words of letters and digits, each of which begins with a letter, with a hyphen \
                     between them",
                )?;
                match meant {
                    Some(name) => write!(f, ": {name}, perhaps"),
                    None => f.write_str(", as in door-bell"),
                }
            }
            Self::Long => write!(f, "expected at most {MAX_NAME} characters"),
            Self::Taken => {
                f.write_str("it means something else to Rust or to WIT; choose another name")
            }
        }
    }
}

impl std::error::Error for BadName {}

impl std::str::FromStr for Name {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        let is_word = |word: &str| {
            let is_in_it = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
            word.starts_with(|c: char| c.is_ascii_lowercase()) && word.chars().all(is_in_it)
        };
        if !text.split('-').all(is_word) {
            let meant = likely(text);
            // The one that is meant has the right shape, so this ends here.
            let meant = meant.filter(|meant| meant != text);
            return Err(BadName::Shape(meant.and_then(|meant| meant.parse().ok())));
        }
        if text.len() > MAX_NAME {
            return Err(BadName::Long);
        }
        if TAKEN.split_whitespace().any(|taken| taken == text) {
            return Err(BadName::Taken);
        }
        Ok(Self(text.to_owned()))
    }
}

/// What may be meant by something that is no name: `DoorBell`, `door_bell`, and the last part of a path.
fn likely(text: &str) -> Option<String> {
    let last = text.trim_end_matches('/').rsplit('/').next()?;
    let mut words = String::new();
    let mut before = '-';
    for c in last.chars() {
        let next = c.to_ascii_lowercase();
        let is_new =
            c.is_ascii_uppercase() && (before.is_ascii_lowercase() || before.is_ascii_digit());
        match next.is_ascii_alphanumeric() {
            true if is_new => words.extend(['-', next]),
            true => words.push(next),
            false => words.push('-'),
        }
        before = c;
    }
    let words: Vec<&str> = words.split('-').filter(|word| !word.is_empty()).collect();
    (!words.is_empty()).then(|| words.join("-"))
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Name {
    /// As Rust writes it.
    #[must_use]
    pub fn snake(&self) -> String {
        self.0.replace('-', "_")
    }
}

/// Finds the guest kit: the folder that was named, else that of the variable, else the one of the tree in whose target
/// folder `program` is.
///
/// # Errors
/// There is none; the text says where it was looked for.
pub fn find_kit(
    named: Option<&Path>,
    variable: Option<&Path>,
    program: &Path,
) -> Result<PathBuf, String> {
    for (given, what) in [(named, "--sdk"), (variable, SDK_VARIABLE)] {
        if let Some(folder) = given {
            let found = [folder.to_owned(), folder.join(KIT)];
            let found = found.into_iter().find(|folder| is_kit(folder));
            return found.ok_or_else(|| {
                format!(
                    "{what} {}: the guest kit is neither there nor in {KIT} below; name the tree of arje, or the \
                     folder {KIT} in it",
                    folder.display()
                )
            });
        }
    }
    let above = program.ancestors().map(|folder| folder.join(KIT));
    above.into_iter().find(|folder| is_kit(folder)).ok_or_else(|| {
        format!(
            "the guest kit is in no folder above {}; name the tree of arje with --sdk, or in the variable {SDK_VARIABLE}",
            program.display()
        )
    })
}

fn is_kit(folder: &Path) -> bool {
    let manifest = fs::read_to_string(folder.join("Cargo.toml"));
    manifest.is_ok_and(|text| text.lines().any(|line| line == "name = \"arje-sdk\""))
}

/// Everything that a new service differs in.
#[derive(Debug)]
pub struct NewService<'a> {
    /// Its name.
    pub name: &'a Name,
    /// The folder of the guest kit, absolute.
    pub kit: &'a Path,
    /// Identities of the seed and of the service.
    pub ids: [Id; 2],
}

impl NewService<'_> {
    /// Makes the folder, which must not exist, and all that is in it.
    ///
    /// # Errors
    /// The path that could not be written, and what the system says.
    pub fn write(&self, folder: &Path) -> Result<(), (PathBuf, io::Error)> {
        fs::create_dir(folder).map_err(|error| (folder.to_owned(), error))?;
        for (path, text) in self.files() {
            let path = folder.join(path);
            let parent = path.parent().unwrap_or(folder);
            let written = fs::create_dir_all(parent).and_then(|()| fs::write(&path, text));
            written.map_err(|error| (path, error))?;
        }
        // What the kit was built and tested with: the same bindings on both sides, and nothing to look up.
        let lock = self.kit.with_file_name("Cargo.lock");
        let here = folder.join("Cargo.lock");
        match fs::copy(lock, &here) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err((here, error)),
            _ => Ok(()),
        }
    }

    /// Path and text of each file.
    #[must_use]
    pub fn files(&self) -> [(String, String); 6] {
        let name = self.name;
        [
            (
                "Cargo.toml".to_owned(),
                include_str!("../templates/service/Cargo.toml"),
            ),
            (
                "src/lib.rs".to_owned(),
                include_str!("../templates/service/lib.rs"),
            ),
            (
                format!("wit/{name}.wit"),
                include_str!("../templates/service/service.wit"),
            ),
            (
                "seed.card.json".to_owned(),
                include_str!("../templates/service/seed.card.json"),
            ),
            (
                "README.md".to_owned(),
                include_str!("../templates/service/README.md"),
            ),
            (".gitignore".to_owned(), "/target\n/components\n"),
        ]
        .map(|(path, template)| (path, self.filled(template)))
    }

    fn filled(&self, template: &str) -> String {
        let [seed, id] = &self.ids;
        template
            .replace("@NAME@", &self.name.0)
            .replace("@SNAKE@", &self.name.snake())
            .replace("@SEED@", &seed.to_string())
            .replace("@ID@", &id.to_string())
            .replace("@SDK@", &escaped(&self.kit.to_string_lossy()))
    }
}

/// As a basic string of TOML has it.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

#[cfg(test)]
mod tests {
    use super::*;
    use arje_card::{Document, Format};

    fn new_service() -> Vec<(String, String)> {
        let ids = ["01ARJESRV00000000000000000", "01ARJESRV00000000000000001"];
        let service = NewService {
            name: &"door-bell".parse().unwrap(),
            kit: Path::new("/a \"b\"/guests/sdk"),
            ids: ids.map(|id| id.parse().unwrap()),
        };
        service.files().into()
    }

    #[test]
    fn names_are_what_wit_and_cargo_both_take() {
        for good in ["a", "door-bell", "v2-x", "kv"] {
            assert_eq!(good.parse(), Ok(Name(good.to_owned())));
        }
        let bad = [
            "", "-", "a-", "a--b", "A", "2a", "a-2", "a_b", "a b", "é", "../a",
        ];
        for bad in bad {
            assert!(
                matches!(bad.parse::<Name>(), Err(BadName::Shape(_))),
                "{bad}"
            );
        }
        let meant = |text: &str| match text.parse::<Name>() {
            Err(BadName::Shape(meant)) => meant.map(|name| name.to_string()),
            other => Some(format!("{other:?}")),
        };
        for meant_so in [
            "DoorBell",
            "door_bell",
            "Door Bell",
            "work/door-bell/",
            "-door--bell",
        ] {
            assert_eq!(meant(meant_so).as_deref(), Some("door-bell"), "{meant_so}");
        }
        for nothing in ["", "-", "2a", "\u{e9}", "Test", "../.."] {
            assert_eq!(meant(nothing), None, "{nothing}");
        }
        assert_eq!("test".parse::<Name>(), Err(BadName::Taken));
        assert_eq!("resource".parse::<Name>(), Err(BadName::Taken));
        assert!("a".repeat(MAX_NAME).parse::<Name>().is_ok());
        assert_eq!("a".repeat(MAX_NAME + 1).parse::<Name>(), Err(BadName::Long));
    }

    #[test]
    fn nothing_is_left_to_fill_in() {
        for (path, text) in new_service() {
            assert!(
                !text.contains("@N") && !text.contains("@S") && !text.contains("@I"),
                "{path}: {text}"
            );
        }
    }

    #[test]
    fn the_seed_is_valid_once_it_is_pinned() {
        let (_, text) = &new_service()[3];
        let text = text.replace(&"0".repeat(64), &"1".repeat(64));
        let card = Document::parse(text.as_bytes(), Format::Json).unwrap().card;
        assert!(card.is_seed());
        assert_eq!(card.genesis[0].label, "door-bell");
        assert_eq!(card.warnings(), []);
    }

    #[test]
    fn the_bindings_are_those_of_the_kit() {
        let tree = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let kit = fs::read_to_string(tree.join("guests/Cargo.toml")).unwrap();
        let (_, manifest) = &new_service()[0];
        let line = manifest
            .lines()
            .find(|line| line.starts_with("wit-bindgen"));
        assert!(kit.contains(line.unwrap()), "{manifest}");
        assert!(
            manifest.contains(r#"path = "/a \"b\"/guests/sdk""#),
            "{manifest}"
        );
    }

    #[test]
    fn the_kit_is_found_where_it_is_said_or_above_the_program() {
        let folder = tempfile::tempdir().unwrap();
        let tree = folder.path().join("tree");
        let kit = tree.join(KIT);
        fs::create_dir_all(&kit).unwrap();
        fs::write(kit.join("Cargo.toml"), "[package]\nname = \"arje-sdk\"\n").unwrap();
        let (program, elsewhere) = (tree.join("target/release/ente"), folder.path().join("ente"));
        assert_eq!(find_kit(None, None, &program), Ok(kit.clone()));
        for named in [&tree, &kit] {
            assert_eq!(find_kit(Some(named), None, &elsewhere), Ok(kit.clone()));
            assert_eq!(find_kit(None, Some(named), &elsewhere), Ok(kit.clone()));
        }
        let nowhere = find_kit(None, None, &elsewhere).unwrap_err();
        assert!(nowhere.contains("--sdk"), "{nowhere}");
        // What was said counts, also where it is wrong.
        let wrong = find_kit(Some(folder.path()), None, &program).unwrap_err();
        assert!(wrong.starts_with("--sdk "), "{wrong}");
    }
}
