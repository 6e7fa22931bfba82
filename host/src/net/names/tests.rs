//! Names against a server of names of the test's own, on a socket.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::net::UdpSocket;
use tokio::time::timeout;

use super::*;

/// Longest wait of a test.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the server says of a name.
#[derive(Clone, Copy)]
enum Says {
    V4([u8; 4], u32),
    NoSuchName,
    Nothing,
    /// An address of IPv4, and silence when asked for IPv6.
    OnlyV4Answers([u8; 4]),
    /// Two services, and one that is decidedly not there.
    Services,
}

/// A server of names.
struct Server {
    names: Names,
    says: Arc<Mutex<BTreeMap<String, Says>>>,
    asked: Arc<AtomicUsize>,
}

impl Server {
    async fn start() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let names = Names::new(vec![socket.local_addr().unwrap()]);
        let says: Arc<Mutex<BTreeMap<String, Says>>> = Arc::default();
        let asked = Arc::new(AtomicUsize::new(0));
        let (said, counter) = (Arc::clone(&says), Arc::clone(&asked));
        tokio::spawn(async move {
            let mut buffer = [0; 1500];
            while let Ok((length, peer)) = socket.recv_from(&mut buffer).await {
                counter.fetch_add(1, Ordering::SeqCst);
                let answer = answer(&buffer[..length], &said.lock().unwrap());
                if let Some(answer) = answer {
                    socket.send_to(&answer, peer).await.unwrap();
                }
            }
        });
        Self { names, says, asked }
    }

    fn say(&self, name: &str, says: Says) {
        self.says.lock().unwrap().insert(name.to_owned(), says);
    }

    /// Addresses, or why there are none.
    async fn look_up(&self, name: &str) -> String {
        match timeout(PATIENCE, self.names.look_up(name)).await.unwrap() {
            Ok(found) => found.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(" "),
            Err(error) => error.to_string(),
        }
    }
}

/// An answer to a question, as RFC 1035 writes them.
fn answer(question: &[u8], says: &BTreeMap<String, Says>) -> Option<Vec<u8>> {
    let (mut at, mut labels) = (12, Vec::new());
    while question[at] != 0 {
        let length = usize::from(question[at]);
        labels.push(String::from_utf8(question[at + 1..=at + length].to_vec()).unwrap().to_lowercase());
        at += length + 1;
    }
    let is_v4 = question[at + 2] == 1;
    let said = says.get(&labels.join(".")).copied().unwrap_or(Says::NoSuchName);
    if matches!(said, Says::Services) {
        return Some(services(&question[..at + 5]));
    }
    let address = match said {
        Says::Services | Says::Nothing => return None,
        Says::OnlyV4Answers(_) if !is_v4 => return None,
        Says::OnlyV4Answers(address) => Some((address, 60)),
        Says::V4(address, ttl) => is_v4.then_some((address, ttl)),
        Says::NoSuchName => None,
    };
    let code = if matches!(said, Says::NoSuchName) { 3 } else { 0 };
    let mut bytes = question[..2].to_vec();
    bytes.extend([0x81, 0x80 | code, 0, 1, 0, u8::from(address.is_some()), 0, 0, 0, 0]);
    bytes.extend(&question[12..at + 5]);
    if let Some((address, ttl)) = address {
        bytes.extend([0xc0, 12, 0, 1, 0, 1]);
        bytes.extend(ttl.to_be_bytes());
        bytes.extend([0, 4]);
        bytes.extend(address);
    }
    Some(bytes)
}

