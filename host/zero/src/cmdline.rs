//! The kernel's command line: the options that are ours.
//!
//! The kernel hands words with a dot in them to nobody, so they are read from `/proc/cmdline`
//! (Documentation/admin-guide/kernel-parameters in the kernel's tree).

use crate::crash::Crash;
use crate::{down, watchdog};
use std::fs;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

/// Options from the kernel's command line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cmdline {
    /// `ente.log=FILTER`: what to log.
    pub log: Option<String>,
    /// `ente.seed=PATH`: the Seed Card to boot.
    pub seed: Option<PathBuf>,
    /// `arje.session=NAME`: the session fragment to append.
    pub session: Option<String>,
    /// `ente.rescue`: straight to the rescue shell.
    pub rescue_now: bool,
    /// `ente.rescue=off`: never a rescue shell; reboot instead.
    pub rescue_off: bool,
    /// `ente.shutdown=SECONDS`: how long a shutdown may take in all.
    pub shutdown: Option<Duration>,
    /// `ente.watchdog=SECONDS`: how long the hardware watchdog waits for PID 1; zero is off.
    pub watchdog: Option<Duration>,
    /// `ente.debug=WORD`: what SIGQUIT does to PID 1.
    pub debug: Option<Crash>,
    /// Words that begin with `ente.` or `arje.` and are none of these: reported, not obeyed.
    pub unknown: Vec<String>,
}

impl Cmdline {
    /// Reads `/proc/cmdline`; without it, nothing is set.
    #[must_use]
    pub fn read() -> Cmdline {
        Cmdline::parse(&fs::read_to_string("/proc/cmdline").unwrap_or_default())
    }

    /// Takes our options out of a command line. As with the kernel's own options, double quotes
    /// keep spaces together and the last of several counts.
    #[must_use]
    pub fn parse(line: &str) -> Cmdline {
        let mut options = Cmdline::default();
        for word in words(line) {
            let (name, value) = match word.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (word.as_str(), None),
            };
            match (name, value) {
                ("ente.log", Some(filter)) => options.log = Some(filter),
                ("ente.seed", Some(path)) => options.seed = Some(path.into()),
                ("arje.session", Some(name)) => options.session = Some(name),
                ("ente.rescue", None) => options.rescue_now = true,
                ("ente.rescue", Some(value)) if value == "off" => options.rescue_off = true,
                ("ente.shutdown", Some(value)) if seconds(&value, &down::SECONDS).is_some() => {
                    options.shutdown = seconds(&value, &down::SECONDS);
                }
                ("ente.watchdog", Some(value)) if value == "0" => {
                    options.watchdog = Some(Duration::ZERO);
                }
                ("ente.watchdog", Some(value)) if seconds(&value, &watchdog::SECONDS).is_some() => {
                    options.watchdog = seconds(&value, &watchdog::SECONDS);
                }
                ("ente.debug", Some(value)) if Crash::parse(&value).is_some() => {
                    options.debug = Crash::parse(&value);
                }
                _ if name.starts_with("ente.") || name.starts_with("arje.") => {
                    options.unknown.push(word.clone());
                }
                _ => {}
            }
        }
        options
    }
}

fn seconds(value: &str, allowed: &RangeInclusive<u64>) -> Option<Duration> {
    let seconds: u64 = value.parse().ok()?;
    allowed
        .contains(&seconds)
        .then(|| Duration::from_secs(seconds))
}

fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quoted = false;
    for c in line.trim_end_matches(['\n', '\0']).chars() {
        match c {
            '"' => quoted = !quoted,
            c if c.is_whitespace() && !quoted => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
            }
            c => word.push(c),
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_options_are_found_among_the_kernels() {
        let line = "rdinit=/init console=ttyS0,115200 ente.log=debug ente.seed=/a arje.session=kiosk quiet\n";
        assert_eq!(
            Cmdline::parse(line),
            Cmdline {
                log: Some("debug".into()),
                seed: Some("/a".into()),
                session: Some("kiosk".into()),
                ..Cmdline::default()
            }
        );
    }

    #[test]
    fn rescue_has_two_forms() {
        assert!(Cmdline::parse("ente.rescue").rescue_now);
        let off = Cmdline::parse("ente.rescue=off");
        assert!(off.rescue_off && !off.rescue_now);
    }

    #[test]
    fn quotes_keep_spaces_and_the_last_one_counts() {
        let options = Cmdline::parse(r#"ente.seed=/a "ente.seed=/b c" ente.seed="/d e""#);
        assert_eq!(options.seed, Some("/d e".into()));
    }

    #[test]
    fn seconds_have_their_bounds() {
        let options = Cmdline::parse("ente.shutdown=3 ente.watchdog=0 ente.debug=hang");
        assert_eq!(options.shutdown, Some(Duration::from_secs(3)));
        assert_eq!(options.watchdog, Some(Duration::ZERO));
        assert_eq!(options.debug, Some(Crash::Hang));
        let line =
            "ente.shutdown=2 ente.shutdown=soon ente.watchdog=1 ente.watchdog=65536 ente.debug=x";
        let options = Cmdline::parse(line);
        let words: Vec<&str> = line.split(' ').collect();
        assert_eq!(options.unknown, words);
        assert_eq!(
            options,
            Cmdline {
                unknown: options.unknown.clone(),
                ..Cmdline::default()
            }
        );
    }

    #[test]
    fn what_is_not_known_is_kept_for_a_warning() {
        let options = Cmdline::parse("ente.sed=/x ente.rescue=maybe root=/dev/vda nfs.y=1");
        assert_eq!(options.unknown, ["ente.sed=/x", "ente.rescue=maybe"]);
    }
}
