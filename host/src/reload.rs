//! Takes over a changed configuration file while the host runs: all of it, or nothing.

use phasegate_wire as wire;
use std::sync::Arc;

use crate::config::{self, Config, LoadConfigError};
use crate::plugins::registry::PluginRegistry;
use crate::shell::{CommandError, CommandErrorKind};

/// Reads the configuration again when it is told to.
pub struct Reloader {
    plugins: Arc<PluginRegistry>,
    /// What the host goes by; one reload at a time.
    current: tokio::sync::Mutex<Config>,
}

impl Reloader {
    /// For a host that runs this configuration.
    #[must_use]
    pub fn new(config: &Config, plugins: Arc<PluginRegistry>) -> Self {
        Self { plugins, current: tokio::sync::Mutex::new(config.clone()) }
    }

    /// Reads the file and goes over to it. The outcome is in the log, too.
    ///
    /// # Errors
    /// When the file has problems, changes what needs a restart, or a plugin of it fails at a stage;
    /// then nothing has changed.
    pub async fn reload(&self) -> Result<wire::Reload, CommandError> {
        let result = self.try_reload().await;
        match &result {
            Ok(reload) if reload.changed.is_empty() => tracing::info!("reload: nothing changed"),
            Ok(reload) => tracing::info!("reload: changed {}", reload.changed.join(", ")),
            Err(error) => tracing::warn!("reload refused, nothing was changed: {error}"),
        }
        for refused in result.iter().flat_map(|reload| &reload.not_in_force) {
            tracing::warn!("reload: {refused}");
        }
        result
    }

    async fn try_reload(&self) -> Result<wire::Reload, CommandError> {
        let refused = |message: String| CommandError::new(CommandErrorKind::Refused, message);
        let mut current = self.current.lock().await;
        let path = current.path.clone();
        let read = tokio::task::spawn_blocking(move || {
            let config = config::load(&path)?;
            let problems = config::machine_problems(&config, std::env::var_os("PATH").as_deref());
            if problems.is_empty() { Ok(config) } else { Err(LoadConfigError::Invalid(problems)) }
        });
        let next = match read.await {
            Ok(Ok(config)) => config,
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
        let reasons = config::restart_reasons(&current, &next);
        if !reasons.is_empty() {
            return Err(refused(format!("needs a restart: {}", reasons.join(", "))));
        }
        let mut changed = Vec::new();
        let mut sets = Vec::new();
        for after in &next.scale_sets {
            let before = current.scale_sets.iter().find(|before| before.name == after.name);
            let parts = before.map(|before| config::changed_parts(before, after)).unwrap_or_default();
            if !parts.is_empty() {
                changed.push(format!("scale set `{}` ({})", after.name, parts.join(", ")));
                sets.push(after.clone().split().0);
            }
        }
        let plugins = self.plugins.reload(&next.plugins, sets).await?;
        changed.extend(plugins.changed);
        *current = next;
        Ok(wire::Reload { changed, warnings: plugins.warnings, not_in_force: plugins.not_in_force })
    }
}
