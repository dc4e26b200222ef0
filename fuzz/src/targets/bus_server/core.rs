//! What is behind the server: decisions as in PID 1 (`host/zero/src/core`).

mod lives;

use super::client::Client;
use crate::bus::{
    Bus, Caller, Decision, Destination, Incoming, Member, Question, Running, Task, View, Waiter,
    deadline, may_spawn, route,
};
use crate::console::Console;
use crate::logs::Logs;
use crate::poller::{Poller, Ready};
use crate::seed;
use arje_bus::{
    BusError, CallError, ErrorCode, Invoke, MAX_PAYLOAD, Place, Request, RequestFrame, Response,
    Routes, Telemetry, Undecodable,
};
use arje_card::{Card, Id};
use arje_native::cgroup::Support;
use arje_supervisor::{EventKind, Millis, ReadyBy, Report, Supervisor};
use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet, VecDeque};
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

/// What is the same for all inputs: the poller, and the thread that keeps logs.
struct Machine {
    poller: RefCell<Poller>,
    logs: Logs,
    inputs: Cell<u64>,
}

thread_local! {
    static MACHINE: Rc<Machine> = Rc::new(Machine::new());
}

impl Machine {
    fn new() -> Self {
        let poller = Poller::new().expect("a poller");
        // PID 1 takes these by its poller; here they end the run, as those of a terminal do.
        nix::sys::signal::SigSet::all()
            .thread_unblock()
            .expect("a mask");
        let console = Console::start(io::sink(), arje_wasm::Level::Error).expect("a thread");
        let logs = Logs::start(console, poller.wake_handle()).expect("a thread");
        Self {
            poller: RefCell::new(poller),
            logs,
            inputs: Cell::new(0),
        }
    }
}

/// Who waits for something that takes its time.
enum Late {
    Component(Waiter),
    Deployment { token: u64, serial: u32 },
}

/// The core.
pub struct Core {
    machine: Rc<Machine>,
    address: SocketAddr,
    bus: Bus,
    tokens: HashSet<u64>,
    supervisor: Supervisor,
    routes: Arc<Routes>,
    entes: Vec<Id>,
    now: Millis,
    late: VecDeque<Late>,
    callers: RefCell<VecDeque<Caller>>,
    /// How often each client asked with each serial.
    pub asked: HashMap<(u32, u32), u32>,
    /// Clients that sent what is no frame of the protocol.
    pub garbled: HashSet<u32>,
}

struct Nothing;

impl Running for Nothing {
    fn pid(&self, _: Id) -> Option<u32> {
        None
    }
    fn usage(&self, _: &Card) -> Telemetry {
        Telemetry::default()
    }
}

impl Core {
    pub fn new() -> Self {
        let machine = MACHINE.with(Rc::clone);
        machine.inputs.set(machine.inputs.get() + 1);
        let name = format!("arje-fuzz-{}-{}", std::process::id(), machine.inputs.get());
        let address = SocketAddr::from_abstract_name(name).expect("a name");
        let listener = UnixListener::bind_addr(&address).expect("a socket");
        let mut bus = Bus::on(
            listener,
            machine.logs.clone(),
            &mut machine.poller.borrow_mut(),
        )
        .expect("a bus");
        let routes = Arc::new(Routes::new());
        bus.tell_routes(Arc::clone(&routes));
        let cards = lives::cards();
        let mut core = Self {
            machine,
            address,
            bus,
            tokens: HashSet::new(),
            supervisor: Supervisor::new(),
            routes: Arc::clone(&routes),
            entes: cards.iter().map(|card| card.id).collect(),
            now: Millis(1000),
            late: VecDeque::new(),
            callers: RefCell::default(),
            asked: HashMap::new(),
            garbled: HashSet::new(),
        };
        core.step(EventKind::Adopt {
            parent: None,
            cards,
        })
        .expect("Cards that can live");
        core
    }

