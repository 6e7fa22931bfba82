//! One look for a person who asks what a source says. Keeps nothing and tells nobody.

use super::entries::{self, Instances};
use super::read::{self, Brought, ReadSourceError};
use super::{DiscoveryConfig, Listed, targets};

/// What a source names now.
#[derive(Debug, Clone)]
pub struct Once {
    /// Instances that could be members, beside those of the configuration.
    pub instances: Listed,
    /// Entries that are refused.
    pub refused: usize,
    /// The first of them, a line each.
    pub problems: Vec<String>,
}

/// Looks once, and waits as long as the configuration allows.
///
/// # Errors
/// When the source says nothing that can be read.
pub fn look_once(config: &DiscoveryConfig, listed: &Listed) -> Result<Once, ReadSourceError> {
    let ended = |error: std::io::Error| ReadSourceError::Ended(error.to_string());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(ended)?;
    let looking = async { tokio::time::timeout(config.timeout, read::look(&config.source)).await };
    let brought = runtime.block_on(looking).unwrap_or(Err(ReadSourceError::Slow(config.timeout)))?;
    runtime.shutdown_background();
    let groups = match brought {
        Brought::Groups(groups) => groups,
        Brought::Bytes(bytes, language) => targets::parse(&bytes, language)?,
    };
    let found = entries::instances(groups, config, (listed, &Instances::new()))?;
    let entries::Refused { count, told, unknown: _ } = found.refused;
    Ok(Once { instances: found.instances.into(), refused: count, problems: told })
}
