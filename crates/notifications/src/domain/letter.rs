//! The templates: news of an order as a subject and a plain text, one function each.
//! Leaves to whom it goes, and that it goes once, to `contact` and `message`.

use contracts::{OrderId, Slot};
use kernel::Timestamp;
use serde::{Deserialize, Serialize};

use super::contact::Reach;

/// How much of a text that others wrote goes into a letter, in characters.
const QUOTED_CHARS_MAX: usize = 200;

/// What happened to an order, with what its letter needs.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum News {
    /// It was taken.
    Placed,
    /// It is promised.
    Confirmed,
    /// It could not be held.
    Rejected {
        /// Why, in a sentence.
        detail: String,
    },
    /// The money was refused.
    PaymentFailed {
        /// The provider's reason.
        detail: String,
    },
    /// It has ended and everything was given back.
    Cancelled {
        /// Why, as `gave-up` or in words.
        reason: String,
    },
    /// A courier will bring it.
    Assigned {
        /// Who.
        courier_name: String,
    },
    /// The courier has the goods.
    PickedUp,
    /// It was handed over.
    Delivered,
}

/// Which letter: at most one of each is ever written for an order.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Template {
    /// On [`News::Placed`].
    OrderReceived,
    /// On [`News::Confirmed`].
    OrderConfirmed,
    /// On [`News::Rejected`].
    OrderRejected,
    /// On [`News::PaymentFailed`].
    PaymentFailed,
    /// On [`News::Cancelled`].
    OrderCancelled,
    /// On [`News::Assigned`].
    CourierAssigned,
    /// On [`News::PickedUp`].
    OnItsWay,
    /// On [`News::Delivered`].
    OrderDelivered,
}

impl Template {
    /// The kebab-case word of the template.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::OrderReceived => "order-received",
            Self::OrderConfirmed => "order-confirmed",
            Self::OrderRejected => "order-rejected",
            Self::PaymentFailed => "payment-failed",
            Self::OrderCancelled => "order-cancelled",
            Self::CourierAssigned => "courier-assigned",
            Self::OnItsWay => "on-its-way",
            Self::OrderDelivered => "order-delivered",
        }
    }

    /// Its number in the ids of messages: never 0, never another.
    pub(crate) fn number(self) -> u8 {
        match self {
            Self::OrderReceived => 1,
            Self::OrderConfirmed => 2,
            Self::OrderRejected => 3,
            Self::PaymentFailed => 4,
            Self::OrderCancelled => 5,
            Self::CourierAssigned => 6,
            Self::OnItsWay => 7,
            Self::OrderDelivered => 8,
        }
    }
}

/// A letter.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Letter {
    /// One line.
    pub(crate) subject: String,
    /// Plain text.
    pub(crate) text: String,
}

impl News {
    /// Which letter tells of it.
    pub(crate) fn template(&self) -> Template {
        match self {
            Self::Placed => Template::OrderReceived,
            Self::Confirmed => Template::OrderConfirmed,
            Self::Rejected { .. } => Template::OrderRejected,
            Self::PaymentFailed { .. } => Template::PaymentFailed,
            Self::Cancelled { .. } => Template::OrderCancelled,
            Self::Assigned { .. } => Template::CourierAssigned,
            Self::PickedUp => Template::OnItsWay,
            Self::Delivered => Template::OrderDelivered,
        }
    }

    /// The letter of it to whoever placed the order.
    pub(crate) fn letter(&self, order: OrderId, reach: &Reach) -> Letter {
        let (subject, body) = match self {
            Self::Placed => placed(reach),
            Self::Confirmed => confirmed(reach),
            Self::Rejected { detail } => rejected(detail),
            Self::PaymentFailed { detail } => payment_failed(detail),
            Self::Cancelled { reason } => cancelled(reason),
            Self::Assigned { courier_name } => assigned(courier_name, reach),
            Self::PickedUp => picked_up(),
            Self::Delivered => delivered(reach),
        };
        let name = one_line(&reach.name);
        Letter { subject: subject.to_owned(), text: format!("Hello {name},\n\n{body}\n\nYour order: {order}\n") }
    }
}

