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
    /// News that wait for that, at most one for each template.
    pub(crate) waiting: Vec<News>,
}

impl Contact {
    /// An order of which nothing is known yet.
    pub(crate) fn unknown(order: OrderId) -> Self {
        Self { order, reach: None, waiting: Vec::new() }
    }

    /// The order was placed: gives the news to write now. A repetition changes nothing.
    pub(crate) fn placed(&mut self, reach: Reach) -> Vec<News> {
        if self.reach.is_some() {
            return Vec::new();
        }
        self.reach = Some(reach);
        let mut news = vec![News::Placed];
        news.append(&mut self.waiting);
        news
    }

    /// There is news of the order: gives what to write now, which is nothing while nobody can be reached.
    pub(crate) fn heard(&mut self, news: News) -> Vec<News> {
        if self.reach.is_some() {
            return vec![news];
        }
        if self.waiting.iter().all(|waiting| waiting.template() != news.template()) {
            self.waiting.push(news);
        }
        Vec::new()
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
        fn every_news_is_written_once_the_order_is_known(steps in prop::collection::vec(0usize..9, 0..40)) {
            let news = samples::every_news();
            let mut contact = Contact::unknown(samples::order());
            let (mut written, mut heard) = (Vec::new(), Vec::new());
            for step in steps {
                if step == 8 {
                    written.extend(contact.placed(samples::reach()));
                } else {
                    // The first of the samples is the placing itself, which comes with the contact only.
                    let news = news[step.max(1)].clone();
                    heard.push(news.template());
                    written.extend(contact.heard(news));
                }
                prop_assert_eq!(contact.reach.is_none(), written.is_empty());
                prop_assert!(contact.waiting.len() <= news.len());
            }
            if contact.reach.is_some() {
                prop_assert!(contact.waiting.is_empty());
                let written: Vec<_> = written.iter().map(News::template).collect();
                prop_assert!(heard.iter().all(|template| written.contains(template)));
            }
        }
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
