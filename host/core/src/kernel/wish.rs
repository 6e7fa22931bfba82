//! What a person tells an upgrade that runs, or one that has ended.

use super::memory::Memories;
use super::out::{About, Out};
use super::refusal::Refusal;
use super::state::Fleet;
use super::{doubts, look, retry, rollback, start};
use crate::domain::{By, Now, ScaleSetName};
use crate::record::audit::{RetryNote, What};
use crate::rollout::{Brake, Event, Purpose, Wish, refusal};

/// Tells the latest upgrade of a set something.
pub(super) fn wish(
    fleet: &mut Fleet,
    memories: &mut Memories,
    (name, wish): (&ScaleSetName, Wish),
    by: &By,
    now: Now,
    out: &mut Out,
) -> Result<(), Refusal> {
    let set = fleet.set(name)?;
    let Some(upgrade) = set.active() else { return to_ended(fleet, memories, (name, wish), by, now, out) };
    let goes_back = matches!(wish, Wish::RollBack | Wish::RollBackOn);
    if goes_back && matches!(upgrade.purpose, Purpose::Rollback { .. }) {
        return Err(start::still_running(upgrade));
    }
    if let Some(why) = refusal(upgrade, &set.view(now), now.at, wish) {
        return Err(Refusal::Wish { scale_set: name.clone(), why });
    }
    out.audit(About::upgrade(upgrade, None), by.clone(), What::Wish { wish }, now);
    if wish == Wish::Bypass
        && let Some(set) = fleet.change(name)
    {
        // Whoever says go says that the host is well.
        doubts::trust(set, now, out);
    }
    look::look(fleet, memories, name, &[Event::Wish(wish)], now, out);
    Ok(())
}

