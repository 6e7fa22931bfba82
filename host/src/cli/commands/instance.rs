//! `phasegate instance`: what a person says about one instance, stronger than its plugin's word.

use crate::cli::args::{InstanceArgs, InstanceVerb, OutputArgs, SayArgs};
use crate::cli::exit::Exit;
use crate::cli::output;
use crate::cli::target;
use phasegate_core::domain::{InstanceId, ScaleSetName};
use phasegate_wire as wire;

/// Says it.
///
/// # Errors
/// When the host cannot be reached or refuses.
pub fn run(args: &InstanceArgs) -> anyhow::Result<Exit> {
    let (word, name, id, request, output) = match &args.verb {
        InstanceVerb::Hold(args) => said("hold", args),
        InstanceVerb::Skip(args) => said("skip", args),
        InstanceVerb::Protect(args) => said("protect", args),
        InstanceVerb::Force(args) => said("force", args),
        InstanceVerb::Release { name, instance, reason, output } => {
            let request = wire::OverrideRequest { reason: reason.clone(), length: None };
            ("release", name, instance, request, *output)
        }
    };
    let name =
        ScaleSetName::parse(name).map_err(|error| anyhow::anyhow!("scale set name `{name}` {error}"))?;
    let id = InstanceId::parse(id).map_err(|error| anyhow::anyhow!("instance id `{id}` {error}"))?;
    let client = target::client(&args.server)?;
    let path = format!("/v1/scale-sets/{name}/instances/{id}/{word}");
    let answer: wire::InstanceOverride = client.post(&path, &request)?;
    show(&answer, output)?;
    Ok(Exit::Done)
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
