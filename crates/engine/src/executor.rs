//! One commit at a time: whatever waits is loaded in rounds, decided in turn, committed as one batch under the head row,
//! and answered. What fails is decided again; nobody is told of something that is not durable.
//! Leaves queueing to `lanes`, what a decider sees to `work`, and the batch's way to disk to `store`.

use std::panic::{AssertUnwindSafe, catch_unwind};

use futures_util::future::try_join_all;
use kernel::{Fault, Millis, fail_point};
use log::Wakes;
use store::{Batch, Error, Write};

use crate::handle::Handle;
use crate::input::{Input, Stop, outcome_unknown};
use crate::meters::Load;
use crate::runtime::panic_text;
use crate::work::{Given, Page, RowName, Shape, Wanted, Work};

/// How often a decider may ask for more rows before it counts as broken.
const ROUNDS_MAX: u32 = 32;
/// From how many strikes on an input is decided alone.
const STRIKES_MAX: u32 = 3;
/// The first and the longest pause before trying again.
const BACKOFF_MS: (Millis, Millis) = (1, 1000);

/// What an executor works with.
pub(crate) struct Executor {
    pub(crate) handle: Handle,
    pub(crate) wakes: Wakes,
    pub(crate) epoch: i64,
    pub(crate) source: String,
}

/// Which run of a decider.
#[derive(Clone, Copy, PartialEq)]
enum Run {
    /// It only tells which rows are needed: nothing of it stays.
    Rehearsal,
    /// What it comes to holds, unless it lacks rows.
    Turn,
    /// It must not lack any more.
    LastTurn,
}

impl Drop for Executor {
    /// However it ends, nobody is left waiting for it.
    fn drop(&mut self) {
        self.handle.lanes.abandon();
    }
}

impl Executor {
    /// Decides until the lanes are closed and empty.
    pub(crate) async fn run(mut self) {
        while let Some(inputs) = self.handle.lanes.next_batch().await {
            self.handle.meters.taken_up(&inputs, self.handle.runtime.now());
            self.settle(inputs).await;
        }
    }

    /// Decides `inputs` until each has been answered. They keep their order, also in the parts that a failure makes of them.
    async fn settle(&mut self, inputs: Vec<Input>) {
        let (mut parts, mut page, mut failures) = (vec![inputs], Page::default(), 0);
        while let Some(part) = parts.pop() {
            let mut part = self.drop_late(part);
            let Err(error) = self.attempt(&mut page, &mut part).await else {
                part.into_iter().for_each(|input| input.decider.answer(input.outcome));
                (page, failures) = (Page::default(), 0);
                continue;
            };
            failures += 1;
            self.handle.meters.failed(&error);
            tracing::debug!(service = self.handle.service, inputs = part.len(), failures, %error, "batch failed");
            self.back_off(&error, failures).await;
            let before = std::mem::take(&mut page);
            let again = match &error {
                Error::Expectation { .. } => match self.load_again(&before).await {
                    Ok(now) => {
                        let struck = strike(&mut part, &before, &now);
                        page = now;
                        // If nothing changed that anybody looked at, it fails again and again: another unique key is taken.
                        if struck || failures < STRIKES_MAX { set_apart(part) } else { bisect(part, &error) }
                    }
                    Err(_) => vec![part],
                },
                Error::Broken(_) => bisect(part, &error),
                Error::StaleEpoch { .. } => {
                    if let Ok(head) = self.handle.store.head(self.handle.service, &self.source).await {
                        self.epoch = head.epoch;
                    }
                    vec![part]
                }
                Error::UnknownOutcome(_) => {
                    part.iter_mut().for_each(|input| input.unknown = true);
                    vec![part]
                }
                Error::Unavailable(_) => vec![part],
            };
            parts.extend(again.into_iter().rev());
        }
    }

