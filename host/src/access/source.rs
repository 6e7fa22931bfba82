//! Where the configuration has tokens and certificates, and what is read from there.

use std::path::PathBuf;
use std::sync::Arc;

use super::role::Role;
use super::secret::{self, Hash, SecretError};
use super::tokens::{Token, TokenName, Tokens, TokensError};
use crate::net::serve_tls::{self, ServeTlsError, TlsFiles};

/// What the bearer of the one token of `server.tokenFile` is called, and who is not asked for any.
pub const OPERATOR: &str = "operator";

/// What the configuration says of tokens and TLS.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Access {
    /// Where tokens are; none when nobody is asked for one.
    pub tokens: Option<TokenSource>,
    /// Whether connections are encrypted, and by whom.
    pub tls: Tls,
}

/// Where tokens are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenSource {
    /// One, for everything.
    Single(PathBuf),
    /// Several with names and roles.
    Named(PathBuf),
}

/// Whether connections are encrypted, and by whom.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Tls {
    /// They are not.
    #[default]
    Off,
    /// Something in front of this host does it.
    Terminated,
    /// This host does, with these files.
    Here(TlsFiles),
}

/// Who is let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    /// Whoever reaches the listener.
    Anybody,
    /// Bearers of these tokens.
    Bearers(Tokens),
}

/// Why tokens or certificates cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LoadAccessError {
    /// The one token.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The named ones.
    #[error(transparent)]
    Tokens(#[from] TokensError),
    /// Certificate and key.
    #[error(transparent)]
    Tls(#[from] ServeTlsError),
}

impl LoadAccessError {
    /// The error with its causes, in one line.
    #[must_use]
    pub fn line(&self) -> String {
        let mut line = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            line.push_str(&format!(": {error}"));
            cause = error.source();
        }
        line
    }
}

impl Access {
    /// Files that say it.
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        match &self.tokens {
            Some(TokenSource::Single(path) | TokenSource::Named(path)) => files.push(path.clone()),
            None => {}
        }
        if let Tls::Here(TlsFiles { certificate, key }) = &self.tls {
            files.extend([certificate.clone(), key.clone()]);
        }
        files
    }

    /// Reads the tokens.
    ///
    /// # Errors
    /// When they cannot be read or used.
    pub fn who(&self) -> Result<Who, LoadAccessError> {
        Ok(match &self.tokens {
            None => Who::Anybody,
            Some(TokenSource::Named(path)) => Who::Bearers(Tokens::read(path)?),
            Some(TokenSource::Single(path)) => Who::single(&secret::read(path)?),
        })
    }

    /// Reads certificate and key, if there are any.
    ///
    /// # Errors
    /// When they cannot be read, or do not go together.
    pub fn certificates(&self) -> Result<Option<Arc<rustls::ServerConfig>>, LoadAccessError> {
        match &self.tls {
            Tls::Here(files) => Ok(Some(serve_tls::load(files)?)),
            Tls::Off | Tls::Terminated => Ok(None),
        }
    }
}

impl Who {
    /// The bearer of one token, who may do everything.
    #[must_use]
    pub fn single(token: &str) -> Self {
        let name = OPERATOR.parse::<TokenName>();
        let one = name.into_iter().map(|name| Token {
            name,
            role: Role::Admin,
            hash: Hash::of(token),
            created: String::new(),
            expires: None,
        });
        Self::Bearers(Tokens::new(one.collect()))
    }
}
