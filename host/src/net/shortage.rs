//! What this host is short of: told from other failures, counted, and said once.
//!
//! It is the host's trouble and never that of whoever was to be asked. Deliberately frees nothing and waits for
//! nothing.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use phasegate_core::domain::Shortage;
use rustix::io::Errno;
use tokio::time::Instant;

/// A shortage that was not met for so long is over; one that comes later is said again.
const OVER_AFTER: Duration = Duration::from_secs(60);

/// How long connections are closed with a reset after ports ran out.
const PORTS_AGAIN_AFTER: Duration = Duration::from_secs(600);

/// What the host was short of when this failed; none when it failed for another reason.
pub(crate) fn shortage(error: &io::Error) -> Option<Shortage> {
    let errno = Errno::from_io_error(error)?;
    match errno {
        Errno::MFILE | Errno::NFILE => Some(Shortage::Descriptors),
        Errno::NOBUFS | Errno::NOMEM => Some(Shortage::Memory),
        Errno::ADDRNOTAVAIL => Some(Shortage::Ports),
        _ => None,
    }
}

/// As [`shortage`], of an attempt to connect to a name. The system says only that it could not look the name
/// up when it had no descriptor left for asking.
pub(crate) fn shortage_at_connect(error: &io::Error) -> Option<Shortage> {
    if error.raw_os_error().is_some() {
        return shortage(error);
    }
    rustix::io::dup(std::io::stderr()).err().and_then(|errno| shortage(&errno.into()))
}

/// When the host was last short of ports.
static SHORT_OF_PORTS: Mutex<Option<Instant>> = Mutex::new(None);

/// Whether ports ran out a short while ago: then a connection that is closed must not keep its port in
/// TIME_WAIT for a minute.
pub(crate) fn is_short_of_ports() -> bool {
    let since = *SHORT_OF_PORTS.lock().unwrap_or_else(PoisonError::into_inner);
    since.is_some_and(|since| since.elapsed() < PORTS_AGAIN_AFTER)
}

/// What the host could not do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missed {
    /// Ask an instance.
    Probe,
    /// Take in a connection to its API.
    Connection,
}

impl Missed {
    fn text(self) -> &'static str {
        match self {
            Self::Probe => {
                "instances are not asked; they keep their last health, and no upgrade goes forward on what is old"
            }
            Self::Connection => "connections to the API wait",
        }
    }
}

/// How often the host was short of what since it started.
#[derive(Debug, Default)]
pub struct Shortages {
    probes: Counts,
    connections: Counts,
    latest: Mutex<Latest>,
}

#[derive(Debug, Default)]
struct Counts {
    descriptors: AtomicU64,
    memory: AtomicU64,
    ports: AtomicU64,
}

#[derive(Debug, Default)]
struct Latest {
    said: Vec<(Missed, Shortage)>,
    at: Option<Instant>,
}

impl Shortages {
    /// Counts one, and says so when it is the first of its kind.
    pub(crate) fn met(&self, missed: Missed, short_of: Shortage) {
        self.counter(missed, short_of).fetch_add(1, Ordering::Relaxed);
        if short_of == Shortage::Ports {
            *SHORT_OF_PORTS.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        }
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        latest.at = Some(Instant::now());
        if latest.said.contains(&(missed, short_of)) {
            return;
        }
        latest.said.push((missed, short_of));
        drop(latest);
        tracing::warn!("short of {short_of}: {}; {}", missed.text(), hint(short_of));
    }

    /// Something worked; says so when a shortage has been over for a while.
    pub(crate) fn worked(&self) {
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        if latest.at.is_some_and(|at| at.elapsed() >= OVER_AFTER) {
            *latest = Latest::default();
            drop(latest);
            tracing::info!("the host is no longer short of anything");
        }
    }

    /// How often it was short of something when it had to do something.
    #[must_use]
    pub fn count(&self, missed: Missed, short_of: Shortage) -> u64 {
        self.counter(missed, short_of).load(Ordering::Relaxed)
    }

    fn counter(&self, missed: Missed, short_of: Shortage) -> &AtomicU64 {
        let counts = match missed {
            Missed::Probe => &self.probes,
            Missed::Connection => &self.connections,
        };
        match short_of {
            Shortage::Descriptors => &counts.descriptors,
            Shortage::Memory => &counts.memory,
            Shortage::Ports => &counts.ports,
        }
    }
}

/// The limit, and what to do.
fn hint(short_of: Shortage) -> String {
    match short_of {
        Shortage::Descriptors => {
            let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
            let limit = limit.map_or_else(|| "none".to_owned(), |limit| limit.to_string());
            format!(
                "the limit of this process is {limit}: raise it with `ulimit -n` or LimitNOFILE=, that of the \
                 machine with fs.file-max"
            )
        }
        Shortage::Memory => "give the machine more memory, or ask less often".to_owned(),
        Shortage::Ports => {
            "widen net.ipv4.ip_local_port_range, ask less often, or give the machine an address of the family \
             that is asked"
                .to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_host_is_short_of_is_told_from_what_others_do() {
        let of = |errno: Errno| shortage(&io::Error::from_raw_os_error(errno.raw_os_error()));
        for (errno, expected) in [
            (Errno::MFILE, Some(Shortage::Descriptors)),
            (Errno::NFILE, Some(Shortage::Descriptors)),
            (Errno::NOBUFS, Some(Shortage::Memory)),
            (Errno::NOMEM, Some(Shortage::Memory)),
            (Errno::ADDRNOTAVAIL, Some(Shortage::Ports)),
            (Errno::CONNREFUSED, None),
            (Errno::TIMEDOUT, None),
            (Errno::ADDRINUSE, None),
        ] {
            assert_eq!(of(errno), expected, "{errno:?}");
        }
        assert_eq!(shortage(&io::Error::other("no such host")), None);
        assert_eq!(
            shortage_at_connect(&io::Error::other("no such host")),
            None,
            "there are descriptors left"
        );
    }

    #[test]
    fn each_is_counted_by_itself() {
        let seen = Shortages::default();
        (0..3).for_each(|_| seen.met(Missed::Probe, Shortage::Descriptors));
        seen.met(Missed::Connection, Shortage::Memory);
        seen.worked();
        assert_eq!(seen.count(Missed::Probe, Shortage::Descriptors), 3);
        assert_eq!(seen.count(Missed::Connection, Shortage::Memory), 1);
        assert_eq!(seen.count(Missed::Connection, Shortage::Descriptors), 0);
    }
}
