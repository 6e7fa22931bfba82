//! From an effect that the core wants to a driver that does it.

use super::run::{Control, Life, RunEffect};
use super::{ControlEvent, EffectDone, Observed};
use crate::drivers::{Custody, DriverError, Ensure};
use phasegate_core::domain::{Component, InstanceId, ScaleSetName};
use phasegate_core::record::Write;

impl Control {
    /// Hands one effect to its driver. The instance begins a new life at once, so that answers of
    /// the process that is about to stop are not taken for answers of the new one.
    pub(super) fn perform(&mut self, effect: RunEffect) {
        let now = self.clock.now();
        let RunEffect { scale_set, instance: id, component, version, operation, life } = effect;
        let Some(set) = self.sets.get_mut(&scale_set) else { return };
        let Some(instance) = set.instances.get_mut(&id) else { return };
        instance.busy.insert(component.clone(), operation.clone());
        if component == Component::Application {
            instance.asked = Some(version.clone());
        }
        instance.retry_at = None;
        if life == Life::New {
            instance.begin_life(&set.spec, now);
        }
        let wanted = version.clone();
        let request = Ensure {
            scale_set: scale_set.clone(),
            instance: instance.spec.clone(),
            component: component.clone(),
            version,
            previous: instance.version_of(&component).cloned(),
            operation: operation.clone(),
            fence: self.fence,
        };
        let (spec, recorded) = (instance.spec.clone(), instance.version_of(&component).cloned());
        let driver = set.driver.clone();
        let handle = self.handle.clone();
        self.announce(&scale_set, &id);
        self.runtime.spawn(async move {
            let answer = driver.ensure(request).await.map_err(|DriverError(text)| text);
            let seen = match &component {
                Component::Application => driver.observe(&scale_set, &spec).await,
                // What an extension is at is what was last done to it.
                Component::Extension(_) => answer.is_ok().then(|| wanted.clone()).or(recorded.clone()),
            };
            // Else the old version, which is healthy, would pass the health gate for the new one.
            let result = answer.and_then(|()| match &seen {
                Some(seen) if *seen != wanted => {
                    Err(format!("the driver says done, but the instance runs {seen} and not {wanted}"))
                }
                Some(_) | None => Ok(()),
            });
            // A site whose driver cannot tell runs what it ran, as far as anybody knows.
            let observed = match driver.custody() {
                Custody::Host => seen,
                Custody::Site => seen.or(recorded),
            };
            let done = EffectDone { scale_set, instance: id, component, operation, result, observed };
            handle.send(ControlEvent::EffectDone(done)).await;
        });
    }

    /// Asks the driver what an instance runs that the site keeps running; begins no new life.
    pub(super) fn observe(&self, scale_set: &ScaleSetName, id: &InstanceId) {
        let Some(set) = self.sets.get(scale_set) else { return };
        let Some(instance) = set.instances.get(id) else { return };
        let (spec, epoch) = (instance.spec.clone(), instance.epoch);
        let (driver, handle) = (set.driver.clone(), self.handle.clone());
        self.announce(scale_set, id);
        let scale_set = scale_set.clone();
        self.runtime.spawn(async move {
            let version = driver.observe(&scale_set, &spec).await;
            let observed = Observed { scale_set, instance: spec.id, epoch, version };
            handle.send(ControlEvent::Observed(observed)).await;
        });
    }

    /// Records what an instance was seen to run. When nobody can tell, what was recorded before
    /// stands, and a new instance is taken to run the model's version.
    pub(super) fn observed(&mut self, observed: Observed) {
        let Observed { scale_set, instance: id, epoch, version } = observed;
        let Some(set) = self.sets.get_mut(&scale_set) else { return };
        let Some(instance) = set.instances.get_mut(&id) else { return };
        // An effect has begun since, and says itself what runs.
        if instance.epoch != epoch {
            return;
        }
        let model = || set.model.of(&Component::Application).cloned();
        let version = version.or_else(|| instance.version.clone()).or_else(model);
        if instance.version == version {
            return;
        }
        instance.version.clone_from(&version);
        set.dirty = true;
        self.writes.push(Write::Version(scale_set.clone(), id.clone(), Component::Application, version));
        self.announce(&scale_set, &id);
    }
}
