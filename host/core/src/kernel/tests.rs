//! What a kernel does over refused commits and restarts, with a record in memory.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::event::{Created, Done};
use super::state::SetState;
use super::*;
use crate::domain::{
    Actor, Address, Claim, Component, Creation, Custody, Decided, Decision, Digest, DriverTraits, Evaluation,
    FreezeWindows, Generation, HealthSettings, Instance, InstanceId, Model, OnFailure, OperationId, Outcome,
    Participation, Percent, PluginName, PluginStamp, Protection, RollingUpgradePolicy, Runs, ScaleSet, Seen,
    Sight, Touched, UpgradePolicy, Version, testing,
};
use crate::record::{Anchor, Commit, Disk, Made};
use crate::rollout::MemberState;

fn version(text: &str) -> Version {
    Version::parse(text).unwrap()
}

fn id(text: &str) -> InstanceId {
    InstanceId::parse(text).unwrap()
}

fn set_name() -> ScaleSetName {
    ScaleSetName::parse("orders").unwrap()
}

fn instance(number: u16) -> Instance {
    Instance {
        id: id(&number.to_string()),
        address: Address { host: "10.0.0.1".to_owned(), port: 1000 + number },
        region: None,
        zone: None,
        update_domain: None,
        fault_domain: None,
        labels: BTreeMap::new(),
        protection: Protection::default(),
    }
}

/// Four instances, one at a time, judged healthy by one probe.
fn config() -> SetConfig {
    let percent = Percent::clamped;
    let rolling = RollingUpgradePolicy {
        max_unhealthy_instance_percent: percent(100),
        max_unhealthy_upgraded_instance_percent: percent(100),
        ..testing::limits(25)
    };
    let seconds = Duration::from_secs;
    let spec = ScaleSet {
        name: set_name(),
        plugin: PluginName::parse("p").unwrap(),
        health: HealthSettings { grace_period: seconds(0), ..testing::health() },
        policy: UpgradePolicy {
            gate: testing::gate(120),
            urgency: Default::default(),
            defer_max: seconds(600),
            ..testing::upgrade_policy(rolling)
        },
        mode: crate::domain::UpgradeMode::Manual,
        retry: None,
        freeze: FreezeWindows::default(),
        estate: Default::default(),
        model: Model { version: version("v1"), extensions: Vec::new() },
        instances: (0..4).map(instance).map(|one| (one.id.clone(), Arc::new(one))).collect(),
        provisioning: Default::default(),
        forget_after: Duration::from_secs(3600),
        driver: (),
    };
    let driver =
        DriverTraits { custody: Custody::Host, creation: Creation::Possible, sight: Sight::APPLICATION };
    SetConfig { spec, driver, on_failure: OnFailure::Hold }
}

/// A kernel and its record.
struct Host {
    kernel: Kernel,
    disk: Disk,
    seq: u64,
    now: Timestamp,
    /// What the latest turn wanted done.
    effects: Vec<Effect>,
}

impl Host {
    fn boot(config: SetConfig, mut disk: Disk, now: Timestamp) -> Self {
        let stored = disk.open();
        let (kernel, turn) = Kernel::boot(vec![config], &stored, Now::same(now));
        let mut host = Self { kernel, disk, seq: stored.seq, now, effects: Vec::new() };
        host.close(turn);
        host
    }

    fn close(&mut self, turn: Turn) {
        self.seq += 1;
        let commit = Commit { version: 1, seq: self.seq, anchor: Anchor::default(), writes: turn.writes };
        self.disk.apply(&commit);
        self.effects = turn.effects;
    }

    /// One turn, a second later, and what came of it.
    fn turned(&mut self, events: Vec<Event>) -> Turn {
        self.now = self.now + Duration::from_secs(1);
        self.kernel.turn(events, Now::same(self.now))
    }

    fn turn(&mut self, events: Vec<Event>) {
        let turn = self.turned(events);
        self.close(turn);
    }

    fn refuse(&mut self, events: Vec<Event>) {
        let turn = self.turned(events);
        let refused = RefusedCommit { turn, why: "disk full".to_owned(), made: Made::No };
        let turn = self.turned(vec![Event::CommitRefused(Box::new(refused))]);
        assert!(turn.writes.is_empty() && turn.effects.is_empty(), "{turn:?}");
    }

    fn set(&self) -> &SetState {
        self.kernel.fleet().set(&set_name()).unwrap()
    }

    fn judged(&self) -> Event {
        let one = |instance: &state::InstanceState| {
            let decision = Decision {
                claim: Claim::Healthy,
                phase: None,
                participation: Participation::Proceed,
                reason: None,
                memory: None,
                attributes: Vec::new(),
            };
            let name = PluginName::parse("p").unwrap();
            let stamp = PluginStamp { name, digest: Digest([0; 32]), generation: Generation(1) };
            let result = Ok(Arc::new(decision));
            Decided {
                scale_set: set_name(),
                instance: instance.spec.id.clone(),
                epoch: instance.epoch,
                started_at: self.now,
                finished_at: self.now,
                again: false,
                heard: crate::domain::Heard::Answer,
                outcome: Arc::new(Outcome { stamp, evaluation: Evaluation::default(), result }),
            }
        };
        Event::Judged(self.set().instances().map(one).collect())
    }

