//! Host: records a failure. Its number is 1: `wasi:cli/exit` carries only ok or error.

fn main() {
    println!("leaving with 3");
    std::process::exit(3);
}
