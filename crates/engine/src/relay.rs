//! Carries a service's outbox to Kafka in its order, from a durable mark on. Whatever goes wrong, it begins again at the mark
//! and sends everything from there; who hears something twice drops it by the chain. The mark is the end of the run of
//! acknowledgements without a hole of the *present* attempt: a late one of an earlier attempt never counts, or a restart
//! would leave out what was never sent. Leaves the way into Kafka to `log`.

use std::collections::{HashMap, VecDeque};
use std::future::pending;

use kernel::{BoxFuture, Bucket, Fault, Millis, Timestamp, TraceContext, fail_point};
use log::{Ack, BEACON, Kafka, KafkaFault, LogEvent, Outbox, READ_EVENTS_MAX, Sender, Tails, Wakes};
use serde::{Deserialize, Serialize};

use crate::handle::{Handle, fault_of};
use crate::input::Stop;
use crate::lanes::Lane;
use crate::lease::Leadership;
use crate::reader::outbox_of;
use crate::runtime::guarded;
use crate::service::Running;
use crate::tables::RelayMark;
use crate::work::Work;

/// How many events are under way at most.
const UNDER_WAY_MAX: usize = 4 * READ_EVENTS_MAX;
/// How long the mark may lag behind what lies in Kafka: so much is sent again after a crash.
const MARK_EVERY_MS: Millis = 250;
/// After how many events the mark is written at once.
const MARK_EVENTS_MAX: i64 = 4096;
/// How often it is looked whether somebody has put the mark back, and for commits whose wake was missed.
const LOOK_MS: Millis = 1000;
/// Every how many beacons all partitions are stated, also those in which nothing has happened.
const ALL_EVERY: u32 = 30;
/// The pause after something failed: at first and at most.
const FAILED_PAUSE_MS: (Millis, Millis) = (20, 2000);

/// One service's relay.
pub(crate) struct Relay {
    pub(crate) handle: Handle,
    pub(crate) kafka: Kafka,
    pub(crate) wakes: Wakes,
    pub(crate) leadership: Leadership,
}

impl Relay {
    /// Relays while the lease is ours, until the service stops.
    pub(crate) async fn run(self) {
        let mut pause_ms = FAILED_PAUSE_MS.0;
        while self.leadership.held().await.is_some() {
            let Err(fault) = guarded(self.attempt(&mut pause_ms)).await else { continue };
            tracing::warn!(service = self.handle.service, %fault, "relaying again from the mark");
            self.leadership.pause(pause_ms).await;
            pause_ms = (pause_ms * 2).min(FAILED_PAUSE_MS.1);
        }
    }

