//! Calls for somebody outside of components.

use super::Call;
use crate::host::Host;
use arje_bus::CallError;
use arje_card::Id;
use std::sync::Arc;
use tokio::task::AbortHandle;

/// A call under way for somebody outside of components. Dropping it gives the call up.
#[must_use = "dropping it gives the call up"]
#[derive(Debug)]
pub struct Delivery(AbortHandle);

impl Delivery {
    /// Whether its answer has been given.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.0.is_finished()
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Host {
    /// Makes a call for somebody outside of components: a process on the bus. Never waits; `then` gets the answer on a
    /// worker thread, exactly once, unless the delivery is dropped before. Then nobody waits any more, and a call that has
    /// not begun is not begun.
    pub fn deliver(
        &self,
        to: Id,
        call: Call,
        then: impl FnOnce(Result<Vec<u8>, CallError>) + Send + 'static,
    ) -> Delivery {
        let shared = Arc::clone(&self.shared);
        // In the order in which they come: into the mailbox here, and not when a worker gets round to it.
        let deadline = call.deadline;
        let posted = shared.post_call(to, call);
        let waiting = self.shared.lanes.handle().spawn(async move {
            // Given up before it is polled, what was posted goes first: whoever sees that `then` is gone may count on it.
            let answer = match posted {
                Ok(answer) => shared.bytes_of(answer, deadline).await,
                Err(error) => Err(error),
            };
            then(answer);
        });
        Delivery(waiting.abort_handle())
    }
}
