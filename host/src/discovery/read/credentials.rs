//! Credentials from their files, as a header value that nothing prints.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use data_encoding::BASE64;
use hyper::header::HeaderValue;

use super::ReadSourceError;
use crate::discovery::Credentials;
use crate::net::text::io_text;

/// Longest file; tokens of clouds have a few KiB.
const FILE_MAX: u64 = 16 * 1024;

/// Reads the files; they may have changed since the last time.
pub(super) fn read(credentials: &Credentials) -> Result<HeaderValue, ReadSourceError> {
    let (path, text) = match credentials {
        Credentials::Bearer(path) => (path, format!("Bearer {}", line(path)?)),
        Credentials::Basic { username, password } => {
            let user = line(username)?;
            if user.contains(':') {
                return Err(wrong(username, "has a colon, which a user cannot have"));
            }
            (password, format!("Basic {}", BASE64.encode(format!("{user}:{}", line(password)?).as_bytes())))
        }
    };
    let mut value = HeaderValue::try_from(text).map_err(|_| wrong(path, "is not one line of text"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// The one line of a file; says nothing of what is in it.
fn line(path: &Path) -> Result<String, ReadSourceError> {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(FILE_MAX).read_to_string(&mut text));
    read.map_err(|error| wrong(path, &format!("cannot be read: {}", io_text(&error))))?;
    let line = text.trim_end_matches(['\r', '\n']);
    if line.is_empty() || line.chars().any(char::is_control) {
        return Err(wrong(path, "is not one line of text"));
    }
    Ok(line.to_owned())
}

fn wrong(path: &Path, why: &str) -> ReadSourceError {
    ReadSourceError::Credentials { path: path.to_owned(), why: why.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_the_files_is_sent_and_never_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let (token, user) = (path("token", "s3cret\n"), path("user", "me"));
        let value = read(&Credentials::Bearer(token.clone())).unwrap();
        assert_eq!(value.to_str().unwrap(), "Bearer s3cret");
        assert_eq!(format!("{value:?}"), "Sensitive");
        let both = Credentials::Basic { username: user, password: token };
        assert_eq!(read(&both).unwrap().to_str().unwrap(), "Basic bWU6czNjcmV0");
        for (name, text) in [("empty", ""), ("two", "a\nb"), ("no", "a\0b")] {
            let error = read(&Credentials::Bearer(path(name, text))).unwrap_err().to_string();
            assert!(error.ends_with("is not one line of text"), "{error}");
        }
    }
}
