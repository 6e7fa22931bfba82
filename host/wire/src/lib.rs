//! The JSON of the HTTP API, version 1, and of every `--json`: what the host sends and the command line
//! reads.
//!
//! One file per subject. Field order is the order on the wire. Absent values are null, never left out,
//! unless the field says so. Deliberately without any type of the core: what is promised to others
//! changes only here, on purpose.

mod check;
mod decision;
mod error;
mod fleet;
mod line;
mod log;
mod plan;
mod plugin;
mod reload;
mod upgrade;

pub use check::{Check, CheckProblem, CheckScaleSet, CheckWarning};
pub use decision::{Evaluation, Explanation, PluginCounts};
pub use error::{Error, ErrorBody, ErrorDetail};
pub use fleet::{Fleet, Instance, ScaleSet, Stamp, StandsIn};
pub use line::Line;
pub use log::{Log, LogEntry};
pub use plan::{Frozen, Hold, Limits, Plan, PlanBatch, PlanDetail, Warning};
pub use plugin::{
    Plugin, PluginChange, PluginCounters, PluginDiff, PluginFailing, PluginGeneration, PluginHistory,
    PluginLoad, PluginStage, PluginSwap, PluginVerdict, Plugins,
};
pub use reload::Reload;
pub use upgrade::{
    Estimate, Progress, ReasonRequest, RollsBack, StartRequest, Status, StatusBatch, StatusDetail,
};