fn placed(reach: &Reach) -> (&'static str, String) {
    let (total, slot) = (reach.total, span(&reach.slot));
    let body = format!(
        "thank you, we have your order.\n\nTotal: {total}\nDelivery: {slot}\n\n\
         We write again as soon as goods, time and payment are settled."
    );
    ("We have your order", body)
}

fn confirmed(reach: &Reach) -> (&'static str, String) {
    let (total, slot) = (reach.total, span(&reach.slot));
    let body = format!(
        "your order is confirmed: the goods and the time are yours.\n\nTotal: {total}\nDelivery: {slot}\n\n\
         You pay when it is delivered; until then the amount is only set aside."
    );
    ("Your order is confirmed", body)
}

fn rejected(detail: &str) -> (&'static str, String) {
    let detail = one_line(detail);
    let body = format!("we are sorry: we cannot fulfil your order.\n\n{detail}\n\nNothing was charged.");
    ("We cannot fulfil your order", body)
}

fn payment_failed(detail: &str) -> (&'static str, String) {
    let detail = in_words(detail);
    let body = format!(
        "your payment was refused ({detail}).\n\n\
         Your goods are still held for you for a few minutes: open your order and pay in another way."
    );
    ("Your payment was refused", body)
}

fn cancelled(reason: &str) -> (&'static str, String) {
    let reason = in_words(reason);
    let body = format!("your order is cancelled ({reason}).\n\nNothing stays charged.");
    ("Your order is cancelled", body)
}

fn assigned(courier_name: &str, reach: &Reach) -> (&'static str, String) {
    let (courier, slot) = (one_line(courier_name), span(&reach.slot));
    ("A courier will bring your order", format!("{courier} will bring your order.\n\nDelivery: {slot}"))
}

fn picked_up() -> (&'static str, String) {
    let body = "your order is on its way to you.\n\nPlease have its PIN at hand: the courier asks for it at the door.";
    ("Your order is on its way", body.to_owned())
}

fn delivered(reach: &Reach) -> (&'static str, String) {
    let total = reach.total;
    ("Your order was delivered", format!("your order was delivered. Enjoy it!\n\nTotal: {total}"))
}

/// When a slot is, in UTC: the store's own clock is not known here.
fn span(slot: &Slot) -> String {
    let (day, from) = day_and_time(slot.starts_at.0);
    let (last_day, to) = day_and_time(slot.ends_at);
    if day == last_day { format!("{day}, {from} to {to} UTC") } else { format!("{day} {from} to {last_day} {to} UTC") }
}

fn day_and_time(at: Timestamp) -> (String, String) {
    let text = at.to_string();
    let (day, time) = text.split_once('T').unwrap_or((&text, ""));
    (day.to_owned(), time.chars().take("00:00".len()).collect())
}

/// A reason for machines in words: `card-declined` as `card declined`. What is in words already stays.
fn in_words(reason: &str) -> String {
    let reason = one_line(reason);
    if reason.contains(' ') { reason } else { reason.replace('-', " ") }
}

/// What others wrote, short and on one line, so that it cannot pass for a part of the letter.
fn one_line(text: &str) -> String {
    let plain = |letter: char| if letter.is_control() { ' ' } else { letter };
    text.chars().map(plain).take(QUOTED_CHARS_MAX).collect::<String>().trim().to_owned()
}

#[cfg(test)]
pub(crate) mod samples {
    //! An order and every news of it.

    use contracts::{PersonId, SlotKey};
    use kernel::{Bucket, Draw, Id, Money};

    use super::*;

    pub(crate) fn order() -> OrderId {
        OrderId(Id::new(Timestamp::from_millis(1_764_000_000_000), Bucket(3), &mut Draw::seeded(5)))
    }

