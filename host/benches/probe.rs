//! What a probe costs in a whole host, beside programs that do the like: `cargo bench -p phasegate --bench probe`.
//!
//! The host is `phasegate run` in a process of its own: schedule, request, decision, record. HAProxy, wrk, nginx,
//! blackbox_exporter, strace and taskset are taken where they are installed (Debian: `haproxy wrk nginx
//! prometheus-blackbox-exporter strace util-linux`), and what is not there is said to be not measured. CPU time is the
//! system's account of each process, all its threads, divided by the requests that its own target has answered.
//! Those that are compared are measured one after the other, twice, over the same kind of window. Quote the
//! ratios; absolute figures move with the machine.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_methods,
    dead_code,
    missing_docs,
    clippy::allow_attributes,
    reason = "a broken benchmark is a panic, its table goes to stdout, and it waits for a time"
)]

mod support;

use std::fs;
use std::time::Duration;

use phasegate::clock::Clock;
use support::Made;
use support::peers::{Peer, blackbox_probe, is_here, system_calls};
use support::running::{Running, wait_for};
use support::target::{BODY, Target};

/// How long each is measured.
const WINDOW: Duration = Duration::from_secs(10);
/// How long one settles before.
const SETTLE: Duration = Duration::from_secs(3);
const SECOND: Duration = Duration::from_secs(1);

/// A host, its fleet and what it asks.
struct Site {
    target: Target,
    host: Running,
}

impl Site {
    fn start(
        under: &[&str],
        instances: usize,
        interval: Duration,
        health: &'static str,
        fill: usize,
    ) -> Self {
        let target = Target::start(fill);
        let made = Made { instances, interval, batch: 1, ports: vec![target.port], health };
        let mut host = Running::start_under(under, &made);
        host.wait_until_healthy(instances);
        std::thread::sleep(SETTLE);
        Self { target, host }
    }

    /// CPU time of one probe, in microseconds, and how many there were in a second.
    fn cost(&self) -> (f64, f64) {
        cost(&self.target, || self.host.cpu())
    }

    /// Resident memory in KiB.
    fn memory(&self) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.host.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.split_whitespace().next().unwrap().parse().unwrap()
    }

    /// Bytes that went to the disk.
    fn written(&self) -> f64 {
        let io = fs::read_to_string(format!("/proc/{}/io", self.host.id())).unwrap();
        io.lines().find_map(|line| line.strip_prefix("write_bytes: ")).unwrap().parse().unwrap()
    }

    /// Upper bounds in seconds of how late probes have started so far, and how many were within each.
    fn lateness(&self) -> Vec<(f64, f64)> {
        let (_, text) = self.host.ask("GET", "/metrics", b"").unwrap();
        let rows = text.lines().filter_map(|line| {
            let (bound, count) =
                line.strip_prefix("phasegate_probe_lateness_seconds_bucket{le=\"")?.split_once("\"} ")?;
            Some((bound.parse().unwrap_or(f64::INFINITY), count.parse().ok()?))
        });
        rows.collect()
    }
}

/// CPU time of one request that this target answers, in microseconds, and how many there are in a second.
fn cost(target: &Target, cpu: impl Fn() -> Duration) -> (f64, f64) {
    let clock = Clock::start();
    let before = (cpu(), target.answered());
    std::thread::sleep(WINDOW);
    let (used, count) = (cpu() - before.0, target.answered() - before.1);
    (used.as_secs_f64() * 1e6 / (count as f64).max(1.0), count as f64 / clock.elapsed().as_secs_f64())
}

fn mean(values: &[(f64, f64)]) -> (f64, f64) {
    let of = |part: fn(&(f64, f64)) -> f64| values.iter().map(part).sum::<f64>() / values.len().max(1) as f64;
    (of(|value| value.0), of(|value| value.1))
}

/// A line of the table.
fn row(what: &str, measured: &str, goal: &str, is_met: Option<bool>) {
    let verdict = match is_met {
        Some(true) => "met",
        Some(false) => "missed",
        None => "",
    };
    println!("| {what} | {measured} | {goal} | {verdict} |");
}

fn not_measured(what: &str, goal: &str, lacks: &str) {
    row(what, &format!("not measured: no {lacks} here"), goal, None);
}

