//! The store on SQLite: one file, write-ahead log, full sync.
//!
//! People may open the file with any SQLite tool; columns that they would search by are columns,
//! the rest is JSON.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension, Transaction, params};
use serde::de::DeserializeOwned;

use super::SqliteStoreError;
use super::lock::{self, DirectoryLock};
use phasegate_core::domain::{
    Change, Component, InstanceId, Membership, PluginName, ScaleSetName, Timestamp, UpgradeId, Version,
};
use phasegate_core::record::{
    AuditEntry, Retry, StoppedLine, Store, StoreError, Stored, StoredMemory, StoredModel, StoredPlugin, Write,
};
use phasegate_core::rollout::{Member, Upgrade};

/// Newest schema that this program knows, kept in `user_version`.
const SCHEMA: i64 = 4;

const CREATE: &str = "
CREATE TABLE host (generation INTEGER NOT NULL, line TEXT NOT NULL);
INSERT INTO host VALUES (0, 'null');
CREATE TABLE retries (scale_set TEXT PRIMARY KEY, retry TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE models (
  scale_set TEXT, component TEXT, version TEXT NOT NULL, configured TEXT NOT NULL,
  PRIMARY KEY (scale_set, component)) WITHOUT ROWID;
CREATE TABLE versions (
  scale_set TEXT, instance TEXT, component TEXT, version TEXT,
  PRIMARY KEY (scale_set, instance, component)) WITHOUT ROWID;
CREATE TABLE memberships (
  scale_set TEXT, instance TEXT, membership TEXT NOT NULL, PRIMARY KEY (scale_set, instance)) WITHOUT ROWID;
CREATE TABLE memories (
  scale_set TEXT, instance TEXT, plugin TEXT NOT NULL, memory BLOB NOT NULL,
  PRIMARY KEY (scale_set, instance)) WITHOUT ROWID;
CREATE TABLE upgrades (
  id TEXT PRIMARY KEY, scale_set TEXT NOT NULL, started_at INTEGER NOT NULL, state TEXT NOT NULL,
  head TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX upgrades_by_scale_set ON upgrades (scale_set, started_at);
CREATE TABLE members (
  upgrade TEXT, instance TEXT, member TEXT NOT NULL, PRIMARY KEY (upgrade, instance)) WITHOUT ROWID;
CREATE TABLE quarantine (
  scale_set TEXT, component TEXT, version TEXT, reason TEXT NOT NULL,
  PRIMARY KEY (scale_set, component, version)) WITHOUT ROWID;
CREATE TABLE plugins (name TEXT PRIMARY KEY, stored TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE audit (
  seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, scale_set TEXT NOT NULL, upgrade TEXT, instance TEXT,
  kind TEXT NOT NULL, text TEXT NOT NULL);
CREATE INDEX audit_by_scale_set ON audit (scale_set, seq);
PRAGMA user_version = 4;
";

/// The data directory, open and locked.
#[derive(Debug)]
pub struct SqliteStore {
    connection: Connection,
    path: PathBuf,
    /// Device and inode of the data file as it was opened.
    identity: Option<(u64, u64)>,
    _lock: DirectoryLock,
}

impl SqliteStore {
    /// Opens the data directory, making it when it is not there, and reads what it holds.
    ///
    /// # Errors
    /// When another host uses it, it cannot be written, or its schema is newer than ours.
    pub fn open(directory: &Path) -> Result<(Self, Stored), SqliteStoreError> {
        let unusable = |source| SqliteStoreError::Unusable { path: directory.to_owned(), source };
        std::fs::create_dir_all(directory).map_err(unusable)?;
        let lock = lock::acquire(directory)?;
        let path = directory.join("phasegate.db");
        let sqlite = |source| SqliteStoreError::Sqlite { path: path.clone(), source };
        let mut connection = Connection::open(&path).map_err(sqlite)?;
        prepare(&connection).map_err(sqlite)?;
        migrate(&mut connection, &path)?;
        let identity = identity(&path);
        let mut store = Self { connection, path, identity, _lock: lock };
        let stored = store.load()?;
        Ok((store, stored))
    }

    fn load(&mut self) -> Result<Stored, SqliteStoreError> {
        let path = self.path.clone();
        let sqlite = |source| SqliteStoreError::Sqlite { path: path.clone(), source };
        let reader = Reader { connection: &self.connection, path: &self.path };
        let mut stored = Stored {
            models: reader.models()?.into_iter().collect(),
            versions: reader.versions()?.into_iter().collect(),
            memberships: reader.memberships()?.into_iter().collect(),
            memories: reader.memories()?.into_iter().collect(),
            plugins: reader.plugins()?.into_iter().collect(),
            quarantined: reader.quarantined()?.into_iter().collect(),
            retries: reader.retries()?.into_iter().collect(),
            line: reader.line()?,
            ..Stored::default()
        };
        for upgrade in reader.latest_upgrades()? {
            stored.upgrades.insert(upgrade.scale_set.clone(), upgrade);
        }
        let generation: i64 = self
            .connection
            .query_row("UPDATE host SET generation = generation + 1 RETURNING generation", [], |row| {
                row.get(0)
            })
            .map_err(sqlite)?;
        let reader = Reader { connection: &self.connection, path: &self.path };
        stored.fence = reader.parse("the generation of the host", &generation.to_string())?;
        Ok(stored)
    }
}

impl Store for SqliteStore {
    fn commit(&mut self, writes: &[Write]) -> Result<(), StoreError> {
        Ok(self.write(writes)?)
    }

    fn audit(
        &self,
        scale_set: &ScaleSetName,
        instance: Option<&InstanceId>,
        limit: u32,
    ) -> Result<Vec<AuditEntry>, StoreError> {
        let reader = Reader { connection: &self.connection, path: &self.path };
        Ok(reader.audit(scale_set, instance, limit)?)
    }

    fn upgrade_before(&self, scale_set: &ScaleSetName, at: Timestamp) -> Result<Option<Upgrade>, StoreError> {
        let reader = Reader { connection: &self.connection, path: &self.path };
        Ok(reader.upgrade_before(scale_set.as_str(), at.0)?)
    }
}

impl SqliteStore {
    fn write(&mut self, writes: &[Write]) -> Result<(), SqliteStoreError> {
        let path = &self.path;
        // SQLite would go on writing into a file that nobody can find any more.
        if identity(path) != self.identity {
            return Err(SqliteStoreError::Gone { path: path.clone() });
        }
        let sqlite = |source| SqliteStoreError::Sqlite { path: path.clone(), source };
        let transaction = self.connection.transaction().map_err(sqlite)?;
        for write in writes {
            apply(&transaction, write, path)?;
        }
        transaction.commit().map_err(sqlite)
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()))
}

fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", "ON")
}

fn migrate(connection: &mut Connection, path: &Path) -> Result<(), SqliteStoreError> {
    let sqlite = |source| SqliteStoreError::Sqlite { path: path.to_owned(), source };
    let seen: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(sqlite)?;
    if seen > SCHEMA {
        return Err(SqliteStoreError::NewerSchema { path: path.to_owned(), seen, known: SCHEMA });
    }
    if seen > 0 && seen < SCHEMA {
        return Err(SqliteStoreError::OlderSchema { path: path.to_owned(), seen, known: SCHEMA });
    }
    if seen < SCHEMA {
        let transaction = connection.transaction().map_err(sqlite)?;
        transaction.execute_batch(CREATE).map_err(sqlite)?;
        transaction.commit().map_err(sqlite)?;
    }
    Ok(())
}

fn apply(transaction: &Transaction<'_>, write: &Write, path: &Path) -> Result<(), SqliteStoreError> {
    let sqlite = |source| SqliteStoreError::Sqlite { path: path.to_owned(), source };
    let json = |what: &str, result: Result<String, serde_json::Error>| {
        result.map_err(|source| SqliteStoreError::Damaged {
            path: path.to_owned(),
            what: what.to_owned(),
            source,
        })
    };
    let run = |sql: &str, params: &[&dyn rusqlite::ToSql]| {
        transaction.prepare_cached(sql).and_then(|mut statement| statement.execute(params)).map_err(sqlite)
    };
    match write {
        Write::Upgrade(upgrade) => {
            let head = json("an upgrade", serde_json::to_string(upgrade))?;
            let (id, set, state) = (upgrade.id.as_str(), upgrade.scale_set.as_str(), upgrade.state.name());
            run(
                "INSERT OR REPLACE INTO upgrades VALUES (?1, ?2, ?3, ?4, ?5)",
                params![id, set, upgrade.started_at.0, state, head],
            )
        }
        Write::Member(upgrade, instance, member) => {
            let member = json("a member", serde_json::to_string(member))?;
            run(
                "INSERT OR REPLACE INTO members VALUES (?1, ?2, ?3)",
                params![upgrade.as_str(), instance.as_str(), member],
            )
        }
        Write::MemberLeft(upgrade, instance) => run(
            "DELETE FROM members WHERE upgrade = ?1 AND instance = ?2",
            params![upgrade.as_str(), instance.as_str()],
        ),
        Write::Version(set, instance, component, version) => run(
            "INSERT OR REPLACE INTO versions VALUES (?1, ?2, ?3, ?4)",
            params![
                set.as_str(),
                instance.as_str(),
                component.as_str(),
                version.as_ref().map(Version::as_str)
            ],
        ),
        Write::Membership(set, instance, membership) => {
            let membership = json("a membership", serde_json::to_string(membership))?;
            run(
                "INSERT OR REPLACE INTO memberships VALUES (?1, ?2, ?3)",
                params![set.as_str(), instance.as_str(), membership],
            )
        }
        Write::Memory(set, instance, memory) => {
            return remember(transaction, (set.as_str(), instance.as_str()), memory.as_ref()).map_err(sqlite);
        }
        Write::Model(set, component, model) => run(
            "INSERT OR REPLACE INTO models VALUES (?1, ?2, ?3, ?4)",
            params![set.as_str(), component.as_str(), model.version.as_str(), model.configured.as_str()],
        ),
        Write::Plugin(name, plugin) => {
            let plugin = json("a plugin", serde_json::to_string(plugin))?;
            run("INSERT OR REPLACE INTO plugins VALUES (?1, ?2)", params![name.as_str(), plugin])
        }
        Write::Quarantine(set, change, reason) => {
            return quarantine(transaction, set, change, reason.as_deref()).map_err(sqlite);
        }
        Write::Retry(set, Some(retry)) => {
            let retry = json("a retry", serde_json::to_string(retry))?;
            run("INSERT OR REPLACE INTO retries VALUES (?1, ?2)", params![set.as_str(), retry])
        }
        Write::Retry(set, None) => run("DELETE FROM retries WHERE scale_set = ?1", params![set.as_str()]),
        Write::Line(line) => {
            run("UPDATE host SET line = ?1", params![json("the line", serde_json::to_string(line))?])
        }
        Write::Audit(entry) => return append(transaction, entry).map_err(sqlite),
    }
    .map(drop)
}

/// Keeps what a plugin asked to remember of an instance, or forgets it.
fn remember(
    transaction: &Transaction<'_>,
    (set, instance): (&str, &str),
    memory: Option<&StoredMemory>,
) -> rusqlite::Result<()> {
    let Some(StoredMemory { plugin, bytes }) = memory else {
        let sql = "DELETE FROM memories WHERE scale_set = ?1 AND instance = ?2";
        return transaction.prepare_cached(sql)?.execute(params![set, instance]).map(drop);
    };
    let sql = "INSERT OR REPLACE INTO memories VALUES (?1, ?2, ?3, ?4)";
    transaction.prepare_cached(sql)?.execute(params![set, instance, plugin.as_str(), bytes]).map(drop)
}

/// Puts a version into quarantine, or takes it out.
fn quarantine(
    transaction: &Transaction<'_>,
    set: &ScaleSetName,
    change: &Change,
    reason: Option<&str>,
) -> rusqlite::Result<()> {
    let (set, component, version) = (set.as_str(), change.component.as_str(), change.to.as_str());
    let Some(reason) = reason else {
        let sql = "DELETE FROM quarantine WHERE scale_set = ?1 AND component = ?2 AND version = ?3";
        return transaction.execute(sql, params![set, component, version]).map(drop);
    };
    let sql = "INSERT OR REPLACE INTO quarantine VALUES (?1, ?2, ?3, ?4)";
    transaction.execute(sql, params![set, component, version, reason]).map(drop)
}

/// Adds a line to the audit trail.
fn append(transaction: &Transaction<'_>, entry: &AuditEntry) -> rusqlite::Result<()> {
    let sql =
        "INSERT INTO audit (at, scale_set, upgrade, instance, kind, text) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    let AuditEntry { at, scale_set, upgrade, instance, kind, text } = entry;
    let upgrade = upgrade.as_ref().map(UpgradeId::as_str);
    let instance = instance.as_ref().map(InstanceId::as_str);
    let mut statement = transaction.prepare_cached(sql)?;
    statement.execute(params![at.0, scale_set.as_str(), upgrade, instance, kind.as_ref(), text]).map(drop)
}

/// Rows that become a map of [`Stored`].
type Rows<K, V> = Vec<(K, V)>;

/// What a recorded version belongs to.
type VersionKey = (ScaleSetName, InstanceId, Component);

/// Reads tables into domain types; every text that does not parse is damage, said as such.
struct Reader<'a> {
    connection: &'a Connection,
    path: &'a Path,
}

