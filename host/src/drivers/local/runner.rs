//! Runs programs to their end: each in a group of its own, with a time limit, its output kept.
//!
//! Does not look at exit codes. Nothing of a program's group is left when its run is over, however
//! it ended: what shall stay has to leave the group, for example through a service manager.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::path::PathBuf;
use std::pin::pin;
use std::process::ExitStatus;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};

use super::command::Command;
use super::error::{RunError, StartError};
use super::guard_link::{GuardCommand, GuardLink};
use super::leader::Leader;
use super::output::last_line;
use super::thread::{OwnThread, Stage, reached};
use crate::drivers::BoxFuture;
use crate::drivers::awake;
use crate::drivers::ends::End;
use crate::drivers::words::{Said, Voice};
use crate::net::shortage::shortage;

/// How much of the end of a program's output is kept.
pub(in crate::drivers) const OUTPUT_MAX: usize = 16 * 1024;

/// How long a pipe is read on after the group is gone. Only something that left the group still
/// holds it then.
const DRAIN: Duration = Duration::from_millis(500);

/// Between two tries to start a program for which the host was short of something.
const SHORT_AGAIN: Duration = Duration::from_secs(1);

/// From one look at what a program writes to the next.
const TELL_EVERY: Duration = Duration::from_millis(250);

/// Runs that may wait to be started; starting does not block.
const INBOX_LEN: usize = 64;

/// A program to run.
#[derive(Debug)]
pub(in crate::drivers) struct Job {
    /// What `Command::resolve` found.
    pub(in crate::drivers) program: PathBuf,
    /// The rest of it.
    pub(in crate::drivers) command: Command,
    /// Which output goes where.
    pub(in crate::drivers) capture: Capture,
    /// Longest run.
    pub(in crate::drivers) limit: Duration,
    /// From SIGTERM to SIGKILL.
    pub(in crate::drivers) stop_timeout: Duration,
    /// The same from the end of the host on, where that is sooner.
    pub(in crate::drivers) exit_timeout: Duration,
    /// Ends it before its time.
    pub(in crate::drivers) end: End,
    /// Where its last line is told while it runs.
    pub(in crate::drivers) voice: Option<Voice>,
}

/// Which output goes where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::drivers) enum Capture {
    /// Both streams into `output`, in their order.
    Together,
    /// Standard output into `output`, standard error into `errors`.
    Apart,
}

/// A run that is over.
#[derive(Debug)]
pub(in crate::drivers) struct Finished {
    /// How the program ended; why it was ended when it did not by itself.
    pub(in crate::drivers) status: Result<ExitStatus, Cut>,
    /// The end of what it wrote.
    pub(in crate::drivers) output: Vec<u8>,
    /// The same, of standard error.
    pub(in crate::drivers) errors: Vec<u8>,
}

/// Why a program was ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::drivers) enum Cut {
    /// Its time was over, or nobody waits for it any more.
    Time,
    /// A person wanted its end.
    Wish,
}

type Answer = oneshot::Sender<Result<Finished, RunError>>;

/// Runs programs on a thread of its own.
#[derive(Debug)]
pub(in crate::drivers) struct Runner {
    inbox: mpsc::Sender<(Job, Answer)>,
    thread: OwnThread,
}

impl Runner {
    /// Starts the thread and the guard.
    ///
    /// # Errors
    /// As `OwnThread::start`.
    pub(in crate::drivers) fn start(name: &str, guard: Option<GuardCommand>) -> io::Result<Self> {
        let (inbox, jobs) = mpsc::channel(INBOX_LEN);
        let thread = OwnThread::start(name, guard, move |guard, stage| work(jobs, guard, stage))?;
        Ok(Self { inbox, thread })
    }

    /// Runs a program. When the future is dropped, the program is ended.
    ///
    /// # Errors
    /// When it cannot be started, or the runner has ended.
    pub(in crate::drivers) fn run(&self, job: Job) -> BoxFuture<Result<Finished, RunError>> {
        let inbox = self.inbox.clone();
        Box::pin(async move {
            let (answer, result) = oneshot::channel();
            inbox.send((job, answer)).await.map_err(|_| RunError::Ended)?;
            result.await.unwrap_or(Err(RunError::Ended))
        })
    }

    /// Ends all programs; the future ends when they are gone. Idempotent.
    pub(in crate::drivers) fn shutdown(&self) -> BoxFuture<()> {
        self.thread.shutdown()
    }
}

async fn work(
    mut jobs: mpsc::Receiver<(Job, Answer)>,
    guard: Rc<GuardLink>,
    mut stage: watch::Receiver<Stage>,
) {
    let seen = stage.clone();
    let mut runs = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            _ = stage.wait_for(|stage| *stage > Stage::Running) => break,
            job = jobs.recv() => match job {
                Some((job, answer)) => _ = runs.spawn_local(run(job, answer, Rc::clone(&guard), seen.clone())),
                None => break,
            },
            Some(_) = runs.join_next() => {}
        }
    }
    // Jobs from here on, and those not begun, are answered by their answer being dropped.
    drop(jobs);
    while runs.join_next().await.is_some() {}
}

