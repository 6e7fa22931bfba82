//! Status line and headers of a response, and what they say of its body.

use httparse::{EMPTY_HEADER, Error, Header, ParserConfig};
use hyper::header::{HeaderMap, HeaderName, HeaderValue};

use super::coding::Coding;
use super::response::{Keep, Rules};
use super::{ResponseError, blame};
use crate::net::text::first_line;

/// Most headers that are looked for at first; more are looked for when there are more.
const HEADERS_AT_FIRST: usize = 64;

/// The fewest bytes that a header can have, with the end of its line.
const HEADER_BYTES_MIN: usize = 3;

/// Which HTTP a response says it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    /// 1.0
    Old,
    /// 1.1
    Current,
}

/// How the body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// After so many bytes; none for a status that has no body.
    Length(u64),
    Chunked,
    /// With the connection.
    ToTheEnd,
}

/// What stands before the body.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) framing: Framing,
    /// Whether the peer lets the connection be.
    pub(super) keeps: bool,
    /// In the order in which they are to be undone.
    pub(super) codings: Vec<Coding>,
}

/// Parses a head that is whole.
pub(super) fn parse(bytes: &[u8], rules: Rules, keep: Keep<'_>) -> Result<Head, ResponseError> {
    match parse_bytes(bytes, rules, keep) {
        // A line with a NUL is the one that the parser does not leave out by itself.
        Err(ResponseError::Header(_)) if rules == Rules::Readable && bytes.contains(&0) => {
            let without: Vec<u8> = bytes.iter().map(|byte| if *byte == 0 { 1 } else { *byte }).collect();
            parse_bytes(&without, rules, keep)
        }
        parsed => parsed,
    }
}

fn parse_bytes(bytes: &[u8], rules: Rules, keep: Keep<'_>) -> Result<Head, ResponseError> {
    let mut config = ParserConfig::default();
    config
        .allow_spaces_after_header_name_in_responses(true)
        .allow_obsolete_multiline_headers_in_responses(true)
        .allow_multiple_spaces_in_response_status_delimiters(true)
        .ignore_invalid_headers_in_responses(rules == Rules::Readable);
    let mut room = HEADERS_AT_FIRST;
    loop {
        let mut headers = vec![EMPTY_HEADER; room];
        let mut response = httparse::Response::new(&mut headers);
        match config.parse_response(&mut response, bytes) {
            Ok(_) => {
                let status = response.code.ok_or(ResponseError::StatusLine)?;
                let version = if response.version == Some(0) { Version::Old } else { Version::Current };
                return read(bytes, (status, version), response.headers, rules, keep);
            }
            Err(Error::TooManyHeaders) if room < bytes.len() / HEADER_BYTES_MIN => {
                room = (room * 16).min(bytes.len() / HEADER_BYTES_MIN);
            }
            Err(Error::TooManyHeaders) => return Err(ResponseError::HeadTooLarge),
            Err(Error::Version | Error::Token) => return Err(ResponseError::NotHttp),
            Err(Error::Status) => return Err(ResponseError::StatusLine),
            Err(Error::HeaderName | Error::HeaderValue | Error::NewLine) => {
                return Err(ResponseError::Header(blame::wrong_header(bytes)));
            }
        }
    }
}

