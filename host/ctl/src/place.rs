//! Where the store is, when nobody says it.

use std::env;
use std::path::PathBuf;

/// The store that `$ARJE_STORE` names.
#[must_use]
pub fn named_store() -> Option<PathBuf> {
    env::var_os("ARJE_STORE").map(PathBuf::from)
}

/// The store that dev mode chooses, unless neither `XDG_CACHE_HOME` nor `HOME` is set.
#[must_use]
pub fn dev_store() -> Option<PathBuf> {
    let of = |name| env::var_os(name).map(PathBuf::from);
    let cache = of("XDG_CACHE_HOME").or_else(|| Some(of("HOME")?.join(".cache")));
    cache.map(|cache| cache.join("ente"))
}
