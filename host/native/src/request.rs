//! From a Card to a process.

use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};

use arje_card::{Card, Networking, Payload, Rlimits};
use ente_spawn::{Confinement, Resource, Rlimit};

use crate::confine::{Kernel, confinement, forbid_chosen_ports, worker_confinement};
use crate::console::{ConsoleName, console_of};
use crate::enforce::enforceable;
use crate::launch::{Launcher, Process, StartCause, StartError, Started};
use crate::secrets;

/// One start of a Card with a Native or Legacy payload, or of the process for a component with a body.
#[derive(Clone, Copy, Debug)]
pub struct StartRequest<'a> {
    /// The Card.
    pub card: &'a Card,
    /// Which life of the Ente this is, for diagnostics.
    pub incarnation: u64,
    /// What the host adds to the environment beside `ENTE_ID` and `ENTE_LABEL`, such as `ENTE_BUS_SOCK`.
    pub environment: &'a [(String, String)],
    /// The folder for the credentials of a Card that has some, for this Ente alone. Empty, and nobody but the host can
    /// change it.
    pub credentials: Option<&'a Path>,
    /// Variables that hold the program's own process id, such as `LISTEN_PID`; they replace the Card's.
    pub own_pid: &'a [&'static str],
    /// The terminal of a Card that asks for the active console. Without one it is looked up in `/sys`.
    pub active_console: Option<&'a Path>,
    /// Standard output and error instead of the launcher's; not used for a Card with a console.
    pub output: Option<[BorrowedFd<'a>; 2]>,
    /// Descriptors that the program finds from 3 on.
    pub passed: &'a [BorrowedFd<'a>],
    /// The program that runs the component of a Wasm Card, which is then started like a Native one.
    pub worker: Option<&'a str>,
    /// The cgroup that the process is born into, with the Card's settings written; without one it is born into the
    /// host's own.
    pub cgroup: Option<BorrowedFd<'a>>,
}

impl<'a> StartRequest<'a> {
    /// A start with nothing added.
    #[must_use]
    pub fn new(card: &'a Card, incarnation: u64) -> StartRequest<'a> {
        StartRequest {
            card,
            incarnation,
            environment: &[],
            credentials: None,
            own_pid: &[],
            active_console: None,
            output: None,
            passed: &[],
            worker: None,
            cgroup: None,
        }
    }
}

impl Launcher {
    /// Starts the process of a Card, without waiting for its exec: see
    /// [`start_process`](Launcher::start_process).
    ///
    /// # Errors
    /// The Card has no process, asks for what this version cannot enforce, or the executor could not be started.
    /// There is no process then.
    pub fn start(&self, request: &StartRequest<'_>) -> Result<Started, StartError> {
        self.try_start_card(request).map_err(|cause| StartError {
            label: request.card.label.clone(),
            cause,
        })
    }

    fn try_start_card(&self, request: &StartRequest<'_>) -> Result<Started, StartCause> {
        let card = request.card;
        let program = Program::of(request).ok_or(StartCause::NotNative)?;
        enforceable(card).map_err(StartCause::Unenforceable)?;
        if card.soma.cgroup.any() && request.cgroup.is_none() {
            let reason = "soma.cgroup: set, but this host gives the Ente no cgroup; remove it";
            return Err(StartCause::Unenforceable(vec![reason.to_owned()]));
        }
        let unenforceable = |reason| StartCause::Unenforceable(vec![reason]);
        let mut confinement = program.confinement(card).map_err(unenforceable)?;
        if program.is_native && !card.credentials.is_empty() {
            let none = || unenforceable("credentials: set, but there is no folder for them".into());
            let folder = request.credentials.ok_or_else(none)?;
            secrets::add(card, folder, &mut confinement).map_err(unenforceable)?;
        }
        if program.is_native && card.permissions.networking == Networking::Outbound {
            forbid_ports(request.cgroup)?;
        }
        let terminal = match program.is_native {
            true => terminal(request)?,
            false => None,
        };
        let started = self.try_start(&Process {
            label: &card.label,
            program: program.path,
            arguments: program.arguments,
            environment: &environment(request, program.environment),
            own_pid: request.own_pid,
            console: terminal.as_deref(),
            rlimits: &program.rlimits(&card.soma.rlimits),
            output: request.output,
            passed: request.passed,
            cgroup: request.cgroup,
            confinement: &confinement,
        })?;
        tracing::debug!(
            label = card.label,
            incarnation = request.incarnation,
            pid = started.pid.as_raw(),
            "executor started"
        );
        Ok(started)
    }
}

/// What is executed.
struct Program<'a> {
    path: &'a str,
    arguments: &'a [String],
    environment: &'a [(String, String)],
    /// The Card's own program, and not the one that runs its component.
    is_native: bool,
}

