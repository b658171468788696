//! Refunds: full, part, by line; that they never exceed what was captured, and that parts add up to the whole.

use proptest::prelude::*;

use super::*;

fn by_lines(lines: &[(&str, i64)]) -> Share {
    Share::Lines(lines.iter().map(|(name, quantity)| (sku(name), *quantity)).collect())
}

fn paid_back(seed: u64, order: &mut Order) {
    let amount = order.refunds.iter().find(|refund| refund.id == refund_id(seed)).unwrap().amount;
    let refunded = usd(order.refunded().minor + amount.minor);
    take(order, &Step::Hear(Heard::Refunded { refund: refund_id(seed), amount, refunded })).unwrap();
}

fn asked(said: &[Said]) -> i64 {
    let [Said::RefundRequested(event)] = said else { panic!("{said:?}") };
    event.amount.minor
}

#[test]
fn the_rest_after_parts_is_exactly_the_rest() {
    let mut order = paid();
    assert_eq!(asked(&take(&mut order, &refund(1, Share::Amount(usd(1)))).unwrap()), 1);
    // Two bottles of the first line, and one of the second's three: a third of its tax of 59.
    assert_eq!(asked(&take(&mut order, &refund(2, by_lines(&[("MILK", 3)]))).unwrap()), 839 + 420);
    assert_eq!(order.refunds_pending(), usd(1260));
    paid_back(1, &mut order);
    assert_eq!((order.refunded(), order.refundable()), (usd(1), usd(TOTAL - 1260)));
    assert_eq!(asked(&take(&mut order, &refund(3, by_lines(&[("MILK", 2), ("SOAP", 1)]))).unwrap()), 800 + 39 + 545);
    assert_eq!(asked(&take(&mut order, &refund(4, Share::All)).unwrap()), 299 - 1, "the fee, but for what was given before");
    for seed in 2..=4 {
        paid_back(seed, &mut order);
    }
    assert_eq!((order.refunded(), order.refundable(), order.refunds_pending()), (usd(TOTAL), usd(0), usd(0)));
    assert_sound(&order);
}

#[test]
fn what_the_provider_refused_can_be_given_back_another_time() {
    let mut order = paid();
    take(&mut order, &refund(1, by_lines(&[("SOAP", 1)]))).unwrap();
    assert_eq!(order.refundable(), usd(TOTAL - 545));
    let refused = Step::Hear(Heard::RefundFailed { refund: refund_id(1), reason: "card-closed".to_owned() });
    take(&mut order, &refused).unwrap();
    assert_eq!(order.refundable(), usd(TOTAL));
    assert_eq!(asked(&take(&mut order, &refund(2, by_lines(&[("SOAP", 1)]))).unwrap()), 545);
    // Paid after all: what counts is that the shopper has it, and it is never too much for what is left.
    paid_back(1, &mut order);
    assert_eq!((order.refunded(), order.refundable()), (usd(545), usd(TOTAL - 2 * 545)));
}

#[test]
fn what_was_not_asked_for_here_counts_too() {
    let mut order = paid();
    let foreign = Step::Hear(Heard::Refunded { refund: refund_id(77), amount: usd(700), refunded: usd(700) });
    take_all(&mut order, &[foreign.clone(), foreign]);
    assert_eq!((order.refunded(), order.refundable()), (usd(700), usd(TOTAL - 700)));
    let kept = order.history.iter().filter(|moment| moment.what == Some(What::RefundPaid)).count();
    assert_eq!(kept, 1);
    let lost = [Step::Hear(Heard::Disputed { amount: usd(1000), reason: "fraud".to_owned() })];
    take_all(&mut order, &lost);
    take(&mut order, &Step::Hear(Heard::DisputeClosed { won: false })).unwrap();
    assert_eq!(order.refundable(), usd(TOTAL - 1700), "what the bank took is not given back once more");
}

