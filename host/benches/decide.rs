//! What a decision costs beside the same decision in native code: `cargo bench -p phasegate`.
//!
//! CPU time; all rows of the table in turn, round after round, and the median of each. Quote the
//! ratios: absolute figures move with the machine. Fuel and the deadline are on, as in a host. Words
//! behind `--` leave only the rows with one of them in their name, beside the native ones.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    missing_docs,
    clippy::allow_attributes,
    reason = "a broken benchmark is a panic, and its table goes to stdout"
)]

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use azure_health::{AzureHealth, Settings};
use phasegate::clock::{Clock, thread_cpu_time};
use phasegate::plugins::{Known, PluginWorker, Repeats};
use phasegate_core::domain::{
    Answer, Evaluation, Generation, InstanceFacts, InstanceId, Observation, PluginName, Response, Round,
    ScaleSetName, Timestamp,
};
use phasegate_sdk::{Decision, Policy as _};
use phasegate_wasm::{BATCH_MAX, Isolation, Limits, LoadedPlugin, Runtime};

const ROUNDS: usize = 31;
/// CPU time of one row in one round.
const ROW: Duration = Duration::from_millis(4);
const FLEET: usize = 10_000;

const BODY: &str = r#"{"ApplicationHealthState":"Healthy","CustomMetrics":"{\"rollingUpgrade\":{\"PhaseOrderingNumber\":1,\"SkipUpgrade\":\"false\"}}"}"#;

fn body(bytes: usize) -> String {
    if bytes <= BODY.len() {
        return BODY.to_owned();
    }
    let entry = r#"{"name":"shard-0001","lag":12345,"ok":true},"#;
    let mut text = format!("{},\"shards\":[", BODY.trim_end_matches('}'));
    while text.len() < bytes {
        text.push_str(entry);
    }
    format!("{}]}}", text.trim_end_matches(','))
}

fn observation(id: usize, body: &str) -> Observation {
    Observation {
        instance: Arc::new(InstanceFacts {
            id: InstanceId::parse(&id.to_string()).unwrap(),
            scale_set: ScaleSetName::parse("bench").unwrap(),
            region: None,
            zone: Some("1".to_owned()),
            fault_domain: None,
            update_domain: Some(1),
            version: None,
            desired_version: None,
            labels: BTreeMap::new(),
        }),
        answers: vec![Answer {
            source: "health".to_owned(),
            outcome: Ok(Response { status: 200, headers: Vec::new(), body: body.as_bytes().to_vec() }),
        }]
        .into(),
        memory: None,
        attributes: vec![("probe-protocol".to_owned(), "http".to_owned())],
    }
}

fn native(body: &str) -> phasegate_sdk::Observation {
    phasegate_sdk::Observation {
        answers: vec![phasegate_sdk::Answer {
            source: "health".to_owned(),
            outcome: Ok(phasegate_sdk::Response {
                status: 200,
                headers: Vec::new(),
                body: body.as_bytes().to_vec(),
            }),
        }],
        attributes: vec![("probe-protocol".to_owned(), "http".to_owned())],
        ..phasegate_sdk::Observation::default()
    }
}

/// The same decision as one would write it with `serde_json`, for this one body: no duplicates, no
/// coercion, no word about what is wrong. The plugin is compared with its own code, not with this.
fn by_serde(body: &[u8]) -> Decision {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Body<'a> {
        application_health_state: &'a str,
        #[serde(borrow)]
        custom_metrics: Cow<'a, str>,
    }
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Metrics<'a> {
        #[serde(borrow)]
        rolling_upgrade: RollingUpgrade<'a>,
    }
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct RollingUpgrade<'a> {
        phase_ordering_number: u32,
        skip_upgrade: &'a str,
    }
    let body: Body<'_> = serde_json::from_slice(body).unwrap();
    let metrics: Metrics<'_> = serde_json::from_str(&body.custom_metrics).unwrap();
    let RollingUpgrade { phase_ordering_number: phase, skip_upgrade } = metrics.rolling_upgrade;
    assert_eq!((body.application_health_state, skip_upgrade), ("Healthy", "false"));
    Decision::healthy()
        .phase(phase)
        .reason("phase", format!("phase {phase} from customMetrics"))
        .attribute("diagnostics", "skip-coerced")
        .attribute("custom-metrics", body.custom_metrics)
        .attribute("custom-metrics-status", "success")
}

