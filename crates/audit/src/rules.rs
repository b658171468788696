//! The invariants of the product as one pure function over what the services say.
//! Leaves reading, and looking twice, to others.

use contracts::OrderId;
use contracts::audit::{Breach, Fact};

use crate::facts::{Known, Shop};

/// A service that has never heard of an order, as a state.
const NONE: &str = "none";

/// What must be true of the other three machines once an order rests in one of `states`; an empty list allows everything.
struct Rest {
    states: &'static [&'static str],
    hold: Demand,
    payment: Demand,
    delivery: Demand,
}

/// A rule of one machine: its name and the states that keep it.
struct Demand {
    rule: &'static str,
    allowed: &'static [&'static str],
}

const ANYTHING: Demand = Demand { rule: "", allowed: &[] };

const NOTHING_HELD: &[&str] = &[NONE, "rejected", "released", "expired"];
const NOTHING_CHARGED: &[&str] = &[NONE, "voided", "declined", "expired", "refunded"];
const NOTHING_ON_ITS_WAY: &[&str] = &[NONE, "cancelled", "withdrawn", "returned"];

const RESTS: [Rest; 4] = [
    Rest {
        states: &["confirmed", "picking", "ready", "out-for-delivery"],
        hold: Demand { rule: "promised-order-has-hold", allowed: &["committed", "consumed"] },
        payment: Demand { rule: "promised-order-has-money", allowed: &["authorised", "captured"] },
        delivery: ANYTHING,
    },
    Rest {
        states: &["delivered"],
        hold: Demand { rule: "delivered-order-consumed-hold", allowed: &["consumed"] },
        payment: Demand { rule: "delivered-order-captured-money", allowed: &["captured", "partially-refunded", "refunded"] },
        delivery: Demand { rule: "delivered-order-was-delivered", allowed: &["delivered"] },
    },
    Rest {
        states: &["rejected"],
        hold: Demand { rule: "rejected-order-holds-nothing", allowed: NOTHING_HELD },
        payment: Demand { rule: "rejected-order-charges-nothing", allowed: NOTHING_CHARGED },
        delivery: Demand { rule: "rejected-order-brings-nothing", allowed: NOTHING_ON_ITS_WAY },
    },
    Rest {
        states: &["cancelled"],
        hold: Demand { rule: "cancelled-order-holds-nothing", allowed: NOTHING_HELD },
        payment: Demand { rule: "cancelled-order-charges-nothing", allowed: NOTHING_CHARGED },
        delivery: Demand { rule: "cancelled-order-brings-nothing", allowed: NOTHING_ON_ITS_WAY },
    },
];

impl Rest {
    fn of(state: &str) -> Option<&'static Self> {
        RESTS.iter().find(|rest| rest.states.contains(&state))
    }

    /// Each machine that something is demanded of, with what is known of it.
    fn demands<'a>(&'static self, known: &'a Known) -> impl Iterator<Item = (&'static str, Option<&'a Fact>, &'static Demand)> {
        let all = [
            ("hold", known.hold.as_ref(), &self.hold),
            ("payment", known.payment.as_ref(), &self.payment),
            ("delivery", known.delivery.as_ref(), &self.delivery),
        ];
        all.into_iter().filter(|(_, _, demand)| !demand.allowed.is_empty())
    }

    /// Whether the order, and every machine that something is demanded of, will do nothing more by itself.
    fn is_settled(&'static self, known: &Known) -> bool {
        let mut facts = self.demands(known).filter_map(|(_, fact, _)| fact).chain(&known.order);
        facts.all(|fact| fact.settled)
    }
}

/// Everything that is broken. Rules of rest are asked of orders for which no service concerned will do more by itself; with
/// `quiescent` of all.
#[must_use]
pub fn judge(shop: &Shop, quiescent: bool) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for (order, known) in &shop.0 {
        let mut found = Found { order: *order, breaches: &mut breaches };
        found.sums(known);
        let Some(state) = known.state() else {
            found.strays(known);
            continue;
        };
        if let Some(rest) = Rest::of(state).filter(|rest| quiescent || rest.is_settled(known)) {
            found.at_rest(rest, state, known);
        }
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

    /// What holds at every instant: nobody is charged more than was authorised or than the order costs, nor given back more
    /// than was taken. A sum that a service does not name is not compared.
    fn sums(&mut self, known: &Known) {
        let paid = |name: &str| known.payment.as_ref().and_then(|fact| fact.sums.get(name).copied());
        let total = total_of(known);
        self.at_most("captured-within-authorised", ("captured", paid("captured")), ("authorised", paid("authorised")));
        self.at_most("captured-within-total", ("captured", paid("captured")), ("total", total));
        self.at_most("authorised-within-total", ("authorised", paid("authorised")), ("total", total));
        self.at_most("refunded-within-captured", ("refunded", paid("refunded")), ("captured", paid("captured")));
    }

    fn at_most(&mut self, rule: &str, (less_name, less): (&str, Option<i64>), (more_name, more): (&str, Option<i64>)) {
        let (Some(less), Some(more)) = (less, more) else { return };
        if less > more {
            self.add(rule, format!("{less_name} is {less}, {more_name} is {more}"));
        }
    }

    /// Nothing may be held, charged or brought for an order that does not exist.
    fn strays(&mut self, known: &Known) {
        let cases = [
            ("hold-has-order", &known.hold, NOTHING_HELD),
            ("money-has-order", &known.payment, NOTHING_CHARGED),
            ("delivery-has-order", &known.delivery, NOTHING_ON_ITS_WAY),
        ];
        for (rule, fact, harmless) in cases {
            let state = state_of(fact.as_ref());
            if !harmless.contains(&state) {
                self.add(rule, format!("there is no such order, and here it is {state}"));
            }
        }
    }

    fn at_rest(&mut self, rest: &'static Rest, order: &str, known: &Known) {
        for (what, fact, demand) in rest.demands(known) {
            let state = state_of(fact);
            if !demand.allowed.contains(&state) {
                let allowed = demand.allowed.join(", ");
                self.add(demand.rule, format!("the order is {order}, its {what} is {state}; expected one of {allowed}"));
            }
        }
        if order == "delivered" {
            self.paid_in_full(known);
        }
    }

    fn paid_in_full(&mut self, known: &Known) {
        let captured = known.payment.as_ref().and_then(|fact| fact.sums.get("captured").copied());
        let total = total_of(known);
        if captured != total {
            let words = |sum: Option<i64>| sum.map_or_else(|| "not stated".to_owned(), |sum| sum.to_string());
            self.add("delivered-order-is-paid", format!("captured is {}, the total is {}", words(captured), words(total)));
        }
    }
}

