//! What a person tells an upgrade that runs, or one that has ended.

use super::memory::Memories;
use super::out::{About, Out};
use super::refusal::Refusal;
use super::state::Fleet;
use super::{doubts, look, retry, rollback, start};
use crate::domain::{By, Now, ScaleSetName};
use crate::record::audit::{RetryNote, What};
use crate::rollout::{Event, Purpose, Wish, refusal};

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
    if wish == Wish::RollBack && !upgrade.is_forward() && upgrade.purpose != Purpose::Manual {
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
        Wish::RollBack => {
            let ended = rollback::subject(set);
            let ended = ended.ok_or_else(|| Refusal::NoRunningUpgrade(name.clone()))?;
            rollback::roll_back(fleet, memories, &ended, by, now, out)?;
            if let Some(set) = fleet.change(name) {
                retry::drop_planned(set, RetryNote::RolledBack, by, now, out);
            }
            Ok(())
        }
        Wish::Cancel if set.retry.is_some() => {
            retry::drop_planned(set, RetryNote::Cancelled, by, now, out);
            Ok(())
        }
        Wish::Cancel => Err(Refusal::NothingToCancel),
        Wish::Pause | Wish::Resume | Wish::Approve | Wish::Bypass => {
            Err(Refusal::NoRunningUpgrade(name.clone()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::super::{Command, Refusal, Reply};
    use super::*;

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
    fn a_rollback_takes_the_latest_back_that_did_anything() {
        let mut rig = Rig::healthy();
        rig.start("v2");
        rig.run_to_the_end();
        rig.start("v2");
        rig.run_to_the_end();
        assert_eq!(rig.upgrade().already, 3, "all there already");
        assert!(tell(&mut rig, Wish::RollBack).is_ok());
        rig.run_to_the_end();
        let versions: Vec<String> =
            rig.set().instances().filter_map(|one| one.runs.version().map(ToString::to_string)).collect();
        assert_eq!(versions, ["v1", "v1", "v1"]);
        assert!(matches!(tell(&mut rig, Wish::RollBack), Err(Refusal::WasRollback(_))));
    }
}
