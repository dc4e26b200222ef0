//! What is to be written to a worker.

use std::collections::VecDeque;
use std::io;
use tokio::net::UnixStream;

/// Bytes that may wait while more of what the worker says is taken. Whoever says much, and reads none of the answers,
/// is not listened to.
const MOST: usize = 64 * 1024;

/// Frames that wait to be written: at most one call, the request to stop, and what the worker was told without reading
/// it, which is at most [`MOST`] and one answer to each question that it may have under way.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    frames: VecDeque<Vec<u8>>,
    /// How much of the first one is written.
    written: usize,
    /// All of what waits.
    bytes: usize,
}

impl Outbox {
    pub(super) fn push(&mut self, frame: Vec<u8>) {
        self.bytes += frame.len();
        self.frames.push_back(frame);
    }

    /// Whether the worker is to read before it says more.
    pub(super) fn is_full(&self) -> bool {
        self.bytes > MOST
    }

    /// Writes as much as the socket takes; with nothing to write, never returns.
    pub(super) async fn write_some(&mut self, socket: &UnixStream) {
        while let Some(frame) = self.frames.front() {
            // An error is the end of the socket, which is about to be seen where it is read.
            if socket.writable().await.is_err() {
                return self.clear();
            }
            match socket.try_write(&frame[self.written..]) {
                Ok(written) => return self.advance(written),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return self.clear(),
            }
        }
        std::future::pending().await
    }

    fn advance(&mut self, written: usize) {
        self.written += written;
        self.bytes -= written;
        if self
            .frames
            .front()
            .is_some_and(|frame| frame.len() <= self.written)
        {
            self.frames.pop_front();
            self.written = 0;
        }
    }

    fn clear(&mut self) {
        *self = Outbox::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt;

    fn frame(byte: u8, bytes: usize) -> Vec<u8> {
        vec![byte; bytes]
    }

    #[tokio::test]
    async fn frames_are_written_whole_and_in_order() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let mut outbox = Outbox::default();
        let (one, two) = (frame(1, 1 << 20), frame(2, 3)); // more than the socket takes at once
        outbox.push(one.clone());
        assert!(outbox.is_full());
        outbox.push(two.clone());
        let mut read = vec![0; one.len() + two.len()];
        let reading = theirs.read_exact(&mut read);
        let writing = async {
            while outbox.bytes > 0 {
                outbox.write_some(&ours).await;
            }
        };
        let (all, ()) = tokio::join!(reading, writing);
        all.unwrap();
        assert_eq!(read, [one, two].concat());
        assert!(outbox.frames.is_empty() && !outbox.is_full());
    }

    #[tokio::test]
    async fn who_does_not_read_is_waited_for_and_who_is_gone_is_not() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let mut outbox = Outbox::default();
        outbox.push(frame(1, 8 << 20));
        let never = async {
            loop {
                outbox.write_some(&ours).await;
            }
        };
        tokio::select! {
            biased;
            () = never => {}
            () = tokio::task::yield_now() => {}
        }
        assert!(outbox.is_full(), "it is still there");
        drop(theirs);
        outbox.write_some(&ours).await;
        assert!(!outbox.is_full());
    }
}
