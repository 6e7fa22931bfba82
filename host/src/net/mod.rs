//! What the clients of this program have in common: addresses, URLs and references, one HTTP exchange,
//! verified TLS, texts about failures, and
//! what the host itself is short of.
//!
//! Chooses no limits of time: what is right for a probe is not for an upgrade.

pub mod address;
pub mod authority;
pub(crate) mod dial;
pub mod endpoint;
pub(crate) mod exchange;
pub mod names;
mod own_certificate;
pub mod placed;
pub mod reference;
pub mod serve_tls;
pub mod shortage;
pub(crate) mod text;
pub mod tls;
pub mod url;
