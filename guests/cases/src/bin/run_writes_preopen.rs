//! Host: lets it write "written" to the file argv[1] in a preopened folder when `filesystem` is
//! read-write; when it is read-only, the write fails and a failure is recorded.

use std::io;

fn main() -> io::Result<()> {
    let path = std::env::args().nth(1).ok_or(io::ErrorKind::InvalidInput)?;
    std::fs::write(path, "written\n")
}
