//! Takes over a changed configuration file while the host runs: all of it, or nothing.

use phasegate_wire as wire;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::access::InForce;
use crate::access::in_force::Loaded;
use crate::catalogue::Watches;
use crate::config::{self, Config, LoadConfigError};
use crate::discovery::Discoveries;
use crate::plugins::config::PluginConfig;
use crate::plugins::hands::Hands;
use crate::shell::{CommandError, CommandErrorKind, Door, Drivers};
use crate::words;
use phasegate_core::domain::{By, Digest, DriverTraits, PluginName, RequestId, ScaleSetName, UpgradeId};
use phasegate_core::kernel::command::{Reconfiguration, Rest};
use phasegate_core::kernel::{Command, Event, Reply};
use phasegate_core::lifecycle::{self, Part, Place, Said, TakenUp};
use phasegate_core::record::StoredReload;

/// Reads the configuration again when it is told to.
pub struct Reloader {
    door: Door,
    hands: Hands,
    drivers: Drivers,
    in_force: Arc<InForce>,
    catalogue: Arc<Watches>,
    sources: Arc<Discoveries>,
    /// What the host goes by; one reload at a time.
    current: tokio::sync::Mutex<Config>,
}

impl Reloader {
    /// For a host that runs this configuration.
    #[must_use]
    pub fn new(
        config: &Config,
        (door, hands, drivers): (Door, Hands, Drivers),
        (in_force, catalogue, sources): (Arc<InForce>, Arc<Watches>, Arc<Discoveries>),
    ) -> Self {
        let current = tokio::sync::Mutex::new(config.clone());
        Self { door, hands, drivers, in_force, catalogue, sources, current }
    }

    /// Reads the file and goes over to it, for whoever asks for it. The outcome is in the log, too.
    ///
    /// # Errors
    /// When the file has problems, changes what needs a restart, or a plugin of it fails at a stage;
    /// then nothing has changed.
    pub async fn reload(&self, by: By) -> Result<wire::Reload, CommandError> {
        let mut current = self.current.lock().await;
        if let Some(before) = self.recall(&by).await? {
            tracing::info!("reload: answered again under its request key, and not done again");
            return Ok(before);
        }
        let result = self.try_reload(&mut current, by).await;
        match &result {
            Ok(reload) if reload.changed.is_empty() => tracing::info!("reload: nothing changed"),
            Ok(reload) => tracing::info!("reload: changed {}", reload.changed.join(", ")),
            Err(error) => tracing::warn!("reload refused, nothing was changed: {error}"),
        }
        for differs in result.iter().flat_map(|reload| &reload.file_differs) {
            let wire::FileDiffers { scale_set, key, file, recorded } = differs;
            tracing::info!(
                "reload: {key} of scale set `{scale_set}`: the file says {file}, and {recorded} was said since"
            );
        }
        for refused in result.iter().flat_map(|reload| &reload.not_in_force) {
            tracing::warn!("reload: {refused}");
        }
        result
    }

    /// What was answered to a reload under the same key, as far as it still says something.
    async fn recall(&self, by: &By) -> Result<Option<wire::Reload>, CommandError> {
        if by.request.is_none() {
            return Ok(None);
        }
        match self.door.ask(by.clone(), Command::Recall).await? {
            Reply::Recalled(Some(before)) => Ok(Some(self.told_again(before))),
            _ => Ok(None),
        }
    }

