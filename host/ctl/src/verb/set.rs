//! `ente set`: what a running Ente has of the machine.

use arje_bus::{Freeze, Request, SetMemory, SetWeight, Target};
use clap::Args;

use super::bus::{self, BusArguments};
use super::{Failure, Outcome};

/// Change what a running Ente has of the machine, until its next life
#[derive(Args)]
#[group(required = true, multiple = true)]
pub struct Shares {
    /// Its share of the processors, 1 to 10000; 100 is what others have
    #[arg(long, value_name = "WEIGHT")]
    cpu_weight: Option<u32>,
    /// Its share of the disks, 1 to 10000
    #[arg(long, value_name = "WEIGHT")]
    io_weight: Option<u32>,
    /// The memory that it may have
    #[arg(long, value_name = "BYTES")]
    memory_max: Option<u64>,
    /// The memory above which it is slowed down
    #[arg(long, value_name = "BYTES")]
    memory_high: Option<u64>,
    /// Whether all its processes stand still
    #[arg(long, value_name = "BOOL")]
    frozen: Option<bool>,
}

/// Change what a running Ente has of the machine, until its next life
#[derive(Args)]
pub struct Arguments {
    /// Label or id
    #[arg(value_name = "ENTE")]
    ente: String,
    #[command(flatten)]
    shares: Shares,
}

impl Arguments {
    pub fn run(self, bus: &BusArguments) -> Result<Outcome, Failure> {
        let target = || Target::of(&self.ente);
        let weight = |weight| SetWeight {
            target: target(),
            weight,
        };
        let memory = |bytes| SetMemory {
            target: target(),
            bytes,
        };
        let freeze = |frozen| Freeze {
            target: target(),
            frozen,
        };
        let shares = &self.shares;
        let requests = [
            shares.cpu_weight.map(|n| Request::SetCpuWeight(weight(n))),
            shares.io_weight.map(|n| Request::SetIoWeight(weight(n))),
            shares.memory_max.map(|n| Request::SetMemoryMax(memory(n))),
            shares
                .memory_high
                .map(|n| Request::SetMemoryHigh(memory(n))),
            shares.frozen.map(|frozen| Request::Freeze(freeze(frozen))),
        ];
        let mut client = bus.connect()?;
        for request in requests.into_iter().flatten() {
            bus::command(&mut client, request)?;
        }
        Ok(Outcome::Done)
    }
}
