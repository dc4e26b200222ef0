//! Host: records a trap (`unreachable`), with "the message" on stderr; nobody else notices.

fn main() {
    panic!("the message");
}
