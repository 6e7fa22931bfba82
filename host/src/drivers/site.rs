//! What drivers have in common whose instances the site keeps running: one thing at a time per
//! instance, repeats, older hosts, and whether "done" is true.
//!
//! Does not know how an instance is reached; [`Reach`] does. Remembers nothing across a restart of
//! the host: then the instance is asked, and where nobody can be asked the request is repeated
//! under its old operation id.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::backoff::Backoff;
use super::ends::{End, Ends, InHand};
use super::{BoxFuture, Create, Delete, DriverError, Ensure};
use phasegate_core::domain::{
    Address, Component, Fence, Instance, InstanceId, OperationId, ScaleSetName, Version,
};

/// How long an instance that was said to be done may still name another version: long enough for
/// a service manager to replace a process, short against everything else.
const CONFIRM_WITHIN: Duration = Duration::from_secs(10);

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

    /// Asks an instance for its version; it may not know. None when there is no way to ask.
    fn look(
        &self,
        scale_set: &ScaleSetName,
        instance: &Instance,
    ) -> Option<BoxFuture<Result<Option<Version>, Self::Error>>>;
}

/// The times that tests shorten.
#[derive(Debug, Clone, Copy)]
pub(super) struct Confirm {
    /// How long another version is tolerated.
    pub(super) within: Duration,
    /// Between two looks.
    pub(super) pause: Backoff,
}

impl Default for Confirm {
    fn default() -> Self {
        let pause = Backoff::new(Duration::from_millis(250), Duration::from_secs(2), Duration::MAX);
        Self { within: CONFIRM_WITHIN, pause }
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
    confirm: Confirm,
    /// Highest fence that has been seen.
    highest: Mutex<Fence>,
    places: Mutex<BTreeMap<(ScaleSetName, InstanceId), Arc<Place>>>,
}

/// One instance.
struct Place {
    /// Held while something is done to it.
    turn: tokio::sync::Mutex<()>,
    known: Mutex<BTreeMap<Component, Known>>,
}

impl Place {
    fn known(&self, component: &Component) -> Known {
        // Nothing is awaited and nothing can panic while it is held.
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(component).cloned().unwrap_or(Known::Nothing)
    }

    fn learn(&self, component: &Component, known: Known) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(component.clone(), known);
    }
}

/// What this life of the host knows of a component of an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Known {
    /// Nothing was asked of it.
    Nothing,
    /// This was done last.
    Applied { operation: OperationId, version: Version },
    /// Something was begun and did not end well: whatever it seems to run, it may be half done.
    InDoubt,
}

impl<R: Reach> Site<R> {
    pub(super) fn new(reach: R, confirm: Confirm) -> Self {
        let shared = Shared { reach, confirm, highest: Mutex::new(Fence::NONE), places: Mutex::default() };
        Self { shared: Arc::new(shared), ending: watch::Sender::new(Ending::No), ends: Ends::default() }
    }

    /// See `Driver::ensure`.
    pub(super) fn ensure(&self, request: Ensure) -> BoxFuture<Result<(), DriverError>> {
        let (shared, in_hand) = (Arc::clone(&self.shared), self.ends.begin(&request.operation));
        let end = in_hand.end();
        self.unless_ending(in_hand, async move { shared.ensure(Arc::new(request), end).await })
    }

