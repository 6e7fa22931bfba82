//! One write as SQL. Applied twice it gives what it gives once.

use std::path::Path;

use rusqlite::{Transaction, params};
use serde::Serialize;

use phasegate_core::domain::{
    Change, Component, ExtensionType, InstanceId, Runs, ScaleSetName, Subscription, UpgradeId, Version,
};
use phasegate_core::record::audit::Entry;
use phasegate_core::record::{Registered, StoredMemory, StoredModel, Write};
use phasegate_core::release::Published;
use phasegate_core::rollout::{BatchProgress, Upgrade};

use super::schema::{ABSENT, UNKNOWN, VERSION};
use super::{LockIdentity, SqliteStoreError, as_integer, numbers};

/// Puts writes into a transaction.
pub(super) struct Writer<'a> {
    pub(super) transaction: &'a Transaction<'a>,
    pub(super) path: &'a Path,
    /// Beside which lock the record lies.
    pub(super) lock: LockIdentity,
}

impl Writer<'_> {
    fn model(
        &self,
        set: &ScaleSetName,
        component: &Component,
        model: &StoredModel,
    ) -> Result<(), SqliteStoreError> {
        self.run(
                "INSERT OR REPLACE INTO models (scale_set, component, version, configured, good) VALUES (?1, ?2, ?3, ?4, ?5)",
                params![
                    set.as_str(),
                    component.as_str(),
                    model.version.as_str(),
                    model.configured.as_str(),
                    model.good.as_ref().map(Version::as_str),
                ],
            )
    }

    /// Everything of an instance goes.
    fn forget(&self, set: &ScaleSetName, instance: &InstanceId) -> Result<(), SqliteStoreError> {
        let mut tables = ["versions", "memberships", "memories", "words", "provisions"].into_iter();
        tables.try_for_each(|table| self.remove(table, (set, instance)))
    }

    /// One write.
    pub(super) fn apply(&self, write: &Write) -> Result<(), SqliteStoreError> {
        match write {
            Write::Upgrade(upgrade) => self.upgrade(upgrade),
            Write::UpgradeGone(id) => self.upgrade_gone(id),
            Write::Order(upgrade, order) => self.course(upgrade, "batch_order", order),
            Write::LeftOut(upgrade, left_out) => self.course(upgrade, "left_out", left_out),
            Write::Batch(upgrade, number, batch) => self.batch(upgrade, *number, batch.as_deref()),
            Write::Member(upgrade, instance, member) => self.row(
                // Where it is: a row that is replaced would move to the end.
                "INSERT INTO members VALUES (?1, ?2, ?3)
                 ON CONFLICT (upgrade, instance) DO UPDATE SET member = excluded.member",
                (upgrade.as_str(), instance.as_str()),
                ("a member", member),
            ),
            Write::MemberLeft(upgrade, instance) => self.run(
                "DELETE FROM members WHERE upgrade = ?1 AND instance = ?2",
                params![upgrade.as_str(), instance.as_str()],
            ),
            Write::Runs(set, instance, component, runs) => self.runs(set, instance, component, runs),
            Write::Membership(set, instance, membership) => {
                self.of_instance("memberships", (set, instance), ("a membership", membership.as_deref()))
            }
            Write::Discovered(set, instance, found) => self.of_instance(
                "discovered",
                (set, instance),
                ("an instance that was found", found.as_deref()),
            ),
            Write::Forgotten(set, instance) => self.forget(set, instance),
            Write::Memory(set, instance, memory) => {
                self.remember((set.as_str(), instance.as_str()), memory.as_ref())
            }
            Write::Model(set, component, model) => self.model(set, component, model),
            Write::Quarantine(set, change, reason) => self.quarantine(set, change, reason.as_deref()),
            Write::Plugin(name, plugin) => {
                self.keyed("plugins", "name", name.as_str(), ("a plugin", Some(plugin)))
            }
            Write::Word(set, instance, word) => {
                self.of_instance("words", (set, instance), ("what a person has said", word.as_ref()))
            }
            Write::Provision(set, instance, provision) => {
                self.of_instance("provisions", (set, instance), ("a first deployment", provision.as_deref()))
            }
            Write::Retry(set, retry) => {
                self.keyed("retries", "scale_set", set.as_str(), ("a retry", retry.as_ref()))
            }
            Write::Request(key, request) => {
                self.keyed("requests", "key", key.as_str(), ("a request", request.as_ref()))
            }
            Write::Line(line) => self.run("UPDATE host SET line = ?1", params![self.json("the line", line)?]),
            Write::Hold(Some(hold)) => {
                self.run("UPDATE host SET hold = ?1", params![self.json("what speaks against it", hold)?])
            }
            Write::Hold(None) => {
                let (inode, born) = numbers(Some(self.lock));
                let sql = "UPDATE host SET hold = NULL, lock_inode = ?1, lock_born = ?2";
                self.run(sql, params![inode, born])
            }
            Write::Fence(fence) => {
                self.run("UPDATE host SET generation = ?1", params![as_integer(fence.packed())])
            }
            Write::Published(subject, published) => self.published(subject, published.as_deref()),
            Write::Release(number, release) => self.release(*number, release.as_deref()),
            Write::ReleaseSet(number, set, part) => self.release_set(*number, set, part.as_deref()),
            Write::OptOut(set, subject, said) => self.opt_out(set, subject, said.as_ref()),
            Write::Feature(subscription, said) => self.feature(subscription, said.as_ref()),
            Write::Audit(entry) => self.append(entry),
            Write::TrailEnds(seq) => {
                self.run("DELETE FROM audit WHERE seq > ?1", params![i64::try_from(*seq).unwrap_or(i64::MAX)])
            }
        }
    }

    fn published(
        &self,
        subject: &ExtensionType,
        published: Option<&Published>,
    ) -> Result<(), SqliteStoreError> {
        self.keyed("catalogue", "subject", &subject.to_string(), ("what was published", published))
    }

    fn feature(
        &self,
        subscription: &Subscription,
        said: Option<&Registered>,
    ) -> Result<(), SqliteStoreError> {
        self.keyed("features", "subscription", subscription.as_str(), ("a registration", said))
    }

    /// The one row that a table has of an instance, or that it has none.
    fn of_instance<T: Serialize>(
        &self,
        table: &str,
        (set, instance): (&ScaleSetName, &InstanceId),
        (what, value): (&str, Option<&T>),
    ) -> Result<(), SqliteStoreError> {
        let Some(value) = value else { return self.remove(table, (set, instance)) };
        let json = self.json(what, value)?;
        let sql = format!("INSERT OR REPLACE INTO {table} VALUES (?1, ?2, ?3)");
        self.run(&sql, params![set.as_str(), instance.as_str(), json])
    }

    /// Removes what a table has of an instance.
    fn remove(
        &self,
        table: &str,
        (set, instance): (&ScaleSetName, &InstanceId),
    ) -> Result<(), SqliteStoreError> {
        let sql = format!("DELETE FROM {table} WHERE scale_set = ?1 AND instance = ?2");
        self.run(&sql, params![set.as_str(), instance.as_str()])
    }

    /// The head of an upgrade.
    fn upgrade(&self, upgrade: &Upgrade) -> Result<(), SqliteStoreError> {
        let head = self.json("an upgrade", upgrade)?;
        let number = i64::try_from(upgrade.number).unwrap_or(i64::MAX);
        let (id, set, state) = (upgrade.id.as_str(), upgrade.scale_set.as_str(), upgrade.state.name());
        self.run(
            "INSERT OR REPLACE INTO upgrades VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![id, set, number, upgrade.started_at.0, state, head],
        )
    }

    /// Everything of an upgrade.
    fn upgrade_gone(&self, id: &UpgradeId) -> Result<(), SqliteStoreError> {
        self.run("DELETE FROM members WHERE upgrade = ?1", params![id.as_str()])?;
        self.run("DELETE FROM batches WHERE upgrade = ?1", params![id.as_str()])?;
        self.run("DELETE FROM courses WHERE upgrade = ?1", params![id.as_str()])?;
        self.run("DELETE FROM summaries WHERE upgrade = ?1", params![id.as_str()])?;
        self.run("DELETE FROM upgrades WHERE id = ?1", params![id.as_str()])
    }

    /// A batch of an upgrade, or that there is none of this number.
    fn batch(
        &self,
        upgrade: &UpgradeId,
        number: u32,
        batch: Option<&BatchProgress>,
    ) -> Result<(), SqliteStoreError> {
        let Some(batch) = batch else {
            return self.run(
                "DELETE FROM batches WHERE upgrade = ?1 AND number = ?2",
                params![upgrade.as_str(), number],
            );
        };
        let batch = self.json("a batch", batch)?;
        self.run(
            "INSERT OR REPLACE INTO batches VALUES (?1, ?2, ?3)",
            params![upgrade.as_str(), number, batch],
        )
    }

    /// A value in a row with two keys.
    fn row<T: Serialize>(
        &self,
        sql: &str,
        keys: (&str, &str),
        (what, value): (&str, &T),
    ) -> Result<(), SqliteStoreError> {
        self.run(sql, params![keys.0, keys.1, self.json(what, value)?])
    }

    /// A value in a table of one key and one value, or that it is not there.
    fn keyed<T: Serialize>(
        &self,
        table: &str,
        column: &str,
        key: &str,
        (what, value): (&str, Option<&T>),
    ) -> Result<(), SqliteStoreError> {
        match value {
            Some(value) => {
                let sql = format!("INSERT OR REPLACE INTO {table} VALUES (?1, ?2)");
                self.run(&sql, params![key, self.json(what, value)?])
            }
            None => self.run(&format!("DELETE FROM {table} WHERE {column} = ?1"), params![key]),
        }
    }

    /// Runs one statement.
    pub(super) fn run(&self, sql: &str, params: &[&dyn rusqlite::ToSql]) -> Result<(), SqliteStoreError> {
        let statement = self.transaction.prepare_cached(sql);
        let done = statement.and_then(|mut statement| statement.execute(params));
        done.map(drop).map_err(|source| SqliteStoreError::sqlite(self.path, source))
    }

    /// A value as JSON.
    pub(super) fn json<T: Serialize>(&self, what: &str, value: &T) -> Result<String, SqliteStoreError> {
        serde_json::to_string(value).map_err(|source| SqliteStoreError::Damaged {
            path: self.path.to_owned(),
            what: what.to_owned(),
            source,
        })
    }

    /// One column of the course of an upgrade.
    fn course<T: Serialize>(
        &self,
        upgrade: &UpgradeId,
        column: &str,
        value: &T,
    ) -> Result<(), SqliteStoreError> {
        let json = self.json("the course of an upgrade", value)?;
        self.run("INSERT OR IGNORE INTO courses VALUES (?1, '[]', NULL)", params![upgrade.as_str()])?;
        let sql = format!("UPDATE courses SET {column} = ?2 WHERE upgrade = ?1");
        self.run(&sql, params![upgrade.as_str(), json])
    }

    /// Keeps what a plugin asked to remember of an instance, or forgets it.
    fn remember(
        &self,
        (set, instance): (&str, &str),
        memory: Option<&StoredMemory>,
    ) -> Result<(), SqliteStoreError> {
        match memory {
            None => self
                .run("DELETE FROM memories WHERE scale_set = ?1 AND instance = ?2", params![set, instance]),
            Some(StoredMemory { plugin, bytes }) => self.run(
                "INSERT OR REPLACE INTO memories VALUES (?1, ?2, ?3, ?4)",
                params![set, instance, plugin.as_str(), bytes],
            ),
        }
    }

    /// Writes down what an instance has of a component.
    fn runs(
        &self,
        set: &ScaleSetName,
        instance: &InstanceId,
        component: &Component,
        runs: &Runs,
    ) -> Result<(), SqliteStoreError> {
        let state = match runs {
            Runs::Version { .. } => VERSION,
            Runs::Nothing { .. } => ABSENT,
            Runs::Unknown { .. } => UNKNOWN,
        };
        let last = runs.last().map(Version::as_str);
        self.run(
            "INSERT OR REPLACE INTO versions VALUES (?1, ?2, ?3, ?4, ?5)",
            params![set.as_str(), instance.as_str(), component.as_str(), last, state],
        )
    }

    /// Puts a version into quarantine, or takes it out.
    fn quarantine(
        &self,
        set: &ScaleSetName,
        change: &Change,
        reason: Option<&str>,
    ) -> Result<(), SqliteStoreError> {
        let (set, component, version) = (set.as_str(), change.component.as_str(), change.to.as_str());
        match reason {
            None => self.run(
                "DELETE FROM quarantine WHERE scale_set = ?1 AND component = ?2 AND version = ?3",
                params![set, component, version],
            ),
            Some(reason) => self.run(
                "INSERT OR REPLACE INTO quarantine VALUES (?1, ?2, ?3, ?4)",
                params![set, component, version, reason],
            ),
        }
    }

    /// Adds a line to the audit trail. What people search by are columns, the rest is JSON.
    fn append(&self, entry: &Entry) -> Result<(), SqliteStoreError> {
        let json = self.json("a line of the trail", entry)?;
        let seq = i64::try_from(entry.seq).unwrap_or(i64::MAX);
        let upgrade = entry.upgrade.as_ref().map(UpgradeId::as_str);
        let instance = entry.instance.as_ref().map(phasegate_core::domain::InstanceId::as_str);
        let (set, code) = (entry.scale_set.as_str(), entry.what.code());
        self.run(
            "INSERT OR REPLACE INTO audit VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![seq, entry.at.0, set, upgrade, instance, code, json],
        )
    }
}
