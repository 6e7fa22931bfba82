//! What the system says of this process, under the names that every exporter uses. Linux only; elsewhere nothing.

/// What is known of it.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Process {
    /// User and system time, in seconds.
    pub(super) cpu_seconds: f64,
    /// In bytes.
    pub(super) resident: f64,
    /// In bytes.
    pub(super) virtual_size: f64,
    /// Open descriptors.
    pub(super) open_fds: f64,
    /// As many as it may open.
    pub(super) max_fds: f64,
    /// Threads.
    pub(super) threads: f64,
    /// Since the epoch.
    pub(super) started_at: f64,
}

/// Reads it; none where the system does not say.
pub(super) fn read() -> Option<Process> {
    let text = |path: &str| std::fs::read_to_string(path).ok();
    let open = std::fs::read_dir("/proc/self/fd").ok()?.count();
    // The one that reads them is among them.
    let open_fds = f64::from(u32::try_from(open.saturating_sub(1)).ok()?);
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let max_fds = limit.and_then(|limit| u32::try_from(limit).ok()).map_or(f64::INFINITY, f64::from);
    let ticks = rustix::param::clock_ticks_per_second();
    parse(&text("/proc/self/stat")?, &text("/proc/stat")?, ticks as f64, page()).map(|process| Process {
        open_fds,
        max_fds,
        ..process
    })
}

fn page() -> f64 {
    // A page is no larger than 2^32.
    u32::try_from(rustix::param::page_size()).map_or(4096.0, f64::from)
}

/// Fields of the two files by their place in `proc(5)`.
fn parse(own: &str, machine: &str, ticks: f64, page: f64) -> Option<Process> {
    // The name of the program may hold anything, a parenthesis too.
    let fields: Vec<&str> = own.rsplit_once(')')?.1.split_ascii_whitespace().collect();
    // The third field is the first here.
    let field = |number: usize| fields.get(number.checked_sub(3)?)?.parse::<f64>().ok();
    let booted = machine.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse::<f64>().ok()?;
    Some(Process {
        cpu_seconds: (field(14)? + field(15)?) / ticks,
        resident: field(24)? * page,
        virtual_size: field(23)?,
        threads: field(20)?,
        started_at: booted + field(22)? / ticks,
        ..Process::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_behind_whatever_name_the_program_has() {
        let own =
            "4711 (a) b) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0 17 0 1000 409600 25 18446744073709551615 1 1";
        let seen = parse(own, "cpu 1 2 3\nbtime 1700000000\nprocesses 5\n", 100.0, 4096.0).unwrap();
        assert_eq!((seen.cpu_seconds, seen.threads, seen.started_at), (2.0, 17.0, 1_700_000_010.0));
        assert_eq!((seen.virtual_size, seen.resident), (409_600.0, 102_400.0));
        assert_eq!(parse("", "", 100.0, 1.0), None);
    }

    #[test]
    fn this_process_has_descriptors_and_memory() {
        let seen = read().unwrap();
        assert!(seen.open_fds >= 3.0 && seen.max_fds >= seen.open_fds, "{seen:?}");
        assert!(seen.resident > 0.0 && seen.cpu_seconds >= 0.0 && seen.threads >= 1.0, "{seen:?}");
    }
}
