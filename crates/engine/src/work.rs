//! What a decider sees: rows by key, time, chance, and a place for what it changes and says.
//! A row that is not at hand stops the decider; the executor loads it and runs the decider again, which is why
//! deciders are pure. Leaves loading, committing and everything that takes time to the executor.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use contracts::{Envelope, Event};
use kernel::{Bucket, Draw, Fault, Id, Timestamp, TraceContext};
use store::{Error, Key, Mechanism, OutboxEvent, Row, Sabotage, Table, Value, Write};

use crate::Entity;
use crate::input::Stop;
use crate::tables::Timer;

/// Which row: its table's name and its key.
pub(crate) type RowName = (&'static str, Key);

type AnyValue = Arc<dyn Any + Send + Sync>;

/// A row as it is in the database and as this batch would leave it.
struct Cell {
    table: &'static Table,
    tallies: &'static [&'static str],
    /// The version in the database; 0 says that there is no such row.
    version: i64,
    stored: Option<Vec<Value>>,
    /// The row that this batch would leave, if it changes it.
    next: Option<Option<Vec<Value>>>,
    /// The typed form of what a decider would see now, once somebody asked.
    seen: Option<AnyValue>,
}

impl Cell {
    fn absent(table: &'static Table, tallies: &'static [&'static str]) -> Self {
        Self { table, tallies, version: 0, stored: None, next: None, seen: None }
    }

    fn current(&self) -> Option<&Vec<Value>> {
        self.next.as_ref().unwrap_or(&self.stored).as_ref()
    }

    /// The write, or the expectation, that this row needs; `None` if nothing about it matters.
    fn write(&self, name: &RowName) -> Option<Write> {
        let (table, key) = (self.table, name.1.clone());
        let expect = || Some(Write::Expect { table, key: key.clone(), version: self.version });
        match (&self.stored, &self.next) {
            (_, None) | (None, Some(None)) => expect(),
            (Some(_), Some(None)) => Some(Write::Delete { table, key, version: self.version }),
            (None, Some(Some(row))) => Some(Write::Insert { table, row: row.clone() }),
            (Some(stored), Some(Some(row))) if stored == row => expect(),
            (Some(stored), Some(Some(row))) => match self.deltas(stored, row) {
                Some(deltas) => Some(Write::Add { table, key, deltas }),
                None => Some(Write::Put { table, row: row.clone(), version: self.version }),
            },
        }
    }

    /// The differences, if only tally columns differ.
    fn deltas(&self, stored: &[Value], row: &[Value]) -> Option<Vec<(&'static str, i64)>> {
        if self.tallies.is_empty() {
            return None;
        }
        let tallies: Vec<usize> = self.tallies.iter().filter_map(|name| self.table.index_of(name)).collect();
        let others_same = (0..row.len()).all(|index| tallies.contains(&index) || stored[index] == row[index]);
        if !others_same {
            return None;
        }
        let delta = |index: &usize| match (&stored[*index], &row[*index]) {
            (Value::Int(before), Value::Int(after)) => after.checked_sub(*before),
            _ => None,
        };
        self.tallies.iter().zip(&tallies).map(|(name, index)| delta(index).map(|delta| (*name, delta))).collect()
    }
}

/// All rows that the inputs of one batch have asked for, and what the batch would write.
#[derive(Default)]
pub(crate) struct Page {
    cells: HashMap<RowName, Cell>,
    events: Vec<OutboxEvent>,
    /// Rows that some decider of this batch looked at; the others were loaded for an input that left it.
    looked_at: BTreeSet<RowName>,
}

impl Page {
    /// Takes in what a load brought: `rows` of `table`; those of `wanted` that are not among them do not exist.
    pub(crate) fn fill(
        &mut self,
        table: &'static Table,
        tallies: &'static [&'static str],
        wanted: &BTreeSet<Key>,
        rows: Vec<Row>,
    ) -> Result<(), Error> {
        for key in wanted {
            self.cells.insert((table.name, key.clone()), Cell::absent(table, tallies));
        }
        for mut row in rows {
            let version = row.int(row.0.len().saturating_sub(1))?;
            row.0.pop();
            let name = (table.name, row.0[..table.key.len()].to_vec());
            if let Some(cell) = self.cells.get_mut(&name) {
                cell.version = version;
                cell.stored = Some(row.0);
            }
        }
        Ok(())
    }