/// One row: what is measured, how many observations one call of it takes, what it is compared with.
struct Row {
    name: &'static str,
    size: usize,
    base: usize,
    goal: f64,
    wanted: bool,
    call: Box<dyn FnMut()>,
    taken: Vec<f64>,
}

impl Row {
    fn new(
        name: &'static str,
        (base, goal): (usize, f64),
        size: usize,
        call: impl FnMut() + 'static,
    ) -> Self {
        Self { name, size, base, goal, wanted: true, call: Box::new(call), taken: Vec::new() }
    }

    fn measure(&mut self) {
        let began = thread_cpu_time();
        let mut calls = 0_u32;
        let mut spent = Duration::ZERO;
        while spent < ROW {
            for _ in 0..16 {
                (self.call)();
            }
            calls += 16;
            spent = thread_cpu_time() - began;
        }
        self.taken.push(spent.as_nanos() as f64 / f64::from(calls) / self.size as f64);
    }

    fn median(&mut self) -> f64 {
        self.taken.sort_by(f64::total_cmp);
        self.taken.get(self.taken.len() / 2).copied().unwrap_or(f64::NAN)
    }
}

fn judge(plugin: LoadedPlugin, seen: Vec<Observation>) -> impl FnMut() {
    let mut plugin = plugin;
    move || {
        let judged = plugin.judge(black_box(&seen), 0);
        assert!(black_box(&judged.results).iter().all(Result::is_ok));
    }
}

fn main() {
    let runtime = Runtime::new(Clock::shared()).unwrap();
    let compiled = runtime.compile(phasegate_wasm::builtin::AZURE_HEALTH).unwrap();
    let load = |isolation| compiled.configure("{}", Limits::DEFAULT, isolation).unwrap();
    let (small, large) = (body(0), body(64 << 10));
    let one = |body: &str| vec![observation(1, body)];
    let policy = || AzureHealth::new(Settings::default()).unwrap();
    let natively = |body: &str| {
        let (policy, seen) = (policy(), native(body));
        move || drop(black_box(policy.decide(black_box(&seen))))
    };
    let with_serde = |body: &str| {
        let seen = native(body);
        assert_eq!(Ok(by_serde(body.as_bytes())), policy().decide(&seen));
        let body = body.to_owned();
        move || drop(black_box(by_serde(black_box(body.as_bytes()))))
    };
    let unchanged = {
        let seen = Arc::new(observation(1, &small));
        let key = (seen.instance.scale_set.clone(), seen.instance.id.clone());
        let decision = load(Isolation::Reused).evaluate(&one(&small), 0).pop().unwrap().unwrap();
        let mut repeats = Repeats::new();
        repeats.begin_batch();
        let place = repeats.enter(&key).unwrap();
        repeats.learn(place, Some(Known::new(Arc::new((*seen).clone()), decision, Evaluation::default(), 0)));
        move || {
            repeats.begin_batch();
            let place = repeats.enter(&key).unwrap();
            drop(black_box(repeats.known(place, black_box(&seen)).map(|known| known.decision.clone())));
        }
    };
    let batch: Vec<Observation> = (0..BATCH_MAX).map(|id| observation(id, &small)).collect();
    let mut rows = [
        Row::new("native, small body", (0, 1.0), 1, natively(&small)),
        Row::new("reused instance, one by one", (0, 4.5), 1, judge(load(Isolation::Reused), one(&small))),
        Row::new(
            "reused instance, batch of 128",
            (0, 4.0),
            BATCH_MAX,
            judge(load(Isolation::Reused), batch.clone()),
        ),
        Row::new(
            "new instance for a batch of 128",
            (0, 4.5),
            BATCH_MAX,
            judge(load(Isolation::PerBatch), batch),
        ),
        Row::new("new instance for each", (0, 15.0), 1, judge(load(Isolation::PerBatch), one(&small))),
        Row::new("unchanged observation", (0, 0.5), 1, unchanged),
        Row::new("native, 64 KiB", (6, 1.0), 1, natively(&large)),
        Row::new("reused instance, 64 KiB", (6, 1.5), 1, judge(load(Isolation::Reused), one(&large))),
        Row::new("for comparison: serde_json, small", (0, f64::NAN), 1, with_serde(&small)),
        Row::new("for comparison: serde_json, 64 KiB", (6, f64::NAN), 1, with_serde(&large)),
    ];
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let wanted = |row: &Row| words.is_empty() || words.iter().any(|word| row.name.contains(word.as_str()));
    // What the others are compared with is always measured.
    rows.iter_mut().for_each(|row| row.wanted = row.goal == 1.0 || wanted(row));
    for _ in 0..ROUNDS {
        rows.iter_mut().filter(|row| row.wanted).for_each(Row::measure);
    }
    let medians: Vec<f64> = rows.iter_mut().map(Row::median).collect();
    println!("{:<36}{:>8}{:>10}{:>8}", "DECISION", "NS CPU", "x NATIVE", "GOAL");
    for (row, median) in rows.iter().zip(&medians).filter(|(row, _)| row.wanted) {
        let goal = if row.goal.is_nan() { String::new() } else { format!("{:.1}", row.goal) };
        println!("{:<36}{:>8.0}{:>10.2}{goal:>8}", row.name, median, median / medians[row.base]);
    }
    if words.is_empty() || words.iter().any(|word| word == "fleet") {
        fleet(load(Isolation::PerBatch), &small);
    }
}

