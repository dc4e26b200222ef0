//! What PID 1 sends to the fork server for each start: a few numbers, and descriptors (`SCM_RIGHTS`, unix(7)) in this
//! order: the three streams, the plan, the status pipe, the cgroup if there is one, those to pass.

use crate::format::{FIRST_PASSED_FD, MAX_PASSED};

/// The fork server's end of the socket: its standard input.
pub const SERVER_FD: i32 = 0;

/// Most descriptors of one start.
pub const MAX_SENT: usize = FIRST_PASSED_FD as usize + 1 + MAX_PASSED as usize;

/// Length of an encoded [`Order`] in bytes.
pub const ORDER_BYTES: usize = 3 * 8;

/// Length of the answer in bytes: a process id, or a negative error number, in little-endian order.
pub const ANSWER_BYTES: usize = 4;

const HAS_CGROUP: u64 = 1;
const PID_NAMESPACE: u64 = 2;

/// One start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    /// Whether a cgroup to be born into is among the descriptors.
    pub has_cgroup: bool,
    /// Whether the child is the first process of a PID namespace of its own.
    pub pid_namespace: bool,
    /// `RLIMIT_NOFILE` as the child is to have it: the soft limit.
    pub files_soft: u64,
    /// The hard limit.
    pub files_hard: u64,
}

impl Order {
    /// Where the status pipe is among the descriptors.
    pub const STATUS: usize = 4;
    /// Where the cgroup is, if there is one.
    pub const CGROUP: usize = 5;

    /// The bytes of the message.
    #[must_use]
    pub fn encode(self) -> [u8; ORDER_BYTES] {
        let flags =
            u64::from(self.has_cgroup) * HAS_CGROUP + u64::from(self.pid_namespace) * PID_NAMESPACE;
        let mut bytes = [0; ORDER_BYTES];
        let words = [flags, self.files_soft, self.files_hard];
        for (place, word) in bytes.chunks_exact_mut(8).zip(words) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    /// The order of a message of so many bytes and descriptors; `None` if it is none.
    #[must_use]
    pub fn decode(bytes: &[u8; ORDER_BYTES], length: usize, descriptors: usize) -> Option<Order> {
        let mut words = bytes
            .as_chunks::<8>()
            .0
            .iter()
            .map(|word| u64::from_le_bytes(*word));
        let (flags, files_soft, files_hard) = (words.next()?, words.next()?, words.next()?);
        let order = Order {
            has_cgroup: flags & HAS_CGROUP != 0,
            pid_namespace: flags & PID_NAMESPACE != 0,
            files_soft,
            files_hard,
        };
        let needed = FIRST_PASSED_FD as usize + usize::from(order.has_cgroup);
        (length == ORDER_BYTES && flags <= HAS_CGROUP + PID_NAMESPACE && descriptors >= needed)
            .then_some(order)
    }

    /// The descriptors that get numbers of their own, in the order of these numbers: all but the cgroup.
    pub fn moved(self, sent: &[i32]) -> impl Iterator<Item = i32> {
        let skipped = self.has_cgroup.then_some(Order::CGROUP);
        sent.iter()
            .enumerate()
            .filter(move |(index, _)| Some(*index) != skipped)
            .map(|(_, fd)| *fd)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORDER: Order = Order {
        has_cgroup: true,
        pid_namespace: false,
        files_soft: 1024,
        files_hard: 1 << 40,
    };

    #[test]
    fn decode_reads_what_encode_wrote() {
        for (has_cgroup, pid_namespace) in [(false, false), (true, false), (false, true)] {
            let order = Order {
                has_cgroup,
                pid_namespace,
                ..ORDER
            };
            assert_eq!(Order::decode(&order.encode(), ORDER_BYTES, 8), Some(order));
        }
    }

    #[test]
    fn what_is_not_whole_is_no_order() {
        let bytes = ORDER.encode();
        assert_eq!(Order::decode(&bytes, 0, 6), None);
        assert_eq!(Order::decode(&bytes, ORDER_BYTES, 5), None, "no cgroup");
        assert_eq!(Order::decode(&[0xff; ORDER_BYTES], ORDER_BYTES, 6), None);
        assert!(Order::decode(&bytes, ORDER_BYTES, 6).is_some());
    }

    #[test]
    fn the_cgroup_is_not_moved() {
        let sent = [5, 6, 7, 8, 9, 10, 11, 12];
        assert!(ORDER.moved(&sent).eq([5, 6, 7, 8, 9, 11, 12]));
        let without = Order {
            has_cgroup: false,
            ..ORDER
        };
        assert!(without.moved(&sent).eq(sent));
    }
}
