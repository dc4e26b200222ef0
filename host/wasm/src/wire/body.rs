//! Bodies of frames: numbers, texts, and the ways in which an incarnation ends.

use super::{MAX_LINE_TEXT, MAX_PAYLOAD, Malformed, cut_to};
use crate::body::CALLS;
use crate::event::End;
use crate::host::InvokeError;
use crate::trap::{KINDS, told};
use arje_bus::HandlerError;

/// Builds a frame. What is done for every field is not inlined: frames are cheap beside the socket that they go over, and
/// PID 1 stays in memory.
#[derive(Debug)]
pub(super) struct Writer(Vec<u8>);

impl Writer {
    #[inline(never)]
    pub(super) fn new(kind: u8) -> Writer {
        Writer(vec![0, 0, 0, 0, kind])
    }

    #[inline(never)]
    pub(super) fn u8(mut self, value: u8) -> Writer {
        self.0.push(value);
        self
    }

    #[inline(never)]
    pub(super) fn u64(mut self, value: u64) -> Writer {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    /// A text with its length (u32).
    #[inline(never)]
    pub(super) fn text(self, text: &str) -> Writer {
        self.block(text.as_bytes())
    }

    /// A text up to the end of the frame.
    pub(super) fn rest(self, text: &str) -> Writer {
        self.bytes(text.as_bytes())
    }

    /// Bytes up to the end of the frame.
    #[inline(never)]
    pub(super) fn bytes(mut self, bytes: &[u8]) -> Writer {
        self.0.extend_from_slice(bytes);
        self
    }

    /// Bytes with their length (u32).
    #[inline(never)]
    pub(super) fn block(mut self, bytes: &[u8]) -> Writer {
        self.0
            .extend_from_slice(&(bytes.len() as u32).to_le_bytes());
        self.bytes(bytes)
    }

    /// Bytes so far.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The frame, with its length in front. Callers keep bodies below 4 GiB: see the caps.
    #[inline(never)]
    pub(super) fn frame(mut self) -> Vec<u8> {
        let length = (self.0.len() - 4) as u32;
        self.0[..4].copy_from_slice(&length.to_le_bytes());
        self.0
    }
}

const EXITED: u8 = 0;
const FAILED: u8 = 1;
const REFUSED: u8 = 2;
const TRAPPED: u8 = 3;
const DEADLINE: u8 = 4;
const UNHEALTHY: u8 = 5;
const KILLED: u8 = 6;
const HOST_PANIC: u8 = 7;

/// Appends an end, its text cut to what a frame holds.
pub(super) fn end(writer: Writer, end: &End) -> Writer {
    let cut = |message| cut_to(message, MAX_LINE_TEXT);
    match end {
        End::Exited(code) => writer.u8(EXITED).u64(i64::from(*code).cast_unsigned()),
        End::Failed(message) => writer.u8(FAILED).rest(&cut(message)),
        // A worker takes nobody's place.
        End::Refused(message) | End::Incompatible(message) => {
            writer.u8(REFUSED).rest(&cut(message))
        }
        End::Trapped { kind, message } => writer.u8(TRAPPED).text(kind).rest(&cut(message)),
        End::Deadline { call, after_ms } => writer.u8(DEADLINE).text(call).u64(*after_ms),
        End::Unhealthy(message) => writer.u8(UNHEALTHY).rest(&cut(message)),
        End::Killed => writer.u8(KILLED),
        // Of a worker inside a worker there is no such thing; what is said of one is said of it.
        End::HostPanic(message) | End::Broken(message) => writer.u8(HOST_PANIC).rest(&cut(message)),
        End::Lost => writer.u8(HOST_PANIC).rest("it ended without a word"),
    }
}

const ANSWERED: u8 = 0;
const NOT_RUNNING: u8 = 1;
const MAILBOX_FULL: u8 = 2;
const NO_SUCH_FUNCTION: u8 = 3;
const PROVIDER_DIED: u8 = 4;
const TOO_LARGE: u8 = 5;
const HANDLER_REFUSED: u8 = 6;

const UNSUPPORTED: u8 = 0;
const BAD_REQUEST: u8 = 1;
const FORBIDDEN: u8 = 2;
const HANDLER_FAILED: u8 = 3;

/// Appends what a handler answered instead of bytes.
pub(super) fn refused(writer: Writer, error: &HandlerError) -> Writer {
    let (number, why) = match error {
        HandlerError::Unsupported => return writer.u8(UNSUPPORTED),
        HandlerError::BadRequest(why) => (BAD_REQUEST, why),
        HandlerError::Forbidden(why) => (FORBIDDEN, why),
        HandlerError::Failed(why) => (HANDLER_FAILED, why),
    };
    writer.u8(number).rest(&cut_to(why, MAX_LINE_TEXT))
}

/// Appends an answer; one that does not fit is replaced by that fact.
pub(super) fn answer(writer: Writer, answer: &Result<Vec<u8>, InvokeError>) -> Writer {
    match answer {
        Ok(bytes) if bytes.len() <= MAX_PAYLOAD => writer.u8(ANSWERED).bytes(bytes),
        Ok(_) | Err(InvokeError::TooLarge) => writer.u8(TOO_LARGE),
        Err(InvokeError::NotRunning) => writer.u8(NOT_RUNNING),
        Err(InvokeError::MailboxFull) => writer.u8(MAILBOX_FULL),
        Err(InvokeError::NoSuchFunction(name)) => writer
            .u8(NO_SUCH_FUNCTION)
            .rest(&cut_to(name, MAX_LINE_TEXT)),
        Err(InvokeError::ProviderDied) => writer.u8(PROVIDER_DIED),
        Err(InvokeError::Refused(error)) => refused(writer.u8(HANDLER_REFUSED), error),
    }
}

/// Takes a body apart.
#[derive(Debug)]
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// The kind, and the body to be read.
    pub(super) fn new(frame: &'a [u8]) -> Result<(u8, Reader<'a>), Malformed> {
        let (kind, body) = frame.split_first().ok_or(Malformed("an empty frame"))?;
        Ok((*kind, Reader(body)))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    #[inline(never)]
    pub(super) fn take(&mut self, bytes: usize) -> Result<&'a [u8], Malformed> {
        let (taken, left) = self
            .0
            .split_at_checked(bytes)
            .ok_or(Malformed("a frame that is too short"))?;
        self.0 = left;
        Ok(taken)
    }

