//! What drivers have in common whose instances the site keeps running: one thing at a time per
//! instance, repeats, older hosts, and whether "done" is true.
//!
//! Does not know how an instance is reached; [`Reach`] does. Remembers nothing across a restart of
//! the host: what was in flight then is repeated under its old operation id, whatever the instance
//! says meanwhile, because it may be half done.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::ends::{End, Ends, InHand};
use super::looking::Confirm;
use super::{BoxFuture, Create, Delete, DriverError, Ensure, Observe};
use crate::clock::Clock;
use phasegate_core::domain::{
    Address, Component, Fence, Instance, InstanceId, OperationId, ScaleSetName, Seen, Timestamp, Version,
};

mod row;
use row::{Judged, Row};

/// The shortest time between two looks.
const PAUSE_MIN: Duration = Duration::from_millis(10);

/// One way to reach instances.
pub(super) trait Reach: Send + Sync + 'static {
    /// Why something did not work; one line for people.
    type Error: std::error::Error + Into<DriverError> + Send + Sync;

    /// How long an operation may take to end that a person wants to end; then it is given up.
    fn end_within(&self) -> Duration;

    /// Applies the request, tries again included. Can be dropped, and then does no more. Ends early when that is
    /// wanted, as far as what it has begun can be ended.
    fn apply(&self, request: Arc<Ensure>, end: End) -> BoxFuture<Result<(), Self::Error>>;

    /// Creates an instance, tries again included, and gives its address. Can be dropped, too.
    fn create(&self, request: Arc<Create>, end: End) -> BoxFuture<Result<Address, Self::Error>>;

    /// Deletes an instance, tries again included. Can be dropped, too.
    fn delete(&self, request: Arc<Delete>, end: End) -> BoxFuture<Result<(), Self::Error>>;

    /// Asks an instance what it has of a component. None when there is no way to ask; why nobody can tell, where
    /// that is not what it says itself.
    fn look(
        &self,
        scale_set: &ScaleSetName,
        instance: &Instance,
        component: &Component,
    ) -> Option<BoxFuture<Result<Seen, Self::Error>>>;
}

/// When an answer counts, and how long it is waited for at most.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    pub(super) confirm: Confirm,
    /// As long as one operation may take: so long old and new may answer side by side.
    pub(super) longest: Duration,
}

impl Patience {
    /// Between two looks.
    fn pause(&self) -> Duration {
        let gaps = self.confirm.answers.saturating_sub(1).max(1);
        (self.confirm.over / gaps).max(PAUSE_MIN)
    }
}

/// All instances of a driver, reached in one way.
pub(super) struct Site<R> {
    shared: Arc<Shared<R>>,
    ending: watch::Sender<Ending>,
    ends: Ends,
}

/// Whether the driver is being shut down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    No,
    Yes,
}

struct Shared<R> {
    reach: R,
    patience: Patience,
    clock: Clock,
    /// Highest fence that has been seen.
    highest: Mutex<Fence>,
    places: Mutex<BTreeMap<(ScaleSetName, InstanceId), Arc<Place>>>,
}

/// One instance.
struct Place {
    /// Held while something is done to it.
    turn: tokio::sync::Mutex<()>,
    done: Mutex<BTreeMap<Component, Applied>>,
}

/// What was done last to a component of an instance in this life of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Applied {
    operation: OperationId,
    /// As it was confirmed.
    seen: Seen,
}

impl Place {
    fn done(&self, component: &Component) -> Option<Applied> {
        // Nothing is awaited and nothing can panic while it is held.
        self.done.lock().unwrap_or_else(PoisonError::into_inner).get(component).cloned()
    }

    fn learn(&self, component: &Component, applied: Applied) {
        self.done.lock().unwrap_or_else(PoisonError::into_inner).insert(component.clone(), applied);
    }

    /// Something is begun: until it ends well, whatever it seems to run, it may be half done.
    fn forget(&self, component: &Component) {
        self.done.lock().unwrap_or_else(PoisonError::into_inner).remove(component);
    }
}

impl<R: Reach> Site<R> {
    pub(super) fn new(reach: R, patience: Patience) -> Self {
        let (highest, clock) = (Mutex::new(Fence::NONE), Clock::start());
        let shared = Shared { reach, patience, clock, highest, places: Mutex::default() };
        Self { shared: Arc::new(shared), ending: watch::Sender::new(Ending::No), ends: Ends::default() }
    }

