//! A web server and an OCI registry that tests run themselves: plain or with TLS, with or without
//! login, and wrong in the ways that a test asks for.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::json;
use sha2::{Digest as _, Sha256};

/// An authority and what it gave to `localhost` and 127.0.0.1; made for tests. Valid until 2126.
pub const CA: &[u8] = include_bytes!("../../host/src/drivers/http/testdata/ca.pem");
const CERT: &[u8] = include_bytes!("../../host/src/drivers/http/testdata/agent.pem");
const KEY: &[u8] = include_bytes!("../../host/src/drivers/http/testdata/agent-key.pem");

/// What the token server hands out.
pub const ISSUED: &str = "issued-7f3a91";

/// How a server is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaks {
    Http,
    Https,
}

/// One request as it came.
#[derive(Debug, Clone)]
pub struct Asked {
    pub method: String,
    pub path: String,
    pub authorization: Option<String>,
    pub body: Vec<u8>,
}

/// What is sent.
#[derive(Debug, Clone)]
pub enum Reply {
    /// Status, more header lines, body.
    Whole(u16, String, Vec<u8>),
    /// Bytes without end.
    Endless,
}

impl Reply {
    pub fn ok(body: impl Into<Vec<u8>>) -> Self {
        Self::Whole(200, String::new(), body.into())
    }

    pub fn to(location: &str) -> Self {
        Self::Whole(307, format!("Location: {location}\r\n"), Vec::new())
    }
}

/// What a server knows.
#[derive(Default)]
pub struct State {
    /// Answers by path.
    pub files: BTreeMap<String, Reply>,
    /// `user:password` in base64, when a login is needed.
    pub login: Option<String>,
    /// The whole `Authorization` without which nothing is answered.
    pub guarded: Option<String>,
    /// Whether connections are closed without an answer.
    pub away: bool,
    /// Whether blobs are waited for until this is taken back.
    pub held: bool,
    /// Every request so far.
    pub asked: Vec<Asked>,
    /// Bytes sent of bodies without end.
    pub endless: u64,
}

/// A server on a port of its own, for as long as the test runs.
pub struct Registry {
    pub port: u16,
    speaks: Speaks,
    state: Arc<Mutex<State>>,
}

impl Registry {
    pub fn start(speaks: Speaks) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::<Mutex<State>>::default();
        let known = Arc::clone(&state);
        let tls = (speaks == Speaks::Https).then(tls);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (state, tls) = (Arc::clone(&known), tls.clone());
                // A client that hangs up is part of many tests.
                std::thread::spawn(move || drop(connection(stream, tls, port, speaks, &state)));
            }
        });
        Self { port, speaks, state }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub fn put(&self, path: &str, reply: Reply) {
        self.state().files.insert(path.to_owned(), reply);
    }

    /// `scheme://127.0.0.1:port/path`.
    pub fn url(&self, path: &str) -> String {
        format!("{}://127.0.0.1:{}{path}", scheme(self.speaks), self.port)
    }

    /// `oci://127.0.0.1:port/repository`.
    pub fn oci(&self, rest: &str) -> String {
        format!("oci://127.0.0.1:{}/{rest}", self.port)
    }

    /// Puts a component under a tag, as `oras push` does; gives the digest of the manifest.
    pub fn push(&self, repository: &str, tag: &str, component: &[u8]) -> String {
        let layer = digest(component);
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "artifactType": "application/vnd.wasm.config.v0+json",
            "config": { "mediaType": "application/vnd.wasm.config.v0+json", "digest": digest(b"{}"), "size": 2 },
            "layers": [{ "mediaType": "application/wasm", "digest": layer, "size": component.len() }],
        });
        let manifest = manifest.to_string().into_bytes();
        let name = digest(&manifest);
        let head = format!(
            "Content-Type: application/vnd.oci.image.manifest.v1+json\r\nDocker-Content-Digest: {name}\r\n"
        );
        let base = format!("/v2/{repository}");
        self.put(&format!("{base}/blobs/{layer}"), Reply::ok(component));
        for version in [tag, &name] {
            self.put(
                &format!("{base}/manifests/{version}"),
                Reply::Whole(200, head.clone(), manifest.clone()),
            );
        }
        name
    }

    /// Paths that were asked for since the last call.
    pub fn paths(&self) -> Vec<String> {
        std::mem::take(&mut self.state().asked).into_iter().map(|asked| asked.path).collect()
    }
}

fn scheme(speaks: Speaks) -> &'static str {
    match speaks {
        Speaks::Http => "http",
        Speaks::Https => "https",
    }
}

pub fn digest(bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

fn tls() -> Arc<rustls::ServerConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(CERT).unwrap()],
            PrivateKeyDer::from_pem_slice(KEY).unwrap(),
        );
    Arc::new(config.unwrap())
}

