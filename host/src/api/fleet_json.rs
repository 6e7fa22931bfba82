//! The fleet as JSON, made once for all who read the same view: a large one takes a while to write.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Bytes;
use phasegate_core::domain::Now;
use phasegate_core::domain::shown::visible_json;

use super::behind::Sources;
use super::v1::view;
use crate::shell::View;

/// How long a view is shown as it was written: what is said of an instance may get older by itself.
const SHOWN_FOR: Duration = Duration::from_secs(1);

/// The latest view that was asked for, in words.
#[derive(Debug, Default)]
pub struct FleetJson(Mutex<Option<Written>>);

#[derive(Debug)]
struct Written {
    view: View,
    now: Now,
    json: Bytes,
}

impl FleetJson {
    /// The JSON of a view. Who comes while it is written waits for it, so this must be called where waiting holds up
    /// nobody else.
    ///
    /// # Errors
    /// When the fleet is no JSON, which it always is.
    pub(super) fn of(&self, view: &View, sources: &dyn Sources, now: Now) -> serde_json::Result<Bytes> {
        let mut written = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fits =
            |written: &&Written| Arc::ptr_eq(&written.view, view) && now.at.since(written.now.at) < SHOWN_FOR;
        if let Some(written) = written.as_ref().filter(fits) {
            return Ok(written.json.clone());
        }
        let json = serde_json::to_string(&view::fleet(view, sources, now))?;
        let json = Bytes::from(visible_json(&json).into_owned());
        *written = Some(Written { view: Arc::clone(view), now, json: json.clone() });
        Ok(json)
    }
}

#[cfg(test)]
mod tests {
    use phasegate_core::domain::Timestamp;
    use phasegate_core::kernel::Fleet;

    use super::*;

    #[test]
    fn readers_of_a_view_share_its_json_for_a_while() {
        let (shared, view) = (FleetJson::default(), View::new(Fleet::default()));
        let at = |millis| Now::same(Timestamp(millis));
        let none = crate::api::behind::NoSources;
        let first = shared.of(&view, &none, at(0)).unwrap();
        let same = |other: &Bytes| first.as_ptr() == other.as_ptr();
        assert!(same(&shared.of(&view, &none, at(999)).unwrap()), "the same bytes");
        assert!(!same(&shared.of(&view, &none, at(1_000)).unwrap()), "a second later");
        let another = View::new(Fleet::default());
        assert!(!same(&shared.of(&another, &none, at(1_001)).unwrap()), "another view");
        assert_eq!(&first[..], b"{\"scaleSets\":[]}");
    }
}
