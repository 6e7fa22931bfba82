//! Reads a table of the file as its section declares it.
//!
//! Every key is looked at, so that all problems come at once; a key that is wrong leaves its value as it
//! was and makes the whole unsound.

use std::collections::BTreeMap;
use std::time::Duration;

use toml::de::DeValue;

use super::key::{Is, Key, Narrow, Preset, Section};
use super::source::Source;
use super::table::Table;
use super::value::{Spot, Value};

/// What becomes of keys that are not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Absent {
    /// Their preset holds, and what is required is missing.
    Preset,
    /// What was there before stays.
    Kept,
}

/// Which keys were given, and which of them are right.
pub struct Given<'a> {
    source: &'a Source<'a>,
    table: Spot,
    keys: BTreeMap<String, Seen>,
    spoiled: bool,
}

struct Seen {
    /// Where it is; none when it is not there.
    spot: Option<Spot>,
    sound: bool,
}

impl<T> Section<T> {
    /// Reads a table; what is left out gets its preset.
    pub fn read<'a>(&self, table: Table<'a>, to: &mut T) -> Given<'a> {
        self.read_with(table, to, Absent::Preset)
    }

    /// Changes only what a table names.
    pub fn apply<'a>(&self, table: Table<'a>, to: &mut T) -> Given<'a> {
        self.read_with(table, to, Absent::Kept)
    }

    fn read_with<'a>(&self, mut table: Table<'a>, to: &mut T, absent: Absent) -> Given<'a> {
        let source = table.source;
        let mut given = Given { source, table: table.spot(), keys: BTreeMap::new(), spoiled: false };
        let taken: Vec<(&Key<T>, Option<Value<'a>>)> = self
            .keys
            .iter()
            .map(|key| {
                let value = match (key.preset, absent) {
                    (Preset::Required, Absent::Preset) => table.required(key.name, key.example),
                    (Preset::Required | Preset::Value(_) | Preset::Absent(_), _) => {
                        table.optional(key.name, key.example)
                    }
                };
                (key, value)
            })
            .collect();
        table.finish();
        for (key, value) in taken {
            let sound = match (&key.is, &value) {
                (Is::Table(_, read), Some(value)) => {
                    value.table().map(|table| given.take_in(key.name, read(to, table))).is_some()
                }
                (Is::Table(_, read), None) if is_preset(key.preset) && absent == Absent::Preset => {
                    let Spot { key: path, offset } = given.table.within(key.name);
                    given.take_in(key.name, read(to, Table::new(source, path, offset, None)));
                    true
                }
                (_, Some(value)) => {
                    source.note(value, key);
                    key.put(value, to).is_some()
                }
                (_, None) => given.leave_out(key, to, absent),
            };
            let spot = value.map(|value| value.spot());
            given.keys.insert(key.name.to_owned(), Seen { spot, sound });
        }
        (self.check)(to, &mut given);
        given
    }
}

impl<T> Key<T> {
    /// Reads the value and puts it in its place.
    fn put(&self, value: &Value<'_>, to: &mut T) -> Option<()> {
        let narrow = self.narrow.as_ref().filter(|narrow| (narrow.when)(to));
        let whole = |Narrow { note, bounds: (min, max), .. }: &Narrow<T>| {
            value.clone().noted(note).integer(*min, *max)
        };
        match &self.is {
            Is::Flag(put) => put(to, value.boolean()?),
            Is::Whole(min, max, put) => {
                let number = narrow.map_or_else(|| value.integer(*min, *max), whole)?;
                put(to, number);
            }
            Is::Percent(min, put) => put(to, value.percent(*min)?),
            Is::Seconds(min, max, put) => {
                let seconds = |narrow| whole(narrow).map(|number| Duration::from_secs(number.into()));
                let time = narrow.map_or_else(|| value.seconds(*min, *max), seconds)?;
                put(to, time);
            }
            Is::Span(bounds, put) => put(to, value.span(*bounds)?),
            Is::Word(choices) => value.choice(choices)?(to),
            Is::Path(put) => put(to, value.path()?),
            Is::Own(_, read) => read(to, value)?,
            Is::Table(_, read) => return read(to, value.table()?).is_sound().then_some(()),
        }
        Some(())
    }

    /// The preset is read as if the file had it.
    fn put_preset(&self, text: &str, source: &Source<'_>, to: &mut T) -> Option<()> {
        let raw = DeValue::parse(text).ok()?;
        let own = Source::new(text, source.directory, &[]);
        let value = Value::new(&own, self.name.to_owned(), self.name, self.example, &raw);
        self.put(&value, to)
    }
}

/// Whether something holds without a key.
fn is_preset(preset: Preset) -> bool {
    match preset {
        Preset::Value(_) => true,
        Preset::Required | Preset::Absent(_) => false,
    }
}

impl<'a> Given<'a> {
    /// Does what is to be done about a key that is not there; says whether that is right.
    fn leave_out<T>(&self, key: &Key<T>, to: &mut T, absent: Absent) -> bool {
        match (key.preset, absent) {
            (Preset::Value(text), Absent::Preset) => {
                self.source.note_preset(&self.table, key, text);
                key.put_preset(text, self.source, to).is_some()
            }
            (Preset::Required, Absent::Preset) => false,
            (Preset::Absent(_), _) | (_, Absent::Kept) => true,
        }
    }

    /// What a key says that holds a table.
    fn take_in(&mut self, name: &str, inner: Given<'a>) {
        self.spoiled |= inner.spoiled;
        let keys = inner.keys.into_iter().map(|(key, seen)| (format!("{name}.{key}"), seen));
        self.keys.extend(keys);
    }

    /// Whether everything in the table could be read and fits.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        !self.spoiled && self.keys.values().all(|seen| seen.sound)
    }

    /// Whether none of these keys is wrong; one that is left out is not. A key within a table is
    /// `table.key`.
    #[must_use]
    pub fn are_sound(&self, keys: &[&str]) -> bool {
        keys.iter().all(|key| self.keys.get(*key).is_some_and(|seen| seen.sound))
    }

    /// Whether a key is there, right or wrong.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.at(key).is_some()
    }

    /// Where a key is, when it is there.
    #[must_use]
    pub fn at(&self, key: &str) -> Option<&Spot> {
        self.keys.get(key).and_then(|seen| seen.spot.as_ref())
    }

    /// The table itself.
    #[must_use]
    pub fn table(&self) -> &Spot {
        &self.table
    }

    /// The file.
    #[must_use]
    pub fn source(&self) -> &'a Source<'a> {
        self.source
    }

    /// Reports that a key is at odds with another part of the file; one that is not there is told of at
    /// its table.
    pub fn conflict(&mut self, key: &str, message: impl Into<String>, hint: impl Into<String>) {
        self.spoiled = true;
        match self.at(key) {
            Some(spot) => self.source.conflict(spot, message, hint),
            None => self.source.conflict(&self.table.within(key), message, hint),
        }
    }

    /// Reports that a key is wrong by itself.
    pub fn problem(&mut self, key: &str, message: impl Into<String>, hint: Option<String>) {
        self.spoiled = true;
        let spot = self.at(key).cloned().unwrap_or_else(|| self.table.within(key));
        self.source.problem(&spot, message, hint);
    }

    /// Makes the whole unsound; why was reported already.
    pub fn spoil(&mut self) {
        self.spoiled = true;
    }
}
