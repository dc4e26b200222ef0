//! The table of processes from one image to the next.

use super::{Exec, Native, Natives, Who};
use crate::handover::{ExecRecord, Keep, Kept, ListenRecord, NativeRecord};
use crate::poller::Poller;
use arje_card::{Card, Id as CardId};
use arje_native::{ExecFailure, StepKind};
use nix::errno::Errno;
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use std::collections::BTreeSet;
use std::os::fd::{AsFd, OwnedFd};

impl Natives {
    /// The listening sockets of all Entes, for the next image.
    pub fn leave_sockets<'fd>(&'fd self, keep: &mut Keep<'fd>) -> Vec<ListenRecord> {
        self.services.leave(keep)
    }

    /// Goes on with the listening sockets that another image left for this Ente.
    ///
    /// # Errors
    ///
    /// They cannot be its.
    pub fn take_over_sockets(
        &mut self,
        card: &Card,
        record: &ListenRecord,
        kept: &mut Kept,
    ) -> Result<(), String> {
        let sockets = record.sockets.iter().map(|number| kept.take(*number));
        let sockets: Result<Vec<OwnedFd>, String> = sockets.collect();
        self.services.take_over(card, sockets?)
    }

    /// All processes but those of these Entes, for the next image; their descriptors are to be kept.
    pub fn leave<'fd>(
        &'fd self,
        but: &BTreeSet<CardId>,
        keep: &mut Keep<'fd>,
    ) -> Vec<NativeRecord> {
        let mut records: Vec<NativeRecord> = Vec::with_capacity(self.by_pid.len());
        for (pid, native) in &self.by_pid {
            if but.contains(&native.who.id) {
                continue;
            }
            records.push(NativeRecord {
                id: native.who.id,
                incarnation: native.who.incarnation,
                pid: *pid,
                pidfd: keep.add(&native.pidfd),
                init: native.init,
                exec: match &native.exec {
                    Exec::Pending(status, _) => ExecRecord::Pending(keep.add(status)),
                    Exec::Done(status) => {
                        ExecRecord::Done(status.as_ref().map(|status| keep.add(status)))
                    }
                    Exec::Failed(failure) => ExecRecord::Failed {
                        step: failure.step as u8,
                        errno: failure.errno as i32,
                        subject: failure.subject.clone(),
                    },
                },
            });
        }
        records
    }

    /// Takes over the processes that the old image left. Each must be the incarnation of an Ente that
    /// is held to be alive.
    ///
    /// # Errors
    ///
    /// A record cannot be true.
    pub fn take_over(
        &mut self,
        records: Vec<NativeRecord>,
        kept: &mut Kept,
        lives: &BTreeSet<Who>,
        poller: &mut Poller,
    ) -> Result<(), String> {
        for record in records {
            let who = Who {
                id: record.id,
                incarnation: record.incarnation,
            };
            let pid = record.pid;
            let wrong = |why: &str| Err(format!("process {pid} of Ente {}: {why}", who.id));
            let pidfd = kept.take(record.pidfd)?;
            if !is_child(&pidfd) {
                return wrong("its pidfd is not that of a child");
            }
            if !lives.contains(&who) {
                return wrong("it is not alive by what the supervisor knows");
            }
            if self.pid_of.insert(who.id, pid).is_some() || self.by_pid.contains_key(&pid) {
                return wrong("it is named twice");
            }
            let exec = match record.exec {
                ExecRecord::Pending(number) => {
                    let status = kept.take(number)?;
                    let watched = poller.watch(&status);
                    let token = watched.map_err(|error| error.to_string())?;
                    self.by_token.insert(token, pid);
                    Exec::Pending(status, token)
                }
                ExecRecord::Done(status) => {
                    let status = status.map(|number| kept.take(number));
                    Exec::Done(status.transpose()?)
                }
                ExecRecord::Failed {
                    step,
                    errno,
                    subject,
                } => match StepKind::from_tag(step) {
                    Some(step) => Exec::Failed(ExecFailure {
                        step,
                        errno: Errno::from_raw(errno),
                        subject,
                    }),
                    None => return wrong("an unknown step failed"),
                },
            };
            let native = Native {
                who,
                pidfd,
                init: record.init,
                exec,
                card: None,
            };
            self.by_pid.insert(pid, native);
        }
        Ok(())
    }

    /// Goes on with the cgroup of a process that was taken over. Without it the process goes on, too, but
    /// is reached by its process group only.
    pub fn take_over_cgroup(&mut self, card: &Card, who: Who) {
        if self.runs(who)
            && let Err(error) = self.leaves.take_over(card)
        {
            tracing::warn!(
                "Ente `{}` is without its cgroup from now on: {error}",
                card.label
            );
        }
    }

    /// Removes the cgroups of nobody.
    pub fn sweep_cgroups(&self) {
        self.leaves.sweep();
    }
}

/// Whether a descriptor is the pidfd of a child that has not been reaped.
fn is_child(pidfd: &OwnedFd) -> bool {
    let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT | WaitPidFlag::WNOHANG;
    waitid(Id::PIDFd(pidfd.as_fd()), flags).is_ok()
}
