//! What a turn of the kernel costs in a large fleet beside a small one: `cargo bench -p phasegate-core --bench turn`.
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

use phasegate_core::domain::*;
use phasegate_core::kernel::command::{Command, Request, StartOptions, Wanted};
use phasegate_core::kernel::effect::Ensure;
use phasegate_core::kernel::event::Done;
use phasegate_core::kernel::{Effect, Event, Fleet, Kernel, SetConfig, Turn};
use phasegate_core::record::{Anchor, Commit, Disk};

/// Fleets of the table.
const FLEETS: [usize; 3] = [1_000, 10_000, 50_000];
/// Instances of a batch; the same in each fleet.
const BATCH: usize = 10;
/// Batches of an upgrade that are timed.
const BATCHES: usize = 12;
/// Judgements that are timed in a fleet at rest.
const JUDGEMENTS: usize = 2_000;

/// CPU time of this thread so far.
fn thread_cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap())
}

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
    let gate =
        HealthGate { wait: Duration::ZERO, stable_for: Duration::ZERO, deadline: Duration::from_secs(120) };
    let rolling = RollingUpgradePolicy {
        enable_cross_zone_upgrade: true,
        ..RollingUpgradePolicy::plain(Percent::clamped(100))
    };
    let policy = UpgradePolicy {
        decisions: Decisions::Snapshot,
        defer_max: Duration::from_secs(600),
        prepare_max: Duration::from_secs(60),
        ..UpgradePolicy::plain(rolling, gate)
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
    /// CPU time of those turns that are about a batch: its drivers, its gate, and the admission of the next.
    of_batches: Duration,
}

/// What a turn is about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum About {
    /// A batch.
    Batch,
    /// Everybody, in the rhythm of probes.
    Rhythm,
}

impl Site {
    /// A fleet in which every instance runs v1, is healthy, and has its phase: as many instances as a batch has.
    fn new(instances: usize) -> Self {
        let now = Now::same(Timestamp(1_000_000));
        let mut disk = Disk::default();
        let (kernel, turn) = Kernel::boot(vec![scale_set(instances)], &disk.open(), now);
        let view = Arc::new(kernel.fleet().clone());
        let mut site = Self {
            kernel,
            disk,
            now,
            seq: 0,
            effects: Vec::new(),
            view,
            spent: Duration::ZERO,
            events: 0,
            of_batches: Duration::ZERO,
        };
        site.close(turn);
        site.effects.clear();
        for number in 0..instances {
            site.judge(number, About::Rhythm);
        }
        (site.spent, site.events) = (Duration::ZERO, 0);
        site.effects.clear();
        site
    }

    fn turn(&mut self, events: Vec<Event>, about: About) {
        let before = thread_cpu_time();
        self.events += events.len();
        let turn = self.kernel.turn(events, self.now);
        let admits = turn.effects.iter().any(|effect| matches!(effect, Effect::Ensure(_)));
        self.close(turn);
        self.view = Arc::new(self.kernel.fleet().clone());
        let took = thread_cpu_time() - before;
        self.spent += took;
        if admits || about == About::Batch {
            self.of_batches += took;
        }
    }

    /// Time passes.
    fn pass(&mut self, milliseconds: i64) {
        self.now.at = Timestamp(self.now.at.0 + milliseconds);
    }

    fn close(&mut self, turn: Turn) {
        if !turn.writes.is_empty() {
            self.seq += 1;
            let anchor = Anchor::default();
            self.disk.apply(&Commit { version: Commit::VERSION, seq: self.seq, anchor, writes: turn.writes });
        }
        self.effects.extend(turn.effects);
    }

    fn judge(&mut self, number: usize, about: About) {
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
        self.turn(
            vec![Event::Judged(vec![Decided {
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
            }])],
            about,
        );
    }

    /// Nanoseconds of CPU per event since the last time.
    fn per_event(&mut self) -> f64 {
        let (spent, events) = (std::mem::take(&mut self.spent), std::mem::take(&mut self.events));
        spent.as_nanos() as f64 / events.max(1) as f64
    }

    fn start(&mut self) {
        let wanted = Wanted { to: Some(version("v2")), ..Wanted::default() };
        let options = StartOptions { wanted, ..StartOptions::default() };
        self.turn(
            vec![Event::Request(Request {
                id: RequestId(1),
                actor: Actor::Operator("bench".to_owned()),
                reason: None,
                key: None,
                command: Command::Start(name(), options),
            })],
            About::Batch,
        );
    }

    /// Everybody is asked once in the rhythm, and somebody is let go.
    fn round(&mut self, instances: usize) {
        self.pass(3);
        (0..instances).for_each(|number| self.judge(number, About::Rhythm));
        self.pass(3);
        self.turn(Vec::new(), About::Batch);
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
            let (answer, touched, instance) = (Ok(()), Touched::Perhaps, instance.id);
            let done = Done { scale_set, instance, component, operation, answer, touched, seen };
            self.turn(vec![Event::Done(done)], About::Batch);
            self.pass(3);
            self.judge(number, About::Batch);
        }
        count
    }
}

/// Nanoseconds per event at rest and while it upgrades, per batch, and per instance at the start of an upgrade.
fn measure(instances: usize) -> [f64; 4] {
    let mut site = Site::new(instances);
    for number in 0..JUDGEMENTS {
        site.pass(1);
        site.judge(number % instances, About::Rhythm);
    }
    let rest = site.per_event();
    site.start();
    let start = site.per_event();
    site.round(instances);
    (site.spent, site.events, site.of_batches) = Default::default();
    let mut upgraded = 0;
    for _ in 0..BATCHES {
        upgraded += site.batch();
        site.round(instances);
    }
    assert_eq!(upgraded, BATCH * BATCHES, "instances that were upgraded");
    let batch = site.of_batches.as_nanos() as f64 / BATCHES as f64;
    [rest, site.per_event(), batch, start / instances as f64]
}

fn main() {
    let heads = ["AT REST", "UPGRADING", "A BATCH OF 10", "START, PER INSTANCE"];
    println!("{:<12}{:>20}{:>20}{:>20}{:>22}", "INSTANCES", heads[0], heads[1], heads[2], heads[3]);
    let mut first = None;
    for instances in FLEETS {
        let all = measure(instances);
        let ones = *first.get_or_insert(all);
        let cell =
            |which: usize| format!("{:.1} µs ({:.2}×)", all[which] / 1_000.0, all[which] / ones[which]);
        println!("{instances:<12}{:>20}{:>20}{:>20}{:>22}", cell(0), cell(1), cell(2), cell(3));
    }
}