    /// Every row that was asked for, as something to load again.
    pub(crate) fn names(&self) -> Wanted {
        let mut wanted = Wanted::default();
        for ((name, key), cell) in &self.cells {
            let rows = wanted.0.entry(name).or_insert_with(|| WantedRows {
                table: cell.table,
                tallies: cell.tallies,
                keys: BTreeSet::new(),
            });
            rows.keys.insert(key.clone());
        }
        wanted
    }

    /// The version in the database of a row that was loaded.
    pub(crate) fn version(&self, name: &RowName) -> Option<i64> {
        self.cells.get(name).map(|cell| cell.version)
    }

    /// What the batch writes and expects, in the order of tables and keys; and its events.
    pub(crate) fn writes(&mut self) -> (Vec<Write>, Vec<OutboxEvent>) {
        let writes: Vec<Write> =
            self.looked_at.iter().filter_map(|name| self.cells.get(name).and_then(|cell| cell.write(name))).collect();
        let changes = writes.iter().any(|write| !matches!(write, Write::Expect { .. })) || !self.events.is_empty();
        if !changes {
            return (Vec::new(), Vec::new());
        }
        (writes, std::mem::take(&mut self.events))
    }

    /// The due times of timers that the batch sets.
    pub(crate) fn timers_set(&self) -> impl Iterator<Item = Timestamp> {
        let due_at = Timer::TABLE.index_of("due_at").unwrap_or_default();
        self.cells.iter().filter(|((table, _), _)| *table == Timer::TABLE.name).filter_map(move |(_, cell)| {
            match cell.next.as_ref()?.as_ref()?.get(due_at)? {
                Value::Int(micros) => Some(Timestamp::from_micros(*micros)),
                _ => None,
            }
        })
    }
}

/// Rows that an input needs and that are not loaded: by table, with what its entity says of it.
#[derive(Default)]
pub(crate) struct Wanted(pub(crate) BTreeMap<&'static str, WantedRows>);

/// The rows wanted of one table.
pub(crate) struct WantedRows {
    pub(crate) table: &'static Table,
    pub(crate) tallies: &'static [&'static str],
    pub(crate) keys: BTreeSet<Key>,
}

impl Wanted {
    fn add<E: Entity>(&mut self, key: Key) {
        let rows = self.0.entry(E::TABLE.name).or_insert_with(|| WantedRows {
            table: E::TABLE,
            tallies: E::TALLIES,
            keys: BTreeSet::new(),
        });
        rows.keys.insert(key);
    }

    /// Adds all of `other`.
    pub(crate) fn join(&mut self, other: Self) {
        for (name, rows) in other.0 {
            match self.0.get_mut(name) {
                Some(mine) => mine.keys.extend(rows.keys),
                None => {
                    self.0.insert(name, rows);
                }
            }
        }
    }
}

/// What stays the same however often one input is decided.
pub(crate) struct Given<'a> {
    pub(crate) service: &'static str,
    pub(crate) now: Timestamp,
    pub(crate) draw: Draw,
    pub(crate) trace: &'a TraceContext,
}

/// One input being decided. What it changes stays beside the page until the decider has ended well.
pub struct Work<'a> {
    page: &'a mut Page,
    given: Given<'a>,
    changed: BTreeMap<RowName, Changed>,
    events: Vec<OutboxEvent>,
    looked_at: BTreeSet<RowName>,
    wanted: Wanted,
}

struct Changed {
    row: Option<Vec<Value>>,
    seen: Option<AnyValue>,
}

impl<'a> Work<'a> {
    pub(crate) fn new(page: &'a mut Page, given: Given<'a>) -> Self {
        Self { page, given, changed: BTreeMap::new(), events: Vec::new(), looked_at: BTreeSet::new(), wanted: Wanted::default() }
    }

