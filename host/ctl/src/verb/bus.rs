//! What the verbs for a running system share: the way to its bus, and what its errors mean here.

use std::path::PathBuf;

use arje_bus::{
    Client, ClientError, EnteStatus, ErrorCode, Request, Response, SOCKET, SOCKET_VARIABLE, Target,
};
use clap::Args;

use super::Failure;

/// Where the bus is.
#[derive(Args)]
pub struct BusArguments {
    /// The bus of the running system, before or after the verb [default: $ENTE_BUS_SOCK, else /run/ente-bus.sock]
    #[arg(long, value_name = "PATH", global = true)]
    socket: Option<PathBuf>,
}

impl BusArguments {
    /// For a verb that connects to nothing: a socket that was named for it is a misunderstanding.
    pub fn refuse_socket(&self) -> Result<(), Failure> {
        match &self.socket {
            None => Ok(()),
            Some(path) => Err(Failure::Unusable(format!(
                "--socket {}: this verb works on files, not on a running system; leave it out",
                path.display()
            ))),
        }
    }

    /// Connects.
    pub fn connect(&self) -> Result<Client, Failure> {
        let named = self
            .socket
            .clone()
            .or_else(|| std::env::var_os(SOCKET_VARIABLE).map(PathBuf::from));
        let path = named.unwrap_or_else(|| PathBuf::from(SOCKET));
        Ok(Client::connect(&path)?)
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Refused(_) => Self::refused(error),
            _ => Self::unusable(error),
        }
    }
}

/// Sends a request, and explains why it is refused: an Ente that is not there may be a misspelt one.
pub fn ask(client: &mut Client, request: Request) -> Result<Response, Failure> {
    let target = target(&request).cloned();
    client.request(request).map_err(|error| {
        let meant = match (&error, &target) {
            (ClientError::Refused(refused), Some(Target::Label(label)))
                if refused.code == ErrorCode::UnknownEnte =>
            {
                meant(client, label)
            }
            _ => None,
        };
        match (meant, target) {
            (Some(name), Some(target)) => {
                Failure::Refused(format!("no Ente {target}; did you mean `{name}`?"))
            }
            _ => error.into(),
        }
    })
}

/// The label that comes nearest to one that there is not.
fn meant(client: &mut Client, label: &str) -> Option<String> {
    let entes = client.list().ok()?;
    let labels = entes.iter().map(|ente| ente.label.as_str());
    arje_card::nearest(label, labels).map(str::to_owned)
}

/// The Ente that a request names.
fn target(request: &Request) -> Option<&Target> {
    match request {
        Request::EnteStatus(target)
        | Request::EnteTelemetry(target)
        | Request::Start(target)
        | Request::Restart(target)
        | Request::Remove(target)
        | Request::Rollback(target) => Some(target),
        Request::Stop(stop) => Some(&stop.target),
        Request::KillEnte(kill) => Some(&kill.target),
        Request::Logs(logs) => Some(&logs.target),
        Request::Subscribe(subscribe) => subscribe.filter.target.as_ref(),
        Request::SetCpuWeight(set) | Request::SetIoWeight(set) => Some(&set.target),
        Request::SetMemoryMax(set) | Request::SetMemoryHigh(set) => Some(&set.target),
        Request::Freeze(freeze) => Some(&freeze.target),
        _ => None,
    }
}

/// Sends a request whose answer is that it is done, or begun.
pub fn command(client: &mut Client, request: Request) -> Result<(), Failure> {
    match ask(client, request)? {
        Response::Ok => Ok(()),
        _ => Err(unexpected()),
    }
}

/// Everything about one Ente.
pub fn status(client: &mut Client, target: &Target) -> Result<EnteStatus, Failure> {
    match ask(client, Request::EnteStatus(target.clone()))? {
        Response::Status(status) => Ok(*status),
        _ => Err(unexpected()),
    }
}

/// The bus answered something else than was asked for.
pub fn unexpected() -> Failure {
    Failure::from(ClientError::Protocol("another kind of answer"))
}
