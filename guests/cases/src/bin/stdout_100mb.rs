//! Host: takes 100 MB of stdout without a line end, keeps a bounded part of it, says what it cut,
//! and records success.

use std::io::{self, Write};

fn main() -> io::Result<()> {
    let chunk = [b'x'; 64 * 1024];
    let mut out = io::stdout().lock();
    for _ in 0..100_000_000 / chunk.len() {
        out.write_all(&chunk)?;
    }
    out.write_all(b"\n")
}
