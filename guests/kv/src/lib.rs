//! A typed service: values by key, for every Ente that requires `{"Wit": "example:kv/store@1.0.0"}` (wit/store.wit).
#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use arje_sdk::{CardInfo, Instance, Service, bus, freestanding, service};
use core::ops::Bound;

wit_bindgen::generate!({ path: "wit", world: "service", additional_derives: [PartialEq] });

use exports::example::kv::store::{Entry, Error, Guest};

/// Most bytes of a key and of a value, and most keys: what a caller can make the service keep.
const MAX_KEY: usize = 256;
const MAX_VALUE: usize = 64 * 1024;
const MAX_KEYS: usize = 4096;

/// The service.
#[derive(Debug, Default)]
pub struct Kv {
    entries: BTreeMap<String, Entry>,
}

impl Service for Kv {
    fn start(_card: &CardInfo) -> Result<Self, String> {
        Ok(Self::default())
    }
}

impl Kv {
    fn set(&mut self, key: String, value: Vec<u8>, by: Option<String>) -> Result<u64, Error> {
        if key.len() > MAX_KEY || value.len() > MAX_VALUE {
            return Err(Error::TooLarge);
        }
        let known = self.entries.get(&key).map(|entry| entry.revision);
        if known.is_none() && self.entries.len() == MAX_KEYS {
            return Err(Error::Full);
        }
        let revision = known.unwrap_or(0) + 1;
        let entry = Entry {
            value,
            revision,
            by,
        };
        self.entries.insert(key, entry);
        Ok(revision)
    }

    fn keys(&self, prefix: &str) -> Vec<String> {
        let from = self
            .entries
            .range::<str, _>((Bound::Included(prefix), Bound::Unbounded));
        from.map(|(key, _)| key)
            .take_while(|key| key.starts_with(prefix))
            .cloned()
            .collect()
    }
}

/// The interface, as it is exported: each function reaches the one service.
struct Store;

impl Guest for Store {
    fn get(key: String) -> Result<Option<Entry>, Error> {
        Ok(Kv::with(|kv| kv.entries.get(&key).cloned()))
    }

    fn set(key: String, value: Vec<u8>) -> Result<u64, Error> {
        let by = bus::current_call().and_then(|call| call.caller.label);
        Kv::with(|kv| kv.set(key, value, by))
    }

    fn delete(key: String) -> Result<bool, Error> {
        Ok(Kv::with(|kv| kv.entries.remove(&key).is_some()))
    }

    fn keys(prefix: String) -> Result<Vec<String>, Error> {
        Ok(Kv::with(|kv| kv.keys(&prefix)))
    }
}

freestanding!();
service!(Kv);
export!(Store);

#[cfg(test)]
mod tests {
    use super::*;
    use arje_sdk::bus::CallInfo;
    use arje_sdk::{Capability, fake::Host};

    fn host() -> Host {
        let host = Host::new();
        host.start::<Kv>("kv").unwrap();
        host
    }

    #[test]
    fn what_was_set_is_there_with_its_revision_and_who_set_it() {
        let host = host();
        host.set_current_call(Some(CallInfo {
            caller: host.caller("front"),
            capability: Capability::Wit("example:kv/store@1.0.0".into()),
            left_ms: 5000,
        }));
        assert_eq!(Store::set("a".into(), b"1".to_vec()), Ok(1));
        assert_eq!(Store::set("a".into(), b"2".to_vec()), Ok(2));
        let entry = Store::get("a".into()).unwrap().unwrap();
        assert_eq!((entry.value, entry.revision), (b"2".to_vec(), 2));
        assert_eq!(entry.by.as_deref(), Some("front"));
        assert_eq!(Store::delete("a".into()), Ok(true));
        assert_eq!(Store::delete("a".into()), Ok(false));
        assert_eq!(Store::get("a".into()), Ok(None));
    }

    #[test]
    fn keys_are_found_by_their_beginning() {
        let _host = host();
        for key in ["b/2", "a", "b/1", "c"] {
            Store::set(key.into(), Vec::new()).unwrap();
        }
        assert_eq!(Store::keys("b/".into()).unwrap(), ["b/1", "b/2"]);
        assert_eq!(Store::keys(String::new()).unwrap().len(), 4);
    }

    #[test]
    fn nobody_fills_it_without_end() {
        let _host = host();
        assert_eq!(
            Store::set("k".repeat(257), Vec::new()),
            Err(Error::TooLarge)
        );
        let large = alloc::vec![0; MAX_VALUE + 1];
        assert_eq!(Store::set("k".into(), large), Err(Error::TooLarge));
        for n in 0..MAX_KEYS {
            let key = alloc::format!("{n}");
            assert_eq!(Store::set(key, Vec::new()), Ok(1));
        }
        assert_eq!(Store::set("one more".into(), Vec::new()), Err(Error::Full));
        assert_eq!(Store::set("0".into(), Vec::new()), Ok(2));
    }
}
