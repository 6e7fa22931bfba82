//! `phasegate init`: a commented configuration for instances that are there, from flags or answers.
//!
//! Asks each instance once and says how many answer. Starts nothing, and writes over nothing.

mod answers;
mod ask_once;
mod text;

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use self::answers::{Answers, Wanted};
use crate::cli::args::InitArgs;
use crate::cli::exit::Exit;
use crate::cli::output;
use crate::config::Config;

/// Writes the file.
///
/// # Errors
/// When something is not given and nobody can be asked, an answer is wrong, or the file is there already.
pub fn run(args: &InitArgs) -> anyhow::Result<Exit> {
    let prints = args.output == Path::new("-");
    if !prints && std::fs::symlink_metadata(&args.output).is_ok() {
        bail!(
            "`{}` is there already, and stays as it is; name another file with --output",
            args.output.display()
        );
    }
    let wanted = match Answers::of(args).wanted()? {
        Wanted::Complete(wanted) => wanted,
        Wanted::Lacks(lacks) => bail!("{lacks}"),
    };
    let text = text::of(&wanted);
    // What is written passes a check, or is not written.
    let place = if prints { PathBuf::from("phasegate.toml") } else { args.output.clone() };
    let config: Config = crate::config::parse(&text, &place)
        .map_err(|problems| anyhow::anyhow!("what was given makes no configuration:\n{problems}"))?;
    let reached = ask_once::all(&config).context("the instances cannot be asked")?;
    if prints {
        output::data(&text)?;
    } else {
        let written = std::fs::OpenOptions::new().write(true).create_new(true).open(&args.output);
        let mut file = written.with_context(|| format!("cannot create `{}`", args.output.display()))?;
        file.write_all(text.as_bytes())
            .with_context(|| format!("cannot write `{}`", args.output.display()))?;
        output::talk(&format!("wrote `{}`\n", args.output.display()));
    }
    let instances: usize = config.scale_sets.iter().map(|set| set.instances.len()).sum();
    output::talk(&reached.said(instances));
    if !prints {
        let file = args.output.display();
        output::talk(&format!("next: phasegate check --config {file}, then phasegate run --config {file}\n"));
    }
    Ok(Exit::Done)
}
