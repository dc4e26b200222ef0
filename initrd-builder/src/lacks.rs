//! What Cards name and the image would lack: programs, what is bound into their sight, their credentials.

use arje_card::{Bind, Card, Mounts, Payload, Reading};
use arje_verify::{Place, Problem};

use crate::elf;
use crate::tree::{Entry, Node, Tree};

/// Where file systems are mounted at boot (docs/boot.md): what is in them then the image does not say. And where the
/// Cards and their components go, once it is known that they can.
const NOT_YET: [&str; 6] = ["/dev", "/proc", "/run", "/sys", "/tmp", "/ente"];

/// Everything that is lacking, for each Card in turn.
pub(crate) fn judge(reading: &Reading, tree: &Tree) -> Vec<Problem> {
    let mut problems = Vec::new();
    for visit in reading.walk() {
        let (path, card) = (&visit.path, visit.card);
        let fields = of_card(card, tree).into_iter();
        problems.extend(
            fields
                .filter(|(field, _)| reading.is_sound(path, field))
                .map(|(field, text)| {
                    Problem::at(Place::of(format!("{path}.{field}"), &card.label), text)
                }),
        );
    }
    problems
}

/// Each with the field it is about.
fn of_card(card: &Card, tree: &Tree) -> Vec<(String, String)> {
    let mut lacking = Vec::new();
    let exec = match &card.payload {
        Payload::Virtual => return lacking,
        Payload::Wasm(wasm) => {
            for (index, preopen) in wasm.preopens.iter().enumerate() {
                let field = format!("payload.Wasm.preopens[{index}].source");
                lacking.extend(lacks_source(&preopen.source, tree).map(|text| (field, text)));
            }
            None
        }
        Payload::Native(native) => Some(("payload.Native.exec", &native.exec)),
        Payload::Legacy(legacy) => Some(("payload.Legacy.exec", &legacy.exec)),
    };
    // One that is not absolute breaks a rule.
    if let Some((field, exec)) = exec.filter(|(_, exec)| exec.starts_with('/')) {
        lacking.extend(lacks_program(exec, tree).map(|text| (field.to_owned(), text)));
    }
    lacking.extend(lacks_mounts(&card.soma.mounts, tree));
    for (index, credential) in card.credentials.iter().enumerate() {
        let field = format!("credentials[{index}].source");
        lacking.extend(lacks_source(&credential.source, tree).map(|text| (field, text)));
    }
    lacking
}

fn lacks_program(exec: &str, tree: &Tree) -> Option<String> {
    let Some((path, entry)) = tree.resolve(exec) else {
        return Some(format!(
            "exec {exec} is not in the image; add it with --bin {exec}=FILE"
        ));
    };
    if !tree.is_executable(&path) {
        return Some(format!(
            "exec {exec} is not an executable file in the image; name one, or put one there with --bin {exec}=FILE"
        ));
    }
    lacks_interpreter(exec, entry, tree)
}

/// A script needs the program in its first line.
fn lacks_interpreter(exec: &str, entry: &Entry, tree: &Tree) -> Option<String> {
    let Node::File(data) = &entry.node else {
        return None;
    };
    let interpreter = elf::script_interpreter(data)?;
    (!tree.is_executable(&interpreter)).then(|| {
        format!("exec {exec} is a script for {interpreter}, which is not in the image; add it with --bin {interpreter}=FILE")
    })
}

fn lacks_mounts(mounts: &Mounts, tree: &Tree) -> Vec<(String, String)> {
    let mut lacking = Vec::new();
    for (index, Bind { source, target, .. }) in mounts.binds.iter().enumerate() {
        let field = |key| format!("soma.mounts.binds[{index}].{key}");
        lacking.extend(lacks_source(source, tree).map(|text| (field("source"), text)));
        lacking.extend(lacks_target(target, mounts, tree).map(|text| (field("target"), text)));
    }
    for (index, tmpfs) in mounts.tmpfs.iter().enumerate() {
        let field = format!("soma.mounts.tmpfs[{index}].target");
        lacking.extend(lacks_target(&tmpfs.target, mounts, tree).map(|text| (field, text)));
    }
    lacking
}

