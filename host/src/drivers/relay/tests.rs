//! Who drives an instance when the driver of its set is another one.

use std::sync::Mutex as StdMutex;

use tokio::sync::watch;

use super::*;
use crate::drivers::testing::{question, request};
use phasegate_core::domain::{Located, Version};

/// Says what it is told, and does it when it may.
struct Noting {
    name: &'static str,
    custody: Custody,
    told: Arc<StdMutex<Vec<String>>>,
    may: watch::Receiver<bool>,
    runs: Arc<StdMutex<Option<Version>>>,
}

impl Noting {
    fn note(&self, what: &str) {
        self.told.lock().unwrap().push(format!("{} {what}", self.name));
    }
}

impl Driver for Noting {
    fn ensure(&self, request: Ensure) -> BoxFuture<Result<Seen, DriverError>> {
        self.note(&format!("brings {} to {}", request.instance.id, request.version));
        let (mut may, runs) = (self.may.clone(), Arc::clone(&self.runs));
        Box::pin(async move {
            _ = may.wait_for(|may| *may).await;
            *runs.lock().unwrap() = Some(request.version.clone());
            Ok(Seen::Version(request.version))
        })
    }

    fn observe(&self, _: Observe) -> BoxFuture<Seen> {
        let runs = self.runs.lock().unwrap().clone();
        Box::pin(std::future::ready(runs.map_or(Seen::Nothing, Seen::Version)))
    }

    fn sight(&self) -> Sight {
        Sight::APPLICATION
    }

    fn creation(&self) -> Creation {
        Creation::NotTold
    }

    fn create(&self, _: Create) -> BoxFuture<Result<(Address, Seen), DriverError>> {
        Box::pin(std::future::ready(Err(DriverError::Ended)))
    }

    fn delete(&self, request: Delete) -> BoxFuture<Result<(), DriverError>> {
        self.note(&format!("ends {}", request.instance.id));
        *self.runs.lock().unwrap() = None;
        Box::pin(std::future::ready(Ok(())))
    }

    fn end(&self, _: &OperationId) {}

    fn custody(&self) -> Custody {
        self.custody
    }

    fn shutdown(&self) -> BoxFuture<()> {
        self.note("is over");
        Box::pin(std::future::ready(()))
    }
}

/// Drivers that write into one list, and whether they may do what they are told.
struct House {
    told: Arc<StdMutex<Vec<String>>>,
    may: watch::Sender<bool>,
}

impl House {
    fn new() -> Self {
        Self { told: Arc::default(), may: watch::channel(true).0 }
    }

    fn driver(&self, name: &'static str, custody: Custody) -> Arc<dyn Driver> {
        let (told, may) = (Arc::clone(&self.told), self.may.subscribe());
        Arc::new(Noting { name, custody, told, may, runs: Arc::default() })
    }

    fn relay(&self, custody: Custody) -> Relay {
        Relay::new(self.driver("first", custody), Handle::current())
    }

    /// What they were told to do; when one is over is a matter of its own.
    fn told(&self) -> Vec<String> {
        let told = std::mem::take(&mut *self.told.lock().unwrap());
        told.into_iter().filter(|line| !line.ends_with("is over")).collect()
    }

    /// Waits until somebody was told this.
    async fn wait_for(&self, line: &str) {
        while !self.told.lock().unwrap().iter().any(|told| told == line) {
            tokio::task::yield_now().await;
        }
    }
}

fn end_of_one() -> Delete {
    Delete { located: Located::Yes, ..end_of(&request("0", "v1", "end")) }
}

#[tokio::test]
async fn what_is_kept_running_goes_on_until_the_next_one_brings_the_instance_somewhere() {
    let house = House::new();
    let relay = house.relay(Custody::Host);
    relay.ensure(request("0", "v1", "a")).await.unwrap();
    relay.hand_over(house.driver("second", Custody::Host));
    assert_eq!(house.told(), ["first brings 0 to v1"], "nothing is ended");
    assert!(matches!(relay.observe(question("0")).await, Seen::Version(_)), "the first one knows");
    relay.ensure(request("0", "v2", "b")).await.unwrap();
    house.wait_for("first is over").await;
    assert_eq!(house.told(), ["first ends 0", "second brings 0 to v2"]);
}

#[tokio::test]
async fn one_that_nobody_lists_any_more_is_ended_by_whoever_keeps_it_running() {
    let house = House::new();
    let relay = house.relay(Custody::Host);
    relay.ensure(request("0", "v1", "a")).await.unwrap();
    relay.hand_over(house.driver("second", Custody::Site));
    house.told();
    relay.dismiss(end_of_one()).await.unwrap();
    house.wait_for("first is over").await;
    assert_eq!(house.told(), ["first ends 0"], "the site's own is left alone");
}

#[tokio::test]
async fn what_one_has_in_hand_it_finishes_and_then_it_is_over() {
    let house = House::new();
    let relay = house.relay(Custody::Site);
    house.may.send_replace(false);
    let in_hand = relay.ensure(request("0", "v1", "a"));
    relay.hand_over(house.driver("second", Custody::Site));
    let next = relay.ensure(request("0", "v2", "b"));
    let other = relay.ensure(request("1", "v2", "c"));
    assert_eq!(house.told(), ["first brings 0 to v1", "second brings 1 to v2"], "one after the other");
    house.may.send_replace(true);
    in_hand.await.unwrap();
    next.await.unwrap();
    other.await.unwrap();
    house.wait_for("first is over").await;
    assert_eq!(house.told().last().map(String::as_str), Some("second brings 0 to v2"));
}

#[tokio::test]
async fn what_a_person_ends_before_its_turn_is_never_begun() {
    let house = House::new();
    let relay = house.relay(Custody::Site);
    house.may.send_replace(false);
    let in_hand = relay.ensure(request("0", "v1", "a"));
    let next = relay.ensure(request("0", "v2", "b"));
    relay.end(&OperationId("b".to_owned()));
    house.may.send_replace(true);
    in_hand.await.unwrap();
    assert!(matches!(next.await, Err(DriverError::EndedOnWish)));
    assert_eq!(house.told(), ["first brings 0 to v1"]);
}

#[tokio::test]
async fn drivers_that_held_nothing_are_over_at_once_however_many_there_are() {
    let house = House::new();
    let relay = house.relay(Custody::Host);
    relay.ensure(request("0", "v1", "a")).await.unwrap();
    for _ in 0..20 {
        relay.hand_over(house.driver("next", Custody::Host));
    }
    assert_eq!(lock(&relay.state).former.len(), 1, "the first one keeps the instance running");
}
