//! Versions that faulted: which they are, and a person who lifts the quarantine.
//!
//! Does not put a version there; the end of an upgrade does.

use super::out::{About, Out};
use super::refusal::Refusal;
use super::release;
use super::state::Fleet;
use crate::domain::{By, Change, Now, ScaleSetName};
use crate::record::Write;
use crate::record::audit::{QuarantineState, What};

/// Lifts the quarantine of one version: the next start takes it as any other.
pub(super) fn lift(
    fleet: &mut Fleet,
    name: &ScaleSetName,
    change: &Change,
    by: &By,
    now: Now,
    out: &mut Out,
) -> Result<(), Refusal> {
    let known = || fleet.set(name).map(|set| set.quarantined.keys().map(ToString::to_string).collect());
    let known: Vec<String> = known()?;
    let Some(set) = fleet.change(name) else { return Ok(()) };
    let Some(reason) = set.quarantined.remove(change) else {
        let (scale_set, change) = (name.clone(), change.to_string());
        return Err(Refusal::NotQuarantined { scale_set, change, known });
    };
    out.writes.push(Write::Quarantine(name.clone(), change.clone(), None));
    let what = What::Quarantine { change: change.clone(), state: QuarantineState::Lifted { was: reason } };
    out.audit(About::set(name), by.clone(), what, now);
    release::try_again(fleet, name, out);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::super::{Command, Refusal, Reply};
    use crate::domain::{Change, Component};
    use std::time::Duration;

    fn v2() -> Change {
        Change { component: Component::Application, to: version("v2") }
    }

    #[test]
    fn a_version_that_faulted_is_told_and_can_be_let_out() {
        let mut rig = Rig::healthy();
        let lift = |rig: &mut Rig| rig.ask(Command::LiftQuarantine(name("orders"), v2())).unwrap();
        assert!(matches!(lift(&mut rig), Err(Refusal::NotQuarantined { .. })));
        rig.start("v2");
        for _ in 0..4 {
            for asked in rig.asked() {
                let failed = asked.version == version("v2");
                rig.done(asked, if failed { Err("exit code 3") } else { Ok(()) });
            }
            rig.pass(Duration::from_secs(1));
        }
        assert!(rig.set().quarantined.contains_key(&v2()));
        assert!(rig.trail().contains(&"quarantine"), "{:?}", rig.trail());
        assert_eq!(lift(&mut rig), Ok(Reply::Recorded));
        assert!(rig.disk.stored().quarantined.is_empty() && rig.last_line().contains("lifted"));
        let rig = rig.restart();
        assert!(rig.set().quarantined.is_empty());
    }
}