#[test]
fn what_is_wrong_is_named() {
    let mut order = order_in(State::Picking);
    take_all(&mut order, &[short(&[("MILK", 3), ("SOAP", 0)]), ready(), picked_up(1), delivered()]);
    let captured_minor = order.total.minor;
    take(&mut order, &captured(captured_minor)).unwrap();
    take(&mut order, &refund(1, by_lines(&[("MILK", 2)]))).unwrap();
    let before = order.clone();
    let euros: Currency = "EUR".parse().unwrap();
    let cases = [
        (by_lines(&[("SOAP", 1)]), "invalid-field /lines/0/sku"),
        (by_lines(&[("TEA", 1)]), "invalid-field /lines/0/sku"),
        (by_lines(&[("MILK", 1), ("MILK", 1)]), "invalid-field /lines/1/sku"),
        (by_lines(&[("MILK", 2)]), "invalid-field /lines/0/quantity"),
        (Share::Amount(usd(0)), "invalid-field /amount/minor"),
        (Share::Amount(usd(-5)), "invalid-field /amount/minor"),
        (Share::Amount(usd(captured_minor)), "more-than-left /amount/minor"),
        (Share::Amount(usd(i64::MAX)), "more-than-left /amount/minor"),
        (Share::Amount(Money::new(5, euros)), "invalid-field /amount/currency"),
    ];
    for (share, expected) in cases {
        let fault = take(&mut order, &refund(2, share.clone())).unwrap_err();
        assert_eq!(format!("{} {}", fault.reason, fault.fields[0].field), expected, "{share:?}");
        assert_eq!(order, before);
    }
}

fn any_share() -> impl Strategy<Value = Share> {
    prop_oneof![
        (-5i64..3000).prop_map(|minor| Share::Amount(usd(minor))),
        prop::collection::vec((prop::sample::select(vec!["MILK", "SOAP", "TEA"]), 1i64..6), 1..3)
            .prop_map(|lines| by_lines(&lines)),
        Just(Share::All),
    ]
}

proptest! {
    #[test]
    fn however_it_is_given_back_it_is_never_more_than_was_taken(
        shorts in prop::collection::vec((prop::sample::select(vec!["MILK", "SOAP"]), 1i64..5), 0..3),
        shares in prop::collection::vec((any_share(), 0u8..3), 0..12),
    ) {
        let mut order = order_in(State::Picking);
        for (name, picked) in shorts {
            let _ = take(&mut order, &short(&[(name, picked)]));
        }
        take_all(&mut order, &[ready(), picked_up(1), delivered()]);
        let total = order.total.minor;
        take(&mut order, &captured(total)).unwrap();
        for (seed, (share, outcome)) in (0..).zip(shares) {
            let step = refund(seed, share);
            let before = order.clone();
            if take(&mut order, &step).is_err() {
                prop_assert_eq!(&order, &before);
                continue;
            }
            match outcome {
                0 => paid_back(seed, &mut order),
                1 => {
                    let failed = Heard::RefundFailed { refund: refund_id(seed), reason: "no".to_owned() };
                    take(&mut order, &Step::Hear(failed)).unwrap();
                }
                _ => {}
            }
            assert_sound(&order);
            prop_assert_eq!(order.refunded().minor + order.refunds_pending().minor + order.refundable().minor, total);
        }
        if order.refundable().minor > 0 {
            let rest = asked(&take(&mut order, &refund(99, Share::All)).unwrap());
            prop_assert_eq!(order.refunded().minor + order.refunds_pending().minor, total, "the rest was {}", rest);
        }
    }

    #[test]
    fn unit_by_unit_a_line_gives_back_what_it_cost(sizes in prop::collection::vec(1i64..4, 0..6)) {
        let mut order = paid();
        let mut given = 0;
        let (mut units, mut seed) = (5, 0);
        for size in sizes.into_iter().chain([5]) {
            let size = size.min(units);
            if size > 0 {
                given += asked(&take(&mut order, &refund(seed, by_lines(&[("MILK", size)]))).unwrap());
            }
            (units, seed) = (units - size, seed + 1);
        }
        prop_assert_eq!(given, 839 + 1259);
    }
}
