//! The demo's live view: one line per instance on a terminal, one line per change in a pipe.

use std::cell::RefCell;
use std::collections::BTreeMap;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::cli::args::OutputArgs;
use crate::cli::output;
use crate::log;
use phasegate_wire as wire;

/// Draws on stderr.
pub(super) struct Screen {
    mode: Mode,
}

enum Mode {
    /// A terminal: lines that are drawn again in place.
    Live(RefCell<Live>),
    /// A pipe: what changed, once.
    Lines(RefCell<BTreeMap<String, String>>),
    /// `--json` into a pipe: nothing.
    Quiet,
}

#[derive(Default)]
struct Live {
    all: MultiProgress,
    rows: BTreeMap<String, ProgressBar>,
    total: Option<ProgressBar>,
}

impl Screen {
    /// A screen for the stderr that we have.
    pub(super) fn new(format: OutputArgs) -> Self {
        let mode = match (output::stderr_is_terminal(), format.json) {
            (true, _) => {
                let all = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
                Mode::Live(RefCell::new(Live { all, ..Live::default() }))
            }
            (false, true) => Mode::Quiet,
            (false, false) => Mode::Lines(RefCell::default()),
        };
        Self { mode }
    }

    /// Says something above the live lines.
    pub(super) fn say(&self, text: &str) {
        match &self.mode {
            // Drawing is best effort: the summary on stdout is what counts.
            Mode::Live(live) => drop(live.borrow().all.println(text)),
            Mode::Lines(_) => output::talk(&format!("{text}\n")),
            Mode::Quiet => {}
        }
    }

    /// Shows the fleet and, during the upgrade, its progress.
    pub(super) fn show(&self, fleet: &wire::Fleet, upgrade: Option<&wire::StatusDetail>) {
        let instances = fleet.scale_sets.iter().flat_map(|set| &set.instances);
        match &self.mode {
            Mode::Live(live) => {
                let mut live = live.borrow_mut();
                for instance in instances {
                    live.row(instance, upgrade);
                }
                if let Some(upgrade) = upgrade {
                    live.total(upgrade);
                }
            }
            Mode::Lines(seen) => {
                let mut seen = seen.borrow_mut();
                for instance in instances {
                    let line = format!(
                        "instance {}: {} {}",
                        instance.id,
                        instance.version.as_deref().unwrap_or("-"),
                        instance.health
                    );
                    if seen.get(&instance.id) != Some(&line) {
                        output::talk(&format!("{line}\n"));
                        seen.insert(instance.id.clone(), line);
                    }
                }
            }
            Mode::Quiet => {}
        }
    }

    /// Leaves the last picture standing.
    pub(super) fn finish(&self) {
        if let Mode::Live(live) = &self.mode {
            let live = live.borrow();
            live.rows.values().chain(&live.total).for_each(ProgressBar::abandon);
        }
    }
}

fn in_flight(instance: &wire::Instance, upgrade: Option<&wire::StatusDetail>) -> bool {
    let batches = upgrade.into_iter().flat_map(|detail| &detail.status.batches);
    batches
        .filter(|batch| batch.state == wire::BatchState::InProgress)
        .any(|batch| batch.instances.contains(&instance.id))
}

impl Live {
    fn row(&mut self, instance: &wire::Instance, upgrade: Option<&wire::StatusDetail>) {
        let all = &self.all;
        let row = self.rows.entry(format!("{:>8}", instance.id)).or_insert_with(|| {
            let bar = all.add(ProgressBar::new_spinner());
            if let Ok(style) = ProgressStyle::with_template("{wide_msg}") {
                bar.set_style(style);
            }
            bar
        });
        let version = instance.version.as_deref().unwrap_or("-");
        let wanted = instance.desired_version.as_deref() == Some(version);
        let colour = match (in_flight(instance, upgrade), &instance.health, &instance.participation) {
            (true, _, _) => "33",
            (false, wire::Health::Healthy, Some(wire::Participation::Skip)) => "36",
            (false, wire::Health::Healthy, _) if wanted => "32",
            (false, wire::Health::Healthy, _) => "0",
            (false, _, _) => "31",
        };
        let (colour, plain) =
            if log::colours() { (format!("\x1b[{colour}m"), "\x1b[0m") } else { (String::new(), "") };
        row.set_message(format!(
            "  {colour}{:>3}  zone {}  {:<7}  {version:<3}  {:<12}  phase {:<4}  {}{plain}",
            instance.id,
            instance.zone.as_deref().unwrap_or("-"),
            instance.labels.get("role").map_or("", String::as_str),
            instance.health,
            instance.phase.map_or_else(|| "last".to_owned(), |phase| phase.to_string()),
            instance.reason.as_deref().unwrap_or(""),
        ));
        row.tick();
    }

    fn total(&mut self, detail: &wire::StatusDetail) {
        let counts = detail.status.progress;
        let done = counts.successful + counts.failed;
        let all = &self.all;
        let total = self.total.get_or_insert_with(|| {
            let bar = all.add(ProgressBar::new(0));
            if let Ok(style) = ProgressStyle::with_template("  [{bar:20}] {pos}/{len}, {elapsed}: {wide_msg}")
            {
                bar.set_style(style.progress_chars("=> "));
            }
            bar
        });
        total.set_length((done + counts.in_progress + counts.pending).try_into().unwrap_or(0));
        total.set_position(done.try_into().unwrap_or(0));
        let message = detail
            .waiting
            .as_ref()
            .map_or_else(|| detail.status.state.to_string(), |on| format!("waiting for {on}"));
        total.set_message(message);
        total.tick();
    }
}
