//! Credentials from their files, as header values that are never shown.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use data_encoding::BASE64;
use hyper::header::HeaderValue;

use super::Credentials;
use super::error::{CredentialsError, TransferError};

/// Longest credential file; tokens of clouds have a few KiB.
const FILE_MAX: u64 = 16 * 1024;

/// What a server may be told.
#[derive(Clone)]
pub(super) enum Authorization {
    /// Nothing.
    None,
    /// A token, as a header value.
    Bearer(HeaderValue),
    /// User and password, as a header value.
    Basic(HeaderValue),
}

impl Authorization {
    /// The header value, if there is one.
    pub(super) fn header(&self) -> Option<HeaderValue> {
        match self {
            Self::None => None,
            Self::Bearer(value) | Self::Basic(value) => Some(value.clone()),
        }
    }

    /// What to do when it is not enough; a fragment after the server's refusal.
    pub(super) fn advice(&self) -> &'static str {
        match self {
            Self::None => {
                "it wants credentials: fetch.tokenFile, or fetch.usernameFile and fetch.passwordFile"
            }
            Self::Bearer(_) => "it does not accept the token in fetch.tokenFile",
            Self::Basic(_) => "it does not accept what is in fetch.usernameFile and fetch.passwordFile",
        }
    }
}

/// Reads the files; they may have changed since the last time.
pub(super) async fn read(credentials: Option<Credentials>) -> Result<Authorization, TransferError> {
    let reading = tokio::task::spawn_blocking(move || read_files(credentials));
    Ok(reading.await.map_err(CredentialsError::Broken)??)
}

fn read_files(credentials: Option<Credentials>) -> Result<Authorization, CredentialsError> {
    match credentials {
        None => Ok(Authorization::None),
        Some(Credentials::Token(path)) => {
            let value = header(format!("Bearer {}", line(&path)?));
            value.map(Authorization::Bearer).ok_or(CredentialsError::NoLine(path))
        }
        Some(Credentials::Password { username, password }) => {
            let user = line(&username)?;
            if user.contains(':') {
                return Err(CredentialsError::Colon(username));
            }
            let both = BASE64.encode(format!("{user}:{}", line(&password)?).as_bytes());
            let value = header(format!("Basic {both}"));
            value.map(Authorization::Basic).ok_or(CredentialsError::NoLine(password))
        }
    }
}

/// The one line of a file; says nothing of what is in it.
fn line(path: &Path) -> Result<String, CredentialsError> {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(FILE_MAX).read_to_string(&mut text));
    read.map_err(|error| CredentialsError::Read { path: path.to_owned(), error })?;
    let line = text.trim_end_matches(['\r', '\n']);
    if line.is_empty() || line.chars().any(char::is_control) {
        return Err(CredentialsError::NoLine(path.to_owned()));
    }
    Ok(line.to_owned())
}

/// A header value that nothing prints.
pub(super) fn header(text: String) -> Option<HeaderValue> {
    let mut value = HeaderValue::try_from(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}
