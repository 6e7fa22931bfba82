//! Free ports for the processes of the demonstration.

use std::io;
use std::net::{Ipv4Addr, TcpListener};

/// Different TCP ports that are free on the loopback address right now. They are not reserved:
/// whoever binds one first has it.
///
/// # Errors
/// When the system has no more of them.
pub fn free_ports(count: usize) -> io::Result<Vec<u16>> {
    let bind = |_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    // All are held until the last one is found, or the same one could come twice.
    let listeners: Vec<TcpListener> = (0..count).map(bind).collect::<io::Result<_>>()?;
    listeners.iter().map(|listener| Ok(listener.local_addr()?.port())).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn ports_are_different() {
        let ports: BTreeSet<u16> = free_ports(50).unwrap().into_iter().collect();
        assert_eq!(ports.len(), 50);
        assert!(!ports.contains(&0));
        assert!(free_ports(0).unwrap().is_empty());
    }
}
