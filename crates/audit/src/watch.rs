//! The audit as a watch: one page at a time, with a rest after each, for as long as it is called. What holds at every instant
//! is looked through again and again, recent orders first; everything, with the provider's books, in a sweep now and then.
//! What is broken is looked at once more, after everybody has heard what had been said before; only then it counts.
//! Leaves who calls it, and how often, to the composition, and showing what was seen to `status`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

use contracts::audit::Breach;
use futures_util::lock::Mutex;
use kernel::{Millis, Runtime, Timestamp};
use web::Peer;

use crate::config::Config;
use crate::facts::{self, BREACHES, RECONCILE};
use crate::judge::{Terms, judge};
use crate::pending::{self, Pending};
use crate::reader::{AuditError, Page, Reader, Token};
use crate::status::{Glance, Open, Status, Sweep};

/// How many breaches and suspicions are followed at most; a shop that has more is in no need of another.
const FOLLOWED_MAX: usize = 1000;

/// A kind of list that is looked through page by page.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Source {
    /// All orders with what every service says of them.
    Orders,
    /// The breaches that a service names at this path.
    Breaches(&'static str),
    /// What the services have before them.
    Pending,
}

/// A page of a source: whatever stands behind `after`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Place {
    source: Source,
    after: Option<String>,
}

/// Where a walk begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum From {
    Start,
    /// With orders that are recent by then.
    Recent,
}

/// Sources that are looked through one after the other, again and again.
struct Walk {
    sources: Vec<Source>,
    from: From,
    every_ms: Millis,
    /// When it last began.
    began: Option<Timestamp>,
    /// Where it is, and in which of its sources; `None` while it rests.
    at: Option<(usize, Option<String>)>,
    /// How many orders it has met since it began.
    orders: u64,
    is_sweep: bool,
}

/// Something that was found broken at least once.
struct Found {
    breach: Breach,
    place: Place,
    first: Timestamp,
    looked_at: Timestamp,
    stage: Stage,
}

enum Stage {
    /// Seen once. It is to be seen again after everybody has heard what had been said by then.
    Seen,
    /// So far everybody had spoken, and when that was asked.
    Marked(Arc<Pending>, Timestamp),
    /// Everybody has heard that: the next look counts.
    Ripe,
    /// Seen again.
    Confirmed,
}

/// What one page came to.
struct Looked {
    breaches: Vec<Breach>,
    next: Option<String>,
    orders: u64,
    pending: Option<Pending>,
}

/// What to do next.
enum Turn {
    /// The next page of a walk.
    Walk(usize, Place),
    /// A page where something was found broken.
    Again(Place),
}

impl Turn {
    fn place(&self) -> &Place {
        match self {
            Self::Walk(_, place) | Self::Again(place) => place,
        }
    }
}

/// What the watch knows between two pages.
struct Memory {
    walks: Vec<Walk>,
    /// Which walk is next.
    turn: usize,
    /// Whether the last page was one where something had been found broken.
    was_again: bool,
    rest_until: Timestamp,
    found: BTreeMap<(String, String), Found>,
    /// How far each subscription that is behind had to come, and since when.
    lags: BTreeMap<(String, String), (i64, Timestamp)>,
    is_failing: bool,
    is_full: bool,
    status: Status,
}

/// A watch over a shop.
#[derive(Clone)]
pub struct Watch(Arc<Inner>);

struct Inner {
    runtime: Arc<dyn Runtime>,
    config: Config,
    reader: OnceLock<Reader>,
    memory: Mutex<Memory>,
    glance: Glance,
}

impl Watch {
    /// A watch that sees nothing yet.
    #[must_use]
    pub fn new(runtime: Arc<dyn Runtime>, config: Config) -> Self {
        let memory = Mutex::new(Memory::new(&config));
        Self(Arc::new(Inner { runtime, config, reader: OnceLock::new(), memory, glance: Glance::default() }))
    }

    /// Gives it the shop to look at, as the admin that `token` names; the first call counts.
    pub fn connect(&self, peer: Peer, token: Token) {
        let reader = Reader::considerate(self.0.runtime.clone(), peer, token);
        let _ = self.0.reader.set(reader);
    }

    /// How often to call [`Watch::step`].
    #[must_use]
    pub fn step_every_ms(&self) -> Millis {
        self.0.config.page_pause_ms
    }

    /// What it has seen, for whoever wants to look.
    #[must_use]
    pub fn glance(&self) -> Glance {
        self.0.glance.clone()
    }

