//! Host names while their servers are silent, and the end of a host while everything hangs that can.

use std::io::Read;
use std::net::{TcpListener, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::hostile_plugins::server;
use crate::support::{Site, fleet, guests, wait_for};

/// A server of names that hears and never answers.
fn silent_resolver() -> (UdpSocket, u16) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    (socket, port)
}

/// Takes connections and says nothing; whether somebody asked for a version.
fn silent_server() -> (u16, Arc<AtomicBool>) {
    let asked = Arc::new(AtomicBool::new(false));
    let heard = Arc::clone(&asked);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let heard = Arc::clone(&heard);
            std::thread::spawn(move || {
                let mut buffer = [0; 64];
                while let Ok(read @ 1..) = stream.read(&mut buffer) {
                    heard.fetch_or(buffer[..read].starts_with(b"POST"), Ordering::SeqCst);
                }
            });
        }
    });
    (port, asked)
}

fn set(name: &str, plugin: &str, driver: &str, addresses: &[String]) -> String {
    let mut toml = format!(
        r#"[[scaleSets]]
name = "{name}"
plugin = "{plugin}"
health = {{ intervalInSeconds = 0.2, timeoutInSeconds = 60, gracePeriod = 1 }}
driver = {driver}
model = {{ version = "v1" }}
"#
    );
    for (id, address) in addresses.iter().enumerate() {
        toml.push_str(&format!("[[scaleSets.instances]]\nid = \"{id}\"\naddress = \"{address}\"\n"));
    }
    toml
}

#[test]
fn silent_servers_of_names_touch_names_alone_and_nothing_that_hangs_holds_up_the_end() {
    let site = Site::new();
    let (_resolver, port) = silent_resolver();
    let (silent, asked) = silent_server();
    let names: Vec<String> = (0..600).map(|number| format!("db_{number}.test.:80")).collect();
    let good: Vec<String> = (0..3).map(|_| format!("127.0.0.1:{}", server())).collect();
    let local = vec![format!("localhost:{}", server())];
    let quiet = [format!("127.0.0.1:{silent}")];
    let idle = "{ kind = \"command\", command = [\"true\"] }";
    let agent = format!("{{ kind = \"http\", url = \"http://127.0.0.1:{silent}/\" }}");
    site.write("loop.wasm", guests::component("loop-evaluate").unwrap());
    let mut toml = format!(
        "[server]\nlisten = \"127.0.0.1:{}\"\nresolvers = [\"127.0.0.1:{port}\"]\n[[plugins]]\nname = \"loop\"\n\
         component = \"loop.wasm\"\nlimits = {{ timeoutMs = 60000, fuel = 4294967295 }}\n",
        fleet::free_ports(1)[0]
    );
    toml.push_str(&set("names", "azure-health", idle, &names));
    toml.push_str(&set("good", "azure-health", &agent, &good));
    toml.push_str(&set("local", "azure-health", idle, &local));
    toml.push_str(&set("quiet", "azure-health", idle, &quiet));
    toml.push_str(&set("stuck", "loop", idle, &[format!("127.0.0.1:{}", server())]));
    site.write("phasegate.toml", toml);
    let host = site.host();
    let health = |set: &str| {
        let fleet = site.json(&["fleet", "--detail"]);
        let sets = fleet["scaleSets"].as_array().unwrap();
        let of = sets.iter().find(|known| known["name"] == set).unwrap();
        of["instances"].as_array().unwrap().clone()
    };
    for set in ["good", "local"] {
        wait_for("those that can be reached", || {
            health(set).iter().all(|instance| instance["health"] == "Healthy").then_some(())
        });
    }
    wait_for("a verdict on the names", || {
        health("names").iter().all(|instance| instance["health"] == "Unknown").then_some(())
    });
    assert!(health("good").iter().all(|instance| instance["health"] == "Healthy"));
    let reason = health("names")[0]["reason"].as_str().unwrap().to_owned();
    assert!(reason.contains("db_0.test.:80: no server of names answers for it"), "{reason}");
    // The agent hangs from here on.
    assert_eq!(site.run(&["upgrade", "start", "good", "--to", "v2"]).code, 0);
    wait_for("the agent to be asked", || asked.load(Ordering::SeqCst).then_some(()));
    let told = Instant::now();
    host.stop();
    // Five seconds are promised; each of those that hang would take a minute.
    assert!(told.elapsed() < Duration::from_secs(30), "{:?}", told.elapsed());
}

#[test]
fn check_asks_the_servers_of_names_that_the_host_will_ask() {
    let site = Site::new();
    let (resolver, port) = silent_resolver();
    resolver.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let toml = format!(
        "[server]\nresolvers = [\"127.0.0.1:{port}\"]\n[[plugins]]\nname = \"far\"\n\
         component = \"https://policies.test/far.wasm\"\nfetch = {{ timeout = \"PT1S\" }}\n"
    );
    site.write(
        "phasegate.toml",
        toml + &set("a", "far", "{ kind = \"command\", command = [\"true\"] }", &["127.0.0.1:1".to_owned()]),
    );
    let checked = site.run(&["check"]);
    assert_eq!(checked.code, 1, "{checked:?}");
    let mut asked = [0; 512];
    let count = resolver.recv(&mut asked).unwrap();
    assert!(asked[..count].windows(8).any(|part| part == b"policies"), "it was asked for another name");
}
