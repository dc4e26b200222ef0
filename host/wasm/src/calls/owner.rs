//! Calls that the host's owner makes: the core loop for processes, a worker process for its PID 1, tests and benchmarks.

use super::{Answer, Asker, Call, Work, typed_call};
use crate::host::{Host, InvokeError};
use arje_bus::CallError;
use arje_card::Id;

impl Host {
    /// Calls an exported function `(list<u8>) -> list<u8>` of a running service, by its full name.
    /// Calls of one Ente are answered one after the other, in the order in which they came. For the host's owner;
    /// Entes call each other by capability.
    ///
    /// # Errors
    ///
    /// See [`InvokeError`]. A call that traps or takes longer than `limits.call_ms` ends the
    /// provider, and is answered with [`InvokeError::ProviderDied`].
    pub async fn invoke(
        &self,
        ente: Id,
        function: &str,
        payload: Vec<u8>,
    ) -> Result<Vec<u8>, InvokeError> {
        let work = Work::Function {
            name: function.into(),
            payload,
        };
        self.bytes(ente, work).await
    }

    /// Has a component answer a call, however long that takes: in a worker process, whose PID 1 tells the caller when
    /// its time is over.
    ///
    /// # Errors
    ///
    /// As [`invoke`](Self::invoke).
    pub async fn answer(&self, ente: Id, call: Call) -> Result<Vec<u8>, InvokeError> {
        self.bytes(ente, Work::Handle(call)).await
    }

    /// The same for a function of a typed service: of the interface that the call's capability names, with the values as
    /// the bytes of the call, and those of the answer.
    ///
    /// # Errors
    ///
    /// As [`invoke`](Self::invoke).
    pub async fn answer_typed(
        &self,
        ente: Id,
        function: &str,
        call: Call,
    ) -> Result<Vec<u8>, InvokeError> {
        let loaded = self.shared.loaded(ente).ok_or(InvokeError::NotRunning)?;
        let work = typed_call::received(&loaded, function, call)?;
        match self.answer_to(ente, work).await? {
            Answer::Values(values) => Ok(values),
            Answer::Bytes(_) => Err(InvokeError::ProviderDied), // nobody answers values so
        }
    }

    async fn bytes(&self, ente: Id, work: Work) -> Result<Vec<u8>, InvokeError> {
        match self.answer_to(ente, work).await? {
            Answer::Bytes(bytes) => Ok(bytes),
            Answer::Values(_) => Err(InvokeError::ProviderDied), // nor bytes so
        }
    }

    async fn answer_to(&self, ente: Id, work: Work) -> Result<Answer, InvokeError> {
        let answer = self.shared.post(ente, work)?.await;
        answer.unwrap_or(Err(InvokeError::ProviderDied))
    }

    /// The host's side of calls between components, for those who measure it.
    #[doc(hidden)]
    pub async fn call(&self, call: Call) -> Result<Vec<u8>, CallError> {
        self.shared.invoke(&Asker::default(), call).await
    }
}
