//! Hardware or software: which QEMU accelerator this machine can really use.

use std::fs::OpenOptions;

/// How QEMU runs the guest's instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accel {
    /// The processor's own virtualisation.
    Kvm,
    /// Translation in software: works everywhere, some thirty times slower.
    Tcg,
}

impl Accel {
    /// The accelerator for this machine: KVM when `/dev/kvm` opens for reading and writing **and** the
    /// processor shows `vmx` or `svm`. Inside some virtual machines the device opens although there is
    /// nothing behind it, and a guest started with it hangs; the flags tell.
    #[must_use]
    pub fn detect() -> Self {
        let opens = OpenOptions::new()
            .read(true)
            .write(true)
            .open("/dev/kvm")
            .is_ok();
        let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        Self::choose(opens, &cpuinfo)
    }

    /// The rule of [`Accel::detect`], on what was found.
    #[must_use]
    pub fn choose(kvm_opens: bool, cpuinfo: &str) -> Self {
        let mut flags = cpuinfo
            .lines()
            .filter(|line| line.starts_with("flags"))
            .flat_map(str::split_ascii_whitespace);
        if kvm_opens && flags.any(|flag| matches!(flag, "vmx" | "svm")) {
            Self::Kvm
        } else {
            Self::Tcg
        }
    }

    /// Its name for QEMU's `-accel`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Kvm => "kvm",
            Self::Tcg => "tcg",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kvm_needs_the_device_and_the_flag() {
        let intel = "processor\t: 0\nflags\t\t: fpu vmx sse2\n";
        let amd = "flags\t\t: fpu svm\n";
        let guest = "flags\t\t: fpu hypervisor vmmcall\nbugs\t\t: svm vmx\n";
        for (opens, cpuinfo, wanted) in [
            (true, intel, Accel::Kvm),
            (true, amd, Accel::Kvm),
            (false, intel, Accel::Tcg),
            (true, guest, Accel::Tcg),
            (true, "", Accel::Tcg),
        ] {
            assert_eq!(Accel::choose(opens, cpuinfo), wanted, "{opens} {cpuinfo}");
        }
    }
}
