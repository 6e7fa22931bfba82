//! What a turn of the kernel costs in a large fleet beside a small one: `cargo bench -p phasegate --bench turn`.
//!
//! CPU time per event, all of it as the running host has it: a fleet of views is held between turns, as
//! those who look hold one, and each commit is written into a record in memory. Quote the ratios:
//! absolute figures move with the machine. What is done per event must not grow with the fleet.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    missing_docs,
    clippy::allow_attributes,
    reason = "a broken benchmark is a panic, and its table goes to stdout"
)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use phasegate::clock::thread_cpu_time;
use phasegate_core::domain::*;
use phasegate_core::kernel::command::{Command, Request, StartOptions, Wanted};
use phasegate_core::kernel::effect::Ensure;
use phasegate_core::kernel::event::Done;
use phasegate_core::kernel::{Effect, Event, Fleet, Kernel, SetConfig, Turn};
use phasegate_core::record::{Anchor, Commit, Disk};

/// Fleets of the table.
const FLEETS: [usize; 3] = [1_000, 10_000, 50_000];
/// Instances of a batch; the same in each fleet.
const BATCH: usize = 20;
/// Batches of an upgrade that are timed.
const BATCHES: usize = 40;
/// Judgements that are timed in a fleet at rest.
const JUDGEMENTS: usize = 2_000;

fn instance(number: usize) -> Instance {
    Instance {
        id: InstanceId::parse(&number.to_string()).unwrap(),
        address: Address { host: "127.0.0.1".to_owned(), port: 9000 },
        region: None,
        zone: None,
        update_domain: None,
        fault_domain: None,
        labels: BTreeMap::new(),
        protection: Protection::default(),
    }
}

fn scale_set(instances: usize) -> SetConfig {
    let health = HealthSettings {
        profile: Profile::Fleet,
        protocol: ProbeProtocol::Http,
        port: None,
        request_path: "/health".to_owned(),
        grpc_service: String::new(),
        identity: None,
        interval: Duration::from_secs(5),
        timeout: Duration::from_secs(5),
        number_of_probes: 1,
        grace_period: Duration::from_secs(10),
        body_max: 1 << 16,
        headers: Vec::new(),
        connection: ProbeConnection::Close,
        request_headers: Vec::new(),
        sources: Vec::new(),
    };
    let policy = UpgradePolicy {
        rolling: RollingUpgradePolicy {
            max_batch_instance_percent: Percent::clamped(100),
            max_unhealthy_instance_percent: Percent::clamped(100),
            max_unhealthy_upgraded_instance_percent: Percent::clamped(100),
            pause_time_between_batches: Duration::ZERO,
            enable_cross_zone_upgrade: true,
            prioritize_unhealthy_instances: false,
            max_surge: false,
            batches: Vec::new(),
        },
        gate: HealthGate {
            wait: Duration::ZERO,
            stable_for: Duration::ZERO,
            deadline: Duration::from_secs(120),
        },
        failure: FailureRules::default(),
        checkpoints: Checkpoints::default(),
        decisions: Decisions::Snapshot,
        urgency: Default::default(),
        defer_max: Duration::from_secs(600),
        bake: None,
        hooks: phasegate_core::domain::HookKinds::default(),
        round_trip: false,
        timeouts: phasegate_core::domain::Timeouts::default(),
        prepare_max: Duration::from_secs(60),
    };
    let spec = ScaleSet {
        name: name(),
        plugin: PluginName::parse("bench").unwrap(),
        health,
        policy,
        mode: phasegate_core::domain::UpgradeMode::Manual,
        retry: None,
        freeze: FreezeWindows::default(),
        estate: Default::default(),
        model: Model { version: version("v1"), extensions: Vec::new() },
        instances: (0..instances).map(instance).map(|one| (one.id.clone(), Arc::new(one))).collect(),
        provisioning: Default::default(),
        forget_after: Duration::from_secs(3600),
        driver: (),
    };
    let driver = DriverTraits {
        custody: Custody::Site,
        creation: Creation::NotTold,
        // Nobody is asked what runs: what is measured is the loop.
        sight: Sight::NONE,
    };
    SetConfig { spec, driver, on_failure: OnFailure::Hold }
}

fn name() -> ScaleSetName {
    ScaleSetName::parse("bench").unwrap()
}

fn version(text: &str) -> Version {
    Version::parse(text).unwrap()
}

/// A kernel, its record, and one who looks.
struct Site {
    kernel: Kernel,
    disk: Disk,
    now: Now,
    seq: u64,
    effects: Vec<Effect>,
    view: Arc<Fleet>,
    /// CPU time of turns and commits, and the events that they took.
    spent: Duration,
    events: usize,
}

