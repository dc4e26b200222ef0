//! What the host keeps for one instance: the data of its store.

use crate::calls::peer::Peer;
use crate::iface::http::Outgoing;
use crate::iface::timer::Timers;
use crate::lane::LaneSignal;
use crate::ledger::Share;
use crate::output::Output;
use crate::ticker::Ticker;
use std::sync::Arc;
use wasmtime::component::ResourceTable;
use wasmtime::{Engine, Store, UpdateDeadline};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

/// Most bytes that the host copies out of a component in one call, such as a chunk of a file. A
/// call that brings more traps; it bounds what the host allocates for a guest.
pub(crate) const MAX_CALL_BYTES: usize = 16 * 1024 * 1024;

/// Handles to host resources (streams, descriptors, pollables) of one component.
const MAX_HANDLES: usize = 4096;

/// The data of a store.
pub(crate) struct Ctx {
    pub(crate) output: Output,
    pub(crate) timers: Timers,
    pub(crate) share: Share,
    pub(crate) signal: Arc<LaneSignal>,
    pub(crate) peer: Peer,
    /// Only components that import WASI have one: it is most of an idle Ente's memory.
    wasi: Option<Box<Wasi>>,
}

/// WASI's part of a store.
pub(crate) struct Wasi {
    ctx: WasiCtx,
    table: ResourceTable,
    http: WasiHttpCtx,
    outgoing: Outgoing,
}

impl Wasi {
    pub(crate) fn new(ctx: WasiCtx, outgoing: Outgoing) -> Wasi {
        let mut table = ResourceTable::new();
        table.set_max_capacity(MAX_HANDLES);
        Wasi {
            ctx,
            table,
            http: WasiHttpCtx::new(),
            outgoing,
        }
    }
}

impl Ctx {
    pub(crate) fn new(
        output: Output,
        timers: Timers,
        share: Share,
        signal: Arc<LaneSignal>,
        peer: Peer,
        wasi: Option<Wasi>,
    ) -> Ctx {
        Ctx {
            output,
            timers,
            share,
            signal,
            peer,
            wasi: wasi.map(Box::new),
        }
    }

    /// Closes what a component had open when none of its code will run again: its last words go out, its
    /// files and sockets are closed, and its account is settled. What is left is memory.
    pub(crate) fn close(&mut self) {
        self.wasi = None;
        self.share.settle();
    }

    /// A store that gives way, is limited, and holds this.
    pub(crate) fn into_store(self, engine: &Engine, ticker: Arc<Ticker>) -> Store<Ctx> {
        let mut store = Store::new(engine, self);
        store.limiter(|ctx| &mut ctx.share);
        store.set_hostcall_fuel(MAX_CALL_BYTES);
        store.set_max_component_handles(MAX_HANDLES);
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(move |store| {
            Ok(if store.data().signal.epoch_passed(&ticker) {
                UpdateDeadline::Yield(1)
            } else {
                UpdateDeadline::Continue(1)
            })
        });
        store
    }

    fn wasi(&mut self) -> &mut Wasi {
        // Made before instantiation for every component that imports WASI; the empty one here
        // grants nothing and exists so that no path can panic.
        self.wasi.get_or_insert_with(|| {
            Box::new(Wasi::new(
                WasiCtx::builder().build(),
                Outgoing::new(arje_card::Networking::None),
            ))
        })
    }
}

impl WasiView for Ctx {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let wasi = self.wasi();
        WasiCtxView {
            ctx: &mut wasi.ctx,
            table: &mut wasi.table,
        }
    }
}

impl WasiHttpView for Ctx {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        let wasi = self.wasi();
        WasiHttpCtxView {
            hooks: &mut wasi.outgoing,
            table: &mut wasi.table,
            ctx: &mut wasi.http,
        }
    }
}
