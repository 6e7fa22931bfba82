//! Follows a running upgrade: a progress bar on a terminal, silence in a pipe.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::cli::output::{self, duration};
use phasegate_wire::{BatchState, Progress, StatusDetail, UpgradeState};

/// From one look to the next.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Looks without an answer until nobody is expected to answer any more: a minute.
const MISSES_MAX: u32 = 240;

/// Lines below the bar; a terminal of 24 lines has room for them.
const REASONS_MAX: usize = 12;

/// Looks again until the upgrade has ended.
///
/// # Errors
/// When a look fails, or the machine gives no resources.
pub fn run_to_the_end(
    first: StatusDetail,
    mut look: impl FnMut() -> anyhow::Result<StatusDetail>,
) -> anyhow::Result<StatusDetail> {
    let timer = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let bar = bar(&first);
    let mut detail = first;
    let mut misses = 0;
    while detail.status.state == UpgradeState::RollingForward {
        show(&bar, &detail);
        timer.block_on(async { tokio::time::sleep(LOOK_EVERY).await });
        match look() {
            Ok(now) => (detail, misses) = (now, 0),
            Err(error) if misses >= MISSES_MAX => return Err(error),
            Err(error) => {
                // A host that is being restarted takes the upgrade up where it was.
                misses += 1;
                bar.set_message(format!("trying again: {error:#}"));
            }
        }
    }
    bar.finish_and_clear();
    Ok(detail)
}

fn bar(detail: &StatusDetail) -> ProgressBar {
    let target = if output::stderr_is_terminal() {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    };
    let bar = ProgressBar::with_draw_target(Some(total(detail.status.progress)), target);
    set_style(&bar, "");
    bar.set_prefix(format!("{} -> {}", detail.status.scale_set, detail.to));
    bar
}

fn set_style(bar: &ProgressBar, estimate: &str) {
    let template =
        format!("{{prefix}} [{{bar:30}}] {{pos}}/{{len}} instances, {{elapsed}}{estimate}\n  {{msg}}");
    if let Ok(style) = ProgressStyle::with_template(&template) {
        bar.set_style(style.progress_chars("=> "));
    }
}

fn show(bar: &ProgressBar, detail: &StatusDetail) {
    let status = &detail.status;
    let done = status.progress.successful + status.progress.failed;
    bar.set_length(total(status.progress));
    bar.set_position(u64::try_from(done).unwrap_or(0));
    // Before the first batch is through there is nothing to reckon with.
    let left = detail.estimate.as_ref().map(|estimate| duration(estimate.seconds_left));
    set_style(bar, &left.map_or_else(String::new, |left| format!(", about {left} left")));
    let current = status.batches.iter().enumerate().find(|(_, batch)| batch.state == BatchState::InProgress);
    let batch = current.map_or_else(String::new, |(index, batch)| {
        let phase = batch.phase.map_or_else(|| "last phase".to_owned(), |phase| format!("phase {phase}"));
        format!("batch {} of {}, {phase}: {}. ", index + 1, status.batches.len(), batch.instances.join(" "))
    });
    let waiting =
        detail.waiting.as_ref().map_or_else(String::new, |waiting| format!("Waiting for {waiting}"));
    let mut lines = vec![format!("{batch}{waiting}")];
    lines.extend(reasons(detail));
    bar.set_message(lines.join("\n  "));
    bar.tick();
}

/// Why the others are not upgraded yet: as many lines as fit below the bar.
fn reasons(detail: &StatusDetail) -> Vec<String> {
    let shown = detail.not_yet.iter().take(REASONS_MAX);
    let mut lines: Vec<String> = shown.map(|hold| format!("{}: {}", hold.instance, hold.reason)).collect();
    if let Some(more) = detail.not_yet.len().checked_sub(REASONS_MAX).filter(|more| *more > 0) {
        lines.push(format!("and {more} more"));
    }
    lines
}

fn total(progress: Progress) -> u64 {
    let total = progress.successful + progress.failed + progress.in_progress + progress.pending;
    u64::try_from(total).unwrap_or(0)
}
