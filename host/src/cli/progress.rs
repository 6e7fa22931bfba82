//! A line that shows that something long is still going on: on a terminal, after two seconds, and
//! gone when it is over. In a pipe there is nothing to see.

use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::output;

/// How long something may take before it is worth a line.
const QUIET_TIME: Duration = Duration::from_secs(2);
/// How often the line is drawn anew.
const REDRAW: Duration = Duration::from_millis(200);

/// Something that may take long.
pub struct Progress {
    title: String,
}

/// Tells what is being done at the moment.
pub struct Step(Sender<String>);

impl Step {
    /// Says what comes next.
    pub fn say(&self, what: &str) {
        // Nobody listens any more when it is over.
        let _ = self.0.send(what.to_owned());
    }
}

impl Progress {
    /// For a title such as "building game".
    #[must_use]
    pub fn new(title: &str) -> Self {
        Self { title: title.to_owned() }
    }

    /// Runs something on this thread while another one shows that it runs.
    pub fn during<T>(&self, run: impl FnOnce(&Step) -> T) -> T {
        let (steps, said) = mpsc::channel::<String>();
        let step = Step(steps);
        if !output::stderr_is_terminal() {
            return run(&step);
        }
        thread::scope(|scope| {
            let title = self.title.as_str();
            scope.spawn(move || show(title, &said));
            let result = run(&step);
            drop(step);
            result
        })
    }
}

fn show(title: &str, said: &mpsc::Receiver<String>) {
    let mut bar: Option<ProgressBar> = None;
    let mut latest = String::new();
    let mut wait = QUIET_TIME;
    loop {
        match said.recv_timeout(wait) {
            Ok(what) => latest = what,
            Err(RecvTimeoutError::Timeout) => {
                let bar = bar.get_or_insert_with(|| spinner(title));
                bar.set_message(latest.clone());
                bar.tick();
                wait = REDRAW;
            }
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
}

fn spinner(title: &str) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden()).with_elapsed(QUIET_TIME);
    if let Ok(style) = ProgressStyle::with_template("{spinner} {prefix}: {msg} ({elapsed})") {
        bar.set_style(style);
    }
    bar.set_prefix(title.to_owned());
    bar.set_draw_target(ProgressDrawTarget::stderr());
    bar
}
