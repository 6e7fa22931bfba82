//! What a host takes from the machine: a place to listen, as many open files as there are, and files with secrets
//! that change.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;

use crate::access::InForce;
use crate::api::{ListenError, Listener, SocketRights};
use crate::clock::Clock;
use crate::config::{Server, Socket};
use crate::net::endpoint::Endpoint;

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

/// Between two looks at the files with tokens, certificate and key.
const FILES_LOOKED_AT_EVERY: Duration = Duration::from_secs(1);

/// Listens where the configuration says.
pub(super) async fn listen(server: &Server) -> Result<Listener, ListenError> {
    let address = match &server.listen {
        Endpoint::Tcp(address) => *address,
        Endpoint::Unix(path) => {
            let Socket { mode, group } = server.socket.clone();
            return Listener::socket(path, &SocketRights { mode, group });
        }
    };
    let clock = Clock::start();
    loop {
        let source = match TcpListener::bind(address).await {
            Ok(listener) => return Ok(Listener::Tcp(listener)),
            Err(error) => error,
        };
        if source.kind() != std::io::ErrorKind::AddrInUse || clock.elapsed() >= PORT_FREE_WITHIN {
            return Err(ListenError::Port { address, source });
        }
        tokio::time::sleep(PORT_TRIED_EVERY).await;
    }
}

/// Takes over changed files with tokens, certificate and key; never ends by itself.
pub(super) async fn follow_files(in_force: Arc<InForce>) {
    loop {
        tokio::time::sleep(FILES_LOOKED_AT_EVERY).await;
        let in_force = Arc::clone(&in_force);
        // A look that panicked has said so; the next one comes.
        _ = tokio::task::spawn_blocking(move || in_force.look()).await;
    }
}
