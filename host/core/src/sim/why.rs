//! Why a world does not come to its end, for whoever has to find out.

use super::world::World;
use crate::rollout::FleetView as _;

impl World {
    pub(super) fn why_not_over(&self) -> String {
        let Some(kernel) = &self.kernel else { return "no host runs in the end".to_owned() };
        let sets = kernel.fleet().sets().map(|set| {
            let upgrade =
                set.upgrade.as_ref().map(|upgrade| (upgrade.id.clone(), upgrade.stage, upgrade.paused));
            let busy: Vec<_> = set
                .instances()
                .filter(|instance| !instance.busy.is_empty() || !instance.is_member())
                .map(|instance| (&instance.spec.id, &instance.place, &instance.busy))
                .collect();
            let waits =
                (set.suspicion, set.view(self.moment()).looking_count(), set.evidence().silent().len());
            format!(
                "{}: {upgrade:?}, retry {:?}, busy {busy:?}, suspects, looks at and does not hear {waits:?}",
                set.spec.name, set.retry
            )
        });
        let sets: Vec<String> = sets.collect();
        let lives = kernel.fleet().plugins();
        let lives: Vec<_> =
            lives.map(|life| (life.name().clone(), life.standing(), life.report().stage)).collect();
        let releases: Vec<_> =
            kernel.fleet().releases.active().map(|it| (&it.id, it.state, &it.parts)).collect();
        let (intentions, open) = (self.intentions, self.asked.len());
        format!("no end: {sets:#?}, {lives:?}, {intentions} intentions, {open} requests open, {releases:#?}")
    }
}
