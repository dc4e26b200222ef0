//! Which classes of devices the machine has.
//!
//! sysfs is asked, when PID 1 starts and whenever an event tells of a change in a class. Nothing is
//! counted along with the events: a class is there while its folder has at least one device, so a
//! lost, late or doubled event can never leave a wrong count behind. For the same reason no `add` is
//! written to the `uevent` files at the start, as udev does: that makes the kernel tell everybody
//! of every device, to learn what a folder tells at once.

use crate::uevents::Uevent;
use arje_card::{Capability, DeviceClass};
use std::fs;
use std::path::{Path, PathBuf};

/// Entries looked at in one folder. The largest real machines have some ten thousand disks; a
/// class whose first so many entries are no devices has none.
const MAX_ENTRIES: usize = 65_536;

/// One class: its folder below `/sys/class`, which is also the subsystem that events name.
struct Class {
    class: DeviceClass,
    folder: &'static str,
    /// Whether an entry of that folder is a device of the class.
    counts: fn(&Path, &str) -> bool,
}

const CLASSES: [Class; 6] = [
    Class {
        class: DeviceClass::Block,
        folder: "block",
        // Without a medium (an empty card reader, a loop device without a file) there is nothing.
        counts: |path, _| number(&path.join("size")) > Some(0),
    },
    Class {
        class: DeviceClass::Tty,
        folder: "tty",
        // The first three stand for others; type 0 is a serial port without hardware
        // (`PORT_UNKNOWN`, include/uapi/linux/serial_core.h).
        counts: |path, name| {
            !["console", "ptmx", "tty"].contains(&name) && number(&path.join("type")) != Some(0)
        },
    },
    Class {
        class: DeviceClass::Input,
        folder: "input",
        // Those that can be opened; `mice` is there without any mouse.
        counts: |path, name| name != "mice" && has_node(path),
    },
    Class {
        class: DeviceClass::Drm,
        folder: "drm",
        counts: |path, _| has_node(path), // not the connectors
    },
    Class {
        class: DeviceClass::Net,
        folder: "net",
        counts: |_, name| name != "lo",
    },
    Class {
        class: DeviceClass::Hidraw,
        folder: "hidraw",
        counts: |path, _| has_node(path),
    },
];

/// What was there when the machine was asked last.
pub struct Devices {
    sys: PathBuf,
    present: [bool; CLASSES.len()],
    stale: [bool; CLASSES.len()],
}

/// What came and went.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Classes that have their first device now.
    pub adds: Vec<Capability>,
    /// Classes that have lost their last one.
    pub removes: Vec<Capability>,
}

impl Devices {
    /// Nothing is known to be there yet; the next [`Devices::look`] looks everywhere. `sys` is where
    /// sysfs is mounted.
    #[must_use]
    pub fn new(sys: PathBuf) -> Devices {
        Devices {
            sys,
            present: [false; CLASSES.len()],
            stale: [true; CLASSES.len()],
        }
    }

    /// Notes that something changed in the class that this event tells of.
    pub fn note(&mut self, event: &Uevent) {
        for (class, stale) in CLASSES.iter().zip(&mut self.stale) {
            *stale |= class.folder == event.subsystem;
        }
    }

    /// Notes that events were lost: anything may have changed.
    pub fn note_overrun(&mut self) {
        self.stale = [true; CLASSES.len()];
    }

    /// Looks where something may have changed, and tells what has.
    pub fn look(&mut self) -> Changes {
        let mut changes = Changes::default();
        let state = self.present.iter_mut().zip(&mut self.stale);
        for (class, (present, stale)) in CLASSES.iter().zip(state) {
            if !std::mem::take(stale) {
                continue;
            }
            let now = class.is_present(&self.sys);
            let was = std::mem::replace(present, now);
            let capability = Capability::Device { class: class.class };
            match (was, now) {
                (false, true) => changes.adds.push(capability),
                (true, false) => changes.removes.push(capability),
                _ => {}
            }
        }
        changes
    }
}

