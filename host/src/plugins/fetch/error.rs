//! Why a component did not come. Of what a server answers to an error only the status is told: a page may repeat
//! what it was sent.

use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::credentials::Authorization;
use super::manifest::ManifestError;
use crate::net::tls::LoadCertificatesError;
use crate::net::url::InvalidUrlError;
use phasegate_core::domain::{Address, Digest};

/// Why there is no component; a fragment that follows its source.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// It did not come, or not whole.
    #[error("cannot be fetched: {0}")]
    Transfer(#[from] TransferError),
    /// Something came that is not what its digest says, or would not be what is asked for.
    #[error(transparent)]
    Digest(#[from] OtherDigestError),
}

/// Bytes that have another digest than they should; a fragment that follows where they came from.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OtherDigestError {
    /// Than the configuration asks for.
    #[error("has the digest {seen}, and the configuration asks for {wanted}")]
    Configured {
        /// What it has, or would have.
        seen: Digest,
        /// What it should have.
        wanted: Digest,
    },
    /// Than the manifest that led to them says.
    #[error("has the digest {seen}, and its manifest says {wanted}")]
    Component {
        /// What it has.
        seen: Digest,
        /// What it should have.
        wanted: Digest,
    },
    /// The manifest itself.
    #[error("has a manifest with the digest {seen}, and the {who} says {wanted}")]
    Manifest {
        /// What it has.
        seen: Digest,
        /// What it should have.
        wanted: Digest,
        /// Reference or registry.
        who: &'static str,
    },
}

/// Why something did not come, or not whole.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// The machine gives no thread.
    #[error("no thread for it: {0}")]
    NoThread(io::Error),
    /// The thread broke.
    #[error("it ended without a result; the log says why; please report it")]
    NoResult,
    /// The machine gives no means to wait for connections.
    #[error("{0}")]
    NoRuntime(io::Error),
    /// Its time was over.
    #[error(
        "it is not complete within {} s ({came} bytes came); fetch.timeout allows up to PT4M", limit.as_secs_f64()
    )]
    TooSlow {
        /// How long it may take.
        limit: Duration,
        /// Bytes of the body so far.
        came: u64,
    },
    /// Nobody can be trusted.
    #[error("fetch.caFile: {0}")]
    Certificates(#[from] LoadCertificatesError),
    /// There is nothing to log in with.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// No end of redirects.
    #[error("more than {max} redirects, the last one to {last}")]
    Redirects {
        /// Those that are followed.
        max: usize,
        /// Where the last one led.
        last: Address,
    },
    /// A redirect without a place.
    #[error("{address} answered with status {status} and no place to go")]
    NoPlace {
        /// Who.
        address: Address,
        /// A redirect.
        status: u16,
    },
    /// A redirect to what is no URL; its text may be a key.
    #[error("{address} redirects to something that {error}")]
    WrongPlace {
        /// Who.
        address: Address,
        /// Why it is none.
        error: InvalidUrlError,
    },
    /// A redirect out of TLS.
    #[error("{address} redirects to plain http at {to}, which is not followed")]
    IntoTheClear {
        /// Who.
        address: Address,
        /// Where.
        to: Address,
    },
    /// No connection in time.
    #[error("{0} does not accept a connection")]
    NotAccepted(Address),
    /// A name of this machine that means another one.
    #[error("{address} is {peer}, and http is for loopback addresses only")]
    NotLoopback {
        /// As it is written.
        address: Address,
        /// What it means.
        peer: IpAddr,
    },
    /// A connection that broke; with whom, and the system's words.
    #[error("{0}")]
    Broken(String),
    /// A handshake that failed.
    #[error("{text}{}", advice.text())]
    Insecure {
        /// With whom, and why.
        text: String,
        /// What can be done about it.
        advice: Advice,
    },
    /// What was to be sent cannot be.
    #[error("the {what} for {address} cannot be sent")]
    Unsendable {
        /// A part of the request.
        what: &'static str,
        /// To whom.
        address: Address,
    },
    /// A body beyond its limit.
    #[error("{address} sends more than {limit} bytes (limit of {what})")]
    TooMuch {
        /// Who.
        address: Address,
        /// In bytes.
        limit: u64,
        /// What was asked for.
        what: &'static str,
    },
    /// What the manifest names is beyond the limit of any component.
    #[error("it has {size} bytes (limit {limit})")]
    TooLarge {
        /// As the manifest says, in bytes.
        size: usize,
        /// In bytes.
        limit: usize,
    },
    /// A status that says no.
    #[error("{address} answered with status {status}{}", meaning(*status, advice))]
    Status {
        /// Who.
        address: Address,
        /// Which.
        status: u16,
        /// What to do where it wants other credentials.
        advice: &'static str,
    },
    /// There is none.
    #[error("{0} has no such thing (status 404), or not for everybody")]
    Absent(Address),
    /// A registry sends clients to a token server that will not do.
    #[error("{address} names a token server that {error}")]
    TokenServer {
        /// The registry.
        address: Address,
        /// What is wrong with it.
        error: TokenServerError,
    },
    /// A token server that gives none.
    #[error("{0} answered without a token")]
    NoToken(Address),
    /// A registry that does not say where an upload goes.
    #[error("{0} takes uploads and does not say where to")]
    NoUpload(Address),
    /// A manifest that names no component.
    #[error("its manifest {0}")]
    Manifest(#[from] ManifestError),
}

fn meaning(status: u16, advice: &str) -> String {
    match status {
        401 | 403 => format!(": {advice}"),
        429 => ": too many requests; try again later".to_owned(),
        _ => String::new(),
    }
}

/// What can be done about a handshake that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Advice {
    /// Nothing that is known.
    None,
    /// Name the authority.
    NameAuthority,
    /// Look at the port.
    LookAtPort,
}

impl Advice {
    fn text(self) -> &'static str {
        match self {
            Self::None => "",
            Self::NameAuthority => {
                "; a certificate of your own authority is named by fetch.caFile, for `plugin inspect`, `test` and \
                 `bench` by `--ca-file`"
            }
            Self::LookAtPort => "; does it speak TLS at that port?",
        }
    }
}

/// Why a token server will not do; a fragment that follows it.
#[derive(Debug, thiserror::Error)]
pub enum TokenServerError {
    /// It cannot be asked.
    #[error(transparent)]
    Url(#[from] InvalidUrlError),
    /// It is in the clear.
    #[error("is plain http at {0}, which gets no credentials")]
    InTheClear(Address),
}

/// Why there are no credentials; says nothing of what is in a file.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// A file that cannot be read.
    #[error("`{}`: {error}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A file with something else than a line.
    #[error("`{}` does not hold one line of text", .0.display())]
    NoLine(PathBuf),
    /// A user that cannot be sent.
    #[error("`{}` holds a user with a `:`, which cannot be sent", .0.display())]
    Colon(PathBuf),
    /// The thread that reads broke.
    #[error("{0}")]
    Broken(tokio::task::JoinError),
}

/// What an answer that is no success means.
pub(super) fn refusal(address: &Address, status: u16, told: &Authorization) -> TransferError {
    let address = address.clone();
    match status {
        404 => TransferError::Absent(address),
        _ => TransferError::Status { address, status, advice: told.advice() },
    }
}
