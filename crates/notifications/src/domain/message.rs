//! A message: one letter to one recipient, and its way: queued → sent | failed.
//! Leaves what is written in it to `letter`, and the sending to `jobs`.

use contracts::{OrderId, PersonId};
use kernel::{Draw, Id, Millis, Timestamp};
use serde::{Deserialize, Serialize};

use super::contact::Reach;
use super::letter::{Letter, News, Template};
use crate::config::Config;

/// How much of what a mailer says is kept, in characters.
const CAUSE_CHARS_MAX: usize = 300;

/// What became of one try to send a message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// Whoever carries it on has taken it.
    Sent,
    /// It was not taken.
    Failed {
        /// Whether another try may do better.
        again: bool,
        /// What the other side said, for people who run the shop.
        cause: String,
    },
}

/// Where a message stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum State {
    /// It is to be sent.
    Queued,
    /// The mailer has taken it.
    Sent,
    /// It was given up.
    Failed,
}

impl State {
    /// The kebab-case word of the state.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Sent => "sent",
            Self::Failed => "failed",
        }
    }
}

/// A message.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Message {
    /// Its id, in the order's bucket; see [`message_id`].
    pub(crate) id: Id,
    /// Of which order it tells.
    pub(crate) order: OrderId,
    /// Who placed that, if signed in.
    pub(crate) customer: Option<PersonId>,
    /// Which letter it is.
    pub(crate) template: Template,
    /// What of the order it is about; see [`News::about`].
    #[serde(default)]
    pub(crate) about: String,
    /// Where it goes.
    pub(crate) recipient: String,
    /// One line.
    pub(crate) subject: String,
    /// Plain text.
    pub(crate) text: String,
    /// Where it stands.
    pub(crate) state: State,
    /// How often it was given to a mailer.
    pub(crate) tries: i64,
    /// When it was written.
    pub(crate) made_at: Timestamp,
    /// When it is to be tried next, while it is queued.
    pub(crate) due_at: Timestamp,
    /// When a mailer took it.
    pub(crate) sent_at: Option<Timestamp>,
    /// The mailer that had it last.
    pub(crate) mailer: Option<String>,
    /// Why the last try failed, if it did.
    pub(crate) cause: Option<String>,
}

/// The id of the one message that an order ever gets of a template and about something: the order's own, with the template's
/// number and what it is about folded into its last bytes. So the message's key itself keeps it from being written twice, and it
/// lives in the order's bucket.
pub(crate) fn message_id(order: OrderId, news: &News) -> Id {
    let mut bytes = *order.0.as_bytes();
    bytes[15] ^= news.template().number();
    let about = news.about();
    if !about.is_empty() {
        // FNV-1a. Its bytes from the tenth on are chance, the bucket stands before.
        let hash =
            about.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        bytes[10..].iter_mut().zip(hash.to_le_bytes()).for_each(|(byte, folded)| *byte ^= folded);
    }
    Id::from_bytes(bytes)
}

impl Message {
    /// The message of `news` to whoever placed the order, to be sent at once.
    pub(crate) fn written(order: OrderId, reach: &Reach, news: &News, page: Option<&str>, now: Timestamp) -> Self {
        let Letter { subject, text } = news.letter(order, reach, page);
        Self {
            id: message_id(order, news),
            order,
            customer: reach.customer,
            template: news.template(),
            about: news.about(),
            recipient: reach.email.clone(),
            subject,
            text,
            state: State::Queued,
            tries: 0,
            made_at: now,
            due_at: now,
            sent_at: None,
            mailer: None,
            cause: None,
        }
    }

    /// The message after its try number `attempt` by `mailer` came to `outcome`; `None` if that try is over already or the
    /// message waits no more, as when two processes sent it.
    pub(crate) fn after(
        &self,
        attempt: i64,
        mailer: &str,
        outcome: &Outcome,
        now: Timestamp,
        limits: &Config,
        draw: &mut Draw,
    ) -> Option<Self> {
        if self.state != State::Queued || attempt != self.tries + 1 {
            return None;
        }
        let tried = Self { tries: attempt, mailer: Some(mailer.to_owned()), cause: None, ..self.clone() };
        Some(match outcome {
            Outcome::Sent => Self { state: State::Sent, sent_at: Some(now), ..tried },
            Outcome::Failed { again, cause } => {
                let cause = Some(cause.chars().filter(|letter| !letter.is_control()).take(CAUSE_CHARS_MAX).collect());
                let over = !again || attempt >= limits.tries_max;
                let state = if over { State::Failed } else { State::Queued };
                Self { state, due_at: now.plus_ms(pause_ms(attempt, limits, draw)), cause, ..tried }
            }
        })
    }
}

