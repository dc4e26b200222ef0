//! Linking: the one place where an interface's name becomes host functions.
//!
//! Only the interfaces that a component imports are linked, after `arje_card::grants` has granted
//! each of them; a component therefore holds exactly the authority that its imports name.

use crate::calls::link;
use crate::calls::typed::TypedImport;
use crate::ctx::Ctx;
use crate::iface::{bus, clock, log, supervisor, timer};
use std::sync::Arc;
use wasmtime::component::{HasData, Linker, ResourceTable};
use wasmtime::{Engine, Result};
use wasmtime_wasi::WasiView;
use wasmtime_wasi::cli::{WasiCli, WasiCliView as _};
use wasmtime_wasi::clocks::{WasiClocks, WasiClocksView as _};
use wasmtime_wasi::filesystem::{WasiFilesystem, WasiFilesystemView as _};
use wasmtime_wasi::p2::bindings::{cli, clocks, filesystem, random, sockets};
use wasmtime_wasi::random::{WasiRandom, WasiRandomView as _};
use wasmtime_wasi::sockets::{WasiSockets, WasiSocketsView as _};
use wasmtime_wasi_http::p2::bindings::http;
use wasmtime_wasi_http::{WasiHttp, WasiHttpView as _};
use wasmtime_wasi_io::bindings::wasi::io;

type Add = fn(&mut Linker<Ctx>) -> Result<()>;

/// A linker with exactly these interfaces of the host's (names without version), and these of others'.
pub(crate) fn linker_for<'a>(
    engine: &Engine,
    interfaces: impl Iterator<Item = &'a str>,
    typed: &[Arc<TypedImport>],
) -> Result<Linker<Ctx>> {
    let mut linker = Linker::new(engine);
    for interface in interfaces {
        if let Some((_, add)) = INTERFACES.iter().find(|(name, _)| *name == interface) {
            add(&mut linker)?;
        }
    }
    link::add_to_linker(&mut linker, typed)?;
    Ok(linker)
}

/// Whether the host has this interface (a name without version).
pub(crate) fn is_hosts(interface: &str) -> bool {
    INTERFACES.iter().any(|(name, _)| *name == interface)
}

/// Names, without version, of all interfaces that can be linked; a test holds them against the
/// table of grants.
pub fn linked_interfaces() -> impl Iterator<Item = &'static str> {
    INTERFACES.iter().map(|(name, _)| *name)
}

struct HasIo;

impl HasData for HasIo {
    type Data<'a> = &'a mut ResourceTable;
}

