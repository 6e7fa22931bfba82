//! The only file that reads a clock.
//!
//! Everything else is given a [`Timestamp`]. The clock is anchored to wall time once and then follows the
//! boot clock, which runs on while the machine sleeps and which no person sets: time never goes back while
//! the host runs, whatever happens to the machine's date. Whoever needs the date itself asks for
//! [`ReadClock::now`].

#![expect(clippy::disallowed_methods, reason = "this is the file that may read the clock")]

use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use phasegate_core::domain::{Now, ReadClock, Timestamp, WallTime};
use phasegate_core::record::Anchor;
use rustix::time::ClockId;

/// Runs on while the machine sleeps.
#[cfg(target_os = "linux")]
const BOOT: ClockId = ClockId::Boottime;
/// Elsewhere there is none; a sleep of the machine then counts for nothing.
#[cfg(not(target_os = "linux"))]
const BOOT: ClockId = ClockId::Monotonic;

/// CPU time that the calling thread has used since it began; what a guest is charged, so that a
/// busy machine does not make a good plugin look slow.
#[must_use]
pub fn thread_cpu_time() -> Duration {
    read(ClockId::ThreadCPUTime)
}

fn read(clock: ClockId) -> Duration {
    let time = rustix::time::clock_gettime(clock);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

fn wall() -> WallTime {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    WallTime(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
}

/// Which boot of the machine this is; empty where the system does not tell, which is then no boot that
/// was recorded with a name.
fn boot() -> &'static str {
    static BOOT_ID: OnceLock<String> = OnceLock::new();
    BOOT_ID.get_or_init(|| {
        let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        id.trim().to_owned()
    })
}

/// A step of the machine's date, which somebody has set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// By so much.
    pub by: Duration,
    /// Whither.
    pub forward: Direction,
}

/// Whither a clock was set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// To a later date.
    Forward,
    /// To an earlier one.
    Back,
}

/// Less than that is a clock that is being brought in line, little by little.
const STEP_LEAST: Duration = Duration::from_secs(2);

/// Watches how far the date is from the boot clock.
#[derive(Debug, Default)]
pub struct Steps {
    apart: Option<i64>,
}

impl Steps {
    /// The step since the last look, if there was one.
    pub fn look(&mut self, now: Now) -> Option<Step> {
        let apart = now.wall.0.saturating_sub(now.at.0);
        let moved = apart.saturating_sub(*self.apart.get_or_insert(apart));
        let by = Duration::from_millis(moved.unsigned_abs());
        if by < STEP_LEAST {
            return None;
        }
        self.apart = Some(apart);
        Some(Step { by, forward: if moved > 0 { Direction::Forward } else { Direction::Back } })
    }
}

/// Gives the time. Cheap to copy.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    anchor: Timestamp,
    /// On the boot clock.
    started: Duration,
}

impl Clock {
    /// Reads the wall clock once.
    #[must_use]
    pub fn start() -> Self {
        Self { anchor: wall().date(), started: read(BOOT) }
    }

    /// Goes on with the time of a fleet whose record says where it stood: since then as much time has passed
    /// as the boot clock says, or, when the machine was started anew, the date says.
    #[must_use]
    pub fn resume(stored: Option<&Anchor>) -> Self {
        let started = read(BOOT);
        let date = wall().date();
        let Some(stored) = stored else { return Self { anchor: date, started } };
        let anchor = if !stored.boot.is_empty() && stored.boot == boot() {
            let then = Duration::from_millis(stored.since_boot.unsigned_abs());
            stored.at + started.saturating_sub(then)
        } else {
            over_a_boot(stored, date)
        };
        Self { anchor, started }
    }

    /// Where the time stands on the boot clock now.
    #[must_use]
    pub fn anchor(&self) -> Anchor {
        let since_boot = read(BOOT);
        let at = self.anchor + since_boot.saturating_sub(self.started);
        let since_boot = i64::try_from(since_boot.as_millis()).unwrap_or(i64::MAX);
        Anchor { boot: boot().to_owned(), since_boot, at, date: Some(wall()) }
    }

    /// A new one, for what is given a clock.
    #[must_use]
    pub fn shared() -> Arc<dyn ReadClock> {
        Arc::new(Self::start())
    }

    /// The date, as the machine has it now.
    #[must_use]
    pub fn date(&self) -> WallTime {
        wall()
    }

