//! The log on stderr: how a line looks, and the way there.
//!
//! A host hands its lines to a thread of their own, so that a reader of stderr who has stopped reading stops
//! nothing else; lines that find no room are dropped and counted. A command writes itself: whoever started it
//! waits for it. Deliberately does not say what is worth a line.

mod queue;
mod shape;

use std::io::{self, IsTerminal, Write};
use std::sync::OnceLock;
use std::time::Duration;

use phasegate_core::domain::shown::visible_lines;
use tracing_subscriber::EnvFilter;

use queue::Queue;
pub use shape::Format;
use shape::{Colour, Shape};

/// How long the end of a host waits for lines that are not written yet.
const LAST_LINES_WITHIN: Duration = Duration::from_secs(1);

/// The lines of a host; none in a command.
static QUEUE: OnceLock<Queue> = OnceLock::new();

/// Who writes the lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writes {
    /// A thread of its own: nothing else ever waits for stderr.
    Aside,
    /// Whoever says something.
    Itself,
}

/// Begins the log: lines at least as loud as `default`, unless PHASEGATE_LOG asks for others. A second
/// beginning changes nothing.
pub fn begin(default: &str, format: Format, writes: Writes) {
    let filter = EnvFilter::try_from_env("PHASEGATE_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    let shape = Shape::new(format, if colours() { Colour::On } else { Colour::Off });
    if writes == Writes::Aside && QUEUE.get().is_none() {
        // Without a thread it is written as a command does.
        if let Ok(queue) = Queue::start(stderr(), move |lost| shape.lost(lost)) {
            let _ = QUEUE.set(queue);
            say_panics();
        }
    }
    let begun = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| Stderr)
        .log_internal_errors(false)
        .with_ansi(false)
        .event_format(shape)
        .try_init();
    // Refused when there is a log already, as in tests.
    let _ = begun;
}

/// Writes text for people to stderr, in its turn. A closed stderr is no problem of the one who writes.
pub fn talk(text: &str) {
    let _ = Stderr.write_all(visible_lines(text).as_bytes());
}

/// Writes what steers the terminal, of our own making.
pub fn draw(text: &str) {
    let _ = Stderr.write_all(text.as_bytes());
}

/// Lines that nothing will ever show, since the start.
#[must_use]
pub fn lost() -> u64 {
    QUEUE.get().map_or(0, Queue::lost)
}

/// Waits for lines that are not written yet, at most a moment.
pub fn finish() {
    if let Some(queue) = QUEUE.get() {
        queue.finish(LAST_LINES_WITHIN);
    }
}

/// Whether stderr may have colours: on a terminal that has them, unless NO_COLOR asks for none.
#[must_use]
pub fn colours() -> bool {
    let none = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    io::stderr().is_terminal() && !none && !dumb
}

/// A stderr of our own: one that hangs in a write must not hold the lock that the standard library has for
/// all others.
fn stderr() -> Box<dyn Write + Send> {
    use std::os::fd::AsFd;
    match io::stderr().as_fd().try_clone_to_owned() {
        Ok(own) => Box::new(std::fs::File::from(own)),
        Err(_) => Box::new(io::stderr()),
    }
}

/// A panic is a line of the log as any other: written where it happens, it could hang there.
fn say_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let trace = std::backtrace::Backtrace::capture();
        let thread = std::thread::current();
        let thread = thread.name().unwrap_or("without a name");
        match trace.status() {
            std::backtrace::BacktraceStatus::Captured => {
                tracing::error!("thread `{thread}`: {panic}; {trace}");
            }
            _ => tracing::error!("thread `{thread}`: {panic}"),
        }
    }));
}

/// The way to stderr. Its errors are nobody's problem: a host must not end because its log cannot be written,
/// as on a full disk or after the reader of a pipe has gone.
struct Stderr;

impl Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match QUEUE.get() {
            Some(queue) => queue.push(bytes),
            None => drop(io::stderr().lock().write_all(bytes)),
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
