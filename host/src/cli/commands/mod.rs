//! One file per verb.

pub mod check;
pub mod config;
pub mod data;
pub mod demo;
pub mod discovery;
pub mod extension;
pub mod fleet;
pub mod follow;
pub mod hidden;
pub mod init;
pub mod instance;
pub mod line;
pub mod plugin;
pub mod quarantine;
pub mod release;
pub mod reload;
pub mod run;
pub mod simulate;
pub mod status;
pub mod token;
pub mod upgrade;
