//! What a notification says: `sd_notify(3)`.

/// Longest `STATUS=` that is kept, in bytes; enough for a line of a status display.
const MAX_STATUS: usize = 1024;

/// One notification. Keys that are not known are left out, and of a repeated key the first counts, as with systemd.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notification {
    /// `READY=1`
    pub ready: bool,
    /// `RELOADING=1`
    pub reloading: bool,
    /// `STOPPING=1`
    pub stopping: bool,
    /// `STATUS=`, at most about 1 KiB, without control characters; empty to clear it.
    pub status: Option<String>,
    /// `ERRNO=`
    pub errno: Option<i32>,
    /// `MAINPID=`
    pub main_pid: Option<i32>,
    /// `WATCHDOG=1` or `WATCHDOG=trigger`
    pub watchdog: Option<Watchdog>,
    /// `WATCHDOG_USEC=`, microseconds.
    pub watchdog_usec: Option<u64>,
    /// `EXTEND_TIMEOUT_USEC=`, microseconds.
    pub extend_timeout_usec: Option<u64>,
    /// `FDSTORE=1`
    pub fd_store: bool,
    /// `BARRIER=1`, which stands alone.
    pub barrier: bool,
}

/// A sign of life, or of the contrary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watchdog {
    /// It is alive.
    Alive,
    /// It found out by itself that it cannot go on.
    Trigger,
}

impl Notification {
    /// Reads a datagram: `KEY=VALUE` lines.
    ///
    /// `None` when it is malformed: not text, with a NUL inside (one at the end is accepted), or a barrier together
    /// with anything else. Values that make no sense are as if they had not been said.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Notification> {
        let bytes = bytes.strip_suffix(b"\0").unwrap_or(bytes);
        if bytes.is_empty() || bytes.contains(&0) {
            return None;
        }
        let text = std::str::from_utf8(bytes).ok()?;
        let mut found = Notification::default();
        let mut lines = 0;
        for line in text.lines().filter(|line| !line.is_empty()) {
            lines += 1;
            if let Some((key, value)) = line.split_once('=') {
                found.set(key, value);
            }
        }
        let alone = !found.barrier || lines == 1;
        alone.then_some(found)
    }

    fn set(&mut self, key: &str, value: &str) {
        let yes = value == "1";
        match key {
            "READY" => self.ready |= yes,
            "RELOADING" => self.reloading |= yes,
            "STOPPING" => self.stopping |= yes,
            "STATUS" => first(&mut self.status, Some(status(value))),
            "ERRNO" => first(&mut self.errno, value.parse().ok()),
            "MAINPID" => first(
                &mut self.main_pid,
                value.parse().ok().filter(|pid| *pid > 0),
            ),
            "WATCHDOG" => first(&mut self.watchdog, Watchdog::parse(value)),
            "WATCHDOG_USEC" => first(&mut self.watchdog_usec, value.parse().ok()),
            "EXTEND_TIMEOUT_USEC" => first(&mut self.extend_timeout_usec, value.parse().ok()),
            "FDSTORE" => self.fd_store |= yes,
            "BARRIER" => self.barrier |= yes,
            _ => {}
        }
    }
}

impl Watchdog {
    fn parse(value: &str) -> Option<Watchdog> {
        match value {
            "1" => Some(Self::Alive),
            "trigger" => Some(Self::Trigger),
            _ => None,
        }
    }
}

fn first<T>(slot: &mut Option<T>, value: Option<T>) {
    if slot.is_none() {
        *slot = value;
    }
}

/// Text for people: it may end up on a terminal.
fn status(value: &str) -> String {
    let mut out = String::new();
    for c in value.chars() {
        if out.len() >= MAX_STATUS {
            out.push('\u{2026}');
            break;
        }
        if c.is_control() {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_of_the_manual_are_read() {
        let text = "READY=1\nRELOADING=1\nSTOPPING=1\nSTATUS=50 %, \u{fc}\x1b[2J\nERRNO=2\nMAINPID=4711\n\
                    WATCHDOG=1\nWATCHDOG_USEC=5000000\nEXTEND_TIMEOUT_USEC=7\nFDSTORE=1\nX_OWN=1\nnonsense";
        let expected = Notification {
            ready: true,
            reloading: true,
            stopping: true,
            status: Some("50 %, \u{fc}\\u{1b}[2J".into()),
            errno: Some(2),
            main_pid: Some(4711),
            watchdog: Some(Watchdog::Alive),
            watchdog_usec: Some(5_000_000),
            extend_timeout_usec: Some(7),
            fd_store: true,
            barrier: false,
        };
        assert_eq!(Notification::parse(text.as_bytes()), Some(expected));
    }

    #[test]
    fn the_first_of_a_key_counts_and_nonsense_counts_for_nothing() {
        let found = Notification::parse(
            b"STATUS=a\nSTATUS=b\nREADY=yes\nMAINPID=-1\nMAINPID=0\nERRNO=two\n",
        )
        .unwrap();
        let expected = Notification {
            status: Some("a".into()),
            ..Notification::default()
        };
        assert_eq!(found, expected);
        let trigger = Notification::parse(b"WATCHDOG=trigger\n\0").unwrap();
        assert_eq!(trigger.watchdog, Some(Watchdog::Trigger));
    }

    #[test]
    fn malformed_datagrams_are_none() {
        let bad: [&[u8]; 6] = [
            b"",
            b"\0",
            b"READY=1\0STATUS=x",
            b"STATUS=\xff",
            b"BARRIER=1\nREADY=1",
            b"READY=1\n\nBARRIER=1",
        ];
        for bytes in bad {
            assert_eq!(Notification::parse(bytes), None, "{bytes:?}");
        }
        assert!(Notification::parse(b"BARRIER=1\n").unwrap().barrier);
    }

    #[test]
    fn a_status_is_bounded() {
        let long = format!("STATUS={}", "\x01".repeat(4000));
        let status = Notification::parse(long.as_bytes())
            .unwrap()
            .status
            .unwrap();
        assert!(status.len() < MAX_STATUS + 16 && status.ends_with('\u{2026}'));
    }
}
