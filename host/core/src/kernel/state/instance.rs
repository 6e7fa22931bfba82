//! What a kernel knows of one instance.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::deferring::Deferring;
use super::evidence::{Heeded, Told, Word};
use super::seen::Seat;
use crate::domain::{
    Claim, Component, Decided, Decision, DriverPace, ExtensionName, Health, Instance, InstanceId, Located,
    Looks, Membership, OnFailure, OperationId, Outcome, Provision, Runs, ScaleSet, Shortage, Timestamp,
    Unasked, Unheard, Version,
};
use crate::health::{FoldSettings, HealthFold};
use crate::plan::is_answered;

/// What an instance is to its scale set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// It counts.
    Member {
        /// In whose place it came, if it was created here.
        replaced: Option<InstanceId>,
    },
    /// It is made to take the place of another, and counts for nothing yet.
    Coming {
        /// Which.
        replaces: InstanceId,
    },
    /// It has to go, and counts for nothing any more.
    Leaving {
        /// Which is there in its place.
        replaced_by: Option<InstanceId>,
    },
}

/// A decision that rested on a word of the application.
#[derive(Debug, Clone, PartialEq)]
pub struct Answered {
    /// The decision, which code made it, and when that was asked.
    pub outcome: Arc<Outcome>,
    /// When the round ended.
    pub at: Timestamp,
}

impl Answered {
    /// The decision; a failure is never kept here.
    #[must_use]
    pub fn decision(&self) -> Option<&Decision> {
        self.outcome.result.as_deref().ok()
    }
}

/// An older decision that is used because the plugin fails now.
#[derive(Debug, Clone, PartialEq)]
pub struct StandIn<'a> {
    /// The decision.
    pub answered: &'a Answered,
    /// Which plugin fails, and how.
    pub failure: String,
}

/// A complaint of the driver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// When it came.
    pub at: Timestamp,
    /// One line for people.
    pub text: String,
}

/// What a driver is busy with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Busy {
    /// Which effect.
    pub operation: OperationId,
    /// The version that the component is to have; none of a deletion.
    pub wanted: Option<Version>,
}

/// What a driver has said last of what it has in hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// How it goes.
    pub pace: DriverPace,
    /// In the words of what it has asked.
    pub text: String,
    /// When that was heard.
    pub at: Timestamp,
}

/// When a driver was last heard of each component. A fleet has many that have an application and nothing else.
#[derive(Debug, Clone, Default)]
pub(in crate::kernel) struct Looked {
    application: Option<Timestamp>,
    extensions: BTreeMap<ExtensionName, Timestamp>,
}

impl Looked {
    pub(in crate::kernel) fn get(&self, component: &Component) -> Option<Timestamp> {
        match component {
            Component::Application => self.application,
            Component::Extension(name) => self.extensions.get(name).copied(),
        }
    }

    pub(in crate::kernel) fn insert(&mut self, component: Component, at: Timestamp) {
        match component {
            Component::Application => self.application = Some(at),
            Component::Extension(name) => drop(self.extensions.insert(name, at)),
        }
    }
}

/// One instance.
#[derive(Debug, Clone)]
pub struct InstanceState {
    /// Where it is, and what it is like.
    pub spec: Arc<Instance>,
    /// What it is to its scale set.
    pub place: Place,
    /// Whether the address is its own.
    pub located: Located,
    /// What of the application it runs.
    pub runs: Runs,
    /// What it has of extensions; what is not in here is unknown.
    pub extensions: BTreeMap<ExtensionName, Runs>,
    /// Looks that are awaited; see [`crate::kernel::sight`].
    pub(in crate::kernel) looking: Looks,
    /// When a driver was last heard of what it has, in this life of the host.
    pub(in crate::kernel) looked_at: Looked,
    /// When it is to be looked at again.
    pub(in crate::kernel) look_at: Option<Timestamp>,
    /// Rises with each effect; answers of an earlier life are dropped.
    pub epoch: u64,
    /// Its health in this life.
    pub fold: HealthFold,
    /// What the latest rounds of this life have brought.
    pub word: Word,
    /// What was judged last.
    pub latest: Option<Arc<Outcome>>,
    /// The last decision that rested on a word of the application.
    pub answered: Option<Answered>,
    /// How it comes nearer, while an upgrade waits for it.
    pub deferring: Option<Deferring>,
    /// Since when it could not be asked, if it cannot; see [`NotAsked`](crate::domain::NotAsked).
    pub unasked: Option<Unasked>,
    /// How long that has gone on before in this life, all such times together.
    pub(in crate::kernel) unasked_before: Duration,
    /// What the plugin asked to remember last.
    pub memory: Option<Arc<[u8]>>,
    /// The driver's latest complaint, until the instance is healthy again.
    pub trouble: Option<Arc<Trouble>>,
    /// The driver says that nothing runs. What then answers at its address is something else.
    pub down: bool,
    /// When the driver last brought it to a version.
    pub applied_at: Timestamp,
    /// The record says that it ran something before, and not what: an effect on it failed half-way.
    pub(in crate::kernel) lost: bool,
    /// The version that the driver was last asked for; what a start that failed tries again.
    pub asked: Option<Version>,
    /// The effects that the driver is busy with. After a restart the application may be started while an
    /// extension is being installed.
    pub busy: BTreeMap<Component, Busy>,
    /// It stands somewhere else than its driver is starting it, and is started again when that has answered.
    pub(in crate::kernel) starts_again: bool,
    /// Its first deployment, while that goes on; and what of it has failed, until that is brought.
    pub provision: Option<Arc<Provision>>,
    /// When it is to be started or deleted again, after a failure.
    pub retry_at: Option<Timestamp>,
    /// Its place in the row of those that were heard again.
    pub(super) seat: Seat,
}

