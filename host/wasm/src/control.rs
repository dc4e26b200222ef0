//! How the core loop reaches a running incarnation without waiting for it.

use crate::calls::bay::Bay;
use crate::calls::face::{Answering, Face};
use crate::loader::Loaded;
use crate::succession::Heir;
use crate::tend::Inbox;
use arje_bus::Event;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use tokio::sync::Notify;

/// Why a component is asked to stop (`arje:ente/types.stop-reason`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum StopReason {
    /// Somebody asked for this Ente to stop.
    Requested = 1,
    /// It is to be started again.
    Restart,
    /// Something it requires is no longer provided.
    DependencyLost,
    /// Another version takes its place.
    Replaced,
    /// It did not answer in time.
    Unhealthy,
    /// The machine goes down.
    Shutdown,
}

impl StopReason {
    const ALL: [StopReason; 6] = [
        StopReason::Requested,
        StopReason::Restart,
        StopReason::DependencyLost,
        StopReason::Replaced,
        StopReason::Unhealthy,
        StopReason::Shutdown,
    ];

    /// The reason with this number.
    pub(crate) fn from_number(number: u8) -> Option<StopReason> {
        Self::ALL.into_iter().find(|reason| *reason as u8 == number)
    }
}

const RUNNING: u8 = 0;
const KILL: u8 = u8::MAX;

/// One word that says what is wanted of an incarnation. Raising it never blocks and never fails;
/// a kill outranks a stop, and the first stop reason is kept.
#[derive(Default)]
pub(crate) struct Control {
    wanted: AtomicU8,
    changed: Notify,
    /// Its component, once it is loaded.
    loaded: OnceLock<Arc<Loaded>>,
    /// The types of its component, if that is in a worker process and has to do with typed services.
    face: OnceLock<Arc<Face>>,
    /// Where a service stands between calls.
    pub(crate) bay: Bay,
    /// Who wants its place; to be looked at when `has_heir` says so.
    heir: Mutex<Option<Heir>>,
    has_heir: AtomicBool,
    /// Nobody can have its place any more.
    over: AtomicBool,
    /// Events that it subscribed to; to be looked at when `has_events` says so.
    inbox: Mutex<Inbox>,
    has_events: AtomicBool,
}

impl Control {
    pub(crate) fn stop(&self, reason: StopReason) {
        let _ = self.wanted.compare_exchange(
            RUNNING,
            reason as u8,
            Ordering::AcqRel,
            Ordering::Acquire,
        );
        self.changed.notify_waiters();
    }

    pub(crate) fn kill(&self) {
        self.wanted.store(KILL, Ordering::Release);
        self.changed.notify_waiters();
    }

    /// Notes the component, for those who call it.
    pub(crate) fn note_loaded(&self, loaded: &Arc<Loaded>) {
        let _ = self.loaded.set(Arc::clone(loaded)); // an incarnation loads once
    }

    pub(crate) fn loaded(&self) -> Option<Arc<Loaded>> {
        self.loaded.get().cloned()
    }

    /// Notes the types of its component, which is in a worker process.
    pub(crate) fn note_face(&self, face: Arc<Face>) {
        let _ = self.face.set(face); // as above
    }

    pub(crate) fn face(&self) -> Option<&Arc<Face>> {
        self.face.get()
    }

    /// Its component, for those who call it by type.
    pub(crate) fn answering(&self) -> Option<Answering> {
        match self.loaded.get() {
            Some(loaded) => Some(Answering::Here(Arc::clone(loaded))),
            None => self.face.get().cloned().map(Answering::There),
        }
    }

    /// Asks for the place of this incarnation. Who asks is told when it ends before it has heard of that: `heir` is
    /// dropped.
    pub(crate) fn ask_for_place(&self, heir: Heir) {
        *self.heir() = Some(heir);
        self.has_heir.store(true, Ordering::Release);
        if self.over.load(Ordering::Acquire) {
            self.heir().take();
        }
        self.changed.notify_waiters();
    }

    /// Who wants its place, once.
    pub(crate) fn take_heir(&self) -> Option<Heir> {
        match self.has_heir.swap(false, Ordering::AcqRel) {
            true => self.heir().take(),
            false => None,
        }
    }

    /// It has ended: nobody can have its place.
    pub(crate) fn close(&self) {
        self.over.store(true, Ordering::Release);
        self.heir().take();
    }

    fn heir(&self) -> MutexGuard<'_, Option<Heir>> {
        // Put in or taken out whole.
        self.heir.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells it of an event that it subscribed to.
    pub(crate) fn tell(&self, event: Arc<Event>) {
        if !self.over.load(Ordering::Acquire) {
            let mut inbox = self.inbox();
            inbox.put(event);
            self.has_events.store(true, Ordering::Release);
            drop(inbox);
            self.changed.notify_waiters();
        }
    }

    /// The next event that waits for it.
    pub(crate) fn take_event(&self) -> Option<Arc<Event>> {
        if !self.has_events.load(Ordering::Acquire) {
            return None;
        }
        let mut inbox = self.inbox();
        let event = inbox.take();
        if event.is_none() {
            self.has_events.store(false, Ordering::Release); // under the lock: none is put meanwhile
        }
        event
    }

    /// Forgets the events that wait for it.
    pub(crate) fn forget_events(&self) {
        self.inbox().clear();
    }

    /// Returns once there may be an event for it.
    pub(crate) async fn told(&self) {
        self.until(|| self.has_events.load(Ordering::Acquire)).await;
    }

    fn inbox(&self) -> MutexGuard<'_, Inbox> {
        // What a panic could leave half-made is a count of events.
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether nobody has asked for its end.
    pub(crate) fn is_running(&self) -> bool {
        self.wanted.load(Ordering::Acquire) == RUNNING
    }

    pub(crate) fn is_killed(&self) -> bool {
        self.wanted.load(Ordering::Acquire) == KILL
    }

    /// The reason for which a stop was asked, if one was.
    pub(crate) fn stop_reason(&self) -> Option<StopReason> {
        StopReason::from_number(self.wanted.load(Ordering::Acquire))
    }

    /// Returns once [`kill`](Self::kill) was called.
    pub(crate) async fn killed(&self) {
        self.until(|| self.is_killed()).await;
    }

    /// Returns once a stop or a kill was asked for.
    pub(crate) async fn stopped(&self) {
        self.until(|| self.wanted.load(Ordering::Acquire) != RUNNING)
            .await;
    }

    /// Returns once a stop or a kill was asked for, or its place, or there may be an event for it.
    pub(crate) async fn wanted(&self) {
        self.until(|| {
            self.wanted.load(Ordering::Acquire) != RUNNING
                || self.has_heir.load(Ordering::Acquire)
                || self.has_events.load(Ordering::Acquire)
        })
        .await;
    }

    async fn until(&self, reached: impl Fn() -> bool) {
        loop {
            // Registered before the check, so that a change between check and await is not lost.
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if reached() {
                return;
            }
            changed.await;
        }
    }
}
