//! Host: lets it wait argv[1] milliseconds (50 if absent) in `wasi:io/poll` without holding a
//! worker; a wait is no computing, so the call deadline does not end it.

use std::time::{Duration, Instant};

fn main() {
    let wanted = std::env::args().nth(1).and_then(|ms| ms.parse().ok());
    let wanted = Duration::from_millis(wanted.unwrap_or(50));
    let start = Instant::now();
    std::thread::sleep(wanted);
    assert!(start.elapsed() >= wanted, "woken too early");
    println!("slept");
}
