//! Probes over HTTP/2 and of gRPC's health service, and certificates that the host shows to instances.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

use h2::server::SendResponse;
use hyper::body::Bytes;
use hyper::{HeaderMap, Request, Response};

use crate::support::{Site, fleet, wait_for};

const HEALTHY: &str = r#"{"ApplicationHealthState":"Healthy"}"#;

/// `HealthCheckResponse` in its frame; none is an error of gRPC.
type Says = Option<u8>;

fn answer(says: Says, request: &Request<h2::RecvStream>, mut respond: SendResponse<Bytes>) {
    if request.method() == "GET" {
        let mut sending = respond.send_response(Response::new(()), false).unwrap();
        sending.send_data(Bytes::from_static(HEALTHY.as_bytes()), true).unwrap();
        return;
    }
    assert_eq!(request.uri().path(), "/grpc.health.v1.Health/Check");
    let head = Response::builder().header("content-type", "application/grpc").body(()).unwrap();
    let mut sending = respond.send_response(head, false).unwrap();
    let mut trailers = HeaderMap::new();
    match says {
        Some(status) => {
            sending.send_data(Bytes::from(vec![0, 0, 0, 0, 2, 8, status]), false).unwrap();
            trailers.insert("grpc-status", "0".parse().unwrap());
        }
        None => {
            trailers.insert("grpc-status", "5".parse().unwrap());
            trailers.insert("grpc-message", "unknown service".parse().unwrap());
        }
    }
    sending.send_trailers(trailers).unwrap();
}

/// A server of HTTP/2 without TLS; it ends with the test.
fn server(says: Says) -> u16 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        runtime.block_on(async {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
                    while let Some(Ok((request, respond))) = connection.accept().await {
                        answer(says, &request, respond);
                    }
                });
            }
        });
    });
    port
}

fn set(name: &str, health: &str, ports: &[u16]) -> String {
    let mut toml = format!(
        "[[scaleSets]]\nname = \"{name}\"\nmodel = {{ version = \"v1\" }}\n\
         driver = {{ kind = \"command\", command = [\"true\"] }}\n\
         health = {{ intervalInSeconds = 0.2, timeoutInSeconds = 20, gracePeriod = 1, {health} }}\n"
    );
    for (id, port) in ports.iter().enumerate() {
        toml.push_str(&format!("[[scaleSets.instances]]\nid = \"{id}\"\naddress = \"127.0.0.1:{port}\"\n"));
    }
    toml
}

#[test]
fn grpc_and_http2_are_protocols_of_probes() {
    let site = Site::new();
    let ports: Vec<u16> = [Some(1), Some(2), Some(0), Some(3), None].into_iter().map(server).collect();
    let api = fleet::free_ports(1)[0];
    let mut toml = format!("[server]\nlisten = \"127.0.0.1:{api}\"\n");
    toml.push_str(&set("grpc", "protocol = \"grpc\", grpcService = \"orders.v1.Orders\"", &ports));
    toml.push_str(&set("h2c", "protocol = \"h2c\", requestPath = \"/health\"", &[server(None)]));
    site.write("phasegate.toml", toml);
    let host = site.host();
    let wanted = [
        ("grpc", "0", "Healthy", "SERVING"),
        ("grpc", "1", "Unhealthy", "NOT_SERVING"),
        ("grpc", "2", "Unknown", "UNKNOWN"),
        ("grpc", "3", "Unknown", "SERVICE_UNKNOWN"),
        ("grpc", "4", "Unknown", "NOT_FOUND"),
        ("h2c", "0", "Healthy", ""),
    ];
    for (set, id, health, reason) in wanted {
        wait_for("the verdict", || {
            let fleet = site.json(&["fleet", "--detail"]);
            let sets = fleet["scaleSets"].as_array().unwrap();
            let of = sets.iter().find(|known| known["name"] == set).unwrap();
            let mut all = of["instances"].as_array().unwrap().iter();
            let found = all.find(|instance| instance["id"] == id).unwrap();
            let said = found["reason"].as_str().unwrap_or_default();
            (found["health"] == health && said.contains(reason)).then_some(())
        });
    }
    let url = format!("grpc://127.0.0.1:{}/orders.v1.Orders", ports[0]);
    let tried = site.json(&["plugin", "try", "builtin:azure-health", "--url", &url]);
    assert_eq!(tried["decision"]["health"], "healthy", "{tried}");
    host.stop();
}

#[test]
fn a_clients_certificate_is_looked_at_before_it_is_shown() {
    let site = Site::new();
    let testdata = crate::support::repository().join("host/src/drivers/http/testdata");
    for name in ["client.pem", "client-key.pem", "agent-key.pem"] {
        std::fs::copy(testdata.join(name), site.path(name)).unwrap();
    }
    let api = fleet::free_ports(1)[0];
    let check = |certificate: &str, key: &str| {
        let health = format!("protocol = \"https\", certificate = \"{certificate}\", key = \"{key}\"");
        let toml = format!("[server]\nlisten = \"127.0.0.1:{api}\"\n{}", set("web", &health, &[1]));
        site.write("phasegate.toml", toml);
        site.run(&["check"])
    };
    let good = check("client.pem", "client-key.pem");
    assert_eq!(good.code, 0, "{good:?}");
    for (certificate, key, expected) in [
        ("none.pem", "client-key.pem", "health.certificate: cannot read `"),
        ("client.pem", "none.pem", "none.pem`: there is no such file"),
        ("client.pem", "client.pem", "holds no private key in PEM"),
        ("client.pem", "agent-key.pem", "does not fit the certificate"),
    ] {
        let refused = check(certificate, key);
        assert_eq!(refused.code, 1, "{refused:?}");
        assert!(format!("{refused:?}").contains(expected), "{expected}: {refused:?}");
    }
    std::fs::set_permissions(site.path("client-key.pem"), Permissions::from_mode(0o666)).unwrap();
    let open = check("client.pem", "client-key.pem");
    assert!(open.code == 1 && format!("{open:?}").contains("chmod o-w"), "{open:?}");
}