impl InstanceState {
    /// An instance that counts, and of which nothing is known yet.
    #[must_use]
    pub(in crate::kernel) fn new(set: &ScaleSet, spec: Arc<Instance>, at: Timestamp) -> Self {
        Self {
            spec,
            place: Place::Member { replaced: None },
            located: Located::Yes,
            runs: Runs::UNKNOWN,
            extensions: BTreeMap::new(),
            looking: Looks::new(),
            looked_at: Looked::default(),
            look_at: None,
            epoch: 0,
            fold: HealthFold::new(FoldSettings::from(&set.health), at),
            word: Word::default(),
            latest: None,
            answered: None,
            deferring: None,
            unasked: None,
            unasked_before: Duration::ZERO,
            memory: None,
            trouble: None,
            down: false,
            applied_at: Timestamp::default(),
            lost: false,
            asked: None,
            busy: BTreeMap::new(),
            starts_again: false,
            provision: None,
            retry_at: None,
            seat: Seat::default(),
        }
    }

    /// What is recorded of it beside its versions; none of an instance that the configuration lists and that
    /// stays.
    #[must_use]
    pub fn membership(&self) -> Option<Membership> {
        crate::kernel::surge::membership(self)
    }

    /// Whether it counts.
    #[must_use]
    pub fn is_member(&self) -> bool {
        matches!(self.place, Place::Member { .. })
    }

    /// Whether it is new, and its extensions are not there yet: it is not ready, whatever it answers.
    #[must_use]
    pub fn is_provisioned_first(&self) -> bool {
        self.provision.as_ref().is_some_and(|provision| provision.is_open())
    }

    /// Whether the next of its extensions may be installed: no driver is at it, and what it has is known.
    pub(in crate::kernel) fn wants_provision(&self) -> bool {
        let is_known = !matches!(self.runs, Runs::Unknown { .. });
        let is_idle = self.busy.is_empty() && self.looking.is_empty();
        self.is_provisioned_first() && is_known && is_idle && self.located == Located::Yes && self.is_member()
    }

    /// When the time for its extensions is over, if they are being installed.
    pub(super) fn provision_due(&self) -> Option<Timestamp> {
        self.provision.as_ref()?.due()
    }

    /// Its health, if it counts.
    pub(super) fn counted(&self) -> Option<Health> {
        self.is_member().then(|| self.fold.health())
    }

    /// Whether it counts as Healthy, and what is known is worse.
    #[must_use]
    pub fn is_doubted(&self) -> bool {
        self.fold.health() == Health::Healthy && self.word.is_worse()
    }

    /// What the index of its set keeps of it, if it counts.
    pub(super) fn told(&self) -> Option<Told> {
        self.is_member().then(|| Told {
            settled_at: self.word.settled_at(),
            is_doubted: self.is_doubted(),
            silent_since: self.word.silent_since(),
            is_unanswered: self.word.is_silent(),
        })
    }

    /// What it has of a component.
    #[must_use]
    pub fn runs_of(&self, component: &Component) -> &Runs {
        match component {
            Component::Application => &self.runs,
            Component::Extension(name) => self.extensions.get(name).unwrap_or(&Runs::UNKNOWN),
        }
    }

    /// Notes what it has; gives whether that is something else than before.
    pub(in crate::kernel) fn set_runs(&mut self, component: &Component, runs: Runs) -> bool {
        let changed = *self.runs_of(component) != runs;
        match component {
            Component::Application => self.runs = runs,
            // What is not in there is unknown.
            Component::Extension(name) if runs == Runs::UNKNOWN => drop(self.extensions.remove(name)),
            Component::Extension(name) => drop(self.extensions.insert(name.clone(), runs)),
        }
        changed
    }

    /// Begins a new life: the health of the one before says nothing about it.
    pub(in crate::kernel) fn begin_life(&mut self, set: &ScaleSet, at: Timestamp) {
        self.epoch += 1;
        self.fold = HealthFold::new(FoldSettings::from(&set.health), at);
        self.word = Word::default();
        self.unasked_before = Duration::ZERO;
        if let Some(unasked) = &mut self.unasked {
            unasked.since = at;
        }
    }

    /// Takes in that it could not be asked; gives whether that was in its present life.
    pub(in crate::kernel) fn not_asked(&mut self, epoch: u64, at: Timestamp, short_of: Shortage) -> bool {
        if epoch != self.epoch {
            return false;
        }
        let since = self.unasked.map_or(at, |unasked| unasked.since);
        self.unasked = Some(Unasked { since, short_of });
        true
    }