    /// Sends everything from the mark on; ends when the lease is no longer ours or the mark is not as it was left.
    async fn attempt(&self, pause_ms: &mut Millis) -> Result<(), Fault> {
        let outbox = outbox_of(self.handle.service, &self.handle).await?;
        let mark = self.mark(&outbox).await?;
        let tails = outbox.tails_at(mark.seq).await.map_err(fault_of)?;
        let mut committed = self.wakes.of(self.handle.service);
        let mut run = Run::new(self.kafka.sender()?, &mark, tails, self.handle.runtime.now());
        let mut saving: Option<BoxFuture<'_, Result<i64, Fault>>> = None;
        while self.leadership.is_held() {
            run.fill(&outbox).await?;
            while let Some(ack) = run.sender.ack_now() {
                run.acknowledged(ack)?;
            }
            self.handle.meters.relay.stands(run.oldest_said_at());
            let now = self.handle.runtime.now();
            if saving.is_none() && run.is_mark_due(now) {
                // Beside the sending, which must not wait for a commit.
                saving = Some(Box::pin(self.save_mark(&outbox, (run.saved, run.acked), mark.epoch)));
            }
            if run.is_idle() {
                run.state(self.kafka.beacon_every_ms(), now)?;
            }
            let wait_ms = if run.acked > run.saved { MARK_EVERY_MS } else { LOOK_MS };
            let saved = async {
                match &mut saving {
                    Some(saving) => saving.await,
                    None => pending().await,
                }
            };
            tokio::select! {
                biased;
                ack = run.sender.ack(), if !run.under_way.is_empty() => run.acknowledged(ack)?,
                saved = saved => {
                    (run.saved, run.saved_at, saving) = (saved?, self.handle.runtime.now(), None);
                    *pause_ms = FAILED_PAUSE_MS.0;
                }
                _ = committed.changed() => run.is_behind = true,
                () = self.leadership.pause(wait_ms) => {
                    run.is_behind = true;
                    if run.is_idle() && self.mark(&outbox).await? != run.saved_mark(&mark) {
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }

    /// The mark as it is stored; of a log that nobody has relayed yet, its beginning.
    async fn mark(&self, outbox: &Outbox) -> Result<RelayMark, Fault> {
        let (service, source) = (self.handle.service.to_owned(), outbox.source().to_owned());
        let found = self.handle.find::<RelayMark>(&(service.clone(), source.clone())).await?;
        Ok(found.map_or(RelayMark { service, source, seq: 0, epoch: 0 }, |(mark, _)| mark))
    }

    /// Moves the mark on and tells where it is; refused if another relay, or `republish`, has moved it meanwhile.
    async fn save_mark(&self, outbox: &Outbox, (from, to): (i64, i64), epoch: i64) -> Result<i64, Fault> {
        let (trace, source) = (TraceContext::start(&mut self.handle.runtime.draw()), outbox.source().to_owned());
        fail_point("engine.relay-before-mark");
        self.handle.decide(Lane::Saga, &trace, move |work| move_mark(work, &source, (from, to), epoch)).await?;
        fail_point("engine.relay-after-mark");
        Ok(to)
    }
}

fn move_mark(work: &mut Work<'_>, source: &str, (from, to): (i64, i64), epoch: i64) -> Result<(), Stop> {
    let key = (work.service().to_owned(), source.to_owned());
    let (stored_seq, stored_epoch) = work.find::<RelayMark>(&key)?.map_or((0, 0), |mark| (mark.seq, mark.epoch));
    if (stored_seq, stored_epoch) != (from, epoch) {
        return Err(Fault::conflict("relay-fenced", "another relay has moved the mark").into());
    }
    work.save(RelayMark { service: key.0, source: key.1, seq: to, epoch });
    Ok(())
}

/// How a service's log travels.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LogStatus {
    /// The service.
    pub service: String,
    /// The name of its log.
    pub source: String,
    /// Its last event.
    pub last: i64,
    /// The first event that is still there to be said again; beyond `last` if there is none.
    pub first_kept: i64,
    /// Up to where it lies in Kafka for certain; nothing where it is read from the database.
    pub relayed: Option<i64>,
}

impl Running {
    /// How the service's log travels.
    ///
    /// # Errors
    /// `unavailable`.
    pub async fn log_status(&self) -> Result<LogStatus, Fault> {
        let (handle, service) = (&self.handle, self.handle.service.to_owned());
        let outbox = outbox_of(handle.service, handle).await?;
        let key = (service.clone(), outbox.source().to_owned());
        let mark = handle.find::<RelayMark>(&key).await?.map_or(0, |(mark, _)| mark.seq);
        let last = outbox.end().await.map_err(fault_of)?;
        let kept = outbox.read_all(0, &mut Tails::new()).await.map_err(fault_of)?;
        let first_kept = kept.first().map_or(last + 1, |event| event.seq);
        Ok(LogStatus { service, source: key.1, last, first_kept, relayed: self.listens_to_kafka.then_some(mark) })
    }

    /// Has everything after `seq` sent to Kafka again, by whoever relays; consumers drop what they have heard. Tells from where
    /// on that is: what was relayed up to there is not sent twice for nothing.
    ///
    /// # Errors
    /// `conflict` where nothing is relayed; `invalid-field` if events after `seq` are no longer kept.
    pub async fn republish(&self, seq: i64, trace: &TraceContext) -> Result<i64, Fault> {
        let status = self.log_status().await?;
        if status.relayed.is_none() {
            return Err(Fault::conflict(
                "log-not-relayed",
                "the log is read from the database: nothing of it can be lost on the way",
            ));
        }
        let kept_after = status.first_kept - 1;
        if seq < kept_after && seq < status.last {
            let detail = format!(
                "events up to {kept_after} are no longer kept; give {}, and resync whoever lacks earlier ones",
                kept_after + 1
            );
            return Err(Fault::invalid_field("/from", detail));
        }
        self.handle.decide(Lane::Rest, trace, move |work| put_back(work, &status.source, seq)).await
    }
}

/// Puts the mark of `source` back to `seq`, unless it is before that, and ends whoever relays.
fn put_back(work: &mut Work<'_>, source: &str, seq: i64) -> Result<i64, Stop> {
    let key = (work.service().to_owned(), source.to_owned());
    let (stored_seq, epoch) = work.find::<RelayMark>(&key)?.map_or((0, 0), |mark| (mark.seq, mark.epoch));
    let seq = seq.min(stored_seq);
    work.save(RelayMark { service: key.0, source: key.1, seq, epoch: epoch + 1 });
    Ok(seq)
}

/// One attempt: what it has sent and what of that lies in Kafka.
struct Run {
    source: String,
    sender: Sender,
    tails: Tails,
    /// The last event that was handed to the sender.
    sent: i64,
    /// Whether there may be more in the outbox.
    is_behind: bool,
    /// The events after `acked` up to `sent`, and which of them are acknowledged.
    under_way: VecDeque<(i64, bool)>,
    /// The first event of each read that is under way, and when that was said.
    reads: VecDeque<(i64, Timestamp)>,
    /// Up to where everything is acknowledged.
    acked: i64,
    /// The mark as it is stored.
    saved: i64,
    saved_at: Timestamp,
    /// What was last stated of each partition.
    stated: Tails,
    stated_at: Timestamp,
    beacons: u32,
}

impl Run {
    fn new(sender: Sender, mark: &RelayMark, tails: Tails, now: Timestamp) -> Self {
        let (under_way, reads, stated) = (VecDeque::new(), VecDeque::new(), HashMap::new());
        let seq = mark.seq;
        let (source, saved_at, stated_at) = (mark.source.clone(), now, now);
        Self {
            source,
            sender,
            tails,
            sent: seq,
            is_behind: true,
            under_way,
            reads,
            acked: seq,
            saved: seq,
            saved_at,
            stated,
            stated_at,
            beacons: 0,
        }
    }

    fn has_room(&self) -> bool {
        self.under_way.len() + READ_EVENTS_MAX <= UNDER_WAY_MAX
    }

    fn is_idle(&self) -> bool {
        self.under_way.is_empty() && self.saved == self.acked
    }

    fn is_mark_due(&self, now: Timestamp) -> bool {
        let behind = self.acked - self.saved;
        behind >= MARK_EVENTS_MAX || (behind > 0 && now.since_ms(self.saved_at) >= MARK_EVERY_MS)
    }

    fn saved_mark(&self, mark: &RelayMark) -> RelayMark {
        RelayMark { seq: self.saved, ..mark.clone() }
    }

    /// Hands the next events to the sender, as many as there are and there is room for.
    async fn fill(&mut self, outbox: &Outbox) -> Result<(), Fault> {
        while self.is_behind && self.has_room() {
            let events = outbox.read_all(self.sent, &mut self.tails).await.map_err(fault_of)?;
            self.reads.extend(events.first().and_then(|first| Some((first.seq, first.said_at()?))));
            for event in &events {
                fail_point("engine.relay-before-send");
                self.sender.send(event)?;
                self.under_way.push_back((event.seq, false));
                self.sent = event.seq;
            }
            self.is_behind = events.len() == READ_EVENTS_MAX;
        }
        Ok(())
    }

    /// Notes what became of one event and moves on over all that are acknowledged without a hole.
    fn acknowledged(&mut self, ack: Ack) -> Result<(), Fault> {
        ack.sent.map_err(KafkaFault::Unreachable)?;
        if let Ok(at) = self.under_way.binary_search_by_key(&ack.seq, |(seq, _)| *seq) {
            self.under_way[at].1 = true;
        }
        while let Some((seq, _)) = self.under_way.front().filter(|(_, lies_there)| *lies_there) {
            self.acked = *seq;
            self.under_way.pop_front();
        }
        Ok(())
    }

    /// When the oldest event under way was said, or one of the same read that was said shortly before; `None` if all lies there.
    fn oldest_said_at(&mut self) -> Option<Timestamp> {
        let Some((oldest, _)) = self.under_way.front() else {
            self.reads.clear();
            return None;
        };
        while self.reads.get(1).is_some_and(|(first, _)| first <= oldest) {
            self.reads.pop_front();
        }
        self.reads.front().map(|(_, said_at)| *said_at)
    }

    /// States where partitions stand, from time to time: those in which something has happened, now and then all of them.
    fn state(&mut self, every_ms: Millis, now: Timestamp) -> Result<(), Fault> {
        if now.since_ms(self.stated_at) < every_ms {
            return Ok(());
        }
        self.stated_at = now;
        self.beacons += 1;
        if self.beacons.is_multiple_of(ALL_EVERY) {
            self.stated.clear();
        }
        for ((topic, partition), seq) in &self.tails {
            let key = (topic.clone(), *partition);
            if self.stated.insert(key, *seq) != Some(*seq) {
                self.sender.send(&beacon(&self.source, topic, *partition, *seq))?;
            }
        }
        Ok(())
    }
}

/// What states that the last event of `source` on a partition is `seq`.
fn beacon(source: &str, topic: &str, partition: u16, seq: i64) -> LogEvent {
    let (source, topic, kind) = (source.to_owned(), topic.to_owned(), BEACON.to_owned());
    LogEvent { source, seq, prev: seq, topic, partition: Bucket(partition), key: String::new(), kind, payload: String::new() }
}
