//! `ente poweroff`, `reboot`, `halt`, `reexec`, `switch-root`: what is to become of the machine.

use arje_bus::{Request, SwitchRoot};
use clap::Args;

use super::bus::{self, BusArguments};
use super::{Failure, Outcome};

/// Where to.
#[derive(Args)]
pub struct SwitchRootArguments {
    /// The mount point that becomes the root
    #[arg(value_name = "NEWROOT")]
    new_root: String,
    /// The program to go on with, a path inside NEWROOT [default: /sbin/ente-zero]
    #[arg(value_name = "INIT")]
    init: Option<String>,
}

/// Sends a request that has no values. It is answered when it has begun.
pub fn run(request: Request, bus: &BusArguments) -> Result<Outcome, Failure> {
    bus::command(&mut bus.connect()?, request)?;
    Ok(Outcome::Done)
}

impl SwitchRootArguments {
    pub fn run(self, bus: &BusArguments) -> Result<Outcome, Failure> {
        let switch = SwitchRoot {
            new_root: self.new_root,
            init: self.init,
        };
        bus::command(&mut bus.connect()?, Request::SwitchRoot(switch))?;
        Ok(Outcome::Done)
    }
}
