//! What all plugins of a configuration together may take of the machine, and whether that is there.
//!
//! Adds up limits; deliberately measures nothing: a plugin that is well takes far less.

use crate::config::Config;
use crate::plugins::WORKER_STACK_BYTES;
use phasegate_wire as wire;

/// The system's word about its memory, and about that of a container.
const MEMORY: [&str; 2] = ["/proc/meminfo", "/sys/fs/cgroup/memory.max"];

/// Adds up; with a warning where it is more than there is.
pub(super) fn reserved(config: &Config) -> (wire::CheckReserved, Option<wire::CheckWarning>) {
    let plugins = u64::try_from(config.plugins.len()).unwrap_or(u64::MAX);
    let memory_mib =
        config.plugins.iter().map(|plugin| u64::from(plugin.spec.limits.memory_mib)).sum::<u64>();
    let stack = u64::try_from(WORKER_STACK_BYTES >> 20).unwrap_or(0);
    let stack_mib = plugins.saturating_mul(stack);
    let compiler = config.plugins.iter().map(|plugin| u64::from(plugin.spec.limits.compile.memory_mib)).max();
    let compiler_mib = compiler.unwrap_or(0);
    let machine_mib = machine(&MEMORY.map(|path| std::fs::read_to_string(path).unwrap_or_default()));
    let most = memory_mib.saturating_add(stack_mib).saturating_mul(2);
    let reserved = wire::CheckReserved {
        memory_mib,
        stack_mib,
        compiler_mib,
        beside_mib: memory_mib + stack_mib,
        machine_mib,
    };
    let warning = machine_mib.filter(|has| most > *has).map(|has| wire::CheckWarning {
        scale_set: None,
        plugin: None,
        code: wire::WarningCode::Memory,
        message: format!(
            "{plugins} plugins may take {memory_mib} MiB by limits.memoryMiB (memories and tables) and {stack_mib} MiB of \
             stacks, and as much again while others judge beside them: {most} MiB in all, and this machine has {has} MiB; \
             lower limits.memoryMiB"
        ),
    });
    (reserved, warning)
}

/// The memory of the machine, or of the container where that is less; none where the system does not say.
fn machine([system, container]: &[String; 2]) -> Option<u64> {
    let total = system.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let total = total.and_then(|text| text.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    let total = total.map(|kib| kib >> 10);
    let bound = container.trim().parse::<u64>().ok().map(|bytes| bytes >> 20);
    total.into_iter().chain(bound).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smaller_bound_counts() {
        let system = "MemTotal:       16384000 kB\nMemFree: 1 kB\n";
        for (system, container, expected) in [
            (system, "max\n", Some(16_000)),
            (system, "1073741824\n", Some(1024)),
            ("", "1073741824", Some(1024)),
            ("", "", None),
        ] {
            assert_eq!(machine(&[system.to_owned(), container.to_owned()]), expected);
        }
    }
}
