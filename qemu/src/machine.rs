//! The virtual machine's description, and the QEMU command line made from it. Pure: it starts nothing.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::accel::Accel;
use crate::error::Error;

/// Passed to every kernel: our first program, the serial console, and a reboot ten seconds after a
/// panic, which `-no-reboot` turns into the end of the machine.
const BASE_APPEND: &str = "rdinit=/init console=ttyS0,115200 panic=10";

/// Passed under TCG: on a busy host its timer may come too late for the kernel's check of the interrupt
/// controller, which then panics (`no_timer_check`, Documentation/admin-guide/kernel-parameters.txt).
const TCG_APPEND: &str = " no_timer_check";

/// The processor under TCG: QEMU's plainest x86-64, so that artifacts for the baseline are proven to
/// need no more; `rdrand` only so that the kernel's random numbers are ready at once.
const TCG_CPU: &str = "qemu64,+rdrand";

/// The deterministic clock: one virtual nanosecond pair per instruction, one thread. Boots timed with it
/// repeat to a few per cent, whatever else the machine does. These are all its flags, memory included.
const ICOUNT: [&str; 8] = [
    "-accel",
    "tcg,thread=single",
    "-icount",
    "shift=1,sleep=off",
    "-cpu",
    "Nehalem,+rdrand",
    "-m",
    "512",
];

/// Where QEMU's serial port and monitor go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Terminal {
    /// A person's terminal: serial port and monitor share it; `Ctrl-A X` leaves.
    Interactive,
    /// A program at the other end: the serial port alone on standard input and output.
    Piped,
}

/// A blob the guest reads from `/sys/firmware/qemu_fw_cfg/by_name/opt/ente/NAME/raw`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FwCfg {
    name: String,
    value: FwCfgValue,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum FwCfgValue {
    Text(String),
    File(String),
}

impl std::str::FromStr for FwCfg {
    type Err = Error;

    /// Reads `NAME,string=TEXT` or `NAME,file=PATH`; a name without a folder goes below `opt/ente/`.
    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = || Error::Option {
            name: "--fw-cfg",
            reason: format!("{text:?} is neither NAME,string=TEXT nor NAME,file=PATH"),
        };
        let (name, value) = text.split_once(',').ok_or_else(wrong)?;
        let value = if let Some(text) = value.strip_prefix("string=") {
            FwCfgValue::Text(text.to_owned())
        } else if let Some(path) = value.strip_prefix("file=") {
            FwCfgValue::File(path.to_owned())
        } else {
            return Err(wrong());
        };
        // QEMU's own cap on item names is 55 characters (FW_CFG_MAX_FILE_PATH less the NUL).
        let name = match name {
            "" => return Err(wrong()),
            name if name.contains('/') => name.to_owned(),
            name => format!("opt/ente/{name}"),
        };
        if name.len() > 55 {
            return Err(Error::Option {
                name: "--fw-cfg",
                reason: format!(
                    "the name {name} has {} characters, QEMU takes 55",
                    name.len()
                ),
            });
        }
        Ok(Self { name, value })
    }
}

impl FwCfg {
    fn argument(&self) -> String {
        // In QEMU's option syntax a comma inside a value is written twice.
        let doubled = |text: &str| text.replace(',', ",,");
        let value = match &self.value {
            FwCfgValue::Text(text) => format!("string={}", doubled(text)),
            FwCfgValue::File(path) => format!("file={}", doubled(path)),
        };
        format!("name={},{value}", doubled(&self.name))
    }
}

/// A virtual machine, ready to be started with an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// The QEMU program.
    pub program: PathBuf,
    /// The kernel image (`vmlinuz`).
    pub kernel: PathBuf,
    /// The accelerator; ignored with the deterministic clock.
    pub accel: Accel,
    /// Whether to run with the deterministic clock, which fixes processor and memory too.
    pub icount: bool,
    /// Memory in MiB.
    pub memory_mib: u32,
    /// Virtual processors.
    pub cpus: u32,
    /// Words added to the kernel command line, in order.
    pub append: Vec<String>,
    /// Firmware configuration items.
    pub fw_cfg: Vec<FwCfg>,
    /// Further QEMU arguments, passed as they are.
    pub extra: Vec<OsString>,
}

impl Machine {
    /// The default machine for a kernel: the accelerator this host can use, 1024 MiB, two processors.
    #[must_use]
    pub fn new(kernel: impl Into<PathBuf>) -> Self {
        Self {
            program: PathBuf::from("qemu-system-x86_64"),
            kernel: kernel.into(),
            accel: Accel::detect(),
            icount: false,
            memory_mib: 1024,
            cpus: 2,
            append: Vec::new(),
            fw_cfg: Vec::new(),
            extra: Vec::new(),
        }
    }

