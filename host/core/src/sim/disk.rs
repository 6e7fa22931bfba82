//! What of a simulated host survives a crash: what was committed.

use crate::domain::{Component, InstanceId, Version};
use crate::rollout::{Member, Upgrade};

use super::host::Effect;
use super::versions::Versions;

/// What survives a crash.
#[derive(Debug, Default)]
pub(super) struct Disk {
    pub(super) generation: u64,
    pub(super) upgrade: Option<Upgrade>,
    pub(super) versions: Vec<Versions>,
}

/// One write.
#[derive(Debug)]
pub(super) enum Record {
    Install(Box<Upgrade>),
    Head(Box<Upgrade>),
    Member(InstanceId, Option<Member>),
    Version(usize, Component, Option<Version>),
}

impl Disk {
    /// Makes writes durable, in order.
    pub(super) fn commit(&mut self, writes: Vec<Record>) {
        for write in writes {
            match write {
                Record::Install(upgrade) => self.upgrade = Some(*upgrade),
                Record::Head(mut head) => {
                    if let Some(old) = self.upgrade.take() {
                        head.members = old.members;
                    }
                    self.upgrade = Some(*head);
                }
                Record::Member(id, member) => {
                    if let Some(upgrade) = &mut self.upgrade {
                        match member {
                            Some(member) => upgrade.members.insert(id, member),
                            None => drop(upgrade.members.remove(&id)),
                        }
                    }
                }
                Record::Version(index, component, version) => {
                    if let Some(versions) = self.versions.get_mut(index) {
                        versions.set(&component, version);
                    }
                }
            }
        }
    }

    /// No effect without its record.
    pub(super) fn holds(&self, effect: &Effect) -> bool {
        let Some(upgrade) = self.upgrade.as_ref() else { return false };
        let member = upgrade.members.get(&effect.instance);
        member.is_some_and(|member| {
            let operation = upgrade.operation(&effect.instance, member.attempt);
            operation == effect.operation
                && member.wanted() == Some((&effect.change.component, &effect.change.to))
                && member.state.is_with_driver()
        })
    }

    /// Where the record and the state part: a few lines of each.
    pub(super) fn differences(&self, state: Option<&Upgrade>) -> String {
        let (record, state) = (format!("{:#?}", self.upgrade.as_ref()), format!("{state:#?}"));
        let part = record.lines().zip(state.lines()).filter(|(a, b)| a != b).take(3);
        part.map(|(a, b)| format!("{} / {}", a.trim(), b.trim())).collect::<Vec<_>>().join("; ")
    }
}
