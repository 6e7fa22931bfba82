//! Signatures of components: ECDSA over P-256 with SHA-256, as `cosign sign-blob --key` and `openssl dgst -sha256 -sign`
//! make them.
//!
//! Which keys count stands in the configuration, and their files are read at each load: a key that was taken away counts
//! for nothing from then on. Deliberately knows no certificates and no transparency log: those need somebody who is
//! reachable.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use data_encoding::BASE64;
use ring::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::pki_types::pem::PemObject as _;

use crate::net::text::one_line;
use phasegate_core::domain::Digest;

/// Longest file of signatures, and longest payload, in bytes.
pub const SIGNATURES_BYTES_MAX: usize = 64 * 1024;

/// Most signatures that are looked at.
pub const SIGNATURES_MAX: usize = 32;

/// Longest part of a foreign text that is shown, in bytes; a digest fits.
const SHOWN_BYTES_MAX: usize = 100;

/// Of what counts for nothing, so much is shown.
const VOID_SHOWN_MAX: usize = 3;

/// What `cosign sign` writes into the text that it signs.
const SIGNED_TYPE: &str = "cosign container image signature";

/// What stands before the point of a P-256 key (RFC 5480): the algorithm and the curve.
const P256_PREFIX: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
    0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// By whom a component must be signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignatureRule {
    /// Files with public keys, PEM, one or more in each.
    pub public_key_files: Vec<PathBuf>,
    /// How many of the keys must have signed.
    pub threshold: usize,
}

/// A signature, and what it is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// DER.
    pub signature: Vec<u8>,
    /// What was signed, where that is not the component itself but a text that names the manifest which leads to it.
    pub payload: Option<Vec<u8>>,
    /// Why it counts for nothing, whoever has signed it; none where it may count.
    pub void: Option<Void>,
}

/// Why what was found where signatures are is none of this component.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Void {
    /// The signed text is about another one.
    #[error("one is of another manifest ({0})")]
    OtherManifest(String),
    /// The signed text is no signature of an image: the same key signs other things, too.
    #[error("one has the `critical.type` {0:?}, and only {SIGNED_TYPE:?} is a signature")]
    OtherType(String),
    /// It is not there, or not as its digest says.
    #[error("the text of one is not there")]
    NoText,
    /// It is no list of signatures.
    #[error("the tag of signatures holds something else")]
    NoSignatures,
    /// There are more than are looked at.
    #[error("{0} more were not looked at (limit {SIGNATURES_MAX})")]
    More(usize),
}

impl Void {
    /// In the list of what was found.
    #[must_use]
    pub fn found(self) -> Signed {
        Signed { signature: Vec::new(), payload: None, void: Some(self) }
    }
}

/// Why a component does not count as signed; a fragment that follows where it came from.
#[derive(Debug, thiserror::Error)]
pub enum SignatureError {
    /// A key cannot be read.
    #[error("cannot be verified: signature.publicKeyFiles: `{}` {why}", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// There are fewer keys than must have signed.
    #[error(
        "cannot be verified: {threshold} keys must have signed it, and signature.publicKeyFiles hold {keys} different \
         ones; add keys, or lower signature.threshold"
    )]
    Unreachable {
        /// How many there are.
        keys: usize,
        /// How many must have signed.
        threshold: usize,
    },
    /// Nobody has signed it.
    #[error("is not signed: there is no {place}; sign it with `cosign sign-blob --key`")]
    Missing {
        /// Where a signature was looked for.
        place: String,
    },
    /// The signatures are not those of enough keys.
    #[error(
        "is signed by {valid} of the keys that count, and {threshold} must have ({seen} signatures were found, which may \
         be those of other bytes or of other keys{})", void.iter().map(|why| format!("; {why}")).collect::<String>()
    )]
    TooFew {
        /// Keys whose signature is there.
        valid: usize,
        /// How many must have signed.
        threshold: usize,
        /// Signatures that were found.
        seen: usize,
        /// What else was found; a few of it.
        void: Vec<Void>,
    },
}

/// The different keys of a rule.
///
/// # Errors
/// When a file cannot be read or holds something else, or there are too few.
pub fn keys(rule: &SignatureRule) -> Result<BTreeSet<Vec<u8>>, SignatureError> {
    let mut keys = BTreeSet::new();
    for path in &rule.public_key_files {
        let wrong = |why: String| SignatureError::Key { path: path.clone(), why };
        let text = read_bounded(path).map_err(|error| wrong(format!("cannot be read: {error}")))?;
        let mut any = false;
        for key in SubjectPublicKeyInfoDer::pem_slice_iter(&text) {
            let key = key.map_err(|_| wrong("holds no public key in PEM".to_owned()))?;
            let point = key.as_ref().strip_prefix(&P256_PREFIX).filter(|point| point.first() == Some(&4));
            let Some(point) = point else {
                return Err(wrong(
                    "holds a key that is not on the curve P-256; make one with `cosign generate-key-pair`"
                        .to_owned(),
                ));
            };
            keys.insert(point.to_vec());
            any = true;
        }
        if !any {
            return Err(wrong("holds no public key in PEM".to_owned()));
        }
    }
    match keys.len() < rule.threshold {
        true => Err(SignatureError::Unreachable { keys: keys.len(), threshold: rule.threshold }),
        false => Ok(keys),
    }
}