    async fn back_off(&self, error: &Error, failures: u32) {
        // A lost race is run again at once, then almost at once; a database that does not answer is given time.
        let (first, longest) = match error {
            Error::Broken(_) => return,
            Error::Expectation { .. } if failures == 1 => return,
            Error::Expectation { .. } => (BACKOFF_MS.0, BACKOFF_MS.1 / 20),
            Error::StaleEpoch { .. } | Error::Unavailable(_) | Error::UnknownOutcome(_) => BACKOFF_MS,
        };
        let ceiling = (first << failures.min(16)).min(longest);
        let pause = self.handle.runtime.draw().below(ceiling.unsigned_abs() + 1);
        self.handle.runtime.sleep(i64::try_from(pause).unwrap_or(longest)).await;
    }

    /// The rows of `page` as they are now.
    async fn load_again(&self, page: &Page) -> Result<Page, Error> {
        let mut now = Page::default();
        self.load(&mut now, page.wanted_again()).await.map(|()| now)
    }

    /// Answers those whose deadline has passed: their callers have stopped waiting.
    fn drop_late(&self, part: Vec<Input>) -> Vec<Input> {
        let now = self.handle.runtime.now();
        let (late, in_time): (Vec<_>, Vec<_>) = part.into_iter().partition(|input| input.deadline < now);
        for input in late {
            let fault = if input.unknown { outcome_unknown() } else { Fault::unavailable("the deadline passed", 1000) };
            input.decider.answer(Err(fault));
        }
        in_time
    }

    /// Decides all inputs of `part` and commits what they come to, or fails and leaves nothing.
    async fn attempt(&mut self, page: &mut Page, part: &mut [Input]) -> Result<(), Error> {
        let now = self.handle.runtime.now();
        part.iter_mut().for_each(|input| _ = input.now.get_or_insert(now));
        self.load_in_rounds(page, part).await?;
        self.decide_in_turn(page, part).await?;
        let (writes, events) = page.writes();
        let rows = writes.iter().filter(|write| !matches!(write, Write::Expect { .. })).count();
        let load = Load { inputs: part.len(), rows, events: events.len() };
        let changes = load.rows > 0 || load.events > 0;
        // Rows that were loaded one after the other, beside other processes, may never have stood so together: before
        // anybody is refused, that is checked too.
        let refuses = self.handle.store.shared() && part.iter().any(|input| input.outcome.is_err());
        if !changes && !refuses {
            return Ok(());
        }
        let batch = Batch { service: self.handle.service, epoch: self.epoch, writes, events };
        fail_point("engine.before-commit");
        let begun = self.handle.runtime.now();
        let committed = self.handle.store.commit(batch).await?;
        self.handle.meters.committed(load, begun, self.handle.runtime.now());
        fail_point("engine.after-commit");
        if load.events > 0 {
            self.wakes.committed(self.handle.service, committed.seq);
        }
        if changes {
            self.handle.watchers.changed(page.changed());
        }
        Ok(())
    }

    /// Lets every decider say which rows it needs, until none lacks any: an order names its cart, the cart its listings.
    /// One query per table and round.
    async fn load_in_rounds(&self, page: &mut Page, part: &mut [Input]) -> Result<(), Error> {
        let mut lacking: Vec<&mut Input> = part.iter_mut().collect();
        for _ in 0..ROUNDS_MAX {
            let mut wanted = Wanted::new();
            lacking.retain_mut(|input| {
                let mut lacks = self.decide(page, input, Run::Rehearsal);
                let any = !lacks.is_empty();
                wanted.append(&mut lacks);
                any
            });
            if lacking.is_empty() {
                break;
            }
            self.load(page, wanted).await?;
        }
        Ok(())
    }

    /// Decides each input on what those before it leave; one that now needs other rows gets them.
    async fn decide_in_turn(&self, page: &mut Page, part: &mut [Input]) -> Result<(), Error> {
        for input in part {
            for round in 0..=ROUNDS_MAX {
                let lacks = self.decide(page, input, if round < ROUNDS_MAX { Run::Turn } else { Run::LastTurn });
                if lacks.is_empty() {
                    break;
                }
                self.load(page, lacks).await?;
            }
        }
        Ok(())
    }

