//! The one pass over a JSON text that checks it and finds the members of its object.
//!
//! Deliberately does not decode: values are handed out as they are written.

use std::borrow::Cow;
use std::fmt;

use super::literal;

/// Where and why a text is not JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Malformed {
    what: &'static str,
    line: usize,
    /// In characters, from 1.
    column: usize,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at line {} column {}", self.what, self.line, self.column)
    }
}

/// Calls `visit` with name and text of each member of an object, in document order, duplicates
/// included; a name with a lone surrogate comes as its literal. Members before an error have been
/// visited, so collect first and act on success.
pub(crate) fn members<'a>(json: &'a str, mut visit: impl FnMut(&str, &'a str)) -> Result<(), Malformed> {
    let mut walk = Walk { json, at: 0 };
    walk.space();
    if !walk.eat(b'{') {
        return Err(walk.fail("expected an object"));
    }
    walk.space();
    if !walk.eat(b'}') {
        loop {
            let name = walk.name()?;
            let value = walk.value()?;
            visit(&name, value);
            walk.space();
            if walk.eat(b'}') {
                break;
            }
            if !walk.eat(b',') {
                return Err(walk.fail(IN_OBJECT));
            }
        }
    }
    walk.end()
}

/// Whether the whole text is one well-formed JSON value.
pub(crate) fn check(json: &str) -> Result<(), Malformed> {
    let mut walk = Walk { json, at: 0 };
    walk.value()?;
    walk.end()
}

const IN_OBJECT: &str = "expected `,` or the end of the object";
const IN_ARRAY: &str = "expected `,` or the end of the array";

/// A position in a text; always between two characters when a method returns.
struct Walk<'a> {
    json: &'a str,
    at: usize,
}

impl<'a> Walk<'a> {
    fn peek(&self) -> Option<u8> {
        self.json.as_bytes().get(self.at).copied()
    }

    fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    /// What went wrong here, or that the text ends here, which is then the better word.
    fn fail(&self, what: &'static str) -> Malformed {
        let before = self.json.get(..self.at).unwrap_or(self.json);
        let what = if before.len() == self.json.len() { "ends too early" } else { what };
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        Malformed { what, line, column }
    }

    fn since(&self, start: usize) -> &'a str {
        self.json.get(start..self.at).unwrap_or_default()
    }

    fn end(&mut self) -> Result<(), Malformed> {
        self.space();
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.fail("text after the end")),
        }
    }

    /// A name and its colon.
    fn name(&mut self) -> Result<Cow<'a, str>, Malformed> {
        self.space();
        if self.peek() != Some(b'"') {
            return Err(self.fail("expected a name in double quotes"));
        }
        let start = self.at;
        let escaped = self.string()?;
        let literal = self.since(start);
        self.space();
        if !self.eat(b':') {
            return Err(self.fail("expected `:`"));
        }
        Ok(match escaped {
            false => Cow::Borrowed(literal::inside(literal)),
            true => super::content(literal),
        })
    }

    /// The text of one value, without the space around it.
    fn value(&mut self) -> Result<&'a str, Malformed> {
        self.space();
        let start = self.at;
        // The brackets that are still to close; a heap list in place of recursion.
        let mut open: Vec<u8> = Vec::new();
        loop {
            self.space();
            match self.peek() {
                Some(b'"') => self.string().map(|_| ())?,
                Some(b'{') => {
                    self.at += 1;
                    self.space();
                    if !self.eat(b'}') {
                        open.push(b'}');
                        self.name()?;
                        continue;
                    }
                }
                Some(b'[') => {
                    self.at += 1;
                    self.space();
                    if !self.eat(b']') {
                        open.push(b']');
                        continue;
                    }
                }
                Some(b'-' | b'0'..=b'9') => self.number()?,
                Some(b't') => self.word("true")?,
                Some(b'f') => self.word("false")?,
                Some(b'n') => self.word("null")?,
                _ => return Err(self.fail("expected a value")),
            }
            if !self.close(&mut open)? {
                return Ok(self.since(start));
            }
        }
    }

    /// After a value: closes what ends here. Whether another value must follow.
    fn close(&mut self, open: &mut Vec<u8>) -> Result<bool, Malformed> {
        while let Some(bracket) = open.last().copied() {
            self.space();
            if self.eat(bracket) {
                open.pop();
            } else if self.eat(b',') {
                if bracket == b'}' {
                    self.name()?;
                }
                return Ok(true);
            } else {
                return Err(self.fail(if bracket == b'}' { IN_OBJECT } else { IN_ARRAY }));
            }
        }
        Ok(false)
    }

    fn word(&mut self, word: &str) -> Result<(), Malformed> {
        let rest = self.json.get(self.at..).unwrap_or_default();
        if !rest.starts_with(word) {
            return Err(self.fail("expected a value"));
        }
        self.at += word.len();
        Ok(())
    }

    fn number(&mut self) -> Result<(), Malformed> {
        self.eat(b'-');
        // A leading zero stands alone.
        if !self.eat(b'0') {
            self.digits()?;
        }
        if self.eat(b'.') {
            self.digits()?;
        }
        if self.eat(b'e') || self.eat(b'E') {
            let _signed = self.eat(b'+') || self.eat(b'-');
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), Malformed> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        match self.at > start {
            true => Ok(()),
            false => Err(self.fail("invalid number")),
        }
    }

    /// A string literal. Whether it has escapes.
    fn string(&mut self) -> Result<bool, Malformed> {
        self.at += 1;
        let mut escaped = false;
        loop {
            let rest = self.json.as_bytes().get(self.at..).unwrap_or_default();
            let plain = literal::plain(rest);
            self.at += plain;
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(escaped);
                }
                Some(b'\\') => {
                    let length = rest.get(plain..).and_then(literal::escape);
                    self.at += length.ok_or_else(|| self.fail("invalid escape"))?;
                    escaped = true;
                }
                _ => return Err(self.fail("control character in a string")),
            }
        }
    }
}
