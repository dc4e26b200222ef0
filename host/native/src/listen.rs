//! Sockets made for an Ente before it starts (`listen` of a Card): socket activation, as in `sd_listen_fds(3)`.
//!
//! They belong to the host. An Ente gets copies, so a connection that arrives while it restarts waits in the kernel.

use std::fmt;
use std::fs::{self, DirBuilder};
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt, lchown};
use std::path::{Path, PathBuf};

use arje_card::{Card, Listen, ListenOn, RunAs};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrLike, SockaddrStorage, UnixAddr, bind,
    connect, listen, setsockopt, socket, sockopt,
};
use nix::sys::stat::{Mode, fchmod};

/// Mode of a socket's file: its owner and group, as for sockets of components.
const FILE_MODE: u32 = 0o660;

/// Mode of folders made on the way to a socket's file.
const FOLDER_MODE: u32 = 0o755;

/// The sockets of one Card, in the order in which it lists them. Dropping them closes them and removes their files.
#[derive(Debug, Default)]
pub struct ListenSockets {
    sockets: Vec<Socket>,
}

#[derive(Debug)]
struct Socket {
    name: String,
    fd: OwnedFd,
    _file: Option<SocketFile>,
}

/// A socket that could not be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenError {
    /// Its name in the Card.
    pub name: String,
    /// Its key and address in the Card.
    pub at: String,
    /// What failed.
    pub step: &'static str,
    /// Why.
    pub errno: Errno,
}

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name,
            at,
            step,
            errno,
        } = self;
        write!(f, "listen {name:?} ({at}): {step}: {}", errno.desc())?;
        match errno {
            Errno::EADDRINUSE => f.write_str("; stop who listens there, or choose another address"),
            Errno::ENAMETOOLONG => f.write_str("; a socket's path has at most 107 bytes (unix(7))"),
            _ => Ok(()),
        }
    }
}

impl std::error::Error for ListenError {}

impl ListenSockets {
    /// Makes the sockets of a Card, all or none.
    ///
    /// # Errors
    /// The first that cannot be made.
    pub fn open(card: &Card) -> Result<ListenSockets, ListenError> {
        let owner = card.soma.run_as.as_ref();
        let sockets = card.listen.iter().map(|listen| Socket::open(listen, owner));
        Ok(ListenSockets {
            sockets: sockets.collect::<Result<_, _>>()?,
        })
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sockets.is_empty()
    }

    /// Goes on with the sockets that another image of this program made for the Card, in the Card's order. `None` if
    /// they cannot be those.
    #[must_use]
    pub fn take_over(card: &Card, descriptors: Vec<OwnedFd>) -> Option<ListenSockets> {
        if descriptors.len() != card.listen.len() {
            return None;
        }
        let sockets = card.listen.iter().zip(descriptors);
        let sockets = sockets.map(|(listen, fd)| Socket {
            name: listen.name.clone(),
            fd,
            _file: match &listen.on {
                // Without its file nobody finds it, but those who are connected stay so.
                ListenOn::Unix(path) | ListenOn::UnixDatagram(path) => {
                    SocketFile::at(Path::new(path)).ok()
                }
                ListenOn::Tcp(_) | ListenOn::Udp(_) => None,
            },
        });
        Some(ListenSockets {
            sockets: sockets.collect(),
        })
    }

    /// The descriptors, to be passed from 3 on.
    #[must_use]
    pub fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        let sockets = self.sockets.iter();
        sockets.map(|socket| socket.fd.as_fd()).collect()
    }

    /// `LISTEN_FDS` and `LISTEN_FDNAMES`; `LISTEN_PID` is [`LISTEN_PID`].
    #[must_use]
    pub fn environment(&self) -> Vec<(String, String)> {
        let names: Vec<&str> = self.sockets.iter().map(|s| s.name.as_str()).collect();
        vec![
            ("LISTEN_FDS".into(), self.sockets.len().to_string()),
            ("LISTEN_FDNAMES".into(), names.join(":")),
        ]
    }

    /// Makes the descriptors block, as a program expects that gets them for the first time: an incarnation shares the
    /// open files, and with them the flag, with the one before.
    ///
    /// # Errors
    /// None that `fcntl(2)` is known for.
    pub fn reset(&self) -> nix::Result<()> {
        for socket in &self.sockets {
            fcntl(&socket.fd, FcntlArg::F_SETFL(OFlag::empty()))?;
        }
        Ok(())
    }
}

/// The variable that holds the process id of whom the sockets are for.
pub const LISTEN_PID: &str = "LISTEN_PID";

impl Socket {
    fn open(wanted: &Listen, owner: Option<&RunAs>) -> Result<Socket, ListenError> {
        let made = match &wanted.on {
            ListenOn::Unix(path) => unix(Path::new(path), SockType::Stream, owner),
            ListenOn::UnixDatagram(path) => unix(Path::new(path), SockType::Datagram, owner),
            ListenOn::Tcp(address) => inet(*address, SockType::Stream),
            ListenOn::Udp(address) => inet(*address, SockType::Datagram),
        };
        match made {
            Ok((fd, file)) => Ok(Socket {
                name: wanted.name.clone(),
                fd,
                _file: file,
            }),
            Err(Failed(step, errno)) => Err(ListenError {
                name: wanted.name.clone(),
                at: describe(&wanted.on),
                step,
                errno,
            }),
        }
    }
}

