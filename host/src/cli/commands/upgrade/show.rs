//! Plans and statuses for people.

use crate::cli::output::{duration, or_dash, table};
use phasegate_wire as wire;

/// A plan for people.
#[must_use]
pub fn render_plan(detail: &wire::PlanDetail) -> String {
    let plan = &detail.plan;
    let count: usize = plan.batches.iter().map(|batch| batch.instances.len()).sum();
    let mut text = format!(
        "{} -> {}: {count} instances in {} batches\nplan {}\n",
        plan.scale_set,
        plan.to,
        plan.batches.len(),
        plan.digest
    );
    text.push_str(&render_limits(&detail.limits));
    text.push_str(&render_batch_time(&detail.batch_time));
    if let Some(instance) = &plan.round_trip {
        text.push_str(&format!("round trip: {instance} goes up, back and up again before anybody else\n"));
    }
    if !plan.hooks.is_empty() {
        text.push_str(&format!("hooks, on the way back, too: {}\n", plan.hooks.join(", ")));
    }
    if let Some(frozen) = &detail.frozen {
        text.push_str(&format!("frozen until {}: {}\n", frozen.until, frozen.reason));
    }
    for warning in &detail.warnings {
        text.push_str(&format!("warning: {}\n", warning.message));
    }
    if !plan.batches.is_empty() {
        let row = |(index, batch): (usize, &wire::PlanBatch)| {
            vec![
                (index + 1).to_string(),
                phase(batch.phase),
                or_dash(batch.zone.as_ref()),
                or_dash(batch.update_domain.as_ref()),
                batch.instances.join(" "),
            ]
        };
        let rows: Vec<Vec<String>> = plan.batches.iter().enumerate().map(row).collect();
        text.push('\n');
        text.push_str(&table(&["BATCH", "PHASE", "ZONE", "UD", "INSTANCES"], &rows));
    }
    text.push_str(&crate::cli::commands::fleet::file_differs(&plan.file_differs));
    text.push_str(&render_unseen(&plan.unseen));
    text.push_str(&render_holds(&plan.holds));
    text
}

/// The limits as counts, one line.
fn render_limits(limits: &wire::Limits) -> String {
    let growing = match limits.batch_sizes.as_slice() {
        [_] => String::new(),
        sizes => {
            let sizes: Vec<String> = sizes.iter().map(usize::to_string).collect();
            format!(", batches of {}, and so on", sizes.join(", "))
        }
    };
    format!(
        "of {} instances at most {} at once ({} %), at most {} unhealthy ({} %){growing}\n",
        limits.instances,
        limits.batch_max,
        limits.max_batch_instance_percent,
        limits.unhealthy_max,
        limits.max_unhealthy_instance_percent,
    )
}

/// What each batch takes, one line.
fn render_batch_time(time: &wire::BatchTime) -> String {
    let wire::BatchTime { evidence_seconds_max, wait_seconds, stable_for_seconds, pause_seconds } = time;
    let pause = if *pause_seconds > 0.0 { format!(", {pause_seconds} s of pause") } else { String::new() };
    let wait = if *wait_seconds > 0.0 { format!("{wait_seconds} s of wait, ") } else { String::new() };
    format!(
        "a batch takes what the driver takes, {wait}{stable_for_seconds} s of good health{pause}, and at most \
         {evidence_seconds_max} s until everybody has answered since\n"
    )
}