    /// Reads one page, if it is not time to rest. Ends by itself.
    pub async fn step(&self) {
        let Inner { runtime, config, reader, memory, glance } = &*self.0;
        let Some(reader) = reader.get() else { return };
        let mut memory = memory.lock().await;
        let began = runtime.now();
        if began < memory.rest_until {
            return;
        }
        let Some(turn) = memory.next(config, began) else { return };
        let looked = Box::pin(look(reader, turn.place(), began)).await;
        let ended = runtime.now();
        memory.rest_until = ended.plus_ms(config.rest_ms(ended.since_ms(began)));
        memory.status.looked_at = Some(ended);
        match looked {
            Ok(looked) => memory.learn(config, &turn, looked, began, ended),
            Err(error) => memory.fail(&error),
        }
        glance.show(memory.shown());
    }
}

async fn look(reader: &Reader, place: &Place, now: Timestamp) -> Result<Looked, AuditError> {
    let after = place.after.as_deref();
    match place.source {
        Source::Orders => {
            let (shop, next) = facts::next(reader, after).await?;
            let orders = u64::try_from(shop.orders()).unwrap_or(u64::MAX);
            Ok(Looked { breaches: judge(&shop, Terms { now, quiescent: false }), next, orders, pending: None })
        }
        Source::Breaches(path) => {
            let Page { items, next } = reader.page::<Breach>(path, after).await?;
            Ok(Looked { breaches: items, next, orders: 0, pending: None })
        }
        Source::Pending => {
            let pending = pending::read(reader).await?;
            Ok(Looked { breaches: pending.breaches(), next: None, orders: 0, pending: Some(pending) })
        }
    }
}

impl Memory {
    fn new(config: &Config) -> Self {
        let walk = |sources: Vec<Source>, from, every_ms, is_sweep| Walk {
            sources,
            from,
            every_ms,
            began: None,
            at: None,
            orders: 0,
            is_sweep,
        };
        let often = config.instants_every_ms;
        let mut walks = vec![walk(vec![Source::Orders], From::Recent, often, false)];
        walks.extend(BREACHES.map(|path| walk(vec![Source::Breaches(path)], From::Start, often, false)));
        walks.push(walk(vec![Source::Pending], From::Start, often, false));
        walks.push(walk(vec![Source::Orders, Source::Breaches(RECONCILE)], From::Start, config.sweep_every_ms, true));
        Self {
            walks,
            turn: 0,
            was_again: false,
            rest_until: Timestamp::from_micros(i64::MIN),
            found: BTreeMap::new(),
            lags: BTreeMap::new(),
            is_failing: false,
            is_full: false,
            status: Status::default(),
        }
    }

    /// Every other page is one where something was found broken, if there is any; else the walks have their turns.
    fn next(&mut self, config: &Config, now: Timestamp) -> Option<Turn> {
        self.was_again = !self.was_again;
        if self.was_again
            && let Some(place) = self.next_again(config, now)
        {
            return Some(Turn::Again(place));
        }
        let count = self.walks.len();
        for turn in (self.turn..self.turn + count).map(|turn| turn % count) {
            if let Some(place) = self.walks[turn].next(config, now) {
                self.turn = (turn + 1) % count;
                return Some(Turn::Walk(turn, place));
            }
        }
        self.next_again(config, now).map(Turn::Again)
    }

    /// Where to look again: first whether everybody has heard what a suspicion waits for, then at what is ripe, then whether
    /// what was confirmed has ended.
    fn next_again(&self, config: &Config, now: Timestamp) -> Option<Place> {
        let waits = |found: &&Found| match found.stage {
            Stage::Seen | Stage::Marked(..) => true,
            Stage::Ripe => false,
            Stage::Confirmed => now.since_ms(found.looked_at) >= config.instants_every_ms,
        };
        let ripe = self.found.values().filter(|found| matches!(found.stage, Stage::Ripe));
        if let Some(found) = ripe.min_by_key(|found| found.looked_at) {
            return Some(found.place.clone());
        }
        let found = self.found.values().filter(waits).min_by_key(|found| found.looked_at)?;
        match found.stage {
            Stage::Confirmed => Some(found.place.clone()),
            _ => Some(Place { source: Source::Pending, after: None }),
        }
    }

    fn learn(&mut self, config: &Config, turn: &Turn, looked: Looked, began: Timestamp, ended: Timestamp) {
        let Looked { mut breaches, next, orders, pending } = looked;
        self.status.pages += 1;
        self.status.orders += orders;
        self.is_failing = false;
        if let Some(pending) = pending {
            breaches.extend(self.lagging(config, &pending, began));
            self.ripen(config, pending, began);
        }
        self.compare(turn.place(), breaches, ended);
        if let Turn::Walk(index, _) = turn
            && let Some(sweep) = self.walks[*index].advance(next, orders, ended)
        {
            self.status.sweeps += 1;
            self.status.sweep = Some(sweep);
        }
    }

