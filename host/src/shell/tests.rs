//! The loop with a store that does not do what it is asked for: who hears what, and when it ends.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use phasegate_core::domain::By;
use phasegate_core::kernel::{Command, Configured, Refusal, Reply};
use phasegate_core::record::{Commit, Opened, Store, StoreError, Stored};
use phasegate_wasm::Runtime;

use super::*;
use crate::clock::Clock;
use crate::drivers::process::OnExit;
use crate::plugins::hands::{Hands as PluginHands, HandsParts};

/// Does what it is told, commit by commit, and takes everything afterwards.
struct Moody {
    moods: Arc<Mutex<VecDeque<StoreError>>>,
    commits: Arc<AtomicUsize>,
}

impl Store for Moody {
    fn commit(&mut self, _: &Commit) -> Result<(), StoreError> {
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.moods.lock().unwrap().pop_front().map_or(Ok(()), Err)
    }
}

struct House {
    door: Door,
    commits: Arc<AtomicUsize>,
    loop_thread: std::thread::JoinHandle<std::io::Result<Ended>>,
    _directory: tempfile::TempDir,
}

/// A host without scale sets and plugins.
fn house(moods: Vec<StoreError>) -> House {
    let directory = tempfile::tempdir().unwrap();
    let (door, inside) = Door::new();
    let clock = Clock::start();
    let parts = HandsParts {
        runtime: Runtime::new(Arc::new(clock)).unwrap(),
        data_dir: directory.path().to_owned(),
        clock,
        recorder: None,
        on_event: Arc::new(|_, _| ()),
        on_decisions: Arc::new(|_| ()),
        on_failing: Arc::new(|_| ()),
    };
    let hands = Hands {
        runtime: tokio::runtime::Handle::current(),
        door: door.clone(),
        drivers: Drivers::new(
            Ground {
                logs: directory.path().to_owned(),
                kept: directory.path().join("processes"),
                guards: directory.path().join("guards"),
                on_exit: OnExit::Stop,
                settings: directory.path().join("settings"),
                stop_timeout: Duration::ZERO,
            },
            (tokio::sync::mpsc::channel(1).0, crate::drivers::Words::default()),
            tokio::runtime::Handle::current(),
        ),
        remember: Arc::new(|_, _, _| ()),
        plugins: PluginHands::new(&[], parts),
        probe: Arc::new(|_| ()),
        forget: Arc::new(|_, _| ()),
        ask: Arc::new(|_| ()),
        measures: Arc::default(),
        keep: Arc::new(|_| ()),
        under_way: UnderWay::default(),
    };
    let commits = Arc::new(AtomicUsize::new(0));
    let store = Moody { moods: Arc::new(Mutex::new(moods.into())), commits: Arc::clone(&commits) };
    let opened = Opened { store, stored: Stored::default() };
    let shell = Shell::open(Configured::default(), opened, clock, (inside, hands));
    House { door, commits, loop_thread: std::thread::spawn(move || run(shell)), _directory: directory }
}

fn by() -> By {
    By { reason: Some("the network".to_owned()), ..By::host() }
}

fn unsure() -> StoreError {
    StoreError::Unsure("the disk does not answer".into())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deposed_host_says_so_and_does_nothing_any_more() {
    let house = house(vec![StoreError::Deposed]);
    assert_eq!(house.door.ask(by(), Command::StopLine).await, Err(Refusal::Deposed));
    let House { door, commits, loop_thread, .. } = house;
    let ended = tokio::task::spawn_blocking(move || loop_thread.join()).await.unwrap().unwrap().unwrap();
    assert_eq!((ended, commits.load(Ordering::Relaxed)), (Ended::Deposed, 1));
    assert!(door.view().line.is_none(), "nothing of it is shown");
    // The loop is gone, and no request waits for it for ever.
    assert_eq!(door.ask(by(), Command::StopLine).await, Err(Refusal::Ending));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_store_is_not_sure_of_is_answered_with_the_commit_after() {
    let house = house(vec![unsure()]);
    let door = house.door.clone();
    let first = tokio::spawn(async move { door.ask(by(), Command::StopLine).await });
    // The store has been asked; a second request is worth a try before the next one is due.
    while house.commits.load(Ordering::Relaxed) == 0 {
        tokio::task::yield_now().await;
    }
    let second = house.door.ask(by(), Command::StopLine).await;
    assert!(matches!(second, Ok(Reply::Line(Some(_)))), "{second:?}");
    let first = first.await.unwrap();
    assert!(matches!(first, Err(Refusal::NotRecorded { .. })), "{first:?}");
    assert!(house.commits.load(Ordering::Relaxed) >= 2);
    house.door.send(phasegate_core::kernel::Event::Ending).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_waits_no_longer_hears_that_it_is_not_known() {
    let house = house((0..20).map(|_| unsure()).collect());
    let limit = Duration::from_millis(20);
    let answer = house.door.ask_within(limit, by(), Command::StopLine).await;
    assert!(matches!(answer, Err(Refusal::NotKnown { .. })), "{answer:?}");
    // The end of the host does not settle it either.
    let ending = house.door.send(phasegate_core::kernel::Event::Ending);
    // In this order into one channel.
    let (answer, ()) = tokio::join!(house.door.ask(by(), Command::StopLine), ending);
    assert!(matches!(answer, Err(Refusal::NotKnown { .. })), "{answer:?}");
}
