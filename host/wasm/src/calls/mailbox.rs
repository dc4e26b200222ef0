//! Where calls of one Ente wait: so many of them, as its Card says, and so many bytes.

use super::{Answers, Invocation, Work};
use crate::host::InvokeError;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};

/// Bytes of payloads that wait in one mailbox: sixteen of the largest, as for a process that does not read its calls
/// (docs/bus.md). With the `limits.mailbox` of a Card that says nothing, 256 calls, it would be a quarter of a gigabyte, and
/// nobody who calls pays for it.
const MAX_WAITING: usize = 16 << 20;

/// The end of those who call.
#[derive(Clone, Debug)]
pub(crate) struct Mailbox {
    /// Boxed, because tokio allocates 32 slots at once for every mailbox, idle or not.
    calls: mpsc::Sender<Box<Invocation>>,
    waiting: Arc<AtomicUsize>,
}

/// The other end of a mailbox.
pub(crate) type Messages = mpsc::Receiver<Box<Invocation>>;

/// Bytes that wait, until this is dropped.
#[derive(Debug)]
pub(crate) struct Charge {
    bytes: usize,
    waiting: Arc<AtomicUsize>,
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.waiting.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}

impl Mailbox {
    /// For so many calls, at least one.
    pub(crate) fn new(calls: u32) -> (Mailbox, Messages) {
        let (calls, messages) = mpsc::channel(calls.max(1) as usize);
        let waiting = Arc::default();
        (Mailbox { calls, waiting }, messages)
    }

    /// Whether no call waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.calls.capacity() == self.calls.max_capacity()
    }

    /// Puts a call in.
    ///
    /// # Errors
    ///
    /// Too many wait, or too many bytes with them; or nobody will ever look for it.
    pub(crate) fn put(&self, work: Work) -> Result<Answers, InvokeError> {
        let charge = self.charge(work.bytes()).ok_or(InvokeError::MailboxFull)?;
        let (reply, answer) = oneshot::channel();
        let invocation = Invocation {
            work,
            reply,
            charge,
        };
        match self.calls.try_send(Box::new(invocation)) {
            Ok(()) => Ok(answer),
            Err(TrySendError::Full(_)) => Err(InvokeError::MailboxFull),
            Err(TrySendError::Closed(_)) => Err(InvokeError::NotRunning),
        }
    }

    fn charge(&self, bytes: usize) -> Option<Charge> {
        let with = |waiting: usize| Some(waiting + bytes).filter(|sum| *sum <= MAX_WAITING);
        let charged = self
            .waiting
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, with);
        charged.ok().map(|_| Charge {
            bytes,
            waiting: Arc::clone(&self.waiting),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arje_bus::MAX_PAYLOAD;

    fn work(bytes: usize) -> Work {
        Work::Function {
            name: "f".into(),
            payload: vec![0; bytes],
        }
    }

    #[test]
    fn what_waits_is_bounded_in_bytes_and_in_number() {
        let (mailbox, mut messages) = Mailbox::new(256);
        let full = |result: Result<Answers, InvokeError>| {
            assert!(
                matches!(result, Err(InvokeError::MailboxFull)),
                "{result:?}"
            );
        };
        assert!(mailbox.is_empty());
        let fit = MAX_WAITING / MAX_PAYLOAD;
        let mut answers: Vec<Answers> = (0..fit)
            .map(|_| mailbox.put(work(MAX_PAYLOAD)).unwrap())
            .collect();
        assert!(!mailbox.is_empty());
        full(mailbox.put(work(MAX_PAYLOAD)));
        // What is small still has room, and what was refused has taken none.
        answers.push(mailbox.put(work(100)).unwrap());
        full(mailbox.put(work(MAX_PAYLOAD)));
        // Whatever is taken out no longer waits.
        drop(messages.try_recv().unwrap());
        answers.push(mailbox.put(work(MAX_PAYLOAD)).unwrap());
        full(mailbox.put(work(MAX_PAYLOAD)));
        while messages.try_recv().is_ok() {}
        assert_eq!(mailbox.waiting.load(Ordering::Relaxed), 0);
        // In number, as the Card says.
        let (mailbox, messages) = Mailbox::new(2);
        let few: Vec<Answers> = (0..2).map(|_| mailbox.put(work(0)).unwrap()).collect();
        full(mailbox.put(work(0)));
        drop(messages);
        let gone = mailbox.put(work(10));
        assert!(matches!(gone, Err(InvokeError::NotRunning)), "{gone:?}");
        assert_eq!(mailbox.waiting.load(Ordering::Relaxed), 0);
        drop((answers, few));
    }
}
