//! References of components that are fetched: `https://…` and `oci://…`.
//!
//! Resolves no names and fetches nothing; `plugin::fetch` does.

use std::fmt;
use std::net::IpAddr;

use super::address::{InvalidAddressError, parse_address};
use super::url::{HttpUrl, InvalidUrlError, Scheme};
use phasegate_core::domain::{Address, Digest};

/// Longest repository and longest tag in bytes, as the distribution specification says.
const REPOSITORY_LEN_MAX: usize = 255;
const TAG_LEN_MAX: usize = 128;

/// The place of a component that is fetched. Displayed as it was typed, query included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteSource {
    text: String,
    place: RemotePlace,
}

/// What a reference means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RemotePlace {
    /// A file of a web server; https, or http on a loopback address.
    Url(HttpUrl),
    /// An artifact of a registry.
    Oci(OciReference),
}

/// `registry[:port]/repository:tag`, `…@sha256:…`, or both; then the digest counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OciReference {
    /// The registry as it was typed, without its port.
    pub host: String,
    /// Its port, if one was typed.
    pub port: Option<u16>,
    /// Name of the artifact, for example `policies/db`.
    pub repository: String,
    /// Name of a version that may move.
    pub tag: Option<String>,
    /// Digest of the manifest.
    pub manifest: Option<Digest>,
}

/// Why a text is no such reference; a fragment that follows the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRemoteError {
    /// Another scheme.
    #[error("has an unknown scheme; write https://…, oci://… or the path of a file")]
    Scheme,
    /// The URL.
    #[error(transparent)]
    Url(#[from] InvalidUrlError),
    /// In the clear, over a network.
    #[error(
        "would be fetched in the clear, which only a loopback address may be; write https://, or copy \
         the component and name the file"
    )]
    Clear,
    /// The registry.
    #[error("has no usable registry: it {0}")]
    Registry(#[from] InvalidAddressError),
    /// The repository.
    #[error(
        "has no usable repository; it is written in lower-case letters, digits and single `.`, `_`, `-` \
         between them, in parts with `/`, at most {REPOSITORY_LEN_MAX} bytes"
    )]
    Repository,
    /// Neither tag nor digest.
    #[error("names no version; add :TAG, or @sha256:… with the digest of the manifest")]
    Version,
    /// The tag.
    #[error("has no usable tag; letters, digits, `.`, `_` and `-`, at most {TAG_LEN_MAX}")]
    Tag,
    /// The digest.
    #[error("has no usable digest; write @sha256: and 64 hexadecimal digits")]
    Digest,
}

impl RemoteSource {
    /// Whether a text is a reference and not a path.
    #[must_use]
    pub fn looks_like(text: &str) -> bool {
        text.split_once("://").is_some_and(|(scheme, _)| {
            !scheme.is_empty() && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'+')
        })
    }

    /// Parses a reference.
    ///
    /// # Errors
    /// When the text has another form, or is to be fetched in the clear from another machine.
    pub fn parse(text: &str) -> Result<Self, InvalidRemoteError> {
        let (scheme, rest) = text.split_once("://").ok_or(InvalidRemoteError::Scheme)?;
        let place = match scheme.to_ascii_lowercase().as_str() {
            "http" | "https" => {
                let url = HttpUrl::parse(text)?;
                if url.scheme == Scheme::Http && !is_loopback(&url.address.host) {
                    return Err(InvalidRemoteError::Clear);
                }
                RemotePlace::Url(url)
            }
            "oci" => RemotePlace::Oci(OciReference::parse(rest)?),
            _ => return Err(InvalidRemoteError::Scheme),
        };
        Ok(Self { text: text.to_owned(), place })
    }

    /// What it means.
    #[must_use]
    pub fn place(&self) -> &RemotePlace {
        &self.place
    }

    /// Whether it always means the same bytes.
    #[must_use]
    pub fn is_fixed(&self) -> bool {
        matches!(&self.place, RemotePlace::Oci(OciReference { manifest: Some(_), .. }))
    }

    /// Whether both are of the same server; only then may one have the credentials of the other.
    #[must_use]
    pub fn is_same_server(&self, other: &Self) -> bool {
        match (&self.place, &other.place) {
            (RemotePlace::Url(one), RemotePlace::Url(other)) => one.is_same_origin(other),
            (RemotePlace::Oci(one), RemotePlace::Oci(other)) => {
                one.port == other.port && one.host.eq_ignore_ascii_case(&other.host)
            }
            (RemotePlace::Url(_), RemotePlace::Oci(_)) | (RemotePlace::Oci(_), RemotePlace::Url(_)) => false,
        }
    }
}

impl fmt::Display for RemoteSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl OciReference {
    fn parse(text: &str) -> Result<Self, InvalidRemoteError> {
        let (registry, rest) = text.split_once('/').ok_or(InvalidRemoteError::Repository)?;
        let has_port = registry.rfind(':') > registry.rfind(']');
        let complete = if has_port { registry.to_owned() } else { format!("{registry}:443") };
        let Address { host, port } = parse_address(&complete)?;
        let (rest, manifest) = match rest.split_once('@') {
            None => (rest, None),
            Some((rest, digest)) => (rest, Some(Digest::parse(digest).ok_or(InvalidRemoteError::Digest)?)),
        };
        let (repository, tag) = match rest.split_once(':') {
            None => (rest, None),
            Some((repository, tag)) => (repository, Some(tag)),
        };
        if repository.len() > REPOSITORY_LEN_MAX || !repository.split('/').all(is_repository_part) {
            return Err(InvalidRemoteError::Repository);
        }
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return Err(InvalidRemoteError::Tag);
        }
        if tag.is_none() && manifest.is_none() {
            return Err(InvalidRemoteError::Version);
        }
        Ok(Self {
            host,
            port: has_port.then_some(port),
            repository: repository.to_owned(),
            tag: tag.map(str::to_owned),
            manifest,
        })
    }

    /// What the registry is asked for: the digest, or else the tag.
    #[must_use]
    pub fn version(&self) -> String {
        let digest = self.manifest.map(|digest| digest.to_string());
        digest.or_else(|| self.tag.clone()).unwrap_or_default()
    }
}

