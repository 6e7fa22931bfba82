//! Puts a host together from its parts, and takes it apart again in the right order.
//!
//! Starting: data directory, drivers, loop, prober, API; then plugins, and when all of them decide, what drivers are to
//! do. Stopping: API first, so that no new wish comes in; then the loop, so that no effect is asked for; then probes;
//! drivers last.

mod behind_api;
mod machine;
mod parts;
mod problems;
mod tending;

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

use crate::access::InForce;
use crate::api::{self, Guard, server};
use crate::catalogue::Watches;
use crate::clock::Clock;
use crate::config::Config;
use crate::discovery::Discoveries;
use crate::drivers::local::former;
use crate::drivers::{DriverNote, Words};
use crate::measure::Measures;
use crate::net::endpoint::Endpoint;
use crate::plugins::hands::Hands as PluginHands;
use crate::plugins::runtime;
use crate::probe::Prober;
use crate::reload::Reloader;
use crate::shell::{self, Door, Drivers, Shell};
use crate::store::SqliteStore;
use phasegate_core::domain::{DriverWord, PluginName};
use phasegate_core::kernel::Event;
use phasegate_core::lifecycle::{self, RefusalReason, Stage, Standing};
use phasegate_core::record::{Opened, ReadTrail};

pub use problems::{problems, unfit};
use tending::Tending;

/// Notes of drivers that may wait; a driver that writes more waits.
const NOTES_MAX: usize = 1024;

/// A start that takes longer says that it answers already.
const SAID_AFTER: Duration = Duration::from_secs(1);

/// Longest wait for the loop: its last turn is a commit, and a disk may take none.
const LOOP_ENDS_WITHIN: Duration = Duration::from_secs(3);

/// What is not in the configuration file itself.
#[derive(Default)]
pub struct HostOptions<'a> {
    /// Is told how the plugins come along: one that carries a language runtime compiles for most of
    /// a minute.
    pub on_stage: Option<OnFirstStage>,
    /// Ends when the host is to end: a start, too, does not wait for a compiler then.
    pub ended: Option<Pin<Box<dyn Future<Output = ()> + 'a>>>,
}

/// Somebody ended the host before it had started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the host was ended while it started")]
pub struct EndedAtStartError;

/// Is told of a plugin and the stage that it begins.
pub type OnFirstStage = Arc<dyn Fn(&PluginName, Stage) + Send + Sync>;

/// A running host.
pub struct Host {
    place: Endpoint,
    door: Door,
    reloader: Arc<Reloader>,
    loop_thread: LoopThread,
    /// Closes when the loop ends, however it ends.
    loop_ended: tokio::sync::oneshot::Receiver<()>,
    tending: Tending,
    prober: Arc<Prober>,
    sources: Arc<Discoveries>,
    catalogue: Arc<Watches>,
    drivers: Drivers,
    stop: watch::Sender<bool>,
    serving: JoinHandle<()>,
    tasks: Vec<JoinHandle<()>>,
}