    fn ensured(&self, instance: &str) -> Option<(OperationId, Version)> {
        self.effects.iter().find_map(|effect| match effect {
            Effect::Ensure(ensure) if ensure.instance.id == id(instance) => {
                Some((ensure.operation.clone(), ensure.version.clone()))
            }
            _ => None,
        })
    }

    /// All instances run v1 and are healthy; an upgrade to v2 has begun with instance 0.
    fn upgrading(config: SetConfig) -> Self {
        let mut host = Self::boot(config, Disk::default(), Timestamp(1_000_000));
        for number in 0..4 {
            let (operation, wanted) = host.ensured(&number.to_string()).unwrap();
            let effects = host.effects.clone();
            host.turn(vec![done(number, operation, Ok(wanted))]);
            host.effects = effects;
        }
        host.turn(vec![host.judged()]);
        let options = command::StartOptions {
            wanted: command::Wanted { to: Some(version("v2")), ..command::Wanted::default() },
            ..Default::default()
        };
        let command = Command::Start(set_name(), options);
        let request = Request { id: RequestId(1), actor: Actor::Host, reason: None, key: None, command };
        host.turn(vec![Event::Request(request)]);
        assert!(
            host.effects.iter().all(|effect| !matches!(effect, Effect::Ensure(_))),
            "nobody was asked since"
        );
        host.turn(vec![host.judged()]);
        assert!(host.set().active().is_some_and(|upgrade| upgrade.digest.is_some()));
        host
    }

    /// As an older upgrade has left it.
    fn record_an_extension(&mut self, instance: u16) {
        let extension = Component::try_from("monitor".to_owned()).unwrap();
        let writes =
            vec![Write::Runs(set_name(), id(&instance.to_string()), extension, Runs::at(version("1")))];
        self.close(Turn { writes, ..Turn::default() });
    }

    fn is_recorded(&mut self) -> bool {
        let stored = self.disk.clone().open();
        stored.upgrades.get(&set_name()) == self.set().upgrade.as_deref()
    }
}

fn done(instance: u16, operation: OperationId, answer: Result<Version, ()>) -> Event {
    Event::Done(Done {
        scale_set: set_name(),
        instance: id(&instance.to_string()),
        component: Component::Application,
        operation,
        touched: Touched::Perhaps,
        seen: answer.clone().map_or(Seen::Nothing, Seen::Version),
        answer: answer.map(drop).map_err(|()| "exit code 3".to_owned()),
    })
}

#[test]
fn what_a_start_leaves_out_is_recorded() {
    let host = Host::upgrading(config());
    let mut config = config();
    Arc::make_mut(config.spec.instances.get_mut(&id("3")).unwrap()).protection.from_scale_set_actions = true;
    let mut host = Host::boot(config, host.disk, host.now);
    assert!(host.set().upgrade.as_ref().is_some_and(|upgrade| !upgrade.holds.is_empty()));
    assert!(host.is_recorded());
}

#[test]
fn an_answer_that_waited_for_the_record_is_heard_when_it_is_recorded() {
    let mut host = Host::upgrading(config());
    let (operation, wanted) = host.ensured("0").unwrap();
    host.refuse(vec![done(0, operation, Ok(wanted))]);
    // Nothing else happens until the record takes writes again.
    let turn = host.turned(Vec::new());
    assert!(turn.writes.is_empty());
    host.now = host.now + Duration::from_secs(10);
    host.turn(Vec::new());
    let member = host.set().upgrade.as_ref().unwrap().members.get(&id("0")).unwrap().clone();
    assert!(matches!(member.state, MemberState::Settling { .. }), "{member:?}");
    assert!(host.is_recorded());
}

#[test]
fn of_a_host_that_ends_what_has_ended_is_recorded_and_nothing_else_begins() {
    let mut host = Host::upgrading(config());
    let (operation, wanted) = host.ensured("0").unwrap();
    let nothing_begins = |host: &Host| {
        assert!(host.effects.iter().all(|effect| !matches!(effect, Effect::Ensure(_))), "{:?}", host.effects);
    };
    host.turn(vec![done(0, operation, Ok(wanted)), Event::Ending]);
    nothing_begins(&host);
    let member = host.set().upgrade.as_ref().unwrap().members.get(&id("0")).unwrap().clone();
    assert!(matches!(member.state, MemberState::Settling { .. }), "{member:?}");
    assert!(host.is_recorded());
    // Whatever is due by now is for the next host.
    for _ in 0..20 {
        host.now = host.now + Duration::from_secs(60);
        host.turn(vec![host.judged(), Event::Ending]);
        nothing_begins(&host);
    }
}