    #[inline(never)]
    pub(super) fn u8(&mut self) -> Result<u8, Malformed> {
        Ok(self.take(1)?[0])
    }

    #[inline(never)]
    pub(super) fn u64(&mut self) -> Result<u64, Malformed> {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(self.take(8)?);
        Ok(u64::from_le_bytes(bytes))
    }

    /// Bytes that have their length in front.
    pub(super) fn block(&mut self) -> Result<&'a [u8], Malformed> {
        let mut length = [0; 4];
        length.copy_from_slice(self.take(4)?);
        self.take(u32::from_le_bytes(length) as usize)
    }

    #[inline(never)]
    pub(super) fn text(&mut self) -> Result<&'a str, Malformed> {
        std::str::from_utf8(self.block()?).map_err(|_| Malformed("a text that is not UTF-8"))
    }

    /// The text up to the end of the frame.
    #[inline(never)]
    pub(super) fn rest(&mut self) -> Result<String, Malformed> {
        let text = std::str::from_utf8(std::mem::take(&mut self.0))
            .map_err(|_| Malformed("a text that is not UTF-8"))?;
        Ok(text.to_owned())
    }

    /// The bytes up to the end of the frame.
    pub(super) fn bytes(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.0).to_vec()
    }

    /// An answer; the name of a missing function is cut and made printable.
    pub(super) fn answer(&mut self) -> Result<Result<Vec<u8>, InvokeError>, Malformed> {
        Ok(Err(match self.u8()? {
            ANSWERED => return Ok(Ok(self.bytes())),
            NOT_RUNNING => InvokeError::NotRunning,
            MAILBOX_FULL => InvokeError::MailboxFull,
            NO_SUCH_FUNCTION => InvokeError::NoSuchFunction(told(&self.rest()?)),
            PROVIDER_DIED => InvokeError::ProviderDied,
            TOO_LARGE => InvokeError::TooLarge,
            HANDLER_REFUSED => InvokeError::Refused(self.refused()?),
            _ => return Err(Malformed("no such answer")),
        }))
    }

    /// What a handler answered instead of bytes; its text as the text of an end.
    pub(super) fn refused(&mut self) -> Result<HandlerError, Malformed> {
        Ok(match self.u8()? {
            UNSUPPORTED => HandlerError::Unsupported,
            BAD_REQUEST => HandlerError::BadRequest(told(&self.rest()?)),
            FORBIDDEN => HandlerError::Forbidden(told(&self.rest()?)),
            HANDLER_FAILED => HandlerError::Failed(told(&self.rest()?)),
            _ => return Err(Malformed("no such answer of a handler")),
        })
    }

    /// An end; its texts are cut and made printable once more, since a worker may lie.
    pub(super) fn end(&mut self) -> Result<End, Malformed> {
        Ok(match self.u8()? {
            EXITED => End::Exited(
                i32::try_from(self.u64()?.cast_signed()).map_err(|_| Malformed("an exit code"))?,
            ),
            FAILED => End::Failed(told(&self.rest()?)),
            REFUSED => End::Refused(told(&self.rest()?)),
            TRAPPED => End::Trapped {
                kind: known(self.text()?, KINDS, "other"),
                message: told(&self.rest()?),
            },
            DEADLINE => End::Deadline {
                call: known(self.text()?, CALLS, "a call"),
                after_ms: self.u64()?,
            },
            UNHEALTHY => End::Unhealthy(told(&self.rest()?)),
            KILLED => End::Killed,
            HOST_PANIC => End::HostPanic(told(&self.rest()?)),
            _ => return Err(Malformed("no such end")),
        })
    }

    /// The value, if nothing is left.
    pub(super) fn finished<T>(self, value: T) -> Result<T, Malformed> {
        if self.0.is_empty() {
            Ok(value)
        } else {
            Err(Malformed("a frame that is too long"))
        }
    }
}

/// The word of the list that equals `word`.
fn known(word: &str, list: &[&'static str], otherwise: &'static str) -> &'static str {
    let found = list.iter().find(|known| **known == word);
    found.copied().unwrap_or(otherwise)
}
