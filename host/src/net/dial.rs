//! One connection to `host:port`: all addresses of a name are tried, soon one beside the other.
//!
//! After RFC 8305: IPv6 and IPv4 in turn, the next one when one has failed or has not answered for a while.
//! Limits no time.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::names::look_up;
use phasegate_core::domain::Address;

/// How long one address has the word alone (RFC 8305, section 5).
const HEAD_START: Duration = Duration::from_millis(250);

/// Most addresses of one name that are tried.
const ADDRESSES_MAX: usize = 16;

/// Connects to the first address that accepts.
///
/// # Errors
/// When the name has no address, or the failure of the first one when none accepts.
pub(crate) async fn dial(address: &Address) -> io::Result<TcpStream> {
    if let Some(known) = literal(address) {
        return TcpStream::connect(known?).await;
    }
    let found = look_up(&address.host).await?;
    race(in_turn(found.iter().map(|ip| SocketAddr::new(*ip, address.port)))).await
}

/// What an address that is no name means; none for a name.
///
/// # Errors
/// When its zone is no interface of this machine.
pub(crate) fn literal(address: &Address) -> Option<io::Result<SocketAddr>> {
    let Some((ip, zone)) = address.host.split_once('%') else {
        return address.host.parse().ok().map(|ip: IpAddr| Ok(SocketAddr::new(ip, address.port)));
    };
    let ip: Ipv6Addr = ip.parse().ok()?;
    Some(scope(zone).map(|scope| SocketAddrV6::new(ip, address.port, 0, scope).into()))
}

/// The number of an interface. Asked for each time: an interface may be taken away and come back.
fn scope(zone: &str) -> io::Result<u32> {
    if let Ok(number) = zone.parse() {
        return Ok(number);
    }
    let socket =
        rustix::net::socket(rustix::net::AddressFamily::INET6, rustix::net::SocketType::DGRAM, None)?;
    let number = rustix::net::netdevice::name_to_index(&socket, zone);
    number
        .map_err(|_| io::Error::new(io::ErrorKind::NotFound, format!("there is no interface `{zone}` here")))
}

/// The families by turns, each in the order of the resolver.
fn in_turn(found: impl Iterator<Item = SocketAddr>) -> VecDeque<SocketAddr> {
    let all: Vec<SocketAddr> = found.take(ADDRESSES_MAX).collect();
    let first_is_v6 = all.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (VecDeque<_>, VecDeque<_>) =
        all.into_iter().partition(|address| address.is_ipv6() == first_is_v6);
    let (mut sources, mut turns) = ([first, second], VecDeque::new());
    while sources.iter().any(|source| !source.is_empty()) {
        turns.extend(sources.iter_mut().filter_map(VecDeque::pop_front));
    }
    turns
}

async fn race(mut waiting: VecDeque<SocketAddr>) -> io::Result<TcpStream> {
    let Some(first) = waiting.pop_front() else {
        return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
    };
    if waiting.is_empty() {
        return TcpStream::connect(first).await;
    }
    let mut trying = JoinSet::new();
    trying.spawn(TcpStream::connect(first));
    let mut failure: Option<io::Error> = None;
    loop {
        let tried = tokio::select! {
            tried = trying.join_next() => tried,
            () = tokio::time::sleep(HEAD_START), if !waiting.is_empty() => None,
        };
        match tried {
            Some(Ok(Ok(stream))) => return Ok(stream),
            Some(Ok(Err(error))) => _ = failure.get_or_insert(error),
            Some(Err(_)) | None => {}
        }
        if let Some(next) = waiting.pop_front() {
            trying.spawn(TcpStream::connect(next));
        } else if trying.is_empty() {
            let none = || io::Error::new(io::ErrorKind::NotConnected, "no address accepts a connection");
            return Err(failure.unwrap_or_else(none));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_take_turns() {
        let parse = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<_>>();
        let all = parse(&["[::1]:1", "[::2]:1", "127.0.0.1:1", "127.0.0.2:1", "127.0.0.3:1"]);
        let turns: Vec<SocketAddr> = in_turn(all.into_iter()).into();
        assert_eq!(turns, parse(&["[::1]:1", "127.0.0.1:1", "[::2]:1", "127.0.0.2:1", "127.0.0.3:1"]));
    }

    #[test]
    fn addresses_that_are_no_names_are_known() {
        let known = |host: &str| literal(&Address { host: host.to_owned(), port: 1 });
        assert_eq!(known("127.0.0.1").unwrap().unwrap(), "127.0.0.1:1".parse().unwrap());
        assert_eq!(known("fe80::1%7").unwrap().unwrap(), "[fe80::1%7]:1".parse().unwrap());
        assert_eq!(known("::1%lo").unwrap().unwrap(), "[::1%1]:1".parse().unwrap());
        let missing = known("fe80::1%no-such").unwrap().unwrap_err();
        assert_eq!(missing.to_string(), "there is no interface `no-such` here");
        assert!(known("localhost").is_none() && known("a_b.").is_none());
    }

    #[tokio::test]
    async fn a_dead_address_holds_up_no_other() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let good = listener.local_addr().unwrap();
        // Reserved for documentation: nothing answers, or there is no route at all.
        let dead: SocketAddr = "192.0.2.1:9".parse().unwrap();
        let stream = race(VecDeque::from([dead, good])).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), good);
        let closed: SocketAddr = "127.0.0.1:1".parse().unwrap();
        let error = race(VecDeque::from([closed, closed])).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!(race(VecDeque::new()).await.unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
