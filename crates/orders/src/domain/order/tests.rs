//! The machine of an order from every side. Here stands what its tests share: an order, what can happen to it, and an order in
//! each state. `ways` are its way and each way out, `asking` what is refused, `lines` and `refunds` their arithmetic, `walks`
//! anything at all in any order, `world` the order among the services it lives with.
//! Leaves what is stored, and who may come as what, to the tests of the service.

mod asking;
mod lines;
mod refunds;
mod walks;
mod ways;
mod world;

use contracts::delivery::FailureReason;
use contracts::inventory::{Short, Thing};
use contracts::{Point, Quantity, RefundId, SlotKey};
use kernel::{Bucket, Currency, Draw, Fault, Id};

use super::*;

const MARGIN_MS: Millis = 60_000;
/// What the order of these tests costs.
const TOTAL: i64 = 2942;

const STATES: [State; 14] = [
    State::Placed,
    State::Reserved,
    State::Authorised,
    State::Confirmed,
    State::Picking,
    State::Ready,
    State::OutForDelivery,
    State::Delivered,
    State::Rejected,
    State::PaymentFailed,
    State::DeliveryFailed,
    State::Returning,
    State::Cancelling,
    State::Cancelled,
];

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(1_764_000_000_000).plus_ms(ms)
}

fn usd(minor: i64) -> Money {
    let currency: Currency = "USD".parse().unwrap();
    Money::new(minor, currency)
}

fn id(seed: u64) -> Id {
    Id::new(at(0), Bucket(3), &mut Draw::seeded(seed))
}

fn refund_id(seed: u64) -> RefundId {
    RefundId(id(100 + seed))
}

fn sku(sku: &str) -> Sku {
    sku.parse().unwrap()
}

fn line(sku: &str, quantity: i64, unit: i64, tax: i64) -> Line {
    Line {
        sku: sku.parse().unwrap(),
        name: format!("{sku}, one"),
        quantity: Quantity::try_from(quantity).unwrap(),
        unit_price: usd(unit),
        tax: usd(tax),
        total: usd(unit * quantity + tax),
    }
}

/// An order that was placed just now: two and three bottles of milk in two lines, and a soap.
fn placed() -> Order {
    Order {
        id: OrderId(id(1)),
        cart: CartId(id(2)),
        customer: None,
        store: StoreId(id(3)),
        contact: Contact { name: "Ada".to_owned(), email: "ada@example.com".to_owned(), phone: String::new() },
        address: Address { street: "1 Elm St".to_owned(), note: String::new(), point: Point { lat: 33.77, lon: -84.36 } },
        slot: Slot { starts_at: SlotKey(at(3_600_000)), ends_at: at(7_200_000), cutoff_at: at(5_400_000) },
        slot_withdrawn: false,
        lines: vec![line("MILK", 2, 400, 39), line("SOAP", 1, 500, 45), line("MILK", 3, 400, 59)],
        picked: BTreeMap::new(),
        fee: usd(299),
        tax: usd(143),
        total: usd(TOTAL),
        payment_token: "tok_visa".to_owned(),
        payment_attempt: 1,
        state: State::Placed,
        hold: Hold::Requested,
        payment: Payment::Created,
        delivery: Delivery::default(),
        refunds: Vec::new(),
        refunded_minor: 0,
        dispute: None,
        reason: None,
        history: vec![Moment { state: State::Placed, at: at(0), by: "guest".to_owned(), what: None, person: None, reason: None }],
        placed_at: at(0),
    }
}

/// What can happen to an order.
#[derive(Clone, Debug)]
enum Step {
    Hear(Heard),
    Ask(Part, Wish),
    Wait,
}

fn take(order: &mut Order, step: &Step) -> Result<Vec<Said>, Fault> {
    match step {
        Step::Hear(heard) => Ok(order.hear(heard.clone(), at(1), MARGIN_MS)),
        Step::Ask(part, wish) => order.ask(wish, &asker(*part), at(1), MARGIN_MS),
        Step::Wait => Ok(order.waited(at(1), MARGIN_MS)),
    }
}

