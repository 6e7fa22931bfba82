//! The state machine of Azure's application health extension, claim by claim.
//!
//! ```text
//!                 numberOfProbes equal claims, not the fail state
//!  Initializing ───────────────────────────────────────────────────> that claim ──┐ a change needs
//!       │                                                                ^        │ numberOfProbes
//!       └── grace period over ──> fail state ────────────────────────────┘ <──────┘ equal claims
//!           (outside of the azure profile not over a Healthy claim: it is heard out)
//! ```
//!
//! One grace period per value: once Initializing was left it never returns. A new life of the
//! instance (a restart, an upgrade, other settings) is a new value.
//!
//! It deliberately does not look at why a claim was made, and it is not told about probes that
//! never finished.

#![warn(clippy::wildcard_enum_match_arm)]

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::{Claim, Health, HealthSettings, Profile, Timestamp};

/// What the state machine needs to know of the probe settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FoldSettings {
    /// Equal claims in a row that change the committed health; 0 is taken as 1.
    pub number_of_probes: u32,
    /// How long an instance may stay Initializing, measured from the start to the end of a probe.
    ///
    /// Zero means that there is no grace: the first claim of a failure counts at once. A healthy
    /// claim still needs `number_of_probes` in a row, and until then the instance is
    /// Initializing; that is over after `number_of_probes` probes at the latest.
    pub grace_period: Duration,
    /// What the end of an unsuccessful grace period counts as; see
    /// [`ProbeProtocol::fail_state`](crate::domain::ProbeProtocol::fail_state). During the grace
    /// period it means *not yet* and never ends it early.
    pub fail_state: Claim,
    /// What the end of the grace period does to an instance that is just becoming healthy.
    #[serde(default)]
    pub at_grace_end: GraceEnd,
}

/// What the end of the grace period does to an instance that claims to be Healthy and has not done so often enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum GraceEnd {
    /// It falls to the fail state, as in Azure.
    #[default]
    FailState,
    /// It is heard out: it stays Initializing until it was Healthy often enough, or claims something else.
    HearOut,
}

impl From<&HealthSettings> for FoldSettings {
    fn from(settings: &HealthSettings) -> Self {
        Self {
            number_of_probes: settings.number_of_probes,
            grace_period: settings.grace_period,
            fail_state: settings.protocol.fail_state(),
            at_grace_end: match settings.profile {
                Profile::Azure => GraceEnd::FailState,
                Profile::Fleet => GraceEnd::HearOut,
            },
        }
    }
}

/// Health of one life of one instance. A value: small, comparable, and the same after a round
/// trip through a store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HealthFold {
    settings: FoldSettings,
    started_at: Timestamp,
    grace: Grace,
    observed: Option<Claim>,
    streak: u32,
    committed: Option<Health>,
}

/// How long a repeated claim changes nothing; see [`HealthFold::settled`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// The next one may change something.
    No,
    /// Those before this time change nothing.
    Until(Timestamp),
    /// None ever will.
    Forever,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Grace {
    Running,
    Over,
}

impl HealthFold {
    /// Nothing is known yet. The grace period runs from `started_at`, which should be the start
    /// of the first probe: time before it would be taken from the application's grace.
    #[must_use]
    pub fn new(settings: FoldSettings, started_at: Timestamp) -> Self {
        Self { settings, started_at, grace: Grace::Running, observed: None, streak: 0, committed: None }
    }

    /// Takes the claim of a probe that ended at `now` and returns what is committed from then on.
    pub fn observe(&mut self, claim: Claim, now: Timestamp) -> Health {
        if self.observed == Some(claim) {
            self.streak = self.streak.saturating_add(1);
        } else {
            self.streak = 1;
            self.observed = Some(claim);
        }
        let candidate = match self.grace {
            Grace::Over => state_of(claim),
            Grace::Running if self.settings.grace_period.is_zero() => self.judge_without_grace(claim),
            Grace::Running => self.judge_in_grace(claim, now),
        };
        let committed = match self.committed {
            Some(committed) if !self.streak_is_complete() => committed,
            Some(_) | None => candidate,
        };
        if self.streak_is_complete() {
            // Streaks do not overlap: the next one starts with the next claim.
            self.streak = 0;
        }
        self.committed = Some(committed);
        committed
    }

