//! Boots timed with the deterministic clock: a virtual nanosecond per half an instruction, so that a run
//! repeats to a few per cent on any machine. Times are those of the guest's kernel.

mod image;
mod peer;
mod record;
mod services;

use std::path::Path;
use std::time::Duration;

use arje_qemu::kernel::{Kernel, Search};
use arje_qemu::milestones::Milestone;
use arje_qemu::{Machine, Vm};

use crate::error::Error;
use crate::places::Places;
use crate::plan::Plan;
use crate::stats::{Samples, Time, ratio, significant};
use crate::table::Table;
use image::{Image, Images};
use record::Times;
pub use services::{Services, measure as measure_services};

/// Small services in an image, as many as the target names.
const SERVICES: usize = 16;

/// A boot takes seconds on an idle machine, one with a thousand services longer.
const DEADLINE: Duration = Duration::from_secs(600);

/// `rdinit` again: the last one counts. The kernel's log must take every line and must not show any on
/// the console, where each would cost milliseconds.
const APPEND: [&str; 3] = ["rdinit=/bench/first", "printk.devkmsg=on", "loglevel=4"];

/// What is timed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    /// The init's own word that all Entes of its seed are up.
    SeedUp,
    /// The last service's own word.
    LastService,
}

/// One row: an image, and what is timed in it.
#[derive(Debug, Clone, Copy)]
struct Case {
    image: Image,
    what: What,
    text: &'static str,
}

/// In the order of the table.
const CASES: [Case; 10] = [
    case(
        Image::Wasm(1),
        What::SeedUp,
        "one Wasm service: its first call (`start`) has returned",
    ),
    case(
        Image::Wasm(SERVICES),
        What::SeedUp,
        "16 small Wasm Entes up",
    ),
    case(
        Image::WasmByScript(SERVICES),
        What::SeedUp,
        "… with the script as `/init` that images have by default",
    ),
    case(
        Image::BusyboxMounts,
        What::LastService,
        "busybox init: the same mounts, 16 native services without libc",
    ),
    case(
        Image::BusyboxNative,
        What::LastService,
        "… without any mounts",
    ),
    case(
        Image::BusyboxGlibc,
        What::LastService,
        "… without any mounts, services with static glibc",
    ),
    case(
        Image::ArjeNative,
        What::LastService,
        "arje, the same 16 without libc",
    ),
    case(Image::ArjeNative, What::SeedUp, "… and arje knows it"),
    case(
        Image::ArjeGlibc,
        What::LastService,
        "… services with static glibc",
    ),
    case(
        Image::Seed,
        What::SeedUp,
        "the last Ente of `seeds/arje-wasm.card.json`",
    ),
];

const fn case(image: Image, what: What, text: &'static str) -> Case {
    Case { image, what, text }
}

/// What was measured.
#[derive(Debug, Default)]
pub struct Boots {
    rows: Vec<(Case, Samples)>,
    /// From the hand-over to the first line of PID 1, for the image of 16 Wasm Entes.
    awake: Samples,
    seed_entes: usize,
    kernel: String,
}

/// Boots every image so many times, in turns.
///
/// # Errors
/// An image cannot be built, QEMU cannot be run, or a boot does not come up.
pub fn measure(places: &Places, plan: &Plan) -> Result<Boots, Error> {
    let timer = Timer::new(places)?;
    let mut images = Images::prepare(places)?;
    let mut boots = Boots {
        rows: CASES
            .iter()
            .map(|case| (*case, Samples::default()))
            .collect(),
        kernel: timer.release(),
        ..Boots::default()
    };
    for _ in 0..plan.boots {
        for image in Image::BOOTS {
            let built = images.get(image)?;
            let times = timer.boot(&built.path, &built.milestones)?;
            boots.take(image, &times)?;
        }
    }
    boots.seed_entes = images.seed_entes;
    Ok(boots)
}

/// Boots images with the deterministic clock.
struct Timer {
    kernel: Kernel,
}

impl Timer {
    fn new(places: &Places) -> Result<Self, Error> {
        let kernel = Search::here(places.target.join("kernel"))
            .find(None)
            .map_err(Error::tree)?;
        Ok(Self { kernel })
    }

    fn release(&self) -> String {
        let image = || self.kernel.image.display().to_string();
        self.kernel.release.clone().unwrap_or_else(image)
    }

    /// Boots once and reads the kernel's time stamps.
    fn boot(&self, image: &Path, milestones: &[Milestone]) -> Result<Times, Error> {
        let machine = Machine {
            icount: true,
            append: APPEND.map(str::to_owned).into(),
            ..Machine::new(&self.kernel.image)
        };
        let vm = Vm::boot(&machine, image).map_err(Error::tree)?;
        let times = vm
            .wait_until(0, "the report of a timed boot", DEADLINE, record::parse)
            .map_err(|error| failed(image, &error.to_string(), &vm.console()))?;
        let console = vm.console();
        let missing = milestones.iter().find(|it| !it.is_in(&console));
        match missing {
            None => Ok(times),
            Some(it) => Err(failed(image, &format!("no line `{it}`"), &console)),
        }
    }
}