fn take_all(order: &mut Order, steps: &[Step]) -> Vec<Said> {
    steps.iter().flat_map(|step| take(order, step).unwrap()).collect()
}

fn asker(part: Part) -> Asker {
    Asker { parts: vec![part], person: None }
}

fn hold(hold: Hold) -> Step {
    Step::Hear(Heard::Hold(hold))
}

fn reserved() -> Step {
    hold(Hold::Reserved { expires_at: at(600_000) })
}

fn rejected() -> Step {
    let milk = Short { thing: Thing::Sku(sku("MILK")), wanted: 5, left: 1 };
    let slot = Short { thing: Thing::Slot(SlotKey(at(3_600_000))), wanted: 1, left: 0 };
    hold(Hold::Rejected { short: vec![milk, slot] })
}

fn committed() -> Step {
    hold(Hold::Committed)
}

fn released() -> Step {
    hold(Hold::Released)
}

fn hold_expired() -> Step {
    hold(Hold::Expired)
}

fn slot_withdrawn() -> Step {
    Step::Hear(Heard::SlotWithdrawn { reason: "the van broke down".to_owned() })
}

fn attempt(attempt: i64, payment: Payment) -> Step {
    Step::Hear(Heard::Attempt(attempt, payment))
}

fn payment(payment: Payment) -> Step {
    Step::Hear(Heard::Payment(payment))
}

fn action_required() -> Step {
    attempt(1, Payment::ActionRequired { url: "https://bank.example/3ds".to_owned(), until: at(540_000) })
}

fn declined(of: i64) -> Step {
    attempt(of, Payment::Declined { reason: "card-declined".to_owned() })
}

fn authorised(of: i64) -> Step {
    attempt(of, Payment::Authorised)
}

fn voided() -> Step {
    payment(Payment::Voided)
}

fn payment_expired() -> Step {
    payment(Payment::Expired)
}

fn captured(minor: i64) -> Step {
    payment(Payment::Captured { amount: usd(minor) })
}

fn picked_up(attempt: i64) -> Step {
    Step::Hear(Heard::PickedUp(attempt))
}

fn failed(attempt: i64) -> Step {
    let failure = Failure { reason: FailureReason::NobodyHome, note: "rang twice".to_owned() };
    Step::Hear(Heard::Failed(attempt, failure))
}

fn returned() -> Step {
    Step::Hear(Heard::Returned)
}

fn delivered() -> Step {
    Step::Hear(Heard::Delivered)
}

fn withdrawn() -> Step {
    Step::Hear(Heard::Withdrawn)
}

fn cancel(part: Part) -> Step {
    Step::Ask(part, Wish::Cancel { reason: "gave-up".to_owned() })
}

fn pay_again() -> Step {
    Step::Ask(Part::Shopper, Wish::Pay { payment_token: "tok_amex".to_owned() })
}

fn pick() -> Step {
    Step::Ask(Part::Picker, Wish::Pick)
}

fn short(picks: &[(&str, i64)]) -> Step {
    let picks = picks.iter().map(|(name, picked)| Picked { sku: sku(name), picked: *picked, restock: true });
    Step::Ask(Part::Picker, Wish::ShortPick(picks.collect()))
}

fn ready() -> Step {
    Step::Ask(Part::Picker, Wish::Ready)
}

fn again() -> Step {
    Step::Ask(Part::Dispatcher, Wish::DeliverAgain { reason: "they are home at six".to_owned() })
}

fn bring_back() -> Step {
    Step::Ask(Part::Dispatcher, Wish::Return { reason: "nobody lives there".to_owned() })
}

fn refund(seed: u64, share: Share) -> Step {
    Step::Ask(Part::Manager, Wish::Refund { id: refund_id(seed), share, reason: "broken".to_owned() })
}

