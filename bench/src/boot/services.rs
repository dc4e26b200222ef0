//! Native services under arje and under its peers, with the deterministic clock: up, dead, and up again.

use std::time::Duration;

use super::image::{Image, Images};
use super::peer::{Init, Load};
use super::record::Times;
use super::{SERVICES, Timer};
use crate::error::Error;
use crate::places::Places;
use crate::plan::Plan;
use crate::stats::{Samples, Time, ratio, significant};
use crate::table::Table;

/// Many services.
const MANY: usize = 1_000;

/// What was measured under one of them.
#[derive(Debug)]
struct Row {
    init: Init,
    few: Samples,
    many: Samples,
    restart: Samples,
    /// What supervision holds with [`SERVICES`] and with [`MANY`], in KiB.
    held: [Option<u64>; 2],
    /// Why it is not all there.
    missing: Option<String>,
}

/// What was measured.
#[derive(Debug, Default)]
pub struct Services {
    rows: Vec<Row>,
}

/// Boots an image with each supervisor and each load so many times.
///
/// # Errors
/// No kernel is to be had, or an image cannot be built. A supervisor that is not installed, or that does
/// not bring its services up, is a row that says so.
pub fn measure(places: &Places, plan: &Plan) -> Result<Services, Error> {
    let timer = Timer::new(places)?;
    let mut images = Images::prepare(places)?;
    let mut services = Services::default();
    for init in Init::ALL {
        let mut row = Row::new(init);
        if init.is_here() {
            let measured = row.measure(&timer, &mut images, plan.boots);
            row.missing = measured.err().map(|error| error.to_string());
        } else {
            row.missing = Some(format!("{} is not installed", init.name()));
        }
        services.rows.push(row);
    }
    Ok(services)
}

impl Row {
    fn new(init: Init) -> Self {
        Self {
            init,
            few: Samples::default(),
            many: Samples::default(),
            restart: Samples::default(),
            held: [None; 2],
            missing: None,
        }
    }

    fn measure(&mut self, timer: &Timer, images: &mut Images, boots: usize) -> Result<(), Error> {
        for _ in 0..boots {
            let times = self.boot(timer, images, Load::Many(SERVICES))?;
            self.few.push(times.last_service);
            self.held[0] = times.held_kib;
            let times = self.boot(timer, images, Load::Mortal)?;
            self.restart.extend(times.restarts.into_iter().collect());
        }
        // Once: the clock is deterministic, and the emulated processor slow.
        if self.init.takes(MANY) {
            let times = self.boot(timer, images, Load::Many(MANY))?;
            self.many.push(times.last_service);
            self.held[1] = times.held_kib;
        }
        Ok(())
    }

    fn boot(&self, timer: &Timer, images: &mut Images, load: Load) -> Result<Times, Error> {
        let built = images.get(Image::Under(self.init, load))?;
        let times = timer.boot(&built.path, &built.milestones)?;
        match load {
            Load::Many(count) if times.services != count => Err(Error::program(
                self.init.name(),
                format!("{} of {count} services came up", times.services),
            )),
            Load::Mortal if times.restarts.is_empty() => Err(Error::program(
                self.init.name(),
                "a service that died did not come back",
            )),
            _ => Ok(times),
        }
    }

    /// What each service adds, in KiB: beyond the few where there are many, else all of it.
    fn each(&self) -> Option<f64> {
        match self.held {
            [Some(few), Some(many)] => Some((many as f64 - few as f64) / (MANY - SERVICES) as f64),
            [Some(few), None] => Some(few as f64 / SERVICES as f64),
            _ => None,
        }
    }

    fn cells(&self) -> [String; 7] {
        let time = |it: Option<Duration>| it.map_or("—".to_owned(), |it| Time(it).to_string());
        let restart = self.restart.summary();
        [
            self.init.name().to_owned(),
            time(self.few.median()),
            time(self.many.median()),
            time(restart.map(|it| it.median)),
            time(restart.map(|it| it.max)),
            self.held[0].map_or("—".to_owned(), |kib| format!("{kib} KiB")),
            self.each()
                .map_or("—".to_owned(), |kib| format!("{} KiB", significant(kib))),
        ]
    }
}

impl Services {
    fn of(&self, init: Init) -> Option<&Row> {
        self.rows.iter().find(|row| row.init == init)
    }

    /// From the death of a native service under arje to its next instance.
    #[must_use]
    pub fn restart(&self) -> Option<Duration> {
        self.of(Init::Arje)?.restart.median()
    }

    /// The table of this section.
    #[must_use]
    pub fn tables(&self) -> Vec<Table> {
        let head = [
            "supervisor",
            "16 services up",
            "1,000 up",
            "from death to new instance: median",
            "max",
            "holds with 16",
            "for each service",
        ];
        let mut table = Table::new("Native services, with the deterministic clock", &head);
        for row in &self.rows {
            table.row(row.cells());
            if let Some(missing) = &row.missing {
                table.note(format!("{}: {missing}.", row.init.name()));
            }
        }
        let restarts = |init| self.of(init).and_then(|row| row.restart.median());
        if let (Some(arje), Some(busybox)) = (restarts(Init::Arje), restarts(Init::Busybox))
            && let Some(part) = ratio(arje, busybox)
        {
            table.note(format!(
                "A dead service is back in {} of the time that busybox init takes.",
                significant(part)
            ));
        }
        table.note(
            "Services without a C library. *Up*: from the hand-over to the last service's own word in the kernel's log; \
             arje also mounts its file systems before that, the others none. *From death*: from the service's last word \
             before it kills itself, 3 s old, to the first word of the next. *Holds*: resident memory of PID 1 and, for \
             runit and s6, of one process for each service, a shared page counted once; for each service beyond \
             the 16 where 1,000 were started.",
        );
        vec![table]
    }
}