/// A status for people.
#[must_use]
pub fn render_status(detail: &wire::StatusDetail) -> String {
    let status = &detail.status;
    let counts = status.progress;
    let mut text = format!(
        "{} -> {}: {} ({} successful, {} failed, {} in progress, {} pending)\nupgrade {}, started {}",
        status.scale_set,
        detail.to,
        status.state,
        counts.successful,
        counts.failed,
        counts.in_progress,
        counts.pending,
        status.id,
        detail.started_at,
    );
    if let Some(ended_at) = &detail.ended_at {
        text.push_str(&format!(", ended {ended_at}"));
    }
    text.push('\n');
    if let Some(back) = &detail.rolls_back {
        let because = back.because.as_ref().map_or_else(String::new, |because| format!(": {because}"));
        match &back.with {
            Some(former) => text.push_str(&format!("goes back to what upgrade {former} had brought\n")),
            None => text.push_str(&format!("takes upgrade {} (to {}) back{because}\n", back.id, back.to)),
        }
    }
    if detail.urgency != "routine" {
        text.push_str(&format!("urgency: {}\n", detail.urgency));
    }
    if detail.already_latest > 0 {
        text.push_str(&format!("{} more had it already\n", detail.already_latest));
    }
    if !detail.members_kept {
        text.push_str("which instances and batches it had is no longer kept (retention.members)\n");
    }
    if let Some(waiting) = &detail.waiting {
        text.push_str(&format!("waiting for: {waiting}\n"));
    }
    text.push_str(&detail.estimate.as_ref().map_or_else(String::new, render_estimate));
    if let Some(retry_at) = &detail.retry_at {
        text.push_str(&format!("is tried again at {retry_at}\n"));
    }
    if !status.batches.is_empty() {
        let row = |(index, batch): (usize, &wire::StatusBatch)| {
            vec![
                (index + 1).to_string(),
                phase(batch.phase),
                batch.state.to_string(),
                batch.instances.join(" "),
                or_dash(batch.started_at.as_ref()),
                or_dash(batch.ended_at.as_ref()),
            ]
        };
        let rows: Vec<Vec<String>> = status.batches.iter().enumerate().map(row).collect();
        text.push('\n');
        text.push_str(&table(&["BATCH", "PHASE", "STATE", "INSTANCES", "STARTED", "ENDED"], &rows));
    }
    text.push_str(&render_components(&detail.components));
    text.push_str(&render_reasons(&detail.not_yet));
    if let Some(error) = &status.error {
        text.push_str(&render_error(error, &detail.not_yet));
    }
    text.push_str(&render_runs(&detail.runs));
    text.push_str(&render_helps(&detail.helps));
    text
}

/// How long it will still take.
fn render_estimate(estimate: &wire::Estimate) -> String {
    let until = match &estimate.ends_at {
        Some(ends_at) => format!(", until {ends_at}"),
        None => " once it goes on".to_owned(),
    };
    format!(
        "about {} left{until}: {} more {} of {:.0} s\n",
        duration(estimate.seconds_left),
        estimate.batches_left,
        if estimate.batches_left == 1 { "batch" } else { "batches" },
        estimate.seconds_per_batch,
    )
}

/// How it stands with each component, where there are several.
fn render_components(components: &[wire::ComponentStatus]) -> String {
    if components.is_empty() {
        return String::new();
    }
    let row = |one: &wire::ComponentStatus| {
        let wire::Progress { successful, failed, in_progress, pending } = one.progress;
        let counts = [successful, failed, in_progress, pending].map(|count| count.to_string());
        [one.component.clone(), one.to.clone(), one.state.to_string()].into_iter().chain(counts).collect()
    };
    let rows: Vec<Vec<String>> = components.iter().map(row).collect();
    let heads = ["COMPONENT", "TO", "STATE", "SUCCESSFUL", "FAILED", "IN PROGRESS", "PENDING"];
    format!("\n{}", table(&heads, &rows))
}

/// What runs where, after an end that was not meant.
fn render_runs(runs: &[wire::RunsWhere]) -> String {
    if runs.is_empty() {
        return String::new();
    }
    let row = |one: &wire::RunsWhere| {
        let more = one.count - one.instances.len().min(one.count);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        vec![
            one.component.clone(),
            one.runs.clone(),
            one.count.to_string(),
            format!("{}{more}", one.instances.join(" ")),
        ]
    };
    let rows: Vec<Vec<String>> = runs.iter().map(row).collect();
    if runs.iter().all(|one| one.component == "application") {
        let rows: Vec<Vec<String>> = rows.into_iter().map(|row| row.into_iter().skip(1).collect()).collect();
        return format!("\n{}", table(&["RUNS", "COUNT", "INSTANCES"], &rows));
    }
    format!("\n{}", table(&["COMPONENT", "RUNS", "COUNT", "INSTANCES"], &rows))
}