impl Host {
    /// Starts everything, unless its end comes first: while the plugins are compiled, when it answers already and probes.
    /// On an error nothing is left running.
    ///
    /// # Errors
    /// [`EndedAtStartError`] when it was ended; when the port is taken, the data directory cannot be used, a plugin does not load, or the
    /// machine gives no resources.
    #[expect(clippy::too_many_lines, reason = "the order in which parts start is read in one place")]
    pub async fn start(config: &Config, mut options: HostOptions<'_>) -> anyhow::Result<Self> {
        machine::raise_file_limit();
        let in_force = Arc::new(InForce::start(config.server.access.clone())?);
        let listener = machine::listen(&config.server).await?;
        let place = listener.place()?;
        let mut opened = open(config, &mut options).await?;
        let clock = Clock::resume(opened.stored.anchor.as_ref());
        let trail = Arc::new(opened.store.reader(Arc::new(clock))?);
        let tender = opened.store.tender()?;
        let record = opened.store.place();
        let (door, inside) = Door::new();
        let measures = Arc::new(Measures::default());
        let runtime = runtime::of_host(&config.server.data_dir, clock)?;
        let recorder = parts::recorder(config, clock);
        let plugins =
            parts::plugin_hands(config, (&door, clock, &measures), runtime.clone(), recorder.clone());
        parts::hand_out_memories(config, &mut opened.stored, &plugins);
        let found_before = parts::found_before(config, &mut opened.stored);
        let by_set = Arc::new(parts::PluginOfSet::of(config));
        let (drivers, noted, heard) = drivers(config);
        let configured = parts::configured(config, &drivers)?;
        let (prober, shortages) = parts::prober(clock, &plugins, &by_set, &door)?;
        let retold = tokio::spawn(parts::pass_words(heard, door.clone(), Arc::clone(&measures)));
        let told = (door.clone(), drivers.clone(), plugins.clone(), Arc::clone(&measures));
        let hands = parts::hands(told, (&prober, by_set), recorder.clone());
        let shell = Shell::open(configured, opened, clock, (inside, hands));
        let (loop_thread, loop_ended) = turn(shell)?;
        let (stop, stopped) = watch::channel(false);
        let sources = parts::discoveries(found_before, clock, &door).map(Arc::new);
        let (sources, loop_thread) = goes_on(sources.map_err(Into::into), &door, loop_thread).await?;
        let (begins, begun) = api::Begun::not_yet(door.clone());
        let catalogue = parts::catalogue(config, clock, (&door, &begun));
        let behind = (door.clone(), plugins.clone(), drivers.clone());
        let taken_over = (Arc::clone(&in_force), Arc::clone(&catalogue), Arc::clone(&sources));
        let reloader = Arc::new(Reloader::new(config, behind, taken_over));
        let denials = Arc::new(api::Denials::default());
        let asked = api::Host {
            door: door.clone(),
            begun: begun.clone(),
            events: api::Events::start(door.clone(), trail.clone(), clock),
            trail,
            missing: Arc::new(move || record.missing().map(|error| error.to_string())),
            readers: api::Readers::default(),
            clock,
            shown: api::Shown::default(),
            hands: Arc::new(plugins.clone()),
            configuration: Arc::new(reloader.clone()),
            sources: behind_api::sources(&sources),
            catalogue: behind_api::catalogue(&catalogue),
            shortages: Arc::clone(&shortages),
            recording: recorder.map(|recorder| behind_api::recording(recorder, runtime)),
            uploads: api::Uploads::new(config.server.data_dir.join("uploads")),
            denials: Arc::clone(&denials),
            fleet_json: Arc::default(),
            measures,
            probes: behind_api::probes(&prober),
        };
        let waits: Arc<dyn ReadTrail> = Arc::clone(&asked.trail);
        let guard = Guard::new(Arc::clone(&in_force), clock, denials, begun);
        let router = api::router(Arc::new(asked), guard);
        let serving = server::serve(listener, router, (Arc::clone(&in_force), shortages), stopped);
        let mut serving = tokio::spawn(serving);
        let starting = begin(&door, options, (&plugins, &sources, &place)).await;
        if starting.is_err() {
            // As at every end: first nobody new is let in.
            let _ = stop.send(true);
            let _ = (&mut serving).await;
            sources.stop();
            catalogue.stop();
        }
        let ((), loop_thread) = goes_on(starting, &door, loop_thread).await?;
        begins.now();
        parts::end_leftovers(config, &door);
        let tending = Tending::start(tender, config.retention, clock)?;
        let mut tasks = beside(noted, &door, in_force, (waits, clock));
        tasks.push(retold);
        Ok(Self {
            place,
            door,
            reloader,
            loop_thread,
            loop_ended,
            tending,
            prober,
            sources,
            catalogue,
            drivers,
            stop,
            serving,
            tasks,
        })
    }

    /// Where the API listens.
    #[must_use]
    pub fn place(&self) -> &Endpoint {
        &self.place
    }

