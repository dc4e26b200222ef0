//! serde's `Deserialize` for the types of a Card, in terms of the decoding that reports everything.
//! It reads the shape only, and needs a self-describing format (JSON, TOML).

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error};

use super::decode::{Decode, Decoder};
use super::node::{Node, NodeSeed, Notes};
use super::text;
use crate::path::Path;
use crate::{
    Capability, Card, Contract, Entry, Env, Id, InterfaceId, InterfaceName, Limits, Listen,
    Payload, Permissions, Pin, Soma, StartLimit, Supervision,
};

impl<'de> Deserialize<'de> for Card {
    /// Also reads a Card wrapped as `{"seed": …}`. Says nothing of the rules: see [`Card::validate`].
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let notes = Notes::default();
        let node = NodeSeed {
            at: &Path::ROOT,
            notes: &notes,
        }
        .deserialize(deserializer)?;
        let shape = text::shape(&node, notes);
        shape.report.into_result().map_err(D::Error::custom)?;
        Ok(shape.card)
    }
}

fn part<'de, T: Decode, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    let notes = Notes::default();
    let node: Node = NodeSeed {
        at: &Path::ROOT,
        notes: &notes,
    }
    .deserialize(deserializer)?;
    let mut cx = Decoder {
        report: notes.into_parts().0,
        ..Decoder::default()
    };
    let value = T::decode(&node, &Path::ROOT, &mut cx);
    cx.report.into_result().map_err(D::Error::custom)?;
    value.ok_or_else(|| D::Error::custom("not readable"))
}

macro_rules! parts {
    ($($type:ty)*) => {$(
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                part(deserializer)
            }
        }
    )*};
}

parts! {
    Capability Contract Entry Env Id InterfaceId InterfaceName Limits Listen Payload Permissions Pin
    Soma StartLimit Supervision
}
