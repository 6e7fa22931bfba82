//! What instances run that the site keeps running: who is asked when, and what an answer means.
//!
//! Every instance is asked when a host starts, then in a rhythm (`observeInterval`), and before a start whenever the
//! last answer is old, or would make the instance one that is there already. Where nobody can be asked, what was
//! done last is there, and of an instance to which nothing was done what the file's model says.
//!
//! Never takes an instance that cannot tell for one that has what is wanted.

use std::sync::Arc;
use std::time::Duration;

use super::effect::{Effect, Observe};
use super::event::Observed;
use super::out::{About, Out};
use super::perform::announce;
use super::state::{Fleet, InstanceState, SetState};
use crate::domain::{
    By, CanTell, Component, Custody, Goal, InstanceId, Located, Look, Now, Runs, ScaleSetName,
};
use crate::record::Write;
use crate::record::audit::What;

/// How old an answer may be on which an upgrade is planned.
const FRESH: Duration = Duration::from_secs(60);

/// Asks a driver what an instance has of all that can be asked for.
pub(super) fn look(set: &mut SetState, id: &InstanceId, now: Now, out: &mut Out) {
    announce(set, id, out);
    if set.driver.custody == Custody::Host {
        return;
    }
    let components = set.spec.model.goal();
    for change in components.changes() {
        match set.can_tell(&change.component) {
            CanTell::Yes => ask(set, id, &change.component, now, out),
            CanTell::No => take_as_recorded(set, id, &change.component, now, out),
        }
    }
}

/// Asks for one component, unless its driver is busy with it or is being asked.
fn ask(set: &mut SetState, id: &InstanceId, component: &Component, now: Now, out: &mut Out) {
    let name = set.spec.name.clone();
    let question = set.change(id, |instance| {
        if instance.busy.contains_key(component) || instance.looking.contains_key(component) {
            return None;
        }
        let look = Look { epoch: instance.epoch, began_at: now.at };
        instance.looking.insert(component.clone(), look);
        Some(Observe {
            scale_set: name,
            instance: Arc::clone(&instance.spec),
            component: component.clone(),
            expected: instance.runs_of(component).version().cloned(),
            epoch: instance.epoch,
        })
    });
    out.effects.extend(question.flatten().map(|question| Effect::Observe(Box::new(question))));
}

/// Where nobody can be asked: the record says what was done last; of what has no record the application is taken
/// to be what the file says. That is recorded, so that a changed file does not change what runs.
fn take_as_recorded(set: &mut SetState, id: &InstanceId, component: &Component, now: Now, out: &mut Out) {
    let model = set.spec.model.version.clone();
    let name = set.spec.name.clone();
    let taken = set.change(id, |instance| {
        instance.looked_at.insert(component.clone(), now.at);
        let is_new = *component == Component::Application && !instance.lost && instance.runs == Runs::UNKNOWN;
        (is_new && instance.set_runs(component, Runs::at(model))).then(|| instance.runs.clone())
    });
    if let Some(runs) = taken.flatten() {
        out.writes.push(Write::Runs(name, id.clone(), component.clone(), runs));
        announce(set, id, out);
    }
}

/// Takes in what a look has found.
pub(super) fn observed(fleet: &mut Fleet, observed: Observed, now: Now, out: &mut Out) {
    let Observed { scale_set: name, instance: id, component, epoch, seen } = observed;
    let Some(set) = fleet.change(&name) else { return };
    let interval = set.driver.sight.interval;
    let heard = set.change(&id, |instance| {
        // An effect that has begun since says itself what runs.
        let look = *instance.looking.get(&component).filter(|look| look.epoch == epoch)?;
        instance.looking.remove(&component);
        instance.looked_at.insert(component.clone(), look.began_at);
        instance.look_at.get_or_insert_with(|| now.at + spread(interval, &id));
        let before = instance.runs_of(&component).clone();
        let after = before.after(seen);
        let moved = instance.set_runs(&component, after.clone());
        Some((before, after, moved))
    });
    let Some((before, after, moved)) = heard.flatten() else { return };
    // A start may have waited for it.
    set.dirty = true;
    if !moved {
        return;
    }
    if before != Runs::UNKNOWN {
        let about = About { instance: Some(&id), ..About::set(&name) };
        let what = What::Seen { component: component.clone(), was: before, now: after.clone() };
        out.audit(about, By::host(), what, now);
    }
    out.writes.push(Write::Runs(name, id.clone(), component, after));
    announce(set, &id, out);
}

