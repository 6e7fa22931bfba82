//! A driver's answers about instances that stay: to an effect, and to the question what runs.

use std::sync::Arc;
use std::time::Duration;

use super::event::{Done, Observed};
use super::out::Out;
use super::perform::announce;
use super::state::{Fleet, Trouble};
use crate::domain::{Backoff, Component, Custody, Now, Version};
use crate::record::Write;
use crate::rollout::Event as RolloutEvent;

/// Between two tries to start an instance that did not start.
pub(super) const START_AGAIN: Backoff =
    Backoff { first: Duration::from_secs(5), max: Duration::from_secs(5) };

/// Takes in the answer to one effect.
pub(super) fn done(fleet: &mut Fleet, done: Done, now: Now, out: &mut Out) {
    let Done { scale_set: name, instance: id, component, operation, answer, seen } = done;
    let Some(set) = fleet.change(&name) else { return };
    if !set.is_busy(&id, &component, &operation) {
        return;
    }
    let (spec, custody) = (Arc::clone(&set.spec), set.driver.custody);
    let heard = set.change(&id, |instance| {
        let before = instance.fold.health();
        let wanted = instance.busy.remove(&component).and_then(|busy| busy.wanted);
        let recorded = instance.version_of(&component).cloned();
        let seen = match &component {
            Component::Application => seen,
            // What an extension is at is what was last done to it.
            Component::Extension(_) => answer.is_ok().then(|| wanted.clone()).flatten().or(recorded.clone()),
        };
        let result = answer.and_then(|()| runs_what_was_wanted(seen.as_ref(), wanted.as_ref()));
        // A site whose driver cannot tell runs what it ran, as far as the record says.
        let observed = match custody {
            Custody::Host => seen,
            Custody::Site => seen.or(recorded),
        };
        if result.is_ok() {
            instance.down = false;
            instance.applied_at = now.at;
            instance.begin_life(&spec, now.at);
        }
        let moved = instance.set_version(&component, observed.clone()).then_some(observed);
        if let Err(text) = &result {
            instance.trouble = Some(Arc::new(Trouble { at: now.at, text: text.clone() }));
            if instance.version.is_none() && custody == Custody::Host {
                instance.retry_at = Some(now.at + START_AGAIN.after(1, instance.epoch));
                // The host alone keeps it running. What answered meanwhile ran before, or is something else.
                instance.down = true;
                instance.fold.stopped();
            }
        }
        (moved, result, (before, instance.fold.health()))
    });
    let Some((moved, result, (before, after))) = heard else { return };
    if before != after {
        set.dirty = true;
        out.changes.health.push((name.clone(), id.clone(), before, after));
    }
    if let Some(version) = moved {
        out.writes.push(Write::Version(name.clone(), id.clone(), component, version));
    }
    if let Err(text) = &result {
        out.changes.troubles.push((name.clone(), id.clone(), text.clone()));
    }
    if set.active().is_some() {
        set.answers.push(RolloutEvent::EffectDone { operation, instance: id.clone(), result });
    }
    announce(set, &id, out);
}

/// Else the old version, which is healthy, would pass the health gate for the new one.
pub(super) fn runs_what_was_wanted(seen: Option<&Version>, wanted: Option<&Version>) -> Result<(), String> {
    match (seen, wanted) {
        (Some(seen), Some(wanted)) if seen != wanted => {
            Err(format!("the driver says done, but the instance runs {seen} and not {wanted}"))
        }
        (Some(_) | None, _) => Ok(()),
    }
}

/// Records what an instance was seen to run. When the driver cannot tell, what was recorded before stands,
/// and a new instance is taken to run the model's version.
pub(super) fn observed(fleet: &mut Fleet, observed: Observed, out: &mut Out) {
    let Observed { scale_set: name, instance: id, epoch, version } = observed;
    let Some(set) = fleet.change(&name) else { return };
    let model = set.model.of(&Component::Application).cloned();
    let moved = set.change(&id, |instance| {
        // An effect that has begun since says itself what runs.
        if instance.epoch != epoch {
            return None;
        }
        let version = version.or_else(|| instance.version.clone()).or(model);
        instance.set_version(&Component::Application, version.clone()).then_some(version)
    });
    let Some(version) = moved.flatten() else { return };
    set.dirty = true;
    out.writes.push(Write::Version(name, id.clone(), Component::Application, version));
    announce(set, &id, out);
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::domain::*;

    #[test]
    fn done_is_believed_when_it_runs_what_was_wanted() {
        for (answer, seen, version_after, ok) in [
            (Ok(()), Some("v2"), Some("v2"), true),
            // It cannot tell: what was recorded stands, and the gate decides.
            (Ok(()), None, Some("v1"), true),
            (Ok(()), Some("v1"), Some("v1"), false),
            (Err("exit code 3"), Some("v1"), Some("v1"), false),
        ] {
            let mut rig = Rig::healthy();
            rig.start("v2");
            let asked = rig.asked().remove(0);
            let (id, epoch) = (asked.instance.id.clone(), rig.instance(asked.instance.id.as_str()).epoch);
            rig.turn(vec![super::super::Event::Done(Done {
                scale_set: asked.scale_set,
                instance: id.clone(),
                component: asked.component,
                operation: asked.operation,
                answer: answer.map_err(str::to_owned),
                seen: seen.map(version),
            })]);
            let instance = rig.instance(id.as_str());
            assert_eq!(instance.version.as_ref().map(Version::as_str), version_after, "{answer:?} {seen:?}");
            assert_eq!(instance.trouble.is_none(), ok, "{answer:?} {seen:?}");
            // One that failed is told to go back at once, which is another life, too.
            assert!(instance.epoch > epoch, "{answer:?} {seen:?}");
        }
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
    fn what_is_seen_is_recorded_unless_an_effect_has_begun_since() {
        let mut rig = Rig::new(vec![orders()]);
        let see = |rig: &mut Rig, epoch: u64, version: Option<&str>| {
            let version = version.map(super::super::testing::version);
            let (scale_set, instance) = (name("orders"), id("0"));
            rig.turn(vec![super::super::Event::Observed(Observed { scale_set, instance, epoch, version })]);
        };
        let shown = |rig: &Rig| rig.instance("0").version.as_ref().map(ToString::to_string);
        see(&mut rig, 9, Some("v9"));
        assert_eq!(shown(&rig), None, "of another life");
        see(&mut rig, 0, None);
        assert_eq!(shown(&rig).as_deref(), Some("v1"), "the driver cannot tell: the model's");
        see(&mut rig, 0, Some("v7"));
        see(&mut rig, 0, None);
        assert_eq!(shown(&rig).as_deref(), Some("v7"), "what was recorded stands");
        let recorded = rig.disk.stored().versions.values().flatten().next().cloned();
        assert_eq!(recorded, Some(version("v7")));
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
