//! Durations, sizes and signals in words.

/// Milliseconds as people say them, in the largest unit of which there is one.
#[must_use]
pub fn duration(ms: u64) -> String {
    let (second, minute, hour, day) = (1000, 60_000, 3_600_000, 86_400_000);
    match ms {
        _ if ms < second => format!("{ms} ms"),
        _ if ms < minute => format!("{} s", ms / second),
        _ if ms < hour => format!("{} min", ms / minute),
        _ if ms < day => format!("{} h", ms / hour),
        _ => format!("{} d", ms / day),
    }
}

/// Bytes in the largest binary unit of which there is one.
#[must_use]
pub fn size(bytes: u64) -> String {
    let units = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
    let fits = units.iter().find(|(shift, _)| bytes >> shift > 0);
    match fits {
        Some((shift, unit)) => format!("{} {unit}", bytes >> shift),
        None => format!("{bytes} B"),
    }
}

/// The signals of x86-64 Linux by name (signal(7)), from 1 on.
const SIGNALS: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2",
    "PIPE", "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG",
    "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
];

/// The number of a signal: `TERM`, `SIGTERM`, `term` or `15`.
///
/// # Errors
/// It is none.
pub fn signal(word: &str) -> Result<u8, String> {
    let upper = word.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let by_name = SIGNALS.iter().position(|known| *known == name);
    let number = match by_name {
        Some(place) => place + 1,
        None => word.parse().unwrap_or_default(),
    };
    match u8::try_from(number) {
        Ok(number @ 1..=31) => Ok(number),
        _ => Err(format!(
            "{word:?} is not a signal; expected a name such as TERM, or 1 to 31"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes_have_one_unit() {
        for (ms, text) in [
            (0, "0 ms"),
            (999, "999 ms"),
            (1000, "1 s"),
            (59_999, "59 s"),
            (60_000, "1 min"),
            (7_200_000, "2 h"),
            (86_400_000, "1 d"),
        ] {
            assert_eq!(duration(ms), text);
        }
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (5 << 20, "5 MiB"),
            (3 << 30, "3 GiB"),
        ] {
            assert_eq!(size(bytes), text);
        }
    }

    #[test]
    fn signals_by_name_and_number() {
        for (word, number) in [
            ("TERM", 15),
            ("SIGKILL", 9),
            ("hup", 1),
            ("17", 17),
            ("sys", 31),
        ] {
            assert_eq!(signal(word), Ok(number), "{word}");
        }
        for word in ["", "0", "32", "SIG", "TERMINATE", "-9"] {
            assert!(signal(word).is_err(), "{word}");
        }
    }
}