/// Whether enough keys have signed these bytes; gives how many.
///
/// # Errors
/// When not.
pub fn verify(
    rule: &SignatureRule,
    bytes: &[u8],
    signed: &[Signed],
    place: &str,
) -> Result<usize, SignatureError> {
    let keys = keys(rule)?;
    if signed.is_empty() {
        return Err(SignatureError::Missing { place: place.to_owned() });
    }
    let counting = || signed.iter().filter(|one| one.void.is_none());
    let has_signed = |key: &&Vec<u8>| {
        let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, key.as_slice());
        counting().any(|one| key.verify(one.payload.as_deref().unwrap_or(bytes), &one.signature).is_ok())
    };
    let valid = keys.iter().filter(has_signed).count();
    if valid >= rule.threshold {
        return Ok(valid);
    }
    let void = signed.iter().filter_map(|one| one.void.clone()).take(VOID_SHOWN_MAX).collect();
    Err(SignatureError::TooFew { valid, threshold: rule.threshold, seen: counting().count(), void })
}

/// Signatures as files have them: base64, one a line. What is none counts as a signature of nobody.
#[must_use]
pub fn lines(text: &[u8]) -> Vec<Signed> {
    let text = String::from_utf8_lossy(text);
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let signed = |line| Signed { signature: decoded(line), payload: None, void: None };
    bounded(lines.map(signed).collect())
}

/// As many as are looked at; that there are more is said at the end.
#[must_use]
pub fn bounded(mut signed: Vec<Signed>) -> Vec<Signed> {
    let more = signed.len().saturating_sub(SIGNATURES_MAX);
    if more > 0 {
        signed.truncate(SIGNATURES_MAX);
        signed.push(Void::More(more).found());
    }
    signed
}

/// The bytes of a signature; none of what is no base64, which nobody has signed.
#[must_use]
pub fn decoded(text: &str) -> Vec<u8> {
    BASE64.decode(text.as_bytes()).unwrap_or_default()
}

/// Where the signatures of a file are.
#[must_use]
pub fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".sig");
    PathBuf::from(name)
}

