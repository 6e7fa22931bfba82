//! Tokens as text: how long one must be, how a new one is made, and what is kept of it.
//!
//! Only the SHA-256 of a token is kept in memory and in files: a new one has 256 random bits, so that its hash
//! tells nothing, and a written one must be long.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};

/// Shortest token that a person writes, in characters.
const WRITTEN_MIN: usize = 20;

/// Largest file with a token, in bytes.
const FILE_MAX: u64 = 4 * 1024;

/// Begins each token that is made here, so that a search for lost ones finds them.
const PREFIX: &str = "pgt_";

/// What is kept of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hash([u8; 32]);

impl Hash {
    /// Of this token.
    #[must_use]
    pub fn of(token: &str) -> Self {
        Self(Sha256::digest(token.as_bytes()).into())
    }

    /// Parses 64 hexadecimal digits, small letters.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        HEXLOWER.decode(text.as_bytes()).ok()?.try_into().ok().map(Self)
    }

    /// As [`Self::parse`] reads it.
    #[must_use]
    pub fn text(&self) -> String {
        HEXLOWER.encode(&self.0)
    }
}

/// Makes a new token of 256 random bits.
///
/// # Errors
/// When the system gives no random bytes.
pub fn make() -> io::Result<String> {
    let mut bytes = [0; 32];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(format!("{PREFIX}{}", HEXLOWER.encode(&bytes)))
}

/// Why a file with a token cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The file.
    #[error("cannot read token file `{}`", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Nothing stands in it.
    #[error("token file `{}` is empty; write a long random word into it", .0.display())]
    Empty(PathBuf),
    /// It is no word.
    #[error(
        "token file `{}` holds something else than one word of printable ASCII characters",
        .0.display()
    )]
    NotAWord(PathBuf),
    /// It can be guessed.
    #[error(
        "the token in `{}` has {length} characters and could be guessed (at least {WRITTEN_MIN}); `head -c 32 \
         /dev/urandom | base64` makes a good one",
        path.display()
    )]
    Short {
        /// Which.
        path: PathBuf,
        /// Of the token.
        length: usize,
    },
}

/// Reads the one token of a file; blanks round it do not count.
///
/// # Errors
/// When the file cannot be read, or holds no single word of 20 characters and more.
pub fn read(path: &Path) -> Result<String, SecretError> {
    let unreadable = |source| SecretError::Unreadable { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(FILE_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    let text = String::from_utf8(bytes).map_err(|_| SecretError::NotAWord(path.to_owned()))?;
    let token = text.trim();
    if token.is_empty() {
        return Err(SecretError::Empty(path.to_owned()));
    }
    if !token.bytes().all(|byte| byte.is_ascii_graphic()) || text.len() as u64 > FILE_MAX {
        return Err(SecretError::NotAWord(path.to_owned()));
    }
    if token.len() < WRITTEN_MIN {
        return Err(SecretError::Short { path: path.to_owned(), length: token.len() });
    }
    Ok(token.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_written_token_is_one_long_word() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let long = "x".repeat(5000);
        for (text, expected) in [
            ("", Err("is empty")),
            (" \n", Err("is empty")),
            ("0123456789012345678", Err("has 19 characters and could be guessed (at least 20)")),
            ("01234567890123456789\n", Ok("01234567890123456789")),
            ("01234567890 123456789", Err("something else than one word")),
            ("0123456789012345678é", Err("something else than one word")),
            (&long, Err("something else than one word")),
        ] {
            std::fs::write(&path, text).unwrap();
            match (read(&path), expected) {
                (Ok(token), Ok(expected)) => assert_eq!(token, expected),
                (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{error}"),
                (read, _) => panic!("{text:?}: {read:?}"),
            }
        }
        assert!(matches!(read(&folder.path().join("none")), Err(SecretError::Unreadable { .. })));
    }

    #[test]
    fn a_new_token_is_another_one_each_time_and_its_hash_can_be_written() {
        let (a, b) = (make().unwrap(), make().unwrap());
        assert!(a != b && a.starts_with(PREFIX) && a.len() == PREFIX.len() + 64, "{a}");
        let hash = Hash::of(&a);
        assert_eq!(Hash::parse(&hash.text()), Some(hash));
        assert!(Hash::parse("00").is_none() && Hash::parse(&"g".repeat(64)).is_none());
    }
}
