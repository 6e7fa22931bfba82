//! The file with named tokens: JSON, because a file that was cut off is then no file at all.
//!
//! Written whole and put in place at once, with rights for its owner alone. Tokens themselves are not in it,
//! only their hashes.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, fchown};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use super::role::Role;
use super::secret::Hash;
use phasegate_core::domain::WallTime;

/// Largest file in bytes.
const FILE_MAX: u64 = 1 << 20;

/// Most tokens in a file.
const TOKENS_MAX: usize = 1000;

/// Longest name of a token in bytes.
const NAME_MAX: usize = 64;

/// Whether a file that is to be changed may not be there yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MayMiss {
    /// It is made.
    Yes,
    /// There is nothing to be changed then.
    No,
}

/// Waits until nobody else changes a file in this folder, which takes each of them a moment. The file itself is put in place
/// anew each time, so it cannot be what is locked.
fn alone(folder: &File) -> io::Result<()> {
    Ok(flock(folder, FlockOperation::LockExclusive)?)
}

/// Version of the file.
const VERSION: u32 = 1;

/// What a token is called; the audit trail names its bearer by it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct TokenName(String);

/// Why a text is no name of a token; a fragment that follows the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is no name of a token: give 1 to 64 letters, digits, `.`, `_`, `-` or `@`, and not `host`")]
pub struct InvalidTokenName;

impl FromStr for TokenName {
    type Err = InvalidTokenName;

    fn from_str(text: &str) -> Result<Self, InvalidTokenName> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._-@".contains(&byte);
        // The trail calls what decides by itself "host".
        if (1..=NAME_MAX).contains(&text.len()) && text.bytes().all(fits) && text != "host" {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidTokenName)
        }
    }
}

impl fmt::Display for TokenName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One token, without the token itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Its name.
    pub name: TokenName,
    /// What its bearer may do.
    pub role: Role,
    /// Of the token.
    pub hash: Hash,
    /// When it was made, RFC 3339; empty where that is not known.
    pub created: String,
    /// From when on it counts no more.
    pub expires: Option<WallTime>,
}

