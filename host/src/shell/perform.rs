//! From an effect to the hand that does it. Nothing here waits: a driver works in a task of its own, and its
//! answer comes back through the door.

use std::convert::Infallible;
use std::sync::Arc;

use phasegate_core::domain::{Component, InstanceId, OperationId, ScaleSetName, Seen, Touched};
use phasegate_core::kernel::effect::{Ask, Create, Delete, Ensure, HookCall, Observe, Target, Used};
use phasegate_core::kernel::event::{Created, Deleted, Done, HookSays, Hooked, Observed, Superseded};
use phasegate_core::kernel::{Effect, Event};
use tokio::sync::mpsc;

use super::{Door, Drivers};
use crate::drivers::hooks::Says;
use crate::drivers::relay::Relay;
use crate::drivers::{Driver, DriverError};
use crate::measure::{Measures, Went, Work};
use crate::plugins::hands::Hands as PluginHands;

/// Is told of an instance that is gone.
pub type Forget = Arc<dyn Fn(&ScaleSetName, &InstanceId) + Send + Sync>;

/// Is told what was to be remembered of an instance.
pub type Remember = Arc<dyn Fn(&ScaleSetName, &InstanceId, &[u8]) + Send + Sync>;

/// Everything that does things. The functions must not block.
pub struct Hands {
    /// Where drivers' work runs.
    pub runtime: tokio::runtime::Handle,
    /// The way back.
    pub door: Door,
    /// The driver of each scale set.
    pub drivers: Drivers,
    /// What the lives of plugins want done.
    pub plugins: PluginHands,
    /// Tells the prober about an instance.
    pub probe: Arc<dyn Fn(Target) + Send + Sync>,
    /// Tells the prober and the plugins that an instance is gone.
    pub forget: Forget,
    /// Tells the plugin of a set what it had asked to remember of an instance that is back.
    pub remember: Remember,
    /// Tells the prober to ask out of turn.
    pub ask: Arc<dyn Fn(Ask) + Send + Sync>,
    /// Takes note of how long things took.
    pub measures: Arc<Measures>,
    /// Tells the recording which decisions an upgrade has gone by.
    pub keep: Arc<dyn Fn(Vec<Used>) + Send + Sync>,
    /// Knows when drivers have nothing more to say.
    pub under_way: UnderWay,
}

/// What drivers have under way: each holds a sender, and nobody ever sends.
pub struct UnderWay {
    token: Option<mpsc::Sender<Infallible>>,
    over: mpsc::Receiver<Infallible>,
}

impl Default for UnderWay {
    fn default() -> Self {
        let (token, over) = mpsc::channel(1);
        Self { token: Some(token), over }
    }
}

impl UnderWay {
    /// Nothing is begun any more; ends when the last answer has gone through the door.
    pub(super) async fn over(&mut self) {
        self.token = None;
        while self.over.recv().await.is_some() {}
    }
}

/// Begins one effect.
pub(super) fn perform(hands: &Hands, effect: Effect) {
    match effect {
        Effect::Probe(announced) => (hands.probe)(announced.target()),
        Effect::Forget(scale_set, instance) => (hands.forget)(&scale_set, &instance),
        Effect::Remember(scale_set, instance, memory) => (hands.remember)(&scale_set, &instance, &memory),
        Effect::Drive(scale_set) => hands.drivers.take_over(&scale_set),
        Effect::Dismiss(request) => {
            drive(hands, (&request.scale_set.clone(), Some(Work::Delete)), |driver| dismiss(driver, *request))
        }
        Effect::Ask(ask) => (hands.ask)(ask),
        Effect::Keep(used) => (hands.keep)(used),
        Effect::End(scale_set, operation) => {
            if let Some(driver) = hands.drivers.of(&scale_set) {
                driver.end(&operation);
            }
        }
        Effect::Hook(call) => {
            let door = hands.door.clone();
            drive(hands, (&call.scale_set.clone(), None), |driver| hook(driver, *call, door));
        }
        Effect::Plugin(name, effects) => hands.plugins.perform(&name, effects),
        Effect::Ensure(request) => {
            drive(hands, (&request.scale_set.clone(), Some(Work::Ensure)), |driver| ensure(driver, *request))
        }
        Effect::Observe(request) => {
            drive(hands, (&request.scale_set.clone(), None), |driver| observe(driver, *request))
        }
        Effect::Create(request) => {
            drive(hands, (&request.scale_set.clone(), Some(Work::Create)), |driver| create(driver, *request))
        }
        Effect::Delete(request) => {
            drive(hands, (&request.scale_set.clone(), Some(Work::Delete)), |driver| delete(driver, *request))
        }
    }
}

/// Lets the driver of a set work, and brings its answer back. How long it took is measured where it is told what
/// it was.
fn drive<F>(
    hands: &Hands,
    (scale_set, what): (&ScaleSetName, Option<Work>),
    work: impl FnOnce(Arc<Relay>) -> F,
) where
    F: Future<Output = Option<Event>> + Send + 'static,
{
    // Each set of a kernel has its driver, for as long as the host runs.
    let Some(driver) = hands.drivers.of(scale_set) else { return };
    let (work, door) = (work(driver), hands.door.clone());
    let (measures, scale_set) = (Arc::clone(&hands.measures), scale_set.clone());
    let under_way = hands.under_way.token.clone();
    hands.runtime.spawn(async move {
        let _under_way = under_way;
        let begun = tokio::time::Instant::now();
        // What the end of the host has cut short is as it was recorded: under way.
        let Some(event) = work.await else { return };
        if let (Some(what), Some(went)) = (what, went(&event)) {
            measures.drivers.record((scale_set, what, went), begun.elapsed());
        }
        door.send(event).await;
    });
}

