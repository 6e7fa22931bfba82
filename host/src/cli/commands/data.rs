//! `phasegate data`: the record itself. Works on the data directory; only `adopt` speaks to a host, when one runs.

use std::path::{Path, PathBuf};

use crate::access::people;
use crate::cli::args::{DataArgs, DataVerb, OutputArgs};
use crate::cli::exit::{Exit, Refused};
use crate::cli::{output, target};
use crate::clock::Clock;
use crate::store::{self, Checked, Existing, Restored, SqliteStoreError};
use phasegate_core::domain::{Actor, By, ReadClock};
use phasegate_wire as wire;

/// Runs one verb. What is refused ends with 1: a damaged or newer file, one that is there already, a host that
/// runs or has nothing to adopt.
///
/// # Errors
/// When it is refused, the data directory cannot be found or used, or a host cannot be reached.
pub fn run(args: &DataArgs) -> anyhow::Result<Exit> {
    match &args.verb {
        DataVerb::Check { output } => check(&directory(args)?, *output),
        DataVerb::Backup { file, force } => {
            let existing = if *force { Existing::Replace } else { Existing::Keep };
            backup(&directory(args)?, file, existing)
        }
        DataVerb::Restore { file } => restore(&directory(args)?, file),
        DataVerb::Adopt { reason } => adopt(args, reason.as_deref()),
    }
}

fn directory(args: &DataArgs) -> anyhow::Result<PathBuf> {
    match &args.data_dir {
        Some(directory) => Ok(directory.clone()),
        None => target::data_dir(&args.server),
    }
}

fn check(directory: &Path, format: OutputArgs) -> anyhow::Result<Exit> {
    let checked = store::check(directory).map_err(refused)?;
    let exit = if checked.damaged == 0 { Exit::Done } else { Exit::No };
    match format.json {
        true => output::json(&as_json(&checked))?,
        false => output::data(&as_text(&checked))?,
    }
    Ok(exit)
}

fn as_json(checked: &Checked) -> wire::DataCheck {
    let Checked { path, schema, reader, generation, commits, rows, here, hold, damaged, problems } = checked;
    let doubts = hold.iter().flat_map(|hold| hold.doubts());
    wire::DataCheck {
        file: path.display().to_string(),
        whole: *damaged == 0,
        schema: *schema,
        least_version: reader.as_ref().map(|(version, _)| version.clone()),
        least_version_because: reader.as_ref().map(|(_, why)| why.clone()),
        generation: *generation,
        commits: *commits,
        rows: *rows,
        written_here: *here,
        holding: doubts.map(ToString::to_string).collect(),
        damaged: *damaged,
        problems: problems.clone(),
    }
}

fn as_text(checked: &Checked) -> String {
    let Checked { path, schema, reader, generation, commits, rows, here, hold, damaged, problems } = checked;
    let mut lines = vec![format!("data file `{}`", path.display())];
    lines.push(match reader {
        Some((version, why)) => format!("schema {schema}; read by phasegate {version} or later: {why}"),
        None => format!("schema {schema}"),
    });
    lines.push(format!("generation {generation}, {commits} commits"));
    lines.push(match here {
        Some(true) => "it was written where it lies".to_owned(),
        Some(false) => {
            "it was written elsewhere: the next host holds until `phasegate data adopt`".to_owned()
        }
        None => "it does not say where it was written".to_owned(),
    });
    lines.extend(hold.iter().map(|hold| format!("the next host holds until `phasegate data adopt`: {hold}")));
    if *damaged == 0 {
        lines.push(format!("all {rows} rows read back"));
    } else {
        lines.push(format!("{damaged} parts do not read back:"));
        lines.extend(problems.iter().map(|problem| format!("  {problem}")));
        lines.push("bring back a good copy with `phasegate data restore FILE`".to_owned());
    }
    lines.push(String::new());
    lines.join("\n")
}

fn backup(directory: &Path, file: &Path, existing: Existing) -> anyhow::Result<Exit> {
    store::backup(directory, file, existing).map_err(refused)?;
    output::data(&format!("the record of `{}` is in `{}`\n", directory.display(), file.display()))?;
    Ok(Exit::Done)
}

fn restore(directory: &Path, file: &Path) -> anyhow::Result<Exit> {
    let Restored { path, aside } = store::restore(directory, file).map_err(refused)?;
    let aside = aside.map_or_else(String::new, |aside| format!("; the former one is `{}`", aside.display()));
    output::data(&format!(
        "`{}` is the record of `{}` now{aside}\nthe next host looks and touches nothing until `phasegate data adopt`\n",
        path.display(),
        file.display()
    ))?;
    Ok(Exit::Done)
}

fn adopt(args: &DataArgs, reason: Option<&str>) -> anyhow::Result<Exit> {
    let named = args.server.server.as_deref().is_some_and(|server| !server.is_empty());
    if !named || args.data_dir.is_some() {
        let by = By {
            // As the socket of a host names who asks through it.
            actor: Actor::Operator(people::user(rustix::process::geteuid().as_raw())),
            reason: reason.map(str::to_owned),
            request: None,
        };
        let directory = directory(args)?;
        match store::adopt(&directory, &by, ReadClock::now(&Clock::start()).wall) {
            Ok(hold) => {
                output::data(&format!("adopted, in spite of: {hold}\nthe next host goes on with it\n"))?;
                return Ok(Exit::Done);
            }
            Err(SqliteStoreError::InUse { .. }) => {}
            Err(error) => return Err(refused(error)),
        }
    }
    let request = wire::ReasonRequest { reason: reason.map(str::to_owned) };
    let _: wire::Data = target::client(&args.server)?.post("/v1/data/adopt", &request)?;
    output::data("adopted: the host goes on\n")?;
    Ok(Exit::Done)
}

/// An answer that is no, where it is one.
fn refused(error: SqliteStoreError) -> anyhow::Error {
    match error {
        SqliteStoreError::InUse { .. }
        | SqliteStoreError::NewerSchema { .. }
        | SqliteStoreError::OlderSchema { .. }
        | SqliteStoreError::NotOurs { .. }
        | SqliteStoreError::NotWhole { .. }
        | SqliteStoreError::Damaged { .. }
        | SqliteStoreError::BadCopy { .. }
        | SqliteStoreError::NotHolding { .. }
        | SqliteStoreError::Exists { .. }
        | SqliteStoreError::NotReplaced { .. } => Refused(error.to_string()).into(),
        SqliteStoreError::Unusable { .. }
        | SqliteStoreError::Foreign { .. }
        | SqliteStoreError::Link { .. }
        | SqliteStoreError::Gone { .. }
        | SqliteStoreError::LockGone { .. }
        | SqliteStoreError::Deposed { .. }
        | SqliteStoreError::NotPutAside { .. }
        | SqliteStoreError::NotCopied { .. }
        | SqliteStoreError::NoRecord { .. }
        | SqliteStoreError::ReadTooSlow { .. }
        | SqliteStoreError::ReadersBusy { .. }
        | SqliteStoreError::Sqlite { .. } => error.into(),
    }
}