fn to_ended(
    fleet: &mut Fleet,
    memories: &mut Memories,
    (name, wish): (&ScaleSetName, Wish),
    by: &By,
    now: Now,
    out: &mut Out,
) -> Result<(), Refusal> {
    let Some(set) = fleet.change(name) else { return Ok(()) };
    match wish {
        Wish::RollBack | Wish::RollBackOn => {
            let brake = if wish == Wish::RollBackOn { Brake::Off } else { Brake::On };
            rollback::latest(fleet, memories, (name, brake), by, now, out)?;
            if let Some(set) = fleet.change(name) {
                retry::drop_planned(set, RetryNote::RolledBack, by, now, out);
            }
            Ok(())
        }
        Wish::Cancel | Wish::CancelNow if set.retry.is_some() => {
            retry::drop_planned(set, RetryNote::Cancelled, by, now, out);
            Ok(())
        }
        Wish::Cancel | Wish::CancelNow => Err(Refusal::NothingToCancel),
        Wish::Retry => start::again(fleet, memories, name, by, now, out),
        Wish::Pause | Wish::Resume | Wish::Approve | Wish::Bypass | Wish::Promote => {
            Err(Refusal::NoRunningUpgrade(name.clone()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::super::{Command, Effect, Refusal, Reply};
    use super::*;
    use crate::domain::*;
    use crate::rollout::UpgradeState;

    fn tell(rig: &mut Rig, wish: Wish) -> Result<Reply, Refusal> {
        rig.ask(Command::Wish(name("orders"), wish)).unwrap()
    }

    #[test]
    fn nothing_runs_and_nothing_has_run() {
        let mut rig = Rig::healthy();
        assert_eq!(tell(&mut rig, Wish::Cancel), Err(Refusal::NothingToCancel));
        for wish in [Wish::Pause, Wish::Resume, Wish::Approve, Wish::Bypass, Wish::RollBack] {
            assert_eq!(tell(&mut rig, wish), Err(Refusal::NoRunningUpgrade(name("orders"))), "{wish:?}");
        }
        let stranger = rig.ask(Command::Wish(name("stock"), Wish::Cancel)).unwrap();
        assert!(matches!(stranger, Err(Refusal::NoScaleSet { known, .. }) if known == [name("orders")]));
    }

    #[test]
    fn a_pause_holds_the_next_batch_and_a_resume_lets_it_go() {
        let mut rig = Rig::healthy();
        rig.start("v2");
        assert!(tell(&mut rig, Wish::Pause).is_ok());
        let asked = rig.asked().remove(0);
        let instance = asked.instance.id.clone();
        rig.done(asked, Ok(()));
        rig.judge(instance.as_str(), decision(0));
        rig.pass(std::time::Duration::from_secs(1));
        rig.everybody_answers();
        assert!(rig.asked().is_empty() && rig.upgrade().paused);
        assert!(tell(&mut rig, Wish::Resume).is_ok());
        assert_eq!(rig.asked().len(), 1);
        assert!(matches!(tell(&mut rig, Wish::Resume), Err(Refusal::Wish { .. })), "it is not paused");
    }

    #[test]
    fn a_rollback_takes_the_latest_back_and_no_other_one() {
        let mut rig = Rig::healthy();
        rig.start("v2");
        rig.run_to_the_end();
        rig.start("v2");
        rig.run_to_the_end();
        assert_eq!(rig.upgrade().already, 3, "all there already");
        assert!(matches!(tell(&mut rig, Wish::RollBack), Err(Refusal::NothingToRollBack(_))));
        for instance in ["0", "1"] {
            rig.judge(instance, Decision { claim: Claim::Unhealthy, ..decision(0) });
        }
        rig.start("v3");
        assert_eq!(rig.upgrade().state, UpgradeState::Faulted, "refused at the door");
        assert!(matches!(tell(&mut rig, Wish::RollBack), Err(Refusal::NothingToRollBack(_))));
        assert!(rig.asked().is_empty(), "v2 is good");
        assert_eq!(versions(&rig), ["v2", "v2", "v2"]);
    }

    fn versions(rig: &Rig) -> Vec<String> {
        rig.set().instances().filter_map(|one| one.runs.version().map(ToString::to_string)).collect()
    }

    /// What drivers were told to end; taken together with everything else.
    fn ended(rig: &mut Rig) -> Vec<OperationId> {
        let all = std::mem::take(&mut rig.effects);
        let end = |effect| match effect {
            Effect::End(_, operation) => Some(operation),
            _ => None,
        };
        all.into_iter().filter_map(end).collect()
    }

    #[test]
    fn a_rollback_does_not_wait_for_the_gate() {
        let mut rig = Rig::healthy();
        rig.start("v2");
        let asked = rig.asked().remove(0);
        rig.done(asked, Ok(()));
        assert!(tell(&mut rig, Wish::RollBack).is_ok());
        let back = rig.asked();
        let told: Vec<String> =
            back.iter().map(|one| format!("{}={}", one.instance.id, one.version)).collect();
        assert_eq!(told, ["0=v1"], "at once, and nobody else");
        assert!(back[0].operation.0.starts_with("orders-2/"), "{:?}", back[0].operation);
    }

    #[test]
    fn what_a_driver_has_in_hand_ends_before_it_is_taken_back() {
        for answer in [Ok(()), Err("was ended")] {
            let mut rig = Rig::healthy();
            rig.start("v2");
            let asked = rig.asked().remove(0);
            assert!(tell(&mut rig, Wish::RollBack).is_ok());
            assert_eq!(ended(&mut rig), std::slice::from_ref(&asked.operation));
            assert!(rig.asked().is_empty(), "the driver has not answered");
            rig.done(asked, answer);
            let back = rig.asked();
            assert_eq!((back.len(), back[0].version.as_str()), (1, "v1"), "{answer:?}");
        }
    }

    #[test]
    fn a_host_that_was_killed_while_it_stopped_does_not_begin_again_what_was_to_end() {
        let mut rig = Rig::healthy();
        rig.start("v2");
        rig.asked();
        assert!(tell(&mut rig, Wish::RollBack).is_ok());
        let mut rig = rig.restart();
        let asked: Vec<String> = rig.asked().iter().map(|one| one.version.to_string()).collect();
        assert_eq!(asked, ["v1"]);
    }

    #[test]
    fn a_cancel_at_once_brings_the_batch_in_flight_back_and_leaves_the_others() {
        let mut rig = Rig::healthy();
        rig.start("v2");
        let first = rig.asked().remove(0);
        rig.done(first, Ok(()));
        rig.judge("0", decision(0));
        rig.pass(std::time::Duration::from_secs(1));
        rig.everybody_answers();
        let second = rig.asked().remove(0);
        rig.done(second, Ok(()));
        assert!(tell(&mut rig, Wish::CancelNow).is_ok());
        let back = rig.asked().remove(0);
        assert_eq!((back.instance.id.as_str(), back.version.as_str()), ("1", "v1"));
        rig.done(back, Ok(()));
        assert_eq!(rig.upgrade().state, UpgradeState::Cancelled);
        assert_eq!(versions(&rig), ["v2", "v1", "v1"]);
        assert!(rig.asked().is_empty(), "and nothing follows");
    }

    #[test]
    fn a_way_back_stops_when_what_it_brings_back_does_not_come_up() {
        let mut rig = Rig::healthy();
        rig.start("v2");
        rig.run_to_the_end();
        assert!(tell(&mut rig, Wish::RollBack).is_ok());
        let bad = rig.asked().remove(0);
        assert_eq!(bad.instance.id.as_str(), "2", "newest first");
        rig.done(bad, Ok(()));
        rig.judge("2", Decision { claim: Claim::Unhealthy, ..decision(0) });
        rig.pass(std::time::Duration::from_secs(200));
        assert_eq!(rig.upgrade().state, UpgradeState::Faulted);
        assert_eq!((versions(&rig), rig.asked().len()), (["v2", "v2", "v1"].map(str::to_owned).to_vec(), 0));
        assert!(matches!(tell(&mut rig, Wish::RollBack), Err(Refusal::WasRollback(_))));
        assert!(tell(&mut rig, Wish::RollBackOn).is_ok());
        let asked = rig.asked().remove(0);
        assert_eq!((asked.instance.id.as_str(), asked.version.as_str()), ("1", "v1"), "what is back is back");
    }

    #[test]
    fn a_way_back_is_not_held_by_the_health_of_the_fleet() {
        let mut rig = Rig::healthy();
        rig.start("v2");
        rig.run_to_the_end();
        for instance in ["0", "1", "2"] {
            rig.judge(instance, Decision { claim: Claim::Unhealthy, ..decision(0) });
        }
        assert!(tell(&mut rig, Wish::RollBack).is_ok());
        assert_eq!(rig.asked().len(), 1);
    }

    fn back_to(rig: &mut Rig, former: &crate::rollout::Upgrade) -> Result<Reply, Refusal> {
        rig.ask(Command::RollBackTo(name("orders"), Box::new(former.clone()))).unwrap()
    }

    #[test]
    fn a_rollback_to_an_upgrade_brings_what_that_one_had_brought() {
        let mut rig = Rig::healthy();
        rig.start("v2");
        rig.run_to_the_end();
        let former = rig.upgrade().clone();
        for to in ["v3", "v4"] {
            rig.start(to);
            rig.run_to_the_end();
        }
        let cancelled = crate::rollout::Upgrade { state: UpgradeState::Cancelled, ..former.clone() };
        assert!(matches!(back_to(&mut rig, &cancelled), Err(Refusal::NotCompleted(_))));
        assert!(back_to(&mut rig, &former).is_ok());
        rig.run_to_the_end();
        assert_eq!(versions(&rig), ["v2", "v2", "v2"]);
        assert_eq!(rig.set().model.of(&Component::Application), Some(&version("v2")));
        assert!(matches!(back_to(&mut rig, &former), Err(Refusal::AlreadyBack(_))));
        // In the middle of another one.
        rig.start("v5");
        let asked = rig.asked().remove(0);
        assert!(back_to(&mut rig, &former).is_ok());
        assert_eq!(ended(&mut rig), std::slice::from_ref(&asked.operation));
        rig.done(asked, Ok(()));
        rig.run_to_the_end();
        assert_eq!(versions(&rig), ["v2", "v2", "v2"]);
    }

    #[test]
    fn a_resume_ends_the_pause_of_now_and_no_checkpoint_to_come() {
        let mut set = orders();
        set.spec.policy.checkpoints.pause_after = [PhaseName::Number(Phase::new(0).unwrap())].into();
        let mut rig = Rig::new(vec![set]);
        rig.all_healthy();
        rig.judge("2", decision(1));
        rig.effects.clear();
        rig.start("v2");
        assert!(tell(&mut rig, Wish::Pause).is_ok());
        let asked = rig.asked().remove(0);
        rig.done(asked, Ok(()));
        rig.judge("0", decision(0));
        rig.pass(std::time::Duration::from_secs(1));
        rig.everybody_answers();
        assert!(tell(&mut rig, Wish::Resume).is_ok());
        let asked = rig.asked().remove(0);
        rig.done(asked, Ok(()));
        rig.judge("1", decision(0));
        rig.pass(std::time::Duration::from_secs(1));
        rig.everybody_answers();
        assert!(rig.asked().is_empty(), "phase 0 is done, and nobody has said a word about that");
        assert!(tell(&mut rig, Wish::Resume).is_ok());
        assert_eq!(rig.asked().len(), 1);
    }
}
