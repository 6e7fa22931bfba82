//! Starts that must not happen: each ends with a clear word and code 2, and harms nothing.

use crate::support::{Site, fleet};

fn refused(site: &Site, message: &str) {
    let finished = site.run(&["run"]);
    assert_eq!(finished.code, 2, "{finished:?}");
    assert!(finished.stderr.contains(message), "{message}: {finished:?}");
    assert_eq!(site.processes(), Vec::<String>::new(), "nothing may have been started");
}

#[test]
fn the_port_is_taken() {
    let site = Site::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut databases = fleet::databases(2);
    databases.api_port = listener.local_addr().unwrap().port();
    site.write("phasegate.toml", databases.toml());
    refused(&site, &format!("cannot listen on {}", listener.local_addr().unwrap()));
}

#[test]
fn the_data_directory_cannot_be_made() {
    let site = Site::new();
    site.write("file", "in the way");
    let toml = fleet::databases(2).toml().replace("\"./data\"", "\"./file/data\"");
    site.write("phasegate.toml", toml);
    refused(&site, "server.dataDir: `./file/data` cannot be created: `./file` is not a directory");
}

#[test]
fn the_data_directory_belongs_to_a_newer_version() {
    let site = Site::new();
    site.write("phasegate.toml", fleet::databases(2).toml());
    std::fs::create_dir(site.path("data")).unwrap();
    // Offset 60 of a SQLite file is the user version; made by hand so that no SQLite is needed here.
    let opened = phasegate::store::SqliteStore::open(&site.path("data")).unwrap();
    drop(opened);
    let path = site.path("data/phasegate.db");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[60..64].copy_from_slice(&99_u32.to_be_bytes());
    std::fs::write(&path, bytes).unwrap();
    refused(&site, "has schema 99, this phasegate knows up to");
}

#[test]
fn two_hosts_on_one_data_directory() {
    let site = Site::new();
    let databases = fleet::databases(2);
    site.write("phasegate.toml", databases.toml());
    let host = site.host();
    let other_port = fleet::free_ports(1)[0];
    let second = databases.toml().replace(&format!(":{}\"", databases.api_port), &format!(":{other_port}\""));
    site.write("second.toml", second);
    let finished = site.run(&["run", "-c", "second.toml"]);
    assert_eq!(finished.code, 2, "{finished:?}");
    assert!(
        finished.stderr.contains(&format!("in use by another phasegate (pid {})", host.pid())),
        "{finished:?}"
    );
    site.wait_until_healthy();
    host.stop();
}

#[test]
fn other_machines_need_a_token() {
    let site = Site::new();
    let mut databases = fleet::databases(2);
    let listen = format!("127.0.0.1:{}", databases.api_port);
    databases.health = "intervalInSeconds = 0.1\nrequestPath = \"/health\"\ngracePeriod = 20";
    let open = databases.toml().replace(&listen, &format!("0.0.0.0:{}", databases.api_port));
    site.write("phasegate.toml", &open);
    let finished = site.run(&["check"]);
    assert_eq!(finished.code, 1, "{finished:?}");

    site.write("token", "a-long-random-word-of-ours\n");
    let guarded = databases.toml().replace("dataDir", "tokenFile = \"token\"\ndataDir");
    site.write("phasegate.toml", guarded);
    let host = site.host();
    let stranger = site.run(&["fleet", "--server", &listen, "--token", "guess"]);
    assert_eq!(stranger.code, 2, "{stranger:?}");
    assert!(stranger.stderr.contains("wrong token"), "{stranger:?}");
    assert!(!site.log().contains("a-long-random-word"), "no secrets in logs");
    host.stop();
}