/// A part of the interval, the same for an instance each time, so that those of a fleet are spread over it.
fn spread(interval: Duration, id: &InstanceId) -> Duration {
    let parts = id
        .as_str()
        .bytes()
        .fold(2_166_136_261_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(16_777_619))
        % 1000;
    (interval / 1000 * (parts + 1)).max(Duration::from_secs(1).min(interval))
}

/// Looks at those whose time has come.
pub(super) fn look_again(fleet: &mut Fleet, name: &ScaleSetName, now: Now, out: &mut Out) {
    let Some(due) =
        fleet.set(name).ok().filter(|set| set.look_due.get_min().is_some_and(|(at, _)| *at <= now.at))
    else {
        return;
    };
    let due: Vec<InstanceId> =
        due.look_due.iter().take_while(|(at, _)| *at <= now.at).map(|(_, id)| id.clone()).collect();
    let Some(set) = fleet.change(name) else { return };
    let interval = set.driver.sight.interval;
    for id in due {
        set.change(&id, |instance| instance.look_at = Some(now.at + interval));
        look(set, &id, now, out);
    }
}

/// Before a start: looks at every instance of which what is known is old, and at those that would be left alone
/// because they have what is wanted.
pub(super) fn look_before(
    set: &mut SetState,
    goal: &Goal,
    is_meant: impl Fn(&InstanceId) -> bool,
    now: Now,
    out: &mut Out,
) {
    let asked = |component: &Component| set.can_tell(component) == CanTell::Yes;
    if set.driver.custody == Custody::Host || !goal.changes().any(|change| asked(&change.component)) {
        return;
    }
    let is_old = |instance: &&InstanceState| {
        let has = |change: &crate::domain::Change| {
            instance.runs_of(&change.component).version() == Some(&change.to)
        };
        let old = |change: &crate::domain::Change| {
            let at = instance.looked_at.get(&change.component);
            asked(&change.component) && at.is_none_or(|at| now.at.since(at) > FRESH)
        };
        is_meant(&instance.spec.id)
            && instance.located == Located::Yes
            && (goal.changes().all(has) || goal.changes().any(old))
    };
    let ids: Vec<InstanceId> =
        set.members().filter(is_old).map(|instance| instance.spec.id.clone()).collect();
    for id in ids {
        look(set, &id, now, out);
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::super::{Effect, Event};
    use super::*;
    use crate::domain::{Seen, Version};
    use crate::rollout::UpgradeState;

    fn v(text: &str) -> Seen {
        Seen::Version(version(text))
    }

    fn runs(rig: &Rig, instance: &str) -> String {
        rig.instance(instance).runs.to_string()
    }

    /// Every instance was judged healthy; nobody has answered what it runs.
    fn judged() -> Rig {
        let mut rig = Rig::new(vec![orders()]);
        for instance in ["0", "1", "2"] {
            rig.judge(instance, decision(0));
        }
        rig
    }

    #[test]
    fn what_cannot_be_told_is_unknown_and_never_what_is_wanted() {
        let mut rig = judged();
        for (asked, seen) in rig.questions().into_iter().zip([Seen::Unknown, Seen::Nothing, v("v2")]) {
            rig.sees(asked, seen);
        }
        let all = ["0", "1", "2"].map(|one| runs(&rig, one));
        assert_eq!(all, ["unknown", "absent", "v2"]);
        let recorded: Vec<String> = rig.disk.stored().versions.values().map(ToString::to_string).collect();
        assert_eq!(recorded, ["absent", "v2"], "unknown is what has no row");
        rig.start("v2");
        for asked in rig.questions() {
            rig.sees(asked, v("v2"));
        }
        assert_eq!(rig.upgrade().members.len(), 2, "the unknown one and the empty one are brought there");
        assert_eq!(rig.upgrade().already, 1);
    }

    #[test]
    fn an_upgrade_waits_for_the_first_look_at_everybody() {
        let mut rig = judged();
        let mut questions = rig.questions();
        rig.start("v2");
        rig.pass(Duration::from_secs(3600));
        assert!(rig.asked().is_empty() && rig.upgrade().digest.is_none(), "nobody knows what runs");
        let last = questions.pop().unwrap();
        for asked in questions {
            rig.sees(asked, v("v1"));
        }
        assert!(rig.upgrade().digest.is_none(), "one has not answered");
        rig.sees(last, Seen::Unknown);
        assert!(rig.upgrade().digest.is_some());
    }

    #[test]
    fn an_answer_that_an_effect_has_overtaken_counts_for_nothing() {
        let mut rig = Rig::healthy();
        rig.pass(Duration::from_secs(600));
        let looked = rig.questions();
        assert_eq!(looked.len(), 3, "in its rhythm");
        rig.start("v2");
        let late = looked.into_iter().find(|question| question.instance.id == id("0")).unwrap();
        for question in ["1", "2"] {
            let set = name("orders");
            let instance = std::sync::Arc::clone(&rig.instance(question).spec);
            let component = Component::Application;
            let asked = Observe { scale_set: set, instance, component, expected: None, epoch: 0 };
            rig.sees(asked, v("v1"));
        }
        rig.sees(late.clone(), v("v1"));
        rig.everybody_answers();
        let asked = rig.asked().remove(0);
        rig.done(asked, Ok(()));
        rig.sees(late, v("v0"));
        assert_eq!(runs(&rig, "0"), "v2");
    }

    #[test]
    fn without_a_way_to_ask_what_was_done_last_is_there_and_else_the_files_version() {
        let mut set = orders();
        set.driver.sight.application = CanTell::No;
        let mut rig = Rig::new(vec![set]);
        rig.all_healthy();
        assert_eq!(runs(&rig, "0"), "v1");
        rig.start("v2");
        rig.run_to_the_end();
        assert_eq!(rig.upgrade().state, UpgradeState::Completed);
        // One that is added now was never touched: it is not taken to run what the others were brought to.
        let mut spec = (*rig.instance("0").spec).clone();
        spec.id = id("7");
        rig.sets.iter_mut().for_each(|set| {
            set.spec.instances.insert(id("7"), std::sync::Arc::new(spec.clone()));
        });
        let rig = rig.restart();
        assert_eq!((runs(&rig, "0"), runs(&rig, "7")), ("v2".to_owned(), "v1".to_owned()));
        assert!(
            rig.effects.iter().all(|effect| !matches!(effect, Effect::Observe(_))),
            "nobody can be asked"
        );
    }

    #[test]
    fn a_machine_that_comes_back_with_something_else_is_not_called_there_already() {
        let mut rig = Rig::healthy();
        rig.start("v2");
        rig.run_to_the_end();
        rig.effects.clear();
        rig.start("v2");
        let questions = rig.questions();
        assert_eq!(
            questions.len(),
            3,
            "those that would be left alone are asked, however short a time it is"
        );
        for asked in questions {
            let seen = if asked.instance.id == id("1") { v("v1") } else { v("v2") };
            rig.sees(asked, seen);
        }
        assert_eq!(rig.upgrade().members.keys().collect::<Vec<_>>(), [&id("1")]);
        assert!(rig.trail().contains(&"seen"), "and it is told");
    }

    #[test]
    fn what_is_old_is_asked_for_before_a_start_and_in_a_rhythm() {
        let mut rig = Rig::healthy();
        rig.start("v2");
        assert!(rig.questions().is_empty(), "a moment ago");
        let mut rig = Rig::healthy();
        rig.pass(Duration::from_secs(61));
        for instance in ["0", "1", "2"] {
            rig.judge(instance, decision(0));
        }
        rig.start("v2");
        assert_eq!(rig.questions().len(), 3);
        let mut rig = Rig::healthy();
        let mut asked = 0;
        for _ in 0..60 {
            rig.pass(Duration::from_secs(10));
            for question in rig.questions() {
                asked += 1;
                rig.sees(question, v("v1"));
            }
        }
        assert_eq!(asked, 6, "each of three twice in ten minutes");
    }

    #[test]
    fn the_way_back_of_what_is_unknown_is_what_was_recorded() {
        let mut rig = Rig::healthy();
        rig.pass(Duration::from_secs(61));
        for instance in ["0", "1", "2"] {
            rig.judge(instance, decision(0));
        }
        rig.start("v2");
        for asked in rig.questions() {
            rig.sees(asked, Seen::Unknown);
        }
        let member = rig.upgrade().members.get(&id("0")).unwrap().clone();
        assert_eq!(member.parts.first().and_then(|part| part.previous.clone()), Some(version("v1")));
        let asked = rig.asked().remove(0);
        assert_eq!(asked.previous, Some(version("v1")));
        rig.done_and_seen(asked, Err("exit code 1"), Seen::Unknown);
        assert_eq!(rig.asked().remove(0).version, version("v1"));
    }

    #[test]
    fn a_host_that_holds_asks_and_one_that_was_adopted_goes_on_to() {
        let _: fn(Version) -> Seen = Seen::Version;
        let mut rig = Rig::healthy();
        rig.disk.doubt(crate::record::Doubt::Copied);
        let mut rig = rig.restart();
        for asked in rig.questions() {
            rig.sees(asked, v("v3"));
        }
        assert_eq!(runs(&rig, "0"), "v3");
        rig.turn(vec![Event::Ending]);
    }
}
