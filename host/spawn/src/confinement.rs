//! What a plan takes away from a program, or puts around it: the encoder's side.

use alloc::ffi::CString;
use alloc::vec::Vec;
use core::ffi::CStr;

use crate::encode::{EncodeError, Writer};
use crate::format::{
    INSTRUCTION_BYTES, MAX_CPU_BYTES, MAX_GROUPS, MAX_HOST_NAME_BYTES, MAX_INSTRUCTIONS,
    MAX_MOUNTS, MAX_PATHS,
};
use crate::kind::StepKind;
use crate::mounts::{Mount, MountAction};
use crate::namespaces::Namespaces;
use crate::rules::PathRule;

/// What surrounds a program and what is taken away from it. Each part is a step of the plan, and the default has none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Confinement {
    /// Namespaces made by the executor.
    pub namespaces: Namespaces,
    /// Host name in its own UTS namespace.
    pub host_name: Option<CString>,
    /// Whether the loopback interface of its own network namespace is up.
    pub loopback: bool,
    /// Mounts in its own mount namespace, in order.
    pub mounts: Vec<Mount<CString>>,
    /// User and group ids that stand for themselves in a user namespace of its own.
    pub user_namespace: Option<IdMaps>,
    /// Whether the executor is the first process of a PID namespace, and stays as its init.
    pub init: bool,
    /// CPUs it may run on, as a mask of whole 64-bit words.
    pub affinity: Option<Vec<u8>>,
    /// Whether nothing that it executes gives it more privileges.
    pub no_new_privileges: bool,
    /// Landlock rule set.
    pub landlock: Option<Landlock>,
    /// The capabilities it can ever have, by their bits; `None` leaves them as they are.
    pub capabilities: Option<u64>,
    /// User and groups.
    pub credentials: Option<Credentials>,
    /// Seccomp filters, each as `struct sock_filter` after `struct sock_filter`.
    pub seccomp: Vec<Vec<u8>>,
}

/// The ids that are mapped to themselves in a user namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdMaps {
    /// User ids.
    pub users: Vec<u32>,
    /// Group ids.
    pub groups: Vec<u32>,
}

/// A landlock rule set: everything handled is refused unless a path allows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Landlock {
    /// `LANDLOCK_ACCESS_FS_*`
    pub handled: u64,
    /// `LANDLOCK_ACCESS_NET_*`
    pub network: u64,
    /// `LANDLOCK_SCOPE_*`
    pub scoped: u64,
    /// What is allowed.
    pub paths: Vec<PathRule<CString>>,
}

/// Whose process it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// User id.
    pub user: u32,
    /// Group id.
    pub group: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
}

impl Confinement {
    /// The steps before the program's own process is made: what its surroundings are.
    pub(crate) fn write_surroundings(&self, writer: &mut Writer) {
        if self.namespaces.any() {
            writer.record(StepKind::Namespaces, &[self.namespaces.bits()]);
        }
        if let Some(name) = &self.host_name {
            writer.record(StepKind::HostName, name.to_bytes_with_nul());
        }
        if self.loopback {
            writer.record(StepKind::Loopback, &[]);
        }
        if !self.mounts.is_empty() {
            let mut body = Vec::new();
            for mount in &self.mounts {
                write_mount(mount, &mut body);
            }
            writer.record(StepKind::Mounts, &body);
        }
        if let Some(maps) = &self.user_namespace {
            let mut body = Vec::new();
            write_ids(&maps.users, &mut body);
            write_ids(&maps.groups, &mut body);
            writer.record(StepKind::UserNamespace, &body);
        }
        if self.init {
            writer.record(StepKind::Init, &[]);
        }
    }

    pub(crate) fn write_affinity(&self, writer: &mut Writer) {
        if let Some(mask) = &self.affinity {
            writer.record(StepKind::Affinity, mask);
        }
    }

    /// The last steps before the exec, each of which takes something away.
    pub(crate) fn write_privileges(&self, writer: &mut Writer) {
        if self.no_new_privileges {
            writer.record(StepKind::NoNewPrivileges, &[]);
        }
        if let Some(landlock) = &self.landlock {
            writer.record(StepKind::Landlock, &landlock.body());
        }
        if let Some(kept) = self.capabilities {
            writer.record(StepKind::Capabilities, &kept.to_le_bytes());
        }
        if let Some(credentials) = &self.credentials {
            let mut body = Vec::from(credentials.user.to_le_bytes());
            body.extend_from_slice(&credentials.group.to_le_bytes());
            write_ids(&credentials.groups, &mut body);
            writer.record(StepKind::Credentials, &body);
        }
        for filter in &self.seccomp {
            writer.record(StepKind::Seccomp, filter);
        }
    }

