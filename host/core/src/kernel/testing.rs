//! A rig for the tests of handlers: a kernel, a disk, a clock that is moved by hand, and effects that wait to
//! be looked at.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::command::{Answer, Command, Request, StartOptions, Wanted};
use super::effect::{Effect, Ensure, Observe};
use super::event::{Done, Event, RefusedCommit};
use super::{Configured, Kernel, ReleaseRules, SetConfig, Turn};
use crate::domain::*;
use crate::record::{Anchor, Commit, Disk, Made};
use crate::rollout::Upgrade;

/// Where the disk stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DiskMood {
    /// It takes everything.
    Takes,
    /// It refuses, nothing is written, and it knows.
    Refuses,
    /// It cannot tell whether it has written, and has.
    Lies,
    /// It cannot tell whether it has written, and has not.
    Doubts,
}

/// A kernel and what is round it.
pub(crate) struct Rig {
    pub(crate) kernel: Kernel,
    pub(crate) disk: Disk,
    pub(crate) mood: DiskMood,
    pub(crate) now: Now,
    pub(crate) sets: Vec<SetConfig>,
    pub(crate) releases: ReleaseRules,
    /// Went out, and nobody has looked at them yet.
    pub(crate) effects: Vec<Effect>,
    /// Answers, by request.
    pub(crate) replies: BTreeMap<RequestId, Answer>,
    pub(crate) wake_at: Option<Timestamp>,
    refused: Option<RefusedCommit>,
    seq: u64,
    next_request: u64,
}

pub(crate) fn id(text: &str) -> InstanceId {
    InstanceId::parse(text).unwrap()
}

pub(crate) fn version(text: &str) -> Version {
    Version::parse(text).unwrap()
}

pub(crate) fn name(text: &str) -> ScaleSetName {
    ScaleSetName::parse(text).unwrap()
}

/// `orders`: three instances of v1 in one zone, one at a time, the application kept running by the site.
pub(crate) fn orders() -> SetConfig {
    let instance = |number: u16| Instance {
        id: id(&number.to_string()),
        address: Address { host: "127.0.0.1".to_owned(), port: 9000 + number },
        region: None,
        zone: None,
        update_domain: None,
        fault_domain: None,
        labels: BTreeMap::new(),
        protection: Protection::default(),
    };
    let policy = UpgradePolicy {
        gate: testing::gate(120),
        urgency: Default::default(),
        defer_max: Duration::from_secs(600),
        ..testing::upgrade_policy(testing::limits(34))
    };
    let spec = ScaleSet {
        name: name("orders"),
        plugin: PluginName::parse("db").unwrap(),
        health: testing::health(),
        policy,
        mode: crate::domain::UpgradeMode::Manual,
        retry: None,
        freeze: FreezeWindows::default(),
        estate: Default::default(),
        model: Model { version: version("v1"), extensions: Vec::new() },
        instances: (0..3).map(instance).map(|instance| (instance.id.clone(), Arc::new(instance))).collect(),
        provisioning: Default::default(),
        forget_after: Duration::from_secs(3600),
        driver: (),
    };
    let sight = Sight::APPLICATION;
    let driver = DriverTraits { custody: Custody::Site, creation: Creation::NotTold, sight };
    SetConfig { spec, driver, on_failure: OnFailure::Hold }
}

/// What a plugin says of a healthy instance in a phase.
pub(crate) fn decision(phase: u32) -> Decision {
    Decision {
        claim: Claim::Healthy,
        phase: Phase::new(phase),
        participation: Participation::Proceed,
        reason: None,
        memory: None,
        attributes: Vec::new(),
    }
}

/// The same with another claim about the health.
pub(crate) fn claims(claim: Claim) -> Decision {
    Decision { claim, ..decision(0) }
}

impl Rig {
    /// Boots a kernel on an empty disk.
    pub(crate) fn new(sets: Vec<SetConfig>) -> Self {
        Self::on(Disk::default(), sets, Now::same(Timestamp(1_000_000)))
    }

    /// Boots a kernel on what a disk holds.
    pub(crate) fn on(disk: Disk, sets: Vec<SetConfig>, now: Now) -> Self {
        Self::with(disk, sets, ReleaseRules::default(), now)
    }

    /// As [`Self::on`], with what releases go by.
    pub(crate) fn with(mut disk: Disk, sets: Vec<SetConfig>, releases: ReleaseRules, now: Now) -> Self {
        let stored = disk.open();
        let configured =
            Configured { sets: sets.clone(), releases: releases.clone(), ..Configured::default() };
        let (kernel, turn) = Kernel::boot_with(configured, &stored, now);
        let mut rig = Self {
            kernel,
            disk,
            mood: DiskMood::Takes,
            now,
            sets,
            releases,
            effects: Vec::new(),
            replies: BTreeMap::new(),
            wake_at: None,
            refused: None,
            seq: stored.seq,
            next_request: 0,
        };
        rig.close(turn);
        rig
    }