    /// The service whose executor runs this.
    #[must_use]
    pub fn service(&self) -> &'static str {
        self.given.service
    }

    /// The time of this input, the same however often it is decided.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.given.now
    }

    /// Chance that belongs to this input: the same draws however often it is decided. Not for secrets.
    pub fn draw(&mut self) -> &mut Draw {
        &mut self.given.draw
    }

    /// A new id in `bucket`.
    pub fn new_id(&mut self, bucket: Bucket) -> Id {
        Id::new(self.given.now, bucket, &mut self.given.draw)
    }

    /// The request that this input goes back to.
    #[must_use]
    pub fn trace(&self) -> &TraceContext {
        self.given.trace
    }

    /// The row of `key`, if there is one.
    ///
    /// # Errors
    /// [`Stop::Missing`] if it is not loaded yet, [`Stop::Broken`] if it does not load.
    pub fn find<E: Entity>(&mut self, key: &E::Key) -> Result<Option<Arc<E>>, Stop> {
        let name = (E::TABLE.name, E::key_values(key));
        self.look::<E>(&name)?.ok_or(Stop::Missing)
    }

    /// The rows of `keys`, each if there is one, in their order; all that are not loaded yet are asked for at once.
    ///
    /// # Errors
    /// As [`Work::find`].
    pub fn find_all<E: Entity>(&mut self, keys: &[E::Key]) -> Result<Vec<Option<Arc<E>>>, Stop> {
        let found: Result<Vec<_>, Stop> = keys.iter().map(|key| self.look::<E>(&(E::TABLE.name, E::key_values(key)))).collect();
        found?.into_iter().collect::<Option<Vec<_>>>().ok_or(Stop::Missing)
    }

    /// The row of `key`, which must be there; `what` names it in the refusal.
    ///
    /// # Errors
    /// As [`Work::find`], and [`Stop::Refused`] with `not-found`.
    pub fn load<E: Entity>(&mut self, key: &E::Key, what: &str) -> Result<Arc<E>, Stop> {
        self.find(key)?.ok_or_else(|| Fault::not_found(what).into())
    }

    /// Asks for rows that the decider will need, so that they come in the same round as others.
    pub fn want<E: Entity>(&mut self, key: &E::Key) {
        let name = (E::TABLE.name, E::key_values(key));
        if !self.changed.contains_key(&name) && !self.page.cells.contains_key(&name) {
            self.wanted.add::<E>(name.1);
        }
    }

    /// Says that the row is to be as `entity`, new or changed.
    pub fn save<E: Entity>(&mut self, entity: E) {
        let name = (E::TABLE.name, E::key_values(&entity.key()));
        self.changed.insert(name.clone(), Changed { row: Some(entity.to_row()), seen: Some(Arc::new(entity)) });
        self.touch::<E>(name);
    }

    /// Says that there is to be a new row whose key was made just now: it need not be looked for first.
    ///
    /// # Errors
    /// [`Stop::Broken`] if there is one already.
    pub fn create<E: Entity>(&mut self, entity: E) -> Result<(), Stop> {
        let name = (E::TABLE.name, E::key_values(&entity.key()));
        let taken = self.changed.contains_key(&name) || self.page.cells.get(&name).is_some_and(|cell| cell.current().is_some());
        if taken {
            return Err(Stop::Broken(format!("{} {:?} exists already", name.0, name.1)));
        }
        self.page.cells.entry(name.clone()).or_insert_with(|| Cell::absent(E::TABLE, E::TALLIES));
        self.save(entity);
        Ok(())
    }

    /// Says that the row is to go.
    pub fn remove<E: Entity>(&mut self, key: &E::Key) {
        let name = (E::TABLE.name, E::key_values(key));
        self.changed.insert(name.clone(), Changed { row: None, seen: None });
        self.touch::<E>(name);
    }

    /// Says an event; it is published if and only if the batch is committed.
    ///
    /// # Errors
    /// [`Stop::Broken`] if it cannot be written as JSON.
    pub fn emit<E: Event>(&mut self, event: &E) -> Result<(), Stop> {
        let id = self.new_id(event.place().bucket);
        let envelope = Envelope::seal(event, id, self.given.service, self.given.now, self.given.trace);
        let payload =
            envelope.and_then(|envelope| serde_json::to_string(&envelope)).map_err(|error| Stop::Broken(error.to_string()))?;
        let place = event.place();
        self.events.push(OutboxEvent {
            topic: E::TOPIC,
            partition: place.bucket,
            key: place.key,
            kind: E::KIND.to_owned(),
            payload,
        });
        Ok(())
    }

    /// Sets the timer `kind` of `subject` to `due_at`, instead of any before; it moves with `bucket`.
    ///
    /// # Errors
    /// As [`Work::find`].
    pub fn set_timer(&mut self, kind: &'static str, subject: &str, bucket: Bucket, due_at: Timestamp) -> Result<(), Stop> {
        let timer =
            Timer { service: self.given.service.to_owned(), kind: kind.to_owned(), subject: subject.to_owned(), bucket, due_at };
        self.find::<Timer>(&timer.key())?;
        self.save(timer);
        Ok(())
    }

    /// Takes the timer `kind` of `subject` away, if it is set.
    ///
    /// # Errors
    /// As [`Work::find`].
    pub fn clear_timer(&mut self, kind: &'static str, subject: &str) -> Result<(), Stop> {
        let key = (self.given.service.to_owned(), kind.to_owned(), subject.to_owned());
        if self.find::<Timer>(&key)?.is_some() {
            self.remove::<Timer>(&key);
        }
        Ok(())
    }

    /// Whatever was wanted and is not loaded, once the decider has stopped.
    pub(crate) fn into_wanted(self) -> Wanted {
        self.wanted
    }

    /// The rows that the decider looked at, with their versions in the database.
    pub(crate) fn read(&self) -> Vec<(RowName, i64)> {
        self.looked_at.iter().filter_map(|name| self.page.version(name).map(|version| (name.clone(), version))).collect()
    }

    /// The decider refused: what it looked at must still be so when the refusal is told.
    pub(crate) fn refuse(self) {
        self.page.looked_at.extend(self.looked_at);
    }

    /// The decider ended well: what it changed and said becomes part of the batch.
    pub(crate) fn accept(self) {
        for (name, changed) in self.changed {
            if let Some(cell) = self.page.cells.get_mut(&name) {
                cell.next = Some(changed.row);
                cell.seen = changed.seen;
            }
        }
        self.page.looked_at.extend(self.looked_at);
        self.page.events.extend(self.events);
    }

    /// Whether a row that the decider writes was never loaded; it is wanted then.
    pub(crate) fn lacks(&self) -> bool {
        !self.wanted.0.is_empty()
    }

    fn touch<E: Entity>(&mut self, name: RowName) {
        if !self.page.cells.contains_key(&name) {
            self.wanted.add::<E>(name.1.clone());
        }
        self.looked_at.insert(name);
    }

    /// `None` if the row is not loaded, which is then wanted; `Some(None)` if there is no such row.
    fn look<E: Entity>(&mut self, name: &RowName) -> Result<Option<Option<Arc<E>>>, Stop> {
        if let Some(changed) = self.changed.get(name) {
            return Ok(Some(changed.seen.as_ref().and_then(downcast)));
        }
        let Some(cell) = self.page.cells.get_mut(name) else {
            self.wanted.add::<E>(name.1.clone());
            return Ok(None);
        };
        self.looked_at.insert(name.clone());
        if let Some(found) = cell.seen.as_ref().and_then(downcast) {
            return Ok(Some(Some(found)));
        }
        let Some(row) = cell.current() else { return Ok(Some(None)) };
        let found = Arc::new(E::from_row(&Row(row.clone())).map_err(|error| Stop::Broken(error.to_string()))?);
        cell.seen = Some(found.clone());
        Ok(Some(Some(found)))
    }
}

fn downcast<E: Entity>(seen: &AnyValue) -> Option<Arc<E>> {
    seen.clone().downcast::<E>().ok()
}

/// With the cursor's compare-and-set switched off, a cursor is written whatever it is at: for the test of the tests.
pub(crate) fn sabotaged(writes: Vec<Write>, cursors: &'static str) -> Vec<Write> {
    if !Sabotage::off(Mechanism::Cursor) {
        return writes;
    }
    writes
        .into_iter()
        .filter(|write| !(write.table().name == cursors && matches!(write, Write::Expect { .. })))
        .map(|write| match write {
            Write::Put { table, row, .. } if table.name == cursors => {
                Write::Add { table, key: row[..table.key.len()].to_vec(), deltas: vec![("seq", 0)] }
            }
            other => other,
        })
        .collect()
}
