//! One commit at a time: whatever waits is loaded in rounds, decided in turn, committed as one batch under the head row,
//! and answered. What fails is decided again; nobody is told of something that is not durable.
//! Leaves queueing to `lanes`, what a decider sees to `work`, and the batch's way to disk to `store`.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use kernel::{Fault, FaultKind, Millis, Runtime, Timestamp};
use log::Wakes;
use store::{Batch, Error, Store};

use crate::input::{Answer, Input, Stop};
use crate::lanes::Lanes;
use crate::tables::CURSOR;
use crate::timers::TimerWake;
use crate::watchers::Watchers;
use crate::work::{Given, Page, RowName, Wanted, Work, sabotaged};

/// How often a decider may ask for more rows before it counts as broken.
const ROUNDS_MAX: u32 = 32;
/// From how many strikes on an input is decided alone.
const STRIKES_MAX: u32 = 3;
/// The first and the longest pause before trying again.
const BACKOFF_MS: (Millis, Millis) = (1, 1000);

/// What an executor works with.
pub(crate) struct Executor {
    pub(crate) service: &'static str,
    pub(crate) store: Store,
    pub(crate) runtime: Arc<dyn Runtime>,
    pub(crate) lanes: Arc<Lanes>,
    pub(crate) wakes: Wakes,
    pub(crate) watchers: Arc<Watchers>,
    pub(crate) timer_wake: TimerWake,
    pub(crate) epoch: i64,
    pub(crate) source: String,
}

/// How one attempt at a batch ended.
enum Attempt {
    /// It is durable, or there was nothing to write; everybody was answered.
    Done,
    /// Nothing was written, or it is not known; these inputs are still to be answered. They had these rows before them.
    Failed(Error, Vec<Undecided>, Wanted),
}

/// Whether what a decider changes stays on the page.
#[derive(Clone, Copy)]
enum Keep {
    Nothing,
    Changes,
}

/// How one run of a decider ended.
enum Run {
    /// It needs these rows first.
    Lacks(Wanted),
    /// It came to this, and had read rows at these versions.
    Ended(Result<Answer, Fault>, Vec<(RowName, i64)>),
}

/// An input whose answer waits for the commit, with the versions of what it read.
struct Undecided {
    input: Input,
    outcome: Option<Result<Answer, Fault>>,
    read: Vec<(RowName, i64)>,
}

impl Undecided {
    fn new(input: Input) -> Self {
        Self { input, outcome: None, read: Vec::new() }
    }
}

impl Executor {
    /// Decides until the lanes are closed and empty.
    pub(crate) async fn run(mut self) {
        while let Some(inputs) = self.lanes.next_batch().await {
            self.settle(inputs).await;
        }
    }

    /// Decides `inputs` until each has been answered.
    async fn settle(&mut self, inputs: Vec<Input>) {
        let mut waiting: Vec<Vec<Undecided>> = vec![inputs.into_iter().map(Undecided::new).collect()];
        let mut failures = 0;
        while let Some(batch) = waiting.pop() {
            let batch = self.drop_late(batch);
            if batch.is_empty() {
                continue;
            }
            let (error, failed, rows) = match self.attempt(batch).await {
                Attempt::Done => {
                    failures = 0;
                    continue;
                }
                Attempt::Failed(error, failed, rows) => (error, failed, rows),
            };
            failures += 1;
            tracing::debug!(service = self.service, inputs = failed.len(), failures, %error, "batch failed");
            self.again(&error, failed, rows, &mut waiting).await;
            self.back_off(&error, failures).await;
        }
    }

    /// Puts a failed batch back, in the parts in which it is to be tried again; the part that comes first is last.
    async fn again(&mut self, error: &Error, failed: Vec<Undecided>, rows: Wanted, waiting: &mut Vec<Vec<Undecided>>) {
        match error {
            Error::Expectation { .. } => {
                let (together, alone): (Vec<_>, Vec<_>) =
                    self.strike(failed, rows).await.into_iter().partition(|undecided| undecided.input.strikes < STRIKES_MAX);
                waiting.extend(alone.into_iter().rev().map(|undecided| vec![undecided]));
                waiting.push(together);
            }
            Error::Broken(cause) => waiting.extend(bisect(failed, cause)),
            Error::StaleEpoch { .. } => {
                self.reload_head().await;
                waiting.push(failed);
            }
            Error::UnknownOutcome(_) => {
                let unknown = failed.into_iter().map(|mut undecided| {
                    undecided.input.unknown = true;
                    undecided
                });
                waiting.push(unknown.collect());
            }
            Error::Unavailable(_) => waiting.push(failed),
        }
    }

