//! The caps of the protocol, each with its reason.

/// Bytes in the body of one frame, in either direction. Room for a Card or for the payload of a call; whatever is
/// larger belongs in a file. A longer length is refused before anything is allocated.
pub const MAX_FRAME: usize = 1 << 20;

/// Bytes of a label, as in a Card (docs/card.md).
pub const MAX_LABEL: usize = 256;

/// Bytes of a path, as in the kernel (`PATH_MAX`, limits.h).
pub const MAX_PATH: usize = 4096;

/// Bytes of the name of a file, as in the kernel (`NAME_MAX`, limits.h).
pub const MAX_FILE_NAME: usize = 255;

/// The first number of bytes that is too much for the memory of an Ente, as in a Card: 1 TiB.
pub const MAX_MEMORY: u64 = 1 << 40;

/// Records that one request for logs can ask for; more than any Ente's are kept.
pub const MAX_LOG_LINES: u32 = 10_000;

/// Entes on one page of a list. A page stays far below [`MAX_FRAME`], and costs PID 1 little at a time.
pub const MAX_PAGE: usize = 128;

/// Bytes that the server puts on one page, whatever is on it: what a slow reader can hold back per request.
pub const MAX_PAGE_BYTES: usize = 32 * 1024;

/// Capabilities shown for one Ente. Who provides more is still told how many there are.
pub const MAX_PROVIDES: usize = 32;

/// Bytes of each text that the server sends along with something (a capability, a cause, an error message).
pub const MAX_TEXT: usize = 512;

/// Bytes of the list of everything that is wrong with a Card.
pub const MAX_FINDINGS: usize = 16 * 1024;

/// Capabilities that one request names: as many as an Ente may add at run time.
pub const MAX_NAMED: usize = 256;

/// The longest that a caller may wait, in milliseconds: an hour. Whatever takes longer is to be begun by one call and
/// asked after by others, as a call holds a place in its provider's mailbox all the time.
pub const MAX_DEADLINE_MS: u64 = 3_600_000;

/// Calls to processes that wait for an answer, over all providers. Each takes PID 1 some 300 bytes beside its payload,
/// so all of them 5 MB; with the default mailbox (256) sixty-four stuck providers get there.
pub const MAX_CALLS: usize = 16_384;
