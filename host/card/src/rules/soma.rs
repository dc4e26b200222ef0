//! Rules on the body.

use super::Findings;
use crate::path::Path;
use crate::report::{Finding, quoted};
use crate::rule::Rule;
use crate::{Cgroup, CpuMax, IoMax, Mounts, Rlimits, Soma};

/// The memory limit must be below 1 TiB.
const MAX_MEM_BYTES: u64 = (1 << 40) - 1;

/// `cpu.weight` and `io.weight`, from the kernel's cgroup-v2.rst.
const MAX_WEIGHT: u64 = 10_000;

pub(super) fn check(soma: &Soma, at: &Path<'_>, findings: &mut Findings) {
    check_rlimits(&soma.rlimits, &at.key("rlimits"), findings);
    check_cgroup(&soma.cgroup, &at.key("cgroup"), findings);
    if soma.cpu_affinity.as_ref().is_some_and(Vec::is_empty) {
        let expected = "at least one CPU";
        let remedy = "name the CPUs, or leave the key out to allow all";
        let finding = Finding::new(Rule::CpuAffinity, "an empty list", expected, remedy);
        findings.add(&at.key("cpu_affinity"), finding);
    }
    check_mounts(&soma.mounts, &at.key("mounts"), findings);
    let others = ["pid", "net", "uts", "ipc", "user", "cgroup"];
    let namespaces_sound = findings.is_sound_but_for(&at.key("namespaces"), &others);
    if soma.mounts.any() && !soma.namespaces.mount && namespaces_sound {
        let finding = Finding::new(
            Rule::MountsNamespace,
            "mounts without a mount namespace",
            "soma.namespaces.mount = true",
            "set it: otherwise the mounts would appear for everybody",
        );
        findings.add(&at.key("mounts"), finding);
    }
}

fn check_rlimits(rlimits: &Rlimits, at: &Path<'_>, findings: &mut Findings) {
    let limits = [
        ("mem_bytes", rlimits.mem_bytes, MAX_MEM_BYTES),
        ("nproc", rlimits.nproc, 65_535),
        ("nofile", rlimits.nofile, 1_000_000),
    ];
    for (key, value, max) in limits {
        if let Some(value) = value {
            findings.range(Rule::Rlimit, &at.key(key), value, 1..=max);
        }
    }
}

fn check_cgroup(cgroup: &Cgroup, at: &Path<'_>, findings: &mut Findings) {
    if let Some(path) = &cgroup.path {
        check_cgroup_path(path, &at.key("path"), findings);
    }
    let values = [
        ("cpu_weight", cgroup.cpu_weight.map(u64::from), MAX_WEIGHT),
        ("io_weight", cgroup.io_weight.map(u64::from), MAX_WEIGHT),
        ("memory_max", cgroup.memory_max, u64::MAX),
        ("memory_high", cgroup.memory_high, u64::MAX),
        ("pids_max", cgroup.pids_max, u64::MAX),
    ];
    for (key, value, max) in values {
        if let Some(value) = value {
            findings.range(Rule::CgroupValue, &at.key(key), value, 1..=max);
        }
    }
    if let Some(CpuMax {
        quota_us,
        period_us,
    }) = cgroup.cpu_max
    {
        let at = at.key("cpu_max");
        findings.range(
            Rule::CgroupValue,
            &at.key("quota_us"),
            quota_us,
            1_000..=u64::MAX,
        );
        findings.range(
            Rule::CgroupValue,
            &at.key("period_us"),
            period_us,
            1_000..=1_000_000,
        );
    }
    let io_max = at.key("io_max");
    for (index, limit) in cgroup.io_max.iter().enumerate() {
        check_io_max(limit, &io_max.index(index), findings);
    }
    let devices = cgroup.io_max.iter().map(|limit| limit.device.as_str());
    findings.distinct(Rule::CgroupValue, &io_max, "device", devices);
}

fn check_cgroup_path(path: &str, at: &Path<'_>, findings: &mut Findings) {
    let bad_part = |part: &str| matches!(part, "" | "." | "..");
    if path.split('/').any(bad_part) || path.contains(char::is_control) {
        let expected = "a relative path without \"..\", as in a/b";
        let remedy = "write the path below the init's own cgroup";
        findings.add(
            at,
            Finding::new(Rule::CgroupPath, quoted(path), expected, remedy),
        );
    }
}

fn check_io_max(limit: &IoMax, at: &Path<'_>, findings: &mut Findings) {
    let number =
        |text: &str| text.bytes().all(|b| b.is_ascii_digit()) && text.parse::<u32>().is_ok();
    let well_formed = limit
        .device
        .split_once(':')
        .is_some_and(|(major, minor)| number(major) && number(minor));
    if !well_formed {
        let remedy = "take both numbers from `lsblk`";
        let found = quoted(&limit.device);
        let finding = Finding::new(
            Rule::CgroupValue,
            found,
            "a block device as MAJOR:MINOR",
            remedy,
        );
        findings.add(&at.key("device"), finding);
    }
    let values = [
        ("rbps", limit.rbps),
        ("wbps", limit.wbps),
        ("riops", limit.riops),
        ("wiops", limit.wiops),
    ];
    for (key, value) in values {
        if let Some(value) = value {
            findings.range(Rule::CgroupValue, &at.key(key), value, 1..=u64::MAX);
        }
    }
}

fn check_mounts(mounts: &Mounts, at: &Path<'_>, findings: &mut Findings) {
    let binds = at.key("binds");
    for (index, bind) in mounts.binds.iter().enumerate() {
        let at = binds.index(index);
        findings.absolute(&at.key("source"), &bind.source);
        findings.absolute(&at.key("target"), &bind.target);
    }
    let tmpfs = at.key("tmpfs");
    for (index, mount) in mounts.tmpfs.iter().enumerate() {
        let at = tmpfs.index(index);
        findings.absolute(&at.key("target"), &mount.target);
        if let Some(size) = mount.size_bytes {
            findings.range(Rule::Range, &at.key("size_bytes"), size, 1..=u64::MAX);
        }
    }
}