const INTERFACES: &[(&str, Add)] = &[
    // Types only; nothing to link, but a component may name it.
    ("arje:ente/types", |_| Ok(())),
    ("arje:ente/log", log::add_to_linker),
    ("arje:ente/clock", clock::add_to_linker),
    ("arje:ente/timer", timer::add_to_linker),
    ("arje:ente/supervisor", supervisor::add_to_linker),
    // Types only.
    ("arje:bus/types", |_| Ok(())),
    ("arje:bus/bus", bus::add_to_linker),
    ("wasi:io/error", |l| {
        io::error::add_to_linker::<Ctx, HasIo>(l, |t| t.ctx().table)
    }),
    ("wasi:io/poll", |l| {
        io::poll::add_to_linker::<Ctx, HasIo>(l, |t| t.ctx().table)
    }),
    ("wasi:io/streams", |l| {
        io::streams::add_to_linker::<Ctx, HasIo>(l, |t| t.ctx().table)
    }),
    ("wasi:cli/environment", |l| {
        cli::environment::add_to_linker::<Ctx, WasiCli>(l, Ctx::cli)
    }),
    ("wasi:cli/exit", |l| {
        cli::exit::add_to_linker::<Ctx, WasiCli>(l, Ctx::cli)
    }),
    ("wasi:cli/stdin", |l| {
        cli::stdin::add_to_linker::<Ctx, WasiCli>(l, Ctx::cli)
    }),
    ("wasi:cli/stdout", |l| {
        cli::stdout::add_to_linker::<Ctx, WasiCli>(l, Ctx::cli)
    }),
    ("wasi:cli/stderr", |l| {
        cli::stderr::add_to_linker::<Ctx, WasiCli>(l, Ctx::cli)
    }),
    ("wasi:cli/terminal-input", |l| {
        cli::terminal_input::add_to_linker::<Ctx, WasiCli>(l, Ctx::cli)
    }),
    ("wasi:cli/terminal-output", |l| {
        cli::terminal_output::add_to_linker::<Ctx, WasiCli>(l, Ctx::cli)
    }),
    ("wasi:cli/terminal-stdin", |l| {
        cli::terminal_stdin::add_to_linker::<Ctx, WasiCli>(l, Ctx::cli)
    }),
    ("wasi:cli/terminal-stdout", |l| {
        cli::terminal_stdout::add_to_linker::<Ctx, WasiCli>(l, Ctx::cli)
    }),
    ("wasi:cli/terminal-stderr", |l| {
        cli::terminal_stderr::add_to_linker::<Ctx, WasiCli>(l, Ctx::cli)
    }),
    ("wasi:clocks/wall-clock", |l| {
        clocks::wall_clock::add_to_linker::<Ctx, WasiClocks>(l, Ctx::clocks)
    }),
    ("wasi:clocks/monotonic-clock", |l| {
        clocks::monotonic_clock::add_to_linker::<Ctx, WasiClocks>(l, Ctx::clocks)
    }),
    ("wasi:random/random", |l| {
        random::random::add_to_linker::<Ctx, WasiRandom>(l, Ctx::random)
    }),
    ("wasi:random/insecure", |l| {
        random::insecure::add_to_linker::<Ctx, WasiRandom>(l, Ctx::random)
    }),
    ("wasi:random/insecure-seed", |l| {
        random::insecure_seed::add_to_linker::<Ctx, WasiRandom>(l, Ctx::random)
    }),
    ("wasi:filesystem/types", |l| {
        filesystem::types::add_to_linker::<Ctx, WasiFilesystem>(l, Ctx::filesystem)
    }),
    ("wasi:filesystem/preopens", |l| {
        filesystem::preopens::add_to_linker::<Ctx, WasiFilesystem>(l, Ctx::filesystem)
    }),
    ("wasi:sockets/network", |l| {
        let options = sockets::network::LinkOptions::default();
        sockets::network::add_to_linker::<Ctx, WasiSockets>(l, &options, Ctx::sockets)
    }),
    ("wasi:sockets/instance-network", |l| {
        sockets::instance_network::add_to_linker::<Ctx, WasiSockets>(l, Ctx::sockets)
    }),
    ("wasi:sockets/tcp", |l| {
        sockets::tcp::add_to_linker::<Ctx, WasiSockets>(l, Ctx::sockets)
    }),
    ("wasi:sockets/tcp-create-socket", |l| {
        sockets::tcp_create_socket::add_to_linker::<Ctx, WasiSockets>(l, Ctx::sockets)
    }),
    ("wasi:sockets/udp", |l| {
        sockets::udp::add_to_linker::<Ctx, WasiSockets>(l, Ctx::sockets)
    }),
    ("wasi:sockets/udp-create-socket", |l| {
        sockets::udp_create_socket::add_to_linker::<Ctx, WasiSockets>(l, Ctx::sockets)
    }),
    ("wasi:sockets/ip-name-lookup", |l| {
        sockets::ip_name_lookup::add_to_linker::<Ctx, WasiSockets>(l, Ctx::sockets)
    }),
    ("wasi:http/types", |l| {
        let options = http::types::LinkOptions::default();
        http::types::add_to_linker::<Ctx, WasiHttp>(l, &options, Ctx::http)
    }),
    ("wasi:http/outgoing-handler", |l| {
        http::outgoing_handler::add_to_linker::<Ctx, WasiHttp>(l, Ctx::http)
    }),
];