fn describe(on: &ListenOn) -> String {
    match on {
        ListenOn::Unix(path) | ListenOn::UnixDatagram(path) => format!("{} {path}", on.key()),
        ListenOn::Tcp(address) | ListenOn::Udp(address) => format!("{} {address}", on.key()),
    }
}

/// The step that failed, and why.
struct Failed(&'static str, Errno);

type Made = Result<(OwnedFd, Option<SocketFile>), Failed>;

fn make(family: AddressFamily, kind: SockType) -> Result<OwnedFd, Failed> {
    socket(family, kind, SockFlag::SOCK_CLOEXEC, None).map_err(|errno| Failed("socket", errno))
}

fn occupy(fd: &OwnedFd, kind: SockType, address: &dyn SockaddrLike) -> Result<(), Failed> {
    bind(fd.as_raw_fd(), address).map_err(|errno| Failed("bind", errno))?;
    if kind == SockType::Stream {
        listen(fd, Backlog::MAXCONN).map_err(|errno| Failed("listen", errno))?;
    }
    Ok(())
}

fn inet(address: SocketAddr, kind: SockType) -> Made {
    let address = SockaddrStorage::from(address);
    let fd = make(address.family().unwrap_or(AddressFamily::Inet), kind)?;
    // These sockets are made before the network is up, when none of its addresses is there yet.
    setsockopt(&fd, sockopt::IpFreebind, &true).map_err(|errno| Failed("IP_FREEBIND", errno))?;
    if kind == SockType::Stream {
        // Connections of an earlier socket that are closing do not keep the address (socket(7)).
        setsockopt(&fd, sockopt::ReuseAddr, &true)
            .map_err(|errno| Failed("SO_REUSEADDR", errno))?;
    }
    occupy(&fd, kind, &address)?;
    Ok((fd, None))
}

fn unix(path: &Path, kind: SockType, owner: Option<&RunAs>) -> Made {
    let address = UnixAddr::new(path).map_err(|errno| Failed("bind", errno))?;
    let fd = make(AddressFamily::Unix, kind)?;
    make_folder(path).map_err(|error| Failed("make its folder", errno(&error)))?;
    remove_stale(path, &address, kind).map_err(|(step, errno)| Failed(step, errno))?;
    // The file gets the socket's mode less the umask, so it is never open to more, not even for a moment.
    fchmod(&fd, Mode::from_bits_truncate(FILE_MODE)).map_err(|errno| Failed("fchmod", errno))?;
    occupy(&fd, kind, &address)?;
    fs::set_permissions(path, fs::Permissions::from_mode(FILE_MODE))
        .map_err(|error| Failed("chmod", errno(&error)))?;
    let file = SocketFile::at(path).map_err(|error| Failed("stat", errno(&error)))?;
    if let Some(owner) = owner {
        lchown(path, Some(owner.uid), Some(owner.gid))
            .map_err(|error| Failed("chown", errno(&error)))?;
    }
    Ok((fd, Some(file)))
}

fn errno(error: &io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)
}

/// Makes the folder that a socket's file is to lie in.
pub(crate) fn make_folder(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) if !folder.exists() => DirBuilder::new()
            .recursive(true)
            .mode(FOLDER_MODE)
            .create(folder),
        _ => Ok(()),
    }
}

/// A socket's file outlives a host that was killed. Only a socket that nobody has any more is removed: connecting to
/// it is refused. Anything else there is left alone, and `bind` says so.
pub(crate) fn remove_stale(
    path: &Path,
    address: &UnixAddr,
    kind: SockType,
) -> Result<(), (&'static str, Errno)> {
    let is_socket = fs::symlink_metadata(path).is_ok_and(|meta| meta.file_type().is_socket());
    if !is_socket {
        return Ok(());
    }
    // Non-blocking: a full backlog would keep PID 1 waiting for whoever does not accept.
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let probe =
        socket(AddressFamily::Unix, kind, flags, None).map_err(|errno| ("socket", errno))?;
    if connect(probe.as_raw_fd(), address) == Err(Errno::ECONNREFUSED) {
        fs::remove_file(path).map_err(|error| ("remove the old file", errno(&error)))?;
    }
    Ok(())
}

/// A socket's file, removed with its socket unless another has taken its place.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    identity: (u64, u64),
}

impl SocketFile {
    pub(crate) fn at(path: &Path) -> io::Result<SocketFile> {
        Ok(SocketFile {
            path: path.to_owned(),
            identity: identity(path)?,
        })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|identity| identity == self.identity) {
            let _ = fs::remove_file(&self.path); // the folder may have become read-only
        }
    }
}

/// Device and inode of a file.
fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let meta = fs::symlink_metadata(path)?;
    Ok((meta.dev(), meta.ino()))
}
