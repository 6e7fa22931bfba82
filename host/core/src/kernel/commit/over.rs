//! What is to be recorded where refused intents may stand in the record: each row as it is without them.

use super::super::look;
use super::super::{discovered, members, provision};
use super::Kernel;
use crate::domain::{Component, ExtensionType, Runs, ScaleSetName, Subscription, UpgradeId};
use crate::record::{StoredModel, Write};
use crate::release::Published;
use crate::rollout::Upgrade;

impl Kernel {
    /// What the record is to say where refused intents may stand in it.
    pub(super) fn written_over(&self, intents: &[Write]) -> Vec<Write> {
        let mut writes: Vec<Write> = intents.iter().flat_map(|write| self.all_as_it_is(write)).collect();
        if intents.iter().any(|write| matches!(write, Write::Audit(_))) {
            writes.push(Write::TrailEnds(self.numbers.audit));
        }
        writes
    }

    /// The same rows as they are without the intent.
    fn all_as_it_is(&self, write: &Write) -> Vec<Write> {
        match write {
            Write::Forgotten(name, id) => {
                self.fleet.set(name).map(|set| members::rows(set, id)).unwrap_or_default()
            }
            row => self.as_it_is(row).into_iter().collect(),
        }
    }

    /// The same row as it is without the intent.
    fn as_it_is(&self, write: &Write) -> Option<Write> {
        Some(match write {
            Write::Upgrade(head) => match self.upgrade(&head.scale_set, &head.id) {
                Some(upgrade) => Write::Upgrade(Box::new(upgrade.head())),
                None => Write::UpgradeGone(head.id.clone()),
            },
            // Of an upgrade that never began everything goes with its head.
            Write::Member(id, instance, _) | Write::MemberLeft(id, instance) => {
                look::member_write(self.latest_with(id)?, instance)
            }
            Write::Batch(id, number, _) => look::batch_write(self.latest_with(id)?, *number),
            Write::Order(id, _) => Write::Order(id.clone(), self.latest_with(id)?.order()),
            Write::LeftOut(id, _) => Write::LeftOut(id.clone(), Box::new(self.latest_with(id)?.left_out())),
            Write::Runs(name, id, component, _) => {
                let set = self.fleet.set(name).ok()?;
                let kept = || Some(set.away(id)?.removed()?.kept.runs_of(component).clone());
                let there = set.instance(id).map(|instance| instance.runs_of(component).clone());
                let runs = there.or_else(kept).unwrap_or(Runs::UNKNOWN);
                Write::Runs(name.clone(), id.clone(), component.clone(), runs)
            }
            Write::Membership(name, id, _) => {
                let membership = members::membership(self.fleet.set(name).ok()?, id).map(Box::new);
                Write::Membership(name.clone(), id.clone(), membership)
            }
            Write::Discovered(name, id, _) => {
                let row = discovered::row(self.fleet.set(name).ok()?, id);
                Write::Discovered(name.clone(), id.clone(), row)
            }
            Write::Model(name, component, _) => {
                Write::Model(name.clone(), component.clone(), self.model(name, component)?)
            }
            Write::Plugin(name, _) => {
                // What it has become unrecorded goes with its next step.
                Write::Plugin(name.clone(), Box::new(self.fleet.plugins.get(name)?.recorded()?.clone()))
            }
            Write::Quarantine(name, change, _) => {
                let reason = self.fleet.set(name).ok()?.quarantined.get(change).cloned();
                Write::Quarantine(name.clone(), change.clone(), reason)
            }
            Write::Word(name, id, _) => {
                let word = self.fleet.set(name).ok()?.words.get(id).cloned();
                Write::Word(name.clone(), id.clone(), word)
            }
            Write::Provision(name, id, _) => {
                let gone = || Write::Provision(name.clone(), id.clone(), None);
                provision::row(self.fleet.set(name).ok()?, id).unwrap_or_else(gone)
            }
            Write::Retry(name, _) => Write::Retry(name.clone(), self.fleet.set(name).ok()?.retry.clone()),
            Write::Line(_) => Write::Line(self.fleet.line.clone()),
            Write::Hold(_) => Write::Hold(self.fleet.held.as_deref().cloned()),
            Write::Fence(_) => Write::Fence(self.numbers.fence),
            Write::Request(key, _) => Write::Request(key.clone(), self.requests.get(key).cloned()),
            Write::Published(subject, _) => self.published(subject),
            Write::Release(number, _) => self.release(*number),
            // Of a release that never began everything goes with its head.
            Write::ReleaseSet(number, set, _) => self.release_set(*number, set)?,
            Write::OptOut(set, subject, _) => self.opt_out(set, subject),
            Write::Feature(subscription, _) => self.feature(subscription),
            // Memories wait where each instance has one; the trail is cut as a whole.
            Write::Forgotten(..)
            | Write::Memory(..)
            | Write::UpgradeGone(_)
            | Write::Audit(_)
            | Write::TrailEnds(_) => return None,
        })
    }

    fn published(&self, subject: &ExtensionType) -> Write {
        let published = self.fleet.releases.catalogue.get(subject);
        Write::Published(subject.clone(), published.map(|it| Box::new(Published::clone(it))))
    }

    fn release(&self, number: u64) -> Write {
        let release = self.fleet.releases.all.get(&number);
        Write::Release(number, release.map(|release| Box::new(release.head())))
    }

    fn release_set(&self, number: u64, set: &ScaleSetName) -> Option<Write> {
        let part = self.fleet.releases.all.get(&number)?.parts.get(set);
        Some(Write::ReleaseSet(number, set.clone(), part.map(|part| Box::new(part.clone()))))
    }

    fn opt_out(&self, set: &ScaleSetName, subject: &ExtensionType) -> Write {
        let said = self.fleet.releases.opted_out.get(&(set.clone(), subject.clone())).cloned();
        Write::OptOut(set.clone(), subject.clone(), said)
    }

    fn feature(&self, subscription: &Subscription) -> Write {
        let said = self.fleet.releases.registered.get(subscription).cloned();
        Write::Feature(subscription.clone(), said)
    }

    fn upgrade(&self, name: &ScaleSetName, id: &UpgradeId) -> Option<&Upgrade> {
        let set = self.fleet.set(name).ok()?;
        set.upgrade.as_deref().filter(|upgrade| upgrade.id == *id)
    }

    fn latest_with(&self, id: &UpgradeId) -> Option<&Upgrade> {
        self.fleet.sets().find_map(|set| set.upgrade.as_deref().filter(|upgrade| upgrade.id == *id))
    }

    fn model(&self, name: &ScaleSetName, component: &Component) -> Option<StoredModel> {
        self.fleet.set(name).ok()?.stored_model(component)
    }
}