    /// Takes the claim of a probe that ran from `began_at` to `ended_at` in a rhythm of `interval`.
    ///
    /// Where the end of the grace period is Azure's, it is counted in the slots of the rhythm: a probe that begins some
    /// milliseconds before its slot, because the first one began as much after its own, belongs to that slot.
    /// Otherwise chance would decide about the probe that falls on the end.
    pub fn observe_probe(
        &mut self,
        claim: Claim,
        (began_at, ended_at): (Timestamp, Timestamp),
        interval: Duration,
    ) -> Health {
        match self.settings.at_grace_end {
            GraceEnd::FailState => self.observe(claim, ended_at.max(self.slot(began_at, interval))),
            GraceEnd::HearOut => self.observe(claim, ended_at),
        }
    }

    /// The slot that a start belongs to: the next one, where that is nearer than a tenth of the interval.
    fn slot(&self, began_at: Timestamp, interval: Duration) -> Timestamp {
        let nanos = interval.as_nanos().max(1);
        let missing = nanos - began_at.since(self.started_at).as_nanos() % nanos;
        let missing = Duration::from_nanos(u64::try_from(missing).unwrap_or(0));
        if missing <= interval / 10 { began_at + missing } else { began_at }
    }

    /// The host could not ask for so long, which is no part of the application's grace. What is committed
    /// stays.
    pub fn was_not_asked(&mut self, length: Duration) {
        if self.observed.is_some() && self.grace == Grace::Running {
            self.started_at = self.started_at + length;
        }
    }

    /// Nothing runs any more, and what was claimed of it counts no longer. A grace period that is running runs on;
    /// there is no second one: when it is over, the fail state is committed at once.
    pub fn stopped(&mut self) {
        if self.observed.is_none() {
            return;
        }
        let fail_state = self.settings.fail_state;
        self.observed = Some(fail_state);
        self.streak = 0;
        if self.grace == Grace::Over {
            self.committed = Some(state_of(fail_state));
        }
    }

    /// What is committed; Initializing before the first claim.
    #[must_use]
    pub fn health(&self) -> Health {
        self.committed.unwrap_or(Health::Initializing)
    }

    /// The claim that the current streak consists of; none before the first. The end of the
    /// grace period counts as a claim of the fail state.
    #[must_use]
    pub fn observed(&self) -> Option<Claim> {
        self.observed
    }

    /// When this life of the instance began.
    #[must_use]
    pub fn started_at(&self) -> Timestamp {
        self.started_at
    }

    /// What it was made with.
    #[must_use]
    pub fn settings(&self) -> FoldSettings {
        self.settings
    }

    /// How long more claims like this one change nothing that could ever be seen, so that they
    /// need not be taken in.
    #[must_use]
    pub fn settled(&self, claim: Claim) -> Settled {
        let FoldSettings { grace_period, fail_state, number_of_probes: _, at_grace_end: _ } = self.settings;
        if self.observed != Some(claim) {
            return Settled::No;
        }
        match self.grace {
            Grace::Over if self.committed == Some(state_of(claim)) => Settled::Forever,
            // Every claim of another kind begins a streak of its own.
            Grace::Running if !grace_period.is_zero() && claim == fail_state => {
                Settled::Until(self.started_at + grace_period)
            }
            Grace::Over | Grace::Running => Settled::No,
        }
    }

    fn streak_is_complete(&self) -> bool {
        self.streak >= self.settings.number_of_probes.max(1)
    }

    /// In Azure expiry is looked at before success: a streak that completes at the very end is too late.
    fn judge_in_grace(&mut self, claim: Claim, now: Timestamp) -> Health {
        let FoldSettings { grace_period, fail_state, number_of_probes: _, at_grace_end } = self.settings;
        let heard_out = at_grace_end == GraceEnd::HearOut && claim == Claim::Healthy;
        if now.since(self.started_at) >= grace_period && !heard_out {
            self.grace = Grace::Over;
            self.observed = Some(fail_state);
            self.streak = 1;
            self.committed = None;
            return state_of(fail_state);
        }
        if self.streak_is_complete() && claim != fail_state {
            self.grace = Grace::Over;
            return state_of(claim);
        }
        Health::Initializing
    }

    fn judge_without_grace(&mut self, claim: Claim) -> Health {
        if claim == Claim::Healthy && !self.streak_is_complete() {
            return Health::Initializing;
        }
        self.grace = Grace::Over;
        self.committed = None;
        state_of(claim)
    }
}

fn state_of(claim: Claim) -> Health {
    match claim {
        Claim::Healthy => Health::Healthy,
        Claim::Unhealthy => Health::Unhealthy,
        Claim::Unknown => Health::Unknown,
    }
}

#[cfg(test)]
mod tests;
