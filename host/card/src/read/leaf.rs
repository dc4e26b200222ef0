//! Decoding of plain values: numbers, texts, identities, and the texts with a form of their own.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::net::SocketAddr;
use std::str::FromStr;

use super::decode::{Decode, Decoder};
use super::node::Node;
use crate::path::Path;
use crate::{Capability, CapabilitySet, Entry, Env, Id, InterfaceId, InterfaceName, Pin};

impl Decode for bool {
    fn decode(node: &Node, at: &Path<'_>, cx: &mut Decoder) -> Option<Self> {
        let Node::Bool(value) = node else {
            cx.wrong_type(node, at, "true or false");
            return None;
        };
        Some(*value)
    }
}

impl Decode for String {
    fn decode(node: &Node, at: &Path<'_>, cx: &mut Decoder) -> Option<Self> {
        text(node, at, cx).map(str::to_owned)
    }

    fn stand_in() -> Option<Self> {
        Some(Self::new())
    }
}

impl Decode for f64 {
    fn decode(node: &Node, at: &Path<'_>, cx: &mut Decoder) -> Option<Self> {
        let number = match node {
            Node::Number(number) => number.as_f64(),
            _ => None,
        };
        if number.is_none() {
            cx.wrong_type(node, at, "a number");
        }
        number
    }
}

macro_rules! integers {
    ($($type:ty)*) => {$(
        impl Decode for $type {
            fn decode(node: &Node, at: &Path<'_>, cx: &mut Decoder) -> Option<Self> {
                // Every integer a node can hold fits into i128.
                let wide = match node {
                    Node::Number(number) => number.as_i128(),
                    _ => None,
                };
                let value = wide.and_then(|wide| <$type>::try_from(wide).ok());
                if value.is_none() {
                    let (min, max) = (<$type>::MIN, <$type>::MAX);
                    cx.wrong_type(node, at, &format!("a whole number from {min} to {max}"));
                }
                value
            }
        }
    )*};
}

integers!(u8 i8 u16 u32 u64);

fn text<'n>(node: &'n Node, at: &Path<'_>, cx: &mut Decoder) -> Option<&'n str> {
    let Node::Text(text) = node else {
        cx.wrong_type(node, at, "a text");
        return None;
    };
    Some(text)
}

/// A text with a form of its own.
fn parsed<T: FromStr<Err: Display>>(
    node: &Node,
    at: &Path<'_>,
    cx: &mut Decoder,
    expected: &str,
) -> Option<T> {
    let text = text(node, at, cx)?;
    text.parse()
        .inspect_err(|why| cx.malformed(text, at, expected, why))
        .ok()
}

/// A text with a form of its own, or so many bytes as integers.
fn parsed_or_bytes<T: FromStr<Err: Display> + From<[u8; N]>, const N: usize>(
    node: &Node,
    at: &Path<'_>,
    cx: &mut Decoder,
    expected: &str,
) -> Option<T> {
    match node {
        Node::Text(_) => parsed(node, at, cx, expected),
        Node::List(items) if items.len() == N => {
            let bytes = Vec::<u8>::decode(node, at, cx)?;
            <[u8; N]>::try_from(bytes).ok().map(T::from)
        }
        _ => {
            cx.wrong_type(node, at, &format!("{expected}, or a list of {N} integers"));
            None
        }
    }
}

impl Decode for Id {
    fn decode(node: &Node, at: &Path<'_>, cx: &mut Decoder) -> Option<Self> {
        parsed(node, at, cx, "a ULID")
    }
}

impl Decode for Pin {
    fn decode(node: &Node, at: &Path<'_>, cx: &mut Decoder) -> Option<Self> {
        parsed_or_bytes(node, at, cx, "a sha256 in hexadecimal digits")
    }
}

impl Decode for InterfaceId {
    fn decode(node: &Node, at: &Path<'_>, cx: &mut Decoder) -> Option<Self> {
        parsed_or_bytes(node, at, cx, "a UUID")
    }
}

impl Decode for InterfaceName {
    fn decode(node: &Node, at: &Path<'_>, cx: &mut Decoder) -> Option<Self> {
        parsed(node, at, cx, "the name of a WIT interface with its version")
    }
}

impl Decode for Entry {
    fn decode(node: &Node, at: &Path<'_>, cx: &mut Decoder) -> Option<Self> {
        text(node, at, cx).map(Self::from)
    }
}

impl Decode for SocketAddr {
    fn decode(node: &Node, at: &Path<'_>, cx: &mut Decoder) -> Option<Self> {
        let text = text(node, at, cx)?;
        let remedy = &"write the numeric address and the port, as in 127.0.0.1:80 or [::1]:80";
        text.parse()
            .inspect_err(|_| cx.malformed(text, at, "IP:PORT", remedy))
            .ok()
    }
}

impl Decode for CapabilitySet {
    fn decode(node: &Node, at: &Path<'_>, cx: &mut Decoder) -> Option<Self> {
        let Node::List(items) = node else {
            cx.wrong_type(node, at, "a list");
            return None;
        };
        // In a set nothing has a place that could be wrong for want of an element before it.
        let read = |(index, item)| Capability::decode(item, &at.index(index), cx);
        Some(items.iter().enumerate().filter_map(read).collect())
    }
}

impl<T: Decode> Decode for BTreeMap<String, T> {
    fn decode(node: &Node, at: &Path<'_>, cx: &mut Decoder) -> Option<Self> {
        let Node::Object(entries) = node else {
            cx.wrong_type(node, at, "an object");
            return None;
        };
        let read = |(key, node): &(String, Node)| {
            T::decode(node, &at.key(key), cx).map(|value| (key.clone(), value))
        };
        Some(entries.iter().filter_map(read).collect())
    }
}

/// A name and its value, as a list of two texts.
struct Pair(String, String);

impl Decode for Pair {
    fn decode(node: &Node, at: &Path<'_>, cx: &mut Decoder) -> Option<Self> {
        let Node::List(items) = node else {
            cx.wrong_type(node, at, "a pair [name, value]");
            return None;
        };
        let [name, value] = items.as_slice() else {
            cx.wrong_type(node, at, "a pair [name, value]");
            return None;
        };
        let name = String::decode(name, &at.index(0), cx);
        let value = String::decode(value, &at.index(1), cx);
        if name.is_none() {
            cx.taint(at);
        }
        Some(Self(name.unwrap_or_default(), value.unwrap_or_default()))
    }

    fn stand_in() -> Option<Self> {
        Some(Self(String::new(), String::new()))
    }
}

impl Decode for Env {
    fn decode(node: &Node, at: &Path<'_>, cx: &mut Decoder) -> Option<Self> {
        match node {
            Node::List(_) => {
                let pairs = Vec::<Pair>::decode(node, at, cx)?;
                Some(Self(
                    pairs
                        .into_iter()
                        .map(|Pair(name, value)| (name, value))
                        .collect(),
                ))
            }
            Node::Object(entries) => {
                let read = |(key, node): &(String, Node)| {
                    let value = String::decode(node, &at.key(key), cx);
                    (key.clone(), value.unwrap_or_default())
                };
                Some(Self(entries.iter().map(read).collect()))
            }
            _ => {
                cx.wrong_type(
                    node,
                    at,
                    "a list of pairs [name, value], or an object of texts",
                );
                None
            }
        }
    }
}