impl<'a> Program<'a> {
    /// The program of a start; `None` for a Card without a process.
    fn of(request: &StartRequest<'a>) -> Option<Program<'a>> {
        match (&request.card.payload, request.worker) {
            (Payload::Native(payload), _) => Some(Program {
                path: &payload.exec,
                arguments: &payload.argv,
                environment: &payload.envp.0,
                is_native: true,
            }),
            (Payload::Legacy(payload), _) => Some(Program {
                path: &payload.exec,
                arguments: &payload.argv,
                environment: &[],
                is_native: true,
            }),
            (Payload::Wasm(_), Some(path)) => Some(Program {
                path,
                arguments: &[],
                environment: &[],
                is_native: false,
            }),
            _ => None,
        }
    }

    fn confinement(&self, card: &Card) -> Result<Confinement, String> {
        if self.is_native {
            confinement(card, self.path, Kernel::running())
        } else {
            worker_confinement(card, self.path, Kernel::running())
        }
    }

    fn rlimits(&self, rlimits: &Rlimits) -> Vec<Rlimit> {
        // The engine reserves address space that it does not use, 4 GiB and more for each memory of a component. What
        // can be limited is what may be written to.
        let memory = if self.is_native {
            Resource::AddressSpace
        } else {
            Resource::Data
        };
        [
            (memory, rlimits.mem_bytes),
            (Resource::Processes, rlimits.nproc),
            (Resource::Files, rlimits.nofile),
        ]
        .into_iter()
        .filter_map(|(resource, limit)| limit.map(|limit| Rlimit { resource, limit }))
        .collect()
    }
}

/// Before the process is born into the cgroup.
fn forbid_ports(cgroup: Option<BorrowedFd<'_>>) -> Result<(), StartCause> {
    let Some(cgroup) = cgroup else {
        return Err(StartCause::Unenforceable(vec![
            "permissions.networking: \"outbound\", but ports are forbidden by cgroup, and this host gives the Ente \
             none; say \"full\", or run where cgroup v2 is mounted"
                .to_owned(),
        ]));
    };
    forbid_chosen_ports(cgroup).map_err(|errno| StartCause::System("bpf", errno))
}

/// The terminal that the Card asks for, if it does.
fn terminal(request: &StartRequest<'_>) -> Result<Option<PathBuf>, StartCause> {
    let name =
        console_of(request.card).map_err(|reason| StartCause::Unenforceable(vec![reason]))?;
    match (name, request.active_console) {
        (None, _) => Ok(None),
        (Some(ConsoleName::Active), Some(terminal)) => Ok(Some(terminal.to_owned())),
        (Some(name), _) => name
            .resolve(Path::new("/sys"))
            .map(Some)
            .map_err(StartCause::Console),
    }
}

/// What the Card sets, then what the host says: a Card does not give itself another identity.
fn environment(request: &StartRequest<'_>, own: &[(String, String)]) -> Vec<(String, String)> {
    let mut variables = own.to_vec();
    variables.push(("ENTE_ID".to_owned(), request.card.id.to_string()));
    variables.push(("ENTE_LABEL".to_owned(), request.card.label.clone()));
    if let (false, Some(folder)) = (request.card.credentials.is_empty(), request.credentials) {
        let folder = folder.to_string_lossy().into_owned();
        variables.push((secrets::DIRECTORY.to_owned(), folder));
    }
    variables.extend_from_slice(request.environment);
    variables
}
