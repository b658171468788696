//! What services still have before them: timers, parked events, and what was said and not heard. Where two services stand is
//! compared by what each knows of itself, since they may share no database. Leaves asking them to the program.

use std::collections::{BTreeMap, HashMap};

use kernel::Fault;
use serde::{Deserialize, Serialize};
use store::{Error, Row};

use crate::handle::{Handle, fault_of};
use crate::reader::outbox_of;
use crate::service::{Running, Stopped};
use crate::subscription::{ALL_TOPICS, BEFORE_KAFKA};
use crate::tables::{CURSORS, PARKED_COUNT, TIMERS_SET};

/// What a service still has before it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Pending {
    /// The service.
    pub service: String,
    /// How many timers of each kind are set.
    pub timers: BTreeMap<String, i64>,
    /// How many events are parked.
    pub parked: i64,
    /// What it has not heard yet; known once it is compared with what others have said.
    pub behind: Vec<Behind>,
    /// The subscriptions that have stopped, because too many of their events could not be handled.
    pub stopped: Vec<Stopped>,
    /// Where it stands in its own log and in those of others.
    pub stands: Stands,
}

/// A log, or a partition of one, that was not read to its end.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Behind {
    /// The log, and of a log between databases its topic and partition.
    pub source: String,
    /// Up to where it was heard.
    pub seq: i64,
    /// Its last event that concerns the service.
    pub last: i64,
}

/// Where a service stands in logs.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct Stands {
    /// The name of its own log.
    pub source: String,
    /// The last event that it has said on each topic and partition.
    pub said: Vec<Mark>,
    /// Up to where it has heard others.
    pub heard: Vec<Mark>,
    /// The topics of each service that it listens to.
    pub listens: BTreeMap<String, Vec<String>>,
}

/// A number in a log, or in one topic and partition of it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Mark {
    /// The log.
    pub source: String,
    /// The topic; `*` for all.
    pub topic: String,
    /// The partition.
    pub partition: u16,
    /// The number.
    pub seq: i64,
}

impl Stands {
    /// What of `owner`, which is the service `name`, this one has not heard.
    #[must_use]
    pub fn behind(&self, name: &str, owner: &Self) -> Vec<Behind> {
        let heard: HashMap<(&str, &str, u16), i64> =
            self.heard.iter().map(|mark| ((mark.source.as_str(), mark.topic.as_str(), mark.partition), mark.seq)).collect();
        let of = |topic: &str, partition| heard.get(&(owner.source.as_str(), topic, partition)).copied();
        let in_order = of(ALL_TOPICS, 0).filter(|seq| *seq < i64::MAX);
        let listens = self.listens.get(name).map_or(&[][..], Vec::as_slice);
        let mut behind: BTreeMap<String, Behind> = BTreeMap::new();
        for said in owner.said.iter().filter(|said| listens.contains(&said.topic)) {
            let own = of(&said.topic, said.partition);
            let seq = own.or(in_order).or_else(|| of(BEFORE_KAFKA, 0)).unwrap_or(0);
            if seq >= said.seq {
                continue;
            }
            // An outbox is read in its order, so that there one number says all.
            let between_databases = own.is_some() || of(BEFORE_KAFKA, 0).is_some();
            let source = if between_databases {
                format!("{}/{}/{}", owner.source, said.topic, said.partition)
            } else {
                owner.source.clone()
            };
            let entry = behind.entry(source.clone()).or_insert(Behind { source, seq, last: said.seq });
            entry.last = entry.last.max(said.seq);
        }
        behind.into_values().collect()
    }
}

impl Stands {
    /// How far this one has heard `owner`, which is the service `name`, and the last of what concerns it there.
    #[must_use]
    pub fn progress(&self, name: &str, owner: &Self) -> (i64, i64) {
        let listens = self.listens.get(name).map_or(&[][..], Vec::as_slice);
        let said = owner.said.iter().filter(|mark| listens.contains(&mark.topic));
        let last = said.map(|mark| mark.seq).max().unwrap_or(0);
        let heard = self.behind(name, owner).iter().map(|behind| behind.seq).min().unwrap_or(last);
        (heard, last)
    }
}

/// Compares all with all, so that each knows what it has not heard.
pub fn compare(all: &mut [Pending]) {
    let stands: Vec<(String, Stands)> = all.iter().map(|pending| (pending.service.clone(), pending.stands.clone())).collect();
    for pending in all {
        let behind = stands.iter().flat_map(|(name, owner)| pending.stands.behind(name, owner));
        pending.behind = behind.collect();
    }
}

