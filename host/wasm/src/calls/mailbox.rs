//! Where calls of one Ente wait: so many of them, as its Card says, and so many bytes.

use super::payloads::{Payloads, Share};
use super::{Answers, Invocation, Work};
use crate::host::InvokeError;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};

/// Bytes of payloads that wait in one mailbox: sixteen of the largest, as for a process that does not read its calls
/// (docs/bus.md). With the `limits.mailbox` of a Card that says nothing, 256 calls, it would be a quarter of a gigabyte.
const MAX_WAITING: usize = 16 << 20;

/// The end of those who call.
#[derive(Clone, Debug)]
pub(crate) struct Mailbox {
    /// Boxed, because tokio allocates 32 slots at once for every mailbox, idle or not.
    calls: mpsc::Sender<Box<Invocation>>,
    waiting: Arc<AtomicUsize>,
    /// What waits in all mailboxes.
    payloads: Arc<Payloads>,
}

/// The other end of a mailbox.
pub(crate) type Messages = mpsc::Receiver<Box<Invocation>>;

/// Bytes that wait, until this is dropped.
#[derive(Debug)]
pub(crate) struct Charge {
    bytes: usize,
    waiting: Arc<AtomicUsize>,
    _share: Share,
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.waiting.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}

impl Mailbox {
    /// For so many calls, at least one.
    pub(crate) fn new(calls: u32, payloads: &Arc<Payloads>) -> (Mailbox, Messages) {
        let (calls, messages) = mpsc::channel(calls.max(1) as usize);
        let mailbox = Mailbox {
            calls,
            waiting: Arc::default(),
            payloads: Arc::clone(payloads),
        };
        (mailbox, messages)
    }

    /// Whether no call waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.calls.capacity() == self.calls.max_capacity()
    }

    /// Puts a call in.
    ///
    /// # Errors
    ///
    /// Too many wait, or too many bytes with them, here or of this caller; or nobody will ever look for it.
    pub(crate) fn put(&self, work: Work) -> Result<Answers, InvokeError> {
        let charge = self.charge(&work).ok_or(InvokeError::MailboxFull)?;
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

    fn charge(&self, work: &Work) -> Option<Charge> {
        let bytes = work.bytes();
        let share = self.payloads.charge(work.sender(), bytes)?;
        let with = |waiting: usize| Some(waiting + bytes).filter(|sum| *sum <= MAX_WAITING);
        let charged = self
            .waiting
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, with);
        charged.ok().map(|_| Charge {
            bytes,
            waiting: Arc::clone(&self.waiting),
            _share: share,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::Call;
    use arje_bus::{Caller, MAX_PAYLOAD, Origin};
    use arje_card::Capability;
    use std::time::Instant;

    /// A call of a process of this user's.
    fn work(uid: u32, bytes: usize) -> Work {
        let origin = Origin::Process {
            pid: 1,
            uid,
            gid: 1,
        };
        Work::Handle(Call {
            caller: Caller { card: None, origin },
            capability: Capability::Spawn,
            payload: vec![0; bytes],
            deadline: Instant::now(),
        })
    }

    #[track_caller]
    fn full(result: Result<Answers, InvokeError>) {
        assert!(
            matches!(result, Err(InvokeError::MailboxFull)),
            "{result:?}"
        );
    }

    /// Calls by two users in turn, so that none of them is at its own bound.
    fn fill(mailbox: &Mailbox) -> Vec<Answers> {
        let calls = (0..MAX_WAITING / MAX_PAYLOAD).map(|n| work(n as u32 % 2, MAX_PAYLOAD));
        calls.map(|work| mailbox.put(work).unwrap()).collect()
    }

    #[test]
    fn what_waits_is_bounded_in_bytes() {
        let (mailbox, mut messages) = Mailbox::new(256, &Arc::default());
        assert!(mailbox.is_empty());
        let mut answers = fill(&mailbox);
        assert!(!mailbox.is_empty());
        full(mailbox.put(work(3, MAX_PAYLOAD)));
        // What is small still has room, and what was refused has taken none.
        answers.push(mailbox.put(work(3, 100)).unwrap());
        full(mailbox.put(work(3, MAX_PAYLOAD)));
        // Whatever is taken out no longer waits.
        drop(messages.try_recv().unwrap());
        answers.push(mailbox.put(work(3, MAX_PAYLOAD)).unwrap());
        full(mailbox.put(work(3, MAX_PAYLOAD)));
        while messages.try_recv().is_ok() {}
        assert_eq!(mailbox.waiting.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn who_calls_many_has_one_account() {
        let payloads = Arc::default();
        let (one, mut messages) = Mailbox::new(256, &payloads);
        let (other, _others) = Mailbox::new(256, &payloads);
        let fit = MAX_WAITING / MAX_PAYLOAD;
        let answers: Vec<Answers> = (0..fit)
            .map(|n| [&one, &other][n % 2].put(work(1, MAX_PAYLOAD)).unwrap())
            .collect();
        full(other.put(work(1, MAX_PAYLOAD)));
        // Nobody else is told to wait for that, and who gave up still waits here.
        let another = other.put(work(2, MAX_PAYLOAD)).unwrap();
        drop(answers);
        full(other.put(work(1, MAX_PAYLOAD)));
        drop(messages.try_recv().unwrap());
        assert!(other.put(work(1, MAX_PAYLOAD)).is_ok());
        drop(another);
    }

    #[test]
    fn what_waits_is_bounded_in_number() {
        let (mailbox, messages) = Mailbox::new(2, &Arc::default());
        let few = [0, 0].map(|bytes| mailbox.put(work(1, bytes)).unwrap());
        full(mailbox.put(work(1, 0)));
        drop(messages);
        let gone = mailbox.put(work(1, 10));
        assert!(matches!(gone, Err(InvokeError::NotRunning)), "{gone:?}");
        assert_eq!(mailbox.waiting.load(Ordering::Relaxed), 0);
        drop(few);
    }
}