fn render_helps(helps: &[wire::Help]) -> String {
    if helps.is_empty() {
        return String::new();
    }
    let lines: Vec<String> =
        helps.iter().map(|help| format!("  {}\n      {}\n", help.command, help.does)).collect();
    format!("\nwhat helps now:\n{}", lines.concat())
}

/// Why an upgrade ended, without what the table above it has said of its instances, and what it says itself.
fn render_error(error: &wire::Error, above: &[wire::Hold]) -> String {
    let said_above = |detail: &wire::ErrorDetail| {
        let instance = detail.target.rsplit('/').next().unwrap_or_default();
        let mut of_instance = above.iter().take(REASONS_MAX).filter(|hold| hold.instance == instance);
        of_instance.any(|hold| hold.reason.contains(&detail.message))
    };
    let (above, more): (Vec<_>, Vec<_>) = error.details.iter().partition(|detail| said_above(detail));
    let mut message = error.message.clone();
    for detail in above.into_iter().filter(|detail| !detail.message.is_empty()) {
        message = message.replace(&format!(": {}", detail.message), "");
    }
    let mut text = format!("\n{}: {message}\n", error.code);
    for detail in more.into_iter().filter(|detail| !message.contains(&detail.message)) {
        text.push_str(&format!("  {}: {}\n", detail.target, detail.message));
    }
    text
}

/// Instances shown by name; a table of a thousand helps nobody.
const REASONS_MAX: usize = 50;

fn render_reasons(reasons: &[wire::Hold]) -> String {
    if reasons.is_empty() {
        return String::new();
    }
    let row = |hold: &wire::Hold| vec![hold.instance.clone(), hold.reason.clone()];
    let rows: Vec<Vec<String>> = reasons.iter().take(REASONS_MAX).map(row).collect();
    let mut text = format!("\n{}", table(&["NOT YET", "WHY"], &rows));
    if let Some(more) = reasons.len().checked_sub(REASONS_MAX).filter(|more| *more > 0) {
        text.push_str(&format!("and {more} more; `--json` has them all\n"));
    }
    text
}

/// What runs no version that is known, and what it is brought back to if it fails.
fn render_unseen(unseen: &[wire::Unseen]) -> String {
    if unseen.is_empty() {
        return String::new();
    }
    let row = |one: &wire::Unseen| {
        let back = match (&one.way_back, &one.version_state) {
            (Some(version), _) => version.clone(),
            (None, wire::VersionState::Absent) => "none: nothing runs".to_owned(),
            (None, _) => "none: nothing is recorded".to_owned(),
        };
        vec![one.instance.clone(), one.version_state.to_string(), back]
    };
    let rows: Vec<Vec<String>> = unseen.iter().take(REASONS_MAX).map(row).collect();
    let mut text = format!("\n{}", table(&["INSTANCE", "RUNS", "WAY BACK"], &rows));
    if let Some(more) = unseen.len().checked_sub(REASONS_MAX).filter(|more| *more > 0) {
        text.push_str(&format!("and {more} more; `--json` has them all\n"));
    }
    text
}

fn render_holds(holds: &[wire::Hold]) -> String {
    if holds.is_empty() {
        return String::new();
    }
    let row = |hold: &wire::Hold| {
        let phase = hold.phase.map_or_else(|| "-".to_owned(), |phase| phase.to_string());
        vec![hold.instance.clone(), phase, or_dash(hold.participation.as_ref()), hold.reason.clone()]
    };
    let rows: Vec<Vec<String>> = holds.iter().map(row).collect();
    format!("\n{}", table(&["LEFT ALONE", "PHASE", "PLUGIN SAYS", "WHY"], &rows))
}

fn phase(phase: Option<u32>) -> String {
    phase.map_or_else(|| "last".to_owned(), |phase| phase.to_string())
}
