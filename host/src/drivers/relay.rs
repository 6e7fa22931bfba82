//! The driver of a scale set for as long as a host runs, while its configuration may name another one meanwhile.
//!
//! Each takes what it is told and finishes it. What a former one keeps running goes on, until the one of today is told
//! to bring that instance somewhere, or nobody lists it any more: then the former one ends it first. What concerns the
//! application of one instance goes one after the other, in the order in which it was told.
//!
//! Knows no kind of driver, and decides nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::hooks::Says;
use super::{BoxFuture, Create, Creation, Custody, Delete, Driver, DriverError, Ensure, HookCall, Observe};
use phasegate_core::domain::{Address, Component, InstanceId, OperationId, Seen, Sight};

/// One driver after the other.
pub struct Relay {
    state: Arc<Mutex<State>>,
    runtime: Handle,
}

struct State {
    now: Runner,
    former: Vec<Runner>,
    /// The latest of what concerns each instance.
    lines: BTreeMap<InstanceId, (u64, oneshot::Receiver<()>)>,
    /// What waits for its turn, and whether a person has ended it meanwhile.
    waiting: BTreeMap<OperationId, Wanted>,
    tickets: u64,
    /// Where what is over is shut down.
    runtime: Handle,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Still,
    NoLonger,
}

/// One driver.
struct Runner {
    number: u64,
    driver: Arc<dyn Driver>,
    /// How much it has in hand.
    in_hand: usize,
    /// What it keeps running, where it keeps anything running.
    holds: BTreeSet<InstanceId>,
}

impl Runner {
    fn keeps_running(&self) -> bool {
        self.driver.custody() == Custody::Host
    }

    /// Nobody needs it any more.
    fn is_over(&self) -> bool {
        self.in_hand == 0 && self.holds.is_empty()
    }
}

impl State {
    fn ticket(&mut self) -> u64 {
        self.tickets += 1;
        self.tickets
    }

    fn runner(&mut self, number: u64) -> Option<&mut Runner> {
        std::iter::once(&mut self.now).chain(&mut self.former).find(|runner| runner.number == number)
    }

    /// Shuts down whatever is over.
    fn tidy(&mut self) {
        let (over, former) = std::mem::take(&mut self.former).into_iter().partition(Runner::is_over);
        self.former = former;
        let over: Vec<Runner> = over;
        for runner in over {
            self.runtime.spawn(async move {
                runner.driver.shutdown().await;
            });
        }
    }

    /// Those before that keep something running.
    fn keepers(&self) -> Vec<(u64, Arc<dyn Driver>)> {
        let keepers = self.former.iter().filter(|runner| !runner.holds.is_empty());
        keepers.map(|runner| (runner.number, Arc::clone(&runner.driver))).collect()
    }
}

/// What the driver of today has in hand, until this is dropped.
struct InHand {
    state: Arc<Mutex<State>>,
    runner: u64,
    /// The instance whose line it stands in, its place there, and who waits behind it.
    line: Option<(InstanceId, u64, oneshot::Sender<()>)>,
}