/// A round of a whole fleet through a worker: queue, memory, batches, decisions.
fn fleet(plugin: LoadedPlugin, body: &str) {
    let (sender, decided) = mpsc::channel();
    let on_decided = Box::new(move |batch| sender.send(batch).unwrap_or_default());
    let name = PluginName::parse("bench").unwrap();
    let worker = PluginWorker::spawn(name, plugin, Generation(1), on_decided, Clock::start()).unwrap();
    let facts: Vec<Arc<InstanceFacts>> = (0..FLEET).map(|id| observation(id, body).instance).collect();
    for (what, changes) in [("changed", true), ("unchanged", false)] {
        let mut taken = Vec::new();
        for round in 0..9 {
            let body = if changes { format!("{body}{}", " ".repeat(round)) } else { body.to_owned() };
            let rounds: Vec<Round> = facts
                .iter()
                .map(|facts| {
                    // As a prober has it: the facts of an instance stay the same.
                    let instance = Arc::clone(facts);
                    Round {
                        observation: Observation { instance, ..observation(0, &body) }.into(),
                        epoch: 0,
                        started_at: Timestamp(0),
                        finished_at: Timestamp(0),
                    }
                })
                .collect();
            let began = process_cpu_time();
            rounds.into_iter().for_each(|round| worker.submit(round).unwrap());
            let mut waiting = FLEET;
            while waiting > 0 {
                let batch: Vec<_> = black_box(decided.recv().unwrap());
                waiting -= batch.len();
            }
            taken.push((process_cpu_time() - began).as_secs_f64() * 1000.0);
        }
        taken.sort_by(f64::total_cmp);
        println!("10,000 {what} instances, whole round: {:.1} ms CPU (goal 50)", taken[taken.len() / 2]);
    }
}

/// CPU time of all threads.
fn process_cpu_time() -> Duration {
    let used = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(used.tv_sec.unsigned_abs(), u32::try_from(used.tv_nsec).unwrap_or(0))
}