    /// Charges a strike to each input that had read a row which has changed since.
    async fn strike(&self, mut failed: Vec<Undecided>, rows: Wanted) -> Vec<Undecided> {
        let mut page = Page::default();
        if self.load(&mut page, rows).await.is_ok() {
            for undecided in &mut failed {
                let changed = undecided.read.iter().any(|(name, version)| page.version(name) != Some(*version));
                undecided.input.strikes += u32::from(changed);
            }
        }
        failed
    }

    async fn back_off(&self, error: &Error, failures: u32) {
        // A lost race is tried again almost at once; a database that does not answer is given time.
        let (first, longest) = match error {
            Error::Broken(_) | Error::StaleEpoch { .. } => return,
            Error::Expectation { .. } => (BACKOFF_MS.0, BACKOFF_MS.1 / 20),
            Error::Unavailable(_) | Error::UnknownOutcome(_) => BACKOFF_MS,
        };
        let ceiling = (first << failures.min(16)).min(longest).max(1);
        let pause = self.runtime.draw().below(ceiling.unsigned_abs() + 1);
        self.runtime.sleep(i64::try_from(pause).unwrap_or(longest)).await;
    }

    async fn reload_head(&mut self) {
        if let Ok(head) = self.store.head(self.service, &self.source).await {
            self.epoch = head.epoch;
        }
    }

    /// Answers those whose deadline has passed: their callers have stopped waiting.
    fn drop_late(&self, batch: Vec<Undecided>) -> Vec<Undecided> {
        let now = self.runtime.now();
        let (late, in_time): (Vec<_>, Vec<_>) = batch.into_iter().partition(|undecided| undecided.input.deadline < now);
        for undecided in late {
            let fault = if undecided.input.unknown { outcome_unknown() } else { Fault::unavailable("the deadline passed", 1000) };
            // Nobody may be listening any more.
            let _ = undecided.input.answer.send(Err(fault));
        }
        in_time
    }

    async fn attempt(&mut self, mut batch: Vec<Undecided>) -> Attempt {
        let now = self.runtime.now();
        for undecided in &mut batch {
            undecided.input.now.get_or_insert(now);
        }
        let mut page = Page::default();
        let decided = match self.load_in_rounds(&mut page, &batch).await {
            Ok(()) => self.decide_in_turn(&mut page, &mut batch).await,
            Err(error) => Err(error),
        };
        if let Err(error) = decided {
            return Attempt::Failed(error, batch, page.names());
        }
        let due = page.timers_set().min();
        let (writes, events) = page.writes();
        if writes.is_empty() && events.is_empty() {
            answer(batch);
            return Attempt::Done;
        }
        let changed: Vec<RowName> = writes
            .iter()
            .filter(|write| !matches!(write, store::Write::Expect { .. }))
            .map(|write| (write.table().name, write.key().to_vec()))
            .collect();
        let says = !events.is_empty();
        let writes = sabotaged(writes, CURSOR.name);
        match self.store.commit(Batch { service: self.service, epoch: self.epoch, writes, events }).await {
            Ok(committed) => {
                answer(batch);
                self.tell(&changed, says.then_some(committed.seq), due);
                Attempt::Done
            }
            Err(error) => Attempt::Failed(error, batch, page.names()),
        }
    }

    /// Wakes whoever waits for what was committed.
    fn tell(&self, changed: &[RowName], seq: Option<i64>, due: Option<Timestamp>) {
        if let Some(seq) = seq {
            self.wakes.committed(self.service, seq);
        }
        if let Some(due) = due {
            self.timer_wake.earlier(due);
        }
        self.watchers.changed(changed);
    }

    /// Runs every decider until none lacks a row: an order names its cart, the cart its listings. One query per table and round.
    async fn load_in_rounds(&self, page: &mut Page, batch: &[Undecided]) -> Result<(), Error> {
        let mut lacking: Vec<&Undecided> = batch.iter().collect();
        for _ in 0..ROUNDS_MAX {
            let mut wanted = Wanted::default();
            lacking.retain(|undecided| {
                match self.decide(page, &undecided.input, undecided.input.broken.as_deref(), Keep::Nothing) {
                    Run::Lacks(rows) => {
                        wanted.join(rows);
                        true
                    }
                    Run::Ended(..) => false,
                }
            });
            if lacking.is_empty() {
                return Ok(());
            }
            self.load(page, wanted).await?;
        }
        // Whoever still lacks a row is told so when its turn comes.
        Ok(())
    }

