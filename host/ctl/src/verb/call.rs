//! `ente call`: asks whoever provides a capability.

use std::io::{Read as _, Write};
use std::time::Duration;

use arje_bus::{CallError, HandlerError, MAX_PAYLOAD};
use arje_card::Capability;
use clap::Args;
use ente::capability;

use super::bus::BusArguments;
use super::{Failure, Outcome};

/// Why a typed service does not answer bytes.
const TYPED: &str = "this is a typed service, which only components call: those that import the interface; its provider takes no \
     bytes for it. Call it from such a component, or have the provider export arje:bus/handler, too";

/// Call whoever provides a capability, and print what it answers
#[derive(Args)]
pub struct Arguments {
    /// As `ente status ENTE` prints it: Journal, UUID@VERSION, namespace:package/interface@1.0.0, …
    #[arg(value_name = "CAPABILITY", value_parser = capability::parse)]
    capability: Capability,
    /// What to send; `-` for standard input
    #[arg(value_name = "PAYLOAD", default_value = "")]
    payload: String,
    /// Give up after so long
    #[arg(long, value_name = "MS", default_value_t = 5000, value_parser = clap::value_parser!(u64).range(1..))]
    deadline: u64,
}

impl Arguments {
    pub fn run(self, bus: &BusArguments, out: &mut dyn Write) -> Result<Outcome, Failure> {
        let payload = if self.payload == "-" {
            read_payload()?
        } else {
            self.payload.into_bytes()
        };
        let deadline = Duration::from_millis(self.deadline);
        let mut client = bus.connect()?;
        let name = self.capability.to_string();
        let is_typed = matches!(self.capability, Capability::Wit(_));
        match client.invoke(self.capability, payload, deadline)? {
            Ok(bytes) => {
                out.write_all(&bytes)?;
                out.flush()?;
                Ok(Outcome::Done)
            }
            Err(CallError::Refused(HandlerError::Unsupported)) if is_typed => {
                Err(Failure::Refused(format!("{name}: {TYPED}")))
            }
            Err(error) => Err(Failure::Refused(format!("{name}: {error}"))),
        }
    }
}

/// Standard input, and not more of it than anybody takes.
fn read_payload() -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let mut input = std::io::stdin().lock().take(MAX_PAYLOAD as u64 + 1);
    input
        .read_to_end(&mut bytes)
        .map_err(|error| Failure::unusable(format_args!("standard input: {error}")))?;
    if bytes.len() > MAX_PAYLOAD {
        return Err(Failure::Unusable(format!(
            "standard input: more than {MAX_PAYLOAD} bytes, which is the most that a call carries"
        )));
    }
    Ok(bytes)
}
