//! The runner with answers made up by the test, and once with real sockets. Short real times:
//! every wait is for a round, with a bound.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::AsyncWriteExt;
use tokio::sync::{Notify, mpsc};
use tokio::time::{sleep, timeout};

use super::*;
use crate::probe::ask::Asked;
use crate::probe::failure::ProbeError;
use crate::probe::testing::{PATIENCE, answer, listen, serve, settings, target};
use phasegate_core::domain::{
    Address, HealthSettings, ProbeConnection, ProbeFailure, ProbeProtocol, Response, Round,
};

const LIMITS: Limits = Limits { in_flight_max: 100, slow_max: 50, kept_max: 100 };

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn every(interval: Duration) -> HealthSettings {
    HealthSettings { interval, timeout: ms(300), ..settings(ProbeProtocol::Http) }
}

fn nowhere() -> Address {
    Address { host: "127.0.0.1".to_owned(), port: 1 }
}

fn made_up(id: &str, interval: Duration, epoch: u64) -> Target {
    Target { epoch, ..target(id, nowhere(), every(interval)) }
}

fn ok() -> Response {
    Response { status: 200, headers: Vec::new(), body: Vec::new() }
}

fn id_of(round: &Round) -> &str {
    round.observation.instance.id.as_str()
}

/// A prober with its rounds, in the order in which they arrive.
struct Bench {
    prober: Prober,
    rounds: mpsc::UnboundedReceiver<Round>,
}

