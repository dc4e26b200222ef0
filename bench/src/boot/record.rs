//! Reads the report that `bench/native/first.c` prints at the end of a timed boot.

use std::time::Duration;

/// What one boot took, from the hand-over.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Times {
    /// PID 1 of arje said that it is there.
    pub awake: Option<Duration>,
    /// PID 1 of arje said that its seed is up.
    pub seed_up: Option<Duration>,
    /// The last native service said that it is up.
    pub last_service: Duration,
    /// How many did.
    pub services: usize,
}

/// The times, once the console shows the whole report.
pub fn parse(console: &str) -> Option<Times> {
    let (report, _) = console.split_once("records end")?;
    let records: Vec<(u64, &str)> = report.lines().filter_map(record).collect();
    let at = |text: &str| {
        let found = records.iter().find(|(_, record)| record.contains(text));
        found.map(|(at, _)| *at)
    };
    let begin = at("bench: handover")?;
    let since = |at: u64| Duration::from_micros(at.saturating_sub(begin));
    let up = || {
        records
            .iter()
            .filter(|(_, text)| *text == "bench: service up")
    };
    Some(Times {
        awake: at("ente-zero despierta").map(since),
        seed_up: at("the seed is up").map(since),
        last_service: up().map(|(at, _)| since(*at)).max().unwrap_or_default(),
        services: up().count(),
    })
}

/// `record MICROSECONDS TEXT`
fn record(line: &str) -> Option<(u64, &str)> {
    let (at, text) = line.trim_end().strip_prefix("record ")?.split_once(' ')?;
    Some((at.parse().ok()?, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_report() {
        let console = "noise\nrecord 3000100 bench: handover\nrecord 3004100 ente-zero despierta como PID 1\n\
                       record 3010100 bench: service up\nrecord 3012100 bench: service up\n\
                       record 3013100 ente-zero: the seed is up, 9 ms after its start\nrecords end\n";
        let ms = Duration::from_millis;
        let wanted = Times {
            awake: Some(ms(4)),
            seed_up: Some(ms(13)),
            last_service: ms(12),
            services: 2,
        };
        assert_eq!(parse(console), Some(wanted));
        assert_eq!(parse(console.trim_end_matches("records end\n")), None);
    }

    #[test]
    fn a_report_without_a_hand_over_is_none() {
        assert_eq!(parse("record 1 bench: service up\nrecords end"), None);
    }
}
