//! What a decider sees: rows by key, time, chance, and a place for what it changes and says.
//! A row that is not at hand stops the decider; the executor loads it and runs the decider again, which is why
//! deciders are pure. Leaves loading, committing and everything that takes time to the executor.

use std::any::Any;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use contracts::{Envelope, Event};
use kernel::{Bucket, Draw, Fault, Id, Timestamp, TraceContext};
use store::{Error, Key, Mechanism, OutboxEvent, Row, Sabotage, Table, Value, Write};

use crate::Entity;
use crate::input::Stop;
use crate::tables::{CURSOR, Timer};

/// Which row: its table's name and its key.
pub(crate) type RowName = (&'static str, Key);

/// What an entity says of its table.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) table: &'static Table,
    tallies: &'static [&'static str],
}

impl Shape {
    fn of<E: Entity>() -> Self {
        Self { table: E::TABLE, tallies: E::TALLIES }
    }
}

/// Rows that are to be loaded.
pub(crate) type Wanted = BTreeMap<RowName, Shape>;

type AnyValue = Arc<dyn Any + Send + Sync>;

/// A row as it is in the database and as this batch would leave it.
struct Cell {
    shape: Shape,
    /// The version in the database; 0 says that there is no such row.
    version: i64,
    stored: Option<Vec<Value>>,
    /// The row that this batch would leave, if it changes it.
    next: Option<Option<Vec<Value>>>,
    /// The typed form of what a decider would see now, once somebody asked.
    seen: Option<AnyValue>,
    /// Whether a decision of this batch rests on it; other rows were loaded in vain.
    looked_at: bool,
}

impl Cell {
    fn absent(shape: Shape) -> Self {
        Self { shape, version: 0, stored: None, next: None, seen: None, looked_at: false }
    }

    fn current(&self) -> Option<&Vec<Value>> {
        self.next.as_ref().unwrap_or(&self.stored).as_ref()
    }

    /// The write, or the expectation, that this row needs.
    fn write(&self, key: &Key) -> Write {
        let (table, key, version) = (self.shape.table, key.clone(), self.version);
        match (&self.stored, &self.next) {
            (Some(_), Some(None)) => Write::Delete { table, key, version },
            (None, Some(Some(row))) => Write::Insert { table, row: row.clone() },
            (Some(stored), Some(Some(row))) if stored != row => match self.deltas(stored, row) {
                Some(deltas) => Write::Add { table, key, deltas },
                None => Write::Put { table, row: row.clone(), version },
            },
            _ => Write::Expect { table, key, version },
        }
    }

    /// The differences, if only tally columns differ.
    fn deltas(&self, stored: &[Value], row: &[Value]) -> Option<Vec<(&'static str, i64)>> {
        // For the test of the tests: a cursor that is added to moves whatever it is at.
        let tallies = if unfenced(self.shape.table) { &["seq"] } else { self.shape.tallies };
        let index_of = |name: &&str| self.shape.table.index_of(name);
        let indexes: Vec<usize> = tallies.iter().filter_map(index_of).collect();
        let others_same = (0..row.len()).all(|index| indexes.contains(&index) || stored[index] == row[index]);
        if tallies.is_empty() || !others_same {
            return None;
        }
        let delta = |index: &usize| match (&stored[*index], &row[*index]) {
            (Value::Int(before), Value::Int(after)) => after.checked_sub(*before),
            _ => None,
        };
        tallies.iter().zip(&indexes).map(|(name, index)| delta(index).map(|delta| (*name, delta))).collect()
    }
}

fn unfenced(table: &Table) -> bool {
    Sabotage::off(Mechanism::Cursor) && table.name == CURSOR.name
}

/// All rows that the inputs of one batch have asked for, and what the batch would write.
#[derive(Default)]
pub(crate) struct Page {
    cells: HashMap<RowName, Cell>,
    events: Vec<OutboxEvent>,
}

