//! Servers whose answers the test changes while they run.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// Instances in one thread each; all healthy, with a phase and whether they take part.
pub struct Answers {
    pub ports: Vec<u16>,
    bodies: Vec<Arc<Mutex<String>>>,
    asked: Arc<AtomicUsize>,
    is_mute: Arc<AtomicBool>,
}

impl Answers {
    /// As many servers as there are phases.
    pub fn start(phases: &[u32]) -> Self {
        let mut answers =
            Self { ports: Vec::new(), bodies: Vec::new(), asked: Arc::default(), is_mute: Arc::default() };
        for phase in phases {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            answers.ports.push(listener.local_addr().unwrap().port());
            let body = Arc::new(Mutex::new(String::new()));
            answers.bodies.push(Arc::clone(&body));
            answers.set(answers.bodies.len() - 1, *phase, false);
            let (asked, is_mute) = (Arc::clone(&answers.asked), Arc::clone(&answers.is_mute));
            std::thread::spawn(move || serve(&listener, &body, &asked, &is_mute));
        }
        answers
    }

    /// How often all of them together were asked.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }

    /// From now on all of them end every connection without a word.
    pub fn mute(&self) {
        self.is_mute.store(true, Ordering::Relaxed);
    }

    /// They answer again.
    pub fn unmute(&self) {
        self.is_mute.store(false, Ordering::Relaxed);
    }

    /// The whole body that an instance answers with from now on.
    pub fn say(&self, instance: usize, body: &str) {
        *self.bodies[instance].lock().unwrap() = body.to_owned();
    }

    /// What an instance says from now on.
    pub fn set(&self, instance: usize, phase: u32, skip: bool) {
        *self.bodies[instance].lock().unwrap() = format!(
            r#"{{"ApplicationHealthState":"Healthy","CustomMetrics":{{"rollingUpgrade":{{"PhaseOrderingNumber":{phase},"SkipUpgrade":{skip}}}}}}}"#
        );
    }
}

fn serve(listener: &TcpListener, body: &Mutex<String>, asked: &AtomicUsize, is_mute: &AtomicBool) {
    for mut stream in listener.incoming().flatten() {
        asked.fetch_add(1, Ordering::Relaxed);
        if is_mute.load(Ordering::Relaxed) {
            continue;
        }
        let mut buffer = [0; 4096];
        let _ = stream.read(&mut buffer);
        let body = body.lock().unwrap().clone();
        let _ = write!(
            stream,
            "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
    }
}
