//! Bytes that wait to be sent to a peer: what answers it, and calls that it is to answer.

use std::collections::VecDeque;

/// Frames in their order, as bytes. What is a call's is counted apart: calls are bounded by the provider's mailbox and
/// its owner's account, and must not keep its answers from being read, or both sides could wait for each other.
#[derive(Debug, Default)]
pub struct Outbox {
    bytes: VecDeque<u8>,
    /// So many bytes of calls, or of others, in turns; together as long as `bytes`.
    runs: VecDeque<(usize, bool)>,
    /// Of them of calls.
    of_calls: usize,
}

impl Outbox {
    /// Puts a frame at the end.
    pub fn push(&mut self, frame: Vec<u8>, is_call: bool) {
        let count = frame.len();
        self.bytes.extend(frame);
        if is_call {
            self.of_calls += count;
        }
        match self.runs.back_mut() {
            Some((run, of_call)) if *of_call == is_call => *run += count,
            _ => self.runs.push_back((count, is_call)),
        }
    }

    /// Some of the first bytes; none if nothing waits.
    #[must_use]
    pub fn front(&self) -> &[u8] {
        self.bytes.as_slices().0
    }

    /// The first bytes were sent.
    pub fn sent(&mut self, mut count: usize) {
        self.bytes.drain(..count.min(self.bytes.len()));
        while let Some((run, is_call)) = self.runs.front_mut() {
            let of_run = count.min(*run);
            *run -= of_run;
            count -= of_run;
            if *is_call {
                self.of_calls -= of_run;
            }
            if *run > 0 {
                break;
            }
            self.runs.pop_front();
        }
        if self.bytes.is_empty() {
            *self = Outbox::default(); // an idle connection holds no buffer
        }
    }

    /// Nothing of it is to be sent any more.
    pub fn clear(&mut self) {
        *self = Outbox::default();
    }

    /// All that waits.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// What waits beside calls.
    #[must_use]
    pub fn beside_calls(&self) -> usize {
        self.bytes.len() - self.of_calls
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_apart_however_the_bytes_leave() {
        for step in 1..12 {
            let mut outbox = Outbox::default();
            outbox.push(vec![1; 3], false);
            outbox.push(vec![2; 4], true);
            outbox.push(vec![2; 2], true);
            outbox.push(vec![3; 1], false);
            outbox.push(vec![], true);
            let mut left = vec![1, 1, 1, 2, 2, 2, 2, 2, 2, 3];
            while !outbox.is_empty() {
                assert_eq!(outbox.len(), left.len());
                let others = left.iter().filter(|byte| **byte != 2).count();
                assert_eq!(outbox.beside_calls(), others);
                let count = step.min(outbox.front().len());
                assert_eq!(outbox.front()[..count], left[..count]);
                outbox.sent(count);
                left.drain(..count);
            }
            assert_eq!((outbox.len(), outbox.beside_calls()), (0, 0));
            assert!(left.is_empty() && outbox.runs.is_empty());
        }
    }
}