    /// When the clock was started.
    #[must_use]
    pub fn started_at(&self) -> Timestamp {
        self.anchor
    }

    /// Time since the clock was started, for measuring.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        read(BOOT).saturating_sub(self.started)
    }

    /// The time now, on the boot clock.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.anchor + self.elapsed()
    }
}

/// Where the time of a fleet stands after a boot of the machine: as much has passed as the date says, from date to date
/// and never less than nothing. A step of the date before the boot is no time that has passed.
fn over_a_boot(stored: &Anchor, date: Timestamp) -> Timestamp {
    match stored.date {
        Some(then) => stored.at + date.since(then.date()),
        None => date.max(stored.at),
    }
}

impl ReadClock for Clock {
    fn now(&self) -> Now {
        Now { wall: wall(), at: Clock::now(self) }
    }

    fn elapsed(&self) -> Duration {
        Clock::elapsed(self)
    }

    fn thread_cpu(&self) -> Duration {
        thread_cpu_time()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_clocks_begin_with_the_date_and_only_go_on() {
        let clock = Clock::start();
        let first = ReadClock::now(&clock);
        let second = ReadClock::now(&clock);
        assert!(first.at >= clock.started_at() && second.at >= first.at);
        let apart = first.wall.date().since(first.at).max(first.at.since(first.wall.date()));
        assert!(apart < Duration::from_secs(3600), "the anchor is the date: {first:?}");
        assert!(ReadClock::elapsed(&clock) >= first.at.since(clock.started_at()));
    }

    #[test]
    fn the_time_of_a_fleet_goes_on_over_a_restart() {
        let stood = Clock::start().anchor();
        // The date was set back by a day, or forward, while the host was off: the boot clock knows better.
        for moved in [-86_400_000, 86_400_000] {
            let stored = Anchor { at: Timestamp(stood.at.0 + moved), ..stood.clone() };
            let resumed = Clock::resume(Some(&stored)).now();
            assert!(resumed >= stored.at && resumed.since(stored.at) < Duration::from_secs(3600));
        }
        let other = Anchor { boot: "another".to_owned(), at: Timestamp(i64::MAX / 2), ..stood };
        assert!(Clock::resume(Some(&other)).now() >= other.at, "never back, on another boot neither");
    }

    #[test]
    fn over_a_boot_only_what_passed_from_date_to_date_counts() {
        let (noon, hour) = (1_765_000_000_000, 3_600_000);
        let anchor = |at: i64, date: Option<i64>| Anchor {
            boot: "the one before".to_owned(),
            since_boot: 5,
            at: Timestamp(at),
            date: date.map(WallTime),
        };
        let minute = 60_000;
        for (moved, what) in [(hour, "set forward"), (-hour, "set back"), (0, "left alone")] {
            let stored = anchor(noon, Some(noon + moved));
            let resumed = over_a_boot(&stored, Timestamp(noon + moved + minute));
            assert_eq!(resumed, Timestamp(noon + minute), "{what} while the host ran, then off for a minute");
        }
        let back = over_a_boot(&anchor(noon, Some(noon)), Timestamp(noon - hour));
        assert_eq!(back, Timestamp(noon), "set back while it was off: nothing, and not less");
        assert_eq!(over_a_boot(&anchor(noon, None), Timestamp(noon + hour)), Timestamp(noon + hour));
    }

    #[test]
    fn a_step_of_the_date_is_noticed_once() {
        let now = |wall: i64, at: i64| Now { wall: WallTime(wall), at: Timestamp(at) };
        let mut steps = Steps::default();
        assert_eq!(steps.look(now(1_000_000, 5_000)), None, "wherever the two begin");
        assert_eq!(steps.look(now(1_061_500, 65_000)), None, "the date is brought in line");
        let step = steps.look(now(4_662_000, 66_000)).unwrap();
        assert_eq!((step.by.as_secs(), step.forward), (3_601, Direction::Forward));
        assert_eq!(steps.look(now(4_663_000, 67_000)), None, "once");
        assert_eq!(steps.look(now(1_063_000, 68_000)).unwrap().forward, Direction::Back);
    }

    #[test]
    fn a_thread_is_charged_for_what_it_does() {
        let clock = Clock::start();
        let before = clock.thread_cpu();
        let mut sum = 0u64;
        while clock.thread_cpu() == before {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        assert!(clock.thread_cpu() > before);
    }
}