impl Drop for InHand {
    fn drop(&mut self) {
        let mut state = lock(&self.state);
        if let Some((instance, ticket, _behind)) = self.line.take()
            && state.lines.get(&instance).is_some_and(|(latest, _)| *latest == ticket)
        {
            state.lines.remove(&instance);
        }
        if let Some(runner) = state.runner(self.runner) {
            runner.in_hand = runner.in_hand.saturating_sub(1);
        }
        state.tidy();
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What goes out next for an instance.
struct Turn {
    driver: Arc<dyn Driver>,
    hand: InHand,
    /// Who is before it.
    before: Option<oneshot::Receiver<()>>,
    keepers: Vec<(u64, Arc<dyn Driver>)>,
}

impl Relay {
    /// With the first driver of a set.
    #[must_use]
    pub fn new(driver: Arc<dyn Driver>, runtime: Handle) -> Self {
        let now = Runner { number: 0, driver, in_hand: 0, holds: BTreeSet::new() };
        let state = State {
            now,
            former: Vec::new(),
            lines: BTreeMap::new(),
            waiting: BTreeMap::new(),
            tickets: 0,
            runtime: runtime.clone(),
        };
        Self { state: Arc::new(Mutex::new(state)), runtime }
    }

    /// Another driver takes what comes from now on.
    pub fn hand_over(&self, driver: Arc<dyn Driver>) {
        let mut state = lock(&self.state);
        let next = Runner { number: state.ticket(), driver, in_hand: 0, holds: BTreeSet::new() };
        let before = std::mem::replace(&mut state.now, next);
        state.former.push(before);
        state.tidy();
    }

    /// Ends what is kept running of an instance that nobody lists any more. What the site keeps running goes on.
    pub fn dismiss(&self, request: Delete) -> BoxFuture<Result<(), DriverError>> {
        let turn = self.turn(&request.instance.id);
        let state = Arc::clone(&self.state);
        Box::pin(async move {
            let Turn { driver, hand, before, keepers } = turn;
            if let Some(before) = before {
                _ = before.await;
            }
            end_at(&state, keepers, &request).await?;
            if driver.custody() == Custody::Host {
                let instance = request.instance.id.clone();
                driver.delete(request).await?;
                let_go(&state, hand.runner, &instance);
            }
            Ok(())
        })
    }

    fn turn(&self, instance: &InstanceId) -> Turn {
        let mut state = lock(&self.state);
        let ticket = state.ticket();
        let (done, is_done) = oneshot::channel();
        let before = state.lines.insert(instance.clone(), (ticket, is_done)).map(|(_, before)| before);
        state.now.in_hand += 1;
        let hand = InHand {
            state: Arc::clone(&self.state),
            runner: state.now.number,
            line: Some((instance.clone(), ticket, done)),
        };
        Turn { driver: Arc::clone(&state.now.driver), hand, before, keepers: state.keepers() }
    }

    /// What stands in no line.
    fn aside(&self) -> (Arc<dyn Driver>, InHand) {
        let mut state = lock(&self.state);
        state.now.in_hand += 1;
        let hand = InHand { state: Arc::clone(&self.state), runner: state.now.number, line: None };
        (Arc::clone(&state.now.driver), hand)
    }

    /// Notes what the driver of today keeps running.
    fn holds(&self, instance: &InstanceId) {
        let mut state = lock(&self.state);
        if state.now.keeps_running() {
            state.now.holds.insert(instance.clone());
        }
    }

    fn today(&self) -> Arc<dyn Driver> {
        Arc::clone(&lock(&self.state).now.driver)
    }

    fn everybody(&self) -> Vec<Arc<dyn Driver>> {
        let state = lock(&self.state);
        std::iter::once(&state.now).chain(&state.former).map(|runner| Arc::clone(&runner.driver)).collect()
    }

    /// Lets what came before go first, and has former drivers end what they keep running of the instance.
    fn in_its_turn<T: Send + 'static>(
        &self,
        (instance, operation): (InstanceId, OperationId),
        turn: Turn,
        before_it: Delete,
        work: impl FnOnce(&dyn Driver) -> BoxFuture<Result<T, DriverError>> + Send + 'static,
    ) -> BoxFuture<Result<T, DriverError>> {
        let Turn { driver, hand, before, keepers } = turn;
        if before.is_none() && keepers.is_empty() {
            // It is in hand when this returns.
            let work = work(&*driver);
            return Box::pin(async move {
                let _hand = hand;
                work.await
            });
        }
        let state = Arc::clone(&self.state);
        lock(&state).waiting.insert(operation.clone(), Wanted::Still);
        Box::pin(async move {
            let _hand = hand;
            if let Some(before) = before {
                _ = before.await;
            }
            let is_wanted = |wanted: Option<Wanted>| wanted == Some(Wanted::Still);
            if is_wanted(lock(&state).waiting.get(&operation).copied()) {
                let ended = end_at(&state, keepers, &before_it).await;
                if let Err(error) = ended {
                    lock(&state).waiting.remove(&operation);
                    return Err(error);
                }
            }
            let begun = {
                let mut held = lock(&state);
                is_wanted(held.waiting.remove(&operation)).then(|| work(&*driver))
            };
            match begun {
                Some(work) => work.await,
                None => {
                    tracing::debug!(%instance, "was ended before its turn came");
                    Err(DriverError::EndedOnWish)
                }
            }
        })
    }
}

/// Has former drivers end what they keep running of an instance.
async fn end_at(
    state: &Mutex<State>,
    keepers: Vec<(u64, Arc<dyn Driver>)>,
    request: &Delete,
) -> Result<(), DriverError> {
    for (number, keeper) in keepers {
        keeper.delete(request.clone()).await?;
        let_go(state, number, &request.instance.id);
    }
    Ok(())
}

/// A driver keeps an instance running no longer.
fn let_go(state: &Mutex<State>, number: u64, instance: &InstanceId) {
    let mut state = lock(state);
    if let Some(runner) = state.runner(number) {
        runner.holds.remove(instance);
    }
    state.tidy();
}

/// The end of an instance at the drivers before.
fn end_of(request: &Ensure) -> Delete {
    Delete {
        scale_set: request.scale_set.clone(),
        instance: request.instance.clone(),
        located: phasegate_core::domain::Located::Yes,
        operation: request.operation.clone(),
        fence: request.fence,
    }
}

impl Driver for Relay {
    fn ensure(&self, request: Ensure) -> BoxFuture<Result<Seen, DriverError>> {
        if request.component != Component::Application {
            let (driver, hand) = self.aside();
            let work = driver.ensure(request);
            return Box::pin(async move {
                let _hand = hand;
                work.await
            });
        }
        let named = (request.instance.id.clone(), request.operation.clone());
        let (turn, before_it) = (self.turn(&named.0), end_of(&request));
        self.holds(&named.0);
        self.in_its_turn(named, turn, before_it, |driver| driver.ensure(request))
    }

