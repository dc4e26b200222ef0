//! Linker flags of the executor: no C runtime, no libc, no dynamic loader.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // `-static` is already there from crt-static in .cargo/config.toml; it is repeated because a build
    // without that file must not silently yield a dynamic executable.
    // `-z norelro` and one page size drop padding; `--build-id=none` drops a note nobody reads. Constants lie beside the
    // code (`--no-rosegment`), since each segment is a mapping to make, to fault in and to take down again.
    for flag in [
        "-nostartfiles",
        "-nostdlib",
        "-static",
        "-Wl,--build-id=none",
        "-Wl,-z,norelro",
        "-Wl,-z,noseparate-code",
        "-Wl,-z,noexecstack",
        "-Wl,--no-rosegment",
    ] {
        println!("cargo::rustc-link-arg-bins={flag}");
    }
}
