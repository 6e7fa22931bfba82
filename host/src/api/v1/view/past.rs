//! Upgrades of the past, and the latest one of every scale set.

use phasegate_core::domain::{Change, Now, ScaleSetName};
use phasegate_core::kernel::report::{self, StatusReport};
use phasegate_core::kernel::{Fleet, SetState};
use phasegate_core::record::{PastUpgrade, UpgradesPage};
use phasegate_core::rollout::{Progress, Purpose, Upgrade};
use phasegate_wire as wire;

use super::waiting::waiting;
use crate::words;

/// Some upgrades of a scale set, newest first.
pub(crate) fn past_upgrades(name: &ScaleSetName, page: &UpgradesPage, now: Now) -> wire::PastUpgrades {
    let last = page.upgrades.last().filter(|_| page.more);
    wire::PastUpgrades {
        scale_set: name.to_string(),
        upgrades: page.upgrades.iter().map(|upgrade| past(upgrade, now)).collect(),
        truncated: page.more,
        next: last.map(|upgrade| upgrade.head.number),
    }
}

fn past(upgrade: &PastUpgrade, now: Now) -> wire::PastUpgrade {
    let PastUpgrade { head, progress, by } = upgrade;
    wire::PastUpgrade {
        id: head.id.to_string(),
        number: head.number,
        kind: match head.purpose {
            Purpose::Forward => wire::UpgradeKind::Forward,
            Purpose::Manual => wire::UpgradeKind::Manual,
            Purpose::Rollback { .. } => wire::UpgradeKind::Rollback,
        },
        from: ran_before(head),
        to: head.goal.to_string(),
        state: words::upgrade_state(head.state),
        started_at: now.date_of(head.started_at).to_string(),
        ended_at: head.ended_at().map(|at| now.date_of(at).to_string()),
        progress: counts(*progress),
        already_latest: head.already,
        why: why(head),
        actor: by.as_ref().map(|by| by.actor.to_string()),
        reason: by.as_ref().and_then(|by| by.reason.clone()),
    }
}

/// What its instances ran before. Of one that is not planned yet, and of one that takes another back, what was wanted then.
fn ran_before(head: &Upgrade) -> Option<String> {
    let is_way_back = matches!(head.purpose, Purpose::Rollback { to: None, .. });
    if head.ran.is_empty() && (is_way_back || (head.digest.is_none() && head.is_forward())) {
        return Some(head.before.to_string());
    }
    let ran: Vec<String> = head.ran.iter().map(ToString::to_string).collect();
    (!ran.is_empty()).then(|| ran.join(", "))
}

fn why(head: &Upgrade) -> Option<String> {
    let error = head.error.as_ref().map(|error| error.message.clone());
    error.or_else(|| match &head.purpose {
        Purpose::Rollback { of, from, because, to: None } => {
            let because = because.as_ref().map_or_else(String::new, |because| format!(": {because}"));
            Some(format!("takes {of} (to {from}) back{because}"))
        }
        Purpose::Rollback { to: Some(former), .. } => Some(format!("goes back to what {former} had brought")),
        Purpose::Forward | Purpose::Manual => None,
    })
}

fn counts(progress: Progress) -> wire::Progress {
    let Progress { successful, failed, in_progress, pending } = progress;
    wire::Progress { successful, failed, in_progress, pending }
}

/// Every scale set with its latest upgrade.
pub(crate) fn latest_upgrades(fleet: &Fleet, now: Now) -> wire::LatestUpgrades {
    let sets = fleet.sets().map(|set| wire::LatestUpgrade {
        scale_set: set.spec.name.to_string(),
        upgrade: report::status(fleet, set, now).map(|report| in_brief(&report, now)),
        quarantined: quarantined(set),
    });
    wire::LatestUpgrades { scale_sets: sets.collect() }
}

/// Versions that faulted and are not tried again by themselves.
pub(crate) fn quarantined(set: &SetState) -> Vec<wire::QuarantinedVersion> {
    let one = |(change, reason): (&Change, &String)| wire::QuarantinedVersion {
        component: change.component.to_string(),
        version: change.to.to_string(),
        reason: reason.clone(),
    };
    set.quarantined.iter().map(one).collect()
}

fn in_brief(report: &StatusReport<'_>, now: Now) -> wire::UpgradeInBrief {
    let upgrade = report.upgrade;
    let waiting_for = waiting(report, now);
    wire::UpgradeInBrief {
        id: upgrade.id.to_string(),
        from: ran_before(upgrade),
        to: upgrade.goal.to_string(),
        state: words::upgrade_state(upgrade.state),
        progress: counts(report.progress),
        waiting: waiting_for.as_ref().map(|waiting| waiting.text.clone()),
        waiting_for,
        started_at: now.date_of(upgrade.started_at).to_string(),
        ended_at: upgrade.ended_at().map(|at| now.date_of(at).to_string()),
        retry_at: report.retry_at.map(|at| now.date_of(at).to_string()),
    }
}
