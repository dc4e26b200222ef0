//! Namespaces, and the map of a user namespace.

use ente_spawn::{Ids, MAX_GROUPS, Namespaces};

use crate::sys::{self, mount, namespace, process};

/// Longest line of a map: two ids of ten digits, two spaces, `1` and the end of the line.
const LINE_BYTES: usize = 24;

/// One step for all of them: which of them exist does not depend on the others.
pub(crate) fn enter(namespaces: Namespaces) -> Result<(), i32> {
    let flags = [
        (namespaces.mount, namespace::CLONE_NEWNS),
        (namespaces.net, namespace::CLONE_NEWNET),
        (namespaces.uts, namespace::CLONE_NEWUTS),
        (namespaces.ipc, namespace::CLONE_NEWIPC),
        (namespaces.cgroup, namespace::CLONE_NEWCGROUP),
    ];
    let wanted = flags.into_iter().filter(|(wanted, _)| *wanted);
    namespace::unshare(wanted.fold(0, |all, (_, flag)| all | flag))?;
    if namespaces.mount {
        // A fresh mount namespace still receives and sends mounts where the old one did.
        mount::make_all_private()?;
    }
    Ok(())
}

/// Enters a user namespace in which these ids stand for themselves.
///
/// A map of more than one id can be written only with privileges in the *parent* namespace
/// (`user_namespaces(7)`), which this process gives up by entering. So a child stays behind, writes it and ends.
pub(crate) fn enter_user(
    own_proc: Option<i32>,
    users: Ids<'_>,
    groups: Ids<'_>,
) -> Result<(), i32> {
    let own_proc = own_proc.ok_or(sys::ENOENT)?;
    let (gate, opener) = process::pipe()?;
    let Some(helper) = process::fork()? else {
        sys::close(opener);
        sys::exit(write_maps(gate, own_proc, users, groups).err().unwrap_or(0));
    };
    sys::close(gate);
    let entered = namespace::unshare(namespace::CLONE_NEWUSER);
    if entered.is_ok() {
        // Cannot fail for want of a reader: the helper reads until it has this byte.
        let _ = sys::write(opener, &[1]);
    }
    // Without a byte before it, the end of the pipe tells the helper that there is nothing to write.
    sys::close(opener);
    let ended = process::wait_for(helper)?;
    sys::close(own_proc);
    entered?;
    match ended.status {
        0 => Ok(()),
        // It exits with the error number; these are below 256.
        status if status & 0x7f == 0 => Err(status >> 8),
        _ => Err(sys::EIO),
    }
}

/// In the helper: waits until the parent has entered, then writes its maps.
fn write_maps(gate: i32, own_proc: i32, users: Ids<'_>, groups: Ids<'_>) -> Result<(), i32> {
    if sys::read(gate, &mut [0])? == 0 {
        return Ok(());
    }
    for (name, ids) in [(c"gid_map", groups), (c"uid_map", users)] {
        let mut text = [0u8; LINE_BYTES * MAX_GROUPS];
        let length = lines(ids, &mut text);
        let map = sys::open(Some(own_proc), name, sys::O_WRONLY)?;
        // The kernel takes a map in one write or not at all.
        let text = text.get(..length).ok_or(sys::EFBIG)?;
        sys::write(map, text)?;
        sys::close(map);
    }
    Ok(())
}

/// One line `ID ID 1` for each id; how many bytes that are.
fn lines(ids: Ids<'_>, text: &mut [u8]) -> usize {
    let mut length = 0;
    let mut put = |byte| {
        if let Some(place) = text.get_mut(length) {
            *place = byte;
            length += 1;
        }
    };
    for id in ids.iter() {
        for end in [b' ', b' '] {
            let mut divisor = 1_000_000_000;
            while divisor > 1 && id < divisor {
                divisor /= 10;
            }
            while divisor > 0 {
                put(b'0' + (id / divisor % 10) as u8);
                divisor /= 10;
            }
            put(end);
        }
        put(b'1');
        put(b'\n');
    }
    length
}
