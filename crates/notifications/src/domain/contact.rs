//! How to reach whoever placed an order, and the news that came before that was known.
//! Leaves what is written on news to `letter`, and that each is written once to `message`.

use contracts::{OrderId, PersonId, Slot};
use kernel::Money;
use serde::{Deserialize, Serialize};

use super::letter::News;

/// What an order says of whoever placed it, as far as messages need it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Reach {
    /// Who ordered, if signed in.
    pub(crate) customer: Option<PersonId>,
    /// How to address them.
    pub(crate) name: String,
    /// Where messages go.
    pub(crate) email: String,
    /// What is to be paid.
    pub(crate) total: Money,
    /// When it is to come.
    pub(crate) slot: Slot,
}

/// What is known of an order. News of other topics may come first and then wait for the order itself.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Contact {
    /// The order.
    pub(crate) order: OrderId,
    /// How to reach whoever placed it, once that is known.
    pub(crate) reach: Option<Reach>,
    /// News that wait for that, each once.
    pub(crate) waiting: Vec<News>,
    /// Whether the order has ended, or is about to.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) over: bool,
}

/// How many news wait at most; of more, the order itself tells enough.
const WAITING_MAX: usize = 64;

impl Contact {
    /// An order of which nothing is known yet.
    pub(crate) fn unknown(order: OrderId) -> Self {
        Self { order, reach: None, waiting: Vec::new(), over: false }
    }

    /// The order was placed: gives the news to write now. A repetition changes nothing.
    pub(crate) fn placed(&mut self, reach: Reach) -> Vec<News> {
        if self.reach.is_some() {
            return Vec::new();
        }
        self.reach = Some(reach);
        let mut news = vec![News::Placed];
        news.append(&mut self.waiting);
        news.retain(|news| !(self.over && news.is_moot_at_the_end()));
        news
    }

    /// There is news of the order: gives what to write now, which is nothing while nobody can be reached, nor if it has come
    /// too late to be of use.
    pub(crate) fn heard(&mut self, news: News) -> Vec<News> {
        if self.over && news.is_moot_at_the_end() {
            return Vec::new();
        }
        self.over |= news.ends();
        if self.reach.is_some() {
            return vec![news];
        }
        let known = |waiting: &News| (waiting.template(), waiting.about()) == (news.template(), news.about());
        if self.waiting.len() < WAITING_MAX && !self.waiting.iter().any(known) {
            self.waiting.push(news);
        }
        Vec::new()
    }

    /// What it costs has changed; letters from now on say so.
    pub(crate) fn costs(&mut self, total: Money) {
        if let Some(reach) = &mut self.reach {
            reach.total = total;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::letter::samples;
    use proptest::prelude::*;

    proptest! {
        /// Whatever the order of events and however often each comes, every template is written that was heard of, none before
        /// the order is known, and what waits is bounded.
        #[test]
        fn every_news_is_written_once_the_order_is_known(steps in prop::collection::vec(0usize..25, 0..80)) {
            let news = [samples::every_news(), samples::further_news()].concat();
            let mut contact = Contact::unknown(samples::order());
            let (mut written, mut heard) = (Vec::new(), Vec::new());
            for step in steps {
                if step == news.len() {
                    written.extend(contact.placed(samples::reach()));
                } else {
                    // The first of the samples is the placing itself, which comes with the contact only.
                    let news = news[step.max(1)].clone();
                    let over = contact.over;
                    if !(news.is_moot_at_the_end() && (over || contact.reach.is_none())) {
                        heard.push((news.template(), news.about()));
                    }
                    let now = contact.heard(news);
                    prop_assert!(now.iter().all(|news| !(over && news.is_moot_at_the_end())));
                    written.extend(now);
                }
                prop_assert_eq!(contact.reach.is_none(), written.is_empty());
                prop_assert!(contact.waiting.len() <= news.len());
            }
            if contact.reach.is_some() {
                prop_assert!(contact.waiting.is_empty());
                let written: Vec<_> = written.iter().map(|news| (news.template(), news.about())).collect();
                prop_assert!(heard.iter().all(|heard| written.contains(heard)));
            }
        }
    }

    #[test]
    fn what_asks_for_something_is_not_written_to_an_order_that_has_ended() {
        let news = samples::every_news();
        let (failed, cancelled) = (news[3].clone(), news[4].clone());
        let mut contact = Contact::unknown(samples::order());
        assert_eq!(contact.heard(failed.clone()), []);
        assert_eq!(contact.heard(cancelled.clone()), []);
        assert_eq!(contact.heard(news[10].clone()), []);
        // A refund comes after the end and is told.
        assert_eq!(contact.heard(news[14].clone()), []);
        assert_eq!(contact.placed(samples::reach()), [News::Placed, cancelled, news[14].clone()]);
        assert_eq!(contact.heard(failed), []);
        assert_eq!(contact.heard(samples::refund(2)), [samples::refund(2)]);
    }

    #[test]
    fn a_repetition_changes_nothing() {
        let mut contact = Contact::unknown(samples::order());
        let news = samples::every_news()[1].clone();
        assert_eq!(contact.heard(news.clone()), []);
        assert_eq!(contact.heard(news.clone()), []);
        assert_eq!(contact.placed(samples::reach()), [News::Placed, news]);
        let before = contact.clone();
        assert_eq!(contact.placed(samples::reach()), []);
        assert_eq!(contact, before);
    }
}
