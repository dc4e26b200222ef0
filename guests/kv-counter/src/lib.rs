//! A client of a typed service: increments one key of `example:kv/store` every [`PERIOD`]. Its Card requires
//! `{"Wit": "example:kv/store@1.0.0"}`, which links the import to whoever provides it.
#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use arje_sdk::{CardInfo, Service, Timers, debug, freestanding, info, service, timer, warn};
use core::time::Duration;

wit_bindgen::generate!({ path: "../kv/wit", world: "client", additional_derives: [PartialEq] });

use example::kv::store::{self, Entry, Error};

/// From one increment to the next.
pub const PERIOD: Duration = Duration::from_secs(1);
/// The key. Nobody else writes it, so reading and setting it need not be one step.
pub const KEY: &str = "counter";
/// The one timer's token.
const TICK: u64 = 0;

/// What the service uses of the store: the imported one in a component, one of its own in a test.
trait Store {
    fn get(&self, key: &str) -> Result<Option<Entry>, Error>;
    fn set(&self, key: &str, value: Vec<u8>) -> Result<u64, Error>;
}

/// The store that the import is linked to.
struct Linked;

impl Store for Linked {
    fn get(&self, key: &str) -> Result<Option<Entry>, Error> {
        store::get(key)
    }

    fn set(&self, key: &str, value: Vec<u8>) -> Result<u64, Error> {
        store::set(key, &value)
    }
}

/// Adds one to a key; what it is now. A key that holds no number begins anew.
fn increment(store: &impl Store, key: &str) -> Result<u64, Error> {
    let entry = store.get(key)?;
    let known = entry.and_then(|entry| String::from_utf8(entry.value).ok()?.parse::<u64>().ok());
    let next = known.unwrap_or(0).wrapping_add(1);
    store.set(key, next.to_string().into_bytes())?;
    Ok(next)
}

/// One tick: a store that cannot be reached now is asked again at the next one.
fn tick(store: &impl Store) {
    match increment(store, KEY) {
        Ok(count) => debug!("counted"; count = count),
        Err(Error::Unavailable(why)) => warn!("the store cannot be reached"; why = why),
        Err(Error::TooLarge | Error::Full) => warn!("the store does not take the count"),
    }
}

fn arm() -> Result<(), String> {
    timer::set(PERIOD, TICK).map_err(|_| String::from("cannot set the timer"))
}

/// The service; what it counts is in the store.
#[derive(Debug)]
pub struct Counter;

impl Service for Counter {
    fn start(_card: &CardInfo) -> Result<Self, String> {
        arm()?;
        info!("counting"; key = KEY, period_s = PERIOD.as_secs());
        Ok(Self)
    }
}

impl Timers for Counter {
    fn on_timer(&mut self, _token: u64) {
        tick(&Linked);
        if let Err(why) = arm() {
            arje_sdk::error!("this was the last count"; why = why);
        }
    }
}

freestanding!();
service!(Counter, timers);

#[cfg(test)]
mod tests {
    use super::*;
    use arje_sdk::fake::Host;
    use std::cell::RefCell;
    use std::collections::BTreeMap;

    /// A store of its own, or why there is none.
    struct Own(Result<RefCell<BTreeMap<String, Vec<u8>>>, Error>);

    impl Own {
        fn with(value: &[u8]) -> Self {
            let entries = [(KEY.to_string(), value.to_vec())];
            Self(Ok(RefCell::new(entries.into())))
        }

        fn value(&self) -> Vec<u8> {
            self.get(KEY).unwrap().unwrap().value
        }
    }

    impl Store for Own {
        fn get(&self, key: &str) -> Result<Option<Entry>, Error> {
            let entries = self.0.as_ref().map_err(Clone::clone)?;
            let entry = |value: &Vec<u8>| Entry {
                value: value.clone(),
                revision: 1,
                by: None,
            };
            Ok(entries.borrow().get(key).map(entry))
        }

        fn set(&self, key: &str, value: Vec<u8>) -> Result<u64, Error> {
            let entries = self.0.as_ref().map_err(Clone::clone)?;
            entries.borrow_mut().insert(key.to_string(), value);
            Ok(1)
        }
    }

    #[test]
    fn counts_on_from_what_is_there() {
        let store = Own::with(b"41");
        assert_eq!(increment(&store, KEY), Ok(42));
        assert_eq!(store.value(), b"42");
        assert_eq!(increment(&store, "another"), Ok(1));
    }

    #[test]
    fn what_is_no_number_begins_anew() {
        for value in [&b"many"[..], b"-1", b"\xff", b""] {
            let store = Own::with(value);
            assert_eq!(increment(&store, KEY), Ok(1));
            assert_eq!(store.value(), b"1");
        }
    }

    #[test]
    fn a_store_that_cannot_be_reached_is_told_and_not_the_end() {
        let host = Host::new();
        tick(&Own(Err(Error::Unavailable("gone".into()))));
        let lines = host.lines();
        assert_eq!(lines[0].message, "the store cannot be reached");
        assert_eq!(lines[0].fields, [("why".into(), "gone".into())]);
    }

    #[test]
    fn starts_with_its_timer_set() {
        let host = Host::new();
        Counter::start(&host.card("counter")).unwrap();
        assert_eq!(host.timers(), [TICK]);
    }
}
