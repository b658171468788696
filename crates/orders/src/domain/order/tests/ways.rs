//! The way of an order, each way out with what it says and where it ends, and how long it waits where.

use super::*;

/// The whole way to the door: each step, the state it leads to, and what is said then.
fn way() -> Vec<(Step, State, &'static str)> {
    vec![
        (reserved(), State::Reserved, "reserved"),
        (authorised(1), State::Authorised, "commit"),
        (committed(), State::Confirmed, "confirmed"),
        (Step::Hear(Heard::Pin("4071".to_owned())), State::Confirmed, ""),
        (pick(), State::Picking, ""),
        (ready(), State::Ready, "ready"),
        (Step::Hear(Heard::Courier("Amara".to_owned())), State::Ready, ""),
        (picked_up(1), State::OutForDelivery, ""),
        (Step::Hear(Heard::Arrived(1)), State::OutForDelivery, ""),
        (delivered(), State::Delivered, "delivered consume"),
        (hold(Hold::Consumed), State::Delivered, ""),
        (captured(TOTAL), State::Delivered, ""),
    ]
}

fn history(order: &Order) -> Vec<(&str, &str)> {
    let name = |moment: &Moment| moment.what.map(|what| serde_json::to_value(what).unwrap().as_str().unwrap().to_owned());
    let named = |moment: &Moment| name(moment).map_or_else(|| moment.state.as_str(), |what| what.leak());
    order.history.iter().map(|moment| (named(moment), moment.by.as_str())).collect()
}

#[test]
fn an_order_goes_its_way_to_the_door() {
    let mut order = placed();
    for (step, state, said) in way() {
        assert_eq!(words(&take(&mut order, &step).unwrap()), said, "{step:?}");
        assert_eq!(order.state, state, "{step:?}");
        assert_sound(&order);
    }
    let expected = [
        ("placed", "guest"),
        ("reserved", "inventory"),
        ("authorised", "payments"),
        ("confirmed", "inventory"),
        ("picking", "picker"),
        ("ready", "picker"),
        ("out_for_delivery", "delivery"),
        ("delivered", "delivery"),
    ];
    assert_eq!(history(&order), expected);
    assert_eq!(order.delivery.pin.as_deref(), Some("4071"));
    assert_eq!(order.delivery.courier.as_deref(), Some("Amara"));
}

