//! Host: gives it an empty stdin; it prints "0 bytes" and records success, never waits.

use std::io::{self, Read};

fn main() -> io::Result<()> {
    let mut bytes = Vec::new();
    io::stdin().read_to_end(&mut bytes)?;
    println!("{} bytes", bytes.len());
    Ok(())
}