fn read(
    bytes: &[u8],
    (status, version): (u16, Version),
    headers: &[Header<'_>],
    rules: Rules,
    keep: Keep<'_>,
) -> Result<Head, ResponseError> {
    // The real extension takes a name with a blank behind it for another name.
    let is_meant = |header: &&Header<'_>| rules == Rules::Readable || !has_blank_behind(bytes, header.name);
    let values = |name: &str| -> Vec<String> {
        let named = headers.iter().filter(is_meant).filter(|header| header.name.eq_ignore_ascii_case(name));
        named.map(|header| String::from_utf8_lossy(&unfolded(header.value)).trim().to_owned()).collect()
    };
    let (transfer, lengths) = (values("transfer-encoding"), values("content-length"));
    let (mut codings, chunked) = match rules {
        Rules::Readable => readable_transfer(&transfer)?,
        Rules::AsAzure => azure_transfer(&transfer, version)?,
    };
    let encoding = values("content-encoding");
    match rules {
        Rules::Readable => {
            let named = encoding.iter().flat_map(|value| value.split(',')).rev();
            codings.extend(named.filter_map(|name| Coding::of(name.trim())));
        }
        // It undoes gzip alone, and takes anything else as it comes.
        Rules::AsAzure => {
            let is_gzip = encoding.first().is_some_and(|value| value.eq_ignore_ascii_case("gzip"));
            codings.extend(is_gzip.then_some(Coding::Gzip));
        }
    }
    let framing = match (status, chunked, length(&lengths, rules)) {
        (204 | 304, _, _) => Framing::Length(0),
        (_, Chunked::Yes, _) => Framing::Chunked,
        (_, Chunked::ToTheEnd, _) => Framing::ToTheEnd,
        (_, Chunked::No, length) => length?.map_or(Framing::ToTheEnd, Framing::Length),
    };
    let says_close = |value: &String| value.split(',').any(|word| word.trim().eq_ignore_ascii_case("close"));
    let keeps = version == Version::Current && !values("connection").iter().any(says_close);
    Ok(Head { status, headers: kept(headers, keep), framing, keeps, codings })
}

fn has_blank_behind(bytes: &[u8], name: &str) -> bool {
    let start = (name.as_ptr() as usize).wrapping_sub(bytes.as_ptr() as usize);
    bytes.get(start.wrapping_add(name.len())).is_some_and(|byte| *byte != b':')
}

/// What Transfer-Encoding says of the end of the body.
enum Chunked {
    Yes,
    No,
    ToTheEnd,
}

/// Takes what can be understood; a coding twice was added by a proxy that did not look.
fn readable_transfer(values: &[String]) -> Result<(Vec<Coding>, Chunked), ResponseError> {
    let names = || values.iter().flat_map(|value| value.split(',')).map(str::trim);
    let is_chunked = |name: &&str| name.eq_ignore_ascii_case("chunked");
    let others = || names().filter(|name| !is_chunked(name)).filter_map(Coding::of);
    let ends = names().rfind(|name| !name.is_empty()).is_some_and(|name| is_chunked(&name));
    if ends {
        return Ok((others().collect::<Vec<_>>().into_iter().rev().collect(), Chunked::Yes));
    }
    let known: Vec<Coding> = others().filter(|coding| !matches!(coding, Coding::Other(_))).collect();
    let is_there = names().any(|name| !name.is_empty() && !name.eq_ignore_ascii_case("identity"));
    Ok((known.into_iter().rev().collect(), if is_there { Chunked::ToTheEnd } else { Chunked::No }))
}

/// `chunked` once, and not in HTTP/1.0, where the header means nothing.
fn azure_transfer(values: &[String], version: Version) -> Result<(Vec<Coding>, Chunked), ResponseError> {
    match values {
        [] => Ok((Vec::new(), Chunked::No)),
        _ if version == Version::Old => Ok((Vec::new(), Chunked::No)),
        [one] if one.eq_ignore_ascii_case("chunked") => Ok((Vec::new(), Chunked::Yes)),
        _ => Err(ResponseError::TransferEncoding(first_line(values.join(", ").as_bytes()))),
    }
}

/// All lengths must be the same.
fn length(values: &[String], rules: Rules) -> Result<Option<u64>, ResponseError> {
    let wrong = || ResponseError::ContentLength(first_line(values.join(", ").as_bytes()));
    let split = |value: &'_ String| -> Vec<String> {
        match rules {
            Rules::Readable => value.split(',').map(|part| part.trim().to_owned()).collect(),
            Rules::AsAzure => vec![value.clone()],
        }
    };
    let mut seen: Option<u64> = None;
    for part in values.iter().flat_map(split) {
        let is_number = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        let length: u64 = if is_number { part.parse().map_err(|_| wrong())? } else { return Err(wrong()) };
        if seen.is_some_and(|seen| seen != length) {
            return Err(wrong());
        }
        seen = Some(length);
    }
    Ok(seen)
}

fn kept(headers: &[Header<'_>], keep: Keep<'_>) -> HeaderMap {
    let mut map = HeaderMap::new();
    for header in headers {
        let is_wanted = match keep {
            Keep::All => true,
            Keep::These(names) => names.iter().any(|name| name.eq_ignore_ascii_case(header.name)),
        };
        if !is_wanted {
            continue;
        }
        let name = HeaderName::from_bytes(header.name.as_bytes());
        let value = HeaderValue::from_bytes(&unfolded(header.value));
        if let (Ok(name), Ok(value)) = (name, value) {
            // Full: with more than 30,000 of them nobody looks at the last ones.
            _ = map.try_append(name, value);
        }
    }
    map
}

/// A folded value on one line, as RFC 9112 (5.2) says.
fn unfolded(value: &[u8]) -> Vec<u8> {
    if !value.contains(&b'\n') {
        return value.to_vec();
    }
    let lines = value.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join(&b' ')
}