/// The signatures beside a file; none where there are none.
///
/// # Errors
/// When they cannot be read.
pub fn read_beside(path: &Path) -> io::Result<Vec<Signed>> {
    match read_bounded(&beside(path)) {
        Ok(text) => Ok(lines(&text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    // Looked at first: opening would wait for the other end of a pipe.
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut text = Vec::new();
    let limit = u64::try_from(SIGNATURES_BYTES_MAX).unwrap_or(u64::MAX);
    File::open(path)?.take(limit + 1).read_to_end(&mut text)?;
    match text.len() > SIGNATURES_BYTES_MAX {
        true => Err(io::Error::other(format!("it is longer than {SIGNATURES_BYTES_MAX} bytes"))),
        false => Ok(text),
    }
}

/// Why a text, as `cosign sign` signs it, is no signature of this manifest; none where it is one.
#[must_use]
pub fn not_about(payload: &[u8], manifest: Digest) -> Option<Void> {
    let payload: serde_json::Value = serde_json::from_slice(payload).unwrap_or_default();
    let said = |at: &str| {
        let text = payload.pointer(at).and_then(serde_json::Value::as_str).unwrap_or_default();
        one_line(text.get(..text.floor_char_boundary(SHOWN_BYTES_MAX)).unwrap_or_default())
    };
    let kind = said("/critical/type");
    if kind != SIGNED_TYPE {
        return Some(Void::OtherType(kind));
    }
    let named = said("/critical/image/docker-manifest-digest");
    (named != manifest.to_string()).then_some(Void::OtherManifest(named))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by `openssl dgst -sha256 -sign`.
    const BLOB: &[u8] = include_bytes!("testdata/blob");
    const BY_ONE: &[u8] = include_bytes!("testdata/blob.one.sig");
    const BY_TWO: &[u8] = include_bytes!("testdata/blob.two.sig");
    const OTHER_BY_ONE: &[u8] = include_bytes!("testdata/other.one.sig");
    const ONE: &str = include_str!("testdata/one.pub");
    const TWO: &str = include_str!("testdata/two.pub");
    const P384: &str = include_str!("testdata/p384.pub");

    fn outcome(keys: &[&str], threshold: usize, bytes: &[u8], signatures: &[&[u8]]) -> Result<usize, String> {
        let folder = tempfile::tempdir().unwrap();
        let write = |(index, key): (usize, &&str)| {
            let path = folder.path().join(format!("{index}.pub"));
            std::fs::write(&path, key).unwrap();
            path
        };
        let public_key_files = keys.iter().enumerate().map(write).collect();
        let signed: Vec<Signed> = signatures.iter().flat_map(|text| lines(text)).collect();
        let rule = SignatureRule { public_key_files, threshold };
        let verified = verify(&rule, bytes, &signed, "`x.wasm.sig`");
        verified.map_err(|error| error.to_string().replace(&folder.path().display().to_string(), ""))
    }

    #[test]
    fn what_openssl_has_signed_is_signed() {
        assert_eq!(outcome(&[ONE], 1, BLOB, &[BY_ONE]), Ok(1));
        assert_eq!(outcome(&[ONE, TWO], 2, BLOB, &[BY_ONE, BY_TWO]), Ok(2));
        let both = format!("{ONE}{TWO}");
        assert_eq!(outcome(&[&both], 2, BLOB, &[BY_TWO, b"\n", BY_ONE]), Ok(2), "two keys in a file");
    }

    #[test]
    fn what_enough_keys_have_not_signed_is_not() {
        for (keys, threshold, bytes, signatures, expected) in [
            (&[ONE][..], 1, BLOB, &[][..], "is not signed: there is no `x.wasm.sig`"),
            (
                &[TWO],
                1,
                BLOB,
                &[BY_ONE],
                "is signed by 0 of the keys that count, and 1 must have (1 signatures",
            ),
            (&[ONE], 1, BLOB, &[OTHER_BY_ONE], "is signed by 0 of the keys"),
            (&[ONE], 1, b"changed", &[BY_ONE], "is signed by 0 of the keys"),
            (&[ONE], 1, BLOB, &[b"no base64!"], "is signed by 0 of the keys"),
            (&[ONE, TWO], 2, BLOB, &[BY_ONE, BY_ONE], "is signed by 1 of the keys that count, and 2 must"),
            (&[ONE, ONE], 2, BLOB, &[BY_ONE], "hold 1 different ones"),
            (&["nothing"], 1, BLOB, &[BY_ONE], "`/0.pub` holds no public key in PEM"),
            (&[P384], 1, BLOB, &[BY_ONE], "is not on the curve P-256"),
        ] {
            let said = outcome(keys, threshold, bytes, signatures).unwrap_err();
            assert!(said.contains(expected), "{said}");
        }
        let rule = SignatureRule { public_key_files: vec![PathBuf::from("/no/such.pub")], threshold: 1 };
        assert!(keys(&rule).unwrap_err().to_string().contains("`/no/such.pub` cannot be read"));
    }

    #[test]
    fn a_payload_is_about_one_manifest() {
        let digest = phasegate_wasm::component_digest(b"x");
        let payload = |kind: &str| {
            let payload = serde_json::json!({
                "critical": { "image": { "docker-manifest-digest": digest.to_string() }, "type": kind }
            });
            payload.to_string().into_bytes()
        };
        let other = phasegate_wasm::component_digest(b"y");
        assert_eq!(not_about(&payload(SIGNED_TYPE), digest), None);
        assert_eq!(not_about(&payload(SIGNED_TYPE), other), Some(Void::OtherManifest(digest.to_string())));
        assert_eq!(not_about(&payload("an invoice"), digest), Some(Void::OtherType("an invoice".to_owned())));
        for nothing in [&b""[..], b"{}", b"[7]"] {
            assert_eq!(not_about(nothing, digest), Some(Void::OtherType(String::new())));
        }
    }

    #[test]
    fn what_counts_for_nothing_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("one.pub");
        std::fs::write(&path, ONE).unwrap();
        let rule = SignatureRule { public_key_files: vec![path], threshold: 1 };
        let mut foreign = lines(BY_ONE);
        foreign[0].void = Some(Void::OtherManifest("sha256:12".to_owned()));
        let said = verify(&rule, BLOB, &foreign, "there").unwrap_err().to_string();
        assert!(
            said.contains("(0 signatures were found")
                && said.contains("; one is of another manifest (sha256:12))"),
            "{said}"
        );
        let many = [&b"AAAA\n".repeat(SIGNATURES_MAX + 3)[..], BY_ONE].concat();
        let said = verify(&rule, BLOB, &lines(&many), "there").unwrap_err().to_string();
        assert!(
            said.contains("32 signatures were found")
                && said.contains("; 4 more were not looked at (limit 32)"),
            "{said}"
        );
    }
}