    /// The host is killed and started again; what it had not written is gone.
    pub(crate) fn restart(self) -> Self {
        Self::with(self.disk, self.sets, self.releases, self.now)
    }

    /// The one set, in which every instance has been seen to run v1 and is healthy in phase 0.
    pub(crate) fn healthy() -> Self {
        let mut rig = Self::new(vec![orders()]);
        rig.all_healthy();
        rig.effects.clear();
        rig
    }

    /// Answers every question what runs with v1, and lets every instance be judged healthy.
    pub(crate) fn all_healthy(&mut self) {
        let asked: Vec<Effect> = std::mem::take(&mut self.effects);
        for effect in asked {
            if let Effect::Observe(asked) = effect {
                self.sees(*asked, Seen::Version(version("v1")));
            }
        }
        for instance in ["0", "1", "2"] {
            self.judge(instance, decision(0));
        }
    }

    pub(crate) fn judge(&mut self, instance: &str, decision: Decision) {
        self.judge_by(instance, 1, Ok(Arc::new(decision)));
    }

    /// A round of the present life of an instance was judged by a generation.
    pub(crate) fn judge_by(&mut self, instance: &str, generation: u64, result: Verdict) {
        let epoch = self.instance(instance).epoch;
        self.judge_in(instance, epoch, generation, result);
    }

    /// A round of any life was judged.
    pub(crate) fn judge_in(&mut self, instance: &str, epoch: u64, generation: u64, result: Verdict) {
        let heard = heard(&result);
        self.judge_heard(instance, (epoch, generation), heard, result);
    }

    /// A round was judged that brought an answer, or none.
    pub(crate) fn judge_heard(
        &mut self,
        instance: &str,
        (epoch, generation): (u64, u64),
        heard: Heard,
        result: Verdict,
    ) {
        let decided = Decided {
            scale_set: name("orders"),
            instance: id(instance),
            epoch,
            started_at: self.now.at,
            finished_at: self.now.at,
            again: false,
            heard,
            outcome: Arc::new(Outcome {
                stamp: PluginStamp {
                    name: PluginName::parse("db").unwrap(),
                    digest: Digest([7; 32]),
                    generation: Generation(generation),
                },
                evaluation: Evaluation { at: self.now.at, ..Evaluation::default() },
                result,
            }),
        };
        self.turn(vec![Event::Judged(vec![decided])]);
    }

    /// A probe of each instance that no driver is busy with begins now and finds it healthy.
    pub(crate) fn everybody_answers(&mut self) {
        for instance in ["0", "1", "2"] {
            let there = self.set().instance(&id(instance));
            if there.is_some_and(|there| there.busy.is_empty()) {
                self.judge(instance, decision(0));
            }
        }
    }

    pub(crate) fn turn(&mut self, mut events: Vec<Event>) {
        if let Some(refused) = self.refused.take() {
            events.insert(0, Event::CommitRefused(Box::new(refused)));
        }
        let turn = self.kernel.turn(events, self.now);
        self.close(turn);
    }

    /// Time passes, and the kernel turns.
    pub(crate) fn pass(&mut self, span: Duration) {
        self.now =
            Now { wall: WallTime(self.now.wall.date().0 + span.as_millis() as i64), at: self.now.at + span };
        self.turn(Vec::new());
    }

    fn close(&mut self, mut turn: Turn) {
        self.wake_at = turn.wake_at;
        if !turn.writes.is_empty() {
            self.seq += 1;
            let writes = std::mem::take(&mut turn.writes);
            let anchor = Anchor { at: self.now.at, ..Anchor::default() };
            let commit = Commit { version: Commit::VERSION, seq: self.seq, anchor, writes };
            if matches!(self.mood, DiskMood::Takes | DiskMood::Lies) {
                self.disk.apply(&commit);
            }
            if self.mood != DiskMood::Takes {
                turn.writes = commit.writes;
                let made = if self.mood == DiskMood::Refuses { Made::No } else { Made::NotKnown };
                self.refused = Some(RefusedCommit { turn, why: "the disk is full".to_owned(), made });
                return;
            }
        }
        self.effects.extend(turn.effects);
        self.replies.extend(turn.replies);
    }

    /// Gives a command, and its answer if it came.
    pub(crate) fn ask(&mut self, command: Command) -> Option<Answer> {
        self.ask_as(By { actor: Actor::Operator("ann".to_owned()), reason: None, request: None }, command)
    }

    pub(crate) fn ask_as(&mut self, by: By, command: Command) -> Option<Answer> {
        self.next_request += 1;
        let id = RequestId(self.next_request);
        let By { actor, reason, request: key } = by;
        self.turn(vec![Event::Request(Request { id, actor, reason, key, command })]);
        if self.refused.is_some() {
            // The refusal comes back, as the shell has it.
            self.turn(Vec::new());
        }
        self.replies.remove(&id)
    }