#[test]
fn each_way_out_ends_and_says_what_others_must_do() {
    use State::{Cancelled, Cancelling, Delivered, Rejected};
    let given_back = || vec![released(), voided()];
    let to_door = || [to_confirmed(), vec![pick(), ready(), picked_up(1)]].concat();
    let shopper = || cancel(Part::Shopper);
    let manager = || cancel(Part::Manager);
    let cases: Vec<(&str, Vec<Step>, State, &str)> = vec![
        ("short of stock and slot", vec![rejected()], Rejected, "rejected"),
        (
            "given up before anything is known",
            [vec![shopper()], given_back()].concat(),
            Cancelled,
            "cancelling release cancelled",
        ),
        (
            "given up while stock turns out short",
            vec![shopper(), rejected(), voided()],
            Cancelled,
            "cancelling release cancelled",
        ),
        (
            "given up while the money is asked for",
            vec![reserved(), shopper(), voided(), released()],
            Cancelled,
            "reserved cancelling release cancelled",
        ),
        (
            "given up while the hold is being committed",
            vec![reserved(), authorised(1), shopper(), committed(), voided(), released()],
            Cancelled,
            "reserved commit cancelling release cancelled",
        ),
        (
            "given up when it was promised",
            [to_confirmed(), vec![shopper()], given_back(), vec![withdrawn()]].concat(),
            Cancelled,
            "reserved commit confirmed cancelling release cancelled",
        ),
        (
            "called off by a manager while it is picked",
            [to_confirmed(), vec![pick(), manager()], given_back(), vec![withdrawn()]].concat(),
            Cancelled,
            "reserved commit confirmed cancelling release cancelled",
        ),
        (
            "declined and given up",
            [vec![reserved(), declined(1), shopper()], given_back()].concat(),
            Cancelled,
            "reserved payment-failed cancelling release cancelled",
        ),
        (
            "declined, paid by another card",
            vec![reserved(), declined(1), pay_again(), declined(1), authorised(2), committed()],
            State::Confirmed,
            "reserved payment-failed payment-again commit confirmed",
        ),
        (
            "declined twice until the hold ran out",
            vec![reserved(), declined(1), pay_again(), declined(2), hold_expired(), voided()],
            Cancelled,
            "reserved payment-failed payment-again payment-failed cancelling cancelled",
        ),
        (
            "the bank asked and was answered",
            vec![reserved(), action_required(), authorised(1), committed()],
            State::Confirmed,
            "reserved commit confirmed",
        ),
        (
            "the bank asked and nobody answered",
            vec![reserved(), action_required(), voided(), released()],
            Cancelled,
            "reserved cancelling release cancelled",
        ),
        (
            "the hold ran out before the money was there",
            vec![reserved(), hold_expired(), authorised(1), voided()],
            Cancelled,
            "reserved cancelling cancelled",
        ),
        (
            "the commit came too late",
            vec![reserved(), authorised(1), hold_expired(), voided()],
            Cancelled,
            "reserved commit cancelling cancelled",
        ),
        (
            "money that was given back confirms nothing",
            vec![reserved(), authorised(1), voided(), committed(), released()],
            Cancelled,
            "reserved commit cancelling release cancelled",
        ),
        (
            "the slot was taken away before it was picked",
            [to_confirmed(), vec![slot_withdrawn()], given_back(), vec![withdrawn()]].concat(),
            Cancelled,
            "reserved commit confirmed cancelling release cancelled",
        ),
        (
            "the slot was taken away too late",
            [to_confirmed(), vec![pick(), slot_withdrawn(), ready(), picked_up(1), delivered()]].concat(),
            Delivered,
            "reserved commit confirmed ready delivered consume",
        ),
        (
            "nothing of it was there",
            [to_confirmed(), vec![pick(), short(&[("SOAP", 0), ("MILK", 0)])], given_back(), vec![withdrawn()]].concat(),
            Cancelled,
            "reserved commit confirmed reduce cancelling release cancelled",
        ),
        (
            "some of it was there",
            [to_confirmed(), vec![pick(), short(&[("SOAP", 0)]), ready(), picked_up(1), delivered()]].concat(),
            Delivered,
            "reserved commit confirmed reduce short-picked ready delivered consume",
        ),
        (
            "the authorisation went while it was picked",
            [to_confirmed(), vec![pick(), payment_expired(), released(), withdrawn()]].concat(),
            Cancelled,
            "reserved commit confirmed cancelling release cancelled",
        ),
        (
            "the authorisation went on the way",
            [to_door(), vec![payment_expired(), returned(), withdrawn(), released(), voided()]].concat(),
            Cancelled,
            "reserved commit confirmed ready recalled cancelling release cancelled",
        ),
        (
            "called back before a courier had it",
            [to_confirmed(), vec![pick(), ready(), manager(), withdrawn()], given_back()].concat(),
            Cancelled,
            "reserved commit confirmed ready recalled cancelling release cancelled",
        ),
        (
            "called back too late",
            [to_door(), vec![manager(), delivered(), withdrawn()]].concat(),
            Delivered,
            "reserved commit confirmed ready recalled delivered consume",
        ),
        (
            "failed, and tried again",
            [to_door(), vec![failed(1), again(), failed(1), picked_up(2), delivered()]].concat(),
            Delivered,
            "reserved commit confirmed ready delivery-again delivered consume",
        ),
        (
            "failed, and brought back",
            [to_door(), vec![failed(1), bring_back(), returned(), withdrawn()], given_back()].concat(),
            Cancelled,
            "reserved commit confirmed ready recalled cancelling release cancelled",
        ),
        (
            "failed, and nobody decided",
            [to_door(), vec![failed(1), Step::Wait, withdrawn()], given_back()].concat(),
            Cancelled,
            "reserved commit confirmed ready recalled cancelling release cancelled",
        ),
        (
            "no courier took it",
            [to_confirmed(), vec![pick(), ready(), failed(1), bring_back(), withdrawn()], given_back()].concat(),
            Cancelled,
            "reserved commit confirmed ready recalled cancelling release cancelled",
        ),
        (
            "delivery gave up by itself",
            [to_confirmed(), vec![withdrawn()], given_back()].concat(),
            Cancelled,
            "reserved commit confirmed cancelling release cancelled",
        ),
        (
            "nobody answers, and is asked again",
            vec![Step::Wait, Step::Wait, released(), Step::Wait],
            Cancelling,
            "cancelling release cancelling release cancelling",
        ),
        (
            "nobody brings it back, and is asked again",
            [to_door(), vec![manager(), Step::Wait, withdrawn()]].concat(),
            Cancelling,
            "reserved commit confirmed ready recalled recalled cancelling release",
        ),
    ];
    for (name, steps, state, said) in cases {
        let mut order = placed();
        let all = take_all(&mut order, &steps);
        assert_eq!((words(&all).as_str(), order.state), (said, state), "{name}");
        assert_sound(&order);
    }
}

