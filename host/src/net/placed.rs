//! Texts of a probe with what an instance is put in: `{id}`, `{host}`, `{port}`, `{label.NAME}`.
//!
//! Any other brace is itself: a header may be JSON. Knows no versions and no operations, which a probe has nothing to do
//! with; drivers have templates of their own.

use std::collections::{BTreeMap, BTreeSet};

use phasegate_core::domain::{Address, InstanceId};

use super::url::escape;

/// What is put in.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// Gives `{id}`.
    pub id: &'a InstanceId,
    /// Gives `{host}` and `{port}`.
    pub address: &'a Address,
    /// Give `{label.NAME}`; nothing where there is none.
    pub labels: &'a BTreeMap<String, String>,
}

/// A piece of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Piece<'t> {
    Text(&'t str),
    Id,
    Host,
    Port,
    Label(&'t str),
}

fn pieces(text: &str) -> Vec<Piece<'_>> {
    let (mut pieces, mut rest) = (Vec::new(), text);
    while let Some((before, after)) = rest.split_once('{') {
        let Some((placed, behind)) =
            after.split_once('}').and_then(|(name, behind)| Some((placed(name)?, behind)))
        else {
            // A brace that is itself.
            let (itself, behind) = rest.split_at(before.len() + 1);
            pieces.push(Piece::Text(itself));
            rest = behind;
            continue;
        };
        pieces.extend([Piece::Text(before), placed]);
        rest = behind;
    }
    pieces.push(Piece::Text(rest));
    pieces
}

fn placed(name: &str) -> Option<Piece<'_>> {
    match name {
        "id" => Some(Piece::Id),
        "host" => Some(Piece::Host),
        "port" => Some(Piece::Port),
        other => other
            .strip_prefix("label.")
            .filter(|label| !label.is_empty() && !label.contains('{'))
            .map(Piece::Label),
    }
}

/// Whether anything is put into a text.
#[must_use]
pub fn is_placed(text: &str) -> bool {
    pieces(text).iter().any(|piece| !matches!(piece, Piece::Text(_)))
}

/// Whether what is put into it tells instances apart that are at one address.
#[must_use]
pub fn names_the_instance(text: &str) -> bool {
    pieces(text).iter().any(|piece| matches!(piece, Piece::Id | Piece::Label(_)))
}

/// The labels that a text asks for.
#[must_use]
pub fn labels(text: &str) -> BTreeSet<&str> {
    let label = |piece| if let Piece::Label(name) = piece { Some(name) } else { None };
    pieces(text).into_iter().filter_map(label).collect()
}

/// The text without what is put in.
#[must_use]
pub fn without(text: &str) -> String {
    let own = |piece: Piece<'_>| if let Piece::Text(text) = piece { text.to_owned() } else { String::new() };
    pieces(text).into_iter().map(own).collect()
}

/// A path and query: what is put in is escaped.
#[must_use]
pub fn in_path(text: &str, facts: Facts<'_>) -> String {
    fill(text, facts, |value| escape(&value))
}

/// The value of a header: what is put in is escaped where a header could not hold it.
#[must_use]
pub fn in_header(text: &str, facts: Facts<'_>) -> String {
    let is_held = |value: &str| value.chars().all(|c| matches!(c, ' '..='~'));
    fill(text, facts, |value| if is_held(&value) { value } else { escape(&value) })
}

/// A text that goes out as it is: what is put in is not escaped.
#[must_use]
pub fn in_text(text: &str, facts: Facts<'_>) -> String {
    fill(text, facts, |value| value)
}

fn fill(text: &str, facts: Facts<'_>, put: impl Fn(String) -> String) -> String {
    let Facts { id, address, labels } = facts;
    let one = |piece: Piece<'_>| match piece {
        Piece::Text(text) => text.to_owned(),
        Piece::Id => put(id.to_string()),
        Piece::Host => put(address.host.clone()),
        Piece::Port => address.port.to_string(),
        Piece::Label(name) => put(labels.get(name).cloned().unwrap_or_default()),
    };
    pieces(text).into_iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_instance_is_is_put_in_and_other_braces_stay() {
        let (id, labels) =
            (InstanceId::parse("db-1").unwrap(), BTreeMap::from([("shard".to_owned(), "a b/ö".to_owned())]));
        let address = Address { host: "::1".to_owned(), port: 90 };
        let facts = Facts { id: &id, address: &address, labels: &labels };
        for (text, path, header) in [
            ("/probe?target={id}", "/probe?target=db-1", "/probe?target=db-1"),
            ("/{label.shard}", "/a%20b%2F%C3%B6", "/a%20b%2F%C3%B6"),
            ("{host}|{port}", "%3A%3A1|90", "::1|90"),
            ("{\"a\": {\"b\": 1}}", "{\"a\": {\"b\": 1}}", "{\"a\": {\"b\": 1}}"),
            ("{{id}}", "{db-1}", "{db-1}"),
            ("{label.}{version}{id", "{label.}{version}{id", "{label.}{version}{id"),
            ("{label.none}", "", ""),
        ] {
            assert_eq!(
                (in_path(text, facts), in_header(text, facts)),
                (path.to_owned(), header.to_owned()),
                "{text}"
            );
        }
    }

    #[test]
    fn a_text_says_what_it_asks_for() {
        assert!(is_placed("/{host}") && !names_the_instance("/{host}{port}"));
        assert!(names_the_instance("/{id}") && names_the_instance("{label.a}") && !is_placed("{name}"));
        assert_eq!(labels("{label.a}/{label.b.c}{label.a}{id}"), BTreeSet::from(["a", "b.c"]));
        assert_eq!(without("/x{id}y{z}"), "/xy{z}");
    }
}
