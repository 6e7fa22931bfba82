//! How hooks end: for a rollback, whose way back has hooks of its own and begins at once; and in any order.

use super::*;

/// Goes on until this hook is being run, and gives it; everything before goes well.
fn up_to(rig: &mut Rig, wanted: &str) -> HookCall {
    for _ in 0..60 {
        for (line, effect) in taken(rig) {
            match effect {
                Effect::Hook(call) if line == wanted => return *call,
                Effect::Hook(call) => over(rig, &call, Ok(())),
                Effect::Ensure(asked) => {
                    let instance = asked.instance.id.clone();
                    rig.done(*asked, Ok(()));
                    rig.judge(instance.as_str(), decision(0));
                }
                _ => {}
            }
        }
        rig.pass(Duration::from_secs(1));
        rig.everybody_answers();
    }
    panic!("{wanted} does not come");
}

/// The way back of the first two instances, each in a batch of its own.
const BACK: [&str; 10] = [
    "beforeBatch 1 back",
    "beforeInstance 1 v1 back",
    "1=v1",
    "afterInstance 1 v1 back",
    "afterBatch 1 back",
    "beforeBatch 2 back",
    "beforeInstance 0 v1 back",
    "0=v1",
    "afterInstance 0 v1 back",
    "afterBatch 2 back",
];

#[test]
fn a_rollback_waits_for_no_hook_after_of_what_it_brings_back() {
    // The batch of which everybody is judged has had its hook after; the other one gets it as it leaves.
    for (wanted, first) in
        [("afterInstance 1 v2 forward", Some("afterBatch 2 back")), ("afterBatch 2 forward", None)]
    {
        let mut rig = rig(&HookKind::ALL);
        rig.start("v2");
        let call = up_to(&mut rig, wanted);
        rig.ask(Command::Wish(name("orders"), Wish::RollBack));
        let ended = taken(&mut rig).into_iter().map(|(line, _)| line).collect::<Vec<_>>();
        assert_eq!(ended, [format!("end {}", call.operation.0)], "{wanted}");
        over(&mut rig, &call, Err("signal 15"));
        let expected: Vec<&str> = first.into_iter().chain(BACK).collect();
        assert_eq!(walk(&mut rig, |_| Ok(())), expected, "{wanted}");
    }
}

#[test]
fn nor_does_one_that_follows_when_the_time_is_over() {
    let mut set = orders();
    set.spec.policy.hooks = HookKind::ALL.into_iter().collect();
    set.spec.policy.timeouts.batch = Some(Duration::from_secs(10));
    set.spec.policy.timeouts.then = crate::domain::OnTimeout::RollBack;
    let mut rig = Rig::new(vec![set]);
    rig.all_healthy();
    rig.effects.clear();
    rig.start("v2");
    let call = up_to(&mut rig, "afterInstance 1 v2 forward");
    rig.pass(Duration::from_secs(11));
    let ended = taken(&mut rig).into_iter().map(|(line, _)| line).collect::<Vec<_>>();
    assert_eq!(ended, [format!("end {}", call.operation.0)]);
    over(&mut rig, &call, Err("signal 15"));
    let expected: Vec<&str> = ["afterBatch 2 back"].into_iter().chain(BACK).collect();
    assert_eq!(walk(&mut rig, |_| Ok(())), expected);
}

#[test]
fn what_was_never_touched_is_given_back_before_the_way_back_begins() {
    let mut rig = rig(&HookKind::ALL);
    rig.start("v2");
    let before = up_to(&mut rig, "beforeInstance 1 v2 forward");
    over(&mut rig, &before, FAILS);
    let (line, Effect::Hook(after)) = taken(&mut rig).remove(0) else { panic!("it has one after") };
    assert_eq!(line, "afterInstance 1 v2 forward");
    rig.ask(Command::Wish(name("orders"), Wish::RollBack));
    assert_eq!(taken(&mut rig), [], "nothing else gives it back");
    over(&mut rig, &after, Ok(()));
    let expected = [
        "afterBatch 2 back",
        "beforeBatch 1 back",
        "beforeInstance 0 v1 back",
        "0=v1",
        "afterInstance 0 v1 back",
        "afterBatch 1 back",
    ];
    assert_eq!(walk(&mut rig, |_| Ok(())), expected);
}

#[test]
fn hooks_of_new_instances_may_end_in_any_order() {
    let mut set = orders();
    set.spec.policy.hooks = [HookKind::BeforeInstance].into_iter().collect();
    set.spec.policy.rolling.max_surge = true;
    set.spec.policy.rolling.max_batch_instance_percent = Percent::clamped(100);
    set.spec.policy.rolling.max_unhealthy_instance_percent = Percent::clamped(100);
    set.driver.creation = crate::domain::Creation::Possible;
    let mut rig = Rig::new(vec![set]);
    rig.all_healthy();
    rig.effects.clear();
    rig.start("v2");
    rig.pass(Duration::from_secs(1));
    rig.everybody_answers();
    let hooks: Vec<HookCall> = taken(&mut rig)
        .into_iter()
        .filter_map(|(_, effect)| match effect {
            Effect::Hook(call) => Some(*call),
            _ => None,
        })
        .collect();
    assert_eq!(hooks.len(), 3, "{hooks:?}");
    let mut created = Vec::new();
    for call in hooks.iter().rev() {
        over(&mut rig, call, Ok(()));
        for effect in std::mem::take(&mut rig.effects) {
            if let Effect::Create(create) = effect {
                created.push(create.instance.id.to_string());
            }
        }
    }
    assert_eq!(created, ["5", "4", "3"]);
}