    /// The kernel command line.
    #[must_use]
    pub fn command_line(&self) -> String {
        let mut line = BASE_APPEND.to_owned();
        if self.accel == Accel::Tcg && !self.icount {
            line.push_str(TCG_APPEND);
        }
        for word in self.append.iter().filter(|word| !word.is_empty()) {
            line.push(' ');
            line.push_str(word);
        }
        line
    }

    /// QEMU's arguments for booting `image`.
    #[must_use]
    pub fn arguments(&self, image: &Path, terminal: Terminal) -> Vec<OsString> {
        let mut args: Vec<OsString> = self.processor();
        args.extend(["-kernel".into(), self.kernel.clone().into()]);
        args.extend(["-initrd".into(), image.into()]);
        args.extend(["-append".into(), self.command_line().into()]);
        let console: &[&str] = match terminal {
            Terminal::Interactive => &["-nographic", "-serial", "mon:stdio"],
            Terminal::Piped => &["-display", "none", "-serial", "stdio", "-monitor", "none"],
        };
        args.extend(console.iter().map(OsString::from));
        args.push("-no-reboot".into());
        for item in &self.fw_cfg {
            args.extend(["-fw_cfg".into(), item.argument().into()]);
        }
        args.extend(self.extra.iter().cloned());
        args
    }

    fn processor(&self) -> Vec<OsString> {
        if self.icount {
            return ICOUNT.iter().map(OsString::from).collect();
        }
        let cpu = match self.accel {
            Accel::Kvm => "host",
            Accel::Tcg => TCG_CPU,
        };
        let (memory, cpus) = (self.memory_mib.to_string(), self.cpus.to_string());
        [
            "-accel",
            self.accel.name(),
            "-cpu",
            cpu,
            "-m",
            &memory,
            "-smp",
            &cpus,
        ]
        .iter()
        .map(OsString::from)
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine() -> Machine {
        Machine {
            accel: Accel::Tcg,
            ..Machine::new("/boot/vmlinuz-6.1")
        }
    }

    fn line(machine: &Machine, terminal: Terminal) -> String {
        let args = machine.arguments(Path::new("image.zst"), terminal);
        args.join(std::ffi::OsStr::new(" ")).into_string().unwrap()
    }

    #[test]
    fn the_plain_machine() {
        assert_eq!(
            line(&machine(), Terminal::Interactive),
            "-accel tcg -cpu qemu64,+rdrand -m 1024 -smp 2 -kernel /boot/vmlinuz-6.1 -initrd image.zst \
             -append rdinit=/init console=ttyS0,115200 panic=10 no_timer_check -nographic -serial mon:stdio -no-reboot"
        );
        let kvm = Machine {
            accel: Accel::Kvm,
            ..machine()
        };
        assert!(line(&kvm, Terminal::Piped).starts_with("-accel kvm -cpu host -m 1024"));
        assert!(line(&kvm, Terminal::Piped).contains("-serial stdio -monitor none"));
    }

    #[test]
    fn the_deterministic_clock_is_exactly_the_published_one() {
        let machine = Machine {
            icount: true,
            memory_mib: 2048,
            cpus: 4,
            ..machine()
        };
        assert!(line(&machine, Terminal::Piped).starts_with(
            "-accel tcg,thread=single -icount shift=1,sleep=off -cpu Nehalem,+rdrand -m 512 -kernel"
        ));
    }

    #[test]
    fn what_is_passed_through() {
        let machine = Machine {
            append: vec!["ente.log=debug".into(), String::new(), "quiet".into()],
            fw_cfg: vec![
                "seed,string=a,b".parse().unwrap(),
                "x/y,file=/f".parse().unwrap(),
            ],
            extra: vec!["-device".into(), "virtio-rng-pci".into()],
            ..machine()
        };
        let line = line(&machine, Terminal::Piped);
        assert!(
            line.contains("panic=10 no_timer_check ente.log=debug quiet -display"),
            "{line}"
        );
        assert!(line.ends_with(
            "-fw_cfg name=opt/ente/seed,string=a,,b -fw_cfg name=x/y,file=/f -device virtio-rng-pci"
        ));
    }

    #[test]
    fn bad_firmware_items() {
        let long = format!("{},string=x", "n".repeat(60));
        for text in [
            "",
            "name",
            ",string=x",
            "name,value=x",
            "name,string",
            &long,
        ] {
            assert!(text.parse::<FwCfg>().is_err(), "{text:?}");
        }
    }
}
