//! Members of a scale set by committed health: counted, and the few that are not Healthy by name, so that a
//! look costs no more than those.

use imbl::OrdSet;

use crate::domain::{Health, InstanceId};

/// Members by committed health.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Census {
    healthy: usize,
    unknown: usize,
    /// Unhealthy and Unknown: what counts as unhealthy.
    unhealthy: OrdSet<InstanceId>,
    initializing: OrdSet<InstanceId>,
}

impl Census {
    /// How many have this health.
    #[must_use]
    pub fn of(&self, health: Health) -> usize {
        match health {
            Health::Initializing => self.initializing.len(),
            Health::Healthy => self.healthy,
            Health::Unhealthy => self.unhealthy.len() - self.unknown,
            Health::Unknown => self.unknown,
        }
    }

    /// All of them.
    #[must_use]
    pub fn total(&self) -> usize {
        self.initializing.len() + self.healthy + self.unhealthy.len()
    }

    /// Those that count as unhealthy.
    #[must_use]
    pub fn unhealthy(&self) -> &OrdSet<InstanceId> {
        &self.unhealthy
    }

    /// Those of which nothing is committed yet.
    #[must_use]
    pub fn initializing(&self) -> &OrdSet<InstanceId> {
        &self.initializing
    }

    /// A member's health has changed; none before it was a member, and after it was one.
    pub(super) fn moved(&mut self, id: &InstanceId, before: Option<Health>, after: Option<Health>) {
        if before == after {
            return;
        }
        match before {
            Some(Health::Healthy) => self.healthy -= 1,
            Some(Health::Initializing) => drop(self.initializing.remove(id)),
            Some(Health::Unhealthy | Health::Unknown) => drop(self.unhealthy.remove(id)),
            None => {}
        }
        self.unknown -= usize::from(before == Some(Health::Unknown));
        match after {
            Some(Health::Healthy) => self.healthy += 1,
            Some(Health::Initializing) => drop(self.initializing.insert(id.clone())),
            Some(Health::Unhealthy | Health::Unknown) => drop(self.unhealthy.insert(id.clone())),
            None => {}
        }
        self.unknown += usize::from(after == Some(Health::Unknown));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_follow_every_move() {
        let states = [
            None,
            Some(Health::Initializing),
            Some(Health::Healthy),
            Some(Health::Unhealthy),
            Some(Health::Unknown),
        ];
        let id = |number: usize| InstanceId::parse(&number.to_string()).unwrap();
        let mut census = Census::default();
        let mut now = [None; 7];
        for step in 0..500_usize {
            let (whom, next) = (step * 5 % now.len(), states[step * 7 % 11 % states.len()]);
            census.moved(&id(whom), now[whom], next);
            now[whom] = next;
            for health in states.into_iter().flatten() {
                let expected = now.iter().filter(|one| **one == Some(health)).count();
                assert_eq!(census.of(health), expected, "{health:?} after {step} steps");
            }
            assert_eq!(census.total(), now.iter().flatten().count());
            let unhealthy = now.iter().flatten().filter(|health| health.is_unhealthy()).count();
            assert_eq!(census.unhealthy().len(), unhealthy);
        }
    }
}