/// What a token that was shown is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checked<'a> {
    /// It is this one.
    Good(&'a Token),
    /// It was this one.
    Expired(&'a Token),
    /// It is none.
    Unknown,
}

/// All tokens of a file; each name once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tokens(Vec<Token>);

/// Why a file of tokens cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TokensError {
    /// The file is not there.
    #[error("there is no `{}`; `phasegate token new NAME --role ROLE` makes it", .0.display())]
    Missing(PathBuf),
    /// It cannot be read or written.
    #[error("cannot use `{}`", path.display())]
    Unusable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Others may write it.
    #[error("`{}` can be written by every user of this machine; take that right away: chmod o-w", .0.display())]
    Open(PathBuf),
    /// It is no file of tokens, or one that was cut off.
    #[error("`{}` is no whole file of tokens", path.display())]
    Damaged {
        /// Which.
        path: PathBuf,
        /// Where.
        source: serde_json::Error,
    },
    /// A newer program has written it.
    #[error("`{}` has version {version}, and this program knows {VERSION}", path.display())]
    Newer {
        /// Which.
        path: PathBuf,
        /// That it has.
        version: u32,
    },
    /// An entry is wrong.
    #[error("`{}`: token {name:?}: {what}", path.display())]
    Entry {
        /// Which file.
        path: PathBuf,
        /// Which token.
        name: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// There is one already.
    #[error("there is a token `{0}` already; revoke it first, or choose another name")]
    Taken(TokenName),
    /// There are as many as there may be.
    #[error("there are {TOKENS_MAX} tokens already; revoke one first")]
    Full,
    /// There is none.
    #[error("there is no token `{0}`; `phasegate token list` shows all")]
    NoSuch(TokenName),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileJson {
    version: u32,
    tokens: Vec<TokenJson>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TokenJson {
    name: String,
    role: Role,
    sha256: String,
    #[serde(default)]
    created: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires: Option<String>,
}

impl Tokens {
    /// These; the names are not looked at.
    #[must_use]
    pub fn new(tokens: Vec<Token>) -> Self {
        Self(tokens)
    }

    /// Reads a file.
    ///
    /// # Errors
    /// When it is not there, cannot be read, may be written by every user, or is not whole.
    pub fn read(path: &Path) -> Result<Self, TokensError> {
        let unusable = |source: io::Error| match source.kind() {
            io::ErrorKind::NotFound => TokensError::Missing(path.to_owned()),
            _ => TokensError::Unusable { path: path.to_owned(), source },
        };
        // Opening comes second: it would wait for the other end of a pipe.
        let metadata = fs::metadata(path).map_err(unusable)?;
        if !metadata.is_file() {
            return Err(unusable(io::Error::other("it is no regular file")));
        }
        if metadata.mode() & 0o002 != 0 {
            return Err(TokensError::Open(path.to_owned()));
        }
        let mut bytes = Vec::new();
        let file = File::open(path).map_err(unusable)?;
        file.take(FILE_MAX).read_to_end(&mut bytes).map_err(unusable)?;
        Self::parse(&bytes, path)
    }

    fn parse(bytes: &[u8], path: &Path) -> Result<Self, TokensError> {
        let damaged = |source| TokensError::Damaged { path: path.to_owned(), source };
        let FileJson { version, tokens } = serde_json::from_slice(bytes).map_err(damaged)?;
        if version != VERSION {
            return Err(TokensError::Newer { path: path.to_owned(), version });
        }
        let mut read: Vec<Token> = Vec::new();
        for TokenJson { name, role, sha256, created, expires } in tokens {
            let wrong = |what| TokensError::Entry { path: path.to_owned(), name: name.clone(), what };
            let parsed: TokenName = name.parse().map_err(|_| wrong("it cannot be called so"))?;
            if read.iter().any(|known| known.name == parsed) {
                return Err(wrong("it is there twice"));
            }
            let hash =
                Hash::parse(&sha256).ok_or_else(|| wrong("`sha256` is no hash of 64 hexadecimal digits"))?;
            let expires = match expires {
                None => None,
                Some(text) => Some(date(&text).ok_or_else(|| wrong("`expires` is no date (RFC 3339)"))?),
            };
            read.push(Token { name: parsed, role, hash, created, expires });
        }
        Ok(Self(read))
    }

    /// Reads a file, or none where it may be missing, changes what is in it and writes it, while nobody else does that: of
    /// several at once each finds what the one before has left. A link is followed.
    ///
    /// # Errors
    /// When the change is none that can be made, or the file cannot be read or written. The file is then as it was.
    pub fn change<T>(
        path: &Path,
        may_miss: MayMiss,
        change: impl FnOnce(&mut Self) -> Result<T, TokensError>,
    ) -> Result<T, TokensError> {
        let unusable = |source| TokensError::Unusable { path: path.to_owned(), source };
        let target = match fs::canonicalize(path) {
            Ok(target) => target,
            Err(_) if fs::symlink_metadata(path).is_err() => path.to_owned(),
            // A link that leads nowhere would be replaced by a file that nobody reads.
            Err(error) => return Err(unusable(error)),
        };
        let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = File::open(folder.unwrap_or_else(|| Path::new("."))).map_err(unusable)?;
        alone(&folder).map_err(unusable)?;
        let mut tokens = match (Self::read(&target), may_miss) {
            (Err(TokensError::Missing(_)), MayMiss::Yes) => Self::default(),
            (read, _) => read?,
        };
        let changed = change(&mut tokens)?;
        tokens.write(&target)?;
        Ok(changed)
    }

    /// Writes a file and puts it in place whole. A new one only its owner may read; one that is there keeps owner, group and
    /// rights, as it is the host that has to read it.
    ///
    /// # Errors
    /// When it cannot be written, or its owner not be kept. The file is then as it was.
    pub fn write(&self, path: &Path) -> Result<(), TokensError> {
        let unusable = |source| TokensError::Unusable { path: path.to_owned(), source };
        let before = fs::metadata(path).ok();
        let tokens = self.0.iter().map(|token| TokenJson {
            name: token.name.to_string(),
            role: token.role,
            sha256: token.hash.text(),
            created: token.created.clone(),
            expires: token.expires.map(|at| at.to_string()),
        });
        let file = FileJson { version: VERSION, tokens: tokens.collect() };
        let mut text = serde_json::to_vec_pretty(&file).map_err(|error| unusable(error.into()))?;
        text.push(b'\n');
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}.new", std::process::id()));
        let beside = path.with_file_name(name);
        let written = (|| {
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
            file.write_all(&text)?;
            if let Some(before) = &before {
                let now = file.metadata()?;
                if (now.uid(), now.gid()) != (before.uid(), before.gid()) {
                    fchown(&file, Some(before.uid()), Some(before.gid()))?;
                }
                file.set_permissions(before.permissions())?;
            }
            file.sync_all()?;
            fs::rename(&beside, path)
        })();
        if written.is_err() {
            // What is left of it is no use.
            _ = fs::remove_file(&beside);
        }
        written.map_err(unusable)
    }

    /// All of them, in the order of the file.
    #[must_use]
    pub fn all(&self) -> &[Token] {
        &self.0
    }

    /// Adds one.
    ///
    /// # Errors
    /// When its name is taken, or there are 1000.
    pub fn add(&mut self, token: Token) -> Result<(), TokensError> {
        if self.0.iter().any(|known| known.name == token.name) {
            return Err(TokensError::Taken(token.name));
        }
        if self.0.len() >= TOKENS_MAX {
            return Err(TokensError::Full);
        }
        self.0.push(token);
        Ok(())
    }

    /// Takes one out.
    ///
    /// # Errors
    /// When there is none of this name.
    pub fn revoke(&mut self, name: &TokenName) -> Result<(), TokensError> {
        let before = self.0.len();
        self.0.retain(|token| token.name != *name);
        if self.0.len() < before { Ok(()) } else { Err(TokensError::NoSuch(name.clone())) }
    }

    /// What a token that was shown is worth on this date. Hashes are compared, so how long that takes tells
    /// nothing about a token.
    #[must_use]
    pub fn check(&self, shown: &str, date: WallTime) -> Checked<'_> {
        let hash = Hash::of(shown);
        match self.0.iter().find(|token| token.hash == hash) {
            None => Checked::Unknown,
            Some(token) if token.expires.is_some_and(|expires| expires <= date) => Checked::Expired(token),
            Some(token) => Checked::Good(token),
        }
    }
}

fn date(text: &str) -> Option<WallTime> {
    text.parse::<jiff::Timestamp>().ok().map(|at| WallTime(at.as_millisecond()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn token(name: &str, secret: &str, expires: Option<i64>) -> Token {
        Token {
            name: name.parse().unwrap(),
            role: Role::Operate,
            hash: Hash::of(secret),
            created: "2026-01-01T00:00:00.000Z".to_owned(),
            expires: expires.map(WallTime),
        }
    }

    #[test]
    fn what_was_written_is_read_and_only_its_owner_may() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens");
        assert!(matches!(Tokens::read(&path), Err(TokensError::Missing(_))));
        let mut tokens = Tokens::default();
        tokens.add(token("ci", "a", None)).unwrap();
        tokens.add(token("ann@ops", "b", Some(1_800_000_000_000))).unwrap();
        assert!(matches!(tokens.add(token("ci", "c", None)), Err(TokensError::Taken(_))));
        tokens.write(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(Tokens::read(&path).unwrap(), tokens);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
        tokens.revoke(&"ci".parse().unwrap()).unwrap();
        assert!(matches!(tokens.revoke(&"ci".parse().unwrap()), Err(TokensError::NoSuch(_))));
        tokens.write(&path).unwrap();
        assert_eq!(Tokens::read(&path).unwrap().all().len(), 1);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
        assert!(matches!(Tokens::read(&path), Err(TokensError::Open(_))));
    }

    #[test]
    fn of_many_that_change_it_at_once_each_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens");
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        let old: Vec<String> = (0..8).map(|number| format!("old{number}")).collect();
        for name in &old {
            Tokens::change(&path, MayMiss::Yes, |tokens| tokens.add(token(name, name, None))).unwrap();
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        std::thread::scope(|scope| {
            for name in &old {
                let (path, link) = (&path, &link);
                scope.spawn(move || {
                    Tokens::change(path, MayMiss::No, |tokens| tokens.revoke(&name.parse().unwrap()))
                        .unwrap();
                });
                scope.spawn(move || {
                    let new = name.replace("old", "new");
                    Tokens::change(link, MayMiss::No, |tokens| tokens.add(token(&new, &new, None))).unwrap();
                });
            }
        });
        let mut left: Vec<String> =
            Tokens::read(&path).unwrap().all().iter().map(|token| token.name.to_string()).collect();
        left.sort_unstable();
        assert_eq!(left, (0..8).map(|number| format!("new{number}")).collect::<Vec<_>>());
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink(), "a link is followed");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o640, "the host reads it as before");
        let missing = folder.path().join("missing");
        let none = Tokens::change(&missing, MayMiss::No, |tokens| tokens.revoke(&"a".parse().unwrap()));
        assert!(matches!(none, Err(TokensError::Missing(_))));
    }

    #[test]
    fn a_file_that_was_cut_off_anywhere_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens");
        Tokens(vec![token("ci", "a", Some(0)), token("ann", "b", None)]).write(&path).unwrap();
        let whole = fs::read(&path).unwrap();
        let last = whole.iter().rposition(|byte| *byte == b'}').unwrap();
        for end in 0..=last {
            let cut = Tokens::parse(&whole[..end], &path);
            assert!(matches!(cut, Err(TokensError::Damaged { .. })), "{end}: {cut:?}");
        }
    }

    #[test]
    fn entries_are_right_or_refused() {
        let hash = "0".repeat(64);
        let file = |entry: &str| format!("{{\"version\": 1, \"tokens\": [{entry}]}}").replace("HASH", &hash);
        let good = "{\"name\": \"a\", \"role\": \"read\", \"sha256\": \"HASH\"}";
        for (text, part) in [
            (file(good), None),
            (file(&format!("{good}, {good}")), Some("it is there twice")),
            (file(&good.replace("\"a\"", "\"host\"")), Some("cannot be called so")),
            (file(&good.replace("\"a\"", "\"a b\"")), Some("cannot be called so")),
            (file(&good.replace("HASH", "00")), Some("is no hash")),
            (file(&good.replace("read", "root")), Some("is no whole file of tokens")),
            (
                file(&good.replace("\"role\"", "\"token\": \"x\", \"role\"")),
                Some("is no whole file of tokens"),
            ),
            (file(&good.replace("HASH\"", "HASH\", \"expires\": \"soon\"")), Some("is no date")),
            (file(good).replace(": 1,", ": 2,"), Some("has version 2, and this program knows 1")),
        ] {
            let read = Tokens::parse(text.as_bytes(), Path::new("f"));
            match part {
                None => assert_eq!(read.unwrap().all().len(), 1),
                Some(part) => {
                    let said = read.unwrap_err().to_string();
                    assert!(said.contains(part), "{text}: {said}");
                }
            }
        }
    }

    #[test]
    fn a_token_counts_until_it_expires() {
        let tokens = Tokens(vec![token("ci", "secret", Some(1000))]);
        assert!(matches!(tokens.check("secret", WallTime(999)), Checked::Good(_)));
        assert!(matches!(tokens.check("secret", WallTime(1000)), Checked::Expired(_)));
        assert_eq!(tokens.check("secre", WallTime(0)), Checked::Unknown);
        assert_eq!(tokens.check("", WallTime(0)), Checked::Unknown);
    }
}
