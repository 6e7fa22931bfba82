//! How long to wait before something is tried again.

use std::time::Duration;

/// Doubles with every failure, up to a limit; starts over after a good run.
#[derive(Debug, Clone, Copy)]
pub(in crate::drivers) struct Backoff {
    delay_min: Duration,
    delay_max: Duration,
    good_after: Duration,
    next: Duration,
}

impl Backoff {
    /// For processes: half a second to half a minute, and a minute of running is good.
    pub(in crate::drivers) const PROCESS: Self =
        Self::new(Duration::from_millis(500), Duration::from_secs(30), Duration::from_secs(60));

    /// For the guard: nearly at once, because nothing is guarded meanwhile.
    pub(in crate::drivers) const GUARD: Self =
        Self::new(Duration::from_millis(10), Duration::from_secs(30), Duration::from_secs(60));

    /// For a site that is busy: a second to a minute.
    pub(in crate::drivers) const RETRY: Self =
        Self::new(Duration::from_secs(1), Duration::from_secs(60), Duration::MAX);

    /// Delays from `delay_min` to `delay_max`; a run of `good_after` makes the next one short.
    pub(in crate::drivers) const fn new(
        delay_min: Duration,
        delay_max: Duration,
        good_after: Duration,
    ) -> Self {
        Self { delay_min, delay_max, good_after, next: delay_min }
    }

    /// The delay after a run of this length; zero when it did not even start.
    pub(in crate::drivers) fn after_run(&mut self, ran: Duration) -> Duration {
        if ran >= self.good_after {
            self.reset();
        }
        self.after_failure()
    }

    /// The delay after something that did not work.
    pub(in crate::drivers) fn after_failure(&mut self) -> Duration {
        let delay = self.next;
        self.next = delay.saturating_mul(2).min(self.delay_max);
        delay
    }

    /// Forgets all failures.
    pub(in crate::drivers) fn reset(&mut self) {
        self.next = self.delay_min;
    }
}

/// A delay for people: `0.5 s`, `30 s`.
pub(in crate::drivers) fn in_seconds(delay: Duration) -> String {
    format!("{} s", delay.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_to_the_limit_and_starts_over_after_a_good_run() {
        let mut backoff = Backoff::PROCESS;
        let short = Duration::from_secs(59);
        let delays: Vec<String> = (0..8).map(|_| in_seconds(backoff.after_run(short))).collect();
        assert_eq!(delays, ["0.5 s", "1 s", "2 s", "4 s", "8 s", "16 s", "30 s", "30 s"]);
        assert_eq!(backoff.after_run(Duration::from_secs(60)), Duration::from_millis(500));
        assert_eq!(backoff.after_run(Duration::ZERO), Duration::from_secs(1));
    }
}
