//! The tcp probe: a connection that opens is all there is to know.

use super::connect::{Closing, connect};
use super::failure::ProbeError;
use phasegate_core::domain::{Address, Profile, Response};

/// Connects and closes; with a reset in the azure profile, as the real extension does.
pub(super) async fn probe_tcp(address: &Address, profile: Profile) -> Result<Response, ProbeError> {
    let closing = match profile {
        Profile::Fleet => Closing::InOrder,
        Profile::Azure => Closing::WithReset,
    };
    connect(address, closing).await?;
    Ok(Response { status: 0, headers: Vec::new(), body: Vec::new() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::testing::{closed_port, listen};
    use phasegate_core::domain::ProbeFailure;

    #[tokio::test]
    async fn an_open_port_answers_and_a_closed_one_does_not() {
        let (address, _listener) = listen().await;
        let opened = probe_tcp(&address, Profile::Fleet).await.unwrap();
        assert_eq!(opened, Response { status: 0, headers: vec![], body: vec![] });

        let closed = closed_port().await;
        let failure = probe_tcp(&closed, Profile::Fleet).await.unwrap_err();
        assert_eq!(failure, ProbeFailure::Unreachable(format!("{closed}: connection refused")).into());
    }

    #[tokio::test]
    async fn a_name_that_does_not_exist_is_unreachable() {
        let address = Address { host: "no-such-host.invalid".to_owned(), port: 80 };
        let failure = probe_tcp(&address, Profile::Fleet).await.unwrap_err().to_string();
        assert!(failure.starts_with("unreachable: no-such-host.invalid:80: "), "{failure}");
    }
}
