//! The caps of everything the supervisor keeps, each with its reason.
//!
//! Together with the size of the Cards themselves (a file has at most 4 MiB) they bound its memory.

/// Entes alive in one supervisor. A seed may have as many Cards (see `docs/card.md`); more is a
/// runaway spawner, which gets an error instead of PID 1's memory.
pub const MAX_ENTES: usize = 65_536;

/// Nesting of the tree of Entes, counting Cards adopted below others at run time. As deep as one
/// Card file may nest: it keeps walks to the root short.
pub const MAX_DEPTH: usize = 32;

/// Distinct capabilities that Entes and the machine name. Four for each possible Ente; real
/// systems share most of theirs.
pub const MAX_CAPABILITIES: usize = 262_144;

/// Capabilities that one incarnation may have added or hidden at run time. A service manages a
/// few; hundreds mean that it should be several Entes.
pub const MAX_DYNAMIC: usize = 256;

/// State changes remembered per Ente: two full lives with a backoff between them.
pub const MAX_HISTORY: usize = 16;

/// Bytes kept of each text in an exit status: enough for a message with a few frames, small enough
/// for `MAX_HISTORY` of them in every Ente.
pub const MAX_STATUS_TEXT: usize = 512;

/// Removed Entes whose last incarnation number is remembered, so that an Ente adopted later under
/// the same id goes on counting and no late report can be taken for one about it. Whatever is
/// older folds into one common lowest number.
pub const MAX_RETIRED: usize = 4096;

/// Milliseconds for which those who need an Ente go on without it after its host was replaced
/// ([`crate::Report::Interrupted`]). A component's `start` may take `limits.call_ms`, 5 s unless its
/// Card says otherwise; twice that covers one that waits for another. Longer would leave them with a
/// provider that does not come back.
pub const RETURN_MS: u64 = 10_000;

/// Bytes of an encoded snapshot. Ten thousand Entes with full histories take some 30 MB; the largest
/// system that the other caps allow would take more than PID 1 should ever allocate at once.
pub const MAX_SNAPSHOT: usize = 128 << 20;

/// Before a shutdown's deadline, everything that still lives is killed this many milliseconds
/// early (a quarter of the total when that is less), so that the kills can be reported.
pub const SHUTDOWN_KILL_MS: u64 = 1000;
