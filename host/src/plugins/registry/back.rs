//! What a person sees of the former generations, and goes back to.

use super::entry::Entry;
use super::history::ways_back;
use super::prepare::pinned;
use super::source::{Candidate, Origin, kept, kept_path};
use super::take_over::{Afterwards, Order, WhenBusy};
use super::{PluginRegistry, SwapOptions};
use crate::recording::settings_digest;
use crate::shell::{CommandError, CommandErrorKind};
use phasegate_core::domain::Strategy;
use phasegate_core::domain::{Generation, PluginName};
use phasegate_core::record::StoredGeneration;
use phasegate_wire as wire;

impl PluginRegistry {
    /// The generations that can be gone back to.
    ///
    /// # Errors
    /// When there is no such plugin.
    pub fn history(&self, name: &PluginName) -> Result<wire::PluginHistory, CommandError> {
        let entry = self.entry(name)?;
        let generations = entry.with(|state| state.history.clone());
        let generations = generations.into_iter().map(|one| wire::PluginGeneration {
            generation: one.generation.0,
            digest: one.digest.to_string(),
            settings: settings_digest(&one.settings).to_string(),
            source: one.source,
            at: (one.at).to_string(),
            why: one.why,
        });
        Ok(wire::PluginHistory { name: name.to_string(), generations: generations.collect() })
    }

    /// Goes back to a former generation: its component and its settings, under a new number.
    ///
    /// # Errors
    /// When there is no such generation, its bytes are gone, or nothing can be recorded.
    pub async fn roll_back(
        &self,
        name: &PluginName,
        to: Option<Generation>,
    ) -> Result<wire::Plugin, CommandError> {
        let entry = self.entry(name)?;
        let wanted = self.way_back(entry, to).await?;
        let candidate = Candidate {
            origin: Origin::Kept(wanted.digest),
            source: wanted.source.clone(),
            settings: wanted.settings.clone(),
        };
        let options = SwapOptions { strategy: Some(Strategy::Immediate), ..SwapOptions::default() };
        let (afterwards, when_busy) = (Afterwards::Nothing, WhenBusy::Overtake);
        let order = Order { options, why: "rollback", afterwards, when_busy };
        self.replace(entry, candidate, order).await?;
        Ok(entry.wire())
    }

    /// The generation to go back to: the one that is asked for, else the latest one that differs, can run,
    /// and was not left for being worse.
    async fn way_back(
        &self,
        entry: &Entry,
        to: Option<Generation>,
    ) -> Result<StoredGeneration, CommandError> {
        let (name, active) = (&entry.name, entry.active());
        let (history, config) = entry.with(|state| (state.history.clone(), state.config.clone()));
        let known: Vec<String> = history.iter().map(|one| one.generation.0.to_string()).collect();
        let known = known.join(", ");
        let ways: Vec<&StoredGeneration> = match to {
            Some(to) => history.iter().filter(|one| one.generation == to).collect(),
            None => ways_back(&history, (active.digest, &active.settings)),
        };
        if let (Some(to), true) = (to, ways.is_empty()) {
            let message =
                format!("plugin `{name}` has no generation {} to go back to; it keeps {known}", to.0);
            return Err(CommandError::new(CommandErrorKind::NotFound, message));
        }
        let mut unfit = Vec::new();
        for one in ways {
            let (data_dir, digest) = (self.parts.data_dir.clone(), one.digest);
            let read = tokio::task::spawn_blocking(move || kept(&data_dir, digest).is_some());
            let file = kept_path(&self.parts.data_dir, digest);
            let found = match read.await {
                Ok(true) => pinned(digest, config.spec.digest).map_err(|why| format!("its component {why}")),
                Ok(false) | Err(_) => {
                    Err(format!("`{}` is missing or does not hold its component any more", file.display()))
                }
            };
            match found {
                Ok(()) => return Ok(one.clone()),
                Err(why) => unfit.push(format!("generation {} cannot come back: {why}", one.generation.0)),
            }
            tracing::warn!(plugin = %name, "rollback: {}", unfit.last().map_or("", String::as_str));
        }
        // That nothing is there is one thing, that it cannot run another one.
        let (kind, why) = if unfit.is_empty() {
            let why =
                " has no former generation that differs from the active one and was not left for being worse";
            (CommandErrorKind::NotFound, why.to_owned())
        } else {
            (CommandErrorKind::Refused, format!(": {}", unfit.join("; ")))
        };
        let one = if to.is_some() { "another one" } else { "one" };
        let message = format!(
            "plugin `{name}`{why}; {} stays active; it keeps {known}: see `phasegate plugin history {name}`, and name {one} with `phasegate plugin rollback {name} --to N`, or bring a file in with `phasegate plugin swap {name} FILE`",
            active.shown()
        );
        Err(CommandError::new(kind, message))
    }
}
