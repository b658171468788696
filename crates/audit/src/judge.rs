//! The invariants between services as one pure function over what they say of each order.
//! Leaves reading, and looking twice, to others, and the rules' names, sentences and times to `rules`.

use contracts::OrderId;
use contracts::audit::{Breach, Fact};
use kernel::{Millis, Timestamp};

use crate::facts::{Known, Shop};
use crate::rules::{Holds, rule};

/// A service that has never heard of an order, as a state.
const NONE: &str = "none";

/// How long an order may wait for stock and money. Its timers give it up within minutes; this finds one that has lost them.
const DECIDED_WITHIN_MS: Millis = 24 * 60 * 60 * 1000;

/// The states in which an order waits for stock and money.
const UNDECIDED: &[&str] = &["placed", "reserved", "authorised", "payment-failed"];

/// One of the machines beside an order's own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Machine {
    Hold,
    Payment,
    Delivery,
}

/// What must be true of another machine while an order is in one of some states.
struct Demand {
    orders: &'static [&'static str],
    rule: &'static str,
    of: Machine,
    allowed: Allowed,
}

/// The states that keep a rule.
enum Allowed {
    Only(&'static [&'static str]),
    AllBut(&'static [&'static str]),
}

use Allowed::{AllBut, Only};
use Machine::{Delivery, Hold, Payment};

const PROMISED: &[&str] = &["confirmed", "picking", "ready", "out-for-delivery", "delivery-failed"];
const ON_ITS_WAY: &[&str] = &["confirmed", "picking", "ready", "out-for-delivery"];
const GOODS_SET_ASIDE: &[&str] = &["confirmed", "picking", "ready", "out-for-delivery", "delivery-failed", "returning"];

const NOTHING_HELD: &[&str] = &[NONE, "rejected", "released", "expired"];
const NOTHING_CHARGED: &[&str] = &[NONE, "voided", "declined", "expired", "refunded"];
const NOTHING_BROUGHT: &[&str] = &[NONE, "cancelled", "withdrawn", "returned"];
const PICKED_UP: &[&str] = &["picked-up", "to-dropoff", "at-dropoff", "failed", "delivered"];
const TAKEN: &[&str] = &["captured", "partially-refunded", "refunded", "disputed"];

static DEMANDS: [Demand; 16] = [
    Demand::new(&["authorised"], "authorised-order-has-money", Payment, Only(&["authorised"])),
    Demand::new(GOODS_SET_ASIDE, "promised-order-has-hold", Hold, Only(&["committed"])),
    Demand::new(PROMISED, "promised-order-has-money", Payment, Only(&["authorised"])),
    Demand::new(ON_ITS_WAY, "promised-order-has-delivery", Delivery, AllBut(NOTHING_BROUGHT)),
    // A courier may turn back of their own accord, before the store has decided whether it is tried again.
    Demand::new(&["delivery-failed"], "promised-order-has-delivery", Delivery, AllBut(&[NONE, "cancelled", "withdrawn"])),
    Demand::new(&["out-for-delivery"], "order-on-its-way-was-picked-up", Delivery, Only(PICKED_UP)),
    Demand::new(&["returning"], "recalled-order-keeps-its-money", Payment, Only(&["authorised", "expired"])),
    Demand::new(&["delivered"], "delivered-order-consumed-hold", Hold, Only(&["consumed"])),
    Demand::new(&["delivered"], "delivered-order-captured-money", Payment, Only(TAKEN)),
    Demand::new(&["delivered"], "delivered-order-was-delivered", Delivery, Only(&["delivered"])),
    Demand::new(&["rejected"], "rejected-order-holds-nothing", Hold, Only(NOTHING_HELD)),
    Demand::new(&["rejected"], "rejected-order-charges-nothing", Payment, Only(NOTHING_CHARGED)),
    Demand::new(&["rejected"], "rejected-order-brings-nothing", Delivery, Only(NOTHING_BROUGHT)),
    Demand::new(&["cancelled"], "cancelled-order-holds-nothing", Hold, Only(NOTHING_HELD)),
    Demand::new(&["cancelled"], "cancelled-order-charges-nothing", Payment, Only(NOTHING_CHARGED)),
    Demand::new(&["cancelled"], "cancelled-order-brings-nothing", Delivery, Only(NOTHING_BROUGHT)),
];

