//! Host: with `networking` outbound, resolves the name argv[1] and it prints one address per line;
//! with none, refuses it before it runs.

use std::io;
use std::net::ToSocketAddrs;

fn main() -> io::Result<()> {
    let name = std::env::args().nth(1).ok_or(io::ErrorKind::InvalidInput)?;
    for address in (name.as_str(), 0).to_socket_addrs()? {
        println!("{}", address.ip());
    }
    Ok(())
}
