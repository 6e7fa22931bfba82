//! Who is let in, and what the others are told.

use phasegate_core::domain::WallTime;

use super::*;
use crate::access::secret::Hash;
use crate::access::{Access, Token, TokenSource, Tokens};
use crate::shell::Door;

fn guard(access: Access) -> Guard {
    let in_force = InForce::start(access).unwrap();
    let (begins, begun) = Begun::not_yet(Door::new().0);
    begins.now();
    Guard::new(Arc::new(in_force), Clock::start(), Arc::default(), begun)
}

fn open() -> Guard {
    guard(Access::default())
}

fn with_tokens(tokens: &[(&str, Role, Option<WallTime>)]) -> Guard {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokens");
    let token = |(name, role, expires): &(&str, Role, Option<WallTime>)| Token {
        name: name.parse().unwrap(),
        role: *role,
        hash: Hash::of(&format!("secret of {name}")),
        created: String::new(),
        expires: *expires,
    };
    Tokens::new(tokens.iter().map(token).collect()).write(&path).unwrap();
    guard(Access { tokens: Some(TokenSource::Named(path)), ..Access::default() })
}

fn head(pairs: &[(&str, &str)]) -> Parts {
    let mut request = Request::builder().uri("/v1/fleet");
    for (name, value) in pairs {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

#[test]
fn without_a_token_only_this_machine_and_no_foreign_page() {
    let guard = open();
    let here = ("host", "127.0.0.1:8970");
    let foreign = Some("does not name this server");
    for (pairs, denied) in [
        (vec![here], None),
        (vec![("host", "localhost")], None),
        (vec![("host", "[::1]:8970")], None),
        (vec![here, ("origin", "http://127.0.0.1:8970")], None),
        (vec![here, ("sec-fetch-site", "same-origin")], None),
        (vec![here, ("sec-fetch-site", "cross-site")], Some("cross-site")),
        (vec![here, ("origin", "http://evil.example")], foreign),
        (vec![here, ("origin", "http://127.0.0.1:8971")], foreign),
        (vec![here, ("origin", "http://127.0.0.1:8970"), ("origin", "null")], foreign),
        (vec![here, ("origin", "null")], foreign),
        (vec![("host", "evil.example")], foreign),
        (vec![("host", "127.0.0.1.evil.example")], foreign),
        (vec![("host", "localhost@evil.example")], Some("the Host header \"localhost@evil.example\"")),
        (vec![("host", "")], Some("the Host header \"\"")),
        (vec![here, here], Some("2 Host headers; send exactly one")),
        (vec![], Some("0 Host headers; send exactly one")),
    ] {
        let checked = guard.check(&head(&pairs), Some(Role::Admin)).map_err(|denied| denied.to_string());
        match denied {
            None => assert_eq!(checked.unwrap().unwrap().name, "operator", "{pairs:?}"),
            Some(part) => assert!(checked.as_ref().unwrap_err().contains(part), "{pairs:?}: {checked:?}"),
        }
    }
}

#[test]
fn a_target_with_a_server_must_name_the_same_one() {
    for (target, fits) in [("http://localhost:1/v1/fleet", true), ("http://evil.example/v1/fleet", false)] {
        let request = Request::builder().uri(target).header("host", "localhost:1").body(()).unwrap();
        assert_eq!(open().check(&request.into_parts().0, None).is_ok(), fits, "{target}");
    }
}

#[test]
fn through_a_socket_a_user_has_a_name() {
    let mut head = head(&[("host", "localhost")]);
    head.extensions.insert(Peer::User(Some("ann".to_owned())));
    let caller = open().check(&head, Some(Role::Admin)).unwrap().unwrap();
    assert_eq!(caller.actor(), Actor::Operator("ann".to_owned()));
}

#[test]
fn with_tokens_the_token_decides_and_its_role() {
    let guard = with_tokens(&[
        ("reader", Role::Read, None),
        ("ci", Role::Operate, Some(WallTime(4_000_000_000_000))),
        ("old", Role::Admin, Some(WallTime(1))),
    ]);
    let bearer = |name: &str| format!("Bearer secret of {name}");
    for (header, needed, expected) in [
        (Some(bearer("reader")), Role::Read, Ok("reader")),
        (Some(bearer("ci")), Role::Approve, Ok("ci")),
        (
            Some(bearer("reader")),
            Role::Operate,
            Err("this needs the role `operate`, and `reader` has `read`"),
        ),
        (Some(bearer("old")), Role::Read, Err("the token `old` has expired")),
        (Some(bearer("nobody")), Role::Read, Err("wrong token")),
        (Some("Basic secret of ci".to_owned()), Role::Read, Err("wrong token")),
        (Some("Bearer ".to_owned()), Role::Read, Err("wrong token")),
        (None, Role::Read, Err("no token")),
    ] {
        let mut pairs = vec![("host", "fleet.example")];
        pairs.extend(header.as_ref().map(|value| ("authorization", value.as_str())));
        let checked = guard.check(&head(&pairs), Some(needed)).map_err(|denied| denied.to_string());
        match expected {
            Ok(name) => assert_eq!(checked.unwrap().unwrap().name, name),
            Err(part) => assert!(checked.as_ref().unwrap_err().starts_with(part), "{header:?}: {checked:?}"),
        }
    }
    let anybody = guard.check(&head(&[("host", "fleet.example")]), None);
    assert_eq!(anybody, Ok(None), "what needs no role needs no token");
}
