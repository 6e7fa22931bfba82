//! The catalogue and releases as rows, and back.

use std::collections::BTreeMap;

use rusqlite::params;

use phasegate_core::domain::{ExtensionType, ScaleSetName, Subscription};
use phasegate_core::record::{OptOut, Registered};
use phasegate_core::release::{Part, Published, Release};

use super::SqliteStoreError;
use super::read::{Reader, columns};
use super::write::Writer;

/// Who was opted out of what.
type OptOuts = Vec<((ScaleSetName, ExtensionType), OptOut)>;

impl Writer<'_> {
    /// A release without its sets, or that there is none of this number.
    pub(super) fn release(&self, number: u64, release: Option<&Release>) -> Result<(), SqliteStoreError> {
        let row = i64::try_from(number).unwrap_or(i64::MAX);
        match release {
            Some(release) => self.run(
                "INSERT OR REPLACE INTO releases VALUES (?1, ?2)",
                params![row, self.json("a release", release)?],
            ),
            None => {
                self.run("DELETE FROM release_sets WHERE release = ?1", params![row])?;
                self.run("DELETE FROM releases WHERE number = ?1", params![row])
            }
        }
    }

    /// One set of a release, or that it is no part of it.
    pub(super) fn release_set(
        &self,
        number: u64,
        set: &ScaleSetName,
        part: Option<&Part>,
    ) -> Result<(), SqliteStoreError> {
        let row = i64::try_from(number).unwrap_or(i64::MAX);
        match part {
            Some(part) => self.run(
                "INSERT OR REPLACE INTO release_sets VALUES (?1, ?2, ?3)",
                params![row, set.as_str(), self.json("a set of a release", part)?],
            ),
            None => self.run(
                "DELETE FROM release_sets WHERE release = ?1 AND scale_set = ?2",
                params![row, set.as_str()],
            ),
        }
    }

    /// That a person keeps a type in a set as it is, or no longer.
    pub(super) fn opt_out(
        &self,
        set: &ScaleSetName,
        subject: &ExtensionType,
        said: Option<&OptOut>,
    ) -> Result<(), SqliteStoreError> {
        let subject = subject.to_string();
        match said {
            Some(said) => self.run(
                "INSERT OR REPLACE INTO opt_outs VALUES (?1, ?2, ?3)",
                params![set.as_str(), subject, self.json("an opt-out", said)?],
            ),
            None => self.run(
                "DELETE FROM opt_outs WHERE scale_set = ?1 AND subject = ?2",
                params![set.as_str(), subject],
            ),
        }
    }
}

impl Reader<'_> {
    pub(super) fn published(&self) -> Result<Vec<(ExtensionType, Published)>, SqliteStoreError> {
        let mut all = Vec::new();
        if self.schema()? < 7 {
            return Ok(all);
        }
        for row in self.rows("SELECT subject, published FROM catalogue", &[])? {
            let [subject, published] = columns(row);
            all.push((self.id("catalogue", subject)?, self.parse("catalogue", &published)?));
        }
        Ok(all)
    }

    pub(super) fn releases(&self) -> Result<BTreeMap<u64, Release>, SqliteStoreError> {
        let mut all: BTreeMap<u64, Release> = BTreeMap::new();
        if self.schema()? < 7 {
            return Ok(all);
        }
        for row in self.rows("SELECT release FROM releases", &[])? {
            let [release] = columns(row);
            let release: Release = self.parse("releases", &release)?;
            all.insert(release.number, release);
        }
        for row in self.rows("SELECT CAST(release AS TEXT), scale_set, part FROM release_sets", &[])? {
            let [number, set, part] = columns(row);
            let number: u64 = self.parse("release_sets", &number)?;
            if let Some(release) = all.get_mut(&number) {
                release.parts.insert(self.id("release_sets", set)?, self.parse("release_sets", &part)?);
            }
        }
        Ok(all)
    }

    pub(super) fn opt_outs(&self) -> Result<OptOuts, SqliteStoreError> {
        let mut all = Vec::new();
        if self.schema()? < 7 {
            return Ok(all);
        }
        for row in self.rows("SELECT scale_set, subject, said FROM opt_outs", &[])? {
            let [set, subject, said] = columns(row);
            let key = (self.id("opt_outs", set)?, self.id("opt_outs", subject)?);
            all.push((key, self.parse("opt_outs", &said)?));
        }
        Ok(all)
    }

    pub(super) fn registered(&self) -> Result<Vec<(Subscription, Registered)>, SqliteStoreError> {
        let mut all = Vec::new();
        if self.schema()? < 7 {
            return Ok(all);
        }
        for row in self.rows("SELECT subscription, registered FROM features", &[])? {
            let [subscription, registered] = columns(row);
            all.push((self.id("features", subscription)?, self.parse("features", &registered)?));
        }
        Ok(all)
    }
}