impl Page {
    /// Takes in what a load brought: those of `wanted`, all of one table, that are not among `rows` do not exist.
    pub(crate) fn fill(&mut self, wanted: &[(RowName, Shape)], rows: Vec<Row>) -> Result<(), Error> {
        for (name, shape) in wanted {
            self.cells.insert(name.clone(), Cell::absent(*shape));
        }
        let Some(((_, _), Shape { table, .. })) = wanted.first() else { return Ok(()) };
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

    /// Every row that was asked for, to be loaded again.
    pub(crate) fn wanted_again(&self) -> Wanted {
        self.cells.iter().map(|(name, cell)| (name.clone(), cell.shape)).collect()
    }

    /// The version in the database of a row that was loaded.
    pub(crate) fn version(&self, name: &RowName) -> Option<i64> {
        self.cells.get(name).map(|cell| cell.version)
    }

    /// What the batch writes and expects, in the order of tables and keys; and its events.
    pub(crate) fn writes(&mut self) -> (Vec<Write>, Vec<OutboxEvent>) {
        let looked_at = self.cells.iter().filter(|(_, cell)| cell.looked_at);
        let mut cells: Vec<(&RowName, &Cell)> = looked_at.collect();
        cells.sort_unstable_by_key(|(name, _)| *name);
        let writes = cells.into_iter().map(|((_, key), cell)| cell.write(key));
        let fenced = |write: &Write| !(matches!(write, Write::Expect { .. }) && unfenced(write.table()));
        (writes.filter(fenced).collect(), std::mem::take(&mut self.events))
    }

    /// The rows that the batch changes.
    pub(crate) fn changed(&self) -> impl Iterator<Item = &RowName> {
        self.cells.iter().filter(|(_, cell)| cell.next.is_some()).map(|(name, _)| name)
    }
}

/// What stays the same however often one input is decided.
pub(crate) struct Given<'a> {
    pub(crate) service: &'static str,
    pub(crate) now: Timestamp,
    pub(crate) draw: Draw,
    pub(crate) trace: &'a TraceContext,
    /// Whether this run only finds out which rows are needed: it comes before its turn and nothing of it stays.
    pub(crate) rehearsal: bool,
}

/// One input being decided. What it changes stays beside the page until the decider has ended well.
pub struct Work<'a> {
    page: &'a mut Page,
    given: Given<'a>,
    changed: HashMap<RowName, Changed>,
    events: Vec<OutboxEvent>,
    looked_at: Vec<RowName>,
    wanted: Wanted,
}

struct Changed {
    row: Option<Vec<Value>>,
    seen: Option<AnyValue>,
}

