//! Which namespaces a plan asks for.

/// The namespaces that the executor makes by `unshare(2)`. A PID namespace is not among them: its first process is the
/// executor itself, so whoever starts the executor makes it. A user namespace is a step of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Namespaces {
    /// `CLONE_NEWNS`
    pub mount: bool,
    /// `CLONE_NEWNET`
    pub net: bool,
    /// `CLONE_NEWUTS`
    pub uts: bool,
    /// `CLONE_NEWIPC`
    pub ipc: bool,
    /// `CLONE_NEWCGROUP`
    pub cgroup: bool,
}

impl Namespaces {
    /// Whether there are any.
    #[must_use]
    pub fn any(self) -> bool {
        self != Namespaces::default()
    }

    /// As the plan has them: one bit each, in the order of the fields.
    #[cfg(any(test, feature = "alloc"))]
    pub(crate) fn bits(self) -> u8 {
        u8::from(self.mount)
            | u8::from(self.net) << 1
            | u8::from(self.uts) << 2
            | u8::from(self.ipc) << 3
            | u8::from(self.cgroup) << 4
    }

    /// `None` if there is none, or an unknown one.
    pub(crate) fn from_bits(bits: u8) -> Option<Namespaces> {
        let bit = |place: u8| bits & 1 << place != 0;
        (1..1 << 5).contains(&bits).then(|| Namespaces {
            mount: bit(0),
            net: bit(1),
            uts: bit(2),
            ipc: bit(3),
            cgroup: bit(4),
        })
    }
}
