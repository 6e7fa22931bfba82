//! The two kinds of listeners: a TCP port and a socket in the file system.
//!
//! Takes over the path of a socket only when nothing listens there any more. Serves nothing.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream as BlockingStream;
use std::path::{Path, PathBuf};

use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use crate::access::people;
use crate::net::endpoint::Endpoint;

/// Who may connect to a socket in the file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SocketRights {
    /// Rights of the file, as `chmod` takes them.
    pub mode: u32,
    /// Group that it is given to, by name or number; that of the host where there is none.
    pub group: Option<String>,
}

/// Why a host cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The port.
    #[error("cannot listen on {address}; is another phasegate running? choose another server.listen")]
    Port {
        /// Which.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// Another program listens there.
    #[error("something listens on `{}` already; is another phasegate running? choose another server.listen", .0.display())]
    Taken(PathBuf),
    /// It is no socket.
    #[error(
        "`{}` is there and is no socket; remove it, or choose another path for server.listen",
        .0.display()
    )]
    NoSocket(PathBuf),
    /// The group.
    #[error("there is no group `{0}` for server.socket.group")]
    Group(String),
    /// Anything else.
    #[error("cannot listen on socket `{}`", path.display())]
    Socket {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Where connections come from.
#[derive(Debug)]
pub enum Listener {
    /// A port.
    Tcp(TcpListener),
    /// A socket; its file goes with it.
    Unix(UnixListener, SocketFile),
}

/// The file of a socket that goes when its host does.
#[derive(Debug)]
pub struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // One that is gone is as good.
        _ = fs::remove_file(&self.0);
    }
}

/// A connection, and who it is from.
pub(super) enum Accepted {
    /// Over the network.
    Tcp(TcpStream),
    /// From this machine, and which user opened it; none where the system does not say.
    Unix(UnixStream, Option<u32>),
}

impl Listener {
    /// Listens on a socket in the file system. A file that is left of a host that is gone is replaced.
    ///
    /// # Errors
    /// When something listens there, something else is there, or it cannot be made.
    pub fn socket(path: &Path, rights: &SocketRights) -> Result<Self, ListenError> {
        let failed = |source| ListenError::Socket { path: path.to_owned(), source };
        match fs::symlink_metadata(path) {
            Ok(there) if !there.file_type().is_socket() => {
                return Err(ListenError::NoSocket(path.to_owned()));
            }
            Ok(_) => match BlockingStream::connect(path) {
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                    fs::remove_file(path).map_err(failed)?;
                }
                Ok(_) => return Err(ListenError::Taken(path.to_owned())),
                Err(error) => return Err(failed(error)),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(error)),
        }
        let gid = match &rights.group {
            None => None,
            Some(name) => Some(people::group(name).ok_or_else(|| ListenError::Group(name.clone()))?),
        };
        // Made in a folder that only this user may enter, so that the rights are right before anybody can come.
        let folder = path.with_extension(format!("{}.new", std::process::id()));
        fs::DirBuilder::new().create(&folder).map_err(failed)?;
        let listener = placed(&folder, path, rights.mode, gid).map_err(failed);
        _ = fs::remove_dir_all(&folder);
        Ok(Self::Unix(listener?, SocketFile(path.to_owned())))
    }

    /// Where it listens.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn place(&self) -> io::Result<Endpoint> {
        match self {
            Self::Tcp(listener) => Ok(Endpoint::Tcp(listener.local_addr()?)),
            Self::Unix(_, SocketFile(path)) => Ok(Endpoint::Unix(path.clone())),
        }
    }

    pub(super) async fn accept(&self) -> io::Result<Accepted> {
        match self {
            Self::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                // Answers are written in one piece or follow each other closely.
                _ = stream.set_nodelay(true);
                Ok(Accepted::Tcp(stream))
            }
            Self::Unix(listener, _) => {
                let (stream, _) = listener.accept().await?;
                let uid = stream.peer_cred().ok().map(|peer| peer.uid());
                Ok(Accepted::Unix(stream, uid))
            }
        }
    }
}

/// Makes the socket with its rights and puts it in its place.
fn placed(folder: &Path, path: &Path, mode: u32, gid: Option<u32>) -> io::Result<UnixListener> {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
    let made = folder.join("s");
    let listener = UnixListener::bind(&made)?;
    std::os::unix::fs::chown(&made, None, gid)?;
    fs::set_permissions(&made, fs::Permissions::from_mode(mode))?;
    fs::rename(&made, path)?;
    Ok(listener)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    const RIGHTS: SocketRights = SocketRights { mode: 0o600, group: None };

    #[tokio::test]
    async fn a_dead_socket_is_replaced_and_nothing_else_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("phasegate.sock");
        let first = Listener::socket(&path, &SocketRights { mode: 0o660, ..RIGHTS }).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o660);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        let second = Listener::socket(&path, &RIGHTS).unwrap_err();
        assert!(matches!(second, ListenError::Taken(_)), "{second}");
        drop(first);
        assert!(!path.exists(), "its file goes with it");
        // A host that was killed leaves the file.
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        let third = Listener::socket(&path, &RIGHTS).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        drop(third);
        for make in [|path: &Path| fs::write(path, "x").unwrap(), |path: &Path| fs::create_dir(path).unwrap()]
        {
            make(&path);
            let refused = Listener::socket(&path, &RIGHTS).unwrap_err();
            assert!(matches!(refused, ListenError::NoSocket(_)), "{refused}");
            _ = fs::remove_file(&path);
        }
        let group = SocketRights { group: Some("a group that is not there".to_owned()), ..RIGHTS };
        let refused = Listener::socket(&folder.path().join("other"), &group).unwrap_err();
        assert!(matches!(refused, ListenError::Group(_)), "{refused}");
    }
}
