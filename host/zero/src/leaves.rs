//! The cgroups of native Entes, from one life to the next: who is in which, and what becomes of
//! those that the first process of a life leaves behind. `docs/cgroups.md` is the page on it.

use crate::bus::Share;
use crate::natives::{Who, start_failed};
use crate::poller::Poller;
use arje_card::{Card, Id, Networking};
use arje_native::cgroup::{CgroupError, CgroupTree, Leaf, Place, Usage};
use arje_supervisor::{ExitStatus, KilledFor};
use nix::sys::signal::Signal;
use std::collections::{HashMap, VecDeque};
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

/// How long the end of an Ente is withheld for processes that it left and that were killed. A fork bomb
/// of hundreds takes milliseconds to die, and some seconds on an emulated processor; what takes longer
/// than this sleeps uninterruptibly, most likely, and runs no instruction of its own any more, so that
/// nobody has to wait for it.
const PATIENCE: Duration = Duration::from_secs(5);

/// Leftovers that a message names.
const NAMED: usize = 5;

/// All cgroups of native Entes: at most one for each, also after it has ended and until it is sure
/// not to come back. None at all where the host may not make any.
pub struct Leaves {
    tree: Option<CgroupTree>,
    held: HashMap<Id, Held>,
    /// By their place.
    owner: HashMap<String, Id>,
    by_token: HashMap<u64, Id>,
    /// When somebody's end is told at the latest, the earliest first, since all get the same time. An
    /// entry may be out of date; it is gone after [`PATIENCE`] at the latest.
    due: VecDeque<(Instant, Who)>,
    /// Whether they are removed in the end: not by the init of the machine, which takes all along.
    tidy: bool,
}

/// The cgroup of one Ente.
struct Held {
    leaf: Leaf,
    /// Of the Card: a cgroup in which ports were forbidden serves no other kind.
    networking: Networking,
    leftovers: Option<Leftovers>,
    /// How many of its processes the kernel had killed for want of memory before this life.
    oom_kills: u64,
    /// To be removed when it is empty.
    retired: bool,
}

/// A first process ended, and others are still there. They have been sent SIGKILL.
struct Leftovers {
    /// The end, until it has been told.
    untold: Option<(Who, ExitStatus)>,
}

impl Leaves {
    /// With this subtree, if there is one.
    #[must_use]
    pub fn new(tree: Option<CgroupTree>, tidy: bool) -> Leaves {
        Leaves {
            tree,
            held: HashMap::new(),
            owner: HashMap::new(),
            by_token: HashMap::new(),
            due: VecDeque::new(),
            tidy,
        }
    }

    /// Whether Entes have cgroups here.
    #[must_use]
    pub fn are_there(&self) -> bool {
        self.tree.is_some()
    }

