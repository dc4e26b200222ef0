//! Host: never gets an answer; a stop of the Ente ends it within one epoch tick, and its neighbours
//! keep their pace meanwhile.

fn main() {
    loop {
        std::hint::black_box(());
    }
}