/// The end of the console says what went wrong.
fn failed(image: &Path, reason: &str, console: &str) -> Error {
    let tail: Vec<&str> = console.lines().rev().take(12).collect();
    let tail: Vec<&str> = tail.into_iter().rev().collect();
    Error::program(
        image,
        format!("{reason}; the console ends with\n{}", tail.join("\n")),
    )
}

impl Boots {
    fn take(&mut self, image: Image, times: &Times) -> Result<(), Error> {
        for (case, samples) in &mut self.rows {
            if case.image != image {
                continue;
            }
            samples.push(match case.what {
                What::SeedUp => times
                    .seed_up
                    .ok_or_else(|| no_time(case, "the seed is up"))?,
                What::LastService if times.services == SERVICES => times.last_service,
                What::LastService => {
                    let found = format!("{} of {SERVICES} services", times.services);
                    return Err(no_time(case, &found));
                }
            });
        }
        if image == Image::Wasm(SERVICES) {
            times
                .awake
                .into_iter()
                .for_each(|awake| self.awake.push(awake));
        }
        Ok(())
    }

    fn median(&self, image: Image, what: What) -> Option<Duration> {
        let mut rows = self.rows.iter();
        let (_, samples) = rows.find(|(case, _)| (case.image, case.what) == (image, what))?;
        samples.median()
    }

    /// busybox init with 16 native services: with the mounts that arje makes, and without any.
    fn busybox(&self) -> Option<[Duration; 2]> {
        Some([
            self.median(Image::BusyboxMounts, What::LastService)?,
            self.median(Image::BusyboxNative, What::LastService)?,
        ])
    }

    /// 16 small Wasm Entes under arje, beside busybox init with 16 native services: with the same mounts,
    /// and without any.
    #[must_use]
    pub fn sixteen(&self) -> Option<(Duration, [Duration; 2])> {
        let wasm = self.median(Image::Wasm(SERVICES), What::SeedUp)?;
        Some((wasm, self.busybox()?))
    }

    /// The same native services under arje and under busybox init.
    #[must_use]
    pub fn sixteen_native(&self) -> Option<(Duration, [Duration; 2])> {
        let native = self.median(Image::ArjeNative, What::LastService)?;
        Some((native, self.busybox()?))
    }

    /// From the hand-over to the first line of PID 1.
    #[must_use]
    pub fn awake(&self) -> Option<Duration> {
        self.awake.median()
    }

    /// What each Wasm Ente after the first adds.
    #[must_use]
    pub fn each_further(&self) -> Option<Duration> {
        let up = |count| self.median(Image::Wasm(count), What::SeedUp);
        let further = up(SERVICES)?.checked_sub(up(1)?)?;
        Some(further / (SERVICES as u32 - 1))
    }

    /// The tables of this section.
    #[must_use]
    pub fn tables(&self) -> Vec<Table> {
        let head = [
            "from the hand-over to",
            "median",
            "min",
            "max",
            "n",
            "busybox = 1",
        ];
        let mut table = Table::new("Booting, with the deterministic clock", &head);
        let busybox = self.median(Image::BusyboxMounts, What::LastService);
        for (case, samples) in &self.rows {
            let Some(it) = samples.summary() else {
                table.row([case.text, "not measured"]);
                continue;
            };
            let ratio = busybox.and_then(|base| ratio(it.median, base));
            let times = [it.median, it.min, it.max].map(|time| Time(time).to_string());
            let cells = [case.text.to_owned()].into_iter().chain(times);
            let ratio = ratio.map(significant).unwrap_or_default();
            table.row(cells.chain([it.count.to_string(), ratio]));
        }
        if let (Some(awake), Some(each)) = (self.awake(), self.each_further()) {
            let [awake, each] = [awake, each].map(Time);
            table.note(format!(
                "PID 1's own first line comes {awake} after the hand-over; each Wasm Ente after the first \
                 adds {each}."
            ));
        }
        table.note(format!(
            "Linux {}, `-accel tcg,thread=single -icount shift=1,sleep=off -cpu Nehalem,+rdrand -m 512`. The \
             hand-over is the exec of the init; times are those of the kernel's log. The wasm seed has {} Entes.",
            self.kernel, self.seed_entes
        ));
        vec![table]
    }
}

fn no_time(case: &Case, what: &str) -> Error {
    Error::Tree(format!(
        "a boot for \"{}\" ended without its time: {what}",
        case.text
    ))
}
