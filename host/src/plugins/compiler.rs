//! The compiler as a process of its own: this program once more, within limits that the system keeps.
//!
//! One at a time, so that ten plugins that change at once cost what one costs. Component, code and words go
//! through files in memory that nobody else has: nothing is left however it ends, and nobody waits for a pipe.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use rustix::fs::{MemfdFlags, memfd_create};
use rustix::process::{Pid, PidfdFlags, Resource, Rlimit, Signal, pidfd_open, pidfd_send_signal};

use crate::children;
use crate::clock::Clock;
use phasegate_core::domain::CompileLimits;
use phasegate_wasm::{Compiler, CompilerError, builtin, machine_code, one_line};

/// Name of the hidden command.
pub const COMPILE_COMMAND: &str = "__compile";

/// How soon a wish to stop is heard.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// What it may write: machine code of the largest component.
const FILE_BYTES_MAX: u64 = 1 << 30;
/// What is read of its words.
const WORDS_BYTES_MAX: u64 = 4096;
/// In wall-clock time it may take this much longer than in CPU time, on a machine that has no time for it.
const WALL_FACTOR: u32 = 20;

/// How much it gives way to the host.
const NICE: i32 = 10;

/// Exit code for a component that the compiler does not take; its words are on standard error.
pub const REFUSED: u8 = 1;

/// Starts a compiler for each component.
#[derive(Default)]
pub struct Outside {
    busy: Mutex<bool>,
    free: Condvar,
}

impl Compiler for Outside {
    fn compile(
        &self,
        component: &[u8],
        limits: CompileLimits,
        stop: &AtomicBool,
    ) -> Result<Vec<u8>, CompilerError> {
        let _turn = self.turn(stop)?;
        run(component, limits, stop)
    }
}

/// Held while one compiles.
struct Turn<'a>(&'a Outside);

impl Outside {
    fn turn(&self, stop: &AtomicBool) -> Result<Turn<'_>, CompilerError> {
        let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        while *busy {
            if stop.load(Ordering::Relaxed) {
                return Err(CompilerError::Stopped);
            }
            busy = self.free.wait_timeout(busy, LOOK_EVERY).unwrap_or_else(PoisonError::into_inner).0;
        }
        *busy = true;
        Ok(Turn(self))
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        *self.0.busy.lock().unwrap_or_else(PoisonError::into_inner) = false;
        self.0.free.notify_one();
    }
}

fn run(component: &[u8], limits: CompileLimits, stop: &AtomicBool) -> Result<Vec<u8>, CompilerError> {
    let not_started = |error: io::Error| CompilerError::NotStarted(error.to_string());
    let mut streams = Streams::with(component).map_err(not_started)?;
    let mut command = streams.command(limits).map_err(not_started)?;
    let (mut child, _own) = children::spawn_plain(&mut command).map_err(not_started)?;
    let handle = handle(&child).inspect_err(|_| {
        // One that cannot be ended must not go on unseen.
        let _ = child.kill();
        let _ = child.wait();
    });
    let handle = handle.map_err(not_started)?;
    let (says, ended) = mpsc::channel();
    let waiter = std::thread::Builder::new().name("plugin-compiler".to_owned()).spawn(move || {
        let _ = says.send(child.wait());
    });
    let waited = wait(&ended, limits, stop);
    if waiter.is_err() || waited.is_err() {
        let _ = pidfd_send_signal(&handle, Signal::KILL);
    }
    let status = waited?.map_err(not_started)?;
    if status.success() {
        let code = contents(&mut streams.output, FILE_BYTES_MAX);
        return code.map_err(|error| CompilerError::Ended(error.to_string()));
    }
    let said = contents(&mut streams.words, WORDS_BYTES_MAX).unwrap_or_default();
    Err(why(status, &String::from_utf8_lossy(&said), limits))
}

/// What goes in and comes out: files in memory.
struct Streams {
    input: File,
    output: File,
    words: File,
}

impl Streams {
    fn with(component: &[u8]) -> io::Result<Self> {
        let mut input = file()?;
        input.write_all(component)?;
        input.seek(SeekFrom::Start(0))?;
        Ok(Self { input, output: file()?, words: file()? })
    }

    /// This program once more, which inherits nothing but the streams.
    fn command(&self, limits: CompileLimits) -> io::Result<Command> {
        let stdio = |file: &File| file.try_clone().map(Stdio::from);
        let mut command = Command::new("/proc/self/exe");
        command
            .arg0("phasegate")
            .arg(COMPILE_COMMAND)
            .args(["--cpu-seconds", &limits.cpu_seconds.to_string()])
            .args(["--memory-mib", &limits.memory_mib.to_string()])
            .args(["--parent", &std::process::id().to_string()])
            .env_clear()
            .current_dir("/")
            .process_group(0)
            .stdin(stdio(&self.input)?)
            .stdout(stdio(&self.output)?)
            .stderr(stdio(&self.words)?);
        Ok(command)
    }
}

/// What names the process for as long as we like, whoever gets its number afterwards.
fn handle(child: &std::process::Child) -> io::Result<OwnedFd> {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let pid = pid.ok_or_else(|| io::Error::other("it has no process id"))?;
    Ok(pidfd_open(pid, PidfdFlags::empty())?)
}

