//! The settings of a Card as writes to files of its cgroup.

use std::collections::BTreeSet;

use arje_card::{Cgroup, CpuMax, IoMax};

use super::tree::CgroupTree;

/// Every file that a setting can go to, in the order in which they are written.
const FILES: [&str; 8] = [
    "pids.max",
    "memory.high",
    "memory.max",
    "cpu.weight",
    "cpu.max",
    "io.weight",
    "io.bfq.weight",
    "io.max",
];

/// Which settings this machine can enforce.
#[derive(Clone, Debug)]
pub struct Support {
    /// The files that the cgroups of Entes have, or why they have none.
    files: Result<BTreeSet<&'static str>, String>,
}

impl Support {
    /// What the cgroups of this tree have.
    #[must_use]
    pub fn of(tree: &CgroupTree) -> Support {
        let has = |file: &&str| tree.has_file(file);
        Support {
            files: Ok(FILES.into_iter().filter(has).collect()),
        }
    }

    /// None at all, for this reason.
    #[must_use]
    pub fn none(reason: impl Into<String>) -> Support {
        Support {
            files: Err(reason.into()),
        }
    }

    /// Why no file of these can be written; `None` if one can.
    fn lacks(&self, files: &[&'static str]) -> Option<String> {
        match &self.files {
            Err(reason) => Some(reason.clone()),
            Ok(present) if files.iter().any(|file| present.contains(file)) => None,
            Ok(_) => Some(format!(
                "cgroups have no {} here: {}",
                files.join(" or "),
                reason(files)
            )),
        }
    }
}

fn reason(files: &[&str]) -> &'static str {
    match files {
        ["io.weight", ..] => "the kernel has neither the io cost model nor the BFQ scheduler",
        _ => "the kernel has no such controller, or it belongs to another cgroup hierarchy",
    }
}

/// One write that makes a setting true.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Write {
    /// The setting's key in `soma.cgroup`.
    pub(crate) key: &'static str,
    /// The files it goes to: to each that there is.
    pub(crate) files: &'static [&'static str],
    pub(crate) value: String,
}

/// All that a Card sets, in order.
pub(crate) fn writes(cgroup: &Cgroup) -> Vec<Write> {
    // Taken apart by name, so that a new field does not go unnoticed.
    let Cgroup {
        path: _,
        cpu_weight,
        io_weight,
        memory_max,
        memory_high,
        pids_max,
        cpu_max,
        io_max,
    } = cgroup;
    let number = |value: &u64| value.to_string();
    let weight = |value: &u32| value.to_string();
    let mut all = Vec::new();
    let mut set = |key, files, value: Option<String>| {
        all.extend(value.map(|value| Write { key, files, value }));
    };
    set("pids_max", &["pids.max"], pids_max.as_ref().map(number));
    set(
        "memory_high",
        &["memory.high"],
        memory_high.as_ref().map(number),
    );
    set(
        "memory_max",
        &["memory.max"],
        memory_max.as_ref().map(number),
    );
    set(
        "cpu_weight",
        &["cpu.weight"],
        cpu_weight.as_ref().map(weight),
    );
    set("cpu_max", &["cpu.max"], cpu_max.as_ref().map(cpu_limit));
    set(
        "io_weight",
        &["io.weight", "io.bfq.weight"],
        io_weight.as_ref().map(weight),
    );
    for limit in io_max {
        set("io_max", &["io.max"], Some(io_limit(limit)));
    }
    all
}

fn cpu_limit(limit: &CpuMax) -> String {
    format!("{} {}", limit.quota_us, limit.period_us)
}

fn io_limit(limit: &IoMax) -> String {
    let IoMax {
        device,
        rbps,
        wbps,
        riops,
        wiops,
    } = limit;
    let mut text = device.clone();
    for (key, value) in [
        ("rbps", rbps),
        ("wbps", wbps),
        ("riops", riops),
        ("wiops", wiops),
    ] {
        if let Some(value) = value {
            text.push_str(&format!(" {key}={value}"));
        }
    }
    text
}

/// What of a Card's `soma.cgroup` cannot be enforced here, one text per setting: field, value, reason, remedy.
#[must_use]
pub fn check_settings(cgroup: &Cgroup, support: &Support) -> Vec<String> {
    let refused = |write: Write| {
        let reason = support.lacks(write.files)?;
        let Write { key, value, .. } = write;
        Some(format!(
            "soma.cgroup.{key}: {value}, but {reason}; remove it"
        ))
    };
    let mut problems: Vec<String> = writes(cgroup).into_iter().filter_map(refused).collect();
    if let (Some(path), Err(reason)) = (&cgroup.path, &support.files) {
        problems.push(format!(
            "soma.cgroup.path: {path:?}, but {reason}; remove it"
        ));
    }
    problems.dedup();
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> Cgroup {
        Cgroup {
            path: Some("a".into()),
            cpu_weight: Some(50),
            io_weight: Some(60),
            memory_max: Some(1 << 30),
            memory_high: Some(1 << 29),
            pids_max: Some(7),
            cpu_max: Some(CpuMax {
                quota_us: 5_000,
                period_us: 100_000,
            }),
            io_max: vec![IoMax {
                device: "8:0".into(),
                wbps: Some(1024),
                riops: Some(9),
                ..IoMax::default()
            }],
        }
    }

    #[test]
    fn values_are_written_as_the_kernel_reads_them() {
        let found: Vec<(&str, String)> = writes(&full())
            .into_iter()
            .map(|write| (write.files[0], write.value))
            .collect();
        let expected = [
            ("pids.max", "7"),
            ("memory.high", "536870912"),
            ("memory.max", "1073741824"),
            ("cpu.weight", "50"),
            ("cpu.max", "5000 100000"),
            ("io.weight", "60"),
            ("io.max", "8:0 wbps=1024 riops=9"),
        ];
        assert_eq!(
            found,
            expected.map(|(file, value)| (file, value.to_owned()))
        );
    }

    #[test]
    fn what_the_machine_lacks_is_refused_by_field() {
        let support = |files: &[&'static str]| Support {
            files: Ok(files.iter().copied().collect()),
        };
        let fields = |support: &Support| -> Vec<String> {
            check_settings(&full(), support)
                .iter()
                .map(|text| text.split_once(':').unwrap().0.to_owned())
                .collect()
        };
        assert!(fields(&support(&FILES)).is_empty());
        assert!(
            fields(&support(&[
                "pids.max",
                "memory.high",
                "memory.max",
                "cpu.weight",
                "cpu.max",
                "io.bfq.weight",
                "io.max"
            ]))
            .is_empty()
        );
        assert_eq!(
            fields(&support(&["pids.max", "cpu.weight", "cpu.max", "io.max"])),
            [
                "soma.cgroup.memory_high",
                "soma.cgroup.memory_max",
                "soma.cgroup.io_weight"
            ]
        );
        let none = Support::none("no cgroup v2 is mounted");
        assert_eq!(fields(&none).len(), 8);
        assert!(check_settings(&Cgroup::default(), &none).is_empty());
        let text = check_settings(
            &Cgroup {
                pids_max: Some(3),
                ..Cgroup::default()
            },
            &none,
        );
        assert_eq!(
            text,
            ["soma.cgroup.pids_max: 3, but no cgroup v2 is mounted; remove it"]
        );
    }
}
