//! Hands with real components, driven by a life: the loop of a host in small, for one plugin.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use super::*;
use crate::plugins::config::ComponentSource;
use crate::plugins::fetch::FetchConfig;
use crate::plugins::tests::guests;
use crate::plugins::tests::observed::observation;
use phasegate_core::domain::{
    Generation, Isolation, Now, OnFailure, PluginLimits, PluginSpec, ReadClock, RequestId, Strategy,
    SwapRules, Timestamp,
};
use phasegate_core::lifecycle::{
    Command, Offer, PluginLife, Refusal, Reply, Stage, Standing, SwapMode, SwapOptions, step,
};
use phasegate_core::record::StoredPlugin;
use phasegate_wasm::builtin;

/// Longest wait for what must come.
const PATIENCE: Duration = Duration::from_secs(120);

/// The same code under another digest: a custom section more.
fn variant(mark: u8) -> Vec<u8> {
    [builtin::AZURE_HEALTH, &[0, 2, 1, mark]].concat()
}

struct Driver {
    name: PluginName,
    hands: Hands,
    life: PluginLife,
    events: Receiver<Event>,
    decided: Receiver<Vec<Decided>>,
    clock: Clock,
    stored: Option<StoredPlugin>,
    replies: Vec<(RequestId, Result<Reply, Refusal>)>,
    requests: u64,
}

impl Driver {
    fn new(directory: &std::path::Path, config: &PluginConfig, stored: Option<StoredPlugin>) -> Self {
        let (sender, events) = mpsc::channel();
        let (decisions, decided) = mpsc::channel();
        let clock = Clock::start();
        let parts = HandsParts {
            runtime: Runtime::new(Arc::new(clock)).unwrap(),
            data_dir: directory.to_owned(),
            clock,
            recorder: None,
            on_event: Arc::new(move |_, event| sender.send(event).unwrap_or_default()),
            on_decisions: Arc::new(move |batch| decisions.send(batch).unwrap_or_default()),
            on_failing: Arc::new(|_| ()),
        };
        let hands = Hands::new(std::slice::from_ref(config), parts);
        hands.look().unwrap();
        let life = PluginLife::new(Arc::new(config.spec.clone()));
        let (name, replies, requests) = (config.spec.name.clone(), Vec::new(), 0);
        let mut driver =
            Self { name, hands, life, events, decided, clock, stored: stored.clone(), replies, requests };
        driver.happens(Event::Booted(stored.map(Arc::new)));
        driver.until(|driver| *driver.life.standing() == Standing::Running);
        driver
    }

    fn happens(&mut self, event: Event) {
        let now: Now = ReadClock::now(&self.clock);
        let step = step(&mut self.life, event, now);
        // Here a host commits the record; then, and only then:
        self.stored = step.record.or(self.stored.take());
        self.replies.extend(step.replies);
        self.hands.perform(&self.name, step.effects);
    }

    fn until(&mut self, reached: impl Fn(&Self) -> bool) {
        while !reached(self) {
            let event = self.events.recv_timeout(PATIENCE).expect("something happens");
            self.happens(event);
        }
    }

    fn wants(&mut self, command: Command) -> RequestId {
        self.requests += 1;
        let request = RequestId(self.requests);
        self.happens(Event::Wanted(request, command));
        request
    }

    fn uploads(&mut self, bytes: Vec<u8>, options: SwapOptions) -> (RequestId, Held) {
        let held = self.hands.hold(bytes.into(), Vec::new());
        let offer = Offer::Held { digest: held.digest(), source: "upload".to_owned() };
        (self.wants(Command::Swap(offer, options)), held)
    }

    fn reply(&self, request: RequestId) -> Option<&Result<Reply, Refusal>> {
        self.replies.iter().find(|(of, _)| *of == request).map(|(_, reply)| reply)
    }

    fn swaps(&mut self, bytes: Vec<u8>, options: SwapOptions) {
        let (request, _held) = self.uploads(bytes, options);
        self.until(|driver| driver.reply(request).is_some());
        assert!(self.reply(request).unwrap().is_ok(), "{:?}", self.reply(request));
    }

