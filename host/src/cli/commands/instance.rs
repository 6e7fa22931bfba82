//! `phasegate instance`: how one instance stands, and what a person says about it, stronger than its plugin's word.

use crate::cli::args::{InstanceArgs, InstanceVerb, OutputArgs, SayArgs};
use crate::cli::exit::Exit;
use crate::cli::output;
use crate::cli::target;
use phasegate_core::domain::shown::visible;
use phasegate_core::domain::{InstanceId, ScaleSetName};
use phasegate_wire as wire;

/// Shows it, or says it.
///
/// # Errors
/// When the host cannot be reached or refuses.
pub fn run(args: &InstanceArgs) -> anyhow::Result<Exit> {
    let (word, name, id, request, output) = match &args.verb {
        InstanceVerb::Show { name, instance, output } => {
            let (name, id) = named(name, instance)?;
            let path = format!("/v1/scale-sets/{name}/instances/{id}");
            let shown: wire::Instance = target::client(&args.server)?.get(&path)?;
            show_one(&shown, *output)?;
            return Ok(Exit::Done);
        }
        InstanceVerb::Hold(args) => said("hold", args),
        InstanceVerb::Skip(args) => said("skip", args),
        InstanceVerb::Protect(args) => said("protect", args),
        InstanceVerb::Force(args) => said("force", args),
        InstanceVerb::Release { name, instance, reason, output } => {
            let request = wire::OverrideRequest { reason: reason.clone(), length: None };
            ("release", name, instance, request, *output)
        }
    };
    let (name, id) = named(name, id)?;
    let client = target::client(&args.server)?;
    let path = format!("/v1/scale-sets/{name}/instances/{id}/{word}");
    let answer: wire::InstanceOverride = client.post(&path, &request)?;
    show(&answer, output)?;
    Ok(Exit::Done)
}

fn named(name: &str, id: &str) -> anyhow::Result<(ScaleSetName, InstanceId)> {
    let name =
        ScaleSetName::parse(name).map_err(|error| anyhow::anyhow!("scale set name `{name}` {error}"))?;
    let id = InstanceId::parse(id).map_err(|error| anyhow::anyhow!("instance id `{id}` {error}"))?;
    Ok((name, id))
}

fn show_one(instance: &wire::Instance, format: OutputArgs) -> anyhow::Result<()> {
    if format.json {
        return output::json(instance);
    }
    let or_none = |text: Option<&String>| text.map_or_else(|| "none".to_owned(), Clone::clone);
    let phase = instance.phase.map_or_else(|| "last, or not known yet".to_owned(), |phase| phase.to_string());
    let participation = instance.participation.as_ref().map(ToString::to_string);
    let mut lines = vec![
        ("instance", instance.id.clone()),
        ("address", instance.address.clone()),
        ("health", instance.health.to_string()),
        ("phase", phase),
        ("takes part", or_none(participation.as_ref())),
        ("version", or_none(instance.version.as_ref())),
        ("wanted", or_none(instance.desired_version.as_ref())),
        ("reason", or_none(instance.reason.as_ref())),
        ("reason code", or_none(instance.reason_code.as_ref())),
    ];
    if let Some(held) = &instance.held {
        lines.push(("held", format!("{}: {}", held.code, held.reason)));
    }
    lines.push((
        "custom metrics",
        instance.custom_metrics.as_ref().map_or_else(|| "none".to_owned(), received),
    ));
    let line = |(name, value): (&str, String)| format!("{name:<15} {}\n", visible(&value));
    Ok(output::data(&lines.into_iter().map(line).collect::<String>())?)
}

/// Custom metrics on one line.
#[must_use]
pub fn received(metrics: &wire::CustomMetrics) -> String {
    let wire::CustomMetrics { text, status, cut } = metrics;
    let status = status.as_deref().unwrap_or("status unknown");
    let cut = cut.map_or_else(String::new, |cut| format!("… ({cut} bytes more)"));
    format!("({status}) {}{cut}", visible(text))
}

type Said<'a> = (&'static str, &'a String, &'a String, wire::OverrideRequest, OutputArgs);

fn said<'a>(word: &'static str, args: &'a SayArgs) -> Said<'a> {
    let request = wire::OverrideRequest { reason: Some(args.reason.clone()), length: args.length.clone() };
    (word, &args.name, &args.instance, request, args.output)
}

fn show(answer: &wire::InstanceOverride, format: OutputArgs) -> anyhow::Result<()> {
    if format.json {
        return output::json(answer);
    }
    let wire::InstanceOverride { scale_set, instance, word } = answer;
    let text = match word {
        None => format!("instance `{instance}` of scale set `{scale_set}` goes by its plugin again\n"),
        Some(word) => {
            let until = word.until.as_ref().map_or_else(
                || format!("until `phasegate instance release {scale_set} {instance}`"),
                |until| format!("until {until}"),
            );
            let kind = match &word.kind {
                wire::OverrideKind::Hold => "is held: not now",
                wire::OverrideKind::Skip => "is left out",
                wire::OverrideKind::Protect => "is protected",
                wire::OverrideKind::Force => "goes whether or not its plugin says skip or not now",
                wire::OverrideKind::Other(other) => other.as_str(),
            };
            format!("instance `{instance}` of scale set `{scale_set}` {kind}, {until}: {}\n", word.reason)
        }
    };
    Ok(output::data(&text)?)
}