impl<'a> Work<'a> {
    pub(crate) fn new(page: &'a mut Page, given: Given<'a>) -> Self {
        let (changed, wanted) = (HashMap::new(), Wanted::new());
        Self { page, given, changed, events: Vec::new(), looked_at: Vec::new(), wanted }
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

    /// Whether this run only finds out which rows are needed.
    pub(crate) fn rehearses(&self) -> bool {
        self.given.rehearsal
    }

    /// The row of `key`, if there is one.
    ///
    /// # Errors
    /// [`Stop::Missing`] if it is not loaded yet, [`Stop::Broken`] if it does not load.
    pub fn find<E: Entity>(&mut self, key: &E::Key) -> Result<Option<Arc<E>>, Stop> {
        self.look::<E>(key)?.ok_or(Stop::Missing)
    }

    /// The rows of `keys`, each if there is one, in their order; all that are not loaded yet are asked for at once.
    ///
    /// # Errors
    /// As [`Work::find`].
    pub fn find_all<E: Entity>(&mut self, keys: &[E::Key]) -> Result<Vec<Option<Arc<E>>>, Stop> {
        let found: Result<Vec<_>, Stop> = keys.iter().map(|key| self.look::<E>(key)).collect();
        found?.into_iter().collect::<Option<Vec<_>>>().ok_or(Stop::Missing)
    }

    /// The row of `key`, which must be there; `what` names it in the refusal.
    ///
    /// # Errors
    /// As [`Work::find`], and [`Stop::Refused`] with `not-found`.
    pub fn load<E: Entity>(&mut self, key: &E::Key, what: &str) -> Result<Arc<E>, Stop> {
        self.find(key)?.ok_or_else(|| Fault::not_found(what).into())
    }

    /// Asks for a row that the decider will need, so that it comes in the same round as others.
    pub fn want<E: Entity>(&mut self, key: &E::Key) {
        let name = (E::TABLE.name, E::key_values(key));
        if !self.page.cells.contains_key(&name) {
            self.wanted.insert(name, Shape::of::<E>());
        }
    }

    /// Says that the row is to be as `entity`, new or changed.
    pub fn save<E: Entity>(&mut self, entity: E) {
        let key = entity.key();
        self.change::<E>(&key, Changed { row: Some(entity.to_row()), seen: Some(Arc::new(entity)) });
    }

    /// Says that there is to be a new row whose key was made just now: it need not be looked for first.
    ///
    /// # Errors
    /// [`Stop::Broken`] if there is one already.
    pub fn create<E: Entity>(&mut self, entity: E) -> Result<(), Stop> {
        let name = (E::TABLE.name, E::key_values(&entity.key()));
        let cell = self.page.cells.entry(name.clone()).or_insert_with(|| Cell::absent(Shape::of::<E>()));
        if self.changed.contains_key(&name) || cell.current().is_some() {
            let exists = Stop::Broken(format!("{} {:?} exists already", name.0, name.1));
            self.looked_at.push(name);
            return Err(exists);
        }
        self.save(entity);
        Ok(())
    }

    /// Says that the row is to go.
    pub fn remove<E: Entity>(&mut self, key: &E::Key) {
        self.change::<E>(key, Changed { row: None, seen: None });
    }

    /// Says an event; it is published if and only if the batch is committed.
    ///
    /// # Errors
    /// [`Stop::Broken`] if it cannot be written as JSON.
    pub fn emit<E: Event>(&mut self, event: &E) -> Result<(), Stop> {
        let place = event.place();
        let id = self.new_id(place.bucket);
        let envelope = Envelope::seal(event, id, self.given.service, self.given.now, self.given.trace);
        let payload =
            envelope.and_then(|envelope| serde_json::to_string(&envelope)).map_err(|error| Stop::Broken(error.to_string()))?;
        let (topic, kind) = (E::TOPIC, E::KIND.to_owned());
        self.events.push(OutboxEvent { topic, partition: place.bucket, key: place.key, kind, payload });
        Ok(())
    }

    /// Sets the timer `kind` of `subject` to `due_at`, instead of any before; it moves with `bucket`.
    ///
    /// # Errors
    /// None at present.
    pub fn set_timer(&mut self, kind: &'static str, subject: &str, bucket: Bucket, due_at: Timestamp) -> Result<(), Stop> {
        let service = self.given.service.to_owned();
        self.save(Timer { service, kind: kind.to_owned(), subject: subject.to_owned(), bucket, due_at });
        Ok(())
    }

    /// Takes the timer `kind` of `subject` away, if it is set.
    ///
    /// # Errors
    /// None at present.
    pub fn clear_timer(&mut self, kind: &'static str, subject: &str) -> Result<(), Stop> {
        self.remove::<Timer>(&(self.given.service.to_owned(), kind.to_owned(), subject.to_owned()));
        Ok(())
    }

    /// The rows that are not loaded yet, which the run has asked for or changed.
    pub(crate) fn wanted(&mut self) -> Wanted {
        std::mem::take(&mut self.wanted)
    }

    /// Ends a run that counts and tells which rows it rests on; what it changed and said is dropped if it refused.
    pub(crate) fn end(mut self, refused: bool) -> Vec<RowName> {
        if !refused {
            for (name, changed) in self.changed {
                let cell = self.page.cells.get_mut(&name).expect("a run that lacks a row does not count");
                cell.next = Some(changed.row);
                cell.seen = changed.seen;
                self.looked_at.push(name);
            }
            self.page.events.extend(self.events);
        }
        for name in &self.looked_at {
            if let Some(cell) = self.page.cells.get_mut(name) {
                cell.looked_at = true;
            }
        }
        self.looked_at
    }

    fn change<E: Entity>(&mut self, key: &E::Key, changed: Changed) {
        self.want::<E>(key);
        self.changed.insert((E::TABLE.name, E::key_values(key)), changed);
    }

    /// `None` if the row is not loaded, which is then wanted; `Some(None)` if there is no such row.
    fn look<E: Entity>(&mut self, key: &E::Key) -> Result<Option<Option<Arc<E>>>, Stop> {
        let name = (E::TABLE.name, E::key_values(key));
        if let Some(changed) = self.changed.get(&name) {
            return Ok(Some(changed.seen.as_ref().and_then(downcast)));
        }
        let Some(cell) = self.page.cells.get_mut(&name) else {
            self.wanted.insert(name, Shape::of::<E>());
            return Ok(None);
        };
        self.looked_at.push(name);
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
