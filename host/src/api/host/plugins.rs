//! What the API asks of the host about plugins.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use phasegate_core::domain::{Generation, PluginName, ReadClock};
use phasegate_core::kernel::Reply;
use phasegate_core::kernel::command::Command;
use phasegate_core::lifecycle::{self, Offer, PluginLife, SwapOptions};
use phasegate_wire as wire;

use super::{Asked, Host};
use crate::api::plugin_view;
use crate::net::reference::RemoteSource;
use crate::net::text::one_line;
use crate::shell::{CommandError, CommandErrorKind};

/// Longest wait for what is wanted of a plugin, which may be fetched, compiled and rehearsed; below that of our own
/// clients. It goes on to its end all the same.
const SWAPPED_WITHIN: Duration = Duration::from_secs(290);

/// Longest name of an uploaded file that is shown.
const FILE_BYTES_MAX: usize = 256;

/// A component that a client wants to have swapped in.
#[derive(Debug, Clone)]
pub(in crate::api) enum Offered {
    /// This one.
    Bytes {
        /// The component.
        bytes: Bytes,
        /// What the client calls it.
        file: Option<String>,
        /// Its signatures, base64 with commas between them.
        signatures: String,
    },
    /// One that the host fetches.
    Reference(RemoteSource),
}

/// How an upload is called: `upload of db.wasm`, where its sender named it.
fn uploaded(file: Option<&str>) -> String {
    let cut =
        |text: String| text.get(..text.floor_char_boundary(FILE_BYTES_MAX)).unwrap_or_default().to_owned();
    let file = file.map(|file| cut(one_line(file.trim()))).filter(|file| !file.is_empty());
    file.map_or_else(|| "upload".to_owned(), |file| format!("upload of {file}"))
}

impl Host {
    pub(in crate::api) fn plugins(&self) -> wire::Plugins {
        let (fleet, now) = (self.door.view(), ReadClock::now(&self.clock));
        let shown = |life: &Arc<PluginLife>| {
            plugin_view::plugin(&life.report(), self.hands.work(life.name()), now.at)
        };
        wire::Plugins { plugins: fleet.plugins().filter_map(shown).collect() }
    }

    /// One plugin as it is now.
    fn plugin(&self, name: &PluginName) -> Result<wire::Plugin, CommandError> {
        let (fleet, now) = (self.door.view(), ReadClock::now(&self.clock));
        let report = fleet.plugin(name)?.report();
        plugin_view::plugin(&report, self.hands.work(name), now.at).ok_or_else(|| {
            let message = format!("plugin `{name}` has no component that decides yet; try again later");
            CommandError::new(CommandErrorKind::Unavailable, message)
        })
    }

    pub(in crate::api) fn diff(&self, plugin: &PluginName) -> Result<wire::PluginDiff, CommandError> {
        let report = self.door.view().plugin(plugin)?.report();
        let diff = report.diff.ok_or_else(|| {
            let message = format!(
                "nothing was compared with plugin `{plugin}` yet; try `phasegate plugin swap {plugin} FILE --dry-run`"
            );
            CommandError::new(CommandErrorKind::NotFound, message)
        })?;
        Ok(plugin_view::diff(plugin, &diff, &*self.hands))
    }

    pub(in crate::api) fn history(&self, plugin: &PluginName) -> Result<wire::PluginHistory, CommandError> {
        Ok(plugin_view::history(&self.door.view().plugin(plugin)?.report()))
    }

    pub(in crate::api) async fn swap(
        &self,
        plugin: &PluginName,
        offer: Offered,
        options: SwapOptions,
        asked: Asked,
    ) -> Result<wire::PluginSwap, CommandError> {
        // Held until the swap has come to its end.
        let (_held, offer) = match offer {
            Offered::Reference(source) => (None, Offer::Reference(source.to_string())),
            Offered::Bytes { bytes, file, signatures } => {
                let held = self.hands.hold(bytes, &signatures);
                let offer = Offer::Held { digest: held.digest, source: uploaded(file.as_deref()) };
                (Some(held), offer)
            }
        };
        let reply = self.of_plugin(plugin, lifecycle::Command::Swap(offer, options), asked).await?;
        let diff = match reply {
            Reply::Plugin(lifecycle::Reply::Swapped(diff)) => diff,
            _ => None,
        };
        let diff = diff.map(|diff| plugin_view::diff(plugin, &diff, &*self.hands));
        Ok(wire::PluginSwap { plugin: self.plugin(plugin)?, diff })
    }

    pub(in crate::api) async fn roll_back(
        &self,
        plugin: &PluginName,
        to: Option<Generation>,
        asked: Asked,
    ) -> Result<wire::Plugin, CommandError> {
        self.of_plugin(plugin, lifecycle::Command::Rollback(to), asked).await?;
        self.plugin(plugin)
    }

    pub(in crate::api) async fn promote(
        &self,
        plugin: &PluginName,
        asked: Asked,
    ) -> Result<wire::Plugin, CommandError> {
        self.of_plugin(plugin, lifecycle::Command::Promote, asked).await?;
        self.plugin(plugin)
    }

    pub(in crate::api) async fn discard(
        &self,
        plugin: &PluginName,
        asked: Asked,
    ) -> Result<wire::Plugin, CommandError> {
        self.of_plugin(plugin, lifecycle::Command::Discard, asked).await?;
        self.plugin(plugin)
    }

    async fn of_plugin(
        &self,
        name: &PluginName,
        wanted: lifecycle::Command,
        asked: Asked,
    ) -> Result<Reply, CommandError> {
        let command = Command::Plugin(name.clone(), Box::new(wanted));
        Ok(self.door.ask_within(SWAPPED_WITHIN, asked.by(), command).await?)
    }
}
