//! The driver of each scale set: started when the host does, and exchanged while it runs.
//!
//! A driver that a changed configuration names is started and waits; it takes over with the effect of the turn in which
//! that was recorded, or is ended when it was refused. Decides nothing.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use phasegate_core::domain::{DriverTraits, ScaleSetName};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use crate::drivers::kind::{Premises, StartDriverError};
use crate::drivers::process::OnExit;
use crate::drivers::relay::Relay;
use crate::drivers::settings::ExtensionSettings;
use crate::drivers::{Driver, DriverConfig, DriverNote, Words};

/// All of them.
#[derive(Clone)]
pub struct Drivers {
    ground: Arc<Ground>,
    notes: mpsc::Sender<DriverNote>,
    words: Words,
    runtime: Handle,
    seats: Arc<Mutex<Seats>>,
}

/// What the host gives to all of them.
#[derive(Debug, Clone)]
pub struct Ground {
    /// Where their output goes: a folder for each set.
    pub logs: PathBuf,
    /// Where it stands which processes outlive their host.
    pub kept: PathBuf,
    /// The file that guards hold while they live.
    pub guards: PathBuf,
    /// What becomes of processes at the end of the host.
    pub on_exit: OnExit,
    /// Where programs find the settings of extensions, for as long as they run.
    pub settings: PathBuf,
    /// How long the host waits at its end for programs that are under way.
    pub stop_timeout: Duration,
}

#[derive(Default)]
struct Seats {
    at_work: BTreeMap<ScaleSetName, Arc<Relay>>,
    ready: BTreeMap<ScaleSetName, Arc<dyn Driver>>,
}

impl Drivers {
    /// None yet.
    #[must_use]
    pub fn new(ground: Ground, (notes, words): (mpsc::Sender<DriverNote>, Words), runtime: Handle) -> Self {
        Self { ground: Arc::new(ground), notes, words, runtime, seats: Arc::default() }
    }

    /// Starts the driver of a set, which is at work at once.
    ///
    /// # Errors
    /// When the machine does not give what it needs.
    pub fn start(&self, set: &ScaleSetName, config: &DriverConfig) -> Result<DriverTraits, StartDriverError> {
        let driver = config.start(&self.premises(set))?;
        let traits = driver.traits();
        let relay = Arc::new(Relay::new(driver, self.runtime.clone()));
        self.lock().at_work.insert(set.clone(), relay);
        Ok(traits)
    }

    /// Starts another driver of a set, which waits until it takes over.
    ///
    /// # Errors
    /// When the machine does not give what it needs.
    pub fn make_ready(
        &self,
        set: &ScaleSetName,
        config: &DriverConfig,
    ) -> Result<DriverTraits, StartDriverError> {
        let driver = config.start(&self.premises(set))?;
        let traits = driver.traits();
        let before = self.lock().ready.insert(set.clone(), driver);
        before.into_iter().for_each(|before| self.let_end(before));
        Ok(traits)
    }

    /// The one that waits takes over.
    pub(super) fn take_over(&self, set: &ScaleSetName) {
        let mut seats = self.lock();
        let Some(next) = seats.ready.remove(set) else { return };
        if let Some(relay) = seats.at_work.get(set) {
            relay.hand_over(next);
        }
    }

    /// Those that wait are not wanted after all.
    pub fn dismiss_ready(&self) {
        let ready = std::mem::take(&mut self.lock().ready);
        ready.into_values().for_each(|driver| self.let_end(driver));
    }

    fn let_end(&self, driver: Arc<dyn Driver>) {
        self.runtime.spawn(async move { driver.shutdown().await });
    }

    /// The driver of a set.
    pub(super) fn of(&self, set: &ScaleSetName) -> Option<Arc<Relay>> {
        self.lock().at_work.get(set).map(Arc::clone)
    }

    /// Those at work.
    #[must_use]
    pub fn at_work(&self) -> Vec<Arc<dyn Driver>> {
        let relays = self.lock().at_work.values().map(Arc::clone).collect::<Vec<_>>();
        relays.into_iter().map(|relay| -> Arc<dyn Driver> { relay }).collect()
    }

    fn premises(&self, set: &ScaleSetName) -> Premises {
        let Ground { logs, kept, guards, on_exit, settings, stop_timeout } = &*self.ground;
        Premises {
            log_dir: logs.join(set.as_str()),
            kept: kept.clone(),
            guards: guards.clone(),
            on_exit: *on_exit,
            extensions: ExtensionSettings::default(),
            settings_dir: settings.clone(),
            stop_timeout: *stop_timeout,
            search_path: std::env::var_os("PATH").unwrap_or_default(),
            notes: self.notes.clone(),
            words: self.words.clone(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Seats> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
