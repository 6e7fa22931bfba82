//! What the author of a plugin gets: a project to begin with, a build, the cases, the measures.
//!
//! Reading order: `language` and `template` (what `plugin new` writes), `project` (what a folder is),
//! `build` (which tools make it a component), `cases` (what it must answer), `trial` (the cases on
//! the component, and whether it keeps state), `bench` (what an evaluation costs).
//!
//! Everything runs on the engine and within the limits of a host. Nothing here prints.

pub mod bench;
pub mod build;
pub mod cases;
mod contract;
mod language;
pub mod project;
mod template;
pub mod trial;

pub use contract::CONTRACT;
pub use language::Language;

use crate::plugin::Limits;

/// What the configuration gives to a plugin that asks for nothing else.
pub const DEFAULT_LIMITS: Limits = Limits::DEFAULT;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limits_are_those_of_the_configuration() {
        let text = "[[scaleSets]]\nname = \"a\"\n[scaleSets.driver]\nkind = \"process\"\ncommand = [\"true\"]\n\
            [scaleSets.model]\nversion = \"1\"\n[[scaleSets.instances]]\nid = \"0\"\naddress = \"127.0.0.1:1\"\n";
        let config = crate::config::parse(text, std::path::Path::new("phasegate.toml")).unwrap();
        assert_eq!(config.plugins[0].spec.limits, DEFAULT_LIMITS);
    }
}
