//! `phasegate run`: the host in the foreground, until it is told to stop.

use std::sync::Arc;

use anyhow::Context;

use crate::access::Tls;
use crate::cli::args::RunArgs;
use crate::cli::exit::Exit;
use crate::cli::output;
use crate::config::{self, LoadConfigError};
use crate::host::OnFirstStage;
use crate::host::{EndedAtStartError, Host, HostOptions};
use crate::log;
use crate::net::endpoint::Endpoint;
use crate::net::names::use_resolvers;
use phasegate_core::domain::By;

/// Runs the host.
///
/// # Errors
/// When the configuration has problems, the port is taken, the data directory cannot be used, or a
/// plugin does not load.
pub fn run(args: &RunArgs) -> anyhow::Result<Exit> {
    let config = match config::load(&args.config.config) {
        Ok(config) => config,
        Err(LoadConfigError::Invalid(problems)) => return Ok(refuse(&problems)),
        Err(error) => return Err(error.into()),
    };
    let problems = config::machine_problems(&config, std::env::var_os("PATH").as_deref());
    if problems.list.iter().any(|problem| !config::is_about_a_component(problem)) {
        return Ok(refuse(&problems));
    }
    use_resolvers(&config.server.resolvers);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let ended = runtime.block_on(async {
        // Asked for before anything starts, so that a signal during the start is not lost.
        let mut stop = StopSignal::listen().context("cannot listen for signals")?;
        let options = HostOptions { on_stage: show_stages(), ended: Some(Box::pin(stop.wait())) };
        let started = Host::start(&config, options).await;
        if output::stderr_is_terminal() {
            log::draw(CLEAR_LINE);
        }
        let mut host = match started {
            Err(error) if error.is::<EndedAtStartError>() => {
                tracing::info!("stopping before anything was started");
                return Ok(Exit::Done);
            }
            // Nothing is recorded that could run in place of a component that is not there.
            Err(_) if !problems.is_empty() => return Ok(refuse(&problems)),
            started => started?,
        };
        say_where(&host, &config);
        let mut reloads = Reloads::listen().context("cannot listen for signals")?;
        let failed = loop {
            tokio::select! {
                () = stop.wait() => break false,
                () = host.failed() => break true,
                () = reloads.wait() => {
                    let reloader = host.reloader();
                    // Whoever sent the signal reads the outcome in the log.
                    tokio::spawn(async move { reloader.reload(By::host()).await.map(drop) });
                }
            }
        };
        tracing::info!("stopping");
        host.stop().await;
        anyhow::ensure!(!failed, "the kernel ended by itself; the log above says why; unless another host has taken over, please report it");
        Ok(Exit::Done)
    });
    // What still runs reads or computes for nobody; whoever sent the signal is not to wait for it.
    runtime.shutdown_background();
    ended
}

/// Where the API can be reached.
fn say_where(host: &Host, config: &config::Config) {
    let place = host.place();
    match (place, &config.server.access.tls) {
        (Endpoint::Unix(_), _) => tracing::info!("listening on {place}"),
        (Endpoint::Tcp(_), Tls::Here(_)) => tracing::info!("listening on https://{place}"),
        (Endpoint::Tcp(_), Tls::Off | Tls::Terminated) => tracing::info!("listening on http://{place}"),
    }
}

/// Back to the begin of the line, and nothing in it.
const CLEAR_LINE: &str = "\r\x1b[K";

/// On a terminal, the stage that a starting plugin is at, in a line that the log writes over.
fn show_stages() -> Option<OnFirstStage> {
    output::stderr_is_terminal().then(|| -> OnFirstStage {
        Arc::new(|plugin, stage| log::draw(&format!("{CLEAR_LINE}plugin {plugin}: {} …\r", stage.name())))
    })
}

fn refuse(problems: &config::Problems) -> Exit {
    output::talk(&format!("{problems}\n"));
    output::talk("error: the configuration has problems; nothing was started\n");
    Exit::CouldNotRun
}

/// SIGHUP: the configuration shall be read again.
struct Reloads(Option<tokio::signal::unix::Signal>);

impl Reloads {
    fn listen() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self(if hangup_is_ignored() { None } else { Some(signal(SignalKind::hangup())?) }))
    }

    /// Waits for the next one that does not come from a terminal that has gone.
    async fn wait(&mut self) {
        loop {
            let Some(signal) = &mut self.0 else { return std::future::pending().await };
            if signal.recv().await.is_some() && !started_on_terminal_that_is_gone() {
                return;
            }
        }
    }
}

/// Ctrl-C, or what a service manager sends.
pub struct StopSignal {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    /// The terminal was closed. None under `nohup`, which wants the host to outlive it.
    hangup: Option<tokio::signal::unix::Signal>,
}

impl StopSignal {
    /// Begins to listen; from here on the signals no longer end the process by themselves.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn listen() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        // Without somebody who listens, a file that reaches a limit of the system ends the process without a
        // word; with one, it is an error like that of a full disk. Tokio goes on listening.
        drop(signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()))?);
        // Looks once while the terminal is there.
        started_on_terminal_that_is_gone();
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: if hangup_is_ignored() { None } else { Some(signal(SignalKind::hangup())?) },
        })
    }

    /// Waits for the first of them.
    pub async fn wait(&mut self) {
        let hangup = async {
            loop {
                match &mut self.hangup {
                    Some(hangup) => _ = hangup.recv().await,
                    None => std::future::pending().await,
                }
                if started_on_terminal_that_is_gone() {
                    return;
                }
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            () = hangup => {}
        }
    }
}

/// Whether stderr was a terminal that has been closed: then nobody is there who could have wanted a
/// reload.
fn started_on_terminal_that_is_gone() -> bool {
    use std::io::IsTerminal as _;
    static WAS_TERMINAL: std::sync::OnceLock<bool> = std::sync::OnceLock::new();
    let is = std::io::stderr().is_terminal();
    *WAS_TERMINAL.get_or_init(|| is) && !is
}

/// Whether whoever started us asked that SIGHUP be ignored. Linux tells; elsewhere it counts.
fn hangup_is_ignored() -> bool {
    const SIGHUP_BIT: u64 = 1;
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & SIGHUP_BIT != 0)
}
