//! Who asks, and what that allows. Pure: the facts were found out when the peer connected.

use arje_bus::{BusError, ErrorCode, IPC_NAME, Identity, Rights};
use arje_card::{Capability, Card, Filesystem, Id, Networking, Payload};
use arje_supervisor::{Incarnation, Supervisor};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A peer, as the kernel told of it when it connected.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The process that connected; 0 for a component, which has no connection.
    pub pid: u32,
    /// Its effective user, in PID 1's user namespace.
    pub uid: u32,
    /// Its effective group.
    pub gid: u32,
    /// The Ente that the process belongs to.
    pub ente: Option<Member>,
}

/// Membership in an incarnation of an Ente.
#[derive(Debug, Clone)]
pub struct Member {
    /// The Ente's Card.
    pub card: Arc<Card>,
    /// The incarnation that lived when the peer connected.
    pub incarnation: Incarnation,
}

/// On whose account a connection goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Owner {
    /// An Ente's.
    Ente(Id),
    /// A user's, outside of Entes.
    User(u32),
}

impl Caller {
    /// On whose account its connections go.
    #[must_use]
    pub fn owner(&self) -> Owner {
        self.ente
            .as_ref()
            .map_or(Owner::User(self.uid), |member| Owner::Ente(member.card.id))
    }

    /// Whether it may use the bus at all. Outside of Entes the mode of the socket has decided that.
    ///
    /// # Errors
    ///
    /// It belongs to an Ente whose Card does not allow the bus.
    pub fn admit(&self) -> Result<(), BusError> {
        match &self.ente {
            Some(member) if !member.card.permissions.ipc.allows(IPC_NAME) => Err(BusError::new(
                ErrorCode::Forbidden,
                format!(
                    "Card `{}`: permissions.ipc.allow: does not name {IPC_NAME:?}; add it, if this \
                     Ente is to use the bus",
                    member.card.label
                ),
            )),
            _ => Ok(()),
        }
    }

    /// What it may do beyond reading. `owner_uid` is the user of this very program: 0 on a machine.
    #[must_use]
    pub fn rights(&self, owner_uid: u32) -> Rights {
        let all = self.is_unrestricted(owner_uid);
        let holds = |capability: Capability| {
            all || self
                .ente
                .as_ref()
                .is_some_and(|member| member.card.holds.contains(&capability))
        };
        Rights {
            entes: holds(Capability::Spawn),
            power: holds(Capability::Power),
            switch_root: holds(Capability::SwitchRoot),
        }
    }

    /// Whether it is user 0, or in dev mode the user of this program.
    #[must_use]
    pub fn is_trusted_user(&self, owner_uid: u32) -> bool {
        self.uid == 0 || self.uid == owner_uid
    }

    /// Whether it may everything: such a user, and under no restriction by a Card.
    #[must_use]
    pub fn is_unrestricted(&self, owner_uid: u32) -> bool {
        let member = self.ente.as_ref();
        self.is_trusted_user(owner_uid) && member.is_none_or(|member| is_unconfined(&member.card))
    }

    /// Whether its Ente still lives the life in which it connected. What outlives its Ente has no
    /// authority of that Ente.
    #[must_use]
    pub fn is_current(&self, supervisor: &Supervisor) -> bool {
        self.ente.as_ref().is_none_or(|member| {
            supervisor.status(member.card.id).is_some_and(|status| {
                status.state.is_live() && status.incarnation == member.incarnation
            })
        })
    }

    /// As it is told to itself.
    #[must_use]
    pub fn identity(&self, owner_uid: u32) -> Identity {
        let member = self.ente.as_ref();
        Identity {
            pid: self.pid,
            uid: self.uid,
            gid: self.gid,
            ente: member.map(|member| member.card.id),
            label: member.map(|member| member.card.label.clone()),
            rights: self.rights(owner_uid),
        }
    }
}

/// Whether an Ente's processes are under no restriction at all: user 0 among them owns the machine
/// with the bus and without it.
pub fn is_unconfined(card: &Card) -> bool {
    let soma = &card.soma;
    matches!(card.payload, Payload::Native(_))
        && card.permissions.networking == Networking::Full
        && card.permissions.filesystem == Filesystem::ReadWrite
        && card.permissions.processes
        && !soma.namespaces.any()
        && !soma.mounts.any()
        && soma.run_as.is_none()
}
