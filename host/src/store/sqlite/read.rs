//! Reads tables into domain types; every text that does not parse is damage, said as such.

use std::path::Path;
use std::sync::Arc;

use rusqlite::{Connection, params};
use serde::Serialize;
use serde::de::DeserializeOwned;

use phasegate_core::domain::{
    Change, Component, InstanceId, Membership, PersonsWord, PluginName, Provision, RequestKey, Runs,
    ScaleSetName, Version,
};
use phasegate_core::record::{
    Anchor, FoundInstance, Retry, StoppedLine, Stored, StoredMemory, StoredModel, StoredPlugin, StoredRequest,
};
use phasegate_core::rollout::{Course, LeftOut, Member, Upgrade};

use super::schema::{ABSENT, VERSION};
use super::{LockIdentity, Origin, SqliteStoreError};

/// Upgrades of a set that are looked through for one that did anything.
const IDLE_MAX: u32 = 100;

/// Rows that become a map of [`Stored`].
type Rows<K, V> = Vec<(K, V)>;

/// What a recorded version belongs to.
type VersionKey = (ScaleSetName, InstanceId, Component);

/// Reads one data file.
pub(in crate::store) struct Reader<'a> {
    pub(in crate::store) connection: &'a Connection,
    pub(in crate::store) path: &'a Path,
}

