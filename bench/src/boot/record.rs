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
    /// From each service's word that it goes down to the next one's that it is up.
    pub restarts: Vec<Duration>,
    /// What PID 1 and its helpers hold at the end, resident, in KiB.
    pub held_kib: Option<u64>,
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
        restarts: restarts(&records),
        held_kib: held_kib(&records),
    })
}

fn restarts(records: &[(u64, &str)]) -> Vec<Duration> {
    let mut went_down = None;
    let mut restarts = Vec::new();
    for (at, text) in records {
        match *text {
            "bench: service down" => went_down = Some(*at),
            "bench: service up" => {
                restarts.extend(went_down.take().map(|down| at.saturating_sub(down)))
            }
            _ => {}
        }
    }
    restarts.into_iter().map(Duration::from_micros).collect()
}

fn held_kib(records: &[(u64, &str)]) -> Option<u64> {
    let mut texts = records.iter().map(|(_, text)| *text);
    let number = texts.find_map(|text| text.strip_prefix("bench: supervision holds "))?;
    number
        .strip_suffix(" KiB")?
        .parse()
        .ok()
        .filter(|kib| *kib > 0)
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
            ..Times::default()
        };
        assert_eq!(parse(console), Some(wanted));
        assert_eq!(parse(console.trim_end_matches("records end\n")), None);
    }

    #[test]
    fn deaths_and_memory() {
        let console = "record 10 bench: handover\nrecord 20 bench: service up\n\
                       record 3020 bench: service down\nrecord 3520 bench: service up\n\
                       record 6520 bench: service down\nrecord 7120 bench: service up\n\
                       record 9999 bench: service down\nrecord 0 bench: supervision holds 1234 KiB\nrecords end\n";
        let times = parse(console).unwrap();
        assert_eq!(times.restarts, [500, 600].map(Duration::from_micros));
        assert_eq!((times.services, times.held_kib), (3, Some(1234)));
    }

    #[test]
    fn a_report_without_a_hand_over_is_none() {
        assert_eq!(parse("record 1 bench: service up\nrecords end"), None);
    }
}
