//! The worker as a program of its own; an image has a link to `ente-zero` of the same name instead.

fn main() -> std::process::ExitCode {
    ente_worker::main()
}