    /// The subscriptions that have not got, within their time, as far as they had to.
    fn lagging(&mut self, config: &Config, pending: &Pending, now: Timestamp) -> Vec<Breach> {
        let mut behind = BTreeSet::new();
        let mut late = Vec::new();
        for (service, stands) in pending.behind() {
            let key = (service.to_owned(), stands.source.clone());
            let (wanted, since) = self.lags.entry(key.clone()).or_insert((stands.last, now));
            if stands.seq >= *wanted {
                (*wanted, *since) = (stands.last, now);
            }
            if now.since_ms(*since) >= config.heard_within_ms {
                late.push(pending::unheard(service, stands));
            }
            behind.insert(key);
        }
        self.lags.retain(|key, _| behind.contains(key));
        late
    }

    /// What was seen once takes `pending` as its mark, or is ripe if everybody has passed the mark that it has. Who does not
    /// get there within the time is judged all the same.
    fn ripen(&mut self, config: &Config, pending: Pending, now: Timestamp) {
        let pending = Arc::new(pending);
        for found in self.found.values_mut() {
            match &found.stage {
                Stage::Seen => found.stage = Stage::Marked(pending.clone(), now),
                Stage::Marked(marks, at) => {
                    if pending.has_passed(marks) || now.since_ms(*at) >= config.heard_within_ms {
                        found.stage = Stage::Ripe;
                    }
                }
                Stage::Ripe | Stage::Confirmed => {}
            }
        }
    }

    /// Takes note of what is broken at `place`, and that whatever else was found there before is not broken now.
    fn compare(&mut self, place: &Place, breaches: Vec<Breach>, now: Timestamp) {
        let mut seen = BTreeSet::new();
        for breach in breaches {
            let key = (breach.rule.clone(), breach.subject.clone());
            if let Some(found) = self.found.get_mut(&key) {
                self.status.found += u64::from(found.seen_again(breach, now));
            } else if self.found.len() < FOLLOWED_MAX {
                let found = Found { breach, place: place.clone(), first: now, looked_at: now, stage: Stage::Seen };
                self.found.insert(key.clone(), found);
            } else {
                self.tell_full();
            }
            seen.insert(key);
        }
        self.found.retain(|key, found| {
            let over = found.place == *place && !seen.contains(key);
            if over && matches!(found.stage, Stage::Confirmed) {
                let Breach { rule, subject, .. } = &found.breach;
                tracing::warn!(rule, subject, "an invariant holds again");
            }
            !over
        });
    }

    fn tell_full(&mut self) {
        if !self.is_full {
            tracing::error!(
                followed = FOLLOWED_MAX,
                "more is broken than the audit follows; what is found from now on is not told"
            );
        }
        self.is_full = true;
    }

    fn fail(&mut self, error: &AuditError) {
        self.status.pages_failed += 1;
        // A shop that is busy refuses many times in a row; once is enough to know.
        if !self.is_failing {
            tracing::warn!(%error, "the audit could not read; it goes on");
        }
        self.is_failing = true;
    }

    fn shown(&self) -> Status {
        let (confirmed, others): (Vec<&Found>, Vec<&Found>) =
            self.found.values().partition(|found| matches!(found.stage, Stage::Confirmed));
        let breaches = confirmed.into_iter().map(|found| Open { breach: found.breach.clone(), since: found.first }).collect();
        Status { breaches, suspicions: others.len(), ..self.status.clone() }
    }
}

impl Found {
    /// Whether it counts from now on.
    fn seen_again(&mut self, breach: Breach, now: Timestamp) -> bool {
        (self.breach, self.looked_at) = (breach, now);
        let counts = matches!(self.stage, Stage::Ripe);
        if counts {
            self.stage = Stage::Confirmed;
            let Breach { rule, subject, detail } = &self.breach;
            tracing::error!(rule, subject, detail, "an invariant is broken");
        }
        counts
    }
}

impl Walk {
    /// Its next page, if it is under way or due.
    fn next(&mut self, config: &Config, now: Timestamp) -> Option<Place> {
        if self.at.is_none() {
            if self.began.is_some_and(|began| now.since_ms(began) < self.every_ms) {
                return None;
            }
            let after = match self.from {
                From::Start => None,
                From::Recent => facts::placed_from(now.plus_ms(-config.recent_ms)),
            };
            (self.began, self.at, self.orders) = (Some(now), Some((0, after)), 0);
        }
        let (index, after) = self.at.clone()?;
        Some(Place { source: self.sources[index], after })
    }

    /// Goes on to the page behind `next`, or to the next source, or rests; what it was if a sweep has ended.
    fn advance(&mut self, next: Option<String>, orders: u64, now: Timestamp) -> Option<Sweep> {
        self.orders += orders;
        let (index, _) = self.at.take()?;
        if next.is_some() {
            self.at = Some((index, next));
            return None;
        }
        if index + 1 < self.sources.len() {
            self.at = Some((index + 1, None));
            return None;
        }
        let took_ms = now.since_ms(self.began?);
        self.is_sweep.then_some(Sweep { ended_at: now, took_ms, orders: self.orders })
    }
}

#[cfg(test)]
mod tests;
