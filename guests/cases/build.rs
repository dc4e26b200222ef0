//! Hands the linker the C runtime's start file where the toolchain does not bring one
//! (docs/guests.md, "distribution").

fn main() {
    println!("cargo::rerun-if-env-changed=ARJE_CRT1_COMMAND");
    if let Some(start_file) = std::env::var_os("ARJE_CRT1_COMMAND") {
        println!("cargo::rustc-link-arg-bins={}", start_file.display());
    }
}
