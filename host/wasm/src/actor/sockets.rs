//! The sockets of a Card's `listen`. Whoever starts the incarnation has made them: they outlive it, so
//! that no connection is lost while it restarts.

use arje_card::{Card, Listen, ListenOn};
use std::io;
use std::os::fd::OwnedFd;

/// A listening socket that accepts without blocking.
#[derive(Debug)]
pub(crate) enum Socket {
    /// Of a `tcp` entry.
    Tcp(std::net::TcpListener),
    /// Of a `unix` entry.
    Unix(std::os::unix::net::UnixListener),
}

/// Takes over the sockets of a Card, in the order of its `listen`.
///
/// # Errors
///
/// There are more or fewer than the Card has, or one cannot be used.
pub(crate) fn adopt_all(card: &Card, sockets: Vec<OwnedFd>) -> Result<Vec<Socket>, String> {
    if sockets.len() != card.listen.len() {
        return Err(format!(
            "listen: {} sockets were handed over for {} entries",
            sockets.len(),
            card.listen.len()
        ));
    }
    let adopt = |(listen, fd): (&Listen, OwnedFd)| {
        adopt(&listen.on, fd)
            .map_err(|error| format!("listen {:?} ({:?}): {error}", listen.name, listen.on))
    };
    card.listen.iter().zip(sockets).map(adopt).collect()
}

fn adopt(on: &ListenOn, fd: OwnedFd) -> io::Result<Socket> {
    match on {
        ListenOn::Tcp(_) => {
            let listener = std::net::TcpListener::from(fd);
            listener.set_nonblocking(true)?;
            Ok(Socket::Tcp(listener))
        }
        ListenOn::Unix(_) => {
            let listener = std::os::unix::net::UnixListener::from(fd);
            listener.set_nonblocking(true)?;
            Ok(Socket::Unix(listener))
        }
        ListenOn::UnixDatagram(_) | ListenOn::Udp(_) => Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "HTTP is served on `tcp` and `unix` sockets only",
        )),
    }
}