/// Waits for its end, or ends it: when nobody wants it any more, or for its time.
fn wait(
    ended: &Receiver<io::Result<ExitStatus>>,
    limits: CompileLimits,
    stop: &AtomicBool,
) -> Result<io::Result<ExitStatus>, CompilerError> {
    let clock = Clock::start();
    let began = clock.now();
    let longest = Duration::from_secs(limits.cpu_seconds.into()).saturating_mul(WALL_FACTOR);
    loop {
        match ended.recv_timeout(LOOK_EVERY) {
            Ok(status) => return Ok(status),
            Err(RecvTimeoutError::Disconnected) => {
                return Err(CompilerError::NotStarted("no thread waits for it".to_owned()));
            }
            Err(RecvTimeoutError::Timeout) if stop.load(Ordering::Relaxed) => {
                return Err(CompilerError::Stopped);
            }
            Err(RecvTimeoutError::Timeout) if clock.now().since(began) > longest => {
                return Err(CompilerError::Time { limit: limits.cpu_seconds });
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}

/// Why it has no code, from how it ended and what it said last.
fn why(status: ExitStatus, said: &str, limits: CompileLimits) -> CompilerError {
    let CompileLimits { cpu_seconds, memory_mib } = limits;
    let is = |signal: Signal| status.signal() == Some(signal.as_raw());
    // What the standard library says where memory is refused, before it gives up.
    let no_memory = said.contains("memory allocation of") || said.contains("Cannot allocate memory");
    if is(Signal::XCPU) {
        CompilerError::Time { limit: cpu_seconds }
    } else if no_memory {
        CompilerError::Memory { limit: memory_mib }
    } else if status.code() == Some(REFUSED.into()) {
        CompilerError::Refused(one_line(said.trim(), 1024))
    } else {
        let last = said.lines().last().map(|line| format!(", saying: {}", one_line(line, 256)));
        CompilerError::Ended(format!("{status}{}", last.unwrap_or_default()))
    }
}

/// A file in memory that has no name.
fn file() -> io::Result<File> {
    Ok(File::from(memfd_create("phasegate-compile", MemfdFlags::CLOEXEC)?))
}

fn contents(file: &mut File, max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.take(max).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// What the process does that was started for it: bounds itself, then reads a component and writes its code.
///
/// # Errors
/// When the system refuses a bound, or the streams fail.
pub fn compile(limits: CompileLimits, parent: u32) -> io::Result<Result<(), String>> {
    bound(limits)?;
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    // The host may have died before the line above; then nobody will send the signal.
    if std::os::unix::process::parent_id() != parent {
        return Ok(Err("its host is gone".to_owned()));
    }
    let mut component = Vec::new();
    io::stdin().lock().read_to_end(&mut component)?;
    // The program's own are small, and a host that has just been installed decides nothing before they are there.
    if !builtin::has(&component) {
        // One that stays as important as the others is no reason not to compile.
        let _ = rustix::process::nice(NICE);
    }
    match machine_code(&component) {
        Ok(code) => io::stdout().lock().write_all(&code).map(Ok),
        Err(said) => Ok(Err(said)),
    }
}

fn bound(limits: CompileLimits) -> io::Result<()> {
    let set = |resource, soft: u64, hard: u64| {
        // What was allowed to less already stays so.
        let most = rustix::process::getrlimit(resource).maximum.unwrap_or(u64::MAX);
        let limit = Rlimit { current: Some(soft.min(most)), maximum: Some(hard.min(most)) };
        rustix::process::setrlimit(resource, limit)
    };
    // Memory that was written to or may be; not address space, of which threads reserve a lot.
    let memory = u64::from(limits.memory_mib) << 20;
    set(Resource::Data, memory, memory)?;
    let cpu = u64::from(limits.cpu_seconds);
    set(Resource::Cpu, cpu, cpu.saturating_add(2))?;
    set(Resource::Fsize, FILE_BYTES_MAX, FILE_BYTES_MAX)?;
    set(Resource::Core, 0, 0)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_told_apart() {
        let limits = CompileLimits { cpu_seconds: 5, memory_mib: 64 };
        let signal = |signal: Signal| ExitStatus::from_raw(signal.as_raw());
        let code = |code: i32| ExitStatus::from_raw(code << 8);
        let lost = "memory allocation of 26306674704 bytes failed\n";
        for (status, said, expected) in [
            (signal(Signal::XCPU), "", CompilerError::Time { limit: 5 }),
            (signal(Signal::ABORT), lost, CompilerError::Memory { limit: 64 }),
            (code(1), "unknown\n", CompilerError::Refused("unknown".to_owned())),
            (signal(Signal::SEGV), "", CompilerError::Ended("signal: 11 (SIGSEGV)".to_owned())),
            (code(101), "a\nb", CompilerError::Ended("exit status: 101, saying: b".to_owned())),
        ] {
            assert_eq!(why(status, said, limits), expected, "{said}");
        }
    }

    #[test]
    fn whoever_waits_for_the_turn_can_stop() {
        let outside = Outside::default();
        let first = outside.turn(&AtomicBool::new(false)).unwrap();
        assert!(matches!(outside.turn(&AtomicBool::new(true)), Err(CompilerError::Stopped)));
        drop(first);
        assert!(outside.turn(&AtomicBool::new(false)).is_ok());
    }
}
