//! A small fleet, run by the kernel itself, and what its readers are told at each step.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::{
    DriverGoes, DriverWork, Expected, Few, StatusReport, Then, WaitsFor, instance, plan, status, tally,
};
use crate::domain::{
    Actor, Address, Claim, Component, Creation, Custody, Decided, Decision, Digest, DriverTraits, Evaluation,
    FailureRules, Generation, Health, HealthSettings, Instance, InstanceId, Model, Now, OnBreach, OnFailure,
    OnInstanceFailure, Outcome, Participation, Percent, PluginFailure, PluginName, PluginStamp, Protection,
    Reason, RequestId, RollingUpgradePolicy, Runs, ScaleSet, ScaleSetName, Seen, Sight, Timestamp, Touched,
    UpgradePolicy, Verdict, Version, testing,
};
use crate::kernel::command::{Command, StartOptions, Wanted};
use crate::kernel::effect::Ensure;
use crate::kernel::event::{Done, RefusedCommit};
use crate::kernel::state::SetState;
use crate::kernel::{Effect, Event, Kernel, Refusal, Request, SetConfig, Turn};
use crate::plan::Standing;
use crate::record::{Made, Stored};
use crate::rollout::Extent;
use crate::rollout::{UpgradeState, WhyNot, Wish};

fn name() -> ScaleSetName {
    ScaleSetName::parse("orders").unwrap()
}

fn id(text: &str) -> InstanceId {
    InstanceId::parse(text).unwrap()
}

fn version(text: &str) -> Version {
    Version::parse(text).unwrap()
}

fn spec() -> ScaleSet {
    let percent = |value| Percent::new(value).unwrap();
    let instances = ["0", "1", "2"].map(|text| {
        let address = Address { host: "127.0.0.1".to_owned(), port: 80 };
        let (region, zone, labels) = (None, None, BTreeMap::new());
        let (update_domain, fault_domain, protection) = (None, None, Protection::default());
        (
            id(text),
            Arc::new(Instance {
                id: id(text),
                address,
                region,
                zone,
                update_domain,
                fault_domain,
                labels,
                protection,
            }),
        )
    });
    let rolling = RollingUpgradePolicy {
        max_batch_instance_percent: percent(34),
        pause_time_between_batches: Duration::from_secs(30),
        ..testing::limits(50)
    };
    ScaleSet {
        name: name(),
        plugin: PluginName::parse("db").unwrap(),
        health: HealthSettings {
            timeout: Duration::from_secs(1),
            grace_period: Duration::from_secs(60),
            ..testing::health()
        },
        policy: UpgradePolicy {
            gate: testing::gate(60),
            failure: FailureRules { instance: OnInstanceFailure::Leave, breach: OnBreach::Stop },
            urgency: Default::default(),
            defer_max: Duration::from_secs(600),
            ..testing::upgrade_policy(rolling)
        },
        mode: crate::domain::UpgradeMode::Manual,
        retry: None,
        freeze: crate::domain::FreezeWindows::default(),
        estate: Default::default(),
        model: Model { version: version("v1"), extensions: Vec::new() },
        instances: BTreeMap::from(instances),
        provisioning: Default::default(),
        forget_after: Duration::from_secs(3600),
        driver: (),
    }
}

/// A kernel, what it wanted done, and the time.
struct House {
    kernel: Kernel,
    latest: Turn,
    now: Now,
    requests: u64,
}

impl House {
    /// Three instances at v1 whose driver the site keeps.
    fn new() -> Self {
        let now = Now::same(Timestamp(1_000_000));
        let driver = DriverTraits { custody: Custody::Site, creation: Creation::NotTold, sight: Sight::NONE };
        let mut stored = Stored::default();
        for text in ["0", "1", "2"] {
            stored.versions.insert((name(), id(text), Component::Application), Runs::at(version("v1")));
        }
        let config = SetConfig { spec: spec(), driver, on_failure: OnFailure::LastGood };
        let (kernel, latest) = Kernel::boot(vec![config], &stored, now);
        Self { kernel, latest, now, requests: 0 }
    }

    /// As [`Self::new`], and every instance has been judged.
    fn judged() -> Self {
        let mut house = Self::new();
        let all = ["0", "1", "2"].map(|text| house.says(text, Ok(Claim::Healthy)));
        house.turn(vec![Event::Judged(all.to_vec())]);
        house
    }

    fn turn(&mut self, events: Vec<Event>) {
        self.now = Now::same(self.now.at + Duration::from_secs(1));
        self.latest = self.kernel.turn(events, self.now);
    }

    fn ask(&mut self, command: Command) {
        self.requests += 1;
        let (id, actor) = (RequestId(self.requests), Actor::Operator("ada".to_owned()));
        let request = Request { id, actor, reason: Some("because".to_owned()), key: None, command };
        self.turn(vec![Event::Request(request)]);
        assert!(matches!(self.latest.replies.as_slice(), [(_, Ok(_))]), "{:?}", self.latest.replies);
    }

