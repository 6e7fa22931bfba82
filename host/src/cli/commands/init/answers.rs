//! What is to be written: from flags, and on a terminal from questions.
//!
//! Looks no name up and asks no instance.

use std::collections::BTreeSet;
use std::io::{BufRead as _, IsTerminal as _};
use std::path::Path;

use anyhow::{Context as _, anyhow, bail};

use crate::cli::args::{InitArgs, InitDriver, InitProtocol};
use crate::cli::output;
use crate::net::address::parse_address;
use phasegate_core::domain::Address;

/// Most instances that are written as lines; larger fleets are found.
const INSTANCES_MAX: usize = 1_000;

/// Answers to one question that are taken back because they are wrong.
const TRIES_MAX: usize = 5;

/// What is known.
pub(super) struct Given {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) addresses: Vec<Address>,
    pub(super) protocol: InitProtocol,
    pub(super) path: String,
    pub(super) driver: InitDriver,
    pub(super) command: Option<Vec<String>>,
}

/// Whether all of it is known.
pub(super) enum Wanted {
    Complete(Given),
    /// What is to be given, for people.
    Lacks(String),
}

/// Flags, and whom to ask for the rest.
pub(super) struct Answers<'a> {
    args: &'a InitArgs,
    asks: Asks,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Asks {
    Terminal,
    Nobody,
}

impl<'a> Answers<'a> {
    pub(super) fn of(args: &'a InitArgs) -> Self {
        let is_terminal = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
        Self { args, asks: if is_terminal { Asks::Terminal } else { Asks::Nobody } }
    }

    /// All of it.
    pub(super) fn wanted(&self) -> anyhow::Result<Wanted> {
        let args = self.args;
        if args.ports.is_none() && args.hosts.is_none() && self.asks == Asks::Nobody {
            return Ok(Wanted::Lacks(
                "nobody can be asked here; give --ports 9001-9005 (with --host), or --hosts FILE with one host \
                 a line, and if need be --protocol, --path and --driver"
                    .to_owned(),
            ));
        }
        let addresses = match (&args.ports, &args.hosts) {
            (Some(ports), _) => of_ports(&args.host, ports)?,
            (None, Some(file)) => of_file(file, args.port)?,
            (None, None) => {
                let question = "Ports of this machine, such as 9001-9005, or a file with one host a line";
                self.until(question, "", |said| {
                    if said.starts_with(|first: char| first.is_ascii_digit()) {
                        of_ports(&args.host, said)
                    } else {
                        of_file(Path::new(said), args.port)
                    }
                })?
            }
        };
        let protocol = match args.protocol {
            Some(protocol) => protocol,
            None => self.choose("How are they asked: http, https or tcp", "http", InitProtocol::Http)?,
        };
        let path = match (&args.path, protocol) {
            (Some(path), _) => path.clone(),
            (None, InitProtocol::Tcp) => String::new(),
            (None, InitProtocol::Http | InitProtocol::Https) => {
                self.until("What are they asked for", "/health", |said| {
                    anyhow::ensure!(said.starts_with('/'), "a path begins with /, such as /health");
                    Ok(said.to_owned())
                })?
            }
        };
        let driver = match args.driver {
            Some(driver) => driver,
            None => self.choose(
                "What brings a version: command, process or http",
                "command",
                InitDriver::Command,
            )?,
        };
        let mut command = args.command.clone();
        if command.is_none() && driver != InitDriver::Command {
            let (question, what) = match driver {
                InitDriver::Process => (
                    "The program that is started",
                    "--command \"./server --port {port} --version {version}\"",
                ),
                InitDriver::Http | InitDriver::Command => {
                    ("The URL of the agent", "--command http://agent:8080/instances/{id}")
                }
            };
            if self.asks == Asks::Nobody {
                return Ok(Wanted::Lacks(format!("the driver needs to know more: give for example {what}")));
            }
            let example = what.trim_start_matches("--command ").trim_matches('"');
            command =
                Some(self.until(&format!("{question}, such as {example}"), "", |said| Ok(said.to_owned()))?);
        }
        let command = command.as_ref().map(|text| text.split_whitespace().map(str::to_owned).collect());
        let (name, version) = (args.name.clone(), args.version.clone());
        Ok(Wanted::Complete(Given { name, version, addresses, protocol, path, driver, command }))
    }

