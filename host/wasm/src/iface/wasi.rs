//! WASI 0.2 under a Card: which folders, which addresses, which arguments.

use crate::iface::log::Level;
use crate::output::{LineStream, Output};
use arje_card::{Card, Filesystem, Networking, WasmPayload};
use std::net::{IpAddr, SocketAddr};
use wasmtime_wasi::sockets::SocketAddrUse;
use wasmtime_wasi::{FsPerms, WasiCtx, WasiCtxBuilder};

/// The WASI context of `card`'s component: its arguments and environment (nothing of the host's),
/// its preopened folders, and a check of every address it uses.
///
/// # Errors
///
/// A preopened folder cannot be opened; the text names it.
pub(crate) fn context(
    card: &Card,
    payload: &WasmPayload,
    output: &Output,
) -> Result<WasiCtx, String> {
    let mut builder = WasiCtxBuilder::new();
    builder
        .arg(&card.label)
        .args(&payload.argv)
        .envs(&payload.envp.0)
        .stdout(LineStream::new(output.clone(), Level::Info))
        .stderr(LineStream::new(output.clone(), Level::Warn));
    preopen(&mut builder, card, payload)?;
    let networking = card.permissions.networking;
    builder
        .allow_ip_name_lookup(networking >= Networking::Outbound)
        .allow_tcp(networking > Networking::None)
        .allow_udp(networking > Networking::None)
        .socket_addr_check(move |address, usage| {
            let allowed = may_use(networking, address, usage);
            Box::pin(async move { allowed })
        });
    Ok(builder.build())
}

fn preopen(builder: &mut WasiCtxBuilder, card: &Card, payload: &WasmPayload) -> Result<(), String> {
    for bind in &payload.preopens {
        let writable = !bind.ro && card.permissions.filesystem == Filesystem::ReadWrite;
        let perms = if writable {
            FsPerms::ReadWrite
        } else {
            FsPerms::ReadOnly
        };
        builder
            .preopened_dir(&bind.source, &bind.target, perms)
            .map_err(|error| {
                format!(
                    "preopens: cannot open the folder {:?} (seen as {:?}): {error}; create it or \
                     remove the entry",
                    bind.source, bind.target
                )
            })?;
    }
    Ok(())
}

/// Whether a component with this `permissions.networking` may use an address in this way.
///
/// `outbound` may connect and send anywhere but never listen; `loopback` may do everything, on
/// loopback addresses only. The bind that the system makes for a connection shows up here with the
/// wildcard address, so binding to it is allowed and listening on it is what is refused.
pub(crate) fn may_use(networking: Networking, address: SocketAddr, usage: SocketAddrUse) -> bool {
    let ip = address.ip();
    match networking {
        Networking::None => false,
        Networking::Loopback => match usage {
            SocketAddrUse::TcpBind | SocketAddrUse::UdpBind => {
                is_loopback(ip) || (ip.is_unspecified() && address.port() == 0)
            }
            _ => is_loopback(ip),
        },
        Networking::Outbound => match usage {
            SocketAddrUse::TcpListen | SocketAddrUse::TcpAccept => false,
            SocketAddrUse::TcpBind | SocketAddrUse::UdpBind => address.port() == 0,
            SocketAddrUse::TcpConnect | SocketAddrUse::UdpSend | SocketAddrUse::UdpReceive => true,
        },
        Networking::Full => true,
    }
}

/// Loopback, also when an IPv4 address comes in IPv6 clothes (`::ffff:127.0.0.1`).
pub(crate) fn is_loopback(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}

#[cfg(test)]
mod tests {
    use super::*;
    use SocketAddrUse::{TcpBind, TcpConnect, TcpListen, UdpBind, UdpSend};

    #[test]
    fn addresses_by_permission() {
        let cases = [
            (Networking::None, "127.0.0.1:80", TcpConnect, false),
            (Networking::Loopback, "127.0.0.1:80", TcpConnect, true),
            (Networking::Loopback, "[::1]:80", TcpListen, true),
            (
                Networking::Loopback,
                "[::ffff:127.0.0.1]:80",
                TcpConnect,
                true,
            ),
            (Networking::Loopback, "10.0.0.1:80", TcpConnect, false),
            (Networking::Loopback, "0.0.0.0:0", TcpBind, true),
            (Networking::Loopback, "0.0.0.0:80", TcpBind, false),
            (Networking::Loopback, "0.0.0.0:0", TcpListen, false),
            (Networking::Loopback, "10.0.0.1:53", UdpSend, false),
            (Networking::Outbound, "10.0.0.1:80", TcpConnect, true),
            (Networking::Outbound, "0.0.0.0:0", TcpBind, true),
            (Networking::Outbound, "0.0.0.0:80", TcpBind, false),
            (Networking::Outbound, "0.0.0.0:0", TcpListen, false),
            (Networking::Outbound, "127.0.0.1:9", TcpListen, false),
            (Networking::Outbound, "0.0.0.0:53", UdpBind, false),
            (Networking::Outbound, "10.0.0.1:53", UdpSend, true),
            (Networking::Full, "0.0.0.0:80", TcpListen, true),
        ];
        for (networking, address, usage, allowed) in cases {
            let address = address.parse().unwrap();
            assert_eq!(
                may_use(networking, address, usage),
                allowed,
                "{networking:?} {address} {usage:?}"
            );
        }
    }
}