    /// A client of one of six callers: root, a user, or a process of one of the first four Entes.
    pub fn connect(&mut self, index: u32, who: u8) -> Client {
        let who = usize::from(who % 6);
        let ente = who.checked_sub(2).and_then(|which| {
            let id = self.entes[which];
            Some(Member {
                card: Arc::clone(self.supervisor.card(id)?),
                incarnation: self.supervisor.status(id)?.incarnation,
            })
        });
        let uid = if who == 1 { 1000 } else { 0 };
        let caller = Caller {
            pid: index,
            uid,
            gid: uid,
            ente,
        };
        self.callers.get_mut().push_back(caller);
        Client::new(UnixStream::connect_addr(&self.address).expect("a connection"))
    }

    pub fn turns(&mut self, count: usize) {
        (0..count).for_each(|_| self.turn());
    }

    /// A turn of the loop, as in `core/bus.rs`.
    pub fn turn(&mut self) {
        let machine = Rc::clone(&self.machine);
        let mut poller = machine.poller.borrow_mut();
        for ready in poller.wait(Some(0)).expect("a poller") {
            if let Ready::Watched(token) = ready {
                self.tokens.insert(token);
                let identify = |_: &_| {
                    self.callers
                        .borrow_mut()
                        .pop_front()
                        .expect("a client for each connection")
                };
                if self.bus.owns(token) {
                    self.bus.ready(token, self.now, &mut poller, identify);
                }
            }
        }
        self.bus.begin_turn();
        while let Some(incoming) = self.bus.next_request(self.now, &mut poller) {
            crate::drive::count(1);
            self.answer(incoming);
        }
        self.bus.flush(self.now, &mut poller);
    }

    pub fn has_more(&self) -> bool {
        self.bus.has_more()
    }

    pub fn pass(&mut self, ms: u64) {
        self.now = self.now.plus(ms);
        let machine = Rc::clone(&self.machine);
        self.bus.expire(self.now, &mut machine.poller.borrow_mut());
        let _ = self.step(EventKind::Timer);
    }

    fn answer(&mut self, incoming: Incoming) {
        let Incoming {
            token,
            caller,
            frame,
        } = incoming;
        let serial = match &frame {
            Ok(frame) => frame.serial,
            Err(Undecodable::Garbage) => {
                self.garbled.insert(caller.pid);
                return self.bus.close(token);
            }
            Err(
                Undecodable::Unknown { serial, .. }
                | Undecodable::Reserved { serial, .. }
                | Undecodable::Malformed { serial },
            ) => *serial,
        };
        *self.asked.entry((caller.pid, serial)).or_default() += 1;
        let response = match frame {
            Ok(frame) => self.decide(token, &caller, frame),
            Err(_) => Err(BusError::new(ErrorCode::Unsupported, "unknown")),
        };
        match response {
            Ok(None) => {} // it comes later
            Ok(Some(response)) => self.bus.reply(token, serial, response, self.now),
            Err(error) => self
                .bus
                .reply(token, serial, Response::Error(error), self.now),
        }
    }

    fn decide(
        &mut self,
        token: u64,
        caller: &Caller,
        frame: RequestFrame,
    ) -> Result<Option<Response>, BusError> {
        let view = View {
            supervisor: &self.supervisor,
            running: &Nothing,
            now: self.now,
            owner_uid: 0,
        };
        match route(caller, &frame.request, &view) {
            Decision::Answer(response) => Ok(Some(response)),
            Decision::Allow => self.carry(token, caller, frame),
            Decision::Do(task) => self.perform(token, frame.serial, task),
        }
    }

    fn carry(
        &mut self,
        token: u64,
        caller: &Caller,
        frame: RequestFrame,
    ) -> Result<Option<Response>, BusError> {
        match frame.request {
            Request::Invoke(invoke) => {
                self.invoke(token, caller, frame.serial, invoke)?;
                return Ok(None);
            }
            Request::Answer(answer) => self.bus.answer(token, answer, self.now)?,
            Request::Announce(announce) => {
                self.report_of(
                    caller,
                    Report::Capabilities {
                        adds: announce.capabilities,
                        removes: Vec::new(),
                    },
                )?;
                self.bus.announce(token);
                self.report_of(
                    caller,
                    Report::Ready {
                        by: ReadyBy::Announce,
                    },
                )?;
            }
            Request::UpdateCapabilities(update) => {
                self.report_of(
                    caller,
                    Report::Capabilities {
                        adds: update.adds,
                        removes: update.removes,
                    },
                )?;
            }
            Request::RunCard(run) => self.run_card(caller, &run.card)?,
            _ => return Err(BusError::new(ErrorCode::Failed, "no files here")),
        }
        Ok(Some(Response::Ok))
    }

