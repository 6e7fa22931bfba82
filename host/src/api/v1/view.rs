//! From what the host reports to what the API writes: JSON types, and sentences for people. The only place
//! where either is made of the fleet.

mod fleet;
mod helps;
mod log;
mod past;
mod plan;
mod progress;
mod received;
pub(crate) mod release;
mod sets;
mod status;
mod waiting;

pub(crate) use fleet::{fleet, one_of};
pub(crate) use log::{admission, entry, line, log};
pub(crate) use past::{latest_upgrades, past_upgrades, quarantined};
pub(crate) use plan::plan;
pub(crate) use progress::progress;
pub(crate) use received::recorded_custom_metrics;
pub(crate) use sets::scale_sets;
pub(crate) use status::{in_numbers, status};

use phasegate_core::domain::Phase;
use phasegate_core::plan::Hold;
use phasegate_wire as wire;

/// Instances that are left alone, with the reason.
fn holds<'a>(holds: impl IntoIterator<Item = &'a Hold>) -> Vec<wire::Hold> {
    let hold = |hold: &Hold| wire::Hold {
        instance: hold.instance.to_string(),
        reason: hold.reason.to_string(),
        code: Some(crate::words::hold_code(&hold.reason)),
        phase: hold.phase.map(Phase::get),
        participation: hold.says.map(crate::words::participation),
    };
    holds.into_iter().map(hold).collect()
}