    /// See `Driver::create`. A repeat goes to the site again, which knows the operation.
    pub(super) fn create(&self, request: Create) -> BoxFuture<Result<Address, DriverError>> {
        let (shared, in_hand) = (Arc::clone(&self.shared), self.ends.begin(&request.operation));
        let end = in_hand.end();
        self.unless_ending(in_hand, async move {
            shared.admit(request.fence)?;
            let place = shared.place(&request.scale_set, &request.instance.id);
            let _turn = place.turn.lock().await;
            shared.reach.create(Arc::new(request), end).await.map_err(Into::into)
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
    pub(super) fn observe(
        &self,
        scale_set: &ScaleSetName,
        instance: &Instance,
    ) -> BoxFuture<Option<Version>> {
        let shared = Arc::clone(&self.shared);
        let (scale_set, instance) = (scale_set.clone(), instance.clone());
        let mut ending = self.ending.subscribe();
        Box::pin(async move {
            tokio::select! {
                biased;
                _ = ending.wait_for(|ending| *ending == Ending::Yes) => None,
                version = shared.observe(&scale_set, &instance) => version,
            }
        })
    }

    /// See `Driver::end`.
    pub(super) fn end_one(&self, operation: &OperationId) {
        self.ends.end(operation);
    }

    /// Lets go of everything that is under way, and refuses what comes later.
    pub(super) fn end(&self) {
        self.ending.send_replace(Ending::Yes);
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

    async fn ensure(&self, request: Arc<Ensure>, end: End) -> Result<(), DriverError> {
        self.admit(request.fence)?;
        let place = self.place(&request.scale_set, &request.instance.id);
        let _turn = place.turn.lock().await;
        if end.is_wanted() {
            return Err(DriverError::EndedOnWish);
        }
        let known = place.known(&request.component);
        let is_done = match &known {
            Known::Applied { operation, .. } if *operation == request.operation => return Ok(()),
            Known::Applied { .. } | Known::Nothing => self.runs_already(&known, &request).await,
            Known::InDoubt => false,
        };
        if !is_done {
            place.learn(&request.component, Known::InDoubt);
            self.reach.apply(Arc::clone(&request), end).await.map_err(Into::into)?;
            self.confirm(&request).await?;
        }
        let Ensure { operation, version, component, .. } = &*request;
        let done = Known::Applied { operation: operation.clone(), version: version.clone() };
        place.learn(component, done);
        Ok(())
    }

    async fn observe(&self, scale_set: &ScaleSetName, instance: &Instance) -> Option<Version> {
        if let Some(Some(version)) = self.look(scale_set, instance).await {
            return Some(version);
        }
        match self.place(scale_set, &instance.id).known(&Component::Application) {
            Known::Applied { version, .. } => Some(version),
            Known::Nothing | Known::InDoubt => None,
        }
    }

    /// Whether nothing is left to do.
    async fn runs_already(&self, known: &Known, request: &Ensure) -> bool {
        match (self.look_for(request).await, known) {
            (Some(seen), _) => seen.as_ref() == Some(&request.version),
            (None, Known::Applied { version, .. }) => *version == request.version,
            (None, Known::Nothing | Known::InDoubt) => false,
        }
    }

    /// Whether what was said to be done is so, as far as anybody can be asked. An instance that
    /// does not answer now is the health gate's business.
    async fn confirm(&self, request: &Ensure) -> Result<(), DriverError> {
        let Confirm { within, mut pause } = self.confirm;
        let mut over = pin!(tokio::time::sleep(within));
        loop {
            let seen = match self.look_for(request).await {
                Some(Some(seen)) if seen != request.version => seen,
                Some(_) | None => return Ok(()),
            };
            tokio::select! {
                biased;
                () = &mut over => return Err(DriverError::NotSo { seen, within }),
                () = tokio::time::sleep(pause.after_failure()) => {}
            }
        }
    }

    /// Asks the instance what it runs; of extensions it knows nothing.
    async fn look_for(&self, request: &Ensure) -> Option<Option<Version>> {
        match request.component {
            Component::Application => self.look(&request.scale_set, &request.instance).await,
            Component::Extension(_) => None,
        }
    }

    /// Asks the instance. The outer none says that nobody can be asked.
    async fn look(&self, scale_set: &ScaleSetName, instance: &Instance) -> Option<Option<Version>> {
        match self.reach.look(scale_set, instance)?.await {
            Ok(version) => Some(version),
            Err(reason) => {
                tracing::warn!(%scale_set, instance = %instance.id, "cannot tell its version: {reason}");
                Some(None)
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
            Arc::new(Place { turn: tokio::sync::Mutex::default(), known: Mutex::default() })
        });
        Arc::clone(place)
    }
}
