//! Links the command line as PID 1 is linked, and leaves out of its released form what `panic-ends.ld` says.

#[path = "../zero/build.rs"]
mod zero;

const SCRIPT: &str = "panic-ends.ld";

fn main() {
    zero::main();
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={SCRIPT}");
    if let Some(folder) = std::env::var_os("CARGO_MANIFEST_DIR").filter(|_| zero::released()) {
        let script = std::path::Path::new(&folder).join(SCRIPT);
        zero::use_if_understood(&format!("-Wl,-T,{}", script.display()));
    }
}
