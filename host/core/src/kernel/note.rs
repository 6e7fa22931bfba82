//! What a driver and a plugin's worker report by themselves.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::event::{PluginTrouble, Waits};
use super::out::{About, Out};
use super::state::{Fleet, Trouble};
use crate::domain::{By, DriverNote, Now, PluginName, ProcessState, ScaleSetName};
use crate::lifecycle::{self, Offer};
use crate::record::audit::{PluginWish, What};
use crate::rollout::Stage;

/// Takes in a note of a driver.
pub(super) fn note(fleet: &mut Fleet, note: DriverNote, now: Now, out: &mut Out) {
    let DriverNote { scale_set: name, instance: id, at, state, text } = note;
    let Some(set) = fleet.change(&name) else { return };
    let in_gate = set.active().and_then(|upgrade| upgrade.members.behind(&id));
    let in_gate = in_gate.is_some_and(|(_, member)| member.state.is_in_flight());
    let heard = set.change(&id, |instance| {
        instance.trouble = Some(Arc::new(Trouble { at: now.at, text: text.clone() }));
        // A note about the process before the latest effect comes too late to matter.
        if at >= instance.applied_at {
            instance.down = state == ProcessState::Exited;
            if instance.down && in_gate {
                // What the process has said that ended says nothing of the one that may come.
                instance.fold.stopped();
            }
        }
    });
    if heard.is_none() {
        return;
    }
    if state == ProcessState::Exited
        && let Some(upgrade) = set.upgrade.as_ref()
        && matches!(upgrade.stage, Stage::Baking { .. })
    {
        if set.ended_in_bake.as_ref().is_none_or(|(bake, _)| *bake != upgrade.id) {
            set.ended_in_bake = Some((upgrade.id.clone(), BTreeMap::new()));
        }
        if let Some((_, ended)) = &mut set.ended_in_bake {
            ended.insert(id.clone(), format!("ended by itself in the bake: {text}"));
        }
    }
    // The gate looks: what ended has not been healthy without a break.
    set.dirty = true;
    out.changes.troubles.push((name.clone(), id.clone(), text.clone()));
    let about = About { instance: Some(&id), ..About::set(&name) };
    out.audit(about, By::host(), What::Process { state, text }, now);
}

/// Puts down what an upgrade waits for; one that has ended waits for nothing.
pub(super) fn waits(fleet: &Fleet, waits: Waits, now: Now, out: &mut Out) {
    let Waits { scale_set, upgrade: id, on, instances, count, until, says } = waits;
    let Ok(set) = fleet.set(&scale_set) else { return };
    if let Some(upgrade) = set.active().filter(|upgrade| upgrade.id == id) {
        let what = What::Waits { on, instances, count, until, says };
        out.audit(About::upgrade(upgrade, None), By::host(), what, now);
    }
}

/// Tells every scale set of the plugin what a person or a program wanted of it.
pub(super) fn plugin_asked(
    fleet: &Fleet,
    plugin: &PluginName,
    (wanted, by): (&lifecycle::Command, By),
    now: Now,
    out: &mut Out,
) {
    let wish = match wanted {
        lifecycle::Command::Swap(Offer::Held { source, .. } | Offer::Reference(source), _) => {
            PluginWish::Swap { source: source.clone() }
        }
        lifecycle::Command::Rollback(to) => PluginWish::Rollback { to: *to },
        lifecycle::Command::Promote => PluginWish::Promote,
        lifecycle::Command::Discard => PluginWish::Discard,
        // A reload has a line of its own.
        lifecycle::Command::Prepare(..) | lifecycle::Command::TakeUp | lifecycle::Command::Abandon => return,
    };
    for name in judged_by(fleet, plugin) {
        let what = What::PluginAsked { plugin: plugin.clone(), wish: wish.clone() };
        out.audit(About::set(&name), by.clone(), what, now);
    }
}

/// Tells every scale set that the configuration was read again, and what of it changed.
pub(super) fn reloaded(
    fleet: &Fleet,
    changed: &BTreeMap<ScaleSetName, Vec<String>>,
    by: &By,
    now: Now,
    out: &mut Out,
) {
    for name in fleet.names(|_| true) {
        let changed = changed.get(&name).cloned().unwrap_or_default();
        out.audit(About::set(&name), by.clone(), What::Reloaded { changed }, now);
    }
}

/// Tells every scale set of the plugin that it fails for most of its instances.
pub(super) fn plugin_trouble(fleet: &Fleet, trouble: &PluginTrouble, now: Now, out: &mut Out) {
    let PluginTrouble { plugin, digest, generation, failed, judged, rounds, cause } = trouble;
    for name in judged_by(fleet, plugin) {
        let what = What::PluginTrouble {
            plugin: plugin.clone(),
            digest: *digest,
            generation: *generation,
            failed: *failed,
            judged: *judged,
            rounds: *rounds,
            cause: cause.clone(),
        };
        out.audit(About::set(&name), By::host(), what, now);
    }
}

/// Tells every scale set of the plugin that it went back to a former generation.
pub(super) fn plugin_reverted(fleet: &Fleet, plugin: &PluginName, text: &str, now: Now, out: &mut Out) {
    for name in judged_by(fleet, plugin) {
        let what = What::PluginReverted { plugin: plugin.clone(), text: text.to_owned() };
        out.audit(About::set(&name), By::host(), what, now);
    }
}

fn judged_by(fleet: &Fleet, plugin: &PluginName) -> Vec<ScaleSetName> {
    fleet.names(|set| set.spec.plugin == *plugin)
}

#[cfg(test)]
mod tests {
    use super::super::Event;
    use super::super::testing::*;
    use super::*;
    use crate::domain::*;
    use std::time::Duration;

