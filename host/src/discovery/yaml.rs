//! Groups of targets in YAML, event by event: nothing is built that was not asked for.
//!
//! Deliberately knows no anchors, aliases and tags: a list of targets needs none, and a few lines with them stand for
//! gigabytes.

use std::borrow::Cow;
use std::collections::BTreeMap;

use saphyr_parser::{Event, Parser, ScanError, Span, StrInput};

use super::targets::Group;

/// Why a text in YAML is no list of groups.
#[derive(Debug, thiserror::Error)]
pub enum InvalidYamlError {
    /// The language.
    #[error("{0}")]
    Syntax(#[from] ScanError),
    /// An anchor, an alias or a tag.
    #[error("line {line} has an anchor, an alias or a tag, which is not read here")]
    Indirect {
        /// Where.
        line: usize,
    },
    /// Something else than what belongs there.
    #[error("line {line} has {seen}, and {wanted} belongs there")]
    Other {
        /// Where.
        line: usize,
        /// What is there.
        seen: &'static str,
        /// What belongs there.
        wanted: &'static str,
    },
    /// A key that a group does not have, or has already.
    #[error("line {line} has the key {name:?}; a group has `targets` and `labels`, each once")]
    Key {
        /// Where.
        line: usize,
        /// Which.
        name: String,
    },
    /// A group without targets.
    #[error("the group that ends in line {line} has no `targets`")]
    NoTargets {
        /// Where.
        line: usize,
    },
    /// A second document.
    #[error("line {line} begins a second document")]
    Second {
        /// Where.
        line: usize,
    },
}

/// Reads the groups of a document; none of an empty one.
pub(super) fn groups(text: &str) -> Result<Vec<Group>, InvalidYamlError> {
    let mut reader = Reader { parser: Parser::new_from_str(text), line: 1 };
    let mut groups = Vec::new();
    loop {
        match reader.next()? {
            Event::StreamStart | Event::Nothing => {}
            Event::StreamEnd => return Ok(groups),
            Event::DocumentStart(_) => break,
            other => return Err(reader.other(&other, "a document")),
        }
    }
    match reader.next()? {
        // An empty document, or only comments.
        Event::Scalar(text, ..) if text.is_empty() || text == "~" || text == "null" => {}
        Event::SequenceStart(..) => loop {
            match reader.next()? {
                Event::SequenceEnd => break,
                Event::MappingStart(..) => groups.push(reader.group()?),
                other => return Err(reader.other(&other, "a group")),
            }
        },
        other => return Err(reader.other(&other, "a list of groups")),
    }
    loop {
        match reader.next()? {
            Event::StreamEnd => return Ok(groups),
            Event::DocumentStart(_) => return Err(InvalidYamlError::Second { line: reader.line }),
            _ => {}
        }
    }
}

struct Reader<'t> {
    parser: Parser<'t, StrInput<'t>>,
    line: usize,
}

impl<'t> Reader<'t> {
    fn next(&mut self) -> Result<Event<'t>, InvalidYamlError> {
        let Some(next) = self.parser.next_event() else { return Ok(Event::StreamEnd) };
        let (event, span): (Event<'t>, Span) = next?;
        self.line = span.start.line();
        let is_direct = match &event {
            Event::Alias(_) => false,
            Event::Scalar(_, _, anchor, tag) => *anchor == 0 && tag.is_none(),
            Event::SequenceStart(anchor, tag) | Event::MappingStart(anchor, tag) => {
                *anchor == 0 && tag.is_none()
            }
            _ => true,
        };
        if is_direct { Ok(event) } else { Err(InvalidYamlError::Indirect { line: self.line }) }
    }

    fn other(&self, event: &Event<'_>, wanted: &'static str) -> InvalidYamlError {
        let seen = match event {
            Event::Scalar(..) => "a text",
            Event::SequenceStart(..) => "a list",
            Event::MappingStart(..) => "a table",
            _ => "nothing",
        };
        InvalidYamlError::Other { line: self.line, seen, wanted }
    }