    pub(crate) fn start(&mut self, to: &str) -> Option<Answer> {
        self.ask(Command::Start(name("orders"), to_version(to)))
    }

    /// What drivers were told to bring instances to, and have not answered yet; taken.
    pub(crate) fn asked(&mut self) -> Vec<Ensure> {
        let all = std::mem::take(&mut self.effects);
        let (questions, all) = all.into_iter().partition(|effect| matches!(effect, Effect::Observe(_)));
        self.effects = questions;
        let ensure = |effect| match effect {
            Effect::Ensure(ensure) => Some(*ensure),
            _ => None,
        };
        Vec::into_iter(all).filter_map(ensure).collect()
    }

    /// What drivers were asked about instances, and have not answered yet; taken.
    pub(crate) fn questions(&mut self) -> Vec<Observe> {
        let all = std::mem::take(&mut self.effects);
        let (all, others) = all.into_iter().partition(|effect| matches!(effect, Effect::Observe(_)));
        self.effects = others;
        let question = |effect| match effect {
            Effect::Observe(question) => Some(*question),
            _ => None,
        };
        Vec::into_iter(all).filter_map(question).collect()
    }

    /// A look has found this.
    pub(crate) fn sees(&mut self, asked: Observe, seen: Seen) {
        let Observe { scale_set, instance, component, expected: _, epoch } = asked;
        let instance = instance.id.clone();
        let observed = super::event::Observed { scale_set, instance, component, epoch, seen };
        self.turn(vec![Event::Observed(observed)]);
    }

    /// The driver has done what it was asked for.
    pub(crate) fn done(&mut self, asked: Ensure, answer: Result<(), &str>) {
        let seen = answer.is_ok().then(|| asked.version.clone()).or(asked.previous.clone());
        let seen = seen.map_or(Seen::Nothing, Seen::Version);
        self.done_and_seen(asked, answer, seen);
    }

    /// The driver has answered, and has seen this.
    pub(crate) fn done_and_seen(&mut self, asked: Ensure, answer: Result<(), &str>, seen: Seen) {
        self.turn(vec![Event::Done(Done {
            scale_set: asked.scale_set,
            instance: asked.instance.id.clone(),
            component: asked.component,
            operation: asked.operation,
            answer: answer.map_err(str::to_owned),
            touched: Touched::Perhaps,
            seen,
        })]);
    }

    /// Goes through a whole upgrade in which everything goes well. Every instance runs what is recorded.
    pub(crate) fn run_to_the_end(&mut self) {
        for _ in 0..20 {
            for asked in self.questions() {
                let recorded = asked.expected.clone().unwrap_or_else(|| version("v1"));
                self.sees(asked, Seen::Version(recorded));
            }
            for asked in self.asked() {
                let instance = asked.instance.id.clone();
                self.done(asked, Ok(()));
                self.judge(instance.as_str(), decision(0));
            }
            if self.set().active().is_none() {
                return;
            }
            self.pass(Duration::from_secs(1));
            self.everybody_answers();
        }
        panic!("no end: {:?}", self.upgrade());
    }

    /// As [`Self::run_to_the_end`], also through those that begin by themselves.
    pub(crate) fn run_to_the_end_of_all(&mut self) {
        for _ in 0..10 {
            self.run_to_the_end();
            self.pass(Duration::from_secs(1));
            if self.set().active().is_none() {
                return;
            }
        }
        panic!("no end: {:?}", self.upgrade());
    }

    pub(crate) fn set(&self) -> &super::state::SetState {
        self.kernel.fleet().set(&name("orders")).unwrap()
    }

    pub(crate) fn instance(&self, instance: &str) -> &super::state::InstanceState {
        self.set().instance(&id(instance)).unwrap()
    }

    pub(crate) fn upgrade(&self) -> &Upgrade {
        self.set().upgrade.as_deref().unwrap()
    }

    /// The codes of the trail, oldest first.
    pub(crate) fn trail(&self) -> Vec<&'static str> {
        self.disk.trail().map(|entry| entry.what.code()).collect()
    }

    /// The latest line of the trail in words.
    pub(crate) fn last_line(&self) -> String {
        self.disk.trail().last().map(ToString::to_string).unwrap_or_default()
    }
}

/// Who claims nothing was not heard.
pub(crate) fn heard(result: &Verdict) -> Heard {
    let is_silent = result.as_ref().is_ok_and(|decision| decision.claim == Claim::Unknown);
    if is_silent { Heard::Silence } else { Heard::Answer }
}

/// To a version of the application, and nothing else.
pub(crate) fn to_version(to: &str) -> StartOptions {
    let wanted = Wanted { to: Some(version(to)), ..Wanted::default() };
    StartOptions { wanted, ..StartOptions::default() }
}
