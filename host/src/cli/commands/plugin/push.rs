//! `plugin push`: a component into a registry, once it has been shown that a host would take it.

use serde::Serialize;

use super::subject::Subject;
use crate::author::DEFAULT_LIMITS;
use crate::cli::args::PushArgs;
use crate::cli::exit::{Exit, Refused};
use crate::cli::output;
use crate::cli::progress::Progress;
use crate::clock::Clock;
use crate::log::{self, Format, Writes};
use crate::net::reference::{OciReference, RemotePlace, RemoteSource};
use crate::plugins::fetch::{Credentials, FetchConfig, Push, Pushed};
use crate::plugins::{runtime, signature};
use phasegate_wasm::cases::{self, Case};
use phasegate_wasm::{component_digest, inspect, trial};

/// What `plugin push --json` prints.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    reference: String,
    /// By its manifest: what cannot move.
    pinned: String,
    digest: String,
    bytes: usize,
    /// Cases that it carries.
    cases: usize,
    /// Signatures beside the file.
    signatures: usize,
    /// Where those are in the registry; null where there are none.
    signature_tag: Option<String>,
}

/// Tries a component and pushes it.
pub(super) fn run(args: &PushArgs) -> anyhow::Result<Exit> {
    log::begin("warn", Format::Text, Writes::Itself);
    let reference = target(&args.reference)?;
    let mut subject = Subject::read(&args.file, &FetchConfig::default())?;
    inspect(&subject.bytes).fits.map_err(|error| Refused(format!("`{}` {error}", subject.name)))?;
    let signatures = signatures(&subject)?;
    if args.with_cases {
        with_cases(&mut subject, signatures.as_deref())?;
    }
    let carried = cases::embedded(&subject.bytes)?.unwrap_or_default();
    let beside = if args.with_cases { Vec::new() } else { subject.cases_if_any(None)? };
    let count = carried.len();
    try_it(&subject, carried.into_iter().chain(beside).collect())?;
    let settings = FetchConfig {
        ca_file: args.ca_file.clone(),
        credentials: credentials(args),
        ..FetchConfig::default()
    };
    let push = Push {
        reference: &reference,
        settings: &settings,
        component: &subject.bytes,
        signatures: signatures.as_deref(),
    };
    let progress = Progress::new("pushing");
    let Pushed { manifest, signatures: tag } = progress.during(|_| push.run()).map_err(|error| {
        let said =
            error.to_string().replace("cannot be fetched: ", "").replace("fetch.tokenFile", "--token-file");
        let said = said.replace("fetch.usernameFile", "--username-file");
        let said = said.replace("fetch.passwordFile", "--password-file").replace("fetch.caFile", "--ca-file");
        anyhow::anyhow!("`{}` cannot be pushed: {said}", args.reference)
    })?;
    let name = args.reference.rsplit_once(':').map_or(args.reference.as_str(), |(name, _)| name);
    let report = Report {
        reference: args.reference.clone(),
        pinned: format!("{name}@{manifest}"),
        digest: component_digest(&subject.bytes).to_string(),
        bytes: subject.bytes.len(),
        cases: count,
        signatures: signatures.map_or(0, |file| signature::lines(&file).len()),
        signature_tag: tag,
    };
    if args.output.json {
        output::json(&report)?;
    } else {
        output::data(&render(&report))?;
    }
    Ok(Exit::Done)
}

fn render(report: &Report) -> String {
    let Report { reference, pinned, digest, bytes, cases, signatures, signature_tag } = report;
    let mut text =
        format!("{reference}\n  pinned     {pinned}\n  component  {digest}, {bytes} bytes, {cases} cases\n");
    if let Some(tag) = signature_tag {
        text.push_str(&format!("  signed     {signatures} signatures under {tag}\n"));
    }
    text
}

/// A repository with a tag.
fn target(text: &str) -> anyhow::Result<OciReference> {
    let source = RemoteSource::parse(text).map_err(|error| anyhow::anyhow!("`{text}` {error}"))?;
    match source.place() {
        RemotePlace::Oci(reference) if reference.tag.is_some() && reference.manifest.is_none() => {
            Ok(reference.clone())
        }
        RemotePlace::Oci(_) => {
            anyhow::bail!("`{text}` names a digest; push to a tag, oci://REGISTRY/REPOSITORY:TAG")
        }
        RemotePlace::Url(_) => {
            anyhow::bail!("`{text}` is no place in a registry; write oci://REGISTRY/REPOSITORY:TAG")
        }
    }
}

/// The signatures beside the file, as they are.
fn signatures(subject: &Subject) -> anyhow::Result<Option<Vec<u8>>> {
    let path = signature::beside(std::path::Path::new(&subject.name));
    let signed = signature::read_beside(std::path::Path::new(&subject.name));
    let signed = signed.map_err(|error| anyhow::anyhow!("`{}` cannot be read: {error}", path.display()))?;
    if signed.is_empty() {
        return Ok(None);
    }
    if signed.iter().any(|one| one.signature.is_empty()) {
        let said =
            format!("`{}` holds a line that is no signature in base64; sign the file again", path.display());
        return Err(Refused(said).into());
    }
    let text = signed.iter().map(|one| data_encoding::BASE64.encode(&one.signature));
    Ok(Some((text.collect::<Vec<_>>().join("\n") + "\n").into_bytes()))
}

/// Puts the cases beside the file into the component, which must not be signed.
fn with_cases(subject: &mut Subject, signature: Option<&[u8]>) -> anyhow::Result<()> {
    if signature.is_some() {
        let said = "is signed, and with cases it would be another file; put them in with `plugin build --with-cases`, and \
                    sign that";
        return Err(Refused(format!("`{}` {said}", subject.name)).into());
    }
    subject.bytes = cases::with_cases(&subject.bytes, &subject.cases_folder()?)?;
    Ok(())
}

/// Whether a host would take it.
fn try_it(subject: &Subject, cases: Vec<Case>) -> anyhow::Result<()> {
    let runtime = runtime::of_command(Clock::start(), None)?;
    let refused = |said: String| Refused(format!("`{}` {said}", subject.name));
    let trial = Progress::new("trying").during(|step| {
        step.say("compiling");
        let plugin = runtime.compile(&subject.bytes)?;
        step.say(&format!("{} cases", cases.len()));
        trial::run(&plugin, &cases, DEFAULT_LIMITS)
    });
    let trial = trial.map_err(|error| refused(error.to_string()))?;
    let failed: Vec<_> = trial.outcomes.iter().filter(|outcome| !outcome.differences.is_empty()).collect();
    match failed.first() {
        None => Ok(()),
        Some(first) => {
            let (count, all, name, file) = (failed.len(), cases.len(), &first.name, &first.file);
            Err(refused(format!("fails {count} of its {all} cases, the first being {name:?} in {file}"))
                .into())
        }
    }
}

fn credentials(args: &PushArgs) -> Option<Credentials> {
    let token = args.token_file.clone().map(Credentials::Token);
    let password = || {
        let (username, password) = (args.username_file.clone()?, args.password_file.clone()?);
        Some(Credentials::Password { username, password })
    };
    token.or_else(password)
}
