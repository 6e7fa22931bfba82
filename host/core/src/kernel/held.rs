//! A record that may not be the one that the fleet was run by last: until a person adopts it the host looks and
//! serves, and admits, repeats, restores, creates, deletes and starts nothing.
//!
//! Plugins go on to judge, and what was seen is recorded: neither touches an instance.

use std::sync::Arc;

use super::boot;
use super::done;
use super::event::{Done, Superseded};
use super::memory::Memories;
use super::out::{About, Out};
use super::perform;
use super::refusal::Refusal;
use super::sight;
use super::state::{Fleet, Place, Startup};
use crate::domain::{By, Custody, Fence, InstanceId, Located, Now, ScaleSetName, Seen, Touched};
use crate::record::audit::{HoldState, What};
use crate::record::{Doubt, Hold, Write};

/// How far above ours a generation may be that an agent claims to have seen. An agent that says more is not
/// believed: no host would ever be above it again.
const AHEAD_MAX: u32 = 1_000_000;

/// What is refused while the host holds.
pub(super) fn check(fleet: &Fleet) -> Result<(), Refusal> {
    match &fleet.held {
        None => Ok(()),
        Some(hold) => Err(Refusal::Holding { why: hold.to_string() }),
    }
}

/// Looks at every instance and touches none.
pub(super) fn begin(fleet: &mut Fleet, hold: &Hold, now: Now, out: &mut Out) {
    fleet.held = Some(Arc::new(hold.clone()));
    fleet.startup = Startup::Waits;
    for name in fleet.names(|_| true) {
        let Some(set) = fleet.change(&name) else { continue };
        let located = set.instances().filter(|instance| instance.located == Located::Yes);
        let ids: Vec<InstanceId> = located.map(|instance| instance.spec.id.clone()).collect();
        for id in ids {
            match set.driver.custody {
                Custody::Site => sight::look(set, &id, now, out),
                Custody::Host => perform::announce(set, &id, out),
            }
        }
    }
    say(fleet, HoldState::Holds { why: hold.to_string() }, &By::host(), now, out);
}

/// An agent has refused an operation because a higher generation has told it something. The operation is neither
/// done nor failed: it is asked for again once a person has adopted the record.
pub(super) fn superseded(fleet: &mut Fleet, heard: Superseded, now: Now, out: &mut Out) {
    let Superseded { scale_set, instance, component, operation, seen } = heard;
    let Ok(set) = fleet.set(&scale_set) else { return };
    if !set.is_busy(&instance, &component, &operation) {
        return;
    }
    let asked = out.numbers.fence;
    let Some(next) = above(seen, asked) else {
        let text = format!(
            "the agent says that it has seen generation {seen}, which no host can have had after {asked}; \
             correct what it remembers"
        );
        let answer = Err(text);
        return done::done(
            fleet,
            Done {
                scale_set,
                instance,
                component,
                operation,
                answer,
                touched: Touched::No,
                seen: Seen::Unknown,
            },
            now,
            out,
        );
    };
    if next > asked {
        out.numbers.fence = next;
        out.writes.push(Write::Fence(next));
    }
    if let Some(set) = fleet.change(&scale_set) {
        set.change(&instance, |instance| {
            instance.busy.remove(&component);
            if matches!(instance.place, Place::Leaving { .. }) {
                instance.retry_at = Some(now.at);
            }
        });
    }
    let before = fleet.held.as_deref().cloned().unwrap_or_default();
    let mut hold = before.clone();
    hold.add(Doubt::Superseded { scale_set, instance, asked, seen });
    if hold != before {
        out.writes.push(Write::Hold(Some(hold.clone())));
        fleet.held = Some(Arc::new(hold.clone()));
        say(fleet, HoldState::Holds { why: hold.to_string() }, &By::host(), now, out);
    }
}

/// The generation that is above both; none when there cannot be one.
fn above(seen: Fence, ours: Fence) -> Option<Fence> {
    if seen < ours {
        return Some(ours);
    }
    let near = seen.term() == ours.term() && seen.incarnation() - ours.incarnation() <= AHEAD_MAX;
    Fence::new(seen.incarnation() + 1, seen.term()).ok().filter(|_| near)
}

/// A person says that this is the record to go on with: what waited begins, as at a start.
pub(super) fn adopt(
    fleet: &mut Fleet,
    memories: &mut Memories,
    by: &By,
    now: Now,
    out: &mut Out,
) -> Result<(), Refusal> {
    let Some(hold) = fleet.held.take() else { return Err(Refusal::NotHolding) };
    out.writes.push(Write::Hold(None));
    say(fleet, HoldState::Adopted { was: hold.to_string() }, by, now, out);
    let startup = std::mem::take(&mut fleet.startup);
    boot::take_up(fleet, memories, startup, now, out);
    Ok(())
}