/// How long to wait after the failed try number `attempt`: twice as long after each, half of it by chance, so that messages
/// that failed together do not all come back together.
fn pause_ms(attempt: i64, limits: &Config, draw: &mut Draw) -> Millis {
    let doublings = u32::try_from(attempt - 1).unwrap_or(0).min(30);
    let ceiling = limits.again_first_ms.saturating_mul(1 << doublings).min(limits.again_max_ms);
    let by_chance = draw.below((ceiling / 2 + 1).unsigned_abs());
    ceiling - ceiling / 2 + i64::try_from(by_chance).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::domain::letter::samples;
    use proptest::prelude::*;

    fn now() -> Timestamp {
        Timestamp::from_millis(1_764_000_000_000)
    }

    fn message() -> Message {
        Message::written(samples::order(), &samples::reach(), &News::Placed, None, now())
    }

    fn failed(again: bool) -> Outcome {
        Outcome::Failed { again, cause: "mailbox\nfull".to_owned() }
    }

    fn after(message: &Message, attempt: i64, outcome: &Outcome) -> Option<Message> {
        message.after(attempt, "test", outcome, now(), &Config::default(), &mut Draw::seeded(1))
    }

    #[test]
    fn each_template_of_an_order_has_one_id_in_its_bucket_for_what_it_is_about() {
        let (order, news) = (samples::order(), [samples::every_news(), samples::further_news()].concat());
        let ids: BTreeSet<Id> = news.iter().map(|news| message_id(order, news)).collect();
        assert_eq!(ids.len(), news.len());
        assert!(ids.iter().all(|id| id.bucket() == order.bucket() && *id != order.0));
        // Another reason for the same attempt is the same letter; so is one of before there were attempts.
        let [again, before] =
            ["another", "card-declined"].map(|detail| News::PaymentFailed { detail: detail.to_owned(), attempt: 1 });
        assert_eq!(message_id(order, &again), message_id(order, &before));
        let mut bytes = *order.0.as_bytes();
        bytes[15] ^= Template::PaymentFailed.number();
        assert_eq!(message_id(order, &before), Id::from_bytes(bytes));
    }

    #[test]
    fn outcomes_move_it() {
        let sent = after(&message(), 1, &Outcome::Sent).unwrap();
        assert_eq!((sent.state, sent.tries, sent.sent_at), (State::Sent, 1, Some(now())));
        let waiting = after(&message(), 1, &failed(true)).unwrap();
        assert_eq!((waiting.state, waiting.cause.as_deref()), (State::Queued, Some("mailboxfull")));
        assert!((15_000..=30_000).contains(&waiting.due_at.since_ms(now())), "{:?}", waiting.due_at);
        let hopeless = after(&message(), 1, &failed(false)).unwrap();
        assert_eq!((hopeless.state, hopeless.sent_at), (State::Failed, None));
    }

    #[test]
    fn pauses_double_up_to_a_limit() {
        let limits = Config::default();
        let mut draw = Draw::seeded(3);
        for (attempt, ceiling) in [(1, 30_000), (2, 60_000), (5, 480_000), (8, 3_600_000), (1_000_000, 3_600_000)] {
            let pause = pause_ms(attempt, &limits, &mut draw);
            assert!((ceiling / 2..=ceiling).contains(&pause), "{attempt}: {pause}");
        }
    }

    proptest! {
        /// However outcomes come, late and doubled ones too, a message is sent at most once, is never tried more often than it
        /// may be, and does not move again once it is sent or given up.
        #[test]
        fn a_message_ends_once(outcomes in prop::collection::vec((0i64..12, 0u8..3), 0..60)) {
            let mut message = message();
            let mut ended = None;
            for (attempt, kind) in outcomes {
                let outcome = match kind {
                    0 => Outcome::Sent,
                    1 => failed(true),
                    _ => failed(false),
                };
                let Some(next) = after(&message, attempt, &outcome) else { continue };
                prop_assert!(ended.is_none());
                prop_assert_eq!(next.tries, message.tries + 1);
                prop_assert!(next.tries <= Config::default().tries_max);
                prop_assert_eq!(next.sent_at.is_some(), next.state == State::Sent);
                if next.state != State::Queued {
                    ended = Some(next.clone());
                }
                message = next;
            }
            prop_assert_eq!(ended.is_some(), message.state != State::Queued);
        }
    }
}