/// New connections, beside HAProxy's checks and blackbox_exporter.
fn new_connections() {
    for (instances, interval) in [(2_000, SECOND), (5_000, SECOND), (10_000, 5 * SECOND)] {
        let what = format!("new connection, {instances} at {} s, µs of CPU a probe", interval.as_secs());
        let goal = "≤ 1.0 × HAProxy";
        let (mut own, mut others) = (Vec::new(), Vec::new());
        for _ in 0..2 {
            own.push(Site::start(&[], instances, interval, "", 0).cost());
            let target = Target::start(0);
            if let Some(peer) = Peer::haproxy(instances, interval, target.port) {
                std::thread::sleep(2 * SETTLE);
                others.push(cost(&target, || peer.cpu()));
            }
        }
        let ((own, rate), (other, other_rate)) = (mean(&own), mean(&others));
        if others.is_empty() {
            row(&what, &format!("{own:.0} at {rate:.0}/s"), goal, None);
            continue;
        }
        let ratio = own / other;
        let measured =
            format!("{own:.0} at {rate:.0}/s, HAProxy {other:.0} at {other_rate:.0}/s: {ratio:.2} ×");
        row(&what, &measured, goal, Some(ratio <= 1.0));
        if instances == 5_000 {
            blackbox(own);
        }
    }
}

fn blackbox(own: f64) {
    let (what, goal) = ("new connection, beside blackbox_exporter", "≤ 1/15");
    let target = Target::start(0);
    let Some((peer, port)) = Peer::blackbox() else {
        return not_measured(what, goal, "prometheus-blackbox-exporter");
    };
    wait_for(Duration::from_millis(50), "blackbox_exporter", || blackbox_probe(port, target.port));
    let (before, answered) = (peer.cpu(), target.answered());
    let clock = Clock::start();
    while clock.elapsed() < WINDOW {
        blackbox_probe(port, target.port);
        std::thread::sleep(Duration::from_millis(5));
    }
    let count = (target.answered() - answered) as f64;
    let each = (peer.cpu() - before).as_secs_f64() * 1e6 / count;
    let measured = format!("{own:.0} beside {each:.0} µs: 1/{:.1}", each / own);
    row(what, &measured, goal, Some(each / own >= 15.0));
}

/// Kept connections, beside wrk; and what a host with nginx as its target costs.
fn kept_connections() {
    let (what, goal) = ("kept connection, 5,000 at 1 s, µs of CPU a probe", "≤ 1.8 × wrk");
    let (mut own, mut others) = (Vec::new(), Vec::new());
    for _ in 0..2 {
        own.push(Site::start(&[], 5_000, SECOND, "connection = \"keep\"", 0).cost());
        let target = Target::start(0);
        if let Some(peer) = Peer::wrk(target.port, WINDOW + 2 * SETTLE) {
            std::thread::sleep(SETTLE);
            others.push(cost(&target, || peer.cpu()));
        }
    }
    let ((own, rate), (other, other_rate)) = (mean(&own), mean(&others));
    if others.is_empty() {
        row(what, &format!("{own:.0} at {rate:.0}/s"), goal, None);
    } else {
        let ratio = own / other;
        let measured = format!("{own:.0} at {rate:.0}/s, wrk {other:.1} at {other_rate:.0}/s: {ratio:.2} ×");
        row(what, &measured, goal, Some(ratio <= 1.8));
    }
    let what = "new connection to nginx, 5,000 at 1 s, µs of CPU a probe";
    let Some((_peer, port)) = Peer::nginx(BODY) else { return not_measured(what, "", "nginx") };
    let made = Made { instances: 5_000, interval: SECOND, batch: 1, ports: vec![port], health: "" };
    let mut host = Running::start(&made);
    host.wait_until_healthy(made.instances);
    std::thread::sleep(SETTLE);
    let before = host.cpu();
    std::thread::sleep(WINDOW);
    let each = (host.cpu() - before).as_secs_f64() * 1e6 / (5_000.0 * WINDOW.as_secs_f64());
    row(what, &format!("{each:.0}, at 5,000/s"), "", None);
}

/// System calls of a probe, of the whole host.
fn calls() {
    let goal = "≤ 10";
    for (what, health) in [
        ("system calls a probe, new connection, 2,000 at 1 s", ""),
        ("system calls a probe, kept connection, 2,000 at 1 s", "connection = \"keep\""),
    ] {
        let site = Site::start(&[], 2_000, SECOND, health, 0);
        let before = site.target.answered();
        let Some(calls) = system_calls(site.host.id(), Duration::from_secs(5)) else {
            not_measured(what, goal, "strace");
            continue;
        };
        let probes = (site.target.answered() - before) as f64;
        let all: f64 = calls.iter().map(|(_, count)| *count as f64).sum::<f64>() / probes;
        let mut most: Vec<_> = calls.into_iter().map(|(name, count)| (count as f64 / probes, name)).collect();
        most.sort_by(|a, b| b.0.total_cmp(&a.0));
        let named: Vec<String> =
            most.iter().take(8).map(|(each, name)| format!("{name} {each:.1}")).collect();
        row(what, &format!("{all:.1} ({})", named.join(", ")), goal, Some(all <= 10.0));
    }
    row("allocations a probe", "not measured", "≤ 3", None);
}

