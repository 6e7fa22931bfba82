//! Who may do what at the door: roles, named tokens in a file, and what is in force of them now.
//!
//! How to read this module: `role` is the order of roles, `tokens` the file with named ones and `secret` the file
//! with a single one, `source` says where the configuration has them, `in_force` what holds now and how a changed
//! file takes over, `people` how a user of this machine is called. Knows no route and answers no request.

pub mod in_force;
pub mod people;
pub mod role;
pub mod secret;
pub mod source;
pub mod tokens;

pub use in_force::InForce;
pub use role::Role;
pub use source::{Access, LoadAccessError, Tls, TokenSource, Who};
pub use tokens::{Checked, MayMiss, Token, TokenName, Tokens, TokensError};