    /// One answer from the terminal, asked for again while it is wrong; what stands there already where it is empty, or
    /// where nobody can be asked.
    fn until<T>(
        &self,
        question: &str,
        preset: &str,
        parse: impl Fn(&str) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        if self.asks == Asks::Nobody {
            return parse(preset);
        }
        let shown = if preset.is_empty() { String::new() } else { format!(" [{preset}]") };
        for _ in 0..TRIES_MAX {
            output::talk(&format!("{question}{shown}: "));
            let mut line = String::new();
            if std::io::stdin().lock().read_line(&mut line).context("cannot read the answer")? == 0 {
                bail!("the answers ended before all was known; nothing was written");
            }
            let said = if line.trim().is_empty() { preset } else { line.trim() };
            let parsed = if said.is_empty() { Err(anyhow!("this has to be given")) } else { parse(said) };
            match parsed {
                Ok(value) => return Ok(value),
                Err(error) => output::talk(&format!("{error:#}\n")),
            }
        }
        bail!("{TRIES_MAX} answers could not be used; nothing was written")
    }

    fn choose<T: clap::ValueEnum + Copy>(
        &self,
        question: &str,
        preset: &str,
        default: T,
    ) -> anyhow::Result<T> {
        self.until(question, preset, |said| {
            if said == preset {
                return Ok(default);
            }
            T::from_str(said, true).map_err(|_| anyhow!("`{said}` is none of these"))
        })
    }
}

/// `9001-9005`, `9001,9003`, or both.
fn of_ports(host: &str, text: &str) -> anyhow::Result<Vec<Address>> {
    let number = |text: &str| {
        let port = text.trim().parse::<u16>().ok().filter(|port| *port > 0);
        port.with_context(|| format!("--ports has `{text}`; give numbers from 1 to 65535, such as 9001-9005"))
    };
    let mut ports = BTreeSet::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (number(first)?, number(last)?);
        if last < first {
            bail!("--ports has `{part}`, which ends before it begins");
        }
        ports.extend(first..=last);
    }
    within(ports.into_iter().map(|port| Address { host: host.to_owned(), port }).collect(), "--ports")
}

/// One host a line.
fn of_file(path: &Path, port: Option<u16>) -> anyhow::Result<Vec<Address>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()))?;
    let mut all: Vec<Address> = Vec::new();
    // Windows programs put a byte-order mark in front.
    for (number, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        let place = || format!("`{}` line {}: `{line}`", path.display(), number + 1);
        let address = match (parse_address(line), port) {
            (Ok(address), _) => address,
            (Err(_), Some(port)) => {
                parse_address(&format!("{line}:{port}")).map_err(|error| anyhow!("{} {error}", place()))?
            }
            (Err(error), None) => {
                bail!("{} {error}; give host:port, or --port for all that name none", place())
            }
        };
        if all.contains(&address) {
            bail!("{} stands there twice", place());
        }
        all.push(address);
    }
    within(all, "--hosts")
}

fn within(all: Vec<Address>, flag: &str) -> anyhow::Result<Vec<Address>> {
    match all.len() {
        0 => bail!("{flag} names no instance"),
        count if count > INSTANCES_MAX => {
            bail!(
                "{flag} names {count} instances (limit {INSTANCES_MAX}); let a larger fleet be found, see scaleSets.discovery"
            )
        }
        _ => Ok(all),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_numbers_and_ranges() {
        let ports = |text: &str| {
            let all = of_ports("10.0.0.1", text).map_err(|error| error.to_string())?;
            Ok::<_, String>(all.into_iter().map(|one| one.port).collect::<Vec<_>>())
        };
        assert_eq!(ports("9001-9003"), Ok(vec![9001, 9002, 9003]));
        assert_eq!(ports("9003, 9001,9003"), Ok(vec![9001, 9003]));
        for (bad, said) in [
            ("9005-9001", "ends before it begins"),
            ("0", "from 1 to 65535"),
            ("a-b", "from 1 to 65535"),
            ("", "from 1 to 65535"),
            ("1-65535", "limit 1000"),
        ] {
            assert!(ports(bad).unwrap_err().contains(said), "{bad}");
        }
    }

    #[test]
    fn a_file_names_one_host_a_line() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("hosts");
        let hosts = |text: &str, port| {
            std::fs::write(&path, text).unwrap();
            let all = of_file(&path, port).map_err(|error| error.to_string())?;
            Ok::<_, String>(all.into_iter().map(|one| one.to_string()).collect::<Vec<_>>())
        };
        let text = "# the first rack\ndb-1:5432\n\n  db-2 # slow\n[::1]:80\n";
        assert_eq!(
            hosts(text, Some(5433)),
            Ok(["db-1:5432", "db-2:5433", "[::1]:80"].map(str::to_owned).to_vec())
        );
        assert!(hosts(text, None).unwrap_err().contains("line 4: `db-2`"));
        assert!(hosts("a:1\na:1\n", None).unwrap_err().contains("twice"));
        assert!(hosts("# nobody\n", None).unwrap_err().contains("names no instance"));
    }
}