    /// See `Driver::ensure`.
    pub(super) fn ensure(&self, request: Ensure) -> BoxFuture<Result<Seen, DriverError>> {
        let (shared, in_hand) = (Arc::clone(&self.shared), self.ends.begin(&request.operation));
        let end = in_hand.end();
        self.unless_ending(in_hand, async move { shared.ensure(Arc::new(request), end).await })
    }

    /// See `Driver::create`. A repeat goes to the site again, which knows the operation.
    pub(super) fn create(&self, request: Create) -> BoxFuture<Result<(Address, Seen), DriverError>> {
        let (shared, in_hand) = (Arc::clone(&self.shared), self.ends.begin(&request.operation));
        let end = in_hand.end();
        self.unless_ending(in_hand, async move {
            shared.admit(request.fence)?;
            let place = shared.place(&request.scale_set, &request.instance.id);
            let _turn = place.turn.lock().await;
            let request = Arc::new(request);
            let address = shared.reach.create(Arc::clone(&request), end.clone()).await.map_err(Into::into)?;
            let there = Instance { address: address.clone(), ..request.instance.clone() };
            let wanted = (&Component::Application, &request.version);
            let seen = shared.confirm_unless(&end, &request.scale_set, &there, wanted).await?;
            Ok((address, seen))
        })
    }

    /// See `Driver::delete`.
    pub(super) fn delete(&self, request: Delete) -> BoxFuture<Result<(), DriverError>> {
        let (shared, in_hand) = (Arc::clone(&self.shared), self.ends.begin(&request.operation));
        let end = in_hand.end();
        self.unless_ending(in_hand, async move {
            shared.admit(request.fence)?;
            let (scale_set, id) = (request.scale_set.clone(), request.instance.id.clone());
            let place = shared.place(&scale_set, &id);
            let _turn = place.turn.lock().await;
            shared.reach.delete(Arc::new(request), end).await.map_err(Into::into)?;
            shared.forget(&scale_set, &id);
            Ok(())
        })
    }

    fn unless_ending<T: Send + 'static>(
        &self,
        in_hand: InHand,
        work: impl Future<Output = Result<T, DriverError>> + Send + 'static,
    ) -> BoxFuture<Result<T, DriverError>> {
        let mut ending = self.ending.subscribe();
        let within = self.shared.reach.end_within();
        Box::pin(async move {
            let end = in_hand.end();
            tokio::select! {
                biased;
                _ = ending.wait_for(|ending| *ending == Ending::Yes) => Err(DriverError::Ended),
                result = work => result,
                () = given_up(&end, within) => Err(DriverError::GivenUp(within)),
            }
        })
    }

    /// See `Driver::observe`.
    pub(super) fn observe(&self, question: Observe) -> BoxFuture<Seen> {
        let shared = Arc::clone(&self.shared);
        let mut ending = self.ending.subscribe();
        Box::pin(async move {
            tokio::select! {
                biased;
                _ = ending.wait_for(|ending| *ending == Ending::Yes) => Seen::Unknown,
                seen = shared.observe(&question) => seen,
            }
        })
    }

    /// See `Driver::end`.
    pub(super) fn end_one(&self, operation: &OperationId) {
        self.ends.end(operation);
    }

    /// Ends when nothing is under way.
    pub(super) fn idle(&self) -> impl Future<Output = ()> + Send + 'static {
        self.ends.idle()
    }

    /// Lets go of everything that is under way, and refuses what comes later.
    pub(super) fn end(&self) {
        self.ender()();
    }

    /// The same, for later.
    pub(super) fn ender(&self) -> impl FnOnce() + Send + 'static {
        let ending = self.ending.clone();
        move || _ = ending.send_replace(Ending::Yes)
    }
}

/// Ends so long after the end of an operation was wanted.
async fn given_up(end: &End, within: Duration) {
    end.wanted().await;
    tokio::time::sleep(within).await;
}

impl<R: Reach> Shared<R> {
    /// Refuses a host that has been replaced.
    fn admit(&self, fence: Fence) -> Result<(), DriverError> {
        let mut highest = self.highest.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(fence.admit(&mut highest)?)
    }