impl Class {
    fn is_present(&self, sys: &Path) -> bool {
        let folder = sys.join("class").join(self.folder);
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        entries.take(MAX_ENTRIES).any(|entry| {
            let name = entry.file_name();
            (self.counts)(&entry.path(), &name.to_string_lossy())
        })
    }
}

/// The device has a node in `/dev`.
fn has_node(device: &Path) -> bool {
    device.join("dev").exists()
}

fn number(file: &Path) -> Option<u64> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Sys(tempfile::TempDir);

    impl Sys {
        fn with(files: &[(&str, &str)]) -> Sys {
            let sys = Sys(tempfile::tempdir().unwrap());
            for (file, text) in files {
                sys.add(file, text);
            }
            sys
        }

        fn add(&self, file: &str, text: &str) {
            let path = self.0.path().join("class").join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }

        fn remove(&self, device: &str) {
            fs::remove_dir_all(self.0.path().join("class").join(device)).unwrap();
        }

        fn devices(&self) -> Devices {
            Devices::new(self.0.path().to_owned())
        }
    }

    fn event(subsystem: &str) -> Uevent {
        Uevent {
            subsystem: subsystem.into(),
            ..Uevent::default()
        }
    }

    fn device(class: DeviceClass) -> Vec<Capability> {
        vec![Capability::Device { class }]
    }

    #[test]
    fn what_is_no_device_does_not_count() {
        let sys = Sys::with(&[
            ("block/loop0/size", "0\n"),
            ("block/sr0/size", "0\n"),
            ("tty/tty/dev", "5:0\n"),
            ("tty/ptmx/dev", "5:2\n"),
            ("tty/console/dev", "5:1\n"),
            ("tty/ttyS1/type", "0\n"),
            ("input/mice/dev", "13:63\n"),
            ("input/input0/name", "Power Button\n"),
            ("drm/card0-HDMI-A-1/status", "disconnected\n"),
            ("net/lo/type", "772\n"),
            ("hidraw/x/name", ""),
        ]);
        assert_eq!(sys.devices().look(), Changes::default());
    }

    #[test]
    fn every_class_is_found() {
        use DeviceClass::{Block, Drm, Hidraw, Input, Net, Tty};
        for (file, text, class) in [
            ("block/vda1/size", "2048\n", Block),
            ("tty/ttyS0/type", "4\n", Tty),
            ("tty/tty1/dev", "4:1\n", Tty),
            ("input/event3/dev", "13:67\n", Input),
            ("drm/card0/dev", "226:0\n", Drm),
            ("net/eth0/type", "1\n", Net),
            ("hidraw/hidraw0/dev", "240:0\n", Hidraw),
        ] {
            let sys = Sys::with(&[(file, text)]);
            assert_eq!(sys.devices().look().adds, device(class), "{file}");
        }
    }

    #[test]
    fn a_class_is_there_from_its_first_device_to_its_last() {
        let sys = Sys::with(&[("block/vda/size", "8\n")]);
        let mut devices = sys.devices();
        assert_eq!(devices.look().adds, device(DeviceClass::Block));
        sys.add("block/vdb/size", "8\n");
        devices.note(&event("block"));
        assert_eq!(devices.look(), Changes::default());
        sys.remove("block/vda");
        devices.note(&event("block"));
        assert_eq!(devices.look(), Changes::default());
        sys.remove("block/vdb");
        devices.note(&event("net"));
        assert_eq!(devices.look(), Changes::default(), "not asked about");
        devices.note(&event("block"));
        assert_eq!(devices.look().removes, device(DeviceClass::Block));
    }

    #[test]
    fn after_lost_events_everything_is_looked_at() {
        let sys = Sys::with(&[]);
        let mut devices = sys.devices();
        assert_eq!(devices.look(), Changes::default());
        sys.add("net/eth0/type", "1\n");
        assert_eq!(devices.look(), Changes::default());
        devices.note_overrun();
        assert_eq!(devices.look().adds, device(DeviceClass::Net));
    }
}