/// What may be so of a machine for an order that does not exist.
const STRAYS: [(&str, Machine, &[&str]); 3] = [
    ("hold-has-order", Hold, NOTHING_HELD),
    ("money-has-order", Payment, NOTHING_CHARGED),
    ("delivery-has-order", Delivery, NOTHING_BROUGHT),
];

impl Machine {
    fn as_str(self) -> &'static str {
        match self {
            Self::Hold => "hold",
            Self::Payment => "payment",
            Self::Delivery => "delivery",
        }
    }

    fn fact(self, known: &Known) -> Option<&Fact> {
        match self {
            Self::Hold => known.hold.as_ref(),
            Self::Payment => known.payment.as_ref(),
            Self::Delivery => known.delivery.as_ref(),
        }
    }
}

impl Demand {
    const fn new(orders: &'static [&'static str], rule: &'static str, of: Machine, allowed: Allowed) -> Self {
        Self { orders, rule, of, allowed }
    }
}

impl Allowed {
    fn admits(&self, state: &str) -> bool {
        match self {
            Self::Only(states) => states.contains(&state),
            Self::AllBut(states) => !states.contains(&state),
        }
    }

    fn in_words(&self) -> String {
        match self {
            Self::Only(states) => format!("one of {}", states.join(", ")),
            Self::AllBut(states) => format!("none of {}", states.join(", ")),
        }
    }
}

/// When, and how strictly, is judged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Terms {
    /// What time it is.
    pub now: Timestamp,
    /// Whether nobody is to have anything left to do: rules of settled orders are then asked of all.
    pub quiescent: bool,
}

impl Terms {
    /// Whether a rule is asked of what services say.
    fn ask(self, name: &str, facts: &[Option<&Fact>]) -> bool {
        let always = rule(name).is_none_or(|rule| rule.holds == Holds::Always);
        always || self.quiescent || facts.iter().flatten().all(|fact| fact.settled)
    }
}

/// Everything that is broken between the services.
#[must_use]
pub fn judge(shop: &Shop, terms: Terms) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for (order, known) in &shop.0 {
        let mut found = Found { order: *order, breaches: &mut breaches };
        let Some(state) = known.state() else {
            found.strays(known);
            continue;
        };
        found.undecided(state, terms.now);
        found.at_odds(state, known, terms);
        found.sums(state, known, terms);
    }
    breaches
}

/// The breaches of one order, as they are found.
struct Found<'a> {
    order: OrderId,
    breaches: &'a mut Vec<Breach>,
}

impl Found<'_> {
    fn add(&mut self, rule: &str, detail: String) {
        self.breaches.push(Breach { rule: rule.to_owned(), subject: self.order.to_string(), detail });
    }

    /// Nothing may be held, charged or brought for an order that does not exist.
    fn strays(&mut self, known: &Known) {
        for (rule, machine, harmless) in STRAYS {
            let state = state_of(machine.fact(known));
            if !harmless.contains(&state) {
                self.add(rule, format!("there is no such order, and its {} is {state}", machine.as_str()));
            }
        }
    }

    fn undecided(&mut self, order: &str, now: Timestamp) {
        let waits_ms = now.since_ms(self.order.0.made_at());
        if UNDECIDED.contains(&order) && waits_ms > DECIDED_WITHIN_MS {
            self.add("order-is-decided-in-time", format!("the order is {order} since {waits_ms} ms"));
        }
    }

    fn at_odds(&mut self, order: &str, known: &Known, terms: Terms) {
        for demand in DEMANDS.iter().filter(|demand| demand.orders.contains(&order)) {
            let fact = demand.of.fact(known);
            let state = state_of(fact);
            if !demand.allowed.admits(state) && terms.ask(demand.rule, &[fact]) {
                let (what, expected) = (demand.of.as_str(), demand.allowed.in_words());
                self.add(demand.rule, format!("the order is {order}, its {what} is {state}; expected {expected}"));
            }
        }
    }

    fn sums(&mut self, order: &str, known: &Known, terms: Terms) {
        let (authorised, ordered) = (sum(&known.payment, "authorised"), sum(&known.order, "ordered"));
        if authorised.zip(ordered).is_some_and(|(authorised, ordered)| authorised > ordered) {
            self.add("authorised-within-ordered", differ(("authorised", authorised), ("ordered", ordered)));
        }
        if order != "delivered" {
            return;
        }
        let both = [known.order.as_ref(), known.payment.as_ref()];
        let (captured, total) = (sum(&known.payment, "captured"), sum(&known.order, "total"));
        if captured != total && terms.ask("delivered-order-is-paid", &both[1..]) {
            self.add("delivered-order-is-paid", differ(("captured", captured), ("the total", total)));
        }
        let (theirs, ours) = (sum(&known.payment, "refunded"), sum(&known.order, "refunded"));
        if theirs != ours && terms.ask("refunds-agree", &both) {
            self.add("refunds-agree", differ(("refunded by payments", theirs), ("by orders", ours)));
        }
    }
}