fn total_of(known: &Known) -> Option<i64> {
    known.order.as_ref().and_then(|fact| fact.sums.get("total").copied())
}

fn state_of(fact: Option<&Fact>) -> &str {
    fact.map_or(NONE, |fact| fact.state.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernel::{Bucket, Draw, Id, Timestamp};

    /// States as `order/hold/payment/delivery`, `-` for a service that knows nothing; all settled, paid in full if captured.
    fn shop(states: &str) -> Shop {
        let order = OrderId(Id::new(Timestamp::from_millis(1), Bucket(3), &mut Draw::seeded(1)));
        let mut parts = states.split('/').map(|state| {
            let captured = if state == "captured" { 500 } else { 0 };
            let sums = [("total", 500), ("authorised", 500), ("captured", captured)];
            let sums = sums.map(|(name, sum)| (name.to_owned(), sum)).into();
            (state != "-").then(|| Fact { order, state: state.to_owned(), settled: true, sums })
        });
        let mut next = || parts.next().flatten();
        let known = Known { order: next(), hold: next(), payment: next(), delivery: next() };
        Shop([(order, known)].into())
    }

    fn rules(shop: &Shop, quiescent: bool) -> Vec<String> {
        judge(shop, quiescent).into_iter().map(|breach| breach.rule).collect()
    }

    #[test]
    fn sound_orders_are_passed_in_silence() {
        let sound = [
            "placed/-/-/-",
            "reserved/reserved/created/-",
            "payment-failed/reserved/declined/-",
            "confirmed/committed/authorised/-",
            "picking/committed/authorised/unassigned",
            "out-for-delivery/committed/authorised/to-dropoff",
            "delivered/consumed/captured/delivered",
            "rejected/rejected/-/-",
            "rejected/rejected/voided/cancelled",
            "cancelled/released/voided/cancelled",
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
    fn every_planted_breach_is_found() {
        let planted = [
            ("confirmed/reserved/authorised/-", "promised-order-has-hold"),
            ("ready/-/authorised/unassigned", "promised-order-has-hold"),
            ("confirmed/committed/voided/-", "promised-order-has-money"),
            ("picking/committed/-/-", "promised-order-has-money"),
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
        for (states, rule) in planted {
            assert_eq!(rules(&shop(states), false), vec![rule.to_owned()], "{states}");
        }
        let unpaid = rules(&shop("delivered/consumed/authorised/delivered"), false);
        assert_eq!(unpaid, vec!["delivered-order-captured-money", "delivered-order-is-paid"]);
    }

    #[test]
    fn sums_are_judged_at_every_instant() {
        let cases = [
            ("captured", 600, ["captured-within-authorised", "captured-within-total", "delivered-order-is-paid"].as_slice()),
            ("captured", 400, ["delivered-order-is-paid"].as_slice()),
            ("authorised", 600, ["authorised-within-total"].as_slice()),
            ("refunded", 501, ["refunded-within-captured"].as_slice()),
        ];
        for (name, sum, expected) in cases {
            let mut shop = shop("delivered/consumed/captured/delivered");
            for known in shop.0.values_mut() {
                known.payment.as_mut().expect("planted").sums.insert(name.to_owned(), sum);
            }
            assert_eq!(rules(&shop, false), expected, "{name} {sum}");
        }
    }

    #[test]
    fn what_is_not_settled_is_left_alone_unless_the_shop_is_quiescent() {
        let mut shop = shop("cancelled/released/authorised/-");
        for known in shop.0.values_mut() {
            known.payment.as_mut().expect("planted").settled = false;
        }
        assert!(rules(&shop, false).is_empty());
        assert_eq!(rules(&shop, true), vec!["cancelled-order-charges-nothing"]);
    }

    #[test]
    fn a_promised_order_is_judged_while_people_are_at_its_delivery() {
        let mut shop = shop("confirmed/expired/authorised/created");
        for known in shop.0.values_mut() {
            known.delivery.as_mut().expect("planted").settled = false;
        }
        assert_eq!(rules(&shop, false), vec!["promised-order-has-hold"]);
    }
}
