//! What is still under way inside the services: timers, parked inputs, events that were said and not yet heard.
//! Leaves orders that are not final to `facts`.

use std::collections::BTreeMap;

use contracts::audit::Breach;
use serde::{Deserialize, Serialize};

use crate::reader::{AuditError, Reader};

const PENDING: &str = "/v1/admin/audit/pending";

/// Timers that stand for no order: the days go on.
const STANDING_TIMERS: [&str; 1] = ["make-slots"];

/// Something that is not at rest.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub struct InFlight {
    /// A service, or an order's id.
    pub subject: String,
    /// What it waits for, in words.
    pub what: String,
}

/// What all services have under way.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct Pending {
    /// One per service.
    pub items: Vec<ServicePending>,
}

/// What one service has under way.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ServicePending {
    /// Which service.
    pub service: String,
    /// How many timers are set, by kind.
    #[serde(default)]
    pub timers: BTreeMap<String, i64>,
    /// How many inputs are parked.
    #[serde(default)]
    pub parked: i64,
    /// How far it has heard its sources.
    #[serde(default)]
    pub behind: Vec<Behind>,
    /// Why nothing is known of it, if it does not answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unreachable: Option<String>,
}

/// How far a service has heard one of its sources.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Behind {
    /// The service that speaks.
    pub source: String,
    /// Up to where it was heard.
    pub seq: i64,
    /// The last of what it has said that concerns this service.
    pub last: i64,
}

impl Pending {
    /// Everything that is not at rest.
    #[must_use]
    pub fn in_flight(&self) -> Vec<InFlight> {
        self.items.iter().flat_map(ServicePending::in_flight).collect()
    }

    /// What must not be: parked events, at every instant.
    pub(crate) fn breaches(&self) -> Vec<Breach> {
        let parked = self.items.iter().filter(|item| item.parked > 0);
        let breach = |item: &ServicePending| {
            let detail = format!("{} events are parked", item.parked);
            Breach { rule: "no-event-is-parked".to_owned(), subject: item.service.clone(), detail }
        };
        parked.map(breach).collect()
    }

    /// The subscriptions that are behind, each with its consumer.
    pub(crate) fn behind(&self) -> impl Iterator<Item = (&str, &Behind)> {
        let all = self.items.iter().flat_map(|item| item.behind.iter().map(|behind| (item.service.as_str(), behind)));
        all.filter(|(_, behind)| behind.seq < behind.last)
    }

    /// The subscriptions that have not come as far as their source had spoken at `marks`.
    pub(crate) fn unheard(&self, marks: &Self) -> Vec<Breach> {
        let now: BTreeMap<(&str, &str), &Behind> =
            self.behind().map(|(service, behind)| ((service, behind.source.as_str()), behind)).collect();
        let late = marks.behind().filter_map(|(service, mark)| {
            let now = now.get(&(service, mark.source.as_str())).filter(|now| now.seq < mark.last)?;
            Some(unheard(service, now))
        });
        late.collect()
    }

    /// Whether every subscription has come as far as its source had spoken at `marks`.
    #[must_use]
    pub fn has_passed(&self, marks: &Self) -> bool {
        self.unheard(marks).is_empty()
    }
}

impl ServicePending {
    fn in_flight(&self) -> Vec<InFlight> {
        let timers = self.timers.iter().filter(|(kind, count)| **count > 0 && !STANDING_TIMERS.contains(&kind.as_str()));
        let mut found: Vec<String> = timers.map(|(kind, count)| format!("{count} timers {kind}")).collect();
        if self.parked > 0 {
            found.push(format!("{} inputs parked", self.parked));
        }
        let behind = self.behind.iter().filter(|behind| behind.seq < behind.last);
        found.extend(behind.map(|behind| format!("has heard {} up to {} of {}", behind.source, behind.seq, behind.last)));
        found.into_iter().map(|what| InFlight { subject: self.service.clone(), what }).collect()
    }
}

/// The breach of `service`, which stands at `behind` for longer than it may.
pub(crate) fn unheard(service: &str, behind: &Behind) -> Breach {
    let Behind { source, seq, last } = behind;
    Breach {
        rule: "events-are-heard".to_owned(),
        subject: format!("{service} {source}"),
        detail: format!("{service} has heard {source} up to {seq} of {last}, and gets no further"),
    }
}

/// What all services have under way. One that does not answer has not come to rest, nor heard anything: without it nothing is
/// known.
pub(crate) async fn read(reader: &Reader) -> Result<Pending, AuditError> {
    let pending: Pending = reader.get(PENDING).await?;
    match pending.items.iter().find_map(|item| Some((&item.service, item.unreachable.as_ref()?))) {
        Some((service, why)) => Err(AuditError::Unreachable { service: service.clone(), why: why.clone() }),
        None => Ok(pending),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pending(timers: &[(&str, i64)], parked: i64, seq: i64, last: i64) -> Pending {
        let timers = timers.iter().map(|(kind, count)| ((*kind).to_owned(), *count)).collect();
        let behind = vec![Behind { source: "orders".to_owned(), seq, last }];
        Pending { items: vec![ServicePending { service: "payments".to_owned(), timers, parked, behind, unreachable: None }] }
    }

    #[test]
    fn standing_timers_are_at_rest_and_all_else_is_not() {
        assert!(pending(&[("make-slots", 3), ("hold-expiry", 0)], 0, 9, 9).in_flight().is_empty());
        assert_eq!(pending(&[("hold-expiry", 2)], 1, 8, 9).in_flight().len(), 3);
    }

    #[test]
    fn who_gets_no_further_and_what_is_parked_are_breaches() {
        let marks = pending(&[], 2, 5, 9);
        let rules = |breaches: Vec<Breach>| breaches.into_iter().map(|breach| (breach.rule, breach.subject)).collect::<Vec<_>>();
        assert_eq!(rules(marks.breaches()), [("no-event-is-parked".to_owned(), "payments".to_owned())]);
        let unheard = pending(&[], 0, 8, 20).unheard(&marks);
        assert_eq!(rules(unheard), [("events-are-heard".to_owned(), "payments orders".to_owned())]);
        assert!(pending(&[], 0, 9, 20).unheard(&marks).is_empty());
    }

    #[test]
    fn a_mark_is_passed_by_position_or_by_being_gone() {
        let marks = pending(&[], 0, 5, 9);
        assert!(!pending(&[], 0, 8, 20).has_passed(&marks));
        assert!(pending(&[], 0, 9, 20).has_passed(&marks));
        assert!(Pending::default().has_passed(&marks));
    }
}
