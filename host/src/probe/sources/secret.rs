//! Who we are to a source, from files that are read each time: what was exchanged there counts at the next probe.
//!
//! No secret is kept, and none comes into a message: those name the file.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use data_encoding::BASE64;

use crate::net::text::{io_text, one_line};
use crate::probe::failure::ProbeError;
use phasegate_core::domain::ProbeFailure;
use phasegate_core::domain::source::SourceCredentials;

/// Longest file that is read, in bytes: tokens of Kubernetes have about a thousand.
const FILE_MAX: u64 = 16 * 1024;

/// What the files say.
pub(super) enum Secret {
    /// A token.
    Token(String),
    /// A password, and for whom.
    Password {
        /// For whom; nothing where no file says it.
        username: String,
        /// The password.
        password: String,
    },
}

/// Reads the files.
pub(super) async fn read(credentials: &SourceCredentials) -> Result<Secret, ProbeError> {
    Ok(match credentials {
        SourceCredentials::Token(path) => Secret::Token(line(path).await?),
        SourceCredentials::Password { username, password } => Secret::Password {
            username: match username {
                Some(path) => line(path).await?,
                None => String::new(),
            },
            password: line(password).await?,
        },
    })
}

impl Secret {
    /// As the value of `Authorization`. A token with a blank says by itself which kind it is, as `ApiKey …` does.
    pub(super) fn authorization(&self) -> String {
        match self {
            Self::Token(token) if token.contains(' ') => token.clone(),
            Self::Token(token) => format!("Bearer {token}"),
            Self::Password { username, password } => {
                format!("Basic {}", BASE64.encode(format!("{username}:{password}").as_bytes()))
            }
        }
    }

    /// All texts that tell it, the longest ones first: with its kind, in base64, and by itself.
    pub(super) fn texts(&self) -> Vec<String> {
        let whole = self.authorization();
        let encoded = whole.split_once(' ').map(|(_, encoded)| encoded.to_owned());
        let alone = match self {
            Self::Token(token) => token.clone(),
            Self::Password { password, .. } => password.clone(),
        };
        std::iter::once(whole).chain(encoded).chain([alone]).collect()
    }

    /// Puts it into a text.
    pub(super) fn placed(&self, text: &str) -> String {
        match self {
            Self::Token(token) => text.replace("{token}", token),
            // What the name holds is not looked at once more.
            Self::Password { username, password } => {
                let parts = text.split("{username}").map(|part| part.replace("{password}", password));
                parts.collect::<Vec<_>>().join(username)
            }
        }
    }
}

/// The first line of a file.
async fn line(path: &Path) -> Result<String, ProbeError> {
    let owned = path.to_owned();
    let read = tokio::task::spawn_blocking(move || first_line(&owned)).await;
    read.unwrap_or_else(|error| Err(error.to_string())).map_err(|why| {
        ProbeFailure::Unreachable(one_line(&format!("not asked: `{}` {why}", path.display()))).into()
    })
}

fn first_line(path: &Path) -> Result<String, String> {
    // Looked at first: opening would wait for the other end of a pipe.
    let metadata = std::fs::metadata(path).map_err(|error| io_text(&error))?;
    if !metadata.is_file() {
        return Err("is not a regular file".to_owned());
    }
    if metadata.len() > FILE_MAX {
        return Err("is longer than 16 KiB".to_owned());
    }
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(FILE_MAX).read_to_end(&mut bytes));
    read.map_err(|error| io_text(&error))?;
    let text = String::from_utf8(bytes).map_err(|_| "is no text".to_owned())?;
    let line = text.lines().next().unwrap_or_default().trim();
    if line.is_empty() {
        return Err("has an empty first line".to_owned());
    }
    if line.chars().any(char::is_control) {
        return Err("has control characters in its first line".to_owned());
    }
    Ok(line.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_we_are_is_said_as_it_is_asked_for() {
        let token = Secret::Token("abc".to_owned());
        assert_eq!(token.authorization(), "Bearer abc");
        assert_eq!(Secret::Token("ApiKey eA==".to_owned()).authorization(), "ApiKey eA==");
        let both = Secret::Password { username: "me{password}".to_owned(), password: "s3".to_owned() };
        assert_eq!(both.authorization(), "Basic bWV7cGFzc3dvcmR9OnMz");
        assert_eq!(both.placed("AUTH {username} {password}\r\n{token}"), "AUTH me{password} s3\r\n{token}");
        assert_eq!(token.placed("AUTH {token}"), "AUTH abc");
        assert_eq!(both.texts(), ["Basic bWV7cGFzc3dvcmR9OnMz", "bWV7cGFzc3dvcmR9OnMz", "s3"]);
        assert_eq!(token.texts(), ["Bearer abc", "abc", "abc"]);
    }

    #[tokio::test]
    async fn files_that_say_nothing_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let of = |path: &Path| SourceCredentials::Token(path.to_owned());
        for (content, expected) in [
            (b"  s3cret \nsecond".to_vec(), Ok("Bearer s3cret")),
            (b"".to_vec(), Err("has an empty first line")),
            (b"a\x07b".to_vec(), Err("has control characters in its first line")),
            (vec![0xff, 0xfe], Err("is no text")),
            (vec![b'a'; 17 * 1024], Err("is longer than 16 KiB")),
        ] {
            std::fs::write(&path, content).unwrap();
            let read = read(&of(&path)).await.map(|secret| secret.authorization());
            match expected {
                Ok(line) => assert_eq!(read.unwrap(), line),
                Err(why) => assert!(read.unwrap_err().to_string().ends_with(why)),
            }
        }
        assert!(read(&of(folder.path())).await.is_err());
        assert!(read(&of(&folder.path().join("none"))).await.is_err());
    }
}
