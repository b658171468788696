//! Who may ask what in which state, and that each refusal says what would be legal.

use super::*;

const PARTS: [Part; 4] = [Part::Shopper, Part::Picker, Part::Dispatcher, Part::Manager];

fn legal(order: &Order, part: Part) -> String {
    order.legal(&asker(part), at(1), MARGIN_MS).join(" ")
}

#[test]
fn each_state_allows_these_moves_and_no_other() {
    for state in STATES {
        let order = if state == State::Delivered { paid() } else { order_in(state) };
        let [shopper, picker, dispatcher, manager] = match state {
            State::Placed | State::Reserved | State::Authorised => ["cancel", "", "", "cancel"],
            State::PaymentFailed => ["cancel payment", "", "", "cancel"],
            State::Confirmed => ["cancel", "pick", "", "cancel pick"],
            State::Picking => ["", "shorts ready", "", "cancel shorts ready"],
            State::Ready => ["", "", "", "cancel"],
            State::OutForDelivery => ["", "", "cancel", "cancel"],
            State::DeliveryFailed => ["", "", "cancel delivery", "cancel delivery"],
            State::Delivered => ["", "", "", "refunds"],
            State::Rejected | State::Returning | State::Cancelling | State::Cancelled => ["", "", "", ""],
        };
        let found = PARTS.map(|part| legal(&order, part));
        assert_eq!(found, [shopper, picker, dispatcher, manager], "{state:?}");
    }
}

fn wishes() -> Vec<(&'static str, Wish)> {
    let steps = [
        cancel(Part::Shopper),
        pay_again(),
        pick(),
        short(&[("MILK", 4)]),
        ready(),
        again(),
        bring_back(),
        refund(1, Share::Amount(usd(100))),
    ];
    let names = ["cancel", "payment", "pick", "shorts", "ready", "delivery", "delivery", "refunds"];
    let wish = |step| match step {
        Step::Ask(_, wish) => wish,
        _ => panic!("not asked for"),
    };
    names.into_iter().zip(steps.map(wish)).collect()
}

#[test]
fn what_is_legal_is_granted_and_what_is_not_is_refused_with_what_would_be() {
    for state in STATES {
        for part in PARTS {
            for (name, wish) in wishes() {
                let before = if state == State::Delivered { paid() } else { order_in(state) };
                let mut order = before.clone();
                let allowed = before.legal(&asker(part), at(1), MARGIN_MS);
                let asked_again = name == "cancel" && state.is_ending();
                match take(&mut order, &Step::Ask(part, wish)) {
                    Ok(said) if asked_again => assert_eq!((said, &order), (Vec::new(), &before), "{state:?} {part:?}"),
                    Ok(_) => assert!(allowed.contains(&name), "{state:?} {part:?} {name}"),
                    Err(fault) => {
                        assert!(!allowed.contains(&name), "{state:?} {part:?} {name}: {fault}");
                        assert_eq!(fault.more["state"], state.as_str());
                        assert_eq!(fault.more["legal"], serde_json::json!(allowed));
                        assert_eq!(order, before, "what is refused changes nothing");
                    }
                }
            }
        }
    }
}

#[test]
fn refusals_say_why_in_a_word() {
    let disputed = Step::Hear(Heard::Disputed { amount: usd(900), reason: "fraud".to_owned() });
    let with = |order: Order, steps: &[Step]| {
        let mut order = order;
        take_all(&mut order, steps);
        order
    };
    let cases = [
        (order_in(State::Picking), cancel(Part::Shopper), "too-late"),
        (order_in(State::Ready), cancel(Part::Shopper), "too-late"),
        (order_in(State::Ready), cancel(Part::Dispatcher), "illegal-move"),
        (order_in(State::Confirmed), cancel(Part::Picker), "forbidden"),
        (paid(), cancel(Part::Manager), "order-ended"),
        (order_in(State::Cancelled), cancel(Part::Manager), "order-ended"),
        (order_in(State::Rejected), cancel(Part::Shopper), "order-ended"),
        (order_in(State::Reserved), pay_again(), "illegal-move"),
        (with(order_in(State::PaymentFailed), &[pay_again()]), pay_again(), "payment-under-way"),
        (order_in(State::PaymentFailed), Step::Ask(Part::Manager, Wish::Pay { payment_token: "t".to_owned() }), "forbidden"),
        (order_in(State::Picking), pick(), "illegal-move"),
        (order_in(State::Confirmed), Step::Ask(Part::Dispatcher, Wish::Pick), "forbidden"),
        (order_in(State::Ready), again(), "illegal-move"),
        (order_in(State::Delivered), refund(1, Share::All), "not-captured"),
        (order_in(State::Ready), refund(1, Share::All), "illegal-move"),
        (with(paid(), &[refund(1, Share::All)]), refund(2, Share::All), "nothing-left"),
        (with(paid(), &[disputed]), refund(1, Share::All), "disputed"),
    ];
    for (mut order, step, reason) in cases {
        let state = order.state;
        assert_eq!(take(&mut order, &step).unwrap_err().reason, reason, "{state:?} {step:?}");
    }
}

#[test]
fn another_card_is_taken_while_the_hold_lives_and_not_for_ever() {
    let wish = Wish::Pay { payment_token: "tok_amex".to_owned() };
    let pay_at = |order: &mut Order, ms: i64| order.ask(&wish, &asker(Part::Shopper), at(ms), MARGIN_MS);
    let last = 600_000 - MARGIN_MS;
    assert_eq!(pay_at(&mut order_in(State::PaymentFailed), last).unwrap_err().reason, "too-late");
    let mut order = order_in(State::PaymentFailed);
    assert!(pay_at(&mut order, last - 1).is_ok());
    for of in 2..=10 {
        take(&mut order, &declined(of)).unwrap();
        let reason = pay_at(&mut order, 1).map_or_else(|fault| fault.reason, |_| String::new());
        assert_eq!(reason, if of < 10 { "" } else { "too-many-attempts" });
    }
}

#[test]
fn whoever_is_several_things_acts_as_the_first_that_may() {
    let mut order = order_in(State::Picking);
    let both = Asker { parts: vec![Part::Shopper, Part::Manager], person: Some(PersonId(id(9))) };
    let wish = Wish::Cancel { reason: "gave-up".to_owned() };
    order.ask(&wish, &both, at(1), MARGIN_MS).unwrap();
    let moment = order.history.last().unwrap();
    assert_eq!((moment.by.as_str(), moment.person, moment.reason.as_deref()), ("manager", both.person, Some("gave-up")));
    assert_eq!(order.ask(&Wish::Pick, &both, at(1), MARGIN_MS).unwrap_err().reason, "illegal-move");
}
