//! Listens to Kafka for a service: applies what it hears under cursor and chain, and reads from where the cursors' rows say.
//! What comes out of order is not applied and not lost: the partition's place stays before it, and it is read again once
//! what was missing has come, or from the beginning if it does not. Leaves Kafka to `log` and effects to `subscription`.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::future::join_all;
use kernel::{Fault, Millis, Timestamp, fail_point};
use log::{Admission, End, Heard, Kafka, Listener, LogEvent, Partition, Record};
use tokio::sync::watch;

use crate::handle::{Handle, fault_of};
use crate::lease::Leadership;
use crate::runtime::guarded;
use crate::subscription::{Subscription, Taken};
use crate::tables::PLACES;

/// How often it is looked whether something stands still.
const LOOK_MS: Millis = 250;
/// How often it is asked where the partitions end, and told how far they were read.
const ENDS_EVERY_MS: Millis = 5000;
/// How long an event that is missing may take to come before the partition is read again; twice as long each time.
const HEAL_MS: (Millis, Millis) = (1000, 60_000);
/// From how many readings on that did not bring it an event counts as missing.
const MISSING_AFTER: u32 = 2;
/// The pause after something failed: at first and at most.
const FAILED_PAUSE_MS: (Millis, Millis) = (20, 2000);
/// How often events are tried that cannot be decided at this moment, before they are read again.
const TRIES_MAX: u32 = 8;

/// One member of one of a service's groups.
pub(crate) struct Consumer {
    pub(crate) handle: Handle,
    pub(crate) kafka: Kafka,
    pub(crate) subscriptions: Vec<Arc<Subscription>>,
    pub(crate) taken: Taken,
    /// Until the service stops.
    pub(crate) leadership: Leadership,
    /// Told whether everything that was there has been applied.
    pub(crate) caught_up: watch::Sender<bool>,
}

impl Consumer {
    /// Listens until the service stops; then leaves the group.
    pub(crate) async fn run(self) {
        let mut pause_ms = FAILED_PAUSE_MS.0;
        while self.leadership.held().await.is_some() {
            let Err(fault) = guarded(self.follow(&mut pause_ms)).await else { continue };
            self.caught_up.send_replace(false);
            tracing::warn!(service = self.handle.service, %fault, "listening to Kafka again");
            self.leadership.pause(pause_ms).await;
            pause_ms = (pause_ms * 2).min(FAILED_PAUSE_MS.1);
        }
    }

    /// The topics that are listened to, each with the subscription that it belongs to.
    fn topics(&self) -> HashMap<&'static str, usize> {
        let of_one = |(at, subscription): (usize, &Arc<Subscription>)| {
            let topics = subscription.topics.iter().filter(|(_, taken)| **taken == self.taken);
            topics.map(|(topic, _)| (*topic, at)).collect::<Vec<_>>()
        };
        self.subscriptions.iter().enumerate().flat_map(of_one).collect()
    }

    /// One group for the work of a service, whoever does it; one more for the copies that its database keeps.
    fn group(&self) -> String {
        let service = self.handle.service;
        match self.taken {
            Taken::Work => service.to_owned(),
            Taken::Copy => format!("{service}.copies"),
        }
    }

    /// Listens as one member, until it leaves or is thrown out.
    async fn follow(&self, pause_ms: &mut Millis) -> Result<(), Fault> {
        let topics = self.topics();
        let names: Vec<&str> = topics.keys().copied().collect();
        let listener = self.kafka.listen(&self.group(), &names)?;
        let partitions = HashMap::new();
        Following { consumer: self, topics, listener, partitions, assigned: false, asked_at: None }.run(pause_ms).await
    }
}

/// A partition that is ours.
struct Standing {
    /// Whose it is, by its number among the subscriptions.
    of: usize,
    /// After the last record that was heard.
    next: i64,
    /// Up to where it must be read before the service knows what it should; unknown at first.
    target: Option<i64>,
    /// Where it ended when that was last asked.
    end: i64,
    /// Where Kafka was last told that it was read to.
    noted: i64,
    /// The first record that could not be applied, and so where the place stays.
    held: Option<Held>,
    /// Whether it is about to be read from elsewhere: what still comes from here is not looked at.
    seeking: bool,
}