    /// The rest of a group, behind its beginning.
    fn group(&mut self) -> Result<Group, InvalidYamlError> {
        let (mut targets, mut labels) = (None, None);
        loop {
            let key = match self.next()? {
                Event::MappingEnd => {
                    let targets = targets.ok_or(InvalidYamlError::NoTargets { line: self.line })?;
                    return Ok(Group { targets, labels: labels.unwrap_or_default() });
                }
                Event::Scalar(key, ..) => key,
                other => return Err(self.other(&other, "a key")),
            };
            match key.as_ref() {
                "targets" if targets.is_none() => targets = Some(self.targets()?),
                "labels" if labels.is_none() => labels = Some(self.labels()?),
                _ => return Err(InvalidYamlError::Key { line: self.line, name: key.into_owned() }),
            }
        }
    }

    fn targets(&mut self) -> Result<Vec<String>, InvalidYamlError> {
        match self.next()? {
            Event::SequenceStart(..) => {}
            other => return Err(self.other(&other, "a list of targets")),
        }
        let mut targets = Vec::new();
        loop {
            match self.next()? {
                Event::SequenceEnd => return Ok(targets),
                Event::Scalar(text, ..) => targets.push(Cow::into_owned(text)),
                other => return Err(self.other(&other, "a target")),
            }
        }
    }

    fn labels(&mut self) -> Result<BTreeMap<String, String>, InvalidYamlError> {
        match self.next()? {
            Event::MappingStart(..) => {}
            // `labels:` with nothing behind it.
            Event::Scalar(text, ..) if text.is_empty() || text == "~" => return Ok(BTreeMap::new()),
            other => return Err(self.other(&other, "a table of labels")),
        }
        let mut labels = BTreeMap::new();
        loop {
            let name = match self.next()? {
                Event::MappingEnd => return Ok(labels),
                Event::Scalar(name, ..) => name.into_owned(),
                other => return Err(self.other(&other, "the name of a label")),
            };
            match self.next()? {
                Event::Scalar(value, ..) => _ = labels.insert(name, value.into_owned()),
                other => return Err(self.other(&other, "the value of a label")),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_document_has_no_groups() {
        for text in ["", "# nobody\n", "---\n", "[]", "---\n...\n"] {
            assert_eq!(groups(text).unwrap(), [], "{text:?}");
        }
    }

    #[test]
    fn anchors_and_aliases_are_refused_wherever_they_are() {
        let bomb = "- targets: &a [x:1, x:1]\n- targets: [*a, *a]\n";
        for text in [bomb, "- targets: [!!str x:1]\n", "- &g\n  targets: []\n- *g\n", "&all []"] {
            let error = groups(text).unwrap_err();
            assert!(matches!(error, InvalidYamlError::Indirect { .. }), "{text}: {error}");
        }
    }

    #[test]
    fn what_does_not_belong_there_is_told_with_its_line() {
        for (text, expected) in [
            ("targets: []\n", "line 1 has a table, and a list of groups belongs there"),
            ("- a:1\n", "line 1 has a text, and a group belongs there"),
            ("- targets: a:1\n", "line 1 has a text, and a list of targets belongs there"),
            ("- targets:\n  - [a:1]\n", "line 2 has a list, and a target belongs there"),
            ("- targets: []\n  lables: {}\n", "line 2 has the key \"lables\""),
            ("- targets: []\n  labels: {a: [1]}\n", "line 2 has a list, and the value of a label"),
            ("- labels: {}\n", "has no `targets`"),
            ("[]\n---\n[]\n", "begins a second document"),
        ] {
            let error = groups(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{text:?}: {error}");
        }
        assert!(groups("- targets: [\n").is_err() && groups("\t- a").is_err());
        let deep = "- ".repeat(200_000);
        assert!(groups(&deep).is_err(), "a level is refused, not descended into");
    }
}
