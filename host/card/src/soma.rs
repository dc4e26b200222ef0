//! The body of an Ente: namespaces, resource limits, cgroup, mounts, user. Missing parts mean "off".

use schemars::JsonSchema;
use serde::Serialize;

use crate::default::is_default;

/// The body of an Ente. The default is no body of its own: a Wasm Ente then lives inside PID 1.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Soma {
    /// Namespaces of its own (namespaces(7)).
    #[serde(skip_serializing_if = "is_default")]
    pub namespaces: Namespaces,
    /// Resource limits (getrlimit(2)).
    #[serde(skip_serializing_if = "is_default")]
    pub rlimits: Rlimits,
    /// Settings of its cgroup (cgroup v2).
    #[serde(skip_serializing_if = "is_default")]
    pub cgroup: Cgroup,
    /// The CPUs it may run on (sched_setaffinity(2)); absent means all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_affinity: Option<Vec<u32>>,
    /// The user it runs as; absent means the user of the init.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_as: Option<RunAs>,
    /// Mounts in its own mount namespace.
    #[serde(skip_serializing_if = "is_default")]
    pub mounts: Mounts,
}

impl Soma {
    /// Whether nothing is asked for.
    pub fn is_off(&self) -> bool {
        *self == Self::default()
    }
}

/// Which namespaces are the Ente's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Namespaces {
    /// mount_namespaces(7)
    #[serde(skip_serializing_if = "is_default")]
    pub mount: bool,
    /// pid_namespaces(7)
    #[serde(skip_serializing_if = "is_default")]
    pub pid: bool,
    /// network_namespaces(7)
    #[serde(skip_serializing_if = "is_default")]
    pub net: bool,
    /// uts_namespaces(7)
    #[serde(skip_serializing_if = "is_default")]
    pub uts: bool,
    /// ipc_namespaces(7)
    #[serde(skip_serializing_if = "is_default")]
    pub ipc: bool,
    /// user_namespaces(7)
    #[serde(skip_serializing_if = "is_default")]
    pub user: bool,
    /// cgroup_namespaces(7)
    #[serde(skip_serializing_if = "is_default")]
    pub cgroup: bool,
}

impl Namespaces {
    /// Whether any namespace is the Ente's own.
    pub fn any(&self) -> bool {
        *self != Self::default()
    }
}

/// Resource limits; absent means the limit of the init.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Rlimits {
    /// `RLIMIT_AS`, bytes, below 1 TiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_099_511_627_775u64))]
    pub mem_bytes: Option<u64>,
    /// `RLIMIT_NPROC`, 1..=65535.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub nproc: Option<u64>,
    /// `RLIMIT_NOFILE`, 1..=1,000,000.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000000))]
    pub nofile: Option<u64>,
}

/// Settings of the Ente's cgroup (the kernel's `Documentation/admin-guide/cgroup-v2.rst`); absent
/// means the kernel's default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Cgroup {
    /// Where, below the cgroup that holds those of all Entes (`ente` in the init's own); absent means the Ente's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// `cpu.weight`, 1..=10000.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10000))]
    pub cpu_weight: Option<u32>,
    /// `io.weight`, 1..=10000.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10000))]
    pub io_weight: Option<u32>,
    /// `memory.max`, bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub memory_max: Option<u64>,
    /// `memory.high`, bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub memory_high: Option<u64>,
    /// `pids.max`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub pids_max: Option<u64>,
    /// `cpu.max`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_max: Option<CpuMax>,
    /// `io.max`, one entry a device.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub io_max: Vec<IoMax>,
}

impl Cgroup {
    /// Whether anything is asked for.
    pub fn any(&self) -> bool {
        *self != Self::default()
    }
}

/// `cpu.max`: how much CPU time in how much time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CpuMax {
    /// CPU time in each period, microseconds; at least 1000.
    #[schemars(range(min = 1000))]
    pub quota_us: u64,
    /// The period, microseconds, 1000..=1,000,000.
    #[serde(default = "CpuMax::default_period_us")]
    #[schemars(range(min = 1000, max = 1000000))]
    pub period_us: u64,
}

impl CpuMax {
    /// The kernel's default period: 100 ms.
    pub const PERIOD_US: u64 = 100_000;

    fn default_period_us() -> u64 {
        Self::PERIOD_US
    }
}

/// `io.max` of one device; absent means no limit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IoMax {
    /// The block device, `MAJOR:MINOR`.
    pub device: String,
    /// Bytes read per second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub rbps: Option<u64>,
    /// Bytes written per second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub wbps: Option<u64>,
    /// Read operations per second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub riops: Option<u64>,
    /// Write operations per second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub wiops: Option<u64>,
}

/// The user an Ente runs as (credentials(7)).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunAs {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Supplementary groups.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<u32>,
}

/// Mounts made in the Ente's own mount namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Mounts {
    /// Bind mounts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub binds: Vec<Bind>,
    /// Temporary file systems.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tmpfs: Vec<Tmpfs>,
}

impl Mounts {
    /// Whether anything is asked for.
    pub fn any(&self) -> bool {
        *self != Self::default()
    }
}

/// A folder or file that appears at another place.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Bind {
    /// Where it is, absolute, as the init sees it.
    pub source: String,
    /// Where it appears, absolute, as the Ente sees it.
    pub target: String,
    /// Read-only.
    #[serde(default, skip_serializing_if = "is_default")]
    pub ro: bool,
}

/// A temporary file system (tmpfs(5)).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tmpfs {
    /// Where it appears, absolute.
    pub target: String,
    /// Its size in bytes; absent means the kernel's default, half of the memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub size_bytes: Option<u64>,
}