async fn run(job: Job, mut answer: Answer, guard: Rc<GuardLink>, mut stage: watch::Receiver<Stage>) {
    let mut begun = start(&job, &guard);
    let mut over = pin!(tokio::time::sleep(job.limit));
    // What the host is short of is no failure of the program: there may be some in a moment.
    while begun.as_ref().err().and_then(shortage).is_some() {
        tokio::select! {
            biased;
            () = reached(&mut stage, Stage::Ending) => break,
            () = answer.closed() => return,
            () = &mut over => break,
            () = job.end.wanted() => break,
            () = tokio::time::sleep(SHORT_AGAIN) => begun = start(&job, &guard),
        }
    }
    let mut started = match begun {
        Ok(started) => started,
        Err(error) => {
            _ = answer.send(Err(StartError { program: job.program, error }.into()));
            return;
        }
    };
    let status = tokio::select! {
        biased;
        status = started.leader.exited() => Ok(status),
        () = reached(&mut stage, Stage::Ending) => Err(None),
        () = answer.closed() => Err(Some(Cut::Time)),
        () = job.end.wanted() => Err(Some(Cut::Wish)),
        () = awake::sleep(job.limit) => Err(Some(Cut::Time)),
        never = tell(&started.output, started.errors.as_ref(), job.voice.as_ref()) => match never {},
    };
    let forced = async {
        // A host that ends waits no longer for one that was being ended before, either.
        reached(&mut stage, Stage::Ending).await;
        _ = tokio::time::timeout(job.exit_timeout, reached(&mut stage, Stage::Forced)).await;
    };
    if let Err(error) = started.leader.stop(job.stop_timeout, forced, &guard).await {
        tracing::warn!(program = %job.program.display(), %error, "left behind");
    }
    let output = started.output.finish().await;
    let errors = match started.errors {
        Some(errors) => errors.finish().await,
        None => Vec::new(),
    };
    let finished = match status {
        Ok(Err(error)) => Err(RunError::Wait { program: job.program, error }),
        Ok(Ok(status)) => Ok(Finished { status: Ok(status), output, errors }),
        Err(Some(cut)) => Ok(Finished { status: Err(cut), output, errors }),
        Err(None) => Err(RunError::Ended),
    };
    _ = answer.send(finished);
}

/// Tells the last line of what a program writes, as often as there is another one.
async fn tell(output: &Tail, errors: Option<&Tail>, voice: Option<&Voice>) -> Infallible {
    let Some(voice) = voice else { return std::future::pending().await };
    let mut told = [String::new(), String::new()];
    loop {
        tokio::time::sleep(TELL_EVERY).await;
        for (tail, told) in [Some(output), errors].into_iter().zip(&mut told) {
            let line = tail.map(Tail::last_line).unwrap_or_default();
            if !line.is_empty() && line != *told && voice.works(&line) == Said::Yes {
                *told = line;
            }
        }
    }
}

struct Started {
    leader: Leader,
    output: Tail,
    errors: Option<Tail>,
}

fn start(job: &Job, guard: &GuardLink) -> io::Result<Started> {
    let mut command = job.command.to_spawn(&job.program);
    let (output, writer) = io::pipe()?;
    let errors = match job.capture {
        Capture::Together => {
            command.stderr(writer.try_clone()?);
            None
        }
        Capture::Apart => {
            let (errors, writer) = io::pipe()?;
            command.stderr(writer);
            Some(errors)
        }
    };
    command.stdout(writer);
    let output = pipe::Receiver::from_owned_fd(output.into())?;
    let errors = errors.map(|errors| pipe::Receiver::from_owned_fd(errors.into())).transpose()?;
    let leader = Leader::spawn(&mut command, guard)?;
    // Before the pipes are read: this process must not hold their other ends.
    drop(command);
    Ok(Started { leader, output: Tail::read(output), errors: errors.map(Tail::read) })
}

/// The end of what comes out of a pipe, read while the program runs.
struct Tail {
    kept: Rc<RefCell<VecDeque<u8>>>,
    reader: JoinHandle<()>,
}

impl Tail {
    fn read(mut pipe: pipe::Receiver) -> Self {
        let kept = Rc::<RefCell<VecDeque<u8>>>::default();
        let sink = Rc::clone(&kept);
        let reader = tokio::task::spawn_local(async move {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = pipe.read(&mut buffer).await {
                let mut kept = sink.borrow_mut();
                kept.extend(buffer.iter().take(count));
                let excess = kept.len().saturating_sub(OUTPUT_MAX);
                kept.drain(..excess);
            }
        });
        Self { kept, reader }
    }

    /// The last line so far that says something.
    fn last_line(&self) -> String {
        let kept = self.kept.borrow();
        let (first, second) = kept.as_slices();
        last_line(if second.is_empty() { first.to_vec() } else { [first, second].concat() }.as_slice())
    }

    async fn finish(mut self) -> Vec<u8> {
        if tokio::time::timeout(DRAIN, &mut self.reader).await.is_err() {
            self.reader.abort();
        }
        self.kept.take().into()
    }
}