    fn observe(&self, question: Observe) -> BoxFuture<Seen> {
        let (driver, hand) = self.aside();
        let keepers = lock(&self.state).keepers();
        let work = driver.observe(question.clone());
        Box::pin(async move {
            let _hand = hand;
            let seen = work.await;
            if question.component != Component::Application || matches!(seen, Seen::Version(_)) {
                return seen;
            }
            // The one before may keep it running.
            for (_, keeper) in keepers {
                let version @ Seen::Version(_) = keeper.observe(question.clone()).await else { continue };
                return version;
            }
            seen
        })
    }

    fn sight(&self) -> Sight {
        self.today().sight()
    }

    fn creation(&self) -> Creation {
        self.today().creation()
    }

    fn create(&self, request: Create) -> BoxFuture<Result<(Address, Seen), DriverError>> {
        let named = (request.instance.id.clone(), request.operation.clone());
        let turn = self.turn(&named.0);
        self.holds(&named.0);
        let before_it = Delete {
            scale_set: request.scale_set.clone(),
            instance: request.instance.clone(),
            located: phasegate_core::domain::Located::Never,
            operation: request.operation.clone(),
            fence: request.fence,
        };
        self.in_its_turn(named, turn, before_it, |driver| driver.create(request))
    }

    fn delete(&self, request: Delete) -> BoxFuture<Result<(), DriverError>> {
        let named = (request.instance.id.clone(), request.operation.clone());
        let turn = self.turn(&named.0);
        let (state, number, instance) = (Arc::clone(&self.state), turn.hand.runner, named.0.clone());
        let work = self.in_its_turn(named, turn, request.clone(), |driver| driver.delete(request));
        Box::pin(async move {
            work.await?;
            let_go(&state, number, &instance);
            Ok(())
        })
    }

    fn end(&self, operation: &OperationId) {
        {
            let mut state = lock(&self.state);
            if let Some(wanted) = state.waiting.get_mut(operation) {
                *wanted = Wanted::NoLonger;
            }
        }
        self.everybody().iter().for_each(|driver| driver.end(operation));
    }

    fn hook(&self, call: HookCall, says: Says) -> BoxFuture<Result<(), String>> {
        let (driver, hand) = self.aside();
        let work = driver.hook(call, says);
        Box::pin(async move {
            let _hand = hand;
            work.await
        })
    }

    fn custody(&self) -> Custody {
        self.today().custody()
    }

    fn shutdown(&self) -> BoxFuture<()> {
        let ends: Vec<_> =
            self.everybody().iter().map(|driver| self.runtime.spawn(driver.shutdown())).collect();
        Box::pin(async move {
            for end in ends {
                _ = end.await;
            }
        })
    }
}

#[cfg(test)]
mod tests;