/// Whether a reference of an artifact names a version, as one of a whole repository does not.
#[must_use]
pub fn looks_tagged(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("oci://") else { return false };
    rest.split_once('/').is_some_and(|(_, repository)| repository.contains([':', '@']))
}

/// Whether a host is this machine.
#[must_use]
pub fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Letters and digits, with `.`, `_`, `__` or any number of `-` between them.
fn is_repository_part(part: &str) -> bool {
    let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let separators = part.split(is_word).filter(|separator| !separator.is_empty());
    part.starts_with(is_word)
        && part.ends_with(is_word)
        && separators
            .into_iter()
            .all(|one| matches!(one, "." | "_" | "__") || one.bytes().all(|byte| byte == b'-'))
}

fn is_tag(tag: &str) -> bool {
    (1..=TAG_LEN_MAX).contains(&tag.len())
        && !tag.starts_with(['.', '-'])
        && tag.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHA: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    #[test]
    fn references_are_taken_apart() {
        let with_digest = format!("oci://registry.example.com/a/b-c__d@{SHA}");
        let with_both = format!("oci://127.0.0.1:5000/db:1.2_x@{SHA}");
        for (text, host, port, repository, tag, fixed) in [
            ("oci://registry.example.com/db:1", "registry.example.com", None, "db", Some("1"), false),
            (&with_digest, "registry.example.com", None, "a/b-c__d", None, true),
            (&with_both, "127.0.0.1", Some(5000), "db", Some("1.2_x"), true),
            ("oci://[::1]:5000/a.b/c:latest", "::1", Some(5000), "a.b/c", Some("latest"), false),
            ("oci://[::1]/c:V", "::1", None, "c", Some("V"), false),
        ] {
            let source = RemoteSource::parse(text).unwrap();
            let RemotePlace::Oci(reference) = source.place() else { panic!("{text}") };
            let OciReference { host: h, port: p, repository: r, tag: t, manifest: _ } = reference;
            assert_eq!((h.as_str(), *p, r.as_str(), t.as_deref()), (host, port, repository, tag), "{text}");
            assert_eq!((source.is_fixed(), source.to_string().as_str()), (fixed, text));
        }
        for text in ["https://h/x.wasm?a=b", "http://127.0.0.1:1/x", "http://localhost/x", "http://[::1]/x"] {
            assert!(matches!(RemoteSource::parse(text).unwrap().place(), RemotePlace::Url(_)), "{text}");
        }
    }

    #[test]
    fn other_texts_say_what_to_do() {
        let long = format!("oci://h/{}:1", "a".repeat(256));
        let long_tag = format!("oci://h/a:{}", "a".repeat(129));
        for (text, message) in [
            ("http://registry.example.com/x", "in the clear"),
            ("http://127.0.0.1.example.com/x", "in the clear"),
            ("http://localhost@example.com/x", "names a user"),
            ("ftp://h/x", "unknown scheme"),
            ("oci:/h/x:1", "unknown scheme"),
            ("oci://h", "no usable repository"),
            ("oci://h/:1", "no usable repository"),
            ("oci://h/a//b:1", "no usable repository"),
            ("oci://h/../a:1", "no usable repository"),
            ("oci://h/A:1", "no usable repository"),
            ("oci://h/a..b:1", "no usable repository"),
            ("oci://h/a?x:1", "no usable repository"),
            (&long, "no usable repository"),
            ("oci:///a:1", "has no host"),
            ("oci://h:0/a:1", "no port"),
            ("oci://u:p@h/a:1", "no usable registry"),
            ("oci://h/a", "names no version"),
            ("oci://h/a:", "no usable tag"),
            ("oci://h/a:b/c", "no usable tag"),
            ("oci://h/a:-b", "no usable tag"),
            (&long_tag, "no usable tag"),
            ("oci://h/a@sha256:12", "no usable digest"),
            ("oci://h/a@sha512:00", "no usable digest"),
        ] {
            let error = RemoteSource::parse(text).unwrap_err().to_string();
            assert!(error.contains(message), "{text}: {error}");
        }
    }

    #[test]
    fn credentials_are_of_one_server() {
        let parse = |text: &str| RemoteSource::parse(text).unwrap();
        let one = parse("oci://h:1/a:1");
        for (other, same) in [
            ("oci://H:1/b:2", true),
            ("oci://h/a:1", false),
            ("oci://i:1/a:1", false),
            ("https://h:1/a", false),
        ] {
            assert_eq!(one.is_same_server(&parse(other)), same, "{other}");
        }
        assert!(parse("https://h/a").is_same_server(&parse("https://h:443/b")));
        assert!(!parse("https://localhost/a").is_same_server(&parse("http://localhost:443/a")));
    }

    #[test]
    fn paths_are_no_references() {
        for (text, is) in [("a.wasm", false), ("/a://b", false), ("./x://y", false), ("s3://x", true)] {
            assert_eq!(RemoteSource::looks_like(text), is, "{text}");
        }
    }
}