/// Why a partition's place does not move.
#[derive(Clone, Copy)]
struct Held {
    offset: i64,
    seq: i64,
    /// How often it was read again.
    tries: u32,
    again_at: Timestamp,
    /// Since when the place stays; the event itself may be somewhat older.
    since: Timestamp,
    /// Whether what was missing has come.
    healed: bool,
}

impl Standing {
    /// Of the subscription `of`, to be read from `next` on.
    fn new(of: usize, next: i64) -> Self {
        Self { of, next, target: None, end: 0, noted: 0, held: None, seeking: false }
    }

    /// How many of its records were not applied, as far as it is known where it ends.
    fn unread(&self) -> i64 {
        (self.end - self.held.map_or(self.next, |held| held.offset)).max(0)
    }

    fn is_caught_up(&self) -> bool {
        self.held.is_none() && !self.seeking && self.target.is_some_and(|target| self.next >= target)
    }
}

struct Following<'a> {
    consumer: &'a Consumer,
    topics: HashMap<&'static str, usize>,
    listener: Listener,
    partitions: HashMap<Partition, Standing>,
    /// Whether it has been told which partitions are ours.
    assigned: bool,
    /// When it was last asked where they end.
    asked_at: Option<Timestamp>,
}

impl Following<'_> {
    async fn run(mut self, pause_ms: &mut Millis) -> Result<(), Fault> {
        let leadership = self.consumer.leadership.clone();
        let (mut leaving, mut looked_at) = (false, self.now());
        loop {
            tokio::select! {
                biased;
                () = leadership.stop(), if !leaving => {
                    self.listener.leave();
                    leaving = true;
                }
                heard = self.listener.heard() => match heard {
                    None if leaving => return Ok(()),
                    None => return Err(Fault::unavailable("Kafka has thrown this member out", 1000)),
                    // What it has heard and not applied, whoever has its partitions next hears again.
                    Some(Heard::Records(_)) if leaving => {}
                    Some(heard) => {
                        self.hear(heard).await;
                        *pause_ms = FAILED_PAUSE_MS.0;
                    }
                },
                () = self.consumer.handle.runtime.sleep(LOOK_MS) => {}
            }
            if self.now().since_ms(looked_at) >= LOOK_MS && !leaving {
                looked_at = self.now();
                self.look().await;
            }
            self.tell();
        }
    }

    fn now(&self) -> Timestamp {
        self.consumer.handle.runtime.now()
    }

    async fn hear(&mut self, heard: Heard) {
        match heard {
            Heard::Assigned { partitions, from } => {
                let places = self.places().await;
                let offsets: Vec<i64> = partitions.iter().map(|partition| places.get(partition).copied().unwrap_or(0)).collect();
                for (partition, next) in partitions.into_iter().zip(&offsets) {
                    let of = self.topics.get(partition.0.as_str()).copied();
                    self.partitions.extend(of.map(|of| (partition, Standing::new(of, *next))));
                }
                (self.assigned, self.asked_at) = (true, None);
                // A listener that has ended does not need it.
                let _ = from.send(offsets);
            }
            Heard::Revoked { partitions, done } => {
                for partition in &partitions {
                    self.partitions.remove(partition);
                }
                drop(done);
            }
            Heard::Records(records) => self.take(records).await,
            Heard::Sought(partitions, sought) => {
                if let Err(fault) = &sought {
                    tracing::debug!(service = self.consumer.handle.service, %fault, "not read again yet");
                }
                self.sought(partitions, sought.is_ok());
            }
            Heard::Ends(ends) => match ends {
                Ok(ends) => self.learn(ends),
                Err(fault) => tracing::debug!(service = self.consumer.handle.service, %fault, "ends not learned"),
            },
        }
    }

    /// From where each partition is to be read; asked until the database answers, since it may not be guessed.
    async fn places(&self) -> HashMap<Partition, i64> {
        let (handle, mut pause_ms) = (&self.consumer.handle, FAILED_PAUSE_MS.0);
        loop {
            match places(handle).await {
                Ok(places) => return places,
                Err(fault) => tracing::warn!(service = handle.service, %fault, "places not read"),
            }
            self.consumer.leadership.pause(pause_ms).await;
            pause_ms = (pause_ms * 2).min(FAILED_PAUSE_MS.1);
            if !self.consumer.leadership.is_held() {
                return HashMap::new();
            }
        }
    }

    /// Applies records, those of all subscriptions at once, and notes which partitions cannot move on.
    async fn take(&mut self, records: Vec<Record>) {
        let mut batches: Vec<Vec<(LogEvent, i64)>> = vec![Vec::new(); self.consumer.subscriptions.len()];
        let mut taken: Vec<Vec<(Partition, i64, i64)>> = vec![Vec::new(); batches.len()];
        // A place is where the batch begins, or before what is held: nothing before it is missing, whatever becomes of these.
        let mut places: HashMap<Partition, i64> = HashMap::new();
        for Record { event, offset } in records {
            let partition = (event.topic.clone(), event.partition);
            let Some(standing) = self.partitions.get_mut(&partition).filter(|standing| !standing.seeking) else { continue };
            standing.next = offset + 1;
            let begins = || standing.held.map_or(offset, |held| held.offset.min(offset));
            let place = *places.entry(partition.clone()).or_insert_with(begins);
            taken[standing.of].push((partition, offset, event.seq));
            batches[standing.of].push((event, place));
        }
        fail_point("engine.consumer-before-apply");
        let applying = batches.into_iter().enumerate().map(|(at, batch)| self.apply(at, batch));
        let applied = join_all(applying).await;
        fail_point("engine.consumer-after-apply");
        for (admissions, taken) in applied.into_iter().zip(taken) {
            for (index, (partition, offset, seq)) in taken.into_iter().enumerate() {
                // Those that could not be decided are read again like those that came too early.
                let admission = admissions.as_ref().map_or(Admission::Gap, |admissions| admissions[index]);
                self.note(&partition, offset, seq, admission);
            }
        }
    }

    /// What the cursors said to a batch of one subscription; nothing if it cannot be decided for now.
    async fn apply(&self, at: usize, batch: Vec<(LogEvent, i64)>) -> Option<Vec<Admission>> {
        let (subscription, handle) = (&self.consumer.subscriptions[at], &self.consumer.handle);
        let Some((oldest, _)) = batch.first() else { return Some(Vec::new()) };
        subscription.lag(self.consumer.taken).stands(oldest.said_at());
        let mut pause_ms = FAILED_PAUSE_MS.0;
        for _ in 0..TRIES_MAX {
            if subscription.breaker.stopped().is_some() {
                return None;
            }
            match handle.apply_at(subscription, batch.clone()).await {
                Ok(admissions) => return Some(admissions),
                Err(fault) => tracing::warn!(service = handle.service, log = subscription.to, %fault, "not applied yet"),
            }
            if !self.consumer.leadership.is_held() {
                break;
            }
            self.consumer.leadership.pause(pause_ms).await;
            pause_ms = (pause_ms * 2).min(FAILED_PAUSE_MS.1);
        }
        if let Some(why) = subscription.breaker.stopped() {
            tracing::error!(service = handle.service, log = subscription.to, why, "a subscription has stopped");
        }
        None
    }

    /// Notes what a cursor said: a partition is held from the first record on that came too early, until that has been applied.
    fn note(&mut self, partition: &Partition, offset: i64, seq: i64, admission: Admission) {
        let since = self.now();
        let again_at = since.plus_ms(HEAL_MS.0);
        let Some(standing) = self.partitions.get_mut(partition) else { return };
        match (admission, &mut standing.held) {
            (Admission::Gap, None) => standing.held = Some(Held { offset, seq, tries: 0, again_at, since, healed: false }),
            (Admission::Gap | Admission::Seen, _) | (Admission::Next, None) => {}
            // What was missing is there: those that came too early are read once more.
            (Admission::Next, Some(held)) => held.healed = true,
        }
    }

    /// Reads again what is held, and asks where the partitions end.
    async fn look(&mut self) {
        let now = self.now();
        if self.asked_at.is_none_or(|at| now.since_ms(at) >= ENDS_EVERY_MS) && !self.partitions.is_empty() {
            self.asked_at = Some(now);
            self.listener.ask_ends();
            let moved = self.moved();
            if !moved.is_empty() {
                self.listener.note(moved);
            }
        }
        let due = self.due(now);
        if due.is_empty() {
            return;
        }
        let places = match places(&self.consumer.handle).await {
            Ok(places) => places,
            Err(fault) => return tracing::debug!(service = self.consumer.handle.service, %fault, "places not read"),
        };
        let mut seeks = Vec::with_capacity(due.len());
        for partition in due {
            let place = places.get(&partition).copied().unwrap_or(0);
            let Some(standing) = self.partitions.get_mut(&partition) else { continue };
            let Some(held) = &mut standing.held else { continue };
            let from = match (held.healed, held.tries) {
                (true, _) => held.offset,
                (false, 0) => place.min(held.offset),
                // The place itself may be wrong, if Kafka has lost its partition and filled it again.
                (false, _) => 0,
            };
            held.tries += 1;
            if !held.healed && held.tries > MISSING_AFTER {
                let (service, topic, partition, seq) = (self.consumer.handle.service, &partition.0, partition.1.0, held.seq);
                tracing::error!(service, topic, partition, seq, "an event before this one is missing: `swiftcart log republish`");
            }
            held.again_at = now.plus_ms((HEAL_MS.0 << held.tries.min(16)).min(HEAL_MS.1));
            standing.seeking = true;
            seeks.push((partition, from));
        }
        self.listener.seek(seeks);
    }

    /// The partitions that are to be read again: not those of a subscription that has stopped, which wait until it goes on.
    fn due(&self, now: Timestamp) -> Vec<Partition> {
        let stopped = |of: usize| self.consumer.subscriptions[of].breaker.stopped().is_some();
        let is_due = |standing: &Standing| standing.held.is_some_and(|held| held.healed || held.again_at <= now);
        let due = self.partitions.iter().filter(|(_, standing)| is_due(standing) && !standing.seeking && !stopped(standing.of));
        due.map(|(partition, _)| partition.clone()).collect()
    }

    /// How far partitions were read in which something was read since Kafka was last told.
    fn moved(&mut self) -> Vec<(Partition, i64)> {
        let mut moved = Vec::new();
        for (partition, standing) in &mut self.partitions {
            if standing.held.is_none() && standing.next > standing.noted {
                standing.noted = standing.next;
                moved.push((partition.clone(), standing.next));
            }
        }
        moved
    }

    /// From now on these are read from elsewhere; what is held is held anew if it still cannot be applied.
    fn sought(&mut self, partitions: Vec<Partition>, done: bool) {
        for partition in partitions {
            if let Some(standing) = self.partitions.get_mut(&partition) {
                standing.seeking = false;
                if standing.held.is_some_and(|held| held.healed) && done {
                    standing.held = None;
                }
            }
        }
    }

    fn learn(&mut self, ends: Vec<End>) {
        for End { partition, start, end } in ends {
            if let Some(standing) = self.partitions.get_mut(&partition) {
                standing.next = standing.next.max(start);
                standing.end = end;
                standing.target.get_or_insert(end);
            }
        }
    }

    /// Tells whether everything that was there has been applied, and how much of each subscription has not.
    fn tell(&self) {
        let caught_up = self.assigned && self.partitions.values().all(Standing::is_caught_up);
        self.consumer.caught_up.send_if_modified(|before| std::mem::replace(before, caught_up) != caught_up);
        let mut left = vec![(0, None::<Timestamp>); self.consumer.subscriptions.len()];
        for standing in self.partitions.values() {
            let (unread, since) = &mut left[standing.of];
            *unread += standing.unread();
            *since = [*since, standing.held.map(|held| held.since)].into_iter().flatten().min();
        }
        for (subscription, (unread, since)) in self.consumer.subscriptions.iter().zip(left) {
            let lag = subscription.lag(self.consumer.taken);
            lag.counts(unread);
            lag.stands(since);
        }
    }
}

/// Where each partition is to be read from.
async fn places(handle: &Handle) -> Result<HashMap<Partition, i64>, Fault> {
    let rows = handle.read(&PLACES, vec![handle.service.into()]).await?;
    let place = |row: &store::Row| {
        let partition = u16::try_from(row.int(1)?).unwrap_or_default();
        Ok(((row.text(0)?.to_owned(), kernel::Bucket(partition)), row.int(2)?))
    };
    rows.iter().map(place).collect::<Result<_, store::Error>>().map_err(fault_of)
}
