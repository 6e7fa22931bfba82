//! From an effect that the core wants to a driver that does it.

use super::run::{Control, Effect, Life};
use super::{ControlEvent, EffectDone};
use crate::drivers::{DriverError, Ensure};

impl Control {
    /// Hands one effect to its driver. The instance begins a new life at once, so that answers of
    /// the process that is about to stop are not taken for answers of the new one.
    pub(super) fn perform(&mut self, effect: Effect) {
        let now = self.clock.now();
        let Effect { scale_set, instance: id, version, operation, life } = effect;
        let Some(set) = self.sets.get_mut(&scale_set) else { return };
        let Some(instance) = set.instances.get_mut(&id) else { return };
        instance.busy = Some(operation.clone());
        instance.retry_at = None;
        if life == Life::New {
            instance.begin_life(&set.spec, now);
        }
        let wanted = version.clone();
        let request = Ensure {
            scale_set: scale_set.clone(),
            instance: instance.spec.clone(),
            version,
            operation: operation.clone(),
            generation: self.generation,
        };
        let driver = set.driver.clone();
        let handle = self.handle.clone();
        self.announce(&scale_set, &id);
        self.runtime.spawn(async move {
            let answer = driver.ensure(request).await.map_err(|DriverError(text)| text);
            let observed = driver.observe(&scale_set, &id).await;
            // Else the old version, which is healthy, would pass the health gate for the new one.
            let result = answer.and_then(|()| match &observed {
                Some(seen) if *seen != wanted => {
                    Err(format!("the driver says done, but the instance runs {seen} and not {wanted}"))
                }
                Some(_) | None => Ok(()),
            });
            let done = EffectDone { scale_set, instance: id, operation, result, observed };
            handle.send(ControlEvent::EffectDone(done)).await;
        });
    }
}