impl Bench {
    fn new<F>(limits: Limits, ask: impl Fn(Arc<Target>) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<Response, ProbeFailure>> + Send + 'static,
    {
        let (sender, rounds) = mpsc::unbounded_channel();
        let sink: RoundSink = Arc::new(move |ended| match ended {
            Ended::Round(round) => drop(sender.send(round)),
            Ended::NotAsked(missed) => panic!("{missed:?}"),
        });
        let ask: Ask = Arc::new(move |target| {
            let asking = ask(target);
            Box::pin(async move { Asked::alone(asking.await.map_err(ProbeError::from)) })
        });
        let prober = Prober::start_with(Clock::start(), sink, (ask, Plain::ByTasks), limits).unwrap();
        Self { prober, rounds }
    }

    async fn next(&mut self) -> Round {
        timeout(PATIENCE, self.rounds.recv()).await.expect("no round in time").unwrap()
    }

    /// The next round of one target; others are dropped.
    async fn next_of(&mut self, id: &str) -> Round {
        loop {
            let round = self.next().await;
            if id_of(&round) == id {
                return round;
            }
        }
    }
}

#[tokio::test]
async fn first_probes_are_spread_and_every_target_is_probed_again() {
    let mut bench = Bench::new(LIMITS, |_| async { Ok(ok()) });
    for number in 0..50 {
        bench.prober.set(made_up(&number.to_string(), ms(500), 1));
    }
    // The times at which each target was probed, until all were probed twice.
    let mut starts: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    while starts.len() < 50 || starts.values().any(|starts| starts.len() < 2) {
        let round = bench.next().await;
        starts.entry(id_of(&round).to_owned()).or_default().push(round.started_at.0);
    }
    let firsts = || starts.values().map(|starts| starts[0]);
    let spread = firsts().max().unwrap() - firsts().min().unwrap();
    assert!(spread > 250, "all at once, within {spread} ms");
    // A tenth of the interval may be caught up after a late start.
    assert!(starts.values().all(|starts| starts[1] - starts[0] >= 445), "{starts:?}");
    assert!(bench.prober.lateness().started >= 100);
}

#[tokio::test]
async fn a_round_says_what_was_asked_when_and_of_which_life() {
    let mut bench = Bench::new(LIMITS, |_| async { Err(ProbeFailure::BodyTooLarge(7)) });
    let before = Clock::start().now();
    let target = made_up("a", ms(10), 42);
    bench.prober.set(target.clone());
    let Round { observation, epoch, started_at, finished_at } = bench.next().await;
    assert_eq!(observation.instance, target.facts);
    assert_eq!(observation.answers.len(), 1);
    assert_eq!(observation.answers[0].source, "health");
    assert_eq!(observation.answers[0].outcome, Err(ProbeFailure::BodyTooLarge(7)));
    assert_eq!(observation.memory, None);
    let address = target.address.to_string();
    let expected = [("probe-protocol", "http"), ("address", address.as_str())];
    assert_eq!(observation.attributes, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    assert_eq!(epoch, 42);
    assert!(before <= started_at && started_at <= finished_at);
}

#[tokio::test]
async fn probes_of_one_target_never_overlap() {
    let running = Arc::new(AtomicUsize::new(0));
    let most = Arc::new(AtomicUsize::new(0));
    let (counter, peak) = (Arc::clone(&running), Arc::clone(&most));
    let mut bench = Bench::new(LIMITS, move |_| {
        let (counter, peak) = (Arc::clone(&counter), Arc::clone(&peak));
        async move {
            peak.fetch_max(counter.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            sleep(ms(25)).await;
            counter.fetch_sub(1, Ordering::SeqCst);
            Ok(ok())
        }
    });
    bench.prober.set(made_up("a", ms(5), 1));
    let mut last = bench.next().await;
    for _ in 0..8 {
        let facts = &last.observation.instance;
        bench.prober.ask(&facts.scale_set, &facts.id, Duration::ZERO);
        let round = bench.next().await;
        assert!(round.started_at >= last.finished_at);
        last = round;
    }
    assert_eq!(most.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn targets_that_hang_do_not_delay_the_others() {
    // Far more of them than may run at once, and each takes its place for as long as it can.
    let limits = Limits { in_flight_max: 4, slow_max: 2, kept_max: 100 };
    let mut bench = Bench::new(limits, |target: Arc<Target>| async move {
        if target.facts.id.as_str().starts_with("hung") {
            sleep(ms(200)).await;
            return Err(ProbeFailure::Timeout);
        }
        Ok(ok())
    });
    for number in 0..20 {
        bench.prober.set(made_up(&format!("hung{number}"), ms(20), 1));
    }
    // Until each has hung once they hold all places; from then on only two.
    let mut hung = BTreeMap::new();
    while hung.len() < 20 {
        let round = bench.next().await;
        hung.insert(id_of(&round).to_owned(), ());
    }
    bench.prober.set(made_up("good", ms(20), 1));
    bench.next_of("good").await;
    let mut others = 0;
    for _ in 0..20 {
        while id_of(&bench.next().await) != "good" {
            others += 1;
        }
    }
    // 20 rounds of the good one take 0.4 s, in which two places bring about 4 hung rounds. Were
    // it to stand in line with the others, 20 of theirs would come with each of its own.
    assert!(others <= 40, "{others} rounds of hung targets");
}

#[tokio::test]
async fn a_new_epoch_is_probed_at_once_and_the_old_probe_still_reports() {
    let release = Arc::new(Notify::new());
    let gate = Arc::clone(&release);
    let (tell, mut asked) = mpsc::unbounded_channel();
    let mut bench = Bench::new(LIMITS, move |target: Arc<Target>| {
        let gate = Arc::clone(&gate);
        tell.send(target.epoch).unwrap();
        async move {
            if target.epoch == 1 {
                gate.notified().await;
            }
            Ok(ok())
        }
    });
    bench.prober.set(made_up("a", ms(5), 1));
    assert_eq!(timeout(PATIENCE, asked.recv()).await.unwrap(), Some(1));

    // The probe of epoch 1 is running. With an interval of an hour, only the new epoch can be
    // the reason for the next one.
    let hour = Duration::from_secs(3_600);
    bench.prober.set(made_up("a", hour, 2));
    assert_eq!(bench.next().await.epoch, 2);
    release.notify_one();
    assert_eq!(bench.next().await.epoch, 1);

    // Waiting for an hour now; the same epoch does not hurry it, a higher one does.
    bench.prober.set(made_up("a", hour, 2));
    bench.prober.set(made_up("a", hour, 1));
    bench.prober.set(made_up("a", hour, 3));
    assert_eq!(bench.next().await.epoch, 3);
    let facts = made_up("a", hour, 3).facts;
    bench.prober.ask(&facts.scale_set, &facts.id, Duration::ZERO);
    assert_eq!(bench.next().await.epoch, 3);
    assert_eq!(bench.prober.lateness().started, 4);
}

#[tokio::test]
async fn a_removed_target_reports_no_more_and_can_come_back() {
    let mut bench = Bench::new(LIMITS, |target: Arc<Target>| async move {
        if target.epoch == 1 { std::future::pending().await } else { Ok(ok()) }
    });
    let old = made_up("a", ms(5), 1);
    bench.prober.set(old.clone());
    while bench.prober.lateness().started == 0 {
        tokio::task::yield_now().await;
    }
    bench.prober.remove(&old.facts.scale_set, &old.facts.id);
    bench.prober.set(made_up("b", ms(5), 2));
    for _ in 0..5 {
        assert_eq!(id_of(&bench.next().await), "b");
    }
    bench.prober.set(made_up("a", ms(5), 2));
    bench.next_of("a").await;
}

#[tokio::test]
async fn a_probe_that_panics_is_made_again() {
    let asked = AtomicUsize::new(0);
    let mut bench = Bench::new(LIMITS, move |_| {
        let number = asked.fetch_add(1, Ordering::SeqCst);
        async move {
            assert_ne!(number, 0, "the first probe panics, on purpose");
            Ok(ok())
        }
    });
    bench.prober.set(made_up("a", ms(5), 1));
    bench.next_of("a").await;
}

#[tokio::test]
async fn no_round_comes_after_stop() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let sink: RoundSink = Arc::new(move |round| drop(tell.send(round)));
    let alive = Arc::downgrade(&sink);
    let ask: Ask = Arc::new(|_| Box::pin(async { Asked::alone(Ok(ok())) }));
    let prober = Prober::start_with(Clock::start(), sink, (ask, Plain::ByTasks), LIMITS).unwrap();
    for number in 0..20 {
        prober.set(made_up(&number.to_string(), ms(1), 1));
    }
    for _ in 0..50 {
        timeout(PATIENCE, told.recv()).await.unwrap().unwrap();
    }
    prober.stop().await;
    assert!(alive.upgrade().is_none(), "somebody could still call the sink");
}

#[tokio::test]
async fn whole_way_with_real_sockets() {
    let (sender, rounds) = mpsc::unbounded_channel();
    let sink: RoundSink = Arc::new(move |ended| match ended {
        Ended::Round(round) => drop(sender.send(round)),
        Ended::NotAsked(missed) => panic!("{missed:?}"),
    });
    let prober = Prober::start(Clock::start(), Arc::default(), sink).unwrap();
    let mut bench = Bench { prober, rounds };
    let good =
        serve(|stream| answer(stream, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_vec())).await;
    let (silent, _listener) = listen().await;
    bench.prober.set(target("good", good.clone(), every(ms(20))));
    bench.prober.set(target("silent", silent, every(ms(20))));
    let tcp = HealthSettings { protocol: ProbeProtocol::Tcp, ..every(ms(20)) };
    bench.prober.set(target("tcp", good, tcp));

    let mut goods = 0;
    loop {
        let round = bench.next().await;
        let outcome = &round.observation.answers[0].outcome;
        match id_of(&round) {
            "good" => {
                assert_eq!(outcome.as_ref().map(|response| &response.body[..]), Ok(&b"ok"[..]));
                goods += 1;
            }
            "tcp" => assert_eq!(outcome.as_ref().map(|response| response.status), Ok(0)),
            "silent" => {
                assert_eq!(*outcome, Err(ProbeFailure::Timeout));
                assert!(round.finished_at.since(round.started_at) >= ms(299));
                break;
            }
            other => panic!("{other}"),
        }
    }
    assert!(goods >= 5, "{goods} rounds beside a target that hangs");
    timeout(PATIENCE, bench.prober.stop()).await.unwrap();
}

/// A server that answers all requests of a connection, up to so many, and counts the connections.
async fn patient_server(answers: usize) -> (Address, Arc<AtomicUsize>) {
    let connections = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&connections);
    let address = serve(move |mut stream| {
        counter.fetch_add(1, Ordering::SeqCst);
        async move {
            for _ in 0..answers {
                if crate::probe::testing::read_request(&mut stream).await.is_empty() {
                    return;
                }
                let whole = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
                if stream.write_all(whole).await.is_err() {
                    return;
                }
            }
        }
    })
    .await;
    (address, connections)
}

fn on_sockets() -> Bench {
    let (sender, rounds) = mpsc::unbounded_channel();
    let sink: RoundSink = Arc::new(move |ended| match ended {
        Ended::Round(round) => drop(sender.send(round)),
        Ended::NotAsked(missed) => panic!("{missed:?}"),
    });
    Bench { prober: Prober::start(Clock::start(), Arc::default(), sink).unwrap(), rounds }
}

#[tokio::test]
async fn a_kept_connection_serves_one_life_and_is_made_anew_when_it_was_closed() {
    let kept = |epoch, address: &Address| {
        let settings = HealthSettings { connection: ProbeConnection::Keep, ..every(ms(10)) };
        Target { epoch, ..target("a", address.clone(), settings) }
    };
    let (address, connections) = patient_server(usize::MAX).await;
    let mut bench = on_sockets();
    bench.prober.set(kept(1, &address));
    for _ in 0..10 {
        assert!(bench.next().await.observation.answers[0].outcome.is_ok());
    }
    assert_eq!(connections.load(Ordering::SeqCst), 1);
    bench.prober.set(kept(2, &address));
    while bench.next().await.epoch == 1 {}
    bench.next().await;
    assert_eq!(connections.load(Ordering::SeqCst), 2, "a new life, a new connection");
    bench.prober.stop().await;

    // Closed after three answers without a word: no probe fails of that.
    let (address, connections) = patient_server(3).await;
    let mut bench = on_sockets();
    bench.prober.set(kept(1, &address));
    for _ in 0..12 {
        assert!(bench.next().await.observation.answers[0].outcome.is_ok());
    }
    assert!(connections.load(Ordering::SeqCst) >= 4);
    bench.prober.stop().await;
}

/// A server of kept connections; `say` gives the answer to the request of this number.
async fn talkative_server(say: impl Fn(usize) -> Vec<u8> + Clone + Send + Sync + 'static) -> Address {
    let count = Arc::new(AtomicUsize::new(0));
    serve(move |mut stream| {
        let (count, say) = (Arc::clone(&count), say.clone());
        async move {
            while !crate::probe::testing::read_request(&mut stream).await.is_empty() {
                let answer = say(count.fetch_add(1, Ordering::SeqCst));
                if stream.write_all(&answer).await.is_err() {
                    return;
                }
            }
        }
    })
    .await
}

fn kept_every(interval: Duration) -> HealthSettings {
    HealthSettings { connection: ProbeConnection::Keep, ..every(interval) }
}

#[tokio::test]
async fn what_is_said_again_is_the_same_value_whatever_the_date() {
    let say = |number: usize| {
        let body = if number < 5 { "one" } else { "two" };
        let date = format!("Date: Mon, 30 Nov 2026 12:32:{:02} GMT", number % 60);
        format!("HTTP/1.1 200 OK\r\n{date}\r\nContent-Length: 3\r\n\r\n{body}").into_bytes()
    };
    let address = talkative_server(say).await;
    for settings in [kept_every(ms(10)), every(ms(10))] {
        let mut bench = on_sockets();
        let asked = target("a", address.clone(), settings);
        bench.prober.set(asked.clone());
        let mut rounds = vec![bench.next().await];
        while rounds.len() < 10 {
            rounds.push(bench.next().await);
        }
        let body = |round: &Round| round.observation.answers[0].outcome.clone().unwrap().body;
        for pair in rounds.windows(2) {
            let is_shared = Arc::ptr_eq(&pair[0].observation, &pair[1].observation);
            assert_eq!(is_shared, body(&pair[0]) == body(&pair[1]));
            assert!(pair[1].started_at >= pair[0].finished_at, "each has its own times");
        }
        // What is said of the instance is part of what was seen.
        let version = Some(phasegate_core::domain::Version::parse("v2").unwrap());
        let facts = Arc::new(phasegate_core::domain::InstanceFacts { version, ..(*asked.facts).clone() });
        bench.prober.set(Target { facts: Arc::clone(&facts), ..asked });
        let round = loop {
            let round = bench.next().await;
            if Arc::ptr_eq(&round.observation.instance, &facts) {
                break round;
            }
        };
        assert_eq!(body(&round), body(rounds.last().unwrap()));
        bench.prober.stop().await;
    }
}

#[tokio::test]
async fn what_nobody_asked_for_on_a_kept_connection_is_no_answer() {
    const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    const LATE: &[u8] = b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    // After each answer the connection lies idle for a while, and then the server gives up on it in so many words.
    let address = serve(|mut stream| async move {
        while !crate::probe::testing::read_request(&mut stream).await.is_empty() {
            if stream.write_all(OK).await.is_err() {
                return;
            }
            sleep(ms(8)).await;
            if stream.write_all(LATE).await.is_err() {
                return;
            }
        }
    })
    .await;
    // With the first one it comes long before the next probe, with the second one at about the same time.
    for interval in [ms(40), ms(8)] {
        let mut bench = on_sockets();
        bench.prober.set(target("a", address.clone(), kept_every(interval)));
        for _ in 0..25 {
            let round = bench.next().await;
            assert_eq!(round.observation.answers[0].outcome.as_ref().map(|it| it.status), Ok(200));
        }
        bench.prober.stop().await;
    }
}
