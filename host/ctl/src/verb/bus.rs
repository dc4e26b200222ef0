//! What the verbs for a running system share: the way to its bus, and what its errors mean here.

use std::path::PathBuf;

use arje_bus::{
    Client, ClientError, EnteStatus, Request, Response, SOCKET, SOCKET_VARIABLE, Target,
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

/// Sends a request whose answer is that it is done, or begun.
pub fn command(client: &mut Client, request: Request) -> Result<(), Failure> {
    match client.request(request)? {
        Response::Ok => Ok(()),
        _ => Err(unexpected()),
    }
}

/// Everything about one Ente.
pub fn status(client: &mut Client, target: &Target) -> Result<EnteStatus, Failure> {
    match client.request(Request::EnteStatus(target.clone()))? {
        Response::Status(status) => Ok(*status),
        _ => Err(unexpected()),
    }
}

/// The bus answered something else than was asked for.
pub fn unexpected() -> Failure {
    Failure::from(ClientError::Protocol("another kind of answer"))
}
