//! Anything at all, in any order and any number of times: nothing breaks an order, what is known already changes nothing, and
//! from wherever it comes there is a way to an end.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

/// Everything that may be heard at any time.
fn facts() -> Vec<Step> {
    let amount = usd(200);
    vec![
        reserved(),
        rejected(),
        committed(),
        hold_expired(),
        released(),
        hold(Hold::Consumed),
        slot_withdrawn(),
        action_required(),
        authorised(1),
        authorised(2),
        declined(1),
        declined(2),
        voided(),
        payment_expired(),
        Step::Hear(Heard::Refunded { refund: refund_id(1), amount, refunded: amount }),
        Step::Hear(Heard::RefundFailed { refund: refund_id(2), reason: "card-closed".to_owned() }),
        Step::Hear(Heard::Disputed { amount, reason: "fraud".to_owned() }),
        Step::Hear(Heard::DisputeClosed { won: true }),
        Step::Hear(Heard::Pin("4071".to_owned())),
        Step::Hear(Heard::Courier("Amara".to_owned())),
        Step::Hear(Heard::Unassigned { reason: "courier-dropped-out".to_owned() }),
        picked_up(1),
        picked_up(2),
        Step::Hear(Heard::Arrived(1)),
        failed(1),
        failed(2),
        returned(),
        delivered(),
        withdrawn(),
    ]
}

/// Everything that may be asked for at any time.
fn wishes() -> Vec<Step> {
    vec![
        cancel(Part::Shopper),
        cancel(Part::Manager),
        cancel(Part::Dispatcher),
        pay_again(),
        pick(),
        short(&[("MILK", 3)]),
        short(&[("MILK", 0), ("SOAP", 0)]),
        ready(),
        again(),
        bring_back(),
        refund(1, Share::Amount(usd(200))),
        refund(2, Share::All),
    ]
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => prop::sample::select(facts()),
        4 => prop::sample::select(wishes()),
        1 => Just(Step::Wait),
    ]
}

/// Whether the world lets this happen now: what was not asked for is not given back, and an id names one refund.
fn possible(order: &Order, step: &Step) -> bool {
    let known = |id: &RefundId| order.refunds.iter().any(|refund| refund.id == *id);
    match step {
        Step::Hear(Heard::Refunded { refund, .. }) => known(refund),
        Step::Ask(_, Wish::Refund { id, .. }) => !known(id),
        _ => true,
    }
}

/// What must hold between an order before a step and after it, and of what it said.
fn check(before: &Order, after: &Order, said: &[Said]) -> Result<(), TestCaseError> {
    assert_sound(after);
    prop_assert_eq!(&after.history[..before.history.len()], &before.history[..]);
    prop_assert!(!before.state.is_final() || before.state == after.state, "what has ended stays so");
    prop_assert!(before.hold.rank() <= after.hold.rank() && before.delivery.delivered <= after.delivery.delivered);
    prop_assert!(before.payment_attempt < after.payment_attempt || before.payment.rank() <= after.payment.rank());
    for said in said {
        match said {
            Said::Confirmed(_) => prop_assert!(after.hold == Hold::Committed && after.payment == Payment::Authorised),
            Said::Cancelled(_) => prop_assert!(after.hold.is_over() && after.payment.is_back()),
            Said::Cancelling(_) => prop_assert!(matches!(after.state, State::Cancelling | State::Cancelled)),
            Said::Delivered(event) => prop_assert!(after.delivery.delivered && event.amount == after.total),
            _ => {}
        }
    }
    Ok(())
}

/// From wherever it is, an order ends once it has waited long enough and others have given back what they have for it.
fn ends(order: &mut Order) -> Result<(), TestCaseError> {
    for _ in 0..2 {
        for step in [Step::Wait, withdrawn(), released(), voided()] {
            take(order, &step).unwrap();
        }
    }
    prop_assert!(order.state.is_final(), "stuck in {:?}", order);
    Ok(())
}

/// What is said once in the life of an order, unless it asks again because nobody answered.
const ONCE: [&str; 11] = [
    "reserved",
    "commit",
    "confirmed",
    "rejected",
    "ready",
    "recalled",
    "cancelling",
    "release",
    "cancelled",
    "delivered",
    "consume",
];