/// `a.test:80` and `b.test:81`, and the root.
fn services(question: &[u8]) -> Vec<u8> {
    let mut bytes = question[..2].to_vec();
    bytes.extend([0x81, 0x80, 0, 1, 0, 3, 0, 0, 0, 0]);
    bytes.extend(&question[12..]);
    let named = |host: u8| vec![1, host, 4, b't', b'e', b's', b't', 0];
    for (target, port) in [(named(b'a'), 80_u8), (named(b'b'), 81), (vec![0], 82)] {
        bytes.extend([0xc0, 12, 0, 33, 0, 1, 0, 0, 0, 60, 0, u8::try_from(target.len() + 6).unwrap()]);
        bytes.extend([0, 0, 0, 0, 0, port]);
        bytes.extend(target);
    }
    bytes
}

#[tokio::test]
async fn services_are_listed_but_those_that_are_decidedly_not_there() {
    let server = Server::start().await;
    server.say("_db._tcp.test", Says::Services);
    let found = lists::services(&server.names.resolvers, "_db._tcp.test.");
    let mut found = timeout(PATIENCE, found).await.unwrap().unwrap();
    found.sort();
    assert_eq!(found, [("a.test".to_owned(), 80), ("b.test".to_owned(), 81)]);
    let none = timeout(PATIENCE, lists::services(&server.names.resolvers, "_no._tcp.test.")).await.unwrap();
    assert_eq!(none.unwrap_err(), LookUpError::NoSuchName);
}

#[tokio::test]
async fn a_name_is_asked_for_once_as_long_as_its_answer_counts() {
    let server = Server::start().await;
    server.say("a_b.test", Says::V4([10, 0, 0, 1], 300));
    for _ in 0..20 {
        assert_eq!(server.look_up("a_b.test.").await, "10.0.0.1");
    }
    assert_eq!(server.asked.load(Ordering::SeqCst), 2, "once for each family");
    assert_eq!(server.look_up("no.test.").await, "the name does not exist");
}

#[tokio::test]
async fn silence_for_one_family_or_many_names_holds_up_no_other_name() {
    let server = Server::start().await;
    server.say("v4.test", Says::OnlyV4Answers([10, 0, 0, 2]));
    assert_eq!(server.look_up("v4.test.").await, "10.0.0.2");
    // Far more than may be asked for at once, and each waits as long as it may.
    let server = Arc::new(server);
    let mut dead = tokio::task::JoinSet::new();
    for number in 0..600 {
        server.say(&format!("dead{number}.test"), Says::Nothing);
    }
    for number in 0..600 {
        let server = Arc::clone(&server);
        dead.spawn(async move { server.look_up(&format!("dead{number}.test.")).await });
    }
    server.say("good.test", Says::V4([10, 0, 0, 3], 300));
    assert_eq!(server.look_up("good.test.").await, "10.0.0.3");
    assert!(!dead.is_empty(), "they are still waited for");
    while let Some(outcome) = dead.join_next().await {
        assert_eq!(outcome.unwrap(), "no server of names answers for it");
    }
}

#[tokio::test]
async fn the_machine_knows_itself_without_a_server() {
    let server = Server::start().await;
    assert!(server.look_up("localhost").await.contains("127.0.0.1"));
    assert!(server.look_up("a.localhost.").await.contains("127.0.0.1"));
}

#[tokio::test]
async fn half_a_list_is_none() {
    let server = Server::start().await;
    server.say("v4.test", Says::V4([10, 0, 0, 9], 60));
    let all = |name: &'static str| {
        let resolvers = server.names.resolvers.clone();
        async move { timeout(PATIENCE, lists::addresses(&resolvers, name)).await.unwrap() }
    };
    assert_eq!(all("v4.test.").await.unwrap(), [IpAddr::from([10, 0, 0, 9])]);
    assert_eq!(all("no.test.").await.unwrap_err(), LookUpError::NoSuchName);
    assert!(all("localhost").await.unwrap().contains(&IpAddr::from([127, 0, 0, 1])));
    // Who has addresses of one family may have some of the other, and nobody says so.
    server.say("half.test", Says::OnlyV4Answers([10, 0, 0, 8]));
    assert_eq!(all("half.test.").await.unwrap_err(), LookUpError::Silent);
}
