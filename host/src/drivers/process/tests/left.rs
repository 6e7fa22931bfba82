//! What a host before this one has left running, as this one sees it.

use super::*;
use crate::drivers::local::kept::{self, About, Kept};

#[tokio::test]
async fn what_was_left_running_is_seen_before_anybody_asks_for_it() {
    let rig = rig(&[STEADY], Setup::default());
    assert_eq!(rig.observed("1").await, None);
    let asked = request("1", "v7", "a");
    let about = About {
        scale_set: asked.scale_set.clone(),
        instance: asked.instance.id.clone(),
        version: asked.version.clone(),
        port: None,
        output_start: 0,
    };
    // This process stands in for the one that was left.
    let own = i32::try_from(std::process::id()).unwrap();
    let left = Kept::new(about, own).unwrap();
    let path = kept::path(&rig.dir.path().join("processes"), &asked.scale_set, &asked.instance.id);
    left.write(&path).unwrap();
    assert_eq!(rig.observed("1").await.as_deref(), Some("v7"));
    left.ended(std::os::unix::process::ExitStatusExt::from_raw(0)).write(&path).unwrap();
    assert_eq!(rig.observed("1").await, None, "it has ended");
}
