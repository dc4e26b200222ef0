//! A one-shot command: greets each argument, or the world, and exits with 0.

use std::io::{self, Write};

fn main() -> io::Result<()> {
    let names: Vec<String> = std::env::args().skip(1).collect();
    let mut out = io::stdout().lock();
    if names.is_empty() {
        return writeln!(out, "hello, world");
    }
    names
        .iter()
        .try_for_each(|name| writeln!(out, "hello, {name}"))
}
