//! The sockets of a Card's `listen`: made in PID 1, served there or in a worker process.

use arje_card::{Card, Listen, ListenOn};
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// A listening socket.
#[derive(Debug)]
pub(crate) enum Socket {
    /// Of a `tcp` entry.
    Tcp(std::net::TcpListener),
    /// Of a `unix` entry.
    Unix(std::os::unix::net::UnixListener),
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Socket::Tcp(listener) => listener.as_fd(),
            Socket::Unix(listener) => listener.as_fd(),
        }
    }
}

/// A listening socket, and its file, which is removed with it.
#[derive(Debug)]
pub(crate) struct Bound {
    pub(crate) socket: Socket,
    pub(crate) file: Option<SocketFile>,
}

/// Makes every socket of the Card.
///
/// # Errors
///
/// The first that cannot be made, by name.
pub(crate) fn bind_all(card: &Card) -> Result<Vec<Bound>, String> {
    let bind = |listen: &Listen| {
        let bound = match &listen.on {
            ListenOn::Tcp(address) => bind_tcp(*address),
            ListenOn::Unix(path) => bind_unix(Path::new(path)),
            ListenOn::UnixDatagram(_) | ListenOn::Udp(_) => Err(not_http()),
        };
        bound.map_err(|error| format!("listen {:?} ({:?}): {error}", listen.name, listen.on))
    };
    card.listen.iter().map(bind).collect()
}

/// Takes over sockets that were made elsewhere, in the order of the Card's `listen`.
///
/// # Errors
///
/// There are more or fewer than the Card has, or one cannot be used.
pub(crate) fn adopt_all(card: &Card, sockets: Vec<OwnedFd>) -> Result<Vec<Bound>, String> {
    if sockets.len() != card.listen.len() {
        return Err(format!(
            "listen: {} sockets were handed over for {} entries",
            sockets.len(),
            card.listen.len()
        ));
    }
    let adopt = |(listen, fd): (&Listen, OwnedFd)| {
        let socket = match &listen.on {
            ListenOn::Tcp(_) => Socket::Tcp(fd.into()),
            ListenOn::Unix(_) => Socket::Unix(fd.into()),
            ListenOn::UnixDatagram(_) | ListenOn::Udp(_) => {
                return Err(format!("listen {:?}: {}", listen.name, not_http()));
            }
        };
        Ok(Bound { socket, file: None })
    };
    card.listen.iter().zip(sockets).map(adopt).collect()
}

fn not_http() -> io::Error {
    io::Error::new(
        io::ErrorKind::Unsupported,
        "HTTP is served on `tcp` and `unix` sockets only",
    )
}

fn bind_tcp(address: SocketAddr) -> io::Result<Bound> {
    let listener = std::net::TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(Bound {
        socket: Socket::Tcp(listener),
        file: None,
    })
}

fn bind_unix(path: &Path) -> io::Result<Bound> {
    // A socket file outlives a killed process. Only a socket that nobody listens on is removed.
    if std::fs::symlink_metadata(path).is_ok_and(|meta| meta.file_type().is_socket())
        && std::os::unix::net::UnixStream::connect(path).is_err()
    {
        std::fs::remove_file(path)?;
    }
    let listener = std::os::unix::net::UnixListener::bind(path)?;
    let file = SocketFile::at(path)?;
    listener.set_nonblocking(true)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))?;
    Ok(Bound {
        socket: Socket::Unix(listener),
        file: Some(file),
    })
}

/// A socket's file, removed with its listener unless another has taken its place.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    identity: (u64, u64),
}

impl SocketFile {
    fn at(path: &Path) -> io::Result<SocketFile> {
        Ok(SocketFile {
            path: path.to_owned(),
            identity: identity(path)?,
        })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|identity| identity == self.identity) {
            let _ = std::fs::remove_file(&self.path); // the folder may have become read-only
        }
    }
}

/// Device and inode of a file.
fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let meta = std::fs::symlink_metadata(path)?;
    Ok((meta.dev(), meta.ino()))
}