    /// Probes one instance; gives the generation that has judged it.
    fn judges(&self) -> u64 {
        let observation = observation(0, r#"{"applicationHealthState": "Healthy"}"#).into();
        let (started_at, finished_at) = (Timestamp(1), Timestamp(2));
        self.hands.submit(&self.name, Round { observation, epoch: 0, started_at, finished_at });
        loop {
            let batch = self.decided.recv_timeout(PATIENCE).expect("a decision");
            if let Some(decided) = batch.iter().find(|decided| !decided.again) {
                return decided.outcome.stamp.generation.0;
            }
        }
    }
}

fn config(component: ComponentSource, strategy: Strategy) -> PluginConfig {
    PluginConfig {
        spec: PluginSpec {
            name: PluginName::parse("db").unwrap(),
            source: component.to_string(),
            settings: "{}".to_owned(),
            limits: PluginLimits {
                timeout: Duration::from_secs(2),
                fuel: u64::MAX / 16,
                ..PluginLimits::DEFAULT
            },
            isolation: Isolation::PerBatch,
            on_failure: OnFailure::Hold,
            digest: None,
            asks: String::new(),
            swap: SwapRules { strategy, gate: None, watch_time: Duration::from_secs(60) },
        },
        component,
        fetch: FetchConfig::default(),
        signature: None,
        cases: crate::plugins::config::Cases::Optional,
    }
}

fn builtin(strategy: Strategy) -> PluginConfig {
    config(ComponentSource::Builtin("azure-health".to_owned()), strategy)
}

#[test]
fn a_swap_decides_is_kept_and_goes_on_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let config = builtin(Strategy::Rehearse);
    let mut driver = Driver::new(directory.path(), &config, None);
    assert_eq!(driver.judges(), 1);
    driver.swaps(variant(7), SwapOptions::default());
    assert_eq!(driver.judges(), 2);
    driver.until(|driver| driver.life.report().stage == Some(Stage::Watch));
    let report = driver.life.report();
    let names: Vec<&str> = report.load.unwrap().trace.stages().iter().map(|run| run.stage.name()).collect();
    let expected = [
        "fetch",
        "digest",
        "shape",
        "compile",
        "link",
        "configure",
        "self-test",
        "rehearse",
        "promote",
        "watch",
    ];
    assert_eq!(names, expected);
    let stored = driver.stored.clone();
    drop(driver);
    let driver = Driver::new(directory.path(), &config, stored);
    assert_eq!((driver.judges(), driver.life.in_force()), (2, Some(Generation(2))));
}

#[test]
fn a_shadow_judges_beside_and_is_promoted() {
    let directory = tempfile::tempdir().unwrap();
    let mut driver = Driver::new(directory.path(), &builtin(Strategy::Shadow), None);
    driver.judges();
    driver.swaps(variant(8), SwapOptions::default());
    assert_eq!(driver.judges(), 1);
    driver.until(|driver| driver.life.report().diff.is_some_and(|diff| diff.seen.observations > 0));
    let promote = driver.wants(Command::Promote);
    assert!(matches!(driver.reply(promote), Some(Ok(Reply::Promoted))));
    assert_eq!(driver.judges(), 2);
}

#[test]
fn a_discarded_rehearsal_ends_and_leaves_the_way_free() {
    let directory = tempfile::tempdir().unwrap();
    let mut driver = Driver::new(directory.path(), &builtin(Strategy::Rehearse), None);
    driver.judges();
    let (request, _held) =
        driver.uploads(guests::component("loop-evaluate").unwrap(), SwapOptions::default());
    driver.until(|driver| driver.life.report().stage == Some(Stage::Rehearse));
    driver.wants(Command::Discard);
    let said = driver.reply(request).unwrap().as_ref().unwrap_err().to_string();
    assert!(said.contains("stage rehearse: upload was discarded by hand"), "{said}");
    driver.swaps(variant(9), SwapOptions::default());
    assert_eq!(driver.judges(), 2);
}

#[test]
fn a_dry_run_shows_which_instances_change() {
    let directory = tempfile::tempdir().unwrap();
    let mut driver = Driver::new(directory.path(), &builtin(Strategy::Rehearse), None);
    driver.judges();
    let options = SwapOptions { strategy: None, mode: SwapMode::DryRun };
    let (request, _held) = driver.uploads(guests::component("trap-evaluate").unwrap(), options);
    driver.until(|driver| driver.reply(request).is_some());
    let Some(Ok(Reply::Swapped(Some(diff)))) = driver.reply(request) else { panic!("a diff") };
    let changes = driver.hands.changes(&driver.name, diff.ticket);
    assert_eq!((diff.seen.failed_new, changes.len()), (1, 1));
    assert_eq!(changes[0].1.changes(), ["fails"]);
    assert_eq!(driver.judges(), 1);
}

#[test]
fn a_file_that_is_written_is_taken_up() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db.wasm");
    std::fs::write(&path, variant(1)).unwrap();
    let config = config(ComponentSource::File(path.clone()), Strategy::Rehearse);
    let mut driver = Driver::new(directory.path(), &config, None);
    std::fs::write(&path, variant(2)).unwrap();
    driver.until(|driver| driver.life.in_force() == Some(Generation(2)));
    assert_eq!(driver.judges(), 2);
}