    #[expect(clippy::too_many_lines, reason = "all of a reload or nothing of it, in one place")]
    async fn try_reload(&self, current: &mut Config, by: By) -> Result<wire::Reload, CommandError> {
        let refused = |message: String| CommandError::new(CommandErrorKind::Refused, message);
        let path = current.path.clone();
        let read = tokio::task::spawn_blocking(move || {
            let config = config::load(&path)?;
            let problems = config::machine_problems(&config, std::env::var_os("PATH").as_deref());
            if !problems.is_empty() {
                return Err(LoadConfigError::Invalid(problems));
            }
            let loaded = Loaded::load(&config.server.access);
            Ok((config, loaded))
        });
        let (next, loaded) = match read.await {
            Ok(Ok((config, Ok(loaded)))) => (config, loaded),
            Ok(Ok((_, Err(error)))) => return Err(refused(error.line())),
            Ok(Err(LoadConfigError::Invalid(problems))) => {
                return Err(refused(format!("the configuration has problems:\n{problems}")));
            }
            Ok(Err(error)) => {
                let why =
                    std::error::Error::source(&error).map_or_else(String::new, |why| format!(": {why}"));
                return Err(refused(format!("{error}{why}")));
            }
            Err(error) => return Err(refused(error.to_string())),
        };
        let reasons = config::restart_reasons(current, &next);
        if !reasons.is_empty() {
            return Err(refused(format!("needs a restart: {}", reasons.join(", "))));
        }
        let mut change = Reconfiguration::default();
        let mut keys = Vec::new();
        for after in &next.scale_sets {
            let parts = config::parts(current, &next, &after.name);
            if !parts.is_empty() {
                change.changed.insert(after.name.clone(), parts);
                change.sets.push(after.clone().split().0);
                let changes = config::live_changes(current, &next, &after.name);
                let each = changes.iter().filter(|change| !["driver", "instances"].contains(&change.key));
                keys.extend(each.map(|change| format!("scale set `{}`: {change}", after.name)));
            }
        }
        let mut changed = sets_changed(&change.changed);
        if current.server.access != next.server.access {
            change.rest = Rest::Other;
        }
        if current.releases != next.releases {
            change.releases = Some(Box::new(next.releases.clone()));
            changed.push("releases".to_owned());
        }
        if current.catalogue != next.catalogue {
            change.rest = Rest::Other;
            changed.push("extensionTypes".to_owned());
        }
        change.drivers = match self.make_ready(current, &next) {
            Ok(drivers) => drivers,
            Err(message) => {
                self.drivers.dismiss_ready();
                return Err(refused(message));
            }
        };
        let running = self.running();
        let plugins = self.take_up((&current.plugins, &next.plugins), change, by).await;
        // Those that took over do not wait any more.
        self.drivers.dismiss_ready();
        let plugins = plugins?;
        changed.extend(plugins.changed.iter().cloned());
        // A file that wants what was stopped begins it again, and one that wants something else may begin that.
        let begun = self.running().into_iter().filter(|(set, id)| running.get(set) != Some(id));
        changed.extend(begun.map(|(set, id)| format!("scale set `{set}` (upgrade `{id}` has begun)")));
        if current.server.access != next.server.access {
            changed.push("server (tokens, TLS)".to_owned());
        }
        self.in_force.take_up(next.server.access.clone(), loaded);
        self.catalogue.go_by(&next.catalogue);
        self.sources.go_by(&next.discoveries);
        *current = next;
        keys.iter().for_each(|key| tracing::info!("reload: {key}"));
        let file_differs = self.file_differs();
        let TakenUpAll { changed: _, mut warnings, not_in_force } = plugins;
        warnings.extend(self.lost().await);
        Ok(wire::Reload { changed, warnings, not_in_force, file_differs })
    }

    /// Starts the driver of each set that names another one; it waits until the change is recorded.
    fn make_ready(
        &self,
        before: &Config,
        after: &Config,
    ) -> Result<BTreeMap<ScaleSetName, DriverTraits>, String> {
        let mut ready = BTreeMap::new();
        for next in &after.scale_sets {
            let known = before.scale_sets.iter().find(|known| known.name == next.name);
            if known.is_none_or(|known| known.driver == next.driver) {
                continue;
            }
            let traits = self.drivers.make_ready(&next.name, &next.driver).map_err(|error| {
                format!(
                    "cannot start the driver of scale set `{}`: {:#}",
                    next.name,
                    anyhow::Error::from(error)
                )
            })?;
            ready.insert(next.name.clone(), traits);
        }
        Ok(ready)
    }

    /// Lets every plugin that changed, or whose place may hold other bytes, prepare what the file says, and
    /// then all of them take it up together with the sets, or none.
    async fn take_up(
        &self,
        (before, after): (&[PluginConfig], &[PluginConfig]),
        change: Reconfiguration,
        by: By,
    ) -> Result<TakenUpAll, CommandError> {
        let differs = |next: &&PluginConfig| !before.contains(next) || next.may_move();
        let concerned: Vec<&PluginConfig> = after.iter().filter(differs).collect();
        self.hands.propose(&concerned.iter().map(|config| (*config).clone()).collect::<Vec<_>>());
        let prepare = |config: &PluginConfig| {
            let place = if config.may_move() { Place::MayMove } else { Place::Fixed };
            let wanted = lifecycle::Command::Prepare(Arc::new(config.spec.clone()), place);
            self.door.ask_named(By::host(), Command::Plugin(config.spec.name.clone(), Box::new(wanted)))
        };
        let mut prepared: Vec<(PluginName, RequestId)> = Vec::new();
        for config in &concerned {
            let (id, answer) = prepare(config).await;
            if let Err(refusal) = answer {
                self.abandon(&prepared).await;
                return Err(refusal.into());
            }
            prepared.push((config.spec.name.clone(), id));
        }
        let on_failure =
            after.iter().map(|config| (config.spec.name.clone(), config.spec.on_failure)).collect();
        let change = Reconfiguration { on_failure, plugins: prepared.clone(), ..change };
        let taken = match self.door.ask(by, Command::Reconfigure(change)).await {
            Ok(Reply::Reconfigured(taken)) => taken,
            Ok(_) => Vec::new(),
            Err(refusal) => {
                self.abandon(&prepared).await;
                return Err(refusal.into());
            }
        };
        self.hands.adopt();
        let mut told = self.told(&taken);
        let is_told = |told: &TakenUpAll, name: &PluginName| {
            let name = format!("plugin `{name}`");
            told.changed.iter().any(|one| one.starts_with(&name))
        };
        for config in after.iter().filter(|config| !before.contains(config)) {
            if !is_told(&told, &config.spec.name) {
                told.changed.push(format!("plugin `{}`", config.spec.name));
            }
        }
        Ok(told)
    }

