//! What the author of a plugin gets: a project to begin with, a build, the cases, the measures.
//!
//! Reading order: `language` and `template` (what `plugin new` writes), `project` (what a folder is),
//! `build` (which tools make it a component), `own` (which code of it is its author's), `bench` (what an evaluation costs). What it must answer is in
//! `phasegate_wasm::cases`.
//!
//! Everything runs on the engine and within the limits of a host. Nothing here prints.

pub mod bench;
pub mod build;
mod language;
pub mod live;
pub mod own;
pub mod project;
mod template;
mod wrong;

pub use language::Language;

use phasegate_wasm::Limits;

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
