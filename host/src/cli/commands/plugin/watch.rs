//! `plugin watch`: builds, tests and rehearses a project each time that one of its files was saved.
//!
//! By looking, as a host looks at component files. Changes nothing in the host: the rehearsal is a swap that is only
//! shown. A step that fails ends its round, and the next change begins another one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, SystemTime};

use phasegate_core::domain::PluginName;

use super::{fresh, operate, project, read_subject, test};
use crate::author::build::Within;
use crate::author::project::MANIFEST;
use crate::cli::args::{OutputArgs, ServerArgs, SwapArgs};
use crate::cli::exit::Exit;
use crate::cli::output;

/// Time between two looks; a file counts once it has looked the same twice.
const LOOK_EVERY: Duration = Duration::from_millis(300);

/// What tells that files were saved.
type Looked = BTreeMap<PathBuf, (SystemTime, u64)>;

/// Watches until it is ended from outside.
pub(super) fn run(server: &ServerArgs, folder: &Path, into: &str) -> anyhow::Result<Exit> {
    PluginName::parse(into).map_err(|error| anyhow::anyhow!("plugin name `{into}` {error}"))?;
    anyhow::ensure!(folder.is_dir(), "`{}` is no folder; name that of a plugin", folder.display());
    output::talk(&format!("watching `{}`; Ctrl-C ends it, and nothing is swapped in\n", folder.display()));
    // Nothing is ever sent: the channel is a sleep that keeps its pace.
    let (_keep, never) = mpsc::channel::<()>();
    let (mut before, mut seen, mut rounds) = (None, None, 0_u64);
    loop {
        let now = Some(look(folder));
        if now == before && now != seen {
            rounds += 1;
            let said = match round(server, folder, into) {
                Ok(Step::Rehearsed) => format!("round {rounds}: built, tested and rehearsed\n"),
                Ok(Step::FailsItsCases) => format!("round {rounds}: cases fail, so it was not rehearsed\n"),
                Ok(Step::Refused) => format!("round {rounds}: rehearsed, and the gate would refuse it\n"),
                Err(error) => {
                    format!("error: {error:#}\nround {rounds}: stopped; it goes on with the next change\n")
                }
            };
            output::data(&said)?;
            // As it was when the round began: what was saved meanwhile begins another one.
            seen.clone_from(&now);
        }
        before = now;
        if never.recv_timeout(LOOK_EVERY) != Err(RecvTimeoutError::Timeout) {
            return Ok(Exit::Done);
        }
    }
}

/// How far a round came.
enum Step {
    Rehearsed,
    FailsItsCases,
    Refused,
}

fn round(server: &ServerArgs, folder: &Path, into: &str) -> anyhow::Result<Step> {
    if is_project(folder) {
        project::build(folder, Within::CodeAlone)?;
    }
    let subject = read_subject(folder, &None)?;
    let format = OutputArgs { json: false };
    if test::run(&subject, None, None, format)? != Exit::Done {
        return Ok(Step::FailsItsCases);
    }
    let file = PathBuf::from(&subject.name);
    let swap =
        SwapArgs { name: into.to_owned(), file, dry_run: true, strategy: None, force: false, output: format };
    Ok(match operate::swap(server, &swap)? {
        Exit::Done => Step::Rehearsed,
        _ => Step::Refused,
    })
}

/// Whether there is something to build; of others the component itself is watched.
fn is_project(folder: &Path) -> bool {
    folder.join(MANIFEST).is_file()
}

fn look(folder: &Path) -> Looked {
    let mut files = fresh::sources(folder);
    let inside = |folder: &Path| std::fs::read_dir(folder).into_iter().flatten().flatten();
    files.extend(inside(&folder.join("cases")).map(|entry| entry.path()));
    if !is_project(folder) {
        let components = inside(folder).map(|entry| entry.path());
        files.extend(components.filter(|path| path.extension().is_some_and(|extension| extension == "wasm")));
    }
    let stamp = |path: PathBuf| {
        let metadata = path.metadata().ok()?;
        Some((path, (metadata.modified().ok()?, metadata.len())))
    };
    files.into_iter().filter_map(stamp).collect()
}
