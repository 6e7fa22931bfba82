//! Reads a component file without trusting its size: what is too large is not read first.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::error::COMPONENT_BYTES_MAX;

/// Reads a regular file of at most the size that the loader accepts.
///
/// # Errors
/// When it cannot be read, is no regular file, or is larger.
pub fn read_component(path: &Path) -> io::Result<Vec<u8>> {
    let metadata = std::fs::metadata(path)?;
    if metadata.is_dir() {
        return Err(io::Error::from(io::ErrorKind::IsADirectory));
    }
    if !metadata.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    let limit = u64::try_from(COMPONENT_BYTES_MAX).unwrap_or(u64::MAX);
    let too_large = |seen: u64| io::Error::other(format!("it is {seen} bytes long (limit {limit})"));
    if metadata.len() > limit {
        return Err(too_large(metadata.len()));
    }
    let mut bytes = Vec::new();
    // It may grow while it is read.
    File::open(path)?.take(limit + 1).read_to_end(&mut bytes)?;
    let seen = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    if seen > limit { Err(too_large(seen)) } else { Ok(bytes) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_component_by_its_size_or_kind_is_not_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sparse.wasm");
        File::create(&path).unwrap().set_len(1 << 40).unwrap();
        let error = read_component(&path).unwrap_err().to_string();
        assert_eq!(error, "it is 1099511627776 bytes long (limit 67108864)");
        assert!(read_component(Path::new("/dev/zero")).unwrap_err().to_string().contains("no regular file"));
        assert!(read_component(directory.path()).is_err());
    }
}