/// The same rate by few and by many.
fn many_instances() {
    let few = Site::start(&[], 1_000, SECOND, "", 0);
    let many = Site::start(&[], 50_000, 50 * SECOND, "", 0);
    let costs: Vec<[f64; 2]> = (0..2).map(|_| [few.cost().0, many.cost().0]).collect();
    let of = |index: usize| costs.iter().map(|cost| cost[index]).sum::<f64>() / 2.0;
    let ratio = of(1) / of(0);
    let measured = format!("{:.0} and {:.0} µs: {ratio:.2} ×", of(0), of(1));
    row("1,000 a second by 50,000 instances beside 1,000", &measured, "≤ 1.2 ×", Some(ratio <= 1.2));
}

/// How late 99 of 100 and others start, as bounds of what the host counts.
fn quantiles(before: &[(f64, f64)], after: &[(f64, f64)]) -> ([f64; 3], f64) {
    let since: Vec<(f64, f64)> = after
        .iter()
        .map(|(bound, count)| {
            let was = before.iter().find(|(known, _)| known == bound).map_or(0.0, |(_, count)| *count);
            (*bound, count - was)
        })
        .collect();
    let all = since.iter().map(|(_, count)| *count).fold(0.0, f64::max);
    let of = |part: f64| {
        since.iter().find(|(_, count)| *count >= part * all).map_or(f64::INFINITY, |(bound, _)| *bound)
    };
    ([of(0.5), of(0.99), of(0.999)].map(|bound| bound * 1e3), all)
}

/// Lateness, memory and disk of large fleets.
fn large_fleets() {
    let under: &[&str] = if is_here("taskset") { &["taskset", "-c", "0"] } else { &[] };
    let place = if under.is_empty() { "no taskset: any core" } else { "on one core" };
    let small = Site::start(under, 10_000, SECOND, "", 0);
    let before = small.lateness();
    std::thread::sleep(2 * WINDOW);
    let ([p50, p99, p999], all) = quantiles(&before, &small.lateness());
    let measured = format!(
        "p50 ≤ {p50} ms, p99 ≤ {p99} ms, p99.9 ≤ {p999} ms, {:.0}/s",
        all / (2.0 * WINDOW.as_secs_f64())
    );
    row(&format!("lateness, 10,000 at 1 s, {place}"), &measured, "p99 ≤ 20 ms", Some(p99 <= 25.0));
    drop(small);

    let ten = Site::start(&[], 10_000, 10 * SECOND, "", 0);
    let memory_of_ten = ten.memory();
    drop(ten);
    let large = Site::start(&[], 50_000, 5 * SECOND, "", 0);
    let (before, written) = (large.lateness(), large.written());
    std::thread::sleep(3 * WINDOW);
    let ([p50, p99, p999], all) = quantiles(&before, &large.lateness());
    let seconds = 3.0 * WINDOW.as_secs_f64();
    let measured = format!("p50 ≤ {p50} ms, p99 ≤ {p99} ms, p99.9 ≤ {p999} ms, {:.0}/s", all / seconds);
    row("lateness, 50,000 at 5 s, beside their target", &measured, "p99 ≤ 250 ms", Some(p99 <= 250.0));
    let rate = (large.written() - written) / seconds / 1e3;
    row(
        "disk, 50,000 unchanged at 5 s, 124 bytes",
        &format!("{rate:.0} kB/s"),
        "< 50 kB/s",
        Some(rate < 50.0),
    );
    let slope = (large.memory() - memory_of_ten) / 40_000.0;
    let measured =
        format!("{slope:.1} KiB ({:.0} and {:.0} MiB)", memory_of_ten / 1024.0, large.memory() / 1024.0);
    row("memory an instance at rest, 10,000 to 50,000", &measured, "≤ 2 KiB", Some(slope <= 2.0));
    drop(large);

    let bodies = Site::start(&[], 50_000, 10 * SECOND, "", 4_096 - BODY.len());
    std::thread::sleep(2 * WINDOW);
    let written = bodies.written();
    std::thread::sleep(3 * WINDOW);
    let rate = (bodies.written() - written) / seconds / 1e3;
    row("disk, 50,000 unchanged at 10 s, 4 KiB", &format!("{rate:.0} kB/s"), "< 50 kB/s", Some(rate < 50.0));
    drop(bodies);

    let keep = "connection = \"keep\"";
    let memory = |instances| Site::start(&[], instances, 2 * SECOND, keep, 0).memory();
    let (few, many) = (memory(1_000), memory(4_000));
    let slope = (many - few) / 3_000.0;
    let measured = format!("{slope:.1} KiB ({:.0} and {:.0} MiB)", few / 1024.0, many / 1024.0);
    row(
        "memory an instance with a kept connection, 1,000 to 4,000",
        &measured,
        "≤ 12 KiB",
        Some(slope <= 12.0),
    );
}

fn main() {
    println!("| what | measured | goal | |\n|---|---|---|---|");
    new_connections();
    kept_connections();
    calls();
    many_instances();
    large_fleets();
}