    /// Takes over a changed configuration file.
    #[must_use]
    pub fn reloader(&self) -> Arc<Reloader> {
        self.reloader.clone()
    }

    /// Waits until the loop has ended by itself, which it never should.
    pub async fn failed(&mut self) {
        let never: &mut tokio::sync::oneshot::Receiver<()> = &mut self.loop_ended;
        // Nothing is ever sent; the end of the loop closes the channel.
        let _ = never.await;
    }

    /// Stops everything; afterwards no process that the host started is left, but those that are to outlive it
    /// (`server.onExit`). Waits for no probe, name, guest or
    /// agent, and for processes as long as their driver was told to.
    pub async fn stop(self) {
        let Self { door, loop_thread, tending, prober, sources, catalogue, drivers, .. } = self;
        // Nobody listening any more is what is wanted.
        let _ = self.stop.send(true);
        // The file of a socket goes with what listens on it; a panic there has been told.
        let _ = self.serving.await;
        // It waits for no source.
        sources.stop();
        catalogue.stop();
        // From now on it begins nothing, and still records how it ended what drivers have under way.
        if timeout(LOOP_ENDS_WITHIN, door.send(Event::Ending)).await.is_err() {
            tracing::warn!("the loop takes nothing in, most likely because the disk does not take a commit");
        }
        let mut ending = JoinSet::new();
        drivers.dismiss_ready();
        for driver in drivers.at_work() {
            ending.spawn(async move { driver.shutdown().await });
        }
        while ending.join_next().await.is_some() {}
        let loop_ends = async {
            door.send(Event::Ending).await;
            // The loop ends after its turn; one that panicked has said so on stderr.
            let _ = tokio::task::spawn_blocking(move || {
                tending.stop();
                loop_thread.join()
            })
            .await;
        };
        if timeout(LOOP_ENDS_WITHIN, loop_ends).await.is_err() {
            tracing::warn!(
                "the loop has not ended within {} s, most likely because the disk does not take a commit; the host \
                 ends without it, and what is not recorded was not begun",
                LOOP_ENDS_WITHIN.as_secs()
            );
        }
        // The loop had the other handle; it is gone with its thread.
        if let Some(prober) = Arc::into_inner(prober) {
            prober.stop().await;
        }
        // Whoever has left the group of a source's program is known by its mark alone.
        crate::program::end_what_was_left();
        for task in self.tasks {
            task.abort();
        }
    }
}

/// No driver yet, and what those that come will say.
fn drivers(config: &Config) -> (Drivers, mpsc::Receiver<DriverNote>, mpsc::Receiver<DriverWord>) {
    let (notes, noted) = mpsc::channel(NOTES_MAX);
    let (words, heard) = Words::new();
    let runtime = tokio::runtime::Handle::current();
    (Drivers::new(parts::ground(config), (notes, words), runtime), noted, heard)
}

/// What goes on beside the loop and the door, until the host ends.
fn beside(
    noted: mpsc::Receiver<DriverNote>,
    door: &Door,
    in_force: Arc<InForce>,
    (trail, clock): (Arc<dyn ReadTrail>, Clock),
) -> Vec<JoinHandle<()>> {
    vec![
        tokio::spawn(parts::pass_notes(noted, door.clone())),
        tokio::spawn(machine::follow_files(in_force)),
        tokio::spawn(parts::collect_orphans()),
        tokio::spawn(shell::tell_waits(door.clone(), trail, clock)),
    ]
}

/// The thread of the loop.
type LoopThread = std::thread::JoinHandle<std::io::Result<()>>;

/// Lets the loop turn on a thread of its own; what is given beside it closes when it ends, however it ends.
fn turn(shell: Shell) -> std::io::Result<(LoopThread, tokio::sync::oneshot::Receiver<()>)> {
    let (alive, ended) = tokio::sync::oneshot::channel();
    let thread = std::thread::Builder::new().name("kernel".to_owned()).spawn(move || {
        // Dropped when the loop ends, also by a panic.
        let _alive = alive;
        shell::run(shell).map(drop)
    })?;
    Ok((thread, ended))
}

