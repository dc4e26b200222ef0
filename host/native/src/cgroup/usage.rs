//! What a cgroup has used.

use super::leaf::Leaf;

/// Numbers of one cgroup. `None` where the kernel does not count it here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Memory in use now, bytes, page cache included (`memory.current`).
    pub memory_bytes: Option<u64>,
    /// CPU time used since the cgroup was made, which is before the first start of its Ente, microseconds
    /// (`usage_usec` of `cpu.stat`).
    pub cpu_usec: Option<u64>,
    /// Processes and threads now (`pids.current`).
    pub tasks: Option<u64>,
}

impl Leaf {
    /// Reads the numbers.
    #[must_use]
    pub fn usage(&self) -> Usage {
        let number = |file: &str| self.read(file).ok()?.trim().parse().ok();
        Usage {
            memory_bytes: number("memory.current"),
            cpu_usec: self
                .read("cpu.stat")
                .ok()
                .and_then(|text| field(&text, "usage_usec")),
            tasks: number("pids.current"),
        }
    }
}

impl Leaf {
    /// How many of its processes the kernel has killed for want of memory since it was made, those in cgroups below it
    /// included (`oom_kill` of `memory.events`); `None` where the kernel does not count that here.
    #[must_use]
    pub fn oom_kills(&self) -> Option<u64> {
        let text = self.read("memory.events").ok()?;
        field(&text, "oom_kill")
    }
}

/// A value of a file with lines `KEY VALUE`.
pub(super) fn field(text: &str, key: &str) -> Option<u64> {
    text.lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix(' '))
        .and_then(|value| value.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_their_whole_key() {
        let text = "usage_usec_more 1\nusage_usec 22\nuser_usec 3\n";
        assert_eq!(field(text, "usage_usec"), Some(22));
        assert_eq!(field(text, "system_usec"), None);
        assert_eq!(field("populated 1\nfrozen 0\n", "frozen"), Some(0));
    }
}