impl Reader<'_> {
    fn sqlite(&self, source: rusqlite::Error) -> SqliteStoreError {
        SqliteStoreError::Sqlite { path: self.path.to_owned(), source }
    }

    fn parse<T: DeserializeOwned>(&self, what: &str, json: &str) -> Result<T, SqliteStoreError> {
        serde_json::from_str(json).map_err(|source| SqliteStoreError::Damaged {
            path: self.path.to_owned(),
            what: what.to_owned(),
            source,
        })
    }

    /// Parses an identifier through its JSON form, so that there is one error for damage.
    fn id<T: DeserializeOwned>(&self, what: &str, text: String) -> Result<T, SqliteStoreError> {
        serde_json::from_value(serde_json::Value::String(text)).map_err(|source| SqliteStoreError::Damaged {
            path: self.path.to_owned(),
            what: what.to_owned(),
            source,
        })
    }

    /// All rows of a query as optional texts.
    fn rows(
        &self,
        sql: &str,
        params: &[&dyn rusqlite::ToSql],
    ) -> Result<Vec<Vec<Option<String>>>, SqliteStoreError> {
        let read = || {
            let mut statement = self.connection.prepare(sql)?;
            let columns = statement.column_count();
            let rows = statement.query_map(params, |row| (0..columns).map(|c| row.get(c)).collect())?;
            rows.collect::<rusqlite::Result<Vec<_>>>()
        };
        read().map_err(|source| self.sqlite(source))
    }

    fn models(&self) -> Result<Rows<(ScaleSetName, Component), StoredModel>, SqliteStoreError> {
        let mut models = Vec::new();
        for row in self.rows("SELECT scale_set, component, version, configured FROM models", &[])? {
            let [set, component, version, configured] = columns(row);
            let model = StoredModel {
                version: self.id("models", version)?,
                configured: self.id("models", configured)?,
            };
            models.push(((self.id("models", set)?, self.id("models", component)?), model));
        }
        Ok(models)
    }

    fn versions(&self) -> Result<Rows<VersionKey, Option<Version>>, SqliteStoreError> {
        let mut versions = Vec::new();
        for mut row in self.rows("SELECT scale_set, instance, component, version FROM versions", &[])? {
            let version = row.pop().flatten().map(|text| self.id("versions", text)).transpose()?;
            let [set, instance, component] = columns(row);
            let key =
                (self.id("versions", set)?, self.id("versions", instance)?, self.id("versions", component)?);
            versions.push((key, version));
        }
        Ok(versions)
    }

    fn memberships(&self) -> Result<Rows<(ScaleSetName, InstanceId), Membership>, SqliteStoreError> {
        let mut memberships = Vec::new();
        for row in self.rows("SELECT scale_set, instance, membership FROM memberships", &[])? {
            let [set, instance, membership] = columns(row);
            let key = (self.id("memberships", set)?, self.id("memberships", instance)?);
            memberships.push((key, self.parse("memberships", &membership)?));
        }
        Ok(memberships)
    }

    fn memories(&self) -> Result<Rows<(ScaleSetName, InstanceId), StoredMemory>, SqliteStoreError> {
        let read = || {
            let sql = "SELECT scale_set, instance, plugin, memory FROM memories";
            let mut statement = self.connection.prepare(sql)?;
            let rows = statement.query_map([], |row| Ok(([0, 1, 2].map(|c| row.get(c)), row.get(3)?)))?;
            rows.collect::<rusqlite::Result<Vec<_>>>()
        };
        let mut memories = Vec::new();
        for ([set, instance, plugin], bytes) in read().map_err(|source| self.sqlite(source))? {
            let id = |text: rusqlite::Result<String>| text.map_err(|source| self.sqlite(source));
            let key = (self.id("memories", id(set)?)?, self.id("memories", id(instance)?)?);
            memories.push((key, StoredMemory { plugin: self.id("memories", id(plugin)?)?, bytes }));
        }
        Ok(memories)
    }

    fn plugins(&self) -> Result<Rows<PluginName, StoredPlugin>, SqliteStoreError> {
        let mut plugins = Vec::new();
        for row in self.rows("SELECT name, stored FROM plugins", &[])? {
            let [name, stored] = columns(row);
            plugins.push((self.id("plugins", name)?, self.parse("plugins", &stored)?));
        }
        Ok(plugins)
    }

    fn quarantined(&self) -> Result<Rows<(ScaleSetName, Change), String>, SqliteStoreError> {
        let mut quarantined = Vec::new();
        for row in self.rows("SELECT scale_set, component, version, reason FROM quarantine", &[])? {
            let [set, component, version, reason] = columns(row);
            let change =
                Change { component: self.id("quarantine", component)?, to: self.id("quarantine", version)? };
            quarantined.push(((self.id("quarantine", set)?, change), reason));
        }
        Ok(quarantined)
    }

    fn retries(&self) -> Result<Rows<ScaleSetName, Retry>, SqliteStoreError> {
        let mut retries = Vec::new();
        for row in self.rows("SELECT scale_set, retry FROM retries", &[])? {
            let [set, retry] = columns(row);
            retries.push((self.id("retries", set)?, self.parse("retries", &retry)?));
        }
        Ok(retries)
    }

    fn line(&self) -> Result<Option<StoppedLine>, SqliteStoreError> {
        let rows = self.rows("SELECT line FROM host", &[])?;
        let text = rows.into_iter().flatten().flatten().next();
        text.map_or(Ok(None), |text| self.parse("host", &text))
    }

    fn audit(
        &self,
        scale_set: &ScaleSetName,
        instance: Option<&InstanceId>,
        limit: u32,
    ) -> Result<Vec<AuditEntry>, SqliteStoreError> {
        let latest = "SELECT CAST(at AS TEXT), upgrade, instance, kind, text FROM audit \
             WHERE scale_set = ?1 AND (?3 IS NULL OR instance = ?3) ORDER BY seq DESC LIMIT ?2";
        let instance = instance.map(InstanceId::as_str);
        let mut entries = Vec::new();
        for row in self.rows(latest, params![scale_set.as_str(), limit, instance])? {
            let optional = |column: usize| row.get(column).cloned().flatten();
            let upgrade = optional(1).map(|text| self.id("audit", text)).transpose()?;
            let instance = optional(2).map(|text| self.id("audit", text)).transpose()?;
            entries.push(AuditEntry {
                at: Timestamp(optional(0).and_then(|text| text.parse().ok()).unwrap_or(0)),
                scale_set: scale_set.clone(),
                upgrade,
                instance,
                kind: optional(3).unwrap_or_default().into(),
                text: optional(4).unwrap_or_default(),
            });
        }
        entries.reverse();
        Ok(entries)
    }

    fn latest_upgrades(&self) -> Result<Vec<Upgrade>, SqliteStoreError> {
        let mut upgrades = Vec::new();
        for row in self.rows("SELECT DISTINCT scale_set FROM upgrades", &[])? {
            let [set] = columns(row);
            upgrades.extend(self.upgrade_before(&set, i64::MAX)?);
        }
        Ok(upgrades)
    }

    /// The latest upgrade of a set that was asked for before a time.
    fn upgrade_before(&self, set: &str, before: i64) -> Result<Option<Upgrade>, SqliteStoreError> {
        let latest = "SELECT head FROM upgrades WHERE scale_set = ?1 AND started_at < ?2 \
             ORDER BY started_at DESC, id DESC LIMIT 1";
        let head: Option<String> = self
            .connection
            .query_row(latest, params![set, before], |row| row.get(0))
            .optional()
            .map_err(|source| self.sqlite(source))?;
        let Some(head) = head else { return Ok(None) };
        let mut upgrade: Upgrade = self.parse("upgrades", &head)?;
        let id = upgrade.id.as_str().to_owned();
        for row in self.rows("SELECT instance, member FROM members WHERE upgrade = ?1", params![id])? {
            let [instance, member] = columns(row);
            let member: Member = self.parse("members", &member)?;
            upgrade.members.insert(self.id("members", instance)?, member);
        }
        Ok(Some(upgrade))
    }
}

/// The columns of a row; a missing or NULL one reads as empty, which no identifier is.
fn columns<const N: usize>(row: Vec<Option<String>>) -> [String; N] {
    let mut values = row.into_iter();
    std::array::from_fn(|_| values.next().flatten().unwrap_or_default())
}

#[cfg(test)]
mod tests;