fn differ((one, first): (&str, Option<i64>), (other, second): (&str, Option<i64>)) -> String {
    let words = |sum: Option<i64>| sum.map_or_else(|| "not stated".to_owned(), |sum| sum.to_string());
    format!("{one} is {}, {other} is {}", words(first), words(second))
}

fn sum(fact: &Option<Fact>, name: &str) -> Option<i64> {
    fact.as_ref()?.sums.get(name).copied()
}

fn state_of(fact: Option<&Fact>) -> &str {
    fact.map_or(NONE, |fact| fact.state.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernel::{Bucket, Draw, Id};

    const PLACED_AT: Timestamp = Timestamp::from_millis(1_764_000_000_000);

    /// States as `order/hold/payment/delivery`, `-` for a service that knows nothing; all settled, paid in full if captured.
    fn shop(states: &str) -> Shop {
        let order = OrderId(Id::new(PLACED_AT, Bucket(3), &mut Draw::seeded(1)));
        let mut parts = states.split('/').map(|state| {
            let captured = if state == "captured" { 500 } else { 0 };
            let sums = [("ordered", 500), ("total", 500), ("authorised", 500), ("captured", captured), ("refunded", 0)];
            let sums = sums.map(|(name, sum)| (name.to_owned(), sum)).into();
            (state != "-").then(|| Fact { order, state: state.to_owned(), settled: true, sums })
        });
        let mut next = || parts.next().flatten();
        let known = Known { order: next(), hold: next(), payment: next(), delivery: next() };
        Shop([(order, known)].into())
    }

    fn rules_at(shop: &Shop, quiescent: bool, after_ms: Millis) -> Vec<String> {
        let terms = Terms { now: PLACED_AT.plus_ms(after_ms), quiescent };
        judge(shop, terms).into_iter().map(|breach| breach.rule).collect()
    }

    fn rules(shop: &Shop, quiescent: bool) -> Vec<String> {
        rules_at(shop, quiescent, 1000)
    }

    #[test]
    fn every_rule_that_is_judged_here_is_in_the_table() {
        let judged = DEMANDS.iter().map(|demand| demand.rule).chain(STRAYS.iter().map(|(rule, ..)| *rule));
        let sums = ["authorised-within-ordered", "delivered-order-is-paid", "refunds-agree", "order-is-decided-in-time"];
        for name in judged.chain(sums) {
            assert!(rule(name).is_some_and(|rule| rule.by == crate::By::Join), "{name}");
        }
    }

    #[test]
    fn sound_orders_are_passed_in_silence() {
        let sound = [
            "placed/-/-/-",
            "reserved/reserved/created/-",
            "payment-failed/reserved/declined/-",
            "authorised/reserved/authorised/-",
            "confirmed/committed/authorised/created",
            "picking/committed/authorised/unassigned",
            "out-for-delivery/committed/authorised/to-dropoff",
            "delivery-failed/committed/authorised/failed",
            "delivery-failed/committed/authorised/returned",
            "returning/committed/authorised/returning",
            "returning/committed/expired/returned",
            "cancelling/released/unknown/returned",
            "delivered/consumed/captured/delivered",
            "rejected/rejected/-/-",
            "rejected/rejected/voided/cancelled",
            "cancelled/released/voided/cancelled",
            "cancelled/released/voided/returned",
            "cancelled/expired/declined/-",
            "-/released/voided/cancelled",
        ];
        for states in sound {
            for quiescent in [false, true] {
                assert_eq!(rules(&shop(states), quiescent), Vec::<String>::new(), "{states}");
            }
        }
    }

    #[test]
    fn every_breach_is_found() {
        let broken = [
            ("authorised/reserved/voided/-", "authorised-order-has-money"),
            ("confirmed/reserved/authorised/created", "promised-order-has-hold"),
            ("ready/-/authorised/unassigned", "promised-order-has-hold"),
            ("returning/released/authorised/returning", "promised-order-has-hold"),
            ("confirmed/committed/voided/created", "promised-order-has-money"),
            ("picking/committed/-/created", "promised-order-has-money"),
            ("picking/committed/authorised/-", "promised-order-has-delivery"),
            ("delivery-failed/committed/authorised/cancelled", "promised-order-has-delivery"),
            ("out-for-delivery/committed/authorised/assigned", "order-on-its-way-was-picked-up"),
            ("returning/committed/voided/returning", "recalled-order-keeps-its-money"),
            ("delivered/committed/captured/delivered", "delivered-order-consumed-hold"),
            ("delivered/consumed/captured/to-dropoff", "delivered-order-was-delivered"),
            ("rejected/reserved/-/-", "rejected-order-holds-nothing"),
            ("rejected/rejected/authorised/-", "rejected-order-charges-nothing"),
            ("rejected/rejected/-/offered", "rejected-order-brings-nothing"),
            ("cancelled/committed/voided/cancelled", "cancelled-order-holds-nothing"),
            ("cancelled/released/captured/cancelled", "cancelled-order-charges-nothing"),
            ("cancelled/released/unknown/cancelled", "cancelled-order-charges-nothing"),
            ("cancelled/released/voided/assigned", "cancelled-order-brings-nothing"),
            ("-/reserved/-/-", "hold-has-order"),
            ("-/-/authorised/-", "money-has-order"),
            ("-/-/-/offered", "delivery-has-order"),
        ];
        for (states, rule) in broken {
            assert_eq!(rules(&shop(states), false), vec![rule.to_owned()], "{states}");
        }
        let unpaid = rules(&shop("delivered/consumed/authorised/delivered"), false);
        assert_eq!(unpaid, vec!["delivered-order-captured-money", "delivered-order-is-paid"]);
    }

    #[test]
    fn an_order_does_not_wait_for_stock_and_money_for_ever() {
        for states in ["placed/-/-/-", "payment-failed/reserved/declined/-"] {
            assert!(rules_at(&shop(states), false, DECIDED_WITHIN_MS).is_empty());
            assert_eq!(rules_at(&shop(states), false, DECIDED_WITHIN_MS + 1), vec!["order-is-decided-in-time"]);
        }
        assert!(rules_at(&shop("confirmed/committed/authorised/created"), false, 2 * DECIDED_WITHIN_MS).is_empty());
    }

    #[test]
    fn sums_of_two_services_agree() {
        let cases = [
            ("captured", 400, "delivered-order-is-paid"),
            ("captured", 600, "delivered-order-is-paid"),
            ("refunded", 1, "refunds-agree"),
            ("authorised", 501, "authorised-within-ordered"),
        ];
        for (name, sum, rule) in cases {
            let mut shop = shop("delivered/consumed/captured/delivered");
            for known in shop.0.values_mut() {
                known.payment.as_mut().expect("there is one").sums.insert(name.to_owned(), sum);
            }
            assert_eq!(rules(&shop, false), vec![rule], "{name} {sum}");
        }
    }

    #[test]
    fn money_that_is_being_taken_is_left_alone_unless_the_shop_is_quiescent() {
        let mut shop = shop("delivered/consumed/authorised/delivered");
        for known in shop.0.values_mut() {
            known.payment.as_mut().expect("there is one").settled = false;
        }
        assert!(rules(&shop, false).is_empty());
        assert_eq!(rules(&shop, true), vec!["delivered-order-captured-money", "delivered-order-is-paid"]);
    }

    #[test]
    fn a_promised_order_is_judged_while_people_are_at_its_delivery() {
        let mut shop = shop("confirmed/expired/authorised/created");
        for known in shop.0.values_mut() {
            known.delivery.as_mut().expect("there is one").settled = false;
        }
        assert_eq!(rules(&shop, false), vec!["promised-order-has-hold"]);
    }
}
