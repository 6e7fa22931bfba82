//! The command line: arguments in, output and an exit code out.
//!
//! Commands that look at or steer a running host speak to its HTTP API and hold no state of their
//! own.

pub mod args;
pub mod client;
pub mod commands;
pub mod exit;
pub mod output;
pub mod progress;
pub mod stream;
pub mod target;

use clap::Parser;

use args::{Cli, Command};
use exit::Exit;

use crate::log::{self, Format, Writes};

/// Parses the arguments, runs the command and gives the exit code.
#[must_use]
pub fn main() -> std::process::ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are answers (0); everything else could not run (2).
            let code = if error.use_stderr() { Exit::CouldNotRun } else { Exit::Done };
            let _ = error.print();
            return code.into();
        }
    };
    match &cli.command {
        Command::Run(args) => log::begin("info", args.log_format.into(), Writes::Aside),
        _ => log::begin("warn", Format::Text, Writes::Itself),
    }
    let result = match cli.command {
        Command::Run(args) => commands::run::run(&args),
        Command::Init(args) => commands::init::run(&args),
        Command::Check(args) => commands::check::run(&args),
        Command::Config(command) => commands::config::run(&command),
        Command::Data(args) => commands::data::run(&args),
        Command::Demo(args) => commands::demo::run(&args),
        Command::Fleet(args) => commands::fleet::run(&args),
        Command::Instance(args) => commands::instance::run(&args),
        Command::Line(args) => commands::line::run(&args),
        Command::Log(args) => commands::upgrade::log(&args),
        Command::Status(args) => commands::status::run(&args),
        Command::Upgrade(args) => commands::upgrade::run(&args),
        Command::Token(args) => commands::token::run(&args),
        Command::Plugin(args) => commands::plugin::run(&args),
        Command::Quarantine(args) => commands::quarantine::run(&args),
        Command::Extension(args) => commands::extension::run(&args),
        Command::Release(args) => commands::release::run(&args),
        Command::Feature(args) => commands::extension::feature(&args),
        Command::Repair(args) => commands::quarantine::repair(&args),
        Command::Discovery(args) => commands::discovery::run(&args),
        Command::Reload(args) => commands::reload::run(&args),
        Command::Simulate(args) => commands::simulate::run(&args),
        Command::Guard(args) => commands::hidden::guard(&args),
        Command::Keep(args) => commands::hidden::keep(args),
        Command::Compile(args) => commands::hidden::compile(&args),
        Command::DemoDatabase(args) => commands::hidden::demo_database(args),
    };
    let exit = exit::report(result);
    log::finish();
    exit.into()
}
