//! Instances that stand somewhere else than they did, under the same id.

use super::*;

#[test]
fn one_at_another_address_begins_a_new_life_there() {
    let mut rig = Rig::healthy();
    let epoch = rig.instance("0").epoch;
    rig.effects.clear();
    reload(&mut rig, |set| with(set, "0", 9100));
    assert_eq!((rig.instance("0").epoch, rig.instance("1").epoch), (epoch + 1, epoch));
    let is_probed_there = |effect: &Effect| match effect {
        Effect::Probe(told) => told.target().address.port == 9100 && told.epoch == epoch + 1,
        _ => false,
    };
    assert!(rig.effects.iter().any(is_probed_there));
    assert_eq!(rig.questions().len(), 1, "what runs there is asked for");
    let mut rig = kept_by_the_host();
    reload(&mut rig, |set| with(set, "0", 9100));
    let asked = rig.asked().remove(0);
    assert_eq!((asked.instance.address.port, asked.version), (9100, version("v1")), "it is started there");
}

#[test]
fn who_is_another_machine_since_its_upgrade_counts_no_more_and_is_named() {
    let mut rig = Rig::healthy();
    rig.start("v2");
    let asked = rig.asked().remove(0);
    let first = asked.instance.id.clone();
    rig.done(asked, Ok(()));
    rig.everybody_answers();
    rig.pass(Duration::from_secs(30));
    rig.everybody_answers();
    assert_eq!(rig.upgrade().progress().successful, 1);
    // Other labels are no other machine.
    reload(&mut rig, |set| {
        let one = set.instances.get_mut(&first).unwrap();
        Arc::make_mut(one).labels.insert("role".to_owned(), "leader".to_owned());
    });
    assert_eq!(rig.upgrade().progress().successful, 1);
    reload(&mut rig, |set| with(set, first.as_str(), 9100));
    let is_named = |rig: &Rig| {
        let is_it = |hold: &Hold| hold.instance == first && hold.reason == HoldReason::Replaced;
        rig.upgrade().holds.iter().any(is_it)
    };
    assert_eq!(rig.upgrade().progress().successful, 0);
    assert!(is_named(&rig) && rig.disk.trail().any(|line| line.to_string().contains("another address now")));
    assert!(is_named(&rig.restart()), "and recorded");
}

#[test]
fn one_that_moves_while_its_driver_works_is_started_where_it_stands_afterwards() {
    let mut rig = kept_by_the_host();
    rig.start("v2");
    let asked = rig.asked().remove(0);
    let first = asked.instance.id.clone();
    reload(&mut rig, |set| with(set, first.as_str(), 9100));
    assert_eq!(rig.asked(), [], "it has something in hand");
    rig.done(asked, Ok(()));
    let again = rig.asked().remove(0);
    assert_eq!((again.instance.address.port, again.version), (9100, version("v2")));
}

#[test]
fn labels_alone_begin_no_new_life() {
    let mut rig = Rig::healthy();
    let epoch = rig.instance("0").epoch;
    reload(&mut rig, |set| {
        let one = set.instances.get_mut(&id("0")).unwrap();
        Arc::make_mut(one).labels.insert("role".to_owned(), "leader".to_owned());
    });
    assert_eq!(rig.instance("0").epoch, epoch);
    assert_eq!(rig.instance("0").spec.labels.len(), 1);
}