impl Reader<'_> {
    /// Everything that a starting host needs, but who it is.
    pub(in crate::store) fn stored(&self) -> Result<Stored, SqliteStoreError> {
        let (latest, touched) = self.upgrades()?;
        let (seq, anchor) = self.host()?;
        Ok(Stored {
            seq,
            anchor,
            audit_seq: self.highest("SELECT CAST(MAX(seq) AS TEXT) FROM audit")?,
            upgrade_number: self.upgrade_number()?,
            models: self.models()?.into_iter().collect(),
            versions: self.versions()?.into_iter().collect(),
            memberships: self.memberships()?.into_iter().collect(),
            discovered: self.discovered()?.into_iter().collect(),
            memories: self.memories()?.into_iter().collect(),
            plugins: self.plugins()?.into_iter().collect(),
            quarantined: self.quarantined()?.into_iter().collect(),
            retries: self.retries()?.into_iter().collect(),
            words: self.words()?.into_iter().collect(),
            provisions: self.provisions()?.into_iter().collect(),
            requests: self.requests()?.into_iter().collect(),
            published: self.published()?.into_iter().collect(),
            releases: self.releases()?,
            opted_out: self.opt_outs()?.into_iter().collect(),
            registered: self.registered()?.into_iter().collect(),
            line: self.line()?,
            upgrades: latest.into_iter().map(|upgrade| (upgrade.scale_set.clone(), upgrade)).collect(),
            touched: touched.into_iter().map(|upgrade| (upgrade.scale_set.clone(), upgrade)).collect(),
            ..Stored::default()
        })
    }

    pub(super) fn sqlite(&self, source: rusqlite::Error) -> SqliteStoreError {
        SqliteStoreError::sqlite(self.path, source)
    }

    pub(super) fn parse<T: DeserializeOwned>(&self, what: &str, json: &str) -> Result<T, SqliteStoreError> {
        serde_json::from_str(json).map_err(|source| SqliteStoreError::Damaged {
            path: self.path.to_owned(),
            what: what.to_owned(),
            source,
        })
    }

    /// Parses an identifier through its JSON form, so that there is one error for damage.
    pub(super) fn id<T: DeserializeOwned>(&self, what: &str, text: String) -> Result<T, SqliteStoreError> {
        serde_json::from_value(serde_json::Value::String(text)).map_err(|source| SqliteStoreError::Damaged {
            path: self.path.to_owned(),
            what: what.to_owned(),
            source,
        })
    }

    /// All rows of a query as optional texts.
    pub(super) fn rows(
        &self,
        sql: &str,
        params: &[&dyn rusqlite::ToSql],
    ) -> Result<Vec<Vec<Option<String>>>, SqliteStoreError> {
        let read = || {
            let mut statement = self.connection.prepare_cached(sql)?;
            let columns = statement.column_count();
            let rows = statement.query_map(params, |row| (0..columns).map(|c| row.get(c)).collect())?;
            rows.collect::<rusqlite::Result<Vec<_>>>()
        };
        read().map_err(|source| self.sqlite(source))
    }

    /// The one value of a query; 0 of an empty table.
    fn highest(&self, sql: &str) -> Result<u64, SqliteStoreError> {
        let rows = self.rows(sql, &[])?;
        let text = rows.into_iter().flatten().flatten().next();
        text.map_or(Ok(0), |text| self.parse("a number", &text))
    }

    /// Where the record was written. Also of a record of schema 5, which does not say.
    pub(in crate::store) fn origin(&self) -> Result<Origin, SqliteStoreError> {
        let rest = if self.host_has("hold")? { "lock_inode, lock_born, hold" } else { "NULL, NULL, NULL" };
        let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?));
        let sql = format!("SELECT generation, {rest} FROM host");
        let (generation, inode, born, hold): (i64, Option<i64>, Option<i64>, Option<String>) =
            self.connection.query_row(&sql, [], row).map_err(|source| self.sqlite(source))?;
        Ok(Origin {
            generation: self.parse("the generation of the host", &generation.to_string())?,
            lock: inode.map(|inode| LockIdentity { inode: inode.cast_unsigned(), born }),
            hold: hold.map(|json| self.parse("what speaks against the record", &json)).transpose()?,
        })
    }

    /// Whether the record is new enough to say something of its host.
    fn host_has(&self, column: &str) -> Result<bool, SqliteStoreError> {
        let says = "SELECT COUNT(*) FROM pragma_table_info('host') WHERE name = ?1";
        let count: i64 = self
            .connection
            .query_row(says, [column], |row| row.get(0))
            .map_err(|source| self.sqlite(source))?;
        Ok(count > 0)
    }

    /// The number of the latest upgrade, or of the last one that was passed over.
    fn upgrade_number(&self) -> Result<u64, SqliteStoreError> {
        let given = "SELECT CAST(MAX(number) AS TEXT) FROM upgrades";
        if !self.host_has("numbers_to")? {
            return self.highest(given);
        }
        Ok(self.highest(given)?.max(self.highest("SELECT CAST(MAX(numbers_to) AS TEXT) FROM host")?))
    }

    /// A value as JSON.
    pub(in crate::store) fn json<T: Serialize>(
        &self,
        what: &str,
        value: &T,
    ) -> Result<String, SqliteStoreError> {
        serde_json::to_string(value).map_err(|source| SqliteStoreError::Damaged {
            path: self.path.to_owned(),
            what: what.to_owned(),
            source,
        })
    }

    fn host(&self) -> Result<(u64, Option<Anchor>), SqliteStoreError> {
        let rows = self.rows("SELECT CAST(seq AS TEXT), anchor FROM host", &[])?;
        let mut row = rows.into_iter().next().unwrap_or_default().into_iter();
        let seq = row.next().flatten().map_or(Ok(0), |text| self.parse("host", &text))?;
        let anchor = row.next().flatten().map(|text| self.parse("host", &text)).transpose()?;
        Ok((seq, anchor.flatten()))
    }

    fn models(&self) -> Result<Rows<(ScaleSetName, Component), StoredModel>, SqliteStoreError> {
        let mut models = Vec::new();
        let columns_of = if self.schema()? >= 7 {
            "SELECT scale_set, component, version, configured, good FROM models"
        } else {
            "SELECT scale_set, component, version, configured, NULL FROM models"
        };
        for mut row in self.rows(columns_of, &[])? {
            let good = row.pop().flatten().map(|text| self.id("models", text)).transpose()?;
            let [set, component, version, configured] = columns(row);
            let model = StoredModel {
                good,
                version: self.id("models", version)?,
                configured: self.id("models", configured)?,
            };
            models.push(((self.id("models", set)?, self.id("models", component)?), model));
        }
        Ok(models)
    }

    fn versions(&self) -> Result<Rows<VersionKey, Runs>, SqliteStoreError> {
        let mut versions = Vec::new();
        let columns_of = if self.schema()? >= 7 {
            "SELECT scale_set, instance, component, state, version FROM versions"
        } else {
            "SELECT scale_set, instance, component, iif(version IS NULL, 'unknown', 'version'), version FROM versions"
        };
        for mut row in self.rows(columns_of, &[])? {
            let before: Option<Version> =
                row.pop().flatten().map(|text| self.id("versions", text)).transpose()?;
            let state = row.pop().flatten().unwrap_or_default();
            let [set, instance, component] = columns(row);
            let key =
                (self.id("versions", set)?, self.id("versions", instance)?, self.id("versions", component)?);
            let runs = match (state.as_str(), before) {
                (VERSION, Some(version)) => Runs::at(version),
                (ABSENT, before) => Runs::Nothing { before },
                // What this program has no word for is unknown.
                (_, before) => Runs::Unknown { before },
            };
            versions.push((key, runs));
        }
        Ok(versions)
    }

    fn discovered(&self) -> Result<Rows<(ScaleSetName, InstanceId), Arc<FoundInstance>>, SqliteStoreError> {
        let mut discovered = Vec::new();
        if self.schema()? < 7 {
            return Ok(discovered);
        }
        for row in self.rows("SELECT scale_set, instance, found FROM discovered", &[])? {
            let [set, instance, found] = columns(row);
            let key = (self.id("discovered", set)?, self.id("discovered", instance)?);
            discovered.push((key, Arc::new(self.parse::<FoundInstance>("discovered", &found)?)));
        }
        Ok(discovered)
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

    pub(in crate::store) fn plugins(&self) -> Result<Rows<PluginName, StoredPlugin>, SqliteStoreError> {
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

    /// A copy that is only looked at may be of an earlier build.
    pub(super) fn schema(&self) -> Result<i64, SqliteStoreError> {
        self.connection
            .pragma_query_value(None, "user_version", |row| row.get(0))
            .map_err(|source| SqliteStoreError::sqlite(self.path, source))
    }

    fn words(&self) -> Result<Rows<(ScaleSetName, InstanceId), PersonsWord>, SqliteStoreError> {
        let mut words = Vec::new();
        if self.schema()? < 7 {
            return Ok(words);
        }
        for row in self.rows("SELECT scale_set, instance, word FROM words", &[])? {
            let [set, instance, word] = columns(row);
            words.push(((self.id("words", set)?, self.id("words", instance)?), self.parse("words", &word)?));
        }
        Ok(words)
    }

    fn provisions(&self) -> Result<Rows<(ScaleSetName, InstanceId), Provision>, SqliteStoreError> {
        let mut provisions = Vec::new();
        if self.schema()? < 7 {
            return Ok(provisions);
        }
        for row in self.rows("SELECT scale_set, instance, provision FROM provisions", &[])? {
            let [set, instance, provision] = columns(row);
            let key = (self.id("provisions", set)?, self.id("provisions", instance)?);
            provisions.push((key, self.parse("provisions", &provision)?));
        }
        Ok(provisions)
    }

    fn requests(&self) -> Result<Rows<RequestKey, StoredRequest>, SqliteStoreError> {
        let mut requests = Vec::new();
        for row in self.rows("SELECT key, request FROM requests", &[])? {
            let [key, request] = columns(row);
            requests.push((self.id("requests", key)?, self.parse("requests", &request)?));
        }
        Ok(requests)
    }

    fn line(&self) -> Result<Option<StoppedLine>, SqliteStoreError> {
        let rows = self.rows("SELECT line FROM host", &[])?;
        let text = rows.into_iter().flatten().flatten().next();
        text.map_or(Ok(None), |text| self.parse("host", &text))
    }

    /// The latest upgrade of each set, and the latest that did anything.
    fn upgrades(&self) -> Result<(Vec<Upgrade>, Vec<Upgrade>), SqliteStoreError> {
        let (mut latest, mut touched) = (Vec::new(), Vec::new());
        for row in self.rows("SELECT DISTINCT scale_set FROM upgrades", &[])? {
            let [set] = columns(row);
            let sql = "SELECT head FROM upgrades WHERE scale_set = ?1 ORDER BY number DESC LIMIT ?2";
            for (index, row) in self.rows(sql, params![set, IDLE_MAX])?.into_iter().enumerate() {
                let [head] = columns(row);
                let upgrade = self.assembled(self.parse("upgrades", &head)?)?;
                let did_something = upgrade.left_a_trace();
                if index == 0 {
                    latest.push(upgrade.clone());
                }
                if did_something {
                    touched.push(upgrade);
                    break;
                }
            }
        }
        Ok((latest, touched))
    }

    /// Puts an upgrade together from its pieces.
    pub(super) fn assembled(&self, head: Upgrade) -> Result<Upgrade, SqliteStoreError> {
        let id = head.id.as_str().to_owned();
        let mut course = Course::default();
        let sql = "SELECT batch_order, left_out FROM courses WHERE upgrade = ?1";
        for mut row in self.rows(sql, params![id])? {
            let left_out = row.pop().flatten();
            let [order] = columns(row);
            course.order = self.parse("courses", &order)?;
            course.left_out =
                left_out.map_or(Ok(LeftOut::default()), |left_out| self.parse("courses", &left_out))?;
        }
        let sql = "SELECT CAST(number AS TEXT), batch FROM batches WHERE upgrade = ?1";
        for row in self.rows(sql, params![id])? {
            let [number, batch] = columns(row);
            course.batches.insert(self.parse("batches", &number)?, self.parse("batches", &batch)?);
        }
        for row in self.rows("SELECT instance, member FROM members WHERE upgrade = ?1", params![id])? {
            let [instance, member] = columns(row);
            let member: Member = self.parse("members", &member)?;
            course.members.insert(self.id("members", instance)?, member);
        }
        Ok(Upgrade::assemble(head, course))
    }
}

/// The columns of a row; a missing or NULL one reads as empty, which no identifier is.
pub(super) fn columns<const N: usize>(row: Vec<Option<String>>) -> [String; N] {
    let mut values = row.into_iter();
    std::array::from_fn(|_| values.next().flatten().unwrap_or_default())
}