    fn start(&mut self) {
        let wanted = Wanted { to: Some(version("v2")), ..Wanted::default() };
        self.ask(Command::Start(name(), StartOptions { wanted, ..StartOptions::default() }));
    }

    /// A judged probe that began now.
    fn says(&self, text: &str, said: Result<Claim, PluginFailure>) -> Decided {
        let result: Verdict = said.map(|claim| {
            let skip = text == "2";
            Arc::new(Decision {
                claim,
                phase: None,
                participation: if skip { Participation::Skip } else { Participation::Proceed },
                reason: skip.then(|| Reason { code: "backup".to_owned(), detail: "in a backup".to_owned() }),
                memory: None,
                attributes: Vec::new(),
            })
        });
        let stamp = PluginStamp {
            name: PluginName::parse("db").unwrap(),
            digest: Digest::parse(&format!("sha256:{}", "a".repeat(64))).unwrap(),
            generation: Generation(1),
        };
        let epoch = self.set().instance(&id(text)).unwrap().epoch;
        let evaluation = Evaluation { at: self.now.at, ..Evaluation::default() };
        Decided {
            scale_set: name(),
            instance: id(text),
            epoch,
            started_at: self.now.at,
            finished_at: self.now.at,
            again: false,
            heard: crate::kernel::testing::heard(&result),
            outcome: Arc::new(Outcome { stamp, evaluation, result }),
        }
    }

    /// The driver brings about what the latest turn asked for.
    fn driver_answers(&mut self) {
        let asked = std::mem::take(&mut self.latest.effects);
        let done = asked.into_iter().filter_map(|effect| match effect {
            Effect::Ensure(ensure) => Some(ensure),
            _ => None,
        });
        let done = done.map(|ensure| {
            let Ensure { scale_set, instance, component, version, operation, .. } = *ensure;
            let (answer, touched, seen) = (Ok(()), Touched::Perhaps, Seen::Version(version));
            let instance = instance.id;
            Event::Done(Done { scale_set, instance, component, operation, answer, touched, seen })
        });
        self.turn(done.collect());
    }

    fn set(&self) -> &SetState {
        self.kernel.fleet().set(&name()).unwrap()
    }

    fn status(&self) -> StatusReport<'_> {
        status(self.kernel.fleet(), self.set(), self.now).unwrap()
    }
}

fn few<'a>(ids: &'a [InstanceId]) -> Few<'a> {
    Few::of(ids)
}

#[test]
fn a_fleet_that_nobody_has_judged_is_reported_as_it_is() {
    let house = House::new();
    assert!(status(house.kernel.fleet(), house.set(), house.now).is_none());
    let all = tally(house.kernel.fleet());
    assert_eq!((all.line_stopped, all.sets.len()), (false, 1));
    assert_eq!((all.sets[0].health.of(Health::Initializing), all.sets[0].upgrade), (3, None));
    let one = house.set().instances().next().unwrap();
    let report = instance(house.set(), one, house.now);
    assert_eq!((report.standing, report.desired), (Standing::Undecided, Some(&version("v1"))));
}

#[test]
fn a_plugin_that_fails_is_reported_with_the_decision_that_stands_in() {
    let mut house = House::judged();
    let failed = house.says("0", Err(PluginFailure::Overloaded));
    house.turn(vec![Event::Judged(vec![failed])]);
    let report = instance(house.set(), house.set().instance(&id("0")).unwrap(), house.now);
    let stand_in = report.stand_in.unwrap();
    assert!(stand_in.failure.starts_with("plugin `db` (aaaa"), "{}", stand_in.failure);
    assert_eq!(report.standing.participation(), Some(Participation::Proceed));
}

#[test]
fn a_plan_is_reported_with_what_to_know_before_it_starts() {
    let mut house = House::judged();
    let wanted = Wanted { to: Some(version("v2")), ..Wanted::default() };
    let report = plan(house.set(), &wanted, Extent::Missing, house.now).unwrap();
    assert_eq!((report.plan.batches.len(), report.plan.holds.len()), (2, 1));
    assert_eq!((report.limits.total, report.limits.batch_max, report.limits.unhealthy_max), (3, 1, 1));
    assert_eq!((report.frozen, report.line.is_some()), (None, false));
    house.ask(Command::StopLine);
    let report = plan(house.set(), &wanted, Extent::Missing, house.now).unwrap();
    assert_eq!(report.line.map(|line| line.reason.as_str()), Some("because"));
    let unknown = crate::domain::ExtensionName::parse("logs").unwrap();
    let wanted = Wanted { extensions: vec![(unknown, None)], ..Wanted::default() };
    assert!(matches!(
        plan(house.set(), &wanted, Extent::Missing, house.now),
        Err(Refusal::NoExtension { .. })
    ));
}