#[test]
fn an_order_says_why_it_ends() {
    let cases = [
        (State::Reserved, cancel(Part::Shopper), "gave-up"),
        (State::Reserved, hold_expired(), "hold-expired"),
        (State::Reserved, voided(), "payment-timed-out"),
        (State::PaymentFailed, voided(), "payment-timed-out"),
        (State::Authorised, voided(), "payment-timed-out"),
        (State::Confirmed, voided(), "payment-voided"),
        (State::Authorised, payment_expired(), "payment-expired"),
        (State::OutForDelivery, payment_expired(), "payment-expired"),
        (State::DeliveryFailed, payment_expired(), "payment-expired"),
        (State::Reserved, slot_withdrawn(), "slot-withdrawn"),
        (State::Picking, withdrawn(), "delivery-withdrawn"),
        (State::Picking, short(&[("SOAP", 0), ("MILK", 0)]), "nothing-left"),
        (State::Placed, Step::Wait, "timed-out"),
        (State::PaymentFailed, Step::Wait, "timed-out"),
        (State::Picking, Step::Wait, "late"),
        (State::OutForDelivery, Step::Wait, "late"),
        (State::DeliveryFailed, Step::Wait, "delivery-failed"),
        (State::DeliveryFailed, bring_back(), "nobody lives there"),
    ];
    for (state, step, reason) in cases {
        let mut order = order_in(state);
        take(&mut order, &step).unwrap();
        assert!(order.state.is_ending(), "{state:?} {step:?}: {:?}", order.state);
        assert_eq!(order.reason.as_deref(), Some(reason), "{state:?} {step:?}");
        assert_eq!(order.history.last().unwrap().reason.as_deref(), Some(reason), "{state:?} {step:?}");
    }
}

#[test]
fn what_is_said_carries_what_others_need() {
    let mut order = placed();
    let Some(Said::Reserved(asked)) = take(&mut order, &reserved()).unwrap().pop() else { panic!("the money is asked for") };
    assert_eq!((asked.amount, asked.payment_token.as_str(), asked.pay_by), (order.total, "tok_visa", at(600_000 - MARGIN_MS)));
    take(&mut order, &declined(1)).unwrap();
    let Some(Said::PaymentAgain(asked)) = take(&mut order, &pay_again()).unwrap().pop() else { panic!("it is asked again") };
    assert_eq!((asked.attempt, asked.amount, asked.payment_token.as_str()), (2, order.total, "tok_amex"));
    assert_eq!(asked.pay_by, at(600_000 - MARGIN_MS));
    let Some(Said::Rejected(event)) = take(&mut placed(), &rejected()).unwrap().pop() else { panic!("it is rejected") };
    let slot = SlotKey(at(3_600_000));
    assert_eq!(event.detail, format!("MILK: 5 wanted, 1 left; the slot at {slot} is full or closed"));
    let mut order = order_in(State::DeliveryFailed);
    let said = take(&mut order, &again()).unwrap();
    assert!(matches!(&said[..], [Said::DeliveryAgain(event)] if event.attempt == 2), "{said:?}");
    let mut order = order_in(State::OutForDelivery);
    let said = take(&mut order, &delivered()).unwrap();
    assert!(matches!(&said[0], Said::Delivered(event) if event.amount == order.total), "{said:?}");
}

