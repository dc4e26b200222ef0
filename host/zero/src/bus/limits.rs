//! The caps of the server, each with its reason. Those of the protocol are in `arje_bus::limits`.

use std::time::Duration;

/// Connections in all, if PID 1 may have that many descriptors: at most half of its limit is used (getrlimit(2)).
/// Some hundred services, and their tools.
pub const MAX_CONNECTIONS: usize = 1024;

/// The last so many connections are for user 0 outside of Entes, so that `ente` gets through on a full bus.
pub const KEPT_FOR_ROOT: usize = 16;

/// Connections of one Ente, or of one user outside of Entes.
pub const MAX_PER_OWNER: usize = 128;

/// Bytes of unfinished frames that each connection may hold whatever the others do: every request of a tool.
pub const SMALL_FRAME: usize = 4096;

/// Bytes of unfinished frames beyond that, over all connections of one owner: eight of the largest frames, or a call of
/// 64 KiB on every connection that one owner may have.
pub const MAX_INBOUND: usize = 8 << 20;

/// The same over all owners, so that many of them together cannot take PID 1's memory either.
pub const MAX_INBOUND_ALL: usize = 64 << 20;

/// Bytes waiting to be sent to one peer, beside calls that it is to answer, above which its requests are left unread and
/// events are counted instead of kept. With one answer on top (`arje_bus::limits::MAX_PAGE_BYTES` and a little) it bounds what a slow reader costs.
pub const MAX_OUTBOUND: usize = 32 * 1024;

/// Bytes waiting to be sent beyond [`MAX_OUTBOUND`] of each, over all connections of one owner: sixteen of the largest
/// calls or answers. A provider whose owner has more is not called; a caller whose owner has more does not read the
/// answers that it asked for, and is closed.
pub const MAX_OUTBOUND_OWNER: usize = 16 << 20;

/// The same over all owners.
pub const MAX_OUTBOUND_ALL: usize = 64 << 20;

/// Calls of one connection whose outcome has not come. Enough to keep a provider busy; whoever wants more at once has
/// more connections.
pub const MAX_INVOKES: usize = 64;

/// Bytes read from one connection in one turn.
pub const READ_CHUNK: usize = 16 * 1024;

/// Connections accepted in one turn.
pub const ACCEPT_BATCH: usize = 32;

/// Requests answered in one turn, over all connections.
pub const REQUEST_BATCH: usize = 64;

/// Bytes of Cards after which a turn is over: to read and to check a Card of this length takes less than a millisecond,
/// the longest one 16 times as much, and 64 of those would keep everybody waiting for a second.
pub const CARD_BATCH: usize = 64 * 1024;

/// Parts of logs sent to one connection in one turn.
pub const LOG_PARTS: usize = 4;

/// Subscriptions and followed logs of one connection.
pub const MAX_SUBSCRIPTIONS: usize = 16;

/// How long a peer may take for its hello.
pub const HELLO_TIME: Duration = Duration::from_secs(5);

/// How long a peer may take for the rest of a frame that it began.
pub const FRAME_TIME: Duration = Duration::from_secs(10);

/// How long a peer may take nothing of what waits for it.
pub const READ_TIME: Duration = Duration::from_secs(30);

/// How long no connection is accepted after descriptors ran out; the kernel holds them back meanwhile.
pub const ACCEPT_PAUSE: Duration = Duration::from_secs(1);
