//! How an instance stands with its plugin and with people, and on which answer that rests.
//!
//! Deliberately no rule of its own about what permits what: that is `plan::standing`.

use super::{InstanceState, SetState, StandIn};
use crate::domain::{Claim, Custody, OnFailure, Outcome, Participation, Runs, Timestamp, WordKind};
use crate::plan::{Basis, Standing, StandingInput, judged, reason_line};

/// The answer that an instance stands by.
#[derive(Debug, Clone)]
pub struct Ground<'a> {
    /// What was decided, and by which code.
    pub outcome: &'a Outcome,
    /// When the probe had ended on which that rests, or had begun where nothing was answered.
    pub heard_at: Timestamp,
    /// Why this is not the latest one.
    pub stands_in: Option<String>,
}

impl SetState {
    /// How an instance stands for the planner: with its plugin, unless a person has forced it. What a silent one, or
    /// one whose plugin fails, has said before stands, whoever forces it.
    #[must_use]
    pub fn permitted(&self, instance: &InstanceState, at: Timestamp) -> Standing {
        let standing = self.standing(instance, at);
        let forced = self.words.get(&instance.spec.id).filter(|word| word.kind == WordKind::Force);
        let latest = instance.latest.as_ref().and_then(|latest| latest.result.as_deref().ok());
        // Of one that says "not now" because it cannot be read, nothing is known.
        let unhealthy_first = self.spec.policy.rolling.prioritize_unhealthy_instances;
        match (forced, standing) {
            (
                Some(word),
                Standing::Decided {
                    phase, participation: Participation::Skip | Participation::Defer, ..
                },
            ) if latest.is_some_and(|said| said.claim != Claim::Unknown || unhealthy_first) => {
                Standing::Decided { phase, participation: Participation::Proceed, detail: word.to_string() }
            }
            (_, standing) => standing,
        }
    }

    /// How an instance stands with the plugin.
    #[must_use]
    pub fn standing(&self, instance: &InstanceState, at: Timestamp) -> Standing {
        self.judged(instance, at).0
    }

    /// The answer by which an instance stands as it does.
    #[must_use]
    pub fn ground<'a>(&self, instance: &'a InstanceState, at: Timestamp) -> Option<Ground<'a>> {
        let latest = instance.latest.as_deref()?;
        let older = instance.answered.as_ref().filter(|answered| *answered.outcome != *latest);
        match (self.judged(instance, at).1, older) {
            (Basis::Answered, Some(answered)) => {
                let why = match &latest.result {
                    Ok(decision) => reason_line(decision),
                    Err(_) => self.stand_in(instance, at).map(|it| it.failure).unwrap_or_default(),
                };
                let heard_at = self.answered_at(instance).unwrap_or(answered.at);
                let outcome = &*answered.outcome;
                Some(Ground { outcome, heard_at, stands_in: Some(why) })
            }
            (Basis::Latest | Basis::Answered, _) => {
                let answered = instance.answered.as_ref().filter(|answered| *answered.outcome == *latest);
                let answered = answered.and_then(|_| self.answered_at(instance));
                let heard_at = answered.unwrap_or_else(|| self.settled_at(instance));
                Some(Ground { outcome: latest, heard_at, stands_in: None })
            }
        }
    }

    fn judged(&self, instance: &InstanceState, at: Timestamp) -> (Standing, Basis) {
        if instance.is_provisioned_first() {
            // Whatever it says, it is not what it is to be.
            return (Standing::Undecided, Basis::Latest);
        }
        let answered = instance.answered.as_ref();
        let prioritize_unhealthy = self.spec.policy.rolling.prioritize_unhealthy_instances;
        let (judged, basis) = judged(&StandingInput {
            latest: instance.latest.as_deref(),
            answered: answered.and_then(|answered| Some((answered.decision()?, self.answered_at(instance)?))),
            answered_by: answered.map(|answered| answered.outcome.stamp.generation),
            in_force: self.in_force,
            on_failure: self.on_failure,
            health: instance.fold.health(),
            prioritize_unhealthy,
            unasked: instance.unasked,
            freshness: self.spec.health.freshness(),
            now: at,
        });
        let permits = judged.participation() == Some(Participation::Proceed);
        if instance.down && permits && !prioritize_unhealthy {
            let detail = instance.trouble.as_ref().map_or_else(String::new, |trouble| trouble.text.clone());
            return (Standing::Unknown { detail, phase: judged.phase(), says: judged.said() }, basis);
        }
        (self.to_be_deployed(instance, judged), basis)
    }

    /// Where the site has looked and nothing runs, nobody is there who could say anything: that is no silence of the
    /// application, and it is deployed, at its place in the plan. What it said before it went, such as skip, stands.
    fn to_be_deployed(&self, instance: &InstanceState, judged: Standing) -> Standing {
        match judged {
            Standing::Unknown { phase, says: None | Some(Participation::Proceed), .. }
                if self.nothing_runs(instance) =>
            {
                let detail = "nothing runs on it".to_owned();
                Standing::Decided { phase, participation: Participation::Proceed, detail }
            }
            other => other,
        }
    }

    /// Whether the site keeps an instance, has looked, and found nothing that runs.
    pub(in crate::kernel) fn nothing_runs(&self, instance: &InstanceState) -> bool {
        self.driver.custody == Custody::Site && matches!(instance.runs, Runs::Nothing { .. })
    }

    /// Whether an instance has never had anything of ours: it serves nobody, so it is no loss that it is down.
    pub(in crate::kernel) fn is_new_ground(&self, instance: &InstanceState) -> bool {
        self.driver.custody == Custody::Site && matches!(instance.runs, Runs::Nothing { before: None })
    }

    /// The older decision that is used for an instance, if the plugin fails now; as [`Self::standing`] has it.
    #[must_use]
    pub fn stand_in<'a>(&self, instance: &'a InstanceState, at: Timestamp) -> Option<StandIn<'a>> {
        let Outcome { stamp, result, .. } = instance.latest.as_deref()?;
        let failure = result.as_ref().err()?;
        let answered = instance.answered.as_ref()?;
        let fresh = at.since(self.answered_at(instance)?) <= self.spec.health.freshness();
        let used = self.on_failure == OnFailure::LastGood && fresh;
        let failure = format!("plugin `{}` ({}) {failure}", stamp.name, stamp.digest.short());
        used.then_some(StandIn { answered, failure })
    }
}
