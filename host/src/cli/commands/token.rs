//! `phasegate token`: makes, lists and revokes tokens in their file, whether a host runs or not. A running one
//! looks at the file every second.

use std::path::PathBuf;

use anyhow::{Context, bail};
use serde::Serialize;

use crate::access::secret::{self, Hash};
use crate::access::{MayMiss, Role, Token, TokenName, TokenSource, Tokens, TokensError};
use crate::cli::args::{TokenArgs, TokenVerb};
use crate::cli::exit::{Exit, Refused};
use crate::cli::output::{self, or_dash, table};
use crate::clock::Clock;
use crate::config::{self, LoadConfigError};
use phasegate_core::domain::{WallTime, parse_iso_duration};

/// Runs one verb.
///
/// # Errors
/// When the file cannot be read or written, a name is taken, or there is no such token.
pub fn run(args: &TokenArgs) -> anyhow::Result<Exit> {
    let path = file(args)?;
    match &args.verb {
        TokenVerb::New { name, role, expires } => {
            let secret = secret::make().context("the system gives no random numbers")?;
            let new = token(name, *role, expires.as_deref(), &secret)?;
            Tokens::change(&path, MayMiss::Yes, |tokens| tokens.add(new)).map_err(refused)?;
            output::data(&format!("{secret}\n"))?;
            output::talk(&format!(
                "token `{name}` ({role}) is in `{}`; it is shown this once: PHASEGATE_TOKEN takes it\n",
                path.display()
            ));
        }
        TokenVerb::List { output } => {
            let tokens = Tokens::read(&path)?;
            let now = Clock::start().date();
            let shown: Vec<Shown> = tokens.all().iter().map(|token| Shown::of(token, now)).collect();
            if output.json {
                output::json(&List { tokens: shown })?;
            } else {
                output::data(&rendered(&shown))?;
            }
        }
        TokenVerb::Revoke { name } => {
            Tokens::change(&path, MayMiss::No, |tokens| tokens.revoke(name)).map_err(refused)?;
            output::talk(&format!("token `{name}` counts no more; a running host looks every second\n"));
        }
    }
    Ok(Exit::Done)
}

/// Where the tokens are.
fn file(args: &TokenArgs) -> anyhow::Result<PathBuf> {
    if let Some(path) = &args.file {
        return Ok(path.clone());
    }
    let config = match config::load(&args.config) {
        Ok(config) => config,
        Err(LoadConfigError::Invalid(problems)) => {
            output::talk(&format!("{problems}\n\n"));
            bail!(
                "`{}` has these problems; correct them, or name the file with --file",
                args.config.display()
            );
        }
        Err(error) => {
            return Err(error).context("name the file with --file, or a configuration with --config");
        }
    };
    match config.server.access.tokens {
        Some(TokenSource::Named(path)) => Ok(path),
        Some(TokenSource::Single(_)) | None => bail!(
            "`{}` has no server.tokens; add tokens = \"phasegate.tokens\" to [server], or name a file with --file",
            args.config.display()
        ),
    }
}

fn token(name: &TokenName, role: Role, expires: Option<&str>, secret: &str) -> anyhow::Result<Token> {
    let now = Clock::start().date();
    let expires = match expires {
        None => None,
        Some(text) => {
            let span =
                parse_iso_duration(text).map_err(|error| anyhow::anyhow!("--expires {text:?} {error}"))?;
            let millis = i64::try_from(span.as_millis())?;
            Some(WallTime(now.0.saturating_add(millis)))
        }
    };
    Ok(Token { name: name.clone(), role, hash: Hash::of(secret), created: now.to_string(), expires })
}

/// The file is as it was, and the answer is no.
fn refused(error: TokensError) -> anyhow::Error {
    match error {
        TokensError::Taken(_) | TokensError::Full | TokensError::NoSuch(_) => {
            Refused(error.to_string()).into()
        }
        other => other.into(),
    }
}

/// `token list --json`.
#[derive(Serialize)]
struct List {
    tokens: Vec<Shown>,
}

#[derive(Serialize)]
struct Shown {
    name: String,
    role: Role,
    created: String,
    expires: Option<String>,
    expired: bool,
}

impl Shown {
    fn of(token: &Token, now: WallTime) -> Self {
        let Token { name, role, hash: _, created, expires } = token;
        Self {
            name: name.to_string(),
            role: *role,
            created: created.clone(),
            expires: expires.map(|at| at.to_string()),
            expired: expires.is_some_and(|at| at <= now),
        }
    }
}

fn rendered(tokens: &[Shown]) -> String {
    let row = |token: &Shown| {
        let expires = or_dash(token.expires.as_ref());
        let expires = if token.expired { format!("{expires} (expired)") } else { expires };
        vec![token.name.clone(), token.role.to_string(), token.created.clone(), expires]
    };
    table(&["NAME", "ROLE", "CREATED", "EXPIRES"], &tokens.iter().map(row).collect::<Vec<_>>())
}