/// One line of the trail for each set.
fn say(fleet: &mut Fleet, state: HoldState, by: &By, now: Now, out: &mut Out) {
    let names: Vec<ScaleSetName> = fleet.names(|_| true);
    for name in names {
        let Some(set) = fleet.change(&name) else { continue };
        set.dirty = true;
        let upgrade = set.active().map(|upgrade| upgrade.id.clone());
        let about = About { scale_set: &name, upgrade: upgrade.as_ref(), instance: None };
        out.audit(about, by.clone(), What::Record { state: state.clone() }, now);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::command::Command;
    use super::super::testing::*;
    use super::super::{Effect, Event, Reply};
    use super::*;
    use crate::domain::{Component, Membership, OperationId};
    use crate::rollout::Wish;

    /// A host that was killed with an upgrade to v2 in flight, and starts from a copy.
    fn copied() -> (Rig, OperationId) {
        let mut rig = Rig::healthy();
        rig.start("v2");
        let operation = rig.asked().remove(0).operation;
        rig.disk.doubt(Doubt::Copied);
        (rig.restart(), operation)
    }

    /// Whether anything went out that changes an instance.
    fn touches(rig: &Rig) -> bool {
        rig.effects.iter().any(|effect| match effect {
            Effect::Ensure(_)
            | Effect::Create(_)
            | Effect::Delete(_)
            | Effect::Dismiss(_)
            | Effect::Hook(_) => true,
            Effect::Observe(_)
            | Effect::End(..)
            | Effect::Probe(_)
            | Effect::Drive(_)
            | Effect::Forget(..)
            | Effect::Remember(..)
            | Effect::Ask(_)
            | Effect::Keep(_)
            | Effect::Plugin(..) => false,
        })
    }

    fn superseded_by(rig: &mut Rig, seen: u64) {
        let asked = rig.asked().remove(0);
        rig.turn(vec![Event::Superseded(Superseded {
            scale_set: asked.scale_set,
            instance: asked.instance.id,
            component: asked.component,
            operation: asked.operation,
            seen: Fence::try_from(seen).unwrap(),
        })]);
    }

    #[test]
    fn a_copy_looks_and_touches_nothing_until_it_is_adopted() {
        let (mut rig, operation) = copied();
        let looked = rig.effects.iter().filter(|effect| matches!(effect, Effect::Observe(_))).count();
        assert_eq!(looked, 3);
        assert!(!touches(&rig));
        rig.all_healthy();
        rig.pass(Duration::from_secs(3600));
        assert!(!touches(&rig), "neither what was in flight nor anything else");
        assert_eq!(rig.wake_at, None, "nothing is due, so the loop sleeps");
        for command in
            [Command::Start(name("orders"), to_version("v3")), Command::Wish(name("orders"), Wish::Cancel)]
        {
            let refused = rig.ask(command).unwrap().unwrap_err();
            assert!(matches!(&refused, Refusal::Holding { .. }), "{refused}");
            assert!(refused.to_string().contains("`phasegate data adopt`"), "{refused}");
        }
        let by = By { reason: Some("the old disk is gone".to_owned()), ..By::host() };
        assert_eq!(rig.ask_as(by, Command::Adopt), Some(Ok(Reply::Recorded)));
        assert_eq!(rig.asked().remove(0).operation, operation, "what was in flight is asked for again");
        assert!(
            rig.disk
                .trail()
                .any(|line| line.to_string().ends_with("another lock file: the old disk is gone"))
        );
        assert_eq!(rig.ask(Command::Adopt), Some(Err(Refusal::NotHolding)));
        let rig = rig.restart();
        assert!(rig.kernel.fleet().held.is_none() && touches(&rig), "it stays adopted");
    }

    #[test]
    fn it_holds_on_after_a_restart() {
        let (rig, _) = copied();
        let mut rig = rig.restart();
        rig.all_healthy();
        assert!(rig.kernel.fleet().held.is_some() && !touches(&rig));
    }

    #[test]
    fn an_adoption_that_cannot_be_recorded_lets_nothing_out() {
        for mood in [DiskMood::Refuses, DiskMood::Lies, DiskMood::Doubts] {
            let (mut rig, _) = copied();
            rig.mood = mood;
            match (mood, rig.ask(Command::Adopt)) {
                (DiskMood::Refuses, Some(Err(Refusal::NotRecorded { .. }))) => {}
                // It may stand in the record: the answer comes once that is written over.
                (DiskMood::Lies | DiskMood::Doubts, None) => {}
                (_, answer) => panic!("{mood:?}: {answer:?}"),
            }
            assert!(!touches(&rig) && rig.kernel.fleet().held.is_some(), "{mood:?}");
            rig.mood = DiskMood::Takes;
            rig.pass(Duration::from_secs(6));
            rig.pass(Duration::ZERO);
            assert!(rig.disk.stored().hold.is_some(), "{mood:?}: also when it was made");
            assert!(!touches(&rig.restart()), "{mood:?}");
        }
    }

    #[test]
    fn the_line_can_be_stopped_before_it_is_adopted() {
        let (mut rig, _) = copied();
        let by = By { reason: Some("first look at v2".to_owned()), ..By::host() };
        assert!(matches!(rig.ask_as(by, Command::StopLine), Some(Ok(Reply::Line(Some(_))))));
        assert!(!touches(&rig));
    }

    #[test]
    fn where_the_host_keeps_instances_running_none_is_started() {
        let mut set = orders();
        set.driver.custody = Custody::Host;
        let mut rig = Rig::new(vec![set]);
        assert_eq!(rig.asked().len(), 3);
        rig.disk.doubt(Doubt::Restored);
        let mut rig = rig.restart();
        rig.pass(Duration::from_secs(60));
        assert!(!touches(&rig));
        rig.ask(Command::Adopt);
        assert_eq!(rig.asked().len(), 3);
    }

    #[test]
    fn what_was_to_be_deleted_stays_until_it_is_adopted() {
        let mut rig = Rig::healthy();
        let instance = (*rig.instance("0").spec).clone();
        let leaving = Membership::Leaving { instance, located: Located::Yes, replaced_by: None };
        rig.disk.apply(&crate::record::Commit {
            version: crate::record::Commit::VERSION,
            seq: 1_000,
            anchor: crate::record::Anchor::default(),
            writes: vec![Write::Membership(name("orders"), id("9"), Some(Box::new(leaving)))],
        });
        rig.disk.doubt(Doubt::Copied);
        let mut rig = rig.restart();
        rig.pass(Duration::from_secs(3600));
        assert!(!touches(&rig));
        rig.ask(Command::Adopt);
        assert!(rig.effects.iter().any(|effect| matches!(effect, Effect::Delete(_))));
    }

    #[test]
    fn an_agent_that_has_seen_a_higher_generation_holds_the_host() {
        let mut rig = Rig::healthy();
        rig.start("v2");
        let operation = rig.upgrade().id.clone();
        superseded_by(&mut rig, 41);
        assert!(rig.upgrade().is_active() && rig.instance("0").trouble.is_none(), "it has not failed");
        let stored = rig.disk.stored();
        assert_eq!(u64::from(stored.fence), 42, "above every one that it has heard of");
        assert!(stored.hold.as_ref().unwrap().to_string().contains("generation 41"), "{:?}", stored.hold);
        rig.pass(Duration::from_secs(3600));
        assert!(!touches(&rig));
        rig.ask(Command::Adopt);
        let again = rig.asked().remove(0);
        assert_eq!(u64::from(again.fence), 42);
        assert!(
            again.operation.0.starts_with(operation.as_str()) && again.component == Component::Application
        );
        let stored = rig.disk.clone().open();
        assert_eq!((u64::from(stored.fence), stored.hold), (43, None), "the next start is above it, too");
    }

    #[test]
    fn an_agent_that_claims_what_cannot_be_is_not_believed() {
        for seen in [(1 << 53) - 1, u64::from(AHEAD_MAX) + 2, 1 << 24] {
            let mut rig = Rig::healthy();
            rig.start("v2");
            superseded_by(&mut rig, seen);
            assert!(rig.kernel.fleet().held.is_none(), "{seen}");
            let trouble = rig.set().instances().find_map(|one| one.trouble.clone()).unwrap();
            assert!(trouble.text.contains("which no host can have had"), "{}", trouble.text);
        }
    }

    #[test]
    fn a_late_answer_of_an_operation_that_is_over_holds_nothing() {
        let mut rig = Rig::healthy();
        rig.start("v2");
        let asked = rig.asked().remove(0);
        rig.turn(vec![Event::Superseded(Superseded {
            scale_set: asked.scale_set,
            instance: asked.instance.id,
            component: asked.component,
            operation: OperationId("orders-0/0/1".to_owned()),
            seen: Fence::try_from(9).unwrap(),
        })]);
        assert!(rig.kernel.fleet().held.is_none());
    }
}
