//! The folder of an Ente's credentials (`credentials` of a Card, `$CREDENTIALS_DIRECTORY` in `systemd.exec(5)`).
//!
//! It is mounted in the Ente's own mount namespace, so nobody else has it, whatever user they are, and it is gone with
//! the last process of the incarnation, however that ends. The executor fills it, because reading a source can take as
//! long as its file system likes, and PID 1 does not wait for one.

use std::ffi::CString;
use std::path::Path;

use arje_card::Card;
use ente_spawn::{Confinement, Mount, MountAction, Owner, PathRule};

use crate::confine::READ;

/// The variable that names the folder.
pub(crate) const DIRECTORY: &str = "CREDENTIALS_DIRECTORY";

/// Adds the credentials of a Card to what surrounds its program. `folder` exists, and nobody but the host can change it.
///
/// # Errors
/// A text that no plan can hold.
pub(crate) fn add(card: &Card, folder: &Path, confinement: &mut Confinement) -> Result<(), String> {
    let folder = folder.to_string_lossy();
    let owner = card
        .soma
        .run_as
        .as_ref()
        .map_or(Owner::default(), |user| Owner {
            user: user.uid,
            group: user.gid,
        });
    let below = made_below(card, &folder);
    let mut mount = |action, target: &str, create_below| -> Result<(), String> {
        confinement.mounts.push(Mount {
            action,
            target: c_string(target)?,
            create_below,
        });
        Ok(())
    };
    mount(MountAction::Secrets(owner), &folder, below)?;
    for credential in &card.credentials {
        let source = c_string(&credential.source)?;
        let target = format!("{folder}/{}", credential.name);
        mount(MountAction::Secret { source, owner }, &target, 0)?;
    }
    mount(MountAction::ReadOnly { recursive: false }, &folder, 0)?;
    confinement.namespaces.mount = true;
    if let Some(landlock) = &mut confinement.landlock {
        landlock.paths.push(PathRule {
            path: c_string(&folder)?,
            access: READ & landlock.handled,
            optional: false,
            program: false,
        });
    }
    Ok(())
}

/// Where the folder lies in a tmpfs of the Card's own, it has to be made there.
fn made_below(card: &Card, folder: &str) -> u16 {
    let inside = |target: &&String| {
        let rest = folder.strip_prefix(target.as_str());
        rest.is_some_and(|rest| rest.starts_with('/'))
    };
    let own = card.soma.mounts.tmpfs.iter().map(|tmpfs| &tmpfs.target);
    let longest = own.filter(inside).map(String::len).max().unwrap_or(0);
    u16::try_from(longest).unwrap_or(0)
}

fn c_string(text: &str) -> Result<CString, String> {
    CString::new(text)
        .map_err(|_| format!("credentials: {text:?} contains a NUL character; remove it"))
}
