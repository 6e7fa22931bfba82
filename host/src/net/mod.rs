//! What the clients of this program have in common: one HTTP exchange, verified TLS, and texts about
//! failures.
//!
//! Opens no connections and chooses no limits: what is right for a probe is not for an upgrade.

pub(crate) mod exchange;
pub(crate) mod text;
pub(crate) mod tls;
