//! Host: lets it read the file argv[1] in a preopened folder, and prints it; without `filesystem`
//! permission refuses the component before it runs; a path outside the preopens fails.

use std::io;

fn main() -> io::Result<()> {
    let path = std::env::args().nth(1).ok_or(io::ErrorKind::InvalidInput)?;
    print!("{}", std::fs::read_to_string(path)?);
    Ok(())
}