fn connection(
    mut stream: TcpStream,
    tls: Option<Arc<rustls::ServerConfig>>,
    port: u16,
    speaks: Speaks,
    state: &Mutex<State>,
) -> std::io::Result<()> {
    if state.lock().unwrap().away {
        return Ok(());
    }
    let base = format!("{}://127.0.0.1:{port}", scheme(speaks));
    match tls {
        None => serve(&mut stream, &base, state),
        Some(config) => {
            let session = rustls::ServerConnection::new(config).map_err(std::io::Error::other)?;
            let mut stream = rustls::StreamOwned::new(session, stream);
            serve(&mut stream, &base, state)?;
            stream.conn.send_close_notify();
            stream.flush()
        }
    }
}

fn serve(stream: &mut (impl Read + Write), base: &str, state: &Mutex<State>) -> std::io::Result<()> {
    let mut request = Vec::new();
    let mut byte = [0];
    while !request.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        request.push(byte[0]);
    }
    let request = String::from_utf8(request).unwrap();
    let mut words = request.split(' ').map(str::to_owned);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let header = |name: &str| request.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
    let authorization = header("Authorization: ");
    let length = header("Content-Length: ").and_then(|length| length.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body)?;
    let asked = Asked { method, path, authorization, body };
    let reply = {
        let mut state = state.lock().unwrap();
        state.asked.push(asked.clone());
        let answer = reply(&asked, base, &state);
        match (asked.method.as_str(), &answer) {
            ("GET", _) | (_, Reply::Whole(401, ..)) => answer,
            (_, _) => taken(&asked, &mut state),
        }
    };
    while asked.path.contains("/blobs/") && state.lock().unwrap().held {
        std::thread::sleep(Duration::from_millis(10));
    }
    let (status, head, body) = match reply {
        Reply::Whole(status, head, body) => (status, head, body),
        Reply::Endless => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")?;
            loop {
                stream.write_all(&[0; 1 << 16])?;
                state.lock().unwrap().endless += 1 << 16;
            }
        }
    };
    let length = body.len();
    write!(stream, "HTTP/1.1 {status} X\r\n{head}Connection: close\r\nContent-Length: {length}\r\n\r\n")?;
    stream.write_all(&body)?;
    stream.flush()
}

fn reply(asked: &Asked, base: &str, state: &State) -> Reply {
    let Asked { path, authorization, .. } = asked;
    let plain = path.split('?').next().unwrap_or_default();
    if state.guarded.is_some() && state.guarded != *authorization {
        let challenge = "WWW-Authenticate: Basic realm=\"security\" charset=\"UTF-8\"\r\n".to_owned();
        return Reply::Whole(401, challenge, b"{\"status\":401}".to_vec());
    }
    if let Some(login) = &state.login {
        let told = authorization.as_deref().unwrap_or_default();
        if plain == "/token" {
            if told != format!("Basic {login}") {
                // As unkind as a server can be.
                return Reply::Whole(401, String::new(), format!("not you: {told}").into_bytes());
            }
            return Reply::ok(json!({ "token": ISSUED, "expires_in": 300 }).to_string());
        }
        if plain.starts_with("/v2/") && told != format!("Bearer {ISSUED}") {
            let challenge = format!(
                "WWW-Authenticate: Bearer realm=\"{base}/token\",service=\"tests\",scope=\"repository:policies/db:pull\"\r\n"
            );
            return Reply::Whole(401, challenge, Vec::new());
        }
    }
    let whole = state.files.get(path.as_str());
    whole.or_else(|| state.files.get(plain)).cloned().unwrap_or(Reply::Whole(404, String::new(), Vec::new()))
}

/// What a registry makes of what is sent to it.
fn taken(asked: &Asked, state: &mut State) -> Reply {
    let (path, query) = asked.path.split_once('?').unwrap_or((&asked.path, ""));
    let Some((base, what)) = path.split_once("/blobs/uploads/").or_else(|| path.rsplit_once("/manifests/"))
    else {
        return Reply::Whole(404, String::new(), Vec::new());
    };
    match asked.method.as_str() {
        "POST" => Reply::Whole(202, format!("Location: {base}/blobs/uploads/7?state=a%2Bb\r\n"), Vec::new()),
        "PUT" if path.contains("/blobs/uploads/") => {
            let seen = digest(&asked.body);
            if !query.starts_with("state=a%2Bb&") || !query.replace("%3A", ":").contains(&seen) {
                return Reply::Whole(400, String::new(), Vec::new());
            }
            state.files.insert(format!("{base}/blobs/{seen}"), Reply::ok(asked.body.clone()));
            Reply::Whole(201, String::new(), Vec::new())
        }
        "PUT" => {
            let name = digest(&asked.body);
            let kind = "Content-Type: application/vnd.oci.image.manifest.v1+json";
            let head = format!("{kind}\r\nDocker-Content-Digest: {name}\r\n");
            for version in [what, &name] {
                let reply = Reply::Whole(200, head.clone(), asked.body.clone());
                state.files.insert(format!("{base}/manifests/{version}"), reply);
            }
            Reply::Whole(201, String::new(), Vec::new())
        }
        _ => Reply::Whole(405, String::new(), Vec::new()),
    }
}
