//! The arguments of `phasegate init`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// Options of `init`. On a terminal it asks for what is not given.
#[derive(Debug, Args)]
pub struct InitArgs {
    /// Instances at these ports of one host, such as 9001-9005 or 9001,9003
    #[arg(long, conflicts_with = "hosts")]
    pub ports: Option<String>,
    /// The host of these ports
    #[arg(long, default_value = "127.0.0.1")]
    pub host: String,
    /// Instances as a file names them: a host, or host:port, one a line; `#` begins a comment
    #[arg(long, value_name = "FILE")]
    pub hosts: Option<PathBuf>,
    /// The port of hosts that are named without one
    #[arg(long)]
    pub port: Option<u16>,
    /// How instances are asked
    #[arg(long, value_enum)]
    pub protocol: Option<InitProtocol>,
    /// What they are asked for over HTTP, such as /health
    #[arg(long)]
    pub path: Option<String>,
    /// How an instance is made to run a version
    #[arg(long, value_enum)]
    pub driver: Option<InitDriver>,
    /// The driver's program with its arguments, in one text without quotes; of an http driver the URL of its agent
    #[arg(long, value_name = "TEXT")]
    pub command: Option<String>,
    /// Name of the scale set
    #[arg(long, default_value = "web")]
    pub name: String,
    /// Version that the instances run now
    #[arg(long = "model-version", value_name = "VERSION", default_value = "v1")]
    pub version: String,
    /// Where the configuration goes; `-` prints it. A file that is there stays as it is
    #[arg(long, short, default_value = "phasegate.toml", value_name = "FILE")]
    pub output: PathBuf,
}

/// How instances are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum InitProtocol {
    /// GET
    Http,
    /// GET over TLS
    Https,
    /// Whether a connection opens
    Tcp,
}

/// The kinds of drivers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum InitDriver {
    /// A program of yours brings an instance to a version
    Command,
    /// The host starts each instance as a process
    Process,
    /// An agent brings an instance to a version
    Http,
}
