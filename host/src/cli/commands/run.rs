//! `phasegate run`: the host in the foreground, until it is told to stop.

use anyhow::Context;

use crate::cli::args::ConfigArgs;
use crate::cli::exit::Exit;
use crate::cli::output;
use crate::cli::target::read_token;
use crate::config::{self, LoadConfigError};
use crate::host::{Host, HostOptions};

/// Runs the host.
///
/// # Errors
/// When the configuration has problems, the port is taken, the data directory cannot be used, or a
/// plugin does not load.
pub fn run(args: &ConfigArgs) -> anyhow::Result<Exit> {
    let config = match config::load(&args.config) {
        Ok(config) => config,
        Err(LoadConfigError::Invalid(problems)) => return Ok(refuse(&problems)),
        Err(error @ LoadConfigError::Unreadable { .. }) => return Err(error.into()),
    };
    let problems = config::environment_problems(&config, std::env::var_os("PATH").as_deref());
    if !problems.is_empty() {
        return Ok(refuse(&problems));
    }
    let token = config.server.token_file.as_deref().map(read_token).transpose()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        // Asked for before anything starts, so that a signal during the start is not lost.
        let mut stop = StopSignal::listen().context("cannot listen for signals")?;
        let mut host = Host::start(&config, HostOptions { token }).await?;
        tracing::info!("listening on http://{}", host.address());
        let failed = tokio::select! {
            () = stop.wait() => false,
            () = host.failed() => true,
        };
        tracing::info!("stopping");
        host.stop().await;
        anyhow::ensure!(
            !failed,
            "the control loop ended by itself; the log above says why; please report it"
        );
        Ok(Exit::Done)
    })
}

fn refuse(problems: &config::Problems) -> Exit {
    output::talk(&format!("{problems}\n"));
    output::talk("error: the configuration has problems; nothing was started\n");
    Exit::CouldNotRun
}

/// Ctrl-C, or what a service manager sends.
pub struct StopSignal {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    /// None under `nohup`, which wants the host to outlive its terminal.
    hangup: Option<tokio::signal::unix::Signal>,
}

impl StopSignal {
    /// Begins to listen; from here on the signals no longer end the process by themselves.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn listen() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: if hangup_is_ignored() { None } else { Some(signal(SignalKind::hangup())?) },
        })
    }

    /// Waits for the first of them.
    pub async fn wait(&mut self) {
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = hangup => {}
        }
    }
}

/// Whether whoever started us asked that SIGHUP be ignored. Linux tells; elsewhere it counts.
fn hangup_is_ignored() -> bool {
    const SIGHUP_BIT: u64 = 1;
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & SIGHUP_BIT != 0)
}
