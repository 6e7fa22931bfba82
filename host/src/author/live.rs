//! Asks one instance once, as a host would, for an author who wants to see a live answer.

use std::sync::Arc;
use std::time::Duration;

use crate::net::address::parse_address;
use crate::net::url::{HttpUrl, Scheme};
use crate::probe::{Target, once};
use phasegate_core::domain::{
    Address, HealthSettings, InstanceFacts, Observation, PluginName, ProbeConnection, ProbeProtocol, Profile,
    Shortage,
};

/// Largest body that is taken; as large as a host takes by default.
const BODY_MAX: usize = 64 * 1024;

/// Whom to ask, how, and what the plugin is told of it.
pub struct Question<'a> {
    /// `http://`, `https://` or `tcp://`.
    pub url: &'a str,
    /// Limit for the whole exchange.
    pub timeout: Duration,
    /// Headers that are sent.
    pub request_headers: Vec<(String, String)>,
    /// Headers of the answer, in lower case, that the plugin gets to see.
    pub headers: Vec<String>,
    /// What the plugin is told.
    pub facts: InstanceFacts,
}

/// Why nobody was asked.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// It says nowhere.
    #[error("`{url}` {why}")]
    Url {
        /// What was given.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// There is not enough of something here.
    #[error("this machine is short of {0}")]
    Short(Shortage),
}

impl Question<'_> {
    /// What a host would hand to the plugin; an instance that does not answer is an answer, too.
    ///
    /// # Errors
    /// When nobody can be asked.
    pub async fn ask(self) -> Result<Observation, AskError> {
        let (protocol, address, request_path) = place(self.url)?;
        let Self { url: _, timeout, request_headers, headers, facts } = self;
        let facts = Arc::new(facts);
        let settings = HealthSettings {
            profile: Profile::Fleet,
            protocol,
            port: None,
            request_path,
            connection: ProbeConnection::Close,
            interval: timeout,
            timeout,
            number_of_probes: 1,
            grace_period: Duration::ZERO,
            body_max: BODY_MAX,
            headers,
            request_headers,
            sources: Vec::new(),
        };
        let plugin = PluginName::parse("try").map_err(|error| wrong("try", &error))?;
        let target =
            Target { plugin, facts: Arc::clone(&facts), address, settings: Arc::new(settings), epoch: 0 };
        let at = target.address.to_string();
        let answer = once(target).await.map_err(AskError::Short)?;
        let protocol = match protocol {
            ProbeProtocol::Tcp => "tcp",
            ProbeProtocol::Http => "http",
            ProbeProtocol::Https => "https",
        };
        Ok(Observation {
            instance: facts,
            answers: vec![answer],
            memory: None,
            attributes: vec![("probe-protocol".to_owned(), protocol.to_owned()), ("address".to_owned(), at)],
        })
    }
}

fn wrong(url: &str, why: &impl ToString) -> AskError {
    AskError::Url { url: url.to_owned(), why: why.to_string() }
}

fn place(url: &str) -> Result<(ProbeProtocol, Address, String), AskError> {
    if let Some(rest) = url.strip_prefix("tcp://") {
        let address = parse_address(rest).map_err(|error| wrong(url, &error))?;
        return Ok((ProbeProtocol::Tcp, address, String::new()));
    }
    let parsed = HttpUrl::parse(url).map_err(|error| wrong(url, &error))?;
    let protocol = match parsed.scheme {
        Scheme::Http => ProbeProtocol::Http,
        Scheme::Https => ProbeProtocol::Https,
    };
    Ok((protocol, parsed.address, parsed.target))
}