    fn invoke(
        &mut self,
        token: u64,
        caller: &Caller,
        serial: u32,
        invoke: Invoke,
    ) -> Result<(), BusError> {
        self.bus.begin_call(token)?;
        let waiter = Waiter::Peer { token, serial };
        let provider = self.routes.resolve(&invoke.capability);
        if invoke.payload.len() > MAX_PAYLOAD {
            let error = CallError::TooLarge(MAX_PAYLOAD as u32);
            self.bus.settle(waiter, Err(error), self.now);
            return Ok(());
        }
        let question = Question {
            caller: caller.to_providers(),
            capability: invoke.capability,
            payload: invoke.payload,
            deadline: deadline(self.now, invoke.deadline_ms),
        };
        let found = provider.and_then(|provider| {
            let card = self.supervisor.card(provider.id)?;
            let incarnation = self.supervisor.status(provider.id)?.incarnation;
            Some((provider.place, Destination { card, incarnation }))
        });
        match found {
            None => self
                .bus
                .settle(waiter, Err(CallError::NoProvider), self.now),
            Some((Place::Component, _)) => self.late.push_back(Late::Component(waiter)),
            Some((Place::Process, to)) => self.bus.send_call(&to, question, waiter, self.now),
        }
        Ok(())
    }

    fn report_of(&mut self, caller: &Caller, report: Report) -> Result<(), BusError> {
        let Some(member) = &caller.ente else {
            return Ok(());
        };
        let (id, incarnation) = (member.card.id, member.incarnation);
        self.step(EventKind::Report {
            id,
            incarnation,
            report,
        })
    }

    fn run_card(&mut self, caller: &Caller, text: &str) -> Result<(), BusError> {
        let found = seed::parse(
            text,
            Path::new("RunCard"),
            &Support::none("no cgroups here"),
        );
        let (card, _) = found.map_err(|bad| BusError::of_findings(bad.to_string()))?;
        may_spawn(caller, 0, &card)?;
        let parent = caller.ente.as_ref().map(|member| member.card.id);
        self.step(EventKind::Adopt {
            parent,
            cards: vec![card],
        })
    }

    fn perform(
        &mut self,
        token: u64,
        serial: u32,
        task: Task,
    ) -> Result<Option<Response>, BusError> {
        match task {
            Task::Command(id, command) => self.step(EventKind::Command { id, command })?,
            Task::Subscribe(of, kinds) => self.bus.subscribe(token, serial, of, kinds)?,
            Task::Logs { id, lines, follow } => {
                return self.bus.log(token, serial, id, lines, follow).map(Some);
            }
            Task::Deploy(..) => {
                self.bus.begin_call(token)?;
                self.late.push_back(Late::Deployment { token, serial });
                return Ok(None);
            }
            Task::Signal(..)
            | Task::Resource(..)
            | Task::Power(_)
            | Task::Sleep(_)
            | Task::Reexec
            | Task::SwitchRoot(_) => {}
        }
        Ok(Some(Response::Ok))
    }

    /// What somebody waits for is there.
    pub fn answer_late(&mut self) {
        match self.late.pop_front() {
            None => {}
            Some(Late::Component(waiter)) => self.bus.settle(waiter, Ok(vec![3; 100]), self.now),
            Some(Late::Deployment { token, serial }) => {
                self.bus.end_call(token);
                self.bus.reply(token, serial, Response::Ok, self.now);
            }
        }
    }

    pub fn answer_all(&mut self) {
        while !self.late.is_empty() {
            self.answer_late();
        }
    }

    /// Nothing is left of connections, deadlines and calls.
    pub fn assert_empty(&self) {
        let left = self.tokens.iter().filter(|token| {
            self.bus.owns(**token) && Some(**token) != self.tokens.iter().min().copied()
        });
        assert_eq!(left.count(), 0, "connections are left");
        assert_eq!(
            self.bus.next_deadline(),
            None,
            "calls or deadlines are left"
        );
        assert!(!self.bus.has_more(), "work is left");
    }
}