fn word(said: &Said) -> &'static str {
    match said {
        Said::Reserved(_) => "reserved",
        Said::PaymentAgain(_) => "payment-again",
        Said::Commit(_) => "commit",
        Said::Confirmed(_) => "confirmed",
        Said::Rejected(_) => "rejected",
        Said::PaymentFailed(_) => "payment-failed",
        Said::ShortPicked(_) => "short-picked",
        Said::Reduce(_) => "reduce",
        Said::Ready(_) => "ready",
        Said::Recalled(_) => "recalled",
        Said::DeliveryAgain(_) => "delivery-again",
        Said::Cancelling(_) => "cancelling",
        Said::Release(_) => "release",
        Said::Cancelled(_) => "cancelled",
        Said::Delivered(_) => "delivered",
        Said::Consume(_) => "consume",
        Said::RefundRequested(_) => "refund-requested",
    }
}

fn words(said: &[Said]) -> String {
    said.iter().map(word).collect::<Vec<_>>().join(" ")
}

/// The steps to a promised order.
fn to_confirmed() -> Vec<Step> {
    vec![reserved(), authorised(1), committed()]
}

/// An order in `state`, by the shortest way there.
fn order_in(state: State) -> Order {
    let out = [to_confirmed(), vec![pick(), ready(), picked_up(1)]].concat();
    let steps = match state {
        State::Rejected => vec![rejected()],
        State::PaymentFailed => vec![reserved(), declined(1)],
        State::DeliveryFailed => [out, vec![failed(1)]].concat(),
        State::Returning => [out, vec![cancel(Part::Manager)]].concat(),
        State::Cancelling => vec![cancel(Part::Shopper)],
        State::Cancelled => vec![cancel(Part::Shopper), released(), voided()],
        _ => [out, vec![delivered()]].concat(),
    };
    let mut order = placed();
    for step in steps {
        if order.state == state {
            break;
        }
        take(&mut order, &step).unwrap();
    }
    assert_eq!(order.state, state);
    order
}

/// An order that was handed over and paid.
fn paid() -> Order {
    let mut order = order_in(State::Delivered);
    take_all(&mut order, &[hold(Hold::Consumed), captured(TOTAL)]);
    order
}

/// What must hold of every order at every instant.
fn assert_sound(order: &Order) {
    let lines = order.lines_now();
    assert_eq!(order.total.minor, lines.iter().map(|line| line.total.minor).sum::<i64>() + order.fee.minor);
    assert_eq!(order.tax.minor, lines.iter().map(|line| line.tax.minor).sum::<i64>());
    assert_eq!(order.history.last().map(|moment| moment.state), Some(order.state));
    assert!(!(order.was(State::Delivered) && order.was(State::Cancelling)), "handed over and given back: {order:?}");
    let given = order.refunded().minor + order.refunds_pending().minor;
    assert!(given <= order.captured().map_or(0, |amount| amount.minor), "{order:?}");
    assert!(order.total.minor <= order.ordered_total().minor);
}

#[test]
fn the_words_of_states_are_those_stored() {
    for state in STATES {
        assert_eq!(serde_json::to_value(state).unwrap(), state.as_str());
    }
}

#[test]
fn an_order_of_before_there_were_ways_out_still_loads() {
    let mut stored = serde_json::to_value(order_in(State::Confirmed)).unwrap();
    for member in ["slot_withdrawn", "picked", "payment_attempt", "refunds", "refunded_minor", "dispute"] {
        stored.as_object_mut().unwrap().remove(member).unwrap();
    }
    stored["delivery"] = serde_json::json!({
        "pin": "4071", "courier": null, "picked_up": false, "arrived": false, "delivered": false, "withdrawn": false,
    });
    let order: Order = serde_json::from_value(stored).unwrap();
    let pin = Step::Hear(Heard::Pin("4071".to_owned()));
    let mut expected = order_in(State::Confirmed);
    take(&mut expected, &pin).unwrap();
    assert_eq!(order, expected);
}
