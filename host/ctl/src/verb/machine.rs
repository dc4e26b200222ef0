//! `ente poweroff`, `reboot`, `halt`, `reexec`, `switch-root`: what is to become of the machine.

use arje_bus::{Request, SwitchRoot};
use clap::Args;

use super::bus::{self, BusArguments};
use super::{Failure, Outcome};

/// Nothing but the way to the bus.
#[derive(Args)]
pub struct Arguments {
    #[command(flatten)]
    bus: BusArguments,
}

/// Where to.
#[derive(Args)]
pub struct SwitchRootArguments {
    /// The mount point that becomes the root
    #[arg(value_name = "NEWROOT")]
    new_root: String,
    /// The program to go on with, a path inside NEWROOT [default: /sbin/ente-zero]
    #[arg(value_name = "INIT")]
    init: Option<String>,
    #[command(flatten)]
    bus: BusArguments,
}

impl Arguments {
    /// Sends a request that has no values. It is answered when it has begun.
    pub fn run(self, request: Request) -> Result<Outcome, Failure> {
        bus::command(&mut self.bus.connect()?, request)?;
        Ok(Outcome::Done)
    }
}

impl SwitchRootArguments {
    pub fn run(self) -> Result<Outcome, Failure> {
        let switch = SwitchRoot {
            new_root: self.new_root,
            init: self.init,
        };
        bus::command(&mut self.bus.connect()?, Request::SwitchRoot(switch))?;
        Ok(Outcome::Done)
    }
}
