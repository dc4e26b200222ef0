//! The smallest input that still fails, or near to it.

use std::time::{Duration, Instant};

/// How long is looked for a smaller one.
const TIME: Duration = Duration::from_secs(20);

/// Leaves out of a failing input whatever it fails without, and makes zeroes of what is left where it can.
pub fn shrink(input: &[u8], mut fails: impl FnMut(&[u8]) -> bool) -> Vec<u8> {
    let end = Instant::now() + TIME;
    let mut best = input.to_vec();
    let mut size = best.len().next_power_of_two();
    while size > 0 {
        let before = best.len();
        let mut at = 0;
        while at < best.len() && Instant::now() < end {
            let mut shorter = best[..at].to_vec();
            shorter.extend_from_slice(best.get(at + size..).unwrap_or_default());
            if shorter.len() < best.len() && fails(&shorter) {
                best = shorter;
            } else {
                at += size;
            }
        }
        // What one left out may have been what another one needed.
        if size > 1 || best.len() == before {
            size /= 2;
        }
    }
    for at in 0..best.len() {
        let byte = std::mem::take(&mut best[at]);
        if byte != 0 && (Instant::now() > end || !fails(&best)) {
            best[at] = byte;
        }
    }
    best
}
