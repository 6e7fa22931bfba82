//! Follows a running upgrade to its end: a progress bar on a terminal, a line for each change in a pipe, the
//! events themselves with `--json`.

use std::ops::ControlFlow;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::cli::client::Client;
use crate::cli::output::{self, duration};
use crate::cli::stream::{Heard, Wanted, follow_events};
use phasegate_wire::{self as wire, Event, Progress, StatusDetail, UpgradeProgress, UpgradeState};

/// From one redraw of the bar to the next.
const REDRAW: Duration = Duration::from_millis(250);

/// How it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Voice {
    /// What is followed is the data: on stdout.
    Data,
    /// What is followed is talk: on stderr.
    Talk,
    /// As the events come, on stdout.
    Json,
}

/// How a followed upgrade is shown.
enum Screen {
    Bar(ProgressBar),
    Lines { voice: Voice, told: String },
}

/// Follows the latest upgrade of a scale set until it has ended; lines of the trail behind `since` are told too.
///
/// # Errors
/// When the host refuses or is away for a minute, or the output is closed.
pub fn run_to_the_end(
    client: &Client,
    first: StatusDetail,
    since: Option<u64>,
    voice: Voice,
) -> anyhow::Result<StatusDetail> {
    let name = first.status.scale_set.clone();
    let mut wanted = Wanted { scale_set: Some(name.clone()), since, ..Wanted::default() };
    let mut screen = Screen::new(&first, voice);
    let timer = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let mut detail = first;
    let followed = detail.status.id.clone();
    let mut begun = false;
    // What ended when it was first looked at may still have lines that were not told.
    let mut untold = since.is_some();
    while detail.status.state == UpgradeState::RollingForward || untold {
        untold = false;
        follow_events(client, &wanted.clone(), &mut |heard| match heard {
            Heard::Event(event, json) => {
                match event {
                    Event::Following(following) => wanted.since = Some(following.since),
                    Event::Recorded(recorded) => wanted.since = Some(recorded.entry.seq),
                    _ => {}
                }
                // Until the host has looked at what was asked for, its latest upgrade is the one before.
                let before = matches!(event, Event::Progress(now)
                    if !begun && now.upgrade != followed && now.state != UpgradeState::RollingForward);
                begun |= matches!(event, Event::Progress(now) if now.upgrade == followed);
                if !before {
                    screen.tell(event, json)?;
                }
                let over = matches!(event, Event::Progress(now) if now.state != UpgradeState::RollingForward);
                Ok(if over { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
            }
            Heard::Away(why) => {
                screen.away(why);
                Ok(ControlFlow::Continue(()))
            }
        })?;
        detail = client.get(&format!("/v1/scale-sets/{name}/upgrade"))?;
        if detail.status.state == UpgradeState::RollingForward {
            // What has ended is an upgrade before this one; soon this one is told.
            timer.block_on(async { tokio::time::sleep(REDRAW).await });
        }
    }
    if let Screen::Bar(bar) = &screen {
        bar.finish_and_clear();
    }
    Ok(detail)
}

impl Screen {
    fn new(first: &StatusDetail, voice: Voice) -> Self {
        let terminal = match voice {
            Voice::Data => output::both_are_terminals(),
            Voice::Talk => output::stderr_is_terminal(),
            Voice::Json => false,
        };
        if !terminal {
            return Self::Lines { voice, told: String::new() };
        }
        let bar =
            ProgressBar::with_draw_target(Some(total(first.status.progress)), ProgressDrawTarget::stderr());
        set_style(&bar, "");
        bar.set_prefix(format!("{} -> {}", first.status.scale_set, first.to));
        bar.enable_steady_tick(REDRAW);
        Self::Bar(bar)
    }

    fn tell(&mut self, event: &Event, json: &str) -> anyhow::Result<()> {
        match self {
            Self::Bar(bar) => {
                if let Event::Progress(progress) = event {
                    draw(bar, progress);
                }
                Ok(())
            }
            Self::Lines { voice: Voice::Json, .. } => Ok(output::json_text(json)?),
            Self::Lines { voice, told } => {
                let line = match event {
                    Event::Recorded(recorded) => Some(line_of(recorded)),
                    Event::Progress(progress) => {
                        let (essence, line) = essence(progress);
                        (std::mem::replace(told, essence) != *told).then_some(line)
                    }
                    Event::Ending(ending) => Some(ending.text.clone()),
                    Event::Following(_)
                    | Event::Health(_)
                    | Event::Release(_)
                    | Event::Missed
                    | Event::Heartbeat
                    | Event::Unknown => None,
                };
                line.map_or(Ok(()), |line| say(*voice, &line))
            }
        }
    }

    /// A host that is being restarted takes the upgrade up where it was.
    fn away(&self, why: &anyhow::Error) {
        match self {
            Self::Bar(bar) => bar.set_message(format!("trying again: {why:#}")),
            Self::Lines { .. } => output::talk(&format!("trying again: {why:#}\n")),
        }
    }
}

fn say(voice: Voice, line: &str) -> anyhow::Result<()> {
    match voice {
        Voice::Data => output::data(&format!("{line}\n"))?,
        Voice::Talk | Voice::Json => output::talk(&format!("{line}\n")),
    }
    Ok(())
}

/// A line of the trail.
fn line_of(recorded: &wire::Recorded) -> String {
    let wire::LogEntry { at, instance, kind, text, .. } = &recorded.entry;
    let instance = instance.as_ref().map_or_else(String::new, |instance| format!(" {instance}"));
    format!("{at} {kind}{instance}: {text}")
}

/// What of a standing is worth a line when it changes, and that line.
fn essence(progress: &UpgradeProgress) -> (String, String) {
    let Progress { successful, failed, .. } = progress.progress;
    let failed = if failed > 0 { format!(", {failed} failed") } else { String::new() };
    let done = format!("{successful} of {} done{failed}", total(progress.progress));
    let batch = progress.batch.as_ref().map_or_else(String::new, |batch| {
        format!(", batch {} of {}, {}", batch.number, batch.of, phase(batch.phase))
    });
    let waiting = progress.waiting_for.as_ref();
    let text = waiting.map_or_else(String::new, |waiting| format!(", waits for {}", waiting.text));
    let code = waiting.map_or("", |waiting| waiting.code.as_str());
    let stands = format!("{} -> {}: {}, {done}{batch}", progress.scale_set, progress.to, progress.state);
    (format!("{} {stands} {code}", progress.upgrade), format!("{stands}{text}"))
}

fn phase(phase: Option<u32>) -> String {
    phase.map_or_else(|| "last phase".to_owned(), |phase| format!("phase {phase}"))
}

fn set_style(bar: &ProgressBar, estimate: &str) {
    let template =
        format!("{{prefix}} [{{bar:30}}] {{pos}}/{{len}} instances, {{elapsed}}{estimate}\n  {{msg}}");
    if let Ok(style) = ProgressStyle::with_template(&template) {
        bar.set_style(style.progress_chars("=> "));
    }
}

fn draw(bar: &ProgressBar, progress: &UpgradeProgress) {
    let counts = progress.progress;
    bar.set_prefix(format!("{} -> {}", progress.scale_set, progress.to));
    bar.set_length(total(counts));
    bar.set_position(u64::try_from(counts.successful + counts.failed).unwrap_or(0));
    // Before the first batch is through there is nothing to reckon with.
    let left = progress.estimate.as_ref().map(|estimate| duration(estimate.seconds_left));
    set_style(bar, &left.map_or_else(String::new, |left| format!(", about {left} left")));
    let batch = progress.batch.as_ref().map_or_else(String::new, |batch| {
        let more = batch.count - batch.instances.len().min(batch.count);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let names = batch.instances.join(" ");
        format!("batch {} of {}, {}: {names}{more}. ", batch.number, batch.of, phase(batch.phase))
    });
    let waiting = progress
        .waiting_for
        .as_ref()
        .map_or_else(String::new, |waiting| format!("Waiting for {}", waiting.text));
    let mut lines = vec![format!("{batch}{waiting}")];
    lines.extend(reasons(&progress.not_yet));
    bar.set_message(lines.join("\n  "));
}

/// Why the others are not upgraded yet: as many lines as fit below the bar.
fn reasons(not_yet: &wire::NotYet) -> Vec<String> {
    let line = |hold: &wire::Hold| format!("{}: {}", hold.instance, hold.reason);
    let mut lines: Vec<String> = not_yet.first.iter().map(line).collect();
    if let Some(more) = not_yet.count.checked_sub(lines.len()).filter(|more| *more > 0) {
        lines.push(format!("and {more} more"));
    }
    lines
}

fn total(progress: Progress) -> u64 {
    let total = progress.successful + progress.failed + progress.in_progress + progress.pending;
    u64::try_from(total).unwrap_or(0)
}
