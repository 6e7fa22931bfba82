//! Lines on their way to stderr: a bounded queue, and the one thread that writes.
//!
//! ```text
//!  push ──> queue (bounded) ──> thread ──> stderr
//!   └── no room, or it cannot be written: dropped, counted, and said when there is a reader again
//! ```
//!
//! Never makes a writer of lines wait.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// Bytes that may wait: some thousands of lines.
const BYTES_MAX: usize = 1 << 20;

/// Before the next look at a stderr that takes nothing now and says so instead of waiting.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// The way to the thread.
#[derive(Debug)]
pub(super) struct Queue(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    lines: VecDeque<Box<[u8]>>,
    bytes: usize,
    /// There was no room: lines are dropped until half of it is free, so that whole stretches are lost and not
    /// every other line.
    full: bool,
    /// A line is being written.
    writing: bool,
    /// The latest one could not be written.
    broken: bool,
    /// Lost since the start.
    lost: u64,
    /// Of those, not said yet.
    unsaid: u64,
}

/// Makes the line that says how many were lost.
type SayLost = Box<dyn Fn(u64) -> String + Send>;

impl Queue {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(super) fn start(
        out: Box<dyn Write + Send>,
        say_lost: impl Fn(u64) -> String + Send + 'static,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let say_lost: SayLost = Box::new(say_lost);
        let inside = Arc::clone(&shared);
        thread::Builder::new().name("log".to_owned()).spawn(move || inside.write_lines(out, &say_lost))?;
        Ok(Self(shared))
    }

    /// Hands in a line, with its end. Never waits.
    pub(super) fn push(&self, line: &[u8]) {
        let mut state = self.0.lock();
        let limit = if state.full { BYTES_MAX / 2 } else { BYTES_MAX };
        state.full = state.bytes + line.len() > limit;
        if state.full {
            state.lost += 1;
            state.unsaid += 1;
            return;
        }
        state.bytes += line.len();
        state.lines.push_back(line.into());
        drop(state);
        self.0.changed.notify_all();
    }

    /// Lines that were lost since the start.
    pub(super) fn lost(&self) -> u64 {
        self.0.lock().lost
    }

    /// Waits until everything is written, at most so long.
    pub(super) fn finish(&self, within: Duration) {
        let busy = |state: &mut State| state.writing || !state.lines.is_empty();
        let waited = self.0.changed.wait_timeout_while(self.0.lock(), within, busy);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_lines(&self, mut out: Box<dyn Write + Send>, say_lost: &SayLost) {
        loop {
            match self.next() {
                Next::Line(line) => {
                    let written = write_all(&mut *out, &line).is_ok();
                    let mut state = self.lock();
                    state.broken = !written;
                    if !written {
                        state.lost += 1;
                        state.unsaid += 1;
                    }
                }
                Next::Lost(count) => {
                    if write_all(&mut *out, say_lost(count).as_bytes()).is_err() {
                        let mut state = self.lock();
                        state.broken = true;
                        state.unsaid += count;
                    }
                }
            }
        }
    }

    /// What to write next; waits for it.
    fn next(&self) -> Next {
        let mut state = self.lock();
        loop {
            if let Some(line) = state.lines.pop_front() {
                state.bytes -= line.len();
                state.writing = true;
                return Next::Line(line);
            }
            // All that came before has been written, so there is a reader again.
            if state.unsaid > 0 && !state.broken {
                state.writing = true;
                state.full = false;
                return Next::Lost(std::mem::take(&mut state.unsaid));
            }
            state.writing = false;
            self.changed.notify_all();
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

enum Next {
    Line(Box<[u8]>),
    /// So many lines were lost before this one.
    Lost(u64),
}

/// Writes all of it, also where a terminal or pipe that others have set up so does not let a writer wait.
fn write_all(out: &mut dyn Write, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match out.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => thread::park_timeout(LOOK_AGAIN),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn over_pipe() -> (Queue, io::PipeReader) {
        let (reader, writer) = io::pipe().unwrap();
        (Queue::start(Box::new(writer), |lost| format!("{lost} lost\n")).unwrap(), reader)
    }

    #[test]
    fn lines_arrive_in_order_and_the_end_waits_for_them() {
        let (queue, mut reader) = over_pipe();
        (0..100).for_each(|number| queue.push(format!("{number}\n").as_bytes()));
        queue.finish(Duration::from_secs(60));
        let expected: String = (0..100).map(|number| format!("{number}\n")).collect();
        let mut seen = vec![0; expected.len()];
        reader.read_exact(&mut seen).unwrap();
        assert_eq!(String::from_utf8(seen).unwrap(), expected);
        assert_eq!(queue.lost(), 0);
    }

    #[test]
    fn who_is_not_read_drops_and_says_so_later() {
        const LINES: u64 = 40_000;
        let (queue, reader) = over_pipe();
        let line = [&[b'x'; 99][..], b"\n"].concat();
        // None of these waits, though nothing is read.
        (0..LINES).for_each(|_| queue.push(&line));
        let lost = queue.lost();
        assert!(lost > LINES / 2 && lost < LINES, "{lost}");
        queue.finish(Duration::from_millis(1));

        let mut lines = io::BufRead::lines(io::BufReader::new(reader)).map(Result::unwrap);
        let whole = lines.by_ref().take_while(|line| line.len() == 99).count();
        assert_eq!(u64::try_from(whole).unwrap() + lost, LINES, "the line after them says {lost} lost");
        queue.push(b"again\n");
        assert_eq!(lines.next().unwrap(), "again");
    }

    #[test]
    fn a_reader_that_is_gone_ends_nothing() {
        let (queue, reader) = over_pipe();
        drop(reader);
        (0..3).for_each(|_| queue.push(b"line\n"));
        queue.finish(Duration::from_secs(60));
        assert_eq!(queue.lost(), 3);
    }
}