#[test]
fn an_upgrade_says_at_every_step_what_it_waits_for() {
    let all = ["0", "1", "2"].map(id);
    let mut house = House::new();
    house.start();
    let status = house.status();
    assert_eq!(status.waiting, Some(WaitsFor::FirstDecision(few(&all))));
    assert!(status.not_yet.iter().all(|(_, why)| *why == WhyNot::Unplanned));

    let judged = ["0", "1", "2"].map(|text| house.says(text, Ok(Claim::Healthy)));
    house.turn(vec![Event::Judged(judged.to_vec())]);
    let status = house.status();
    let change = WaitsFor::Driver {
        work: DriverWork::Change,
        instances: few(&all[..1]),
        goes: DriverGoes::On,
        says: None,
    };
    assert_eq!((status.waiting, status.then, status.expected), (Some(change), None, None));
    assert_eq!((status.progress.in_progress, status.progress.pending), (1, 1));

    house.driver_answers();
    assert_eq!(house.status().waiting, Some(WaitsFor::Gate(few(&all[..1]))));

    house.ask(Command::Wish(name(), Wish::Pause));
    assert_eq!(house.status().then, Some(Then::Pause));

    let well = house.says("0", Ok(Claim::Healthy));
    house.turn(vec![Event::Judged(vec![well])]);
    let status = house.status();
    assert!(matches!(status.waiting, Some(WaitsFor::Pause { .. })), "{:?}", status.waiting);
    assert_eq!((status.then, status.progress.successful), (None, 1));
    assert!(matches!(status.expected, Some(Expected::By(_))));

    let before = status.stepped_at;
    house.now = Now::same(house.now.at + Duration::from_secs(60));
    house.turn(Vec::new());
    let status = house.status();
    assert_eq!(status.waiting, Some(WaitsFor::Paused));
    let since = status.stepped_at.expect("from the first moment");
    assert!(Some(since) > before && since <= house.now.at, "{before:?} {since:?}");
    assert!(matches!(status.expected, Some(Expected::AfterAPerson(_))));
    assert!(status.not_yet.iter().any(|(one, why)| *one == all[1] && *why == WhyNot::Next));

    house.ask(Command::Wish(name(), Wish::Cancel));
    let status = house.status();
    assert_eq!((status.waiting, status.upgrade.state), (None, UpgradeState::Cancelled));
    let counted = tally(house.kernel.fleet());
    assert_eq!(counted.sets[0].upgrade.map(|(state, _)| state), Some(UpgradeState::Cancelled));
}

#[test]
fn a_stopped_line_is_what_an_upgrade_waits_for() {
    let mut house = House::judged();
    house.ask(Command::StopLine);
    house.start();
    match house.status().waiting {
        Some(WaitsFor::Line(Some(line))) => assert_eq!(line.reason, "because"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_record_that_refuses_comes_before_all_else() {
    let mut house = House::judged();
    house.start();
    house.turn(Vec::new());
    let well = house.says("0", Ok(Claim::Unhealthy));
    house.turn(vec![Event::Judged(vec![well])]);
    let turn = std::mem::take(&mut house.latest);
    let why = "the disk is full".to_owned();
    house.turn(vec![Event::CommitRefused(Box::new(RefusedCommit { turn, why, made: Made::No }))]);
    let status = house.status();
    assert_eq!((status.waiting, status.then), (Some(WaitsFor::Record("the disk is full")), None));
}

#[test]
fn of_many_instances_the_first_are_named_and_all_are_counted() {
    let many: Vec<InstanceId> = (0..7).map(|number| id(&number.to_string())).collect();
    let few = few(&many);
    assert_eq!((few.first.len(), few.count), (Few::SHOWN, 7));
}

#[test]
fn what_plugins_say_is_counted_by_its_code_and_few_of_them() {
    let mut house = House::judged();
    let reasons = |house: &House| tally(house.kernel.fleet()).sets[0].reasons.clone();
    assert_eq!(reasons(&house), [("backup".to_owned(), 1)], "those without a code are not counted");
    let mut said = house.says("2", Ok(Claim::Healthy));
    let outcome = Arc::make_mut(&mut said.outcome);
    if let Ok(decision) = &mut outcome.result {
        let decision = Arc::make_mut(decision);
        decision.reason = Some(Reason { code: "other".to_owned(), detail: String::new() });
    }
    house.turn(vec![Event::Judged(vec![said])]);
    assert_eq!(reasons(&house), [("other".to_owned(), 1)], "the latest word alone");
    let failed = house.says("2", Err(PluginFailure::Overloaded));
    house.turn(vec![Event::Judged(vec![failed])]);
    assert_eq!(reasons(&house), []);
}