/// The loop, unless what it starts with cannot start: then it has ended, and no driver was asked for anything.
async fn goes_on<T>(
    starting: anyhow::Result<T>,
    door: &Door,
    loop_thread: LoopThread,
) -> anyhow::Result<(T, LoopThread)> {
    let error = match starting {
        Ok(started) => return Ok((started, loop_thread)),
        Err(error) => error,
    };
    for _ in 0..2 {
        // Drivers have nothing in hand.
        door.send(Event::Ending).await;
    }
    let _ = tokio::task::spawn_blocking(move || loop_thread.join()).await;
    Err(error)
}

/// Why a plugin cannot start.
fn why_not(refusal: &lifecycle::Refusal) -> String {
    match &refusal.reason {
        RefusalReason::Unfit { stage: Some(stage), source, unfit, active: None } => format!(
            "plugin `{}`: component `{source}` cannot be used (stage {}): it {unfit}",
            refusal.plugin,
            stage.name()
        ),
        _ => refusal.to_string(),
    }
}

/// Opens the record, and waits until what a killed host has left running on the instances is gone.
async fn open(config: &Config, options: &mut HostOptions<'_>) -> anyhow::Result<Opened<SqliteStore>> {
    let opened = SqliteStore::open(&config.server.data_dir)?;
    crate::program::end_what_was_left();
    let guards = parts::guards(config);
    let gone = former::gone(&guards);
    match options.ended.as_mut() {
        None => gone.await,
        Some(ended) => tokio::select! {
            () = gone => {}
            () = ended => return Err(EndedAtStartError.into()),
        },
    }
    Ok(opened)
}

/// Waits until every plugin has a component that decides, and tells how they come along; then until the sources of
/// instances have been looked at of which nothing is known yet. What is probed and answered meanwhile touches nothing.
///
/// # Errors
/// When a plugin cannot have one, the loop ends, or the host is to end.
async fn begin(
    door: &Door,
    options: HostOptions<'_>,
    (plugins, sources, place): (&PluginHands, &Discoveries, &Endpoint),
) -> anyhow::Result<()> {
    let ended = options.ended.unwrap_or_else(|| Box::pin(std::future::pending()));
    let beginning = async {
        come_along(door, options.on_stage).await?;
        sources.first_looks().await;
        plugins.look()?;
        Ok(())
    };
    let mut beginning = std::pin::pin!(beginning);
    let mut ended = ended;
    tokio::select! {
        begun = &mut beginning => return begun,
        () = &mut ended => return Err(EndedAtStartError.into()),
        () = tokio::time::sleep(SAID_AFTER) => {}
    }
    tracing::info!("answering on {place}, and probing; nothing is changed before every plugin decides");
    tokio::select! {
        begun = &mut beginning => begun,
        () = &mut ended => Err(EndedAtStartError.into()),
    }
}

async fn come_along(door: &Door, on_stage: Option<OnFirstStage>) -> anyhow::Result<()> {
    let mut views = door.views();
    let mut told: BTreeMap<PluginName, Stage> = BTreeMap::new();
    loop {
        let view = Arc::clone(&views.borrow_and_update());
        let mut all_decide = true;
        for life in view.plugins() {
            match life.standing() {
                Standing::Running => {}
                Standing::Failed(refusal) => anyhow::bail!(why_not(refusal)),
                Standing::Starting => all_decide = false,
            }
            let stage = life.report().stage;
            if let (Some(on_stage), Some(stage)) = (&on_stage, stage)
                && told.insert(life.name().clone(), stage) != Some(stage)
            {
                on_stage(life.name(), stage);
            }
        }
        if all_decide {
            return Ok(());
        }
        views.changed().await.context("the kernel ended before its plugins had started")?;
    }
}