    /// Nobody looked at it for so long: its grace, its deadline and its silence stand still for that time.
    pub(in crate::kernel) fn was_not_looked_at(&mut self, length: Duration) {
        self.was_not_heard(length);
        self.word.was_not_looked_at();
        if let Some(provision) = self.provision.as_mut().filter(|provision| provision.is_open()) {
            let provision = Arc::make_mut(provision);
            provision.since = provision.since + length;
        }
    }

    /// It was asked, and the host doubts that it could have been heard.
    pub(in crate::kernel) fn was_not_heard(&mut self, length: Duration) {
        self.unasked_before = self.unasked_before.saturating_add(length);
        self.fold.was_not_asked(length);
    }

    /// Whether a round ends a time in which it could not be asked; the grace of its application goes on
    /// from there.
    pub(in crate::kernel) fn is_asked_again(&mut self, decided: &Decided) -> bool {
        if decided.again || decided.epoch != self.epoch {
            return false;
        }
        let Some(Unasked { since, short_of: _ }) = self.unasked.take() else { return false };
        let length = decided.started_at.since(since);
        self.unasked_before = self.unasked_before.saturating_add(length);
        self.fold.was_not_asked(length);
        true
    }

    /// How long it could not be asked in its present life.
    #[must_use]
    pub fn unheard(&self, now: Timestamp) -> Unheard {
        let present = self.unasked.map_or(Duration::ZERO, |unasked| now.since(unasked.since));
        Unheard { length: self.unasked_before.saturating_add(present), goes_on: self.unasked.is_some() }
    }

    /// Takes in a judged round. Gives the health before and after, or none when the round belongs to an
    /// earlier life. Where the plugin failed, the last good decision may stand in for a time.
    pub(in crate::kernel) fn judged(&mut self, decided: Decided, rhythm: Rhythm) -> Option<(Health, Health)> {
        if decided.epoch != self.epoch {
            return None;
        }
        let before = self.fold.health();
        if self.fold.observed().is_none() {
            // Grace counts from the first probe of this life, which is spread over the interval.
            self.fold = HealthFold::new(self.fold.settings(), decided.started_at);
        }
        let before_failure = || {
            let answered = self.answered.as_ref()?;
            let claim = answered.decision()?.claim;
            (decided.finished_at.since(answered.at) <= rhythm.stands_in?).then_some(claim)
        };
        let claimed = match &decided.outcome.result {
            Ok(decision) => decision.claim,
            Err(_) => before_failure().unwrap_or(Claim::Unknown),
        };
        let claim = if self.down { Claim::Unknown } else { claimed };
        // Health follows probes, and this one was counted.
        let counts = !decided.again
            && !self.is_provisioned_first()
            && self.is_another_probe(claim, decided.started_at, rhythm);
        let ran = (decided.started_at, decided.finished_at);
        let after = if counts { self.fold.observe_probe(claim, ran, rhythm.interval) } else { before };
        if counts {
            self.word.counted(decided.started_at);
        }
        if !decided.again {
            self.word.hear(Heeded {
                began_at: decided.started_at,
                heard: decided.heard,
                claim,
                has_word: match &decided.outcome.result {
                    Ok(decision) => is_answered(decision),
                    // A failure permits something only where somebody has configured what it means.
                    Err(_) => match rhythm.on_failure {
                        OnFailure::Hold => false,
                        OnFailure::LastGood => before_failure().is_some(),
                        OnFailure::Azure => true,
                    },
                },
                is_unhealthy: after.is_unhealthy(),
            });
        }
        if let Ok(decision) = &decided.outcome.result
            && is_answered(decision)
        {
            self.answered = Some(Answered { outcome: Arc::clone(&decided.outcome), at: decided.finished_at });
        }
        self.latest = Some(decided.outcome);
        let healed = |trouble: &Arc<Trouble>| trouble.at < decided.started_at;
        if after == Health::Healthy && self.trouble.as_ref().is_some_and(healed) {
            self.trouble = None;
        }
        Some((before, after))
    }

    /// Whether a round is a probe of its own for the health. What was asked out of turn may say something new at
    /// once; that it says the same again is no further probe so soon after the one before.
    fn is_another_probe(&self, claim: Claim, began_at: Timestamp, rhythm: Rhythm) -> bool {
        let is_first = self.fold.health() == Health::Initializing || self.fold.observed() != Some(claim);
        is_first || began_at.since(self.word.counted_at()) >= rhythm.interval / 2
    }
}

/// How a set is asked, as far as a judged round needs to know.
#[derive(Debug, Clone, Copy)]
pub(in crate::kernel) struct Rhythm {
    /// From one probe to the next.
    pub(in crate::kernel) interval: Duration,
    /// What a failure of the plugin means.
    pub(in crate::kernel) on_failure: OnFailure,
    /// How long the last good decision stands in where the plugin fails; none where it does not.
    pub(in crate::kernel) stands_in: Option<Duration>,
}
