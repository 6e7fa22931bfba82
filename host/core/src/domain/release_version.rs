//! Versions that can be compared: two to four numbers, as publishers of extensions give them.
//!
//! Not every version of a component is one: a site may call what it runs by any name. Only what is released
//! through regions must be comparable.

use std::cmp::Ordering;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::ids::Version;

/// Why a text is no version that can be compared; a fragment that follows the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidReleaseVersion {
    /// Too few or too many numbers.
    #[error("has {seen} numbers; a version has two to four, such as 1.2 or 1.2.3.4")]
    Count {
        /// How many.
        seen: usize,
    },
    /// Something else than digits between the dots.
    #[error("has something else than a number up to {} between its dots; write it as 1.2.3", u32::MAX)]
    Number,
}

/// A version of two to four numbers. Compared as numbers: 1.10 is newer than 1.2, and 1.2 and 1.2.0 are the same.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ReleaseVersion {
    text: Version,
    numbers: [u32; 4],
}

fn numbers(text: &str) -> Result<Vec<u32>, InvalidReleaseVersion> {
    let number = |part: &str| {
        let digits = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| part.parse().ok()).flatten().ok_or(InvalidReleaseVersion::Number)
    };
    text.split('.').map(number).collect()
}

impl ReleaseVersion {
    /// Parses `1.2`, `1.2.3` or `1.2.3.4`.
    ///
    /// # Errors
    /// When it is anything else.
    pub fn parse(text: &str) -> Result<Self, InvalidReleaseVersion> {
        let seen = numbers(text)?;
        if !(2..=4).contains(&seen.len()) {
            return Err(InvalidReleaseVersion::Count { seen: seen.len() });
        }
        let mut all = [0; 4];
        for (place, number) in all.iter_mut().zip(&seen) {
            *place = *number;
        }
        let text = Version::parse(text).map_err(|_| InvalidReleaseVersion::Number)?;
        Ok(Self { text, numbers: all })
    }

    /// As it was published: what a driver is told.
    #[must_use]
    pub fn version(&self) -> &Version {
        &self.text
    }

    /// The first number.
    #[must_use]
    pub fn major(&self) -> u32 {
        let [major, ..] = self.numbers;
        major
    }

    /// The second number.
    #[must_use]
    pub fn minor(&self) -> u32 {
        let [_, minor, ..] = self.numbers;
        minor
    }
}

impl PartialEq for ReleaseVersion {
    fn eq(&self, other: &Self) -> bool {
        self.numbers == other.numbers
    }
}

impl Eq for ReleaseVersion {}

impl PartialOrd for ReleaseVersion {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ReleaseVersion {
    fn cmp(&self, other: &Self) -> Ordering {
        self.numbers.cmp(&other.numbers)
    }
}

impl fmt::Display for ReleaseVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.text, f)
    }
}

impl TryFrom<String> for ReleaseVersion {
    type Error = InvalidReleaseVersion;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<ReleaseVersion> for String {
    fn from(version: ReleaseVersion) -> Self {
        version.text.into()
    }
}

/// `typeHandlerVersion`: the major and the minor number that a model names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HandlerVersion {
    /// The first number; no release ever goes past it.
    pub major: u32,
    /// The second number.
    pub minor: u32,
}

impl HandlerVersion {
    /// Parses `9.5`.
    ///
    /// # Errors
    /// When it is not two numbers.
    pub fn parse(text: &str) -> Result<Self, InvalidReleaseVersion> {
        match numbers(text)?.as_slice() {
            [major, minor] => Ok(Self { major: *major, minor: *minor }),
            other => Err(InvalidReleaseVersion::Count { seen: other.len() }),
        }
    }
}

impl fmt::Display for HandlerVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl TryFrom<String> for HandlerVersion {
    type Error = InvalidReleaseVersion;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<HandlerVersion> for String {
    fn from(version: HandlerVersion) -> Self {
        version.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> ReleaseVersion {
        ReleaseVersion::parse(text).unwrap()
    }

    #[test]
    fn they_are_compared_as_numbers() {
        let sorted = ["1.2", "1.2.1", "1.10", "2.0.0.1", "10.0"];
        let mut shuffled: Vec<ReleaseVersion> = sorted.iter().rev().map(|text| version(text)).collect();
        shuffled.sort();
        let texts: Vec<String> = shuffled.iter().map(ToString::to_string).collect();
        assert_eq!(texts, sorted);
        assert_eq!(version("1.2"), version("1.2.0"));
        assert_eq!(version("1.2.3.4").major(), 1);
    }

    #[test]
    fn what_cannot_be_compared_is_refused() {
        for (text, count) in [("1", 1), ("1.2.3.4.5", 5)] {
            assert_eq!(ReleaseVersion::parse(text), Err(InvalidReleaseVersion::Count { seen: count }));
        }
        for text in ["", "v1.2", "1.", ".1", "1.x", "1.-2", "1.+2", "1.99999999999", "1 .2", "1.2-rc1"] {
            assert_eq!(ReleaseVersion::parse(text), Err(InvalidReleaseVersion::Number), "{text:?}");
        }
        assert!(HandlerVersion::parse("9.5.1").is_err() && HandlerVersion::parse("9").is_err());
        assert_eq!(HandlerVersion::parse("9.5").map(|it| it.to_string()), Ok("9.5".to_owned()));
    }
}
