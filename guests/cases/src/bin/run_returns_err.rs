//! Host: records a failure (`run` returns its error), with "Error: the reason" on stderr.

use std::fmt;

struct Reason;

impl fmt::Debug for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the reason")
    }
}

fn main() -> Result<(), Reason> {
    Err(Reason)
}