    /// Whether the format can hold it.
    pub(crate) fn check(&self) -> Result<(), EncodeError> {
        let within = |step, bound, ok: bool| {
            ok.then_some(())
                .ok_or(EncodeError::Confinement(step, bound))
        };
        let names = 1..=MAX_HOST_NAME_BYTES;
        let name_fits = |name: &CString| names.contains(&name.count_bytes());
        let ids = 1..=MAX_GROUPS;
        let maps_fit =
            |maps: &IdMaps| ids.contains(&maps.users.len()) && ids.contains(&maps.groups.len());
        let mask_fits = |mask: &Vec<u8>| {
            (1..=MAX_CPU_BYTES).contains(&mask.len()) && mask.len().is_multiple_of(8)
        };
        let paths_fit = |landlock: &Landlock| {
            let absolute = |rule: &PathRule<CString>| rule.path.to_bytes().starts_with(b"/");
            landlock.paths.len() <= MAX_PATHS && landlock.paths.iter().all(absolute)
        };
        let filter_fits = |filter: &Vec<u8>| {
            (1..=MAX_INSTRUCTIONS * INSTRUCTION_BYTES).contains(&filter.len())
                && filter.len().is_multiple_of(INSTRUCTION_BYTES)
        };
        let mounts_fit = self.mounts.len() <= MAX_MOUNTS && self.mounts.iter().all(is_well_formed);
        let groups_fit = |credentials: &Credentials| credentials.groups.len() <= MAX_GROUPS;
        within(
            StepKind::HostName,
            MAX_HOST_NAME_BYTES,
            self.host_name.as_ref().is_none_or(name_fits),
        )?;
        within(StepKind::Mounts, MAX_MOUNTS, mounts_fit)?;
        within(
            StepKind::UserNamespace,
            MAX_GROUPS,
            self.user_namespace.as_ref().is_none_or(maps_fit),
        )?;
        within(
            StepKind::Affinity,
            MAX_CPU_BYTES,
            self.affinity.as_ref().is_none_or(mask_fits),
        )?;
        within(
            StepKind::Landlock,
            MAX_PATHS,
            self.landlock.as_ref().is_none_or(paths_fit),
        )?;
        within(
            StepKind::Credentials,
            MAX_GROUPS,
            self.credentials.as_ref().is_none_or(groups_fit),
        )?;
        within(
            StepKind::Seccomp,
            MAX_INSTRUCTIONS,
            self.seccomp.iter().all(filter_fits),
        )
    }
}

impl Landlock {
    fn body(&self) -> Vec<u8> {
        let mut body = Vec::new();
        for number in [self.handled, self.network, self.scoped] {
            body.extend_from_slice(&number.to_le_bytes());
        }
        for rule in &self.paths {
            body.extend_from_slice(&rule.access.to_le_bytes());
            body.push(u8::from(rule.optional) | u8::from(rule.program) << 1);
            body.extend_from_slice(rule.path.to_bytes_with_nul());
        }
        body
    }
}

fn is_well_formed(mount: &Mount<CString>) -> bool {
    let absolute = |path: &CStr| path.to_bytes().starts_with(b"/");
    let action_fits = match &mount.action {
        MountAction::Bind { source, .. } | MountAction::Secret { source, .. } => absolute(source),
        MountAction::Tmpfs { mode, .. } => *mode <= 0o1777,
        _ => true,
    };
    let below = usize::from(mount.create_below);
    absolute(&mount.target) && action_fits && below < mount.target.count_bytes()
}

fn write_mount(mount: &Mount<CString>, body: &mut Vec<u8>) {
    let (tag, flag, size, mode, text) = mount.action.parts();
    body.extend_from_slice(&[tag, flag]);
    body.extend_from_slice(&mode.to_le_bytes());
    body.extend_from_slice(&mount.create_below.to_le_bytes());
    body.extend_from_slice(&size.to_le_bytes());
    body.extend_from_slice(text.to_bytes_with_nul());
    body.extend_from_slice(mount.target.to_bytes_with_nul());
}

/// The caller has checked that there are not too many for a u16.
fn write_ids(ids: &[u32], body: &mut Vec<u8>) {
    body.extend_from_slice(&(ids.len() as u16).to_le_bytes());
    for id in ids {
        body.extend_from_slice(&id.to_le_bytes());
    }
}
