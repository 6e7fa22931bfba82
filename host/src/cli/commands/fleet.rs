//! `phasegate fleet`: every instance on one line.

use crate::cli::args::FleetArgs;
use crate::cli::exit::Exit;
use crate::cli::output::{self, or_dash, table};
use crate::cli::target;
use phasegate_wire as wire;

/// Shows the fleet.
///
/// # Errors
/// When the host cannot be reached.
pub fn run(args: &FleetArgs) -> anyhow::Result<Exit> {
    let mut fleet: wire::Fleet = target::client(&args.server)?.get("/v1/fleet")?;
    if !args.output.detail {
        let instances = fleet.scale_sets.iter_mut().flat_map(|set| &mut set.instances);
        instances.for_each(|instance| {
            instance.evaluation = None;
            instance.custom_metrics = None;
        });
    }
    if args.output.json {
        output::json(&fleet)?;
    } else {
        output::data(&render(&fleet))?;
    }
    Ok(Exit::Done)
}

/// The fleet as tables, one per scale set.
#[must_use]
pub fn render(fleet: &wire::Fleet) -> String {
    let mut text = headline(fleet);
    for set in &fleet.scale_sets {
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&format!("{} ({} instances)\n", set.name, set.instances.len()));
        if let Some(source) = &set.discovery {
            text.push_str(&format!("discovery: {}", super::discovery::standing(source)));
        }
        for one in &set.quarantined {
            text.push_str(&format!("in quarantine: {} {}: {}\n", one.component, one.version, one.reason));
        }
        text.push_str(&withdrawn(&set.withdrawn));
        text.push_str(&file_differs(&set.file_differs));
        let rows: Vec<Vec<String>> = set.instances.iter().map(row).collect();
        text.push_str(&table(
            &[
                "ID",
                "ADDRESS",
                "ZONE",
                "UD",
                "HEALTH",
                "PHASE",
                "TAKES PART",
                "HELD",
                "VERSION",
                "WANTED",
                "REASON",
            ],
            &rows,
        ));
    }
    text
}

/// What was withdrawn of what is wanted, and what new instances get.
fn withdrawn(all: &[wire::WantedAndWithdrawn]) -> String {
    let line = |one: &wire::WantedAndWithdrawn| {
        let wire::WantedAndWithdrawn { component, version, actor, reason, new_instances } = one;
        let reason = reason.as_ref().map_or_else(String::new, |reason| format!(", {reason}"));
        let instead = new_instances.as_deref().unwrap_or("nothing in its place");
        format!("withdrawn: {component} {version} ({actor}{reason}): a new instance gets {instead}\n")
    };
    all.iter().map(line).collect()
}

/// Where the file says something else than what is wanted.
#[must_use]
pub fn file_differs(all: &[wire::FileDiffers]) -> String {
    let line = |differs: &wire::FileDiffers| {
        let wire::FileDiffers { scale_set, key, file, recorded } = differs;
        format!(
            "{key} of scale set `{scale_set}`: the file says {file}, and {recorded}, which was said since, is wanted\n"
        )
    };
    all.iter().map(line).collect()
}

/// What goes before everything else: that the host touches nothing.
fn headline(fleet: &wire::Fleet) -> String {
    fleet.holding.as_ref().map_or_else(String::new, |why| {
        format!(
            "the host holds, and touches no instance: {why}\nsee that no other host runs this fleet, then let this \
             one go on with `phasegate data adopt`\n"
        )
    })
}

/// A version, or in a word why there is none to show.
fn version(instance: &wire::Instance) -> String {
    match (&instance.version, &instance.version_state) {
        (Some(version), _) => version.clone(),
        (None, state) => state.to_string(),
    }
}

fn row(instance: &wire::Instance) -> Vec<String> {
    // Known and without a phase is the last phase; unknown is a dash.
    let phase = match (instance.phase, &instance.participation) {
        (Some(phase), _) => phase.to_string(),
        (None, Some(_)) => "last".to_owned(),
        (None, None) => "-".to_owned(),
    };
    vec![
        instance.id.clone(),
        instance.address.clone(),
        or_dash(instance.zone.as_ref()),
        or_dash(instance.update_domain.as_ref()),
        instance.health.to_string(),
        phase,
        or_dash(instance.participation.as_ref()),
        or_dash(instance.held.as_ref().map(|held| &held.code)),
        version(instance),
        or_dash(instance.desired_version.as_ref()),
        or_dash(instance.reason.as_ref()),
    ]
}