    pub(crate) fn reach() -> Reach {
        let at = |text| Timestamp::parse(text).unwrap();
        Reach {
            customer: Some(PersonId(order().0)),
            name: "Ada".to_owned(),
            email: "ada@example.com".to_owned(),
            total: Money::new(2317, "USD".parse().unwrap()),
            slot: Slot {
                starts_at: SlotKey(at("2026-11-24T14:00:00Z")),
                ends_at: at("2026-11-24T15:00:00Z"),
                cutoff_at: at("2026-11-24T13:30:00Z"),
            },
        }
    }

    pub(crate) fn every_news() -> Vec<News> {
        vec![
            News::Placed,
            News::Confirmed,
            News::Rejected { detail: "Of whole milk only 1 is left.".to_owned() },
            News::PaymentFailed { detail: "card-declined".to_owned() },
            News::Cancelled { reason: "gave-up".to_owned() },
            News::Assigned { courier_name: "Grace".to_owned() },
            News::PickedUp,
            News::Delivered,
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(news: &News, subject: &str, body: &str) {
        let letter = news.letter(samples::order(), &samples::reach());
        assert_eq!(letter.subject, subject);
        let order = samples::order();
        assert_eq!(letter.text, format!("Hello Ada,\n\n{body}\n\nYour order: {order}\n"));
    }

    #[test]
    fn letters_read_as_they_should() {
        let news = samples::every_news();
        check(
            &news[0],
            "We have your order",
            "thank you, we have your order.\n\nTotal: USD 23.17\nDelivery: 2026-11-24, 14:00 to 15:00 UTC\n\n\
             We write again as soon as goods, time and payment are settled.",
        );
        check(
            &news[1],
            "Your order is confirmed",
            "your order is confirmed: the goods and the time are yours.\n\nTotal: USD 23.17\n\
             Delivery: 2026-11-24, 14:00 to 15:00 UTC\n\n\
             You pay when it is delivered; until then the amount is only set aside.",
        );
        check(
            &news[2],
            "We cannot fulfil your order",
            "we are sorry: we cannot fulfil your order.\n\nOf whole milk only 1 is left.\n\nNothing was charged.",
        );
        check(
            &news[3],
            "Your payment was refused",
            "your payment was refused (card declined).\n\n\
             Your goods are still held for you for a few minutes: open your order and pay in another way.",
        );
        check(&news[4], "Your order is cancelled", "your order is cancelled (gave up).\n\nNothing stays charged.");
        check(
            &news[5],
            "A courier will bring your order",
            "Grace will bring your order.\n\nDelivery: 2026-11-24, 14:00 to 15:00 UTC",
        );
        check(
            &news[6],
            "Your order is on its way",
            "your order is on its way to you.\n\nPlease have its PIN at hand: the courier asks for it at the door.",
        );
        check(&news[7], "Your order was delivered", "your order was delivered. Enjoy it!\n\nTotal: USD 23.17");
    }

    #[test]
    fn what_others_wrote_stays_on_its_line() {
        let mut reach = samples::reach();
        reach.name = "Eve\r\nBcc: all@example.com".to_owned();
        let letter = News::Cancelled { reason: format!("a\nb {}", "x".repeat(500)) }.letter(samples::order(), &reach);
        assert!(letter.text.starts_with("Hello Eve  Bcc: all@example.com,\n\nyour order is cancelled (a b xxx"));
        assert!(letter.text.len() < 500);
    }

    #[test]
    fn templates_have_numbers_and_words_of_their_own() {
        let templates: Vec<Template> = samples::every_news().iter().map(News::template).collect();
        let numbers: Vec<u8> = templates.iter().map(|template| template.number()).collect();
        assert_eq!(numbers, [1, 2, 3, 4, 5, 6, 7, 8]);
        for template in templates {
            assert_eq!(serde_json::to_value(template).unwrap(), template.as_str());
        }
    }
}
