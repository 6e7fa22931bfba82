//! What a host takes from the machine: a port, and as many open files as there are.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use tokio::net::TcpListener;

use crate::clock::Clock;

/// Every probe and every process costs file descriptors, and many systems begin with 1,024: takes
/// what the system grants without asking anybody.
pub(super) fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::debug!("the limit of open files stays as it is: {error}");
    }
}

/// How long a port that is in use is tried again: a host that was killed may have left a child between fork
/// and exec, which holds it for a moment.
const PORT_FREE_WITHIN: Duration = Duration::from_secs(2);

/// Between two tries of a port.
const PORT_TRIED_EVERY: Duration = Duration::from_millis(50);

pub(super) async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    let clock = Clock::start();
    loop {
        let error = match TcpListener::bind(address).await {
            Ok(listener) => return Ok(listener),
            Err(error) => error,
        };
        if error.kind() != std::io::ErrorKind::AddrInUse || clock.elapsed() >= PORT_FREE_WITHIN {
            return Err(error).with_context(|| {
                format!(
                    "cannot listen on {address}; is another phasegate running? choose another server.listen"
                )
            });
        }
        tokio::time::sleep(PORT_TRIED_EVERY).await;
    }
}