impl Site {
    /// A fleet in which every instance runs v1, is healthy, and has its phase: 20 instances each.
    fn new(instances: usize) -> Self {
        let now = Now::same(Timestamp(1_000_000));
        let mut disk = Disk::default();
        let (kernel, turn) = Kernel::boot(vec![scale_set(instances)], &disk.open(), now);
        let view = Arc::new(kernel.fleet().clone());
        let mut site =
            Self { kernel, disk, now, seq: 0, effects: Vec::new(), view, spent: Duration::ZERO, events: 0 };
        site.close(turn);
        site.effects.clear();
        for number in 0..instances {
            site.judge(number);
        }
        (site.spent, site.events) = (Duration::ZERO, 0);
        site.effects.clear();
        site
    }

    fn turn(&mut self, events: Vec<Event>) {
        let before = thread_cpu_time();
        self.events += events.len();
        self.now.at = Timestamp(self.now.at.0 + 1);
        let turn = self.kernel.turn(events, self.now);
        self.close(turn);
        self.view = Arc::new(self.kernel.fleet().clone());
        self.spent += thread_cpu_time() - before;
    }

    fn close(&mut self, turn: Turn) {
        if !turn.writes.is_empty() {
            self.seq += 1;
            let anchor = Anchor::default();
            self.disk.apply(&Commit { version: Commit::VERSION, seq: self.seq, anchor, writes: turn.writes });
        }
        self.effects.extend(turn.effects);
    }

    fn judge(&mut self, number: usize) {
        let decision = Decision {
            claim: Claim::Healthy,
            phase: Phase::new(u32::try_from(number / BATCH).unwrap()),
            participation: Participation::Proceed,
            reason: None,
            memory: None,
            attributes: Vec::new(),
        };
        let id = InstanceId::parse(&number.to_string()).unwrap();
        let epoch = self.view.set(&name()).unwrap().instance(&id).unwrap().epoch;
        let stamp = PluginStamp {
            name: PluginName::parse("bench").unwrap(),
            digest: Digest([7; 32]),
            generation: Generation(1),
        };
        self.turn(vec![Event::Judged(vec![Decided {
            scale_set: name(),
            instance: id,
            epoch,
            started_at: self.now.at,
            finished_at: self.now.at,
            again: false,
            heard: Heard::Answer,
            outcome: Arc::new(Outcome {
                stamp,
                evaluation: Evaluation { at: self.now.at, ..Evaluation::default() },
                result: Ok(Arc::new(decision)),
            }),
        }])]);
    }

    /// Nanoseconds of CPU per event since the last time.
    fn per_event(&mut self) -> f64 {
        let (spent, events) = (std::mem::take(&mut self.spent), std::mem::take(&mut self.events));
        spent.as_nanos() as f64 / events.max(1) as f64
    }

    fn start(&mut self) {
        let wanted = Wanted { to: Some(version("v2")), ..Wanted::default() };
        let options = StartOptions { wanted, ..StartOptions::default() };
        self.turn(vec![Event::Request(Request {
            id: RequestId(1),
            actor: Actor::Operator("bench".to_owned()),
            reason: None,
            key: None,
            command: Command::Start(name(), options),
        })]);
    }

    /// One batch: each instance is changed and judged healthy again.
    fn batch(&mut self) -> usize {
        let ensure = |effect| match effect {
            Effect::Ensure(ensure) => Some(*ensure),
            _ => None,
        };
        let asked: Vec<Ensure> = std::mem::take(&mut self.effects).into_iter().filter_map(ensure).collect();
        let count = asked.len();
        for Ensure { scale_set, instance, component, operation, version, .. } in asked {
            let number = instance.id.as_str().parse().unwrap();
            let seen = Seen::Version(version);
            self.turn(vec![Event::Done(Done {
                scale_set,
                instance: instance.id,
                component,
                operation,
                answer: Ok(()),
                touched: Touched::Perhaps,
                seen,
            })]);
            self.judge(number);
        }
        self.now.at = Timestamp(self.now.at.0 + 1_000);
        self.turn(Vec::new());
        count
    }
}

/// At rest, while it upgrades, and the start of an upgrade.
fn measure(instances: usize) -> [f64; 3] {
    let mut site = Site::new(instances);
    for number in 0..JUDGEMENTS {
        site.judge(number % instances);
    }
    let rest = site.per_event();
    site.start();
    let start = site.per_event();
    let upgraded: usize = (0..BATCHES).map(|_| site.batch()).sum();
    assert_eq!(upgraded, BATCH * BATCHES, "instances that were upgraded");
    [rest, site.per_event(), start / instances as f64]
}

fn main() {
    println!("{:<12}{:>18}{:>18}{:>24}", "INSTANCES", "AT REST", "UPGRADING", "START, PER INSTANCE");
    let mut first = None;
    for instances in FLEETS {
        let [rest, upgrading, start] = measure(instances);
        let [rest_1, upgrading_1, start_1] = *first.get_or_insert([rest, upgrading, start]);
        let cell = |value: f64, one: f64| format!("{:.1} µs ({:.2}×)", value / 1_000.0, value / one);
        println!(
            "{instances:<12}{:>18}{:>18}{:>24}",
            cell(rest, rest_1),
            cell(upgrading, upgrading_1),
            cell(start, start_1)
        );
    }
}