#[test]
fn what_did_not_come_up_is_not_brought_to_the_target_of_an_upgrade_that_has_not_come_to_it() {
    let host = Host::upgrading(config());
    let mut host = Host::boot(config(), host.disk, host.now);
    let (operation, wanted) = host.ensured("3").unwrap();
    assert_eq!(wanted, version("v1"));
    host.turn(vec![done(3, operation, Err(()))]);
    assert_eq!(host.set().instance(&id("3")).unwrap().runs.version(), None);
    let mut host = Host::boot(config(), host.disk, host.now);
    assert_eq!(host.ensured("3").unwrap().1, version("v1"));
    // And what was brought to the target comes up there.
    let (operation, wanted) = host.ensured("0").unwrap();
    assert_eq!(wanted, version("v2"));
    host.turn(vec![done(0, operation, Ok(wanted))]);
    host.record_an_extension(0);
    let mut host = Host::boot(config(), host.disk, host.now);
    let (operation, _) = host.ensured("0").unwrap();
    host.turn(vec![done(0, operation, Err(()))]);
    let host = Host::boot(config(), host.disk, host.now);
    assert_eq!(host.ensured("0").unwrap().1, version("v2"));
}

#[test]
fn a_creation_that_is_asked_for_again_stays_as_it_was_recorded() {
    let surge = || {
        let mut config = config();
        config.spec.policy.rolling.max_surge = true;
        config
    };
    let host = Host::upgrading(surge());
    let mut config = surge();
    Arc::make_mut(config.spec.instances.get_mut(&id("0")).unwrap()).protection.from_scale_set_actions = true;
    let mut host = Host::boot(config, host.disk, host.now);
    let create = host.effects.iter().find_map(|effect| match effect {
        Effect::Create(create) => Some(create.clone()),
        _ => None,
    });
    let create = create.unwrap();
    let recorded =
        |host: &Host| host.disk.stored().memberships.get(&(set_name(), create.instance.id.clone())).cloned();
    assert_eq!(recorded(&host), host.set().instance(&create.instance.id).unwrap().membership());
    host.turn(vec![Event::Created(Created {
        scale_set: set_name(),
        instance: create.instance.id.clone(),
        operation: create.operation.clone(),
        answer: Ok(Address { host: "10.0.0.1".to_owned(), port: 2000 }),
        seen: Seen::Unknown,
    })]);
    assert_eq!(recorded(&host), host.set().instance(&create.instance.id).unwrap().membership());
}

#[test]
fn what_is_in_flight_and_leaves_the_configuration_leaves_the_upgrade() {
    let strict = || {
        let mut config = config();
        config.spec.policy.failure.breach = crate::domain::OnBreach::RestoreFailed;
        config.spec.policy.rolling.max_unhealthy_upgraded_instance_percent = Percent::clamped(0);
        config
    };
    let host = Host::upgrading(strict());
    let mut config = strict();
    config.spec.instances.remove(&id("0"));
    let mut host = Host::boot(config, host.disk, host.now);
    let (operation, wanted) = host.ensured("0").expect("what was with its driver is repeated");
    assert_eq!(wanted, version("v2"));
    host.turn(vec![done(0, operation, Ok(wanted))]);
    let upgrade = host.set().upgrade.clone().unwrap();
    assert!(upgrade.is_active() && upgrade.members.in_flight().next().is_none(), "{:?}", upgrade.stage);
    assert!(upgrade.holds.iter().any(|hold| hold.instance == id("0")), "it is no failure, and it is named");
    assert!(host.is_recorded());
}

#[test]
fn what_was_refused_because_of_what_is_undone_was_not_recorded_either() {
    let mut host = Host::boot(config(), Disk::default(), Timestamp(1_000_000));
    let start = |number: u64| {
        let options = command::StartOptions::default();
        let (id, command) = (RequestId(number), Command::Start(set_name(), options));
        Event::Request(Request { id, actor: Actor::Host, reason: None, key: None, command })
    };
    let turn = host.turned(vec![start(1), start(2)]);
    assert!(matches!(turn.replies.as_slice(), [(_, Ok(_)), (_, Err(Refusal::StillRunning { .. }))]));
    let refused = RefusedCommit { turn, why: "disk full".to_owned(), made: Made::No };
    let turn = host.turned(vec![Event::CommitRefused(Box::new(refused))]);
    let not_recorded = |(_, answer): &(RequestId, Answer)| matches!(answer, Err(Refusal::NotRecorded { .. }));
    assert!(turn.replies.len() == 2 && turn.replies.iter().all(not_recorded), "{:?}", turn.replies);
}

#[test]
fn after_a_refusal_nothing_is_done_before_the_record_has_taken_a_write() {
    let mut host = Host::boot(config(), Disk::default(), Timestamp(1_000_000));
    let (operation, _) = host.ensured("0").unwrap();
    host.turn(vec![done(0, operation, Err(()))]);
    let stop = Request {
        id: RequestId(1),
        actor: Actor::Host,
        reason: Some("because".to_owned()),
        key: None,
        command: Command::StopLine,
    };
    host.refuse(vec![Event::Request(stop)]);
    // The next try to start it is due, and so is the next try to write; nothing is to be recorded.
    host.now = host.now + Duration::from_secs(30);
    host.turn(Vec::new());
    host.now = host.now + Duration::from_secs(30);
    let turn = host.turned(Vec::new());
    assert!(turn.effects.is_empty() || !turn.writes.is_empty(), "{turn:?}");
}
