//! A report about some bytes that may be a plugin, made without compiling or running them.
//!
//! What it cannot see is whether the component comes up and takes its settings.

use sha2::{Digest as _, Sha256};

use phasegate_core::domain::Digest;

use super::error::LoadPluginError;
use super::wasi;
use super::world::{self, Import};
use super::{difference, shape};

/// What some bytes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    /// Kind of file.
    pub kind: Kind,
    /// Size in bytes.
    pub size: u64,
    /// SHA-256 of all bytes.
    pub digest: Digest,
    /// The world that it was most likely built for, for example `phasegate:policy/policy@1.0.0`.
    pub world: Option<String>,
    /// What it imports; of a core module as `module.name`.
    pub imports: Vec<Import>,
    /// What it exports.
    pub exports: Vec<String>,
    /// Whether it is a component whose equal input always brings an equal answer.
    pub pure: bool,
    /// Whether it is one whose answer varies only where it uses WASI's clocks or random numbers, which its
    /// language may import for nothing.
    pub may_be_pure: bool,
    /// Whether this host would try to load it, or why not.
    pub fits: Result<(), LoadPluginError>,
}

/// Kinds of files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A valid component.
    Component,
    /// A valid core module.
    CoreModule,
    /// Anything else, damaged WebAssembly included.
    Other,
}

impl Kind {
    /// As JSON and tables write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Component => "component",
            Self::CoreModule => "core module",
            Self::Other => "other",
        }
    }
}

/// Inspects any bytes; never runs anything of them.
#[must_use]
pub fn inspect(bytes: &[u8]) -> Inspection {
    let mut report = Inspection {
        kind: Kind::Other,
        size: u64::try_from(bytes.len()).unwrap_or(u64::MAX),
        digest: component_digest(bytes),
        world: None,
        imports: Vec::new(),
        exports: Vec::new(),
        pure: false,
        may_be_pure: false,
        fits: Ok(()),
    };
    let shape = match shape::examine(bytes) {
        Ok(shape) => shape,
        Err(error) => {
            report.fits = Err(error);
            return report;
        }
    };
    let language = || wasi::language(bytes);
    report.imports = world::judge(&shape.imports, language);
    report.exports.clone_from(&shape.exports);
    if shape.is_component {
        report.kind = Kind::Component;
        report.world = world::guess(&report.imports, &report.exports);
        report.pure = world::is_pure(&report.imports);
        report.may_be_pure = world::is_repeatable(&report.imports);
        report.fits =
            world::check(&report.imports, &report.exports, language).and_then(|()| difference::check(&shape));
    } else {
        report.kind = Kind::CoreModule;
        report.fits = Err(LoadPluginError::CoreModule);
    }
    report
}

/// SHA-256 of some bytes.
#[must_use]
pub fn component_digest(bytes: &[u8]) -> Digest {
    Digest(Sha256::digest(bytes).into())
}

/// By what name settings are known: the digest of their text.
#[must_use]
pub fn settings_digest(settings: &str) -> Digest {
    component_digest(settings.as_bytes())
}
