//! Decoding of how an Ente lives and of what the host holds for it.

use super::decode::{Decode, Decoder, Fields, word};
use super::node::Node;
use super::parts::{structs, words};
use crate::path::Path;
use crate::report::Finding;
use crate::rule::Rule;
use crate::{
    Credential, Dbus, DbusBus, Lifecycle, Limits, Listen, ListenOn, Priority, Readiness, RestartOn,
};

words! {
    Lifecycle { "daemon" Daemon "oneshot" Oneshot "widget" Widget }
    Priority { "low" Low "normal" Normal "high" High "critical" Critical }
    Readiness { "started" Started "notify" Notify "announce" Announce "exit" Exit }
    RestartOn { "always" Always "failure" Failure }
    DbusBus { "system" System }
}

structs! {
    Dbus { or_default own, or_default bus }
    Limits {
        or memory_bytes = Self::default().memory_bytes, or tables = Self::default().tables,
        or call_ms = Self::default().call_ms, or mailbox = Self::default().mailbox,
    }
    Credential { required_or_default name, required_or_default source }
}

impl Decode for Listen {
    fn decode(node: &Node, at: &Path<'_>, cx: &mut Decoder) -> Option<Self> {
        let mut o = Fields::open(node, at, cx)?;
        let name = o.required("name", cx);
        let places = [
            o.find("unix")
                .map(|node| unix(node, "unix", at, cx, ListenOn::Unix)),
            o.find("unix_datagram")
                .map(|node| unix(node, "unix_datagram", at, cx, ListenOn::UnixDatagram)),
            o.find("tcp")
                .map(|node| Decode::decode(node, &at.key("tcp"), cx).map(ListenOn::Tcp)),
            o.find("udp")
                .map(|node| Decode::decode(node, &at.key("udp"), cx).map(ListenOn::Udp)),
        ];
        o.finish(cx);
        let mut places = places.into_iter().flatten();
        let (first, more) = (places.next(), places.count());
        if first.is_none() || more > 0 {
            let count = if first.is_none() { 0 } else { more + 1 };
            let finding = Finding::new(
                if count == 0 {
                    Rule::MissingKey
                } else {
                    Rule::WrongType
                },
                format!("{count} of them"),
                "exactly one of the keys unix, unix_datagram, tcp, udp",
                "say in one way where the socket listens; a second place is a second entry",
            );
            cx.add_about(at, &["unix", "unix_datagram", "tcp", "udp"], finding);
        }
        Some(Self {
            name: name.unwrap_or_default(),
            on: first.flatten().unwrap_or_else(nowhere),
        })
    }

    fn stand_in() -> Option<Self> {
        Some(Self {
            name: String::new(),
            on: nowhere(),
        })
    }
}

/// Stands in for a place that is not readable. The rules find nothing wrong with it.
fn nowhere() -> ListenOn {
    ListenOn::UnixDatagram("/".to_owned())
}

fn unix(
    node: &Node,
    key: &'static str,
    at: &Path<'_>,
    cx: &mut Decoder,
    make: fn(String) -> ListenOn,
) -> Option<ListenOn> {
    String::decode(node, &at.key(key), cx).map(make)
}
