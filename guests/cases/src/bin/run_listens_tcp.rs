//! Host: with `networking` full, lets it listen on argv[1] (ADDRESS:PORT, port 0 allowed), print
//! "listening ADDRESS:PORT", and echo one connection; with outbound, bind fails and a failure is
//! recorded.

use std::io::{self, Read, Write};
use std::net::TcpListener;

fn main() -> io::Result<()> {
    let address = std::env::args().nth(1).ok_or(io::ErrorKind::InvalidInput)?;
    let listener = TcpListener::bind(address)?;
    println!("listening {}", listener.local_addr()?);
    let (mut peer, _) = listener.accept()?;
    let mut said = Vec::new();
    peer.read_to_end(&mut said)?;
    peer.write_all(&said)
}
