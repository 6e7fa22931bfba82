//! The thread that asks for names: each once at a time, and those that nobody answers for in a lane of their own.

use std::collections::BTreeMap;
use std::future::pending;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::ask::{Servers, ask};
use super::known::{Fresh, Known, Standing};
use super::{Ask, Found, LookUpError};

/// Names that are asked for at once, of those that may be answered.
const PROMPT_MAX: usize = 64;

/// Names that are asked for at once, of those that were not answered in time.
const SLOW_MAX: usize = 128;

/// An answer that takes longer is no prompt one.
const PROMPT_WITHIN: Duration = Duration::from_millis(300);

/// Longest time for one name, all servers and both families together.
const NAME_WAIT_MAX: Duration = Duration::from_secs(5);

/// How often the files of the system are looked at.
const FILES_EVERY: Duration = Duration::from_secs(2);

type Waiting = BTreeMap<Box<str>, Vec<oneshot::Sender<Result<Found, LookUpError>>>>;

/// Starts it; it ends with whoever asks.
pub(super) fn start(
    resolvers: &[SocketAddr],
    known: Arc<Known>,
) -> std::io::Result<mpsc::UnboundedSender<Ask>> {
    // Unbounded: a name is asked for once at a time by each probe, and there are so many of these.
    let (asks, asked) = mpsc::unbounded_channel();
    let resolvers = resolvers.to_vec();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let thread = std::thread::Builder::new().name("names".to_owned());
    thread.spawn(move || runtime.block_on(run(resolvers, &known, asked)))?;
    Ok(asks)
}

async fn run(resolvers: Vec<SocketAddr>, known: &Known, mut asked: mpsc::UnboundedReceiver<Ask>) {
    let mut servers = Servers::read(&resolvers);
    let mut looked_at = Instant::now();
    let lanes = Lanes::new();
    let mut waiting = Waiting::new();
    let mut running: JoinSet<(Box<str>, Result<Fresh, LookUpError>)> = JoinSet::new();
    loop {
        tokio::select! {
            ask = asked.recv() => {
                let Some(Ask { host, reply }) = ask else { return };
                if looked_at.elapsed() >= FILES_EVERY {
                    looked_at = Instant::now();
                    if servers.are_old() {
                        tracing::info!("the system's resolv.conf or hosts has changed; names are looked up anew");
                        known.forget();
                        servers = Servers::read(&resolvers);
                    }
                }
                if let Some(waiters) = waiting.get_mut(&host) {
                    waiters.extend(reply);
                    continue;
                }
                if let Some(reply) = reply {
                    // Another one may have asked in the meantime.
                    if let Standing::Fresh(found) = known.standing(&host, Instant::now()) {
                        _ = reply.send(Ok(found));
                        continue;
                    }
                    waiting.insert(host.clone(), vec![reply]);
                } else {
                    waiting.insert(host.clone(), Vec::new());
                }
                running.spawn(look_up(servers.resolver(), host.clone(), lanes.of(known, &host)));
            }
            Some(Ok((host, outcome))) = next(&mut running) => {
                let outcome = known.learn(&host, outcome, Instant::now());
                for waiter in waiting.remove(&host).into_iter().flatten() {
                    _ = waiter.send(outcome.clone());
                }
            }
        }
    }
}

async fn next<T: 'static>(running: &mut JoinSet<T>) -> Option<Result<T, tokio::task::JoinError>> {
    if running.is_empty() { pending().await } else { running.join_next().await }
}

/// Places for those who ask.
#[derive(Clone)]
struct Lanes {
    prompt: Arc<Semaphore>,
    slow: Arc<Semaphore>,
}

/// Where a name stands in line.
enum Lane {
    Prompt(Lanes),
    Slow(Lanes),
}

impl Lanes {
    fn new() -> Self {
        Self { prompt: Arc::new(Semaphore::new(PROMPT_MAX)), slow: Arc::new(Semaphore::new(SLOW_MAX)) }
    }

    fn of(&self, known: &Known, host: &str) -> Lane {
        if known.was_silent(host) { Lane::Slow(self.clone()) } else { Lane::Prompt(self.clone()) }
    }
}

async fn look_up(
    resolver: Option<Arc<TokioResolver>>,
    host: Box<str>,
    lane: Lane,
) -> (Box<str>, Result<Fresh, LookUpError>) {
    let Some(resolver) = resolver else {
        return (host, Err(LookUpError::Failed("there is no server of names".to_owned())));
    };
    let asked = host.clone();
    // A task of its own: whatever happens in it, those who wait get an answer.
    let looking = tokio::spawn(async move {
        let asking = timeout(NAME_WAIT_MAX, ask(&resolver, &asked));
        let outcome = in_lane(lane, asking).await.unwrap_or(Ok(Err(LookUpError::Silent)));
        outcome.unwrap_or(Err(LookUpError::Silent))
    });
    let outcome = looking.await.unwrap_or_else(|error| Err(LookUpError::Failed(error.to_string())));
    (host, outcome)
}

/// Waits for a place and asks. Who is not answered soon goes over to the slow ones, so that others are; none when
/// there is no room among these.
async fn in_lane<T>(lane: Lane, asking: impl Future<Output = T>) -> Option<T> {
    let permit = |of: &Arc<Semaphore>| Arc::clone(of).acquire_owned();
    let lanes = match lane {
        Lane::Slow(lanes) => {
            let _place: OwnedSemaphorePermit = permit(&lanes.slow).await.ok()?;
            return Some(asking.await);
        }
        Lane::Prompt(lanes) => lanes,
    };
    let place = permit(&lanes.prompt).await.ok()?;
    let mut asking = std::pin::pin!(asking);
    tokio::select! {
        outcome = &mut asking => return Some(outcome),
        () = sleep(PROMPT_WITHIN) => {}
    }
    let _slow = Arc::clone(&lanes.slow).try_acquire_owned().ok()?;
    drop(place);
    Some(asking.await)
}