    /// Runs one decider over `page` and hands back the rows that it lacks; if it lacks none, its outcome stands in `input`.
    fn decide(&self, page: &mut Page, input: &mut Input, run: Run) -> Wanted {
        let _within = input.span.clone().entered();
        let (mut broken, mut looked_at) = (input.broken.clone(), Vec::new());
        loop {
            let given = Given {
                service: self.handle.service,
                now: input.now.unwrap_or_default(),
                draw: input.draw.clone(),
                trace: &input.trace,
                rehearsal: run == Run::Rehearsal,
            };
            let mut work = Work::new(page, given);
            let decided = catch_unwind(AssertUnwindSafe(|| input.decider.decide(&mut work, broken.as_deref())));
            let wanted = work.wanted();
            if !wanted.is_empty() && run != Run::LastTurn {
                return wanted;
            }
            // A panic is a defect of that decider alone: the others go on.
            let outcome = match decided.unwrap_or_else(|panic| Err(Stop::Broken(panic_text(&*panic)))) {
                Ok(()) if wanted.is_empty() => Ok(()),
                Err(Stop::Refused(fault)) => Err(fault),
                Err(Stop::Broken(cause)) => Err(Fault::internal(cause)),
                Ok(()) | Err(Stop::Missing) => Err(Fault::internal("a decider asks for rows without end")),
            };
            if run != Run::Rehearsal {
                looked_at.extend(work.end(outcome.is_err()));
            }
            match outcome {
                // That it is put aside rests on what it looked at until then, too.
                Err(fault) if input.puts_aside && broken.is_none() => broken = Some(fault.to_string()),
                outcome => {
                    (input.outcome, input.looked_at) = (outcome, looked_at);
                    return Wanted::new();
                }
            }
        }
    }

    /// Loads what is wanted, one query per table, all tables at once.
    async fn load(&self, page: &mut Page, wanted: Wanted) -> Result<(), Error> {
        let wanted: Vec<(RowName, Shape)> = wanted.into_iter().collect();
        let loads = wanted.chunk_by(|((one, _), _), ((next, _), _)| one == next).map(|rows| async move {
            let keys = rows.iter().map(|((_, key), _)| key.clone()).collect();
            Ok::<_, Error>((rows, self.handle.store.load(rows[0].1.table, keys).await?))
        });
        try_join_all(loads).await?.into_iter().try_for_each(|(rows, found)| page.fill(rows, found))
    }
}

/// Charges a strike to each input that had looked at a row which has changed since, and tells whether there is any.
fn strike(part: &mut [Input], before: &Page, now: &Page) -> bool {
    let mut any = false;
    for input in part {
        let changed = input.looked_at.iter().any(|name| before.version(name) != now.version(name));
        input.strikes += u32::from(changed);
        any |= changed;
    }
    any
}

/// Lets each input that was struck too often run alone, so that it makes none but itself fail.
fn set_apart(part: Vec<Input>) -> Vec<Vec<Input>> {
    let mut parts: Vec<Vec<Input>> = Vec::new();
    let mut joins = false;
    for input in part {
        let alone = input.strikes >= STRIKES_MAX;
        match parts.last_mut() {
            Some(last) if joins && !alone => last.push(input),
            _ => parts.push(vec![input]),
        }
        joins = !alone;
    }
    parts
}

/// Halves a part that holds broken data until the culprit stands alone; that one is put aside, or refused to its caller.
fn bisect(mut part: Vec<Input>, error: &Error) -> Vec<Vec<Input>> {
    if part.len() > 1 {
        let second = part.split_off(part.len() / 2);
        return vec![part, second];
    }
    let Some(mut input) = part.pop() else { return Vec::new() };
    if input.puts_aside && input.broken.is_none() {
        input.broken = Some(error.to_string());
        return vec![vec![input]];
    }
    input.decider.answer(Err(Fault::internal(error.to_string())));
    Vec::new()
}