impl Running {
    /// What the service still has before it, as far as it is known at this moment; `behind` is left to [`compare`].
    ///
    /// # Errors
    /// `unavailable` if the database does not answer.
    pub async fn pending(&self) -> Result<Pending, Fault> {
        let (handle, service) = (&self.handle, self.handle.service);
        let (timers, parked) = (timers_set(handle).await?, parked(handle).await?);
        let (service, stands) = (service.to_owned(), self.stands().await?);
        Ok(Pending { service, timers, parked, behind: Vec::new(), stopped: self.stopped(), stands })
    }

    /// Where the service stands in its own log and in those of others.
    ///
    /// # Errors
    /// As [`Running::pending`].
    pub async fn stands(&self) -> Result<Stands, Fault> {
        let outbox = outbox_of(self.handle.service, &self.handle).await?;
        let source = outbox.source().to_owned();
        // Where it has heard others is asked first: what it says meanwhile then counts as said.
        let rows = self.handle.read(&CURSORS, vec![self.handle.service.into()]).await?;
        let heard = rows.iter().map(mark).collect::<Result<_, Error>>().map_err(fault_of)?;
        let tails = outbox.tails_at(i64::MAX).await.map_err(fault_of)?;
        let said = |((topic, partition), seq)| Mark { source: source.clone(), topic, partition, seq };
        let said = tails.into_iter().map(said).collect();
        let topics = |names: &mut dyn Iterator<Item = &&'static str>| names.map(|name| (*name).to_owned()).collect();
        let listens = self.subscriptions.iter().map(|to| (to.to.to_owned(), topics(&mut to.topics.keys())));
        Ok(Stands { listens: listens.collect(), source, said, heard })
    }
}

/// How many timers of each kind are set.
pub(crate) async fn timers_set(handle: &Handle) -> Result<BTreeMap<String, i64>, Fault> {
    let pair = |row: &Row| Ok((row.text(0)?.to_owned(), row.int(1)?));
    let rows = handle.read(&TIMERS_SET, vec![handle.service.into()]).await?;
    rows.iter().map(pair).collect::<Result<_, Error>>().map_err(fault_of)
}

/// How many events are parked.
pub(crate) async fn parked(handle: &Handle) -> Result<i64, Fault> {
    let rows = handle.read(&PARKED_COUNT, vec![handle.service.into()]).await?;
    rows.first().map_or(Ok(0), |row| row.int(0)).map_err(fault_of)
}

fn mark(row: &Row) -> Result<Mark, Error> {
    let partition = u16::try_from(row.int(2)?).map_err(|_| Error::Broken("a cursor's partition is no bucket".to_owned()))?;
    Ok(Mark { source: row.text(0)?.to_owned(), topic: row.text(1)?.to_owned(), partition, seq: row.int(3)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(topic: &str, partition: u16, seq: i64) -> Mark {
        Mark { source: "orders-1".to_owned(), topic: topic.to_owned(), partition, seq }
    }

    fn behind(heard: &[Mark]) -> Vec<(String, i64, i64)> {
        let said = vec![mark("orders.orders", 3, 10), mark("orders.orders", 4, 12), mark("orders.other", 4, 99)];
        let owner = Stands { source: "orders-1".to_owned(), said, ..Stands::default() };
        let listens = BTreeMap::from([("orders".to_owned(), vec!["orders.orders".to_owned()])]);
        let consumer = Stands { heard: heard.to_vec(), listens, ..Stands::default() };
        consumer.behind("orders", &owner).into_iter().map(|behind| (behind.source, behind.seq, behind.last)).collect()
    }

    #[test]
    fn an_outbox_is_heard_by_one_number() {
        assert_eq!(behind(&[]), [("orders-1".to_owned(), 0, 12)]);
        assert_eq!(behind(&[mark(ALL_TOPICS, 0, 11)]), [("orders-1".to_owned(), 11, 12)]);
        assert_eq!(behind(&[mark(ALL_TOPICS, 0, 12)]), []);
    }

    #[test]
    fn a_log_between_databases_is_heard_by_topic_and_partition_and_begins_where_the_outbox_ended() {
        let moved = [mark(ALL_TOPICS, 0, i64::MAX), mark(BEFORE_KAFKA, 0, 10)];
        assert_eq!(behind(&moved), [("orders-1/orders.orders/4".to_owned(), 10, 12)]);
        assert_eq!(behind(&[&moved[..], &[mark("orders.orders", 4, 12)]].concat()), []);
    }
}