    /// What runs, and would not be taken up today.
    async fn lost(&self) -> Vec<String> {
        let view = self.door.view();
        let active =
            view.plugins().filter_map(|life| Some((life.name().clone(), life.report().active?.digest)));
        let (active, hands) = (active.collect::<Vec<_>>(), self.hands.clone());
        let lost = tokio::task::spawn_blocking(move || hands.lost(&active)).await.unwrap_or_default();
        let told = lost.into_iter().map(|(name, why)| {
            format!(
                "what runs of plugin `{name}` {why}; it decides on until something else takes over, and neither a rollback \
                 nor a restart comes back to it"
            )
        });
        told.collect()
    }

    /// The upgrades that run, by their sets.
    fn running(&self) -> BTreeMap<ScaleSetName, UpgradeId> {
        let view = self.door.view();
        let active = view.sets().filter_map(|set| Some((set.spec.name.clone(), set.active()?.id.clone())));
        active.collect()
    }

    /// Nothing of it is taken up.
    async fn abandon(&self, prepared: &[(PluginName, RequestId)]) {
        for (name, id) in prepared {
            let abandon = lifecycle::Event::Wanted(*id, lifecycle::Command::Abandon);
            self.door.send(Event::Plugin(name.clone(), abandon)).await;
        }
    }

    fn told(&self, taken: &[(PluginName, Box<TakenUp>)]) -> TakenUpAll {
        let mut all = TakenUpAll::default();
        let fleet = self.door.view();
        let mut said_already = Vec::new();
        for (name, taken) in taken {
            let is_changed = taken.changed == Part::Changed;
            if is_changed || taken.from != taken.to {
                all.changed.push(named(name, taken.from, taken.to));
            }
            // Where nothing is new of it, what was refused is told as what is not in force.
            let warning = taken
                .warning
                .as_ref()
                .filter(|fact| is_changed || matches!(fact, lifecycle::Fact::NotLookedAt { .. }));
            if is_changed || warning.is_some() {
                said_already.push(name.clone());
            }
            let left = fleet.plugin(name).ok().and_then(|life| lifecycle::left_alone(life));
            let facts = warning.cloned().into_iter().chain(left);
            all.warnings.extend(facts.map(|fact| Said { plugin: name.clone(), fact }.to_string()));
        }
        all.not_in_force = self.not_in_force(&said_already);
        all
    }

    /// What is said to a repeat: what the reload changed, and what is not in force now.
    fn told_again(&self, before: StoredReload) -> wire::Reload {
        let mut changed = sets_changed(&before.sets);
        changed.extend(before.plugins.iter().map(|(name, taken)| named(name, taken.from, taken.to)));
        let (not_in_force, file_differs) = (self.not_in_force(&[]), self.file_differs());
        wire::Reload { changed, warnings: Vec::new(), not_in_force, file_differs }
    }

    /// Keys of the file that say something else than what is wanted.
    fn file_differs(&self) -> Vec<wire::FileDiffers> {
        self.door.view().sets().flat_map(|set| words::file_differs(set)).collect()
    }

    fn not_in_force(&self, said_already: &[PluginName]) -> Vec<String> {
        let fleet = self.door.view();
        let others = fleet.plugins().filter(|life| !said_already.contains(life.name()));
        let refused = others.filter_map(|life| {
            let why = lifecycle::not_in_force(life)?;
            Some(format!("what the file says of plugin `{}` is not in force: {why}", life.name()))
        });
        refused.collect()
    }
}

/// What a reload did to the plugins.
#[derive(Debug, Default)]
struct TakenUpAll {
    /// Those that changed, with their components where others took over.
    changed: Vec<String>,
    /// What could not be looked at, and what that means.
    warnings: Vec<String>,
    /// What the file says already and what was refused.
    not_in_force: Vec<String>,
}

fn sets_changed(sets: &BTreeMap<ScaleSetName, Vec<String>>) -> Vec<String> {
    let all = |parts: &[String]| {
        // What says more than a word has commas of its own.
        let between = if parts.iter().any(|part| part.contains(':')) { "; " } else { ", " };
        parts.join(between)
    };
    sets.iter().map(|(name, parts)| format!("scale set `{name}` ({})", all(parts))).collect()
}

fn named(name: &PluginName, from: Digest, to: Digest) -> String {
    if from == to {
        return format!("plugin `{name}`");
    }
    format!("plugin `{name}` (component {} -> {})", from.short(), to.short())
}
