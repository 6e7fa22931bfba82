//! Programs beside which a host is measured, where they are installed: HAProxy, wrk, nginx, blackbox_exporter.
//!
//! Each runs in the foreground, in a folder of its own, and ends with its owner.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A program that runs.
pub(crate) struct Peer {
    child: Child,
    _folder: tempfile::TempDir,
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Whether a program is here.
pub(crate) fn is_here(program: &str) -> bool {
    ["/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin"]
        .iter()
        .any(|folder| Path::new(folder).join(program).is_file())
}

/// CPU time of a process, all its threads, and of those that it has waited for.
pub(crate) fn cpu(pid: u32) -> Duration {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { return Duration::ZERO };
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    let ticks: u64 = fields[11..=14].iter().map(|field| field.parse::<u64>().unwrap()).sum();
    Duration::from_millis(ticks * 10)
}

impl Peer {
    fn start(program: &str, arguments: &[&str], folder: tempfile::TempDir) -> Option<Self> {
        if !is_here(program) {
            return None;
        }
        let mut command = Command::new(program);
        command.env("PATH", "/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin").current_dir(folder.path());
        let quiet = command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Some(Self { child: quiet.spawn().ok()?, _folder: folder })
    }

    /// HAProxy, one thread, whose only work are checks of so many servers behind one port.
    pub(crate) fn haproxy(servers: usize, interval: Duration, port: u16) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mut text = String::from(
            "global\n  nbthread 1\ndefaults\n  mode http\n  timeout connect 10s\n  timeout client 10s\n  \
             timeout server 10s\n  timeout check 10s\nfrontend nobody\n  default_backend fleet\nbackend fleet\n  option httpchk GET /health\n",
        );
        // It does not begin without anything to listen to.
        text = text
            .replace("frontend nobody\n", &format!("frontend nobody\n  bind 127.0.0.1:{}\n", free_port()));
        for number in 0..servers {
            text.push_str(&format!(
                "  server s{number} 127.0.0.1:{port} check inter {} fall 3 rise 1\n",
                interval.as_millis()
            ));
        }
        fs::write(folder.path().join("haproxy.cfg"), text).unwrap();
        Self::start("haproxy", &["-db", "-f", "haproxy.cfg"], folder)
    }

    /// wrk, one thread, a hundred kept connections.
    pub(crate) fn wrk(port: u16, lasts: Duration) -> Option<Self> {
        let (lasts, url) = (format!("-d{}s", lasts.as_secs()), format!("http://127.0.0.1:{port}/health"));
        Self::start("wrk", &["-t1", "-c100", &lasts, &url], tempfile::tempdir().unwrap())
    }

    /// nginx, one process, the same short answer; and its port.
    pub(crate) fn nginx(body: &str) -> Option<(Self, u16)> {
        let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
        fs::write(folder.path().join("body.json"), body).unwrap();
        let root = folder.path().display().to_string();
        let text = format!(
            "daemon off; master_process off; worker_processes 1; pid {root}/pid; error_log /dev/null;\n\
             events {{ worker_connections 60000; }}\nhttp {{ access_log off; client_body_temp_path {root}/b; \
             proxy_temp_path {root}/p; fastcgi_temp_path {root}/f; uwsgi_temp_path {root}/u; scgi_temp_path {root}/s;\n\
             server {{ listen 127.0.0.1:{port} backlog=4096; location / {{ root {root}; try_files /body.json =404; \
             default_type application/json; }} }} }}\n"
        );
        fs::write(folder.path().join("nginx.conf"), text).unwrap();
        let conf = format!("{root}/nginx.conf");
        Some((Self::start("nginx", &["-p", &root, "-c", &conf], folder)?, port))
    }

    /// blackbox_exporter, and its port.
    pub(crate) fn blackbox() -> Option<(Self, u16)> {
        let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
        let text = "modules:\n  http_2xx:\n    prober: http\n    timeout: 5s\n    http:\n      \
                    preferred_ip_protocol: ip4\n";
        fs::write(folder.path().join("b.yml"), text).unwrap();
        let listen = format!("--web.listen-address=127.0.0.1:{port}");
        let arguments = ["--config.file=b.yml", &listen];
        Some((Self::start("prometheus-blackbox-exporter", &arguments, folder)?, port))
    }

    pub(crate) fn cpu(&self) -> Duration {
        cpu(self.child.id())
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Lets blackbox_exporter probe once; whether it could be asked.
pub(crate) fn blackbox_probe(exporter: u16, target: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", exporter)) else { return false };
    let request = format!(
        "GET /probe?module=http_2xx&target=http://127.0.0.1:{target}/health HTTP/1.1\r\nHost: b\r\nConnection: close\r\n\r\n"
    );
    let mut text = String::new();
    stream.write_all(request.as_bytes()).is_ok()
        && stream.read_to_string(&mut text).is_ok()
        && text.contains("probe_success 1")
}

/// System calls of a process in that time, by `strace -c`; none where that is not here.
pub(crate) fn system_calls(pid: u32, lasts: Duration) -> Option<Vec<(String, u64)>> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("calls");
    if !is_here("strace") || !is_here("timeout") {
        return None;
    }
    let arguments =
        ["-s", "INT", &lasts.as_secs().to_string(), "strace", "-c", "-f", "-o"].map(str::to_owned);
    let mut command = Command::new("timeout");
    let quiet = command.args(arguments).arg(&file).args(["-p", &pid.to_string()]);
    quiet.stdout(Stdio::null()).stderr(Stdio::null()).status().ok()?;
    let text = fs::read_to_string(file).ok()?;
    // `% time  seconds  usecs/call  calls  [errors]  syscall`
    let rows = text.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (name, calls) = (fields.last()?, fields.get(3)?.parse().ok()?);
        (*name != "total").then(|| ((*name).to_owned(), calls))
    });
    Some(rows.collect()).filter(|rows: &Vec<_>| !rows.is_empty())
}