    /// Decides each input on what those before it leave; one that now needs other rows gets them.
    async fn decide_in_turn(&self, page: &mut Page, batch: &mut [Undecided]) -> Result<(), Error> {
        for undecided in batch {
            let mut rounds = 0;
            let (outcome, read) = loop {
                match self.decide(page, &undecided.input, undecided.input.broken.as_deref(), Keep::Changes) {
                    Run::Ended(outcome, read) => break (outcome, read),
                    Run::Lacks(_) if rounds == ROUNDS_MAX => {
                        break (Err(Fault::internal("a decider asked for rows without end")), Vec::new());
                    }
                    Run::Lacks(rows) => self.load(page, rows).await?,
                }
                rounds += 1;
            };
            undecided.outcome = Some(outcome);
            undecided.read = read;
        }
        Ok(())
    }

    /// Runs one decider over `page`, or its parking if it is `broken` for a cause. An event that is refused has nobody
    /// to be refused to, so it is parked like a broken one.
    fn decide(&self, page: &mut Page, input: &Input, broken: Option<&str>, keep: Keep) -> Run {
        let given =
            Given { service: self.service, now: input.now.unwrap_or_default(), draw: input.draw.clone(), trace: &input.trace };
        let mut work = Work::new(page, given);
        let decide = |work: &mut Work<'_>| match (broken, &input.park) {
            (Some(cause), Some(park)) => park(work, cause),
            _ => (input.decide)(work),
        };
        // A panic is a defect of that decider alone: its changes are dropped with `work`, the others go on.
        let decided = catch_unwind(AssertUnwindSafe(|| decide(&mut work)))
            .unwrap_or_else(|panic| Err(Stop::Broken(panic_text(panic.as_ref()))));
        let fault = match decided {
            Err(Stop::Missing) => return Run::Lacks(work.into_wanted()),
            Ok(_) if work.lacks() => return Run::Lacks(work.into_wanted()),
            Ok(answer) => {
                let read = work.read();
                if matches!(keep, Keep::Changes) {
                    work.accept();
                }
                return Run::Ended(Ok(answer), read);
            }
            Err(Stop::Refused(fault)) => fault,
            Err(Stop::Broken(cause)) => Fault::internal(cause),
        };
        if input.park.is_some() && broken.is_none() {
            drop(work);
            return self.decide(page, input, Some(&fault.to_string()), keep);
        }
        let read = work.read();
        if matches!(keep, Keep::Changes) {
            work.refuse();
        }
        Run::Ended(Err(fault), read)
    }

    /// Loads what is wanted, one query per table, all tables at once.
    async fn load(&self, page: &mut Page, wanted: Wanted) -> Result<(), Error> {
        let loads = wanted.0.into_values().map(|rows| async move {
            let found = self.store.load(rows.table, rows.keys.iter().cloned().collect()).await?;
            Ok::<_, Error>((rows, found))
        });
        for (rows, found) in futures_util::future::try_join_all(loads).await? {
            page.fill(rows.table, rows.tallies, &rows.keys, found)?;
        }
        Ok(())
    }
}

/// Halves a batch that holds broken data until the culprit stands alone; that one is parked, or refused to its caller.
fn bisect(mut failed: Vec<Undecided>, cause: &str) -> Vec<Vec<Undecided>> {
    if failed.len() > 1 {
        let second = failed.split_off(failed.len() / 2);
        return vec![second, failed];
    }
    for mut undecided in failed {
        let already = undecided.input.broken.is_some();
        if undecided.input.park.is_some() && !already {
            undecided.input.broken = Some(cause.to_owned());
            return vec![vec![undecided]];
        }
        let _ = undecided.input.answer.send(Err(Fault::internal(cause)));
    }
    Vec::new()
}

fn answer(batch: Vec<Undecided>) {
    for undecided in batch {
        if let Some(outcome) = undecided.outcome {
            // A caller that went away does not matter: a repeat finds the change by its key.
            let _ = undecided.input.answer.send(outcome);
        }
    }
}

fn outcome_unknown() -> Fault {
    let detail = "it may or may not have been done; repeat the request with the same Idempotency-Key to learn which";
    let mut fault = Fault::new(FaultKind::OutcomeUnknown, "outcome-unknown", detail);
    fault.retry_after_ms = Some(1000);
    fault
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned()).or_else(|| panic.downcast_ref::<String>().cloned());
    format!("a decider panicked: {}", text.unwrap_or_default())
}