/// How an operation went; none when a higher generation had it.
fn went(event: &Event) -> Option<Went> {
    let badly = match event {
        Event::Done(done) => done.answer.is_err(),
        Event::Created(created) => created.answer.is_err(),
        Event::Deleted(deleted) => deleted.answer.is_err(),
        _ => return None,
    };
    Some(if badly { Went::Badly } else { Went::Well })
}

/// The driver has it in hand when this returns: a wish that it ends may follow at once.
fn ensure(driver: Arc<Relay>, request: Ensure) -> impl Future<Output = Option<Event>> + Send + 'static {
    let Ensure { scale_set, instance, component, operation, previous, .. } = request.clone();
    let work = driver.ensure(request);
    async move {
        let named = (&scale_set, &instance.id, &component, &operation);
        let result = work.await;
        let touched = result.as_ref().err().map_or(Touched::Perhaps, DriverError::touched);
        // Who wants it to end does not wait for a look, too.
        let is_ended = matches!(result, Err(DriverError::EndedOnWish | DriverError::GivenUp(_)));
        let answer = match heard(result, named) {
            Ok(answer) => answer,
            Err(other) => return other.map(|it| *it),
        };
        let (answer, seen) = match answer {
            // The driver has confirmed it, where it can.
            Ok(seen) => (Ok(()), seen),
            Err(text) if is_ended => (Err(text), Seen::Unknown),
            Err(text) => {
                let (scale_set, component) = (scale_set.clone(), component.clone());
                let instance = Arc::new(instance.clone());
                let question = Observe { scale_set, instance, component, expected: previous, epoch: 0 };
                (Err(text), driver.observe(question).await)
            }
        };
        Some(Event::Done(Done {
            scale_set,
            instance: instance.id,
            component,
            operation,
            answer,
            touched,
            seen,
        }))
    }
}

/// What it says meanwhile goes in before its end.
fn hook(
    driver: Arc<Relay>,
    call: HookCall,
    door: Door,
) -> impl Future<Output = Option<Event>> + Send + 'static {
    let (scale_set, hook, operation) = (call.scale_set.clone(), call.hook, call.operation.clone());
    let instance = call.instance().cloned();
    let (says, mut heard) = Says::new();
    let mut work = driver.hook(call, says);
    async move {
        loop {
            tokio::select! {
                biased;
                answer = &mut work => {
                    return Some(Event::Hooked(Hooked { scale_set, hook, instance, operation, answer }));
                }
                Some(text) = heard.recv() => {
                    let (scale_set, operation) = (scale_set.clone(), operation.clone());
                    door.send(Event::HookSays(HookSays { scale_set, operation, text })).await;
                }
            }
        }
    }
}

async fn observe(driver: Arc<Relay>, request: Observe) -> Option<Event> {
    let Observe { scale_set, instance, component, expected: _, epoch } = request.clone();
    let seen = driver.observe(request).await;
    Some(Event::Observed(Observed { scale_set, instance: instance.id.clone(), component, epoch, seen }))
}

fn create(driver: Arc<Relay>, request: Create) -> impl Future<Output = Option<Event>> + Send + 'static {
    let Create { scale_set, instance, operation, .. } = request.clone();
    let work = driver.create(request);
    async move {
        let named = (&scale_set, &instance.id, &Component::Application, &operation);
        let answer = match heard(work.await, named) {
            Ok(answer) => answer,
            Err(other) => return other.map(|it| *it),
        };
        let (answer, seen) = match answer {
            Ok((address, seen)) => (Ok(address), seen),
            Err(text) => (Err(text), Seen::Unknown),
        };
        Some(Event::Created(Created { scale_set, instance: instance.id, operation, answer, seen }))
    }
}

fn delete(driver: Arc<Relay>, request: Delete) -> impl Future<Output = Option<Event>> + Send + 'static {
    let Delete { scale_set, instance, operation, .. } = request.clone();
    let work = driver.delete(request);
    async move {
        let named = (&scale_set, &instance.id, &Component::Application, &operation);
        let answer = match heard(work.await, named) {
            Ok(answer) => answer,
            Err(other) => return other.map(|it| *it),
        };
        Some(Event::Deleted(Deleted { scale_set, instance: instance.id, operation, answer }))
    }
}

/// Ends what the host keeps running of one that nobody lists any more.
fn dismiss(driver: Arc<Relay>, request: Delete) -> impl Future<Output = Option<Event>> + Send + 'static {
    let Delete { scale_set, instance, operation, .. } = request.clone();
    let work = driver.dismiss(request);
    async move {
        let answer = work.await.map_err(|error| error.to_string());
        Some(Event::Deleted(Deleted { scale_set, instance: instance.id, operation, answer }))
    }
}

/// Which effect on what.
type Named<'a> = (&'a ScaleSetName, &'a InstanceId, &'a Component, &'a OperationId);

/// An answer, or what goes in its place: the event where a higher generation has been there, nothing where the driver
/// was shut down over it.
fn heard<T>(
    answer: Result<T, DriverError>,
    (scale_set, instance, component, operation): Named<'_>,
) -> Result<Result<T, String>, Option<Box<Event>>> {
    match answer {
        Ok(done) => Ok(Ok(done)),
        Err(DriverError::Ended) => Err(None),
        Err(DriverError::Superseded(seen)) => Err(Some(Box::new(Event::Superseded(Superseded {
            scale_set: scale_set.clone(),
            instance: instance.clone(),
            component: component.clone(),
            operation: operation.clone(),
            seen,
        })))),
        Err(error) => Ok(Err(error.to_string())),
    }
}
