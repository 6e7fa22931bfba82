//! Which records a replay is about.

use std::collections::BTreeSet;
use std::path::Path;

use crate::recording::{Reading, Record};
use phasegate_core::domain::{PluginName, ScaleSetName};

/// What a recording is, for whoever named something else.
const WHAT_IT_IS: &str =
    "a recording is the folder `recording` of a data directory, or one `*.jsonl` file of it";

/// What was asked for.
pub(super) struct Choice<'a> {
    /// `--name`.
    pub(super) plugin: Option<&'a str>,
    /// `--scale-set`.
    pub(super) scale_set: Option<&'a str>,
    /// Name of a plugin that `--plugin` gave in place of a component.
    pub(super) judge: Option<&'a str>,
    /// Records are judged by the plugin that has judged them, so that those of several can be judged at
    /// once.
    pub(super) verify: bool,
}

/// The records that shall be judged, at least one.
pub(super) fn records(path: &Path, reading: Reading, choice: &Choice<'_>) -> anyhow::Result<Vec<Record>> {
    let shown = path.display();
    check(path, &reading)?;
    let mut records = reading.records;
    if let Some(wanted) = choice.scale_set {
        let wanted =
            ScaleSetName::parse(wanted).map_err(|error| anyhow::anyhow!("--scale-set `{wanted}` {error}"))?;
        let known = names(records.iter().map(|record| record.instance().scale_set.as_str()));
        records.retain(|record| record.instance().scale_set == wanted);
        anyhow::ensure!(
            !records.is_empty(),
            "`{shown}` has no records of scale set `{wanted}`; it has those of {known}"
        );
    }
    let plugins = names(records.iter().map(|record| record.plugin.as_str()));
    if let Some(wanted) = choice.plugin {
        let wanted =
            PluginName::parse(wanted).map_err(|error| anyhow::anyhow!("--name `{wanted}` {error}"))?;
        records.retain(|record| record.plugin == wanted);
        anyhow::ensure!(
            !records.is_empty(),
            "`{shown}` has no records of plugin `{wanted}`; it has those of {plugins}"
        );
    } else if let Some(judge) = choice.judge
        && records.iter().any(|record| record.plugin.as_str() == judge)
    {
        records.retain(|record| record.plugin.as_str() == judge);
    } else if !choice.verify {
        let several = records.iter().any(|record| Some(&record.plugin) != records.first().map(|r| &r.plugin));
        anyhow::ensure!(
            !several,
            "`{shown}` has records of several plugins: {plugins}; say with `--name PLUGIN` whose shall be \
             judged"
        );
    }
    Ok(records)
}

/// Whether it is a recording, with something in it.
fn check(path: &Path, reading: &Reading) -> anyhow::Result<()> {
    let Reading { records, damaged, files } = reading;
    if !records.is_empty() {
        return Ok(());
    }
    let shown = path.display();
    let inside = path.join("recording");
    let hint =
        if inside.is_dir() { format!("; did you mean `{}`?", inside.display()) } else { String::new() };
    match (files, damaged) {
        (0, _) => {
            anyhow::bail!("`{shown}` is no recording: no `*.jsonl` file is in it; {WHAT_IT_IS}{hint}")
        }
        (_, 0) => anyhow::bail!("`{shown}` holds no records yet; {WHAT_IT_IS}"),
        (_, damaged) => {
            anyhow::bail!("`{shown}` is no recording: none of its {damaged} lines is a record; {WHAT_IT_IS}")
        }
    }
}

/// Each name once, for a message.
fn names<'a>(all: impl Iterator<Item = &'a str>) -> String {
    let names: BTreeSet<&str> = all.collect();
    names.into_iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
