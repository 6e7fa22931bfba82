//! The catalogue and enrolment.

use super::super::catalogue::VERSIONS_MAX;
use super::super::*;
use super::world::*;
use crate::domain::{Actor, Digest, Enrolment, HandlerVersion, Timestamp, Version};

fn entry(digest: Option<u8>) -> PublishedVersion {
    PublishedVersion {
        digest: digest.map(|byte| Digest([byte; 32])),
        at: Timestamp(0),
        by: Actor::default(),
        withdrawn: None,
        quarantined: None,
        waits: false,
    }
}

fn published(versions: &[&str]) -> Published {
    let mut published = Published::new(agent());
    for text in versions {
        assert_eq!(published.publish(&version(text), entry(None), VERSIONS_MAX), Ok(Publishing::New));
    }
    published
}

#[test]
fn line_154_the_newest_minor_of_the_major_or_exactly_what_the_model_names() {
    let catalogue = published(&["1.2", "1.9", "1.10", "1.10.3", "2.0"]);
    let of = |minor: bool, handler: &str| {
        let handler = HandlerVersion::parse(handler).unwrap();
        resolve(&catalogue, &Enrolment { minor, handler, ..enrolment() }).map(ToString::to_string)
    };
    assert_eq!(of(true, "1.2").as_deref(), Some("1.10.3"));
    assert_eq!(of(false, "1.9").as_deref(), Some("1.9"));
    assert_eq!(of(false, "1.10").as_deref(), Some("1.10.3"));
    assert_eq!(of(true, "2.0").as_deref(), Some("2.0"));
    assert_eq!((of(false, "1.3"), of(true, "3.0")), (None, None));
}

#[test]
fn line_31_a_release_moves_only_within_the_major() {
    let standing = |automatic: bool, has: &str, to: &str| {
        may_move(&Enrolment { automatic, ..enrolment() }, &Version::parse(has).unwrap(), &version(to))
    };
    assert_eq!(standing(true, "1.2", "1.10"), Ok(Moves::Up));
    assert_eq!(standing(true, "1.10", "1.2"), Err(Left::Newer));
    assert_eq!(standing(true, "1.2", "1.2.0"), Ok(Moves::There));
    assert_eq!(standing(true, "1.2", "2.0"), Err(Left::OtherMajor));
    assert_eq!(standing(true, "stable", "1.2"), Err(Left::NotComparable));
    assert_eq!(standing(false, "1.2", "1.10"), Err(Left::NotEnrolled));
}

#[test]
fn one_version_has_one_content() {
    let mut catalogue = Published::new(agent());
    let publish = |catalogue: &mut Published, text: &str, digest| {
        catalogue.publish(&version(text), entry(digest), VERSIONS_MAX)
    };
    assert_eq!(publish(&mut catalogue, "1.0", Some(1)), Ok(Publishing::New));
    assert_eq!(publish(&mut catalogue, "1.0.0", Some(1)), Ok(Publishing::Known));
    assert!(matches!(publish(&mut catalogue, "1.0", Some(2)), Err(PublishError::OtherDigest { .. })));
    assert!(matches!(publish(&mut catalogue, "1.0", None), Err(PublishError::OtherDigest { .. })));
}

#[test]
fn what_was_withdrawn_is_for_nobody() {
    let mut catalogue = published(&["1.0", "1.1"]);
    let withdrawn = Withdrawn { at: Timestamp(0), by: Actor::default(), reason: None };
    catalogue.versions.get_mut(&version("1.1")).unwrap().withdrawn = Some(withdrawn);
    assert_eq!(catalogue.newest(|_| true), Some(&version("1.0")));
    let again = catalogue.publish(&version("1.1"), entry(None), VERSIONS_MAX);
    assert!(matches!(again, Err(PublishError::Withdrawn { .. })));
    let full = catalogue.publish(&version("1.2"), entry(None), 2);
    assert!(full.unwrap_err().to_string().contains("limit maxVersions = 2"));
}
