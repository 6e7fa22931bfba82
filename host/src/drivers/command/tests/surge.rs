//! Programs that create and delete instances.

use super::*;
use crate::drivers::testing::{creation, deletion};

impl Site {
    async fn create(&self, instance: &str, version: &str) -> Result<String, String> {
        let request = creation(instance, version, &format!("u1/{instance}/1"));
        let address = tokio::time::timeout(PATIENCE * 2, self.driver.create(request)).await.unwrap();
        address.map(|(address, _)| address.to_string()).map_err(|error| error.to_string())
    }
}

#[tokio::test]
async fn creates_and_deletes() {
    let site = site(Setup { looks: Looks::Yes, ..Setup::default() });
    assert_eq!(site.driver.creation(), Creation::Possible);
    assert_eq!(site.create("7", "v2").await.unwrap(), "127.0.0.1:4007", "the last line that it prints");
    assert_eq!(lines(&site.dir.path().join("calls")), ["create db/7 0>v2 u1/7/1 1 127.0.0.1:9"]);
    assert_eq!(site.observed("7", "").await, "v2");
    site.driver.delete(deletion("7", "u1/0/2")).await.unwrap();
    site.driver.delete(deletion("7", "u1/0/2")).await.unwrap();
    assert!(!site.dir.path().join("7.version").exists());
}

#[tokio::test]
async fn what_a_creation_can_say() {
    let site = site(Setup { retry_for: Duration::from_millis(50), ..Setup::default() });
    for (version, expected) in [
        ("v2-full", "no more room: `"),
        ("v2-full", "exited with code 76, its output: the rack is full ("),
        ("v2-silent", "did not print an address on its last line: `without output`"),
        ("v2-noise", "did not print an address on its last line: `its output: ready`"),
        ("v2-fail", "exited with code 1, its output: disk is full ("),
        ("v2-always-busy", "still busy after 0.05 s: `"),
    ] {
        let error = site.create("7", version).await.unwrap_err();
        assert!(error.contains(expected), "{version}: {error}");
    }
}
