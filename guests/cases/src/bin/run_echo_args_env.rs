//! Host: records success; stdout shows argv (`arg N=…`) and exactly the Card's environment
//! (`env NAME=…`, sorted), nothing of the host's own.

fn main() {
    for (number, arg) in std::env::args().enumerate() {
        println!("arg {number}={arg}");
    }
    let mut variables: Vec<_> = std::env::vars().collect();
    variables.sort();
    for (name, value) in variables {
        println!("env {name}={value}");
    }
}