    async fn ensure(&self, request: Arc<Ensure>, end: End) -> Result<Seen, DriverError> {
        self.admit(request.fence)?;
        let place = self.place(&request.scale_set, &request.instance.id);
        let _turn = place.turn.lock().await;
        if end.is_wanted() {
            return Err(DriverError::EndedOnWish);
        }
        let Ensure { scale_set, instance, operation, version, component, .. } = &*request;
        if let Some(Applied { seen, .. }) =
            place.done(component).filter(|applied| applied.operation == *operation)
        {
            return Ok(seen);
        }
        place.forget(component);
        self.reach.apply(Arc::clone(&request), end.clone()).await.map_err(Into::into)?;
        let seen = self.confirm_unless(&end, scale_set, instance, (component, version)).await?;
        place.learn(component, Applied { operation: operation.clone(), seen: seen.clone() });
        Ok(seen)
    }

    /// Looks once, and where the answer is not what is recorded, until it counts: of old and new that answer side by
    /// side none does.
    async fn observe(&self, question: &Observe) -> Seen {
        let Observe { scale_set, instance, component, expected, .. } = question;
        let Patience { confirm, .. } = self.patience;
        let begun = self.clock.now();
        let mut row = Row::default();
        loop {
            let at = self.clock.now();
            let Some((seen, _)) = self.look(scale_set, instance, component).await else {
                return Seen::Unknown;
            };
            let now = self.clock.now();
            let agrees = expected.is_none()
                || matches!((&seen, expected), (Seen::Version(seen), Some(it)) if seen == it);
            row.add(seen.clone(), at);
            if agrees || row.counts(confirm, now) || now.since(begun) >= confirm.within.max(confirm.over) {
                return seen;
            }
            tokio::time::sleep(self.patience.pause()).await;
        }
    }

    /// As `confirm`, unless that is not wanted any more.
    async fn confirm_unless(
        &self,
        end: &End,
        scale_set: &ScaleSetName,
        instance: &Instance,
        wanted: (&Component, &Version),
    ) -> Result<Seen, DriverError> {
        tokio::select! {
            biased;
            () = end.wanted() => Err(DriverError::EndedOnWish),
            seen = self.confirm(scale_set, instance, wanted) => seen,
        }
    }

    /// Whether what was said to be done is so, as far as anybody can be asked: unknown where nobody can.
    async fn confirm(
        &self,
        scale_set: &ScaleSetName,
        instance: &Instance,
        (component, wanted): (&Component, &Version),
    ) -> Result<Seen, DriverError> {
        let begun = self.clock.now();
        let mut row = Row::default();
        let mut named_at: Option<Timestamp> = None;
        loop {
            let at = self.clock.now();
            let Some((seen, why)) = self.look(scale_set, instance, component).await else {
                return Ok(Seen::Unknown);
            };
            let now = self.clock.now();
            row.add(seen.clone(), at);
            let judged = Judged { wanted, begun, named_at, now, patience: self.patience };
            if matches!(&seen, Seen::Version(seen) if seen == wanted) {
                named_at = Some(now);
                if row.counts(self.patience.confirm, now) {
                    return Ok(seen);
                }
            } else if let Some(error) = judged.verdict(seen, why) {
                return Err(error);
            }
            tokio::time::sleep(self.patience.pause()).await;
        }
    }

    /// Asks the instance; with why nobody can tell. None says that nobody can be asked.
    async fn look(
        &self,
        scale_set: &ScaleSetName,
        instance: &Instance,
        component: &Component,
    ) -> Option<(Seen, Option<String>)> {
        match self.reach.look(scale_set, instance, component)?.await {
            Ok(seen) => Some((seen, None)),
            Err(reason) => {
                tracing::info!(%scale_set, instance = %instance.id, %component, "cannot tell its version: {reason}");
                Some((Seen::Unknown, Some(reason.to_string())))
            }
        }
    }

    /// An instance is gone, and its id does not come again.
    fn forget(&self, scale_set: &ScaleSetName, instance: &InstanceId) {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        places.remove(&(scale_set.clone(), instance.clone()));
    }

    fn place(&self, scale_set: &ScaleSetName, instance: &InstanceId) -> Arc<Place> {
        // Nothing is awaited and nothing can panic while it is held.
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let place = places.entry((scale_set.clone(), instance.clone())).or_insert_with(|| {
            Arc::new(Place { turn: tokio::sync::Mutex::default(), done: Mutex::default() })
        });
        Arc::clone(place)
    }
}
