//! A driver's answers to effects on instances that stay. What it says when it is asked what runs is in `sight`.

use std::sync::Arc;
use std::time::Duration;

use super::event::Done;
use super::out::Out;
use super::perform::announce;
use super::state::{Fleet, Trouble};
use super::{members, provision};
use crate::domain::{Backoff, CanTell, Custody, Now, Runs, Seen, Touched, Version};
use crate::record::Write;
use crate::rollout::Event as RolloutEvent;

/// Between two tries to start an instance that did not start.
pub(super) const START_AGAIN: Backoff =
    Backoff { first: Duration::from_secs(5), max: Duration::from_secs(5) };

/// Takes in the answer to one effect.
pub(super) fn done(fleet: &mut Fleet, done: Done, now: Now, out: &mut Out) {
    let Some(set) = fleet.change(&done.scale_set) else { return };
    if set.instance(&done.instance).is_none() {
        return members::done(set, done, out);
    }
    let Done { scale_set: name, instance: id, component, operation, answer, touched, seen } = done;
    if !set.takes_answer(&id, &component, &operation) {
        return;
    }
    let (spec, custody) = (Arc::clone(&set.spec), set.driver.custody);
    let can_tell = set.can_tell(&component);
    let heard = set.change(&id, |instance| {
        let before = instance.fold.health();
        let wanted = instance.busy.remove(&component).and_then(|busy| busy.wanted);
        let recorded = instance.runs_of(&component).clone();
        let (result, runs) = match answer {
            Ok(()) => match runs_what_was_wanted(can_tell, seen.clone(), wanted) {
                Ok(runs) => (Ok(()), runs),
                Err(text) => (Err(text), recorded.after(seen)),
            },
            Err(text) => (Err(text), after_failure(&recorded, touched, seen)),
        };
        instance.looked_at.insert(component.clone(), now.at);
        if result.is_ok() {
            instance.down = false;
            instance.applied_at = now.at;
            instance.begin_life(&spec, now.at);
        }
        let moved = instance.set_runs(&component, runs.clone()).then_some(runs);
        let provisioned = provision::answered(instance, &component, (&operation, &result));
        if std::mem::take(&mut instance.starts_again) && custody == Custody::Host {
            instance.retry_at = Some(now.at);
        }
        if let Err(text) = &result {
            instance.trouble = Some(Arc::new(Trouble { at: now.at, text: text.clone() }));
            if instance.runs.version().is_none() && custody == Custody::Host {
                instance.retry_at = Some(now.at + START_AGAIN.after(1, instance.epoch));
                // The host alone keeps it running. What answered meanwhile ran before, or is something else.
                instance.down = true;
                instance.fold.stopped();
            }
        }
        (moved, provisioned, result, (before, instance.fold.health()))
    });
    let Some((moved, provisioned, result, (before, after))) = heard else { return };
    out.writes.extend(provision::row(set, &id).filter(|_| provisioned));
    if before != after {
        set.dirty = true;
        out.changes.health.push((name.clone(), id.clone(), before, after));
    }
    if let Some(runs) = moved {
        out.writes.push(Write::Runs(name.clone(), id.clone(), component, runs));
    }
    if let Err(text) = &result {
        out.changes.troubles.push((name.clone(), id.clone(), text.clone()));
    }
    if set.active().is_some() {
        set.answers.push(match (result, touched) {
            (Err(reason), Touched::No) => {
                RolloutEvent::EffectRefused { operation, instance: id.clone(), reason }
            }
            (result, Touched::No | Touched::Perhaps) => {
                RolloutEvent::EffectDone { operation, instance: id.clone(), result }
            }
        });
    }
    announce(set, &id, out);
}

/// What is there once a driver has said "done". Else the old version, which is healthy, would pass the health gate
/// for the new one; and where somebody can be asked, what cannot be confirmed is not done.
pub(super) fn runs_what_was_wanted(
    can_tell: CanTell,
    seen: Seen,
    wanted: Option<Version>,
) -> Result<Runs, String> {
    match (seen, wanted, can_tell) {
        (Seen::Version(seen), Some(wanted), _) if seen != wanted => {
            Err(format!("the driver says done, but the instance runs {seen} and not {wanted}"))
        }
        (Seen::Version(version), _, _) | (Seen::Nothing | Seen::Unknown, Some(version), CanTell::No) => {
            Ok(Runs::at(version))
        }
        (Seen::Nothing, Some(wanted), CanTell::Yes) => {
            Err(format!("the driver says done, but the instance runs nothing and not {wanted}"))
        }
        (Seen::Unknown, Some(wanted), CanTell::Yes) => {
            Err(format!("the driver says done, and nobody can tell whether the instance runs {wanted}"))
        }
        (Seen::Nothing | Seen::Unknown, None, _) => Ok(Runs::UNKNOWN),
    }
}

