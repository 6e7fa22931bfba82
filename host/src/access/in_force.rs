//! The tokens and certificates that hold now, and how changed files take over.
//!
//! Looks at the files now and then instead of listening: that works on every file system. A file counts once it
//! looked the same twice, and only when all of it can be used; until then what held before holds.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::source::{Access, LoadAccessError, Who};

/// What a file looks like from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Mark {
    inode: u64,
    len: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// How all files look.
type Marks = Vec<(PathBuf, Option<Mark>)>;

/// Tokens and certificates that hold.
pub struct InForce(Mutex<Held>);

struct Held {
    access: Access,
    what: Loaded,
    /// As the files looked when they were read last, for better or worse.
    read: Marks,
    /// As they looked at the last look.
    seen: Marks,
}

/// What was read of an [`Access`] and can be used, all of it.
#[derive(Clone)]
pub struct Loaded {
    who: Arc<Who>,
    tls: Option<Arc<rustls::ServerConfig>>,
    /// As the files looked just before.
    marks: Marks,
}

impl Loaded {
    /// Reads everything.
    ///
    /// # Errors
    /// When a part cannot be used.
    pub fn load(access: &Access) -> Result<Self, LoadAccessError> {
        let marks = marks(access);
        Ok(Self { who: Arc::new(access.who()?), tls: access.certificates()?, marks })
    }
}

impl Held {
    fn new(access: Access, what: Loaded) -> Self {
        let read = what.marks.clone();
        Self { access, what, seen: read.clone(), read }
    }
}

impl InForce {
    /// Reads everything for the first time.
    ///
    /// # Errors
    /// When a part cannot be used.
    pub fn start(access: Access) -> Result<Self, LoadAccessError> {
        let what = Loaded::load(&access)?;
        Ok(Self(Mutex::new(Held::new(access, what))))
    }

    /// Who is let in.
    #[must_use]
    pub fn who(&self) -> Arc<Who> {
        Arc::clone(&self.held().what.who)
    }

    /// How connections are encrypted; none when they are not, here.
    #[must_use]
    pub fn tls(&self) -> Option<Arc<rustls::ServerConfig>> {
        self.held().what.tls.clone()
    }

    /// Goes over to what was read of another configuration.
    pub fn take_up(&self, access: Access, what: Loaded) {
        *self.held() = Held::new(access, what);
    }

    /// Looks at the files, and reads again what has changed and looks as it did at the last look. Blocks for as
    /// long as that takes; the log says what came of it.
    pub fn look(&self) {
        let access = self.held().access.clone();
        // Not under the lock, which every request takes: a file system may be slow.
        let now = marks(&access);
        {
            let mut held = self.held();
            let settled = std::mem::replace(&mut held.seen, now.clone()) == now;
            if !settled || held.read == now || held.access != access {
                return;
            }
            held.read = now;
        }
        let (who, tls) = (access.who(), access.certificates());
        let mut held = self.held();
        if held.access != access {
            // A reload has gone over to other files meanwhile, and has read them.
            return;
        }
        match who {
            Ok(who) if who != *held.what.who => {
                held.what.who = Arc::new(who);
                tracing::info!("tokens: a changed file is in force");
            }
            Ok(_) => {}
            Err(error) => tracing::warn!("tokens: the ones before stay in force: {}", error.line()),
        }
        match tls {
            Ok(Some(tls)) => {
                held.what.tls = Some(tls);
                tracing::info!("TLS: certificate and key were read again");
            }
            Ok(None) => {}
            Err(error) => tracing::warn!("TLS: the certificate before stays in force: {}", error.line()),
        }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn marks(access: &Access) -> Marks {
    access.files().into_iter().map(|path| (path.clone(), mark(&path))).collect()
}

/// None where there is nothing to be seen.
fn mark(path: &Path) -> Option<Mark> {
    let metadata = std::fs::metadata(path).ok()?;
    Some(Mark {
        inode: metadata.ino(),
        len: metadata.len(),
        modified: (metadata.mtime(), metadata.mtime_nsec()),
        changed: (metadata.ctime(), metadata.ctime_nsec()),
    })
}

#[cfg(test)]
mod tests {
    use super::super::{Checked, TokenSource};
    use super::*;
    use phasegate_core::domain::WallTime;

    fn lets_in(in_force: &InForce, token: &str) -> bool {
        match &*in_force.who() {
            Who::Anybody => true,
            Who::Bearers(tokens) => matches!(tokens.check(token, WallTime(0)), Checked::Good(_)),
        }
    }

    #[test]
    fn a_changed_file_takes_over_once_it_looks_the_same_twice_and_can_be_used() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let [first, second] = ["a-first-long-random-word", "a-second-long-random-word"];
        std::fs::write(&path, first).unwrap();
        let access = Access { tokens: Some(TokenSource::Single(path.clone())), ..Access::default() };
        let in_force = InForce::start(access).unwrap();
        assert!(lets_in(&in_force, first));
        std::fs::write(&path, second).unwrap();
        in_force.look();
        assert!(lets_in(&in_force, first), "it may be half written");
        in_force.look();
        assert!(lets_in(&in_force, second) && !lets_in(&in_force, first));
        for damage in ["", "short"] {
            std::fs::write(&path, damage).unwrap();
            in_force.look();
            in_force.look();
            assert!(lets_in(&in_force, second), "{damage:?} takes nothing away");
        }
        std::fs::remove_file(&path).unwrap();
        in_force.look();
        in_force.look();
        assert!(lets_in(&in_force, second), "a file that is gone takes nothing away");
    }

    #[test]
    fn what_cannot_be_used_does_not_start() {
        let path = PathBuf::from("/nowhere/token");
        let access = Access { tokens: Some(TokenSource::Named(path)), ..Access::default() };
        let error = InForce::start(access).err().unwrap();
        assert!(error.line().contains("phasegate token new"), "{}", error.line());
    }
}
