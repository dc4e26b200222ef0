//! Host: records success; the console shows "ok" with the Ente's label.

fn main() {
    println!("ok");
}
