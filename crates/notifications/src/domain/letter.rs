//! The templates: news of an order as a subject and a plain text, one function each.
//! Leaves to whom it goes, and that it goes once, to `contact` and `message`.

use contracts::delivery::FailureReason;
use contracts::orders::ShortLine;
use contracts::{OrderId, PersonId, RefundId, Slot};
use kernel::{Money, Timestamp};
use serde::{Deserialize, Serialize};

use super::contact::Reach;

/// How much of a text that others wrote goes into a letter, in characters.
const QUOTED_CHARS_MAX: usize = 200;

/// The longest address of a page that others name, in characters. A longer one is not quoted: half of it leads nowhere.
const URL_CHARS_MAX: usize = 2000;

/// How many short lines a letter names.
const SHORT_LINES_MAX: usize = 50;

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
        /// The how-manieth means of payment it was.
        #[serde(default = "first")]
        attempt: i64,
    },
    /// The shopper is to do something before the money is given.
    ActionRequired {
        /// Where.
        url: String,
        /// Until when.
        until: Timestamp,
        /// For the how-manieth means of payment.
        attempt: i64,
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
        /// Which person that is.
        #[serde(default)]
        courier: Option<PersonId>,
    },
    /// The courier has the goods.
    PickedUp,
    /// It was handed over.
    Delivered,
    /// Fewer units were picked than were ordered.
    ShortPicked {
        /// The lines that are short.
        short: Vec<ShortLine>,
        /// What it costs now.
        total: Money,
    },
    /// The store took its slot away.
    SlotWithdrawn {
        /// Why, in the words of the store's people.
        reason: String,
    },
    /// It could not be handed over.
    DeliveryFailed {
        /// Why.
        reason: FailureReason,
        /// The how-manieth try it was.
        attempt: i64,
    },
    /// Its delivery is tried once more.
    DeliveryAgain {
        /// The how-manieth try that is.
        attempt: i64,
    },
    /// The courier has the goods for a further try.
    PickedUpAgain {
        /// The how-manieth try that is.
        attempt: i64,
    },
    /// It goes back to the store, and ends there.
    Returning {
        /// Why, as `payment-expired` or in words.
        reason: String,
    },
    /// Money was given back.
    RefundPaid {
        /// By which refund.
        refund: RefundId,
        /// How much.
        amount: Money,
        /// How much in all.
        refunded: Money,
    },
}

/// What news of before there were several attempts counts as.
fn first() -> i64 {
    1
}