    fn note(rig: &Rig, state: ProcessState, at: i64) -> Event {
        let at = Timestamp(rig.now.at.0 + at);
        let text = format!("process 7 {state:?}");
        Event::Note(DriverNote { scale_set: name("orders"), instance: id("0"), at, state, text })
    }

    #[test]
    fn what_ended_by_itself_is_down_until_a_new_one_runs() {
        let mut rig = Rig::healthy();
        rig.turn(vec![note(&rig, ProcessState::Exited, 0)]);
        assert!(rig.instance("0").down && rig.last_line() == "process 7 Exited");
        rig.judge("0", decision(0));
        assert_eq!(rig.instance("0").fold.health(), Health::Unknown, "something else answers there");
        rig.turn(vec![note(&rig, ProcessState::Restarted, 0)]);
        assert!(!rig.instance("0").down);
        assert_eq!(rig.trail(), ["exited", "restarted"]);
    }

    #[test]
    fn a_note_about_the_process_before_comes_too_late() {
        let mut rig = Rig::healthy();
        rig.start("v2");
        rig.pass(Duration::from_secs(3));
        let asked = rig.asked().remove(0);
        assert_eq!(asked.instance.id, id("0"));
        rig.done(asked, Ok(()));
        rig.turn(vec![note(&rig, ProcessState::Exited, -2_000)]);
        assert!(!rig.instance("0").down);
    }

    #[test]
    fn the_gate_does_not_pass_on_the_word_of_a_process_that_has_ended() {
        let mut set = orders();
        set.spec.policy.gate.stable_for = Duration::from_secs(7);
        let mut rig = Rig::new(vec![set]);
        rig.all_healthy();
        rig.effects.clear();
        rig.start("v2");
        let asked = rig.asked().remove(0);
        rig.done(asked, Ok(()));
        rig.judge("0", decision(0));
        rig.pass(Duration::from_secs(1));
        rig.turn(vec![note(&rig, ProcessState::Exited, 0)]);
        rig.turn(vec![note(&rig, ProcessState::Restarted, 0)]);
        rig.pass(Duration::from_secs(8));
        assert_eq!(rig.upgrade().progress().successful, 0, "the new process has said nothing");
        rig.judge("0", decision(0));
        rig.pass(Duration::from_secs(6));
        assert_eq!(rig.upgrade().progress().successful, 0, "not for long enough");
        rig.pass(Duration::from_secs(2));
        assert_eq!(rig.upgrade().progress().successful, 1);
    }

    #[test]
    fn what_an_upgrade_waits_for_is_put_down_while_it_runs() {
        let mut rig = Rig::healthy();
        rig.start("v2");
        let waits = |rig: &Rig, upgrade: &str| {
            let view = rig.kernel.fleet();
            let seen = crate::kernel::report::waiting(view, rig.set(), rig.now).unwrap();
            let (on, few, until) = (seen.wait(), seen.few(), seen.until());
            Event::Waits(Box::new(Waits {
                scale_set: name("orders"),
                upgrade: UpgradeId::parse(upgrade).unwrap(),
                on,
                instances: few.first.into_iter().cloned().collect(),
                count: few.count,
                until,
                says: seen.says().map(str::to_owned),
            }))
        };
        let id = rig.upgrade().id.to_string();
        let (other, this) = (waits(&rig, "orders-99"), waits(&rig, &id));
        let before = rig.trail().len();
        rig.turn(vec![other]);
        assert_eq!(rig.trail().len(), before, "another one");
        rig.turn(vec![this]);
        assert_eq!(
            (rig.trail().pop(), rig.last_line().as_str()),
            (Some("waiting"), "waits for the driver: 0")
        );
    }

    #[test]
    fn who_wants_something_of_a_plugin_stands_in_the_trail() {
        let mut rig = Rig::healthy();
        let plugin = PluginName::parse("db").unwrap();
        let offer = Offer::Reference("oci://registry.example/db:2".to_owned());
        let swap = lifecycle::Command::Swap(offer, lifecycle::SwapOptions::default());
        let mut out = super::super::out::Out::new(Default::default(), Default::default());
        let by = By { reason: Some("CHG-7".to_owned()), ..By::host() };
        plugin_asked(rig.kernel.fleet(), &plugin, (&swap, by), rig.now, &mut out);
        plugin_asked(
            rig.kernel.fleet(),
            &plugin,
            (&lifecycle::Command::TakeUp, By::host()),
            rig.now,
            &mut out,
        );
        let lines: Vec<String> = out
            .writes
            .iter()
            .map(|write| match write {
                crate::record::Write::Audit(entry) => entry.to_string(),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(lines, ["plugin db: a swap to oci://registry.example/db:2 was asked for: CHG-7"]);
        let change = super::super::command::Reconfiguration::default();
        assert!(rig.ask(super::super::Command::Reconfigure(change)).unwrap().is_ok());
        assert_eq!(rig.last_line(), "the configuration was read again; nothing of this scale set changed");
    }

    #[test]
    fn trouble_of_a_plugin_is_told_to_its_sets_alone() {
        let mut other = orders();
        other.spec.name = name("stock");
        other.spec.plugin = PluginName::parse("queue").unwrap();
        let mut rig = Rig::new(vec![orders(), other]);
        let plugin = PluginName::parse("db").unwrap();
        rig.turn(vec![Event::PluginTrouble(PluginTrouble {
            plugin,
            digest: Digest([7; 32]),
            generation: Generation(3),
            failed: 2,
            judged: 3,
            rounds: 3,
            cause: "it trapped".to_owned(),
        })]);
        let sets: Vec<String> = rig.disk.trail().map(|entry| entry.scale_set.to_string()).collect();
        assert_eq!((rig.trail(), sets), (vec!["plugin-trouble"], vec!["orders".to_owned()]));
    }
}
