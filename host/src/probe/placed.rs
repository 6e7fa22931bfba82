//! What an instance is, put into what it is asked: one exporter may speak for many.

use std::sync::Arc;

use super::Target;
use crate::net::placed::{Facts, in_header, in_path, is_placed};
use phasegate_core::domain::Profile;

/// A target with its own path and headers.
#[must_use]
pub fn placed(mut target: Target) -> Target {
    let settings = &target.settings;
    // The path of the Azure profile is what Azure would send: braces are escaped in it.
    let has_path = settings.profile == Profile::Fleet && is_placed(&settings.request_path);
    let has_headers = settings.request_headers.iter().any(|(_, value)| is_placed(value));
    if !has_path && !has_headers {
        return target;
    }
    let facts = Facts { id: &target.facts.id, address: &target.address, labels: &target.facts.labels };
    let mut settings = (**settings).clone();
    if has_path {
        settings.request_path = in_path(&settings.request_path, facts);
    }
    for (_, value) in &mut settings.request_headers {
        *value = in_header(value, facts);
    }
    target.settings = Arc::new(settings);
    target
}

#[cfg(test)]
mod tests {
    use super::super::testing::{settings, target};
    use super::*;
    use phasegate_core::domain::{Address, HealthSettings, ProbeProtocol};

    #[test]
    fn each_instance_is_asked_for_by_its_name() {
        let address = Address { host: "exporter".to_owned(), port: 9100 };
        let asked = HealthSettings {
            request_path: "/probe?target={id}&at={host}:{port}".to_owned(),
            request_headers: vec![("X-Target".to_owned(), "{id}".to_owned())],
            ..settings(ProbeProtocol::Http)
        };
        let placed = super::placed(target("a", address.clone(), asked));
        assert_eq!(placed.settings.request_path, "/probe?target=a&at=exporter:9100");
        assert_eq!(placed.settings.request_headers, [("X-Target".to_owned(), "a".to_owned())]);
        let plain = target("a", address, settings(ProbeProtocol::Http));
        let shared = Arc::clone(&plain.settings);
        assert!(Arc::ptr_eq(&super::placed(plain).settings, &shared), "nothing is made anew");
    }
}