proptest! {
    #[test]
    fn nothing_that_happens_in_any_order_breaks_an_order(
        start in prop::sample::select(&STATES[..]),
        steps in prop::collection::vec(any_step(), 0..40),
    ) {
        let mut order = if start == State::Delivered { paid() } else { order_in(start) };
        let mut all = Vec::new();
        for step in steps {
            if !possible(&order, &step) {
                continue;
            }
            let before = order.clone();
            let asks_again = matches!(step, Step::Wait) && before.state.is_ending();
            let Ok(said) = take(&mut order, &step) else {
                prop_assert_eq!(&order, &before);
                continue;
            };
            check(&before, &order, &said)?;
            all.extend(said.iter().map(word).filter(|word| ONCE.contains(word) && !asks_again));
            // Time goes on.
            if matches!(step, Step::Wait) || !possible(&order, &step) {
                continue;
            }
            let known = order.clone();
            if let Ok(said) = take(&mut order, &step) {
                prop_assert_eq!(words(&said), "", "once more: {:?}", step);
            }
            prop_assert_eq!(&order, &known, "once more: {:?}", step);
        }
        let once: BTreeSet<&str> = all.iter().copied().collect();
        prop_assert_eq!(once.len(), all.len(), "said twice: {:?}", all);
        ends(&mut order)?;
    }

    #[test]
    fn facts_of_different_services_merge_in_any_order(scenario in 0usize..6, draws in prop::collection::vec(0usize..3, 60)) {
        let scenarios = scenarios();
        let (topics, end) = &scenarios[scenario];
        // Those of one service keep their order; each is heard twice.
        let mut queues: Vec<Vec<Step>> =
            topics.iter().map(|topic| topic.iter().rev().flat_map(|step| [step.clone(), step.clone()]).collect()).collect();
        let mut order = placed();
        for draw in draws {
            let open: Vec<usize> = (0..queues.len()).filter(|index| !queues[*index].is_empty()).collect();
            let Some(index) = open.get(draw % open.len().max(1)) else { break };
            let step = queues[*index].pop().expect("it is not empty");
            take(&mut order, &step).unwrap();
            assert_sound(&order);
        }
        prop_assert!(queues.iter().all(Vec::is_empty));
        for step in [pick(), ready()] {
            let _ = take(&mut order, &step);
        }
        let mut straight = placed();
        take_all(&mut straight, &topics.concat());
        for step in [pick(), ready()] {
            let _ = take(&mut straight, &step);
        }
        prop_assert_eq!(order.state, *end);
        (order.history, straight.history) = (Vec::new(), Vec::new());
        prop_assert_eq!(order, straight);
    }

    #[test]
    fn what_was_handed_over_wins_over_whatever_was_decided(
        sequence in Just(vec![delivered(), payment_expired(), slot_withdrawn(), failed(1), Step::Wait, cancel(Part::Manager)])
            .prop_shuffle(),
    ) {
        let mut order = order_in(State::OutForDelivery);
        for step in sequence {
            let _ = take(&mut order, &step);
        }
        prop_assert_eq!(order.state, State::Delivered);
        assert_sound(&order);
    }
}

/// What each service says in its order, and where an order ends that hears all of it and then is picked.
fn scenarios() -> Vec<(Vec<Vec<Step>>, State)> {
    let pin = || Step::Hear(Heard::Pin("4071".to_owned()));
    let courier = || Step::Hear(Heard::Courier("Amara".to_owned()));
    vec![
        (
            vec![
                vec![reserved(), committed()],
                vec![action_required(), authorised(1)],
                vec![pin(), courier(), picked_up(1), Step::Hear(Heard::Arrived(1)), delivered()],
            ],
            State::Delivered,
        ),
        (
            vec![vec![reserved(), committed()], vec![authorised(1)], vec![pin(), courier(), picked_up(1), failed(1), returned()]],
            State::DeliveryFailed,
        ),
        (vec![vec![reserved(), committed(), slot_withdrawn()], vec![authorised(1)], vec![pin()]], State::Cancelling),
        (vec![vec![reserved(), hold_expired()], vec![authorised(1)], vec![withdrawn()]], State::Cancelling),
        (vec![vec![rejected()], vec![], vec![withdrawn()]], State::Rejected),
        (vec![vec![reserved()], vec![action_required(), declined(1)], vec![]], State::PaymentFailed),
    ]
}