fn lacks_source(source: &str, tree: &Tree) -> Option<String> {
    is_lacking(source, tree).then(|| {
        format!(
            "source {source} is not in the image; add it, or a file in it, with --bin DEST=FILE"
        )
    })
}

/// What lies in something that the same Card mounts is made there, or comes with it.
fn lacks_target(target: &str, mounts: &Mounts, tree: &Tree) -> Option<String> {
    let binds = mounts.binds.iter().map(|bind| &bind.target);
    let mut targets = binds.chain(mounts.tmpfs.iter().map(|tmpfs| &tmpfs.target));
    let is_inside = targets.any(|other| other != target && is_within(target, other));
    (!is_inside && is_lacking(target, tree)).then(|| {
        format!(
            "target {target} is not in the image, and a mount needs a place; add a file of that path, or in it, with \
             --bin DEST=FILE, or name a target inside a tmpfs of the same Card"
        )
    })
}

fn is_lacking(path: &str, tree: &Tree) -> bool {
    let unknown = NOT_YET.iter().any(|folder| is_within(path, folder));
    let is_root = path.trim_matches('/').is_empty();
    // One that is not absolute breaks a rule.
    path.starts_with('/') && !unknown && !is_root && tree.resolve(path).is_none()
}

/// Whether a path is a folder or lies in it.
fn is_within(path: &str, folder: &str) -> bool {
    let rest = path.strip_prefix(folder.trim_end_matches('/'));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use arje_card::Tmpfs;

    use super::*;
    use crate::tree::Group;

    fn lacking(binds: &[(&str, &str)], tmpfs: &[&str]) -> Vec<String> {
        let mut tree = Tree::new();
        tree.add_dir("/srv/data", 0o755, Group::Skeleton).unwrap();
        let bind = |(source, target): &(&str, &str)| Bind {
            source: (*source).to_owned(),
            target: (*target).to_owned(),
            ro: false,
        };
        let mount = |target: &&str| Tmpfs {
            target: (*target).to_owned(),
            size_bytes: None,
        };
        let mounts = Mounts {
            binds: binds.iter().map(bind).collect(),
            tmpfs: tmpfs.iter().map(mount).collect(),
        };
        let lacking = lacks_mounts(&mounts, &tree).into_iter();
        lacking.map(|(field, _)| field).collect()
    }

    #[test]
    fn mounts_need_what_they_name() {
        let nothing: [&str; 0] = [];
        assert_eq!(lacking(&[("/srv/data", "/srv")], &[]), nothing);
        assert_eq!(lacking(&[("/", "/srv/data/")], &["/srv"]), nothing);
        assert_eq!(
            lacking(&[("/srv/date", "/serve")], &["/var"]),
            [
                "soma.mounts.binds[0].source",
                "soma.mounts.binds[0].target",
                "soma.mounts.tmpfs[0].target"
            ]
        );
    }

    #[test]
    fn what_is_made_at_boot_or_by_the_card_is_not_missed() {
        let nothing: [&str; 0] = [];
        assert_eq!(
            lacking(&[("/run/bus", "/tmp/x/bus")], &["/dev/shm"]),
            nothing
        );
        assert_eq!(
            lacking(&[("/srv", "/srv/data/made/here")], &["/srv/data"]),
            nothing
        );
        // A name that only begins like one of them.
        assert_eq!(
            lacking(&[("/runs", "/srv/database")], &["/srv/data"]),
            ["soma.mounts.binds[0].source", "soma.mounts.binds[0].target"]
        );
        // Not absolute: a rule says so.
        assert_eq!(lacking(&[("runs", "x")], &["y"]), nothing);
    }
}