    /// The cgroup for a life that is about to begin: the one of the life before, if nothing is left of
    /// that, else a new one. `None` where there are none.
    ///
    /// # Errors
    ///
    /// Somebody is in it, it is another Ente's, or it cannot be made as the Card wants it.
    pub fn enter(&mut self, card: &Card) -> Result<Option<BorrowedFd<'_>>, ExitStatus> {
        if self.tree.is_none() {
            return Ok(None);
        }
        self.prepare(card)
            .map_err(|reason| start_failed("cgroup", reason))?;
        Ok(self.held.get(&card.id).map(|held| held.leaf.fd()))
    }

    fn prepare(&mut self, card: &Card) -> Result<(), String> {
        let settings = &card.soma.cgroup;
        let place = Place::of(card);
        if let Some(held) = self.held.get_mut(&card.id) {
            if held.leftovers.is_some() {
                return Err(held.complaint());
            }
            let same =
                held.leaf.place() == &place && held.networking == card.permissions.networking;
            if same && held.leaf.fresh_for(settings) {
                held.oom_kills = held.leaf.oom_kills().unwrap_or_default();
                return Ok(());
            }
            self.retire(card.id);
        }
        if self.owner.contains_key(place.as_str()) {
            return Err(format!(
                "soma.cgroup.path: {place} is another Ente's; give each its own"
            ));
        }
        let Some(tree) = &self.tree else {
            return Ok(());
        };
        let mut leaf = tree
            .leaf(&place, settings)
            .map_err(|error| error.to_string())?;
        if let Err(error) = leaf.configure(settings) {
            let _ = leaf.remove(tree); // empty
            return Err(error.to_string());
        }
        self.insert(card, leaf);
        Ok(())
    }

    /// Goes on with the cgroup of a life that another image of this program has begun.
    ///
    /// # Errors
    ///
    /// There is none; the life goes on without.
    pub fn take_over(&mut self, card: &Card) -> Result<(), CgroupError> {
        let Some(tree) = &self.tree else {
            return Ok(());
        };
        let place = Place::of(card);
        let leaf = tree.adopt(&place, &card.soma.cgroup)?;
        let oom_kills = leaf.oom_kills().unwrap_or_default();
        self.insert(card, leaf);
        if let Some(held) = self.held.get_mut(&card.id) {
            held.oom_kills = oom_kills;
        }
        Ok(())
    }

    /// Removes what is empty, of Entes that nobody knows any more. Those that are known and empty are made
    /// anew when they are needed.
    pub fn sweep(&self) {
        if let Some(tree) = &self.tree {
            tree.sweep();
        }
    }

    fn insert(&mut self, card: &Card, leaf: Leaf) {
        self.owner.insert(leaf.place().as_str().to_owned(), card.id);
        let held = Held {
            leaf,
            networking: card.permissions.networking,
            leftovers: None,
            oom_kills: 0,
            retired: false,
        };
        self.held.insert(card.id, held);
    }

    /// Kills all of an Ente that has a cgroup, however many they are and whatever they have made of
    /// themselves.
    pub fn kill(&self, id: Id) {
        if let Some(Err(error)) = self.held.get(&id).map(|held| held.leaf.kill()) {
            tracing::error!(%id, "cannot kill a cgroup: {error}");
        }
    }

    /// The first process of a life has ended. Returns the end to tell, unless others are left; then
    /// they are killed, and the end is told when they are gone, or by [`overdue`](Self::overdue).
    pub fn ended(
        &mut self,
        who: Who,
        status: ExitStatus,
        poller: &mut Poller,
    ) -> Option<(Who, ExitStatus)> {
        let Some(held) = self.held.get_mut(&who.id) else {
            return Some((who, status));
        };
        let status = held.explain(status);
        if !held.leaf.state().is_ok_and(|state| state.populated) {
            return Some((who, status));
        }
        if let Err(error) = held.leaf.kill() {
            tracing::error!(id = %who.id, "cannot kill what an Ente left: {error}");
        }
        let token = match poller.watch_urgent(held.leaf.events()) {
            Ok(token) => token,
            Err(error) => {
                // Unwatched they would never be seen to go. They are killed all the same, and a new
                // life finds a cgroup that is not empty and is refused.
                tracing::error!(id = %who.id, "cannot watch a cgroup: {error}");
                return Some((who, status));
            }
        };
        held.leftovers = Some(Leftovers {
            untold: Some((who, status)),
        });
        self.by_token.insert(token, who.id);
        self.due.push_back((Instant::now() + PATIENCE, who));
        None
    }

    /// Something has changed in the cgroup behind a token; the end to tell, if that was it.
    pub fn changed(&mut self, token: u64, poller: &Poller) -> Option<(Who, ExitStatus)> {
        let id = *self.by_token.get(&token)?;
        let held = self.held.get_mut(&id)?;
        match held.leaf.state() {
            Ok(state) if state.populated => {
                // Kernels before 5.14 need more than one go.
                let _ = held.leaf.kill();
                return None;
            }
            Ok(state) if state.frozen => {
                let _ = held.leaf.thaw(); // else the next life finds it frozen, and makes it anew
            }
            _ => {}
        }
        poller.forget(held.leaf.events());
        self.by_token.remove(&token);
        let untold = held.leftovers.take().and_then(|left| left.untold);
        if held.retired {
            self.retire(id);
        }
        untold
    }

    /// When [`overdue`](Self::overdue) has something to tell at the latest.
    pub fn deadline(&mut self) -> Option<Instant> {
        while let Some((at, who)) = self.due.front() {
            if self.is_untold(*who) {
                return Some(*at);
            }
            self.due.pop_front();
        }
        None
    }

    /// Whether the end of this very life waits for what it left: a later one of the same Ente may wait, too, and
    /// has a time of its own.
    fn is_untold(&self, who: Who) -> bool {
        let leftovers = self
            .held
            .get(&who.id)
            .and_then(|held| held.leftovers.as_ref());
        let untold = leftovers.and_then(|left| left.untold.as_ref());
        untold.is_some_and(|(of, _)| *of == who)
    }

    /// The next end that is told although somebody is left: they were killed, and the kernel does not
    /// let go of them.
    pub fn overdue(&mut self, now: Instant) -> Option<(Who, ExitStatus)> {
        loop {
            let (_, who) = *self.due.front().filter(|(at, _)| *at <= now)?;
            self.due.pop_front();
            if !self.is_untold(who) {
                continue;
            }
            let id = who.id;
            let Some(held) = self.held.get_mut(&id) else {
                continue;
            };
            let leftovers = held.leftovers.as_mut();
            if let Some(untold) = leftovers.and_then(|left| left.untold.take()) {
                tracing::warn!(%id, "{}", held.complaint());
                return Some(untold);
            }
        }
    }

    /// This Ente is not expected to start again soon: its cgroup is removed, when it is empty.
    pub fn retire(&mut self, id: Id) {
        let Some(held) = self.held.get_mut(&id) else {
            return;
        };
        held.retired = true;
        if held.leftovers.is_some() {
            return;
        }
        let (Some(held), Some(tree)) = (self.held.remove(&id), &self.tree) else {
            return;
        };
        let place = held.leaf.place().clone();
        self.owner.remove(place.as_str());
        if let Err(errno) = held.leaf.remove(tree) {
            tracing::warn!(%id, "cannot remove the cgroup {place}: {errno}");
        }
    }

    /// Whose process this is; see [`CgroupTree::place_of_process`] for what a bare number is worth.
    #[must_use]
    pub fn ente_of(&self, pid: i32) -> Option<Id> {
        let place = self.tree.as_ref()?.place_of_process(pid)?;
        let mut place = place.as_str();
        loop {
            if let Some(id) = self.owner.get(place) {
                return Some(*id);
            }
            place = place.rsplit_once('/')?.0; // the Ente made cgroups in its own
        }
    }

    /// Changes what the Ente in a cgroup has of the machine. The next life finds settings that are not its Card's, and
    /// gets a cgroup of its own.
    ///
    /// # Errors
    ///
    /// There is no cgroup, or the kernel does not take the value.
    pub fn set(&mut self, id: Id, what: Share) -> Result<(), String> {
        let leaf = self.held.get_mut(&id).map(|held| &mut held.leaf);
        let leaf = leaf.ok_or("it has no cgroup: this host has none for Entes")?;
        let mut settings = leaf.settings().clone();
        match what {
            Share::CpuWeight(weight) => settings.cpu_weight = Some(weight),
            Share::IoWeight(weight) => settings.io_weight = Some(weight),
            Share::MemoryMax(bytes) => settings.memory_max = Some(bytes),
            Share::MemoryHigh(bytes) => settings.memory_high = Some(bytes),
            Share::Frozen(frozen) => {
                return leaf
                    .freeze(frozen)
                    .map_err(|error| format!("cannot write cgroup.freeze: {error}"));
            }
        }
        leaf.configure(&settings).map_err(|error| error.to_string())
    }

    /// What an Ente has used since its cgroup was made.
    #[must_use]
    pub fn usage(&self, id: Id) -> Option<Usage> {
        self.held.get(&id).map(|held| held.leaf.usage())
    }
}

impl Held {
    /// The end of the life in it, with its reason if it was killed for want of memory.
    fn explain(&self, status: ExitStatus) -> ExitStatus {
        if status != ExitStatus::Signal(Signal::SIGKILL as i32) {
            return status;
        }
        // The kernel counts before it kills.
        match self.leaf.oom_kills() {
            Some(kills) if kills > self.oom_kills => ExitStatus::Killed(KilledFor::Memory),
            _ => status,
        }
    }

    fn complaint(&self) -> String {
        let pids = self.leaf.processes(NAMED);
        format!(
            "processes of its last life are still in the cgroup {} although they were killed ({}): the kernel does \
             not let go of them, see their /proc/PID/stack; free what they wait for",
            self.leaf.place(),
            pids.join(", "),
        )
    }
}

impl Drop for Leaves {
    fn drop(&mut self) {
        if !self.tidy {
            return;
        }
        for id in self.held.keys().copied().collect::<Vec<_>>() {
            self.retire(id);
        }
        if let Some(tree) = self.tree.take() {
            tree.close();
        }
    }
}
