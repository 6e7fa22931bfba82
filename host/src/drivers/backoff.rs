//! How long to wait before something is tried again.

use std::time::Duration;

/// Doubles with every failure, up to a limit, and starts over after a good run. Of each wait a quarter at
/// most is taken away, so that what began together does not go on together.
#[derive(Debug, Clone, Copy)]
pub(in crate::drivers) struct Backoff {
    waits: phasegate_core::domain::Backoff,
    good_after: Duration,
    failures: u32,
    /// Tells one instance's waits from another's.
    salt: u64,
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
        let waits = phasegate_core::domain::Backoff { first: delay_min, max: delay_max };
        Self { waits, good_after, failures: 0, salt: 0 }
    }

    /// The same waits, at moments of its own.
    pub(in crate::drivers) fn of(self, name: &str) -> Self {
        let salt =
            name.bytes().fold(0, |salt: u64, byte| salt.wrapping_mul(31).wrapping_add(u64::from(byte)));
        Self { salt, ..self }
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
        self.failures = self.failures.saturating_add(1);
        self.waits.after(self.failures, self.salt)
    }

    /// Forgets all failures.
    pub(in crate::drivers) fn reset(&mut self) {
        self.failures = 0;
    }
}

/// A delay for people: `0.44 s`, `27.5 s`.
pub(in crate::drivers) fn in_seconds(delay: Duration) -> String {
    let hundredths = (delay.as_secs_f64() * 100.0).round() / 100.0;
    format!("{hundredths} s")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_to_the_limit_and_starts_over_after_a_good_run() {
        let mut backoff = Backoff::PROCESS.of("orders/0");
        let short = Duration::from_secs(59);
        for full in [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0] {
            let delay = backoff.after_run(short).as_secs_f64();
            assert!(delay <= full && delay >= full * 0.75, "{delay} of {full}");
        }
        assert!(backoff.after_run(Duration::from_secs(60)) <= Duration::from_millis(500));
        assert!(backoff.after_run(Duration::ZERO) > Duration::from_millis(500));
    }

    #[test]
    fn what_began_together_does_not_go_on_together() {
        let waits: std::collections::BTreeSet<Duration> =
            (0..50).map(|n| Backoff::RETRY.of(&format!("orders/{n}")).after_failure()).collect();
        assert!(waits.len() > 40, "{}", waits.len());
        assert_eq!(in_seconds(Duration::from_millis(437)), "0.44 s");
    }
}
