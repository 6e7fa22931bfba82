//! Asks one instance once, as a host would, for an author who wants to see a live answer.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crate::net::address::parse_address;
use crate::net::url::{HttpUrl, Scheme};
use crate::probe::{Target, once, once_of_all, placed, secrets};
use phasegate_core::domain::{
    Address, Answer, HealthSettings, Instance, InstanceFacts, Observation, PluginName, ProbeConnection,
    ProbeFailure, ProbeProtocol, Profile, ScaleSet, Shortage, Version,
};

/// Largest body that is taken; as large as a host takes by default.
const BODY_MAX: usize = 64 * 1024;

/// Whom to ask, how, and what the plugin is told of it.
pub struct Question<'a> {
    /// `http://`, `https://`, `tcp://`, `h2://`, `h2c://`, `grpc://` or `grpcs://`; with gRPC, its path is the
    /// name of the service.
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
        let Place { protocol, address, request_path, grpc_service } = place(self.url)?;
        let Self { url: _, timeout, request_headers, headers, facts } = self;
        let facts = Arc::new(facts);
        let settings = HealthSettings {
            profile: Profile::Fleet,
            protocol,
            port: None,
            request_path,
            grpc_service,
            identity: None,
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
        Ok(Observation {
            instance: facts,
            answers: [answer].into(),
            memory: None,
            attributes: vec![
                ("probe-protocol".to_owned(), protocol.name().to_owned()),
                ("address".to_owned(), at),
            ],
        })
    }
}

/// What the probe of a scale set brings that one of its instances answers.
pub type Probing = Pin<Box<dyn Future<Output = Result<Answer, Shortage>> + Send>>;

/// Asks one instance as its configuration says, with a limit for the whole exchange.
pub fn as_configured<D>(set: &ScaleSet<D>, instance: &Instance, timeout: Duration) -> Probing {
    Box::pin(once(target(set, instance, (Some(timeout), None, None))))
}

/// What a host hands to the plugin of a scale set when it has asked all sources of an instance; what one of them sends
/// back of its own secret is not in it. `timeout` goes in place of the one of the first source.
///
/// # Errors
/// When nobody can be asked.
pub async fn of_all_sources<D>(
    set: &ScaleSet<D>,
    instance: &Instance,
    (timeout, version, desired_version): (Option<Duration>, Option<Version>, Option<Version>),
) -> Result<Observation, AskError> {
    let target = target(set, instance, (timeout, version, desired_version));
    let (facts, at) = (Arc::clone(&target.facts), target.address.to_string());
    let secrets = secrets(&target.settings.sources).await;
    let mut answers = once_of_all(target).await.map_err(AskError::Short)?;
    answers.iter_mut().for_each(|answer| without(answer, &secrets));
    Ok(Observation {
        instance: facts,
        answers: answers.into(),
        memory: None,
        attributes: vec![
            ("probe-protocol".to_owned(), set.health.protocol_name().to_owned()),
            ("address".to_owned(), at),
        ],
    })
}

/// An instance as a host would ask it.
fn target<D>(
    set: &ScaleSet<D>,
    instance: &Instance,
    (timeout, version, desired_version): (Option<Duration>, Option<Version>, Option<Version>),
) -> Target {
    let facts = InstanceFacts::of(instance, &set.name, (version, desired_version));
    let timeout = timeout.unwrap_or(set.health.timeout);
    let settings = Arc::new(HealthSettings { timeout, ..set.health.clone() });
    let (plugin, address) = (set.plugin.clone(), instance.address.clone());
    placed(Target { plugin, facts: Arc::new(facts), address, settings, epoch: 0 })
}

/// What stands in place of a secret.
const TAKEN_OUT: &str = "[redacted]";

/// Takes secrets out of an answer.
fn without(answer: &mut Answer, secrets: &[String]) {
    let in_text = |text: &mut String| {
        for secret in secrets {
            *text = text.replace(secret, TAKEN_OUT);
        }
    };
    match &mut answer.outcome {
        Ok(response) => {
            response.headers.iter_mut().for_each(|(_, value)| in_text(value));
            for secret in secrets {
                response.body = replaced(&response.body, secret.as_bytes());
            }
        }
        Err(ProbeFailure::Unreachable(why) | ProbeFailure::Tls(why) | ProbeFailure::InvalidResponse(why)) => {
            in_text(why)
        }
        Err(ProbeFailure::Timeout | ProbeFailure::BodyTooLarge(_)) => {}
    }
}

/// Bytes with other ones in place of each secret.
fn replaced(bytes: &[u8], secret: &[u8]) -> Vec<u8> {
    let mut all = Vec::with_capacity(bytes.len());
    let mut from = 0;
    for at in memchr::memmem::find_iter(bytes, secret) {
        all.extend_from_slice(bytes.get(from..at).unwrap_or_default());
        all.extend_from_slice(TAKEN_OUT.as_bytes());
        from = at + secret.len();
    }
    all.extend_from_slice(bytes.get(from..).unwrap_or_default());
    all
}

fn wrong(url: &str, why: &impl ToString) -> AskError {
    AskError::Url { url: url.to_owned(), why: why.to_string() }
}

/// What a URL says.
struct Place {
    protocol: ProbeProtocol,
    address: Address,
    request_path: String,
    grpc_service: String,
}

/// How each scheme is asked that is none of HTTP/1.1's, and which of those says what it looks like.
const SCHEMES: [(&str, ProbeProtocol, &str); 2] =
    [("h2://", ProbeProtocol::H2, "https://"), ("h2c://", ProbeProtocol::H2c, "http://")];

fn place(url: &str) -> Result<Place, AskError> {
    let blank = |protocol, address| Place {
        protocol,
        address,
        request_path: String::new(),
        grpc_service: String::new(),
    };
    if let Some(rest) = url.strip_prefix("tcp://") {
        let address = parse_address(rest).map_err(|error| wrong(url, &error))?;
        return Ok(blank(ProbeProtocol::Tcp, address));
    }
    for (scheme, protocol) in [("grpc://", ProbeProtocol::Grpc), ("grpcs://", ProbeProtocol::Grpcs)] {
        if let Some(rest) = url.strip_prefix(scheme) {
            let (address, service) = rest.split_once('/').unwrap_or((rest, ""));
            let address = parse_address(address).map_err(|error| wrong(url, &error))?;
            return Ok(Place { grpc_service: service.to_owned(), ..blank(protocol, address) });
        }
    }
    for (scheme, protocol, like) in SCHEMES {
        if let Some(rest) = url.strip_prefix(scheme) {
            let parsed = HttpUrl::parse(&format!("{like}{rest}")).map_err(|error| wrong(url, &error))?;
            return Ok(Place { request_path: parsed.target, ..blank(protocol, parsed.address) });
        }
    }
    let parsed = HttpUrl::parse(url).map_err(|error| wrong(url, &error))?;
    let protocol = match parsed.scheme {
        Scheme::Http => ProbeProtocol::Http,
        Scheme::Https => ProbeProtocol::Https,
    };
    Ok(Place { request_path: parsed.target, ..blank(protocol, parsed.address) })
}
