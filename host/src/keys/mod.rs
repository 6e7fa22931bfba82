//! Keys of a TOML file as declarations, and everything that follows from them.
//!
//! How to read this module: `key` is what is declared, `read` reads a table by it; `shape` is the same
//! without types, from which `manual` and `schema` come; `source`, `table` and `value` walk any TOML
//! with its places, `problem` is what is wrong in it, `changes` compares two files key by key.
//!
//! Knows no key of Phasegate's: each room declares its own, and `config` puts them together.

pub mod changes;
mod json;
pub mod key;
pub mod manual;
pub mod problem;
pub mod read;
pub mod schema;
pub mod shape;
pub mod show;
pub mod source;
pub mod suggest;
pub mod table;
pub mod value;

pub(crate) use json::json_object;
pub use key::{Choice, Is, Key, Narrow, Preset, Reload, Section};
pub use problem::{Again, Place, Problem, Problems};
pub use read::Given;
pub use shape::{Form, Shape};
pub use source::Source;
pub use table::Table;
pub use value::{Spot, Value};

/// For tables whose keys have nothing to do with each other.
pub fn no_check<T>(_: &mut T, _: &mut Given<'_>) {}