/// What is there once a driver has failed. One that has touched nothing leaves what was there.
pub(super) fn after_failure(recorded: &Runs, touched: Touched, seen: Seen) -> Runs {
    match (touched, seen) {
        (Touched::No, Seen::Nothing | Seen::Unknown) => recorded.clone(),
        (Touched::No | Touched::Perhaps, seen) => recorded.after(seen),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::domain::*;

    #[test]
    fn done_is_believed_when_it_can_be_confirmed() {
        let seen = |text: &str| Seen::Version(version(text));
        let unknown = |before: &str| Runs::Unknown { before: Some(version(before)) };
        for (answer, can_tell, seen, after, ok) in [
            (Ok(()), CanTell::Yes, seen("v2"), Runs::at(version("v2")), true),
            // Nobody can be asked: the driver's word counts, and the gate decides.
            (Ok(()), CanTell::No, Seen::Unknown, Runs::at(version("v2")), true),
            (Ok(()), CanTell::Yes, Seen::Unknown, unknown("v1"), false),
            (Ok(()), CanTell::Yes, Seen::Nothing, Runs::Nothing { before: Some(version("v1")) }, false),
            (Ok(()), CanTell::Yes, seen("v1"), Runs::at(version("v1")), false),
            (Err("exit code 3"), CanTell::Yes, seen("v1"), Runs::at(version("v1")), false),
            // It may be half done: neither version is there.
            (Err("exit code 3"), CanTell::No, Seen::Unknown, unknown("v1"), false),
        ] {
            let mut set = orders();
            set.driver.sight.application = can_tell;
            let mut rig = Rig::new(vec![set]);
            rig.all_healthy();
            rig.start("v2");
            let asked = rig.asked().remove(0);
            let (id, epoch) = (asked.instance.id.clone(), rig.instance(asked.instance.id.as_str()).epoch);
            rig.done_and_seen(asked, answer, seen.clone());
            let instance = rig.instance(id.as_str());
            assert_eq!(instance.runs, after, "{answer:?} {seen:?}");
            assert_eq!(instance.trouble.is_none(), ok, "{answer:?} {seen:?}");
            // One that failed is told to go back at once, which is another life, too.
            assert!(instance.epoch > epoch, "{answer:?} {seen:?}");
        }
    }

    #[test]
    fn a_driver_that_has_touched_nothing_is_not_asked_to_bring_anything_back() {
        let mut set = orders();
        set.driver.sight.application = CanTell::No;
        let mut rig = Rig::new(vec![set]);
        rig.all_healthy();
        rig.start("v2");
        let asked = rig.asked().remove(0);
        let first = asked.instance.id.clone();
        rig.turn(vec![super::super::Event::Done(Done {
            scale_set: asked.scale_set,
            instance: asked.instance.id,
            component: asked.component,
            operation: asked.operation,
            answer: Err("no such version".to_owned()),
            touched: Touched::No,
            seen: Seen::Unknown,
        })]);
        assert_eq!(rig.instance(first.as_str()).runs, Runs::at(version("v1")), "it is as it was");
        assert!(rig.asked().iter().all(|asked| asked.instance.id != first), "nothing is brought back");
        let failure = rig.upgrade().members.get(&first).and_then(crate::rollout::Member::failure);
        assert_eq!(failure.as_deref(), Some("no such version; nothing was touched"));
    }

    #[test]
    fn an_answer_to_another_operation_is_no_answer() {
        let mut rig = Rig::healthy();
        rig.start("v2");
        let mut asked = rig.asked().remove(0);
        let before = rig.upgrade().clone();
        asked.operation = OperationId("orders-1/0/7".to_owned());
        rig.done(asked, Ok(()));
        assert_eq!(*rig.upgrade(), before);
    }

    #[test]
    fn a_start_that_failed_is_tried_again_where_the_host_has_custody() {
        let mut set = orders();
        set.driver.custody = Custody::Host;
        let mut rig = Rig::new(vec![set]);
        let asked = rig.asked().remove(0);
        let (first, instance) = (asked.operation.clone(), asked.instance.id.clone());
        let epoch = rig.instance(instance.as_str()).epoch;
        rig.done(asked, Err("no such file"));
        rig.pass(Duration::from_secs(1));
        assert!(rig.asked().is_empty(), "not at once");
        rig.pass(Duration::from_secs(5));
        let again = rig.asked().remove(0);
        assert_eq!((again.instance.id.clone(), again.version), (instance.clone(), version("v1")));
        assert_ne!(again.operation, first, "another effect");
        assert_eq!(rig.instance(instance.as_str()).epoch, epoch, "no second grace period");
    }

    #[test]
    fn what_failed_to_start_is_not_healthy_and_gets_no_second_grace_period() {
        let mut set = orders();
        set.driver.custody = Custody::Host;
        set.spec.health.number_of_probes = 2;
        let mut rig = Rig::new(vec![set]);
        let health = |rig: &Rig| rig.instance("0").fold.health();
        let of_the_first = |mut asked: Vec<super::super::effect::Ensure>| {
            asked.retain(|asked| asked.instance.id == id("0"));
            asked.remove(0)
        };
        // Something answers at its address while it is being started.
        let asked = of_the_first(rig.asked());
        rig.judge("0", decision(0));
        rig.judge("0", decision(0));
        assert_eq!(health(&rig), Health::Healthy);
        rig.done(asked, Err("no such file"));
        assert_eq!(health(&rig), Health::Unknown, "at once");
        assert_eq!(rig.set().census().of(Health::Healthy), 0);
        rig.judge("0", decision(0));
        rig.judge("0", decision(0));
        assert_eq!(health(&rig), Health::Unknown, "what answers is something else");
        rig.pass(Duration::from_secs(5));
        let again = of_the_first(rig.asked());
        rig.done(again, Ok(()));
        assert_eq!(health(&rig), Health::Initializing, "a new life");
        rig.judge("0", decision(0));
        rig.judge("0", decision(0));
        assert_eq!(health(&rig), Health::Healthy);
    }

    #[test]
    fn the_grace_period_of_what_never_starts_comes_to_an_end() {
        let mut set = orders();
        set.driver.custody = Custody::Host;
        let mut rig = Rig::new(vec![set]);
        for _ in 0..4 {
            for asked in rig.asked().into_iter().filter(|asked| asked.instance.id == id("0")) {
                rig.done(asked, Err("no such file"));
            }
            rig.judge("0", Decision { claim: Claim::Unknown, ..decision(0) });
            rig.pass(Duration::from_secs(5));
        }
        assert_eq!(rig.instance("0").fold.health(), Health::Unknown);
    }
}