/// Which letter: at most one of each is ever written for an order and what of it the news is about.
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
    /// On [`News::PickedUp`] and [`News::PickedUpAgain`].
    OnItsWay,
    /// On [`News::Delivered`].
    OrderDelivered,
    /// On [`News::ActionRequired`].
    ActionRequired,
    /// On [`News::ShortPicked`].
    ShortPicked,
    /// On [`News::SlotWithdrawn`].
    SlotWithdrawn,
    /// On [`News::DeliveryFailed`].
    DeliveryFailed,
    /// On [`News::DeliveryAgain`].
    DeliveryAgain,
    /// On [`News::Returning`].
    OrderReturning,
    /// On [`News::RefundPaid`].
    RefundPaid,
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
            Self::ActionRequired => "action-required",
            Self::ShortPicked => "short-picked",
            Self::SlotWithdrawn => "slot-withdrawn",
            Self::DeliveryFailed => "delivery-failed",
            Self::DeliveryAgain => "delivery-again",
            Self::OrderReturning => "order-returning",
            Self::RefundPaid => "refund-paid",
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
            Self::ActionRequired => 9,
            Self::ShortPicked => 10,
            Self::SlotWithdrawn => 11,
            Self::DeliveryFailed => 12,
            Self::DeliveryAgain => 13,
            Self::OrderReturning => 14,
            Self::RefundPaid => 15,
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
            Self::PickedUp | Self::PickedUpAgain { .. } => Template::OnItsWay,
            Self::Delivered => Template::OrderDelivered,
            Self::ActionRequired { .. } => Template::ActionRequired,
            Self::ShortPicked { .. } => Template::ShortPicked,
            Self::SlotWithdrawn { .. } => Template::SlotWithdrawn,
            Self::DeliveryFailed { .. } => Template::DeliveryFailed,
            Self::DeliveryAgain { .. } => Template::DeliveryAgain,
            Self::Returning { .. } => Template::OrderReturning,
            Self::RefundPaid { .. } => Template::RefundPaid,
        }
    }

    /// What of the order it is about, where there can be several letters of its template: which attempt after the first, which
    /// refund, which courier, which total. News about the same are the same news.
    pub(crate) fn about(&self) -> String {
        match self {
            Self::PaymentFailed { attempt, .. }
            | Self::ActionRequired { attempt, .. }
            | Self::DeliveryFailed { attempt, .. }
            | Self::DeliveryAgain { attempt }
            | Self::PickedUpAgain { attempt } => {
                if *attempt == first() {
                    String::new()
                } else {
                    attempt.to_string()
                }
            }
            Self::Assigned { courier, .. } => courier.map(|courier| courier.to_string()).unwrap_or_default(),
            Self::ShortPicked { total, .. } => total.minor.to_string(),
            Self::RefundPaid { refund, .. } => refund.to_string(),
            Self::Placed
            | Self::Confirmed
            | Self::Rejected { .. }
            | Self::Cancelled { .. }
            | Self::PickedUp
            | Self::Delivered
            | Self::SlotWithdrawn { .. }
            | Self::Returning { .. } => String::new(),
        }
    }

    /// Whether the order needs nothing more of the shopper or the store after it.
    pub(crate) fn ends(&self) -> bool {
        matches!(self, Self::Rejected { .. } | Self::Cancelled { .. } | Self::Delivered)
    }

    /// Whether it asks for something, or tells of something to come, that an order which has ended does not need.
    pub(crate) fn is_moot_at_the_end(&self) -> bool {
        matches!(self, Self::PaymentFailed { .. } | Self::ActionRequired { .. } | Self::SlotWithdrawn { .. })
    }

    /// The letter of it to whoever placed the order; `page` is where in the shop the order is seen, if that is known.
    pub(crate) fn letter(&self, order: OrderId, reach: &Reach, page: Option<&str>) -> Letter {
        let (subject, body) = match self {
            Self::Placed => placed(reach),
            Self::Confirmed => confirmed(reach),
            Self::Rejected { detail } => rejected(detail),
            Self::PaymentFailed { detail, .. } => payment_failed(detail),
            Self::Cancelled { reason } => cancelled(reason),
            Self::Assigned { courier_name, .. } => assigned(courier_name, reach),
            Self::PickedUp | Self::PickedUpAgain { .. } => picked_up(),
            Self::Delivered => delivered(reach),
            Self::ActionRequired { url, until, .. } => action_required(url, *until),
            Self::ShortPicked { short, total } => short_picked(short, *total),
            Self::SlotWithdrawn { reason } => slot_withdrawn(reason, reach),
            Self::DeliveryFailed { reason, .. } => delivery_failed(*reason),
            Self::DeliveryAgain { .. } => delivery_again(),
            Self::Returning { reason } => returning(reason),
            Self::RefundPaid { amount, refunded, .. } => refund_paid(*amount, *refunded),
        };
        let name = one_line(&reach.name);
        let page = page.map(|page| format!("{page}\n")).unwrap_or_default();
        Letter { subject: subject.to_owned(), text: format!("Hello {name},\n\n{body}\n\nYour order: {order}\n{page}") }
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

fn action_required(url: &str, until: Timestamp) -> (&'static str, String) {
    let (day, time) = day_and_time(until);
    let place = if is_url(url) { format!("here:\n\n{url}") } else { "where you see your order.".to_owned() };
    let body = format!(
        "your bank wants you to confirm the payment.\n\nPlease do that until {day} {time} UTC {place}\n\n\
         Without it nothing is charged, and your order ends."
    );
    ("Please confirm your payment", body)
}

fn short_picked(short: &[ShortLine], total: Money) -> (&'static str, String) {
    let line = |line: &ShortLine| format!("{}: {} of {}\n", one_line(&line.name), line.picked, line.ordered);
    let lines: String = short.iter().take(SHORT_LINES_MAX).map(line).collect();
    let more = short.len().saturating_sub(SHORT_LINES_MAX);
    let more = if more > 0 { format!("and {more} more\n") } else { String::new() };
    let body = format!(
        "we are sorry: not all that you ordered could be found.\n\n{lines}{more}\nNew total: {total}\n\n\
         You pay only for what comes."
    );
    ("Not all of your order is there", body)
}

fn slot_withdrawn(reason: &str, reach: &Reach) -> (&'static str, String) {
    let (reason, slot) = (one_line(reason), span(&reach.slot));
    let body = format!(
        "we are sorry: the store cannot deliver at the time you chose.\n\nDelivery was to be: {slot}\nWhy not: {reason}\n\n\
         If your order is being packed already, it still comes. If not, it ends, nothing stays charged, and we write again."
    );
    ("The time of your delivery is off", body)
}

fn delivery_failed(reason: FailureReason) -> (&'static str, String) {
    let why = match reason {
        FailureReason::NobodyHome => "nobody opened",
        FailureReason::Refused => "it was not taken at the door",
        FailureReason::WrongAddress => "there is no such door",
        FailureReason::NoAccess => "the door could not be reached",
        FailureReason::Damaged => "the goods did not survive the way",
        FailureReason::CourierDroppedOut => "the courier cannot go on",
        FailureReason::CourierSilent => "we have lost touch with the courier",
        FailureReason::NoCourier => "no courier was free",
    };
    let body = format!(
        "we could not deliver your order: {why}.\n\nThe store decides whether it is tried once more or ends, and we write again."
    );
    ("We could not deliver your order", body)
}

fn delivery_again() -> (&'static str, String) {
    let body = "we try once more to deliver your order.\n\nPlease have its PIN at hand: the courier asks for it at the door.";
    ("We try once more to deliver your order", body.to_owned())
}

fn returning(reason: &str) -> (&'static str, String) {
    let reason = why(reason);
    let body =
        format!("your order goes back to the store ({reason}).\n\nOnce it is there nothing stays charged, and we write again.");
    ("Your order goes back to the store", body)
}

fn refund_paid(amount: Money, refunded: Money) -> (&'static str, String) {
    let body =
        format!("we have given back {amount}.\n\nGiven back in all: {refunded}\n\nYour bank may take some days to show it.");
    ("We have given money back", body)
}

fn cancelled(reason: &str) -> (&'static str, String) {
    let reason = why(reason);
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

/// Why an order ends, in words: those reasons that say too little as they are, in a sentence.
fn why(reason: &str) -> String {
    let sentence = match reason {
        "hold-expired" => "the goods could not be held any longer",
        "payment-timed-out" => "the payment was not confirmed in time",
        "payment-expired" => "your bank no longer sets the amount aside",
        "slot-withdrawn" => "the store cannot deliver at the time you chose",
        "nothing-left" => "nothing of what you ordered could be found",
        _ => return in_words(reason),
    };
    sentence.to_owned()
}

/// Whether a text is the address of a page, and nothing else.
fn is_url(text: &str) -> bool {
    let web = text.starts_with("https://") || text.starts_with("http://");
    web && text.len() <= URL_CHARS_MAX && text.bytes().all(|byte| byte.is_ascii_graphic())
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

    fn short(sku: &str, ordered: i64, picked: i64) -> ShortLine {
        ShortLine { sku: sku.parse().unwrap(), name: format!("Best {sku}"), ordered, picked }
    }

    pub(crate) fn refund(seed: u64) -> News {
        let refund = RefundId(Id::new(Timestamp::from_millis(1_764_000_000_000), Bucket(3), &mut Draw::seeded(seed)));
        let [amount, refunded] = [500, 700].map(|minor| Money::new(minor, reach().total.currency));
        News::RefundPaid { refund, amount, refunded }
    }

    /// News that have a template of an earlier one, each about something else.
    pub(crate) fn further_news() -> Vec<News> {
        vec![
            News::PaymentFailed { detail: "card-declined".to_owned(), attempt: 2 },
            News::PaymentFailed { detail: "card-declined".to_owned(), attempt: 3 },
            News::Assigned { courier_name: "Eve".to_owned(), courier: Some(PersonId(order().0)) },
            News::PickedUpAgain { attempt: 2 },
            News::ActionRequired { url: String::new(), until: reach().slot.cutoff_at, attempt: 2 },
            News::ShortPicked { short: Vec::new(), total: Money::new(700, reach().total.currency) },
            News::DeliveryFailed { reason: FailureReason::Refused, attempt: 2 },
            News::DeliveryAgain { attempt: 3 },
            refund(2),
        ]
    }

    pub(crate) fn every_news() -> Vec<News> {
        vec![
            News::Placed,
            News::Confirmed,
            News::Rejected { detail: "Of whole milk only 1 is left.".to_owned() },
            News::PaymentFailed { detail: "card-declined".to_owned(), attempt: 1 },
            News::Cancelled { reason: "gave-up".to_owned() },
            News::Assigned { courier_name: "Grace".to_owned(), courier: None },
            News::PickedUp,
            News::Delivered,
            News::ActionRequired { url: "https://bank.example/3ds?a=1".to_owned(), until: reach().slot.cutoff_at, attempt: 1 },
            News::ShortPicked {
                short: vec![short("MILK", 3, 1), short("EGGS", 1, 0)],
                total: Money::new(1200, reach().total.currency),
            },
            News::SlotWithdrawn { reason: "The van is broken.".to_owned() },
            News::DeliveryFailed { reason: FailureReason::NobodyHome, attempt: 1 },
            News::DeliveryAgain { attempt: 2 },
            News::Returning { reason: "payment-expired".to_owned() },
            refund(1),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(news: &News, subject: &str, body: &str) {
        let letter = news.letter(samples::order(), &samples::reach(), None);
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
    fn letters_of_the_ways_out_read_as_they_should() {
        let news = samples::every_news();
        check(
            &news[8],
            "Please confirm your payment",
            "your bank wants you to confirm the payment.\n\nPlease do that until 2026-11-24 13:30 UTC here:\n\n\
             https://bank.example/3ds?a=1\n\nWithout it nothing is charged, and your order ends.",
        );
        check(
            &news[9],
            "Not all of your order is there",
            "we are sorry: not all that you ordered could be found.\n\nBest MILK: 1 of 3\nBest EGGS: 0 of 1\n\n\
             New total: USD 12.00\n\nYou pay only for what comes.",
        );
        check(
            &news[10],
            "The time of your delivery is off",
            "we are sorry: the store cannot deliver at the time you chose.\n\n\
             Delivery was to be: 2026-11-24, 14:00 to 15:00 UTC\nWhy not: The van is broken.\n\n\
             If your order is being packed already, it still comes. If not, it ends, nothing stays charged, and we write again.",
        );
        check(
            &news[11],
            "We could not deliver your order",
            "we could not deliver your order: nobody opened.\n\n\
             The store decides whether it is tried once more or ends, and we write again.",
        );
        check(
            &news[12],
            "We try once more to deliver your order",
            "we try once more to deliver your order.\n\nPlease have its PIN at hand: the courier asks for it at the door.",
        );
        check(
            &news[13],
            "Your order goes back to the store",
            "your order goes back to the store (your bank no longer sets the amount aside).\n\n\
             Once it is there nothing stays charged, and we write again.",
        );
        check(
            &news[14],
            "We have given money back",
            "we have given back USD 5.00.\n\nGiven back in all: USD 7.00\n\nYour bank may take some days to show it.",
        );
    }

    #[test]
    fn a_letter_leads_to_the_order_where_it_can_be_seen() {
        let page = "https://shop.example/orders/1";
        let letter = samples::every_news()[3].letter(samples::order(), &samples::reach(), Some(page));
        assert!(letter.text.ends_with(&format!("\n\nYour order: {}\n{page}\n", samples::order())), "{}", letter.text);
    }

    #[test]
    fn only_what_is_the_address_of_a_page_is_quoted_as_one() {
        let until = samples::reach().slot.cutoff_at;
        for url in ["", "javascript:x", "https://a b", "https://a\nb", &format!("https://{}", "x".repeat(2000))] {
            let letter =
                News::ActionRequired { url: url.to_owned(), until, attempt: 1 }.letter(samples::order(), &samples::reach(), None);
            assert!(letter.text.contains("13:30 UTC where you see your order.\n\nWithout"), "{}", letter.text);
        }
    }

    #[test]
    fn many_short_lines_are_counted() {
        let News::ShortPicked { short, total } = samples::every_news().swap_remove(9) else { panic!("no short pick") };
        let letter = News::ShortPicked { short: vec![short[0].clone(); 53], total };
        let text = letter.letter(samples::order(), &samples::reach(), None).text;
        assert_eq!(text.matches("Best MILK: 1 of 3\n").count(), 50);
        assert!(text.contains("\nand 3 more\n"));
    }

    #[test]
    fn what_an_older_program_stored_still_loads() {
        let stored = r#"[{"payment-failed":{"detail":"card-declined"}},{"assigned":{"courier_name":"Grace"}},"picked-up"]"#;
        let news: Vec<News> = serde_json::from_str(stored).unwrap();
        let samples = samples::every_news();
        assert_eq!(news, [&samples[3], &samples[5], &samples[6]].map(Clone::clone));
    }

    #[test]
    fn what_others_wrote_stays_on_its_line() {
        let mut reach = samples::reach();
        reach.name = "Eve\r\nBcc: all@example.com".to_owned();
        let letter = News::Cancelled { reason: format!("a\nb {}", "x".repeat(500)) }.letter(samples::order(), &reach, None);
        assert!(letter.text.starts_with("Hello Eve  Bcc: all@example.com,\n\nyour order is cancelled (a b xxx"));
        assert!(letter.text.len() < 500);
    }

    #[test]
    fn templates_have_numbers_and_words_of_their_own() {
        let templates: Vec<Template> = samples::every_news().iter().map(News::template).collect();
        let numbers: Vec<u8> = templates.iter().map(|template| template.number()).collect();
        assert_eq!(numbers, Vec::from_iter(1..=15));
        for template in templates {
            assert_eq!(serde_json::to_value(template).unwrap(), template.as_str());
        }
    }
}