#[test]
fn the_history_keeps_what_is_no_state() {
    let mut order = placed();
    let steps = [
        vec![reserved(), action_required(), declined(1), pay_again(), declined(2), pay_again(), authorised(3), committed()],
        vec![pick(), slot_withdrawn(), short(&[("MILK", 4)]), ready(), Step::Hear(Heard::Courier("Amara".to_owned()))],
        vec![Step::Hear(Heard::Unassigned { reason: "courier-dropped-out".to_owned() }), picked_up(1), failed(1), returned()],
        vec![again(), picked_up(2), cancel(Part::Manager), delivered(), captured(TOTAL - 419)],
        vec![refund(1, Share::Amount(usd(500))), refund(2, Share::Amount(usd(100)))],
        vec![Step::Hear(Heard::Refunded { refund: refund_id(1), amount: usd(500), refunded: usd(500) })],
        vec![Step::Hear(Heard::RefundFailed { refund: refund_id(2), reason: "card-closed".to_owned() })],
        vec![Step::Hear(Heard::Disputed { amount: usd(900), reason: "not-received".to_owned() })],
        vec![Step::Hear(Heard::DisputeClosed { won: true })],
    ];
    let steps: Vec<Step> = steps.concat();
    take_all(&mut order, &steps);
    let expected = [
        ("placed", "guest"),
        ("reserved", "inventory"),
        ("action-required", "payments"),
        ("payment_failed", "payments"),
        ("payment-again", "shopper"),
        ("declined", "payments"),
        ("payment-again", "shopper"),
        ("authorised", "payments"),
        ("confirmed", "inventory"),
        ("picking", "picker"),
        ("slot-withdrawn", "inventory"),
        ("short-picked", "picker"),
        ("ready", "picker"),
        ("courier-unassigned", "delivery"),
        ("out_for_delivery", "delivery"),
        ("delivery_failed", "delivery"),
        ("goods-back", "delivery"),
        ("ready", "dispatcher"),
        ("out_for_delivery", "delivery"),
        ("returning", "manager"),
        ("recall-too-late", "delivery"),
        ("delivered", "delivery"),
        ("refund-asked", "manager"),
        ("refund-asked", "manager"),
        ("refund-paid", "payments"),
        ("refund-failed", "payments"),
        ("disputed", "payments"),
        ("dispute-closed", "payments"),
    ];
    assert_eq!(history(&order), expected);
    let reasons: Vec<&str> = order.history.iter().filter_map(|moment| moment.reason.as_deref()).collect();
    let expected = [
        "card-declined",
        "card-declined",
        "the van broke down",
        "MILK: 4 of 5",
        "courier-dropped-out",
        "nobody-home",
        "they are home at six",
        "gave-up",
        "gave-up",
        "USD 5.00: broken",
        "USD 1.00: broken",
        "USD 5.00",
        "USD 1.00: card-closed",
        "not-received",
        "won",
    ];
    assert_eq!(reasons, expected);
    assert_eq!(order.reason, None, "it did not end that way");
}

#[test]
fn after_a_cancel_the_last_answer_ends_it_whichever_it_is() {
    let answers = [released(), voided(), withdrawn()];
    let orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
    for state in [State::Placed, State::Reserved, State::PaymentFailed, State::Authorised, State::Confirmed, State::Picking] {
        // Delivery is waited for only if it was told of the order.
        let needed: &[usize] = if order_in(state).was(State::Confirmed) { &[0, 1, 2] } else { &[0, 1] };
        for sequence in orders {
            let mut order = order_in(state);
            take(&mut order, &cancel(Part::Manager)).unwrap();
            let mut missing: Vec<usize> = needed.to_vec();
            for answer in sequence {
                take(&mut order, &answers[answer]).unwrap();
                missing.retain(|needed| *needed != answer);
                assert_eq!(order.state == State::Cancelled, missing.is_empty(), "{state:?} {sequence:?} after {answer}");
            }
        }
    }
}

#[test]
fn every_state_but_the_ends_waits_and_says_how_long() {
    let patience = Patience { promise_ms: 1_000, delivery_ms: 20_000, decision_ms: 3_000, answer_ms: 400 };
    for state in STATES {
        let order = order_in(state);
        let due_at = match state {
            State::Placed | State::Reserved | State::Authorised | State::PaymentFailed => Some(at(1_000)),
            State::Confirmed | State::Picking | State::Ready | State::OutForDelivery => Some(order.slot.ends_at.plus_ms(20_000)),
            State::DeliveryFailed => Some(at(1 + 3_000)),
            State::Returning | State::Cancelling => Some(at(50 + 400)),
            State::Delivered | State::Rejected | State::Cancelled => None,
        };
        assert_eq!(order.due_at(at(50), patience), due_at, "{state:?}");
        assert_eq!(state.is_final(), due_at.is_none(), "{state:?}");
    }
    // What comes a step further after its slot has its time again.
    let mut order = order_in(State::Picking);
    let late = order.slot.ends_at.plus_ms(10_000);
    order.ask(&Wish::Ready, &asker(Part::Picker), late, MARGIN_MS).unwrap();
    assert_eq!(order.due_at(late, patience), Some(late.plus_ms(20_000)));
}
