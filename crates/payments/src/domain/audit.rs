//! What must hold of a payment at every instant, and of a payment beside the provider's books once it is settled.
//! Leaves reading the rows to `http`.

use contracts::OrderId;
use contracts::audit::Breach;
use kernel::TraceContext;

use super::outcome::{Standing, Truth};
use super::payment::{Attempt, Payment};

/// Sums in minor units: as columns say, as the document does, or as the ledger does.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Sums {
    pub(crate) authorised: i64,
    pub(crate) captured: i64,
    pub(crate) voided: i64,
    pub(crate) refunded: i64,
}

impl Sums {
    /// Of the attempt that counts, as the columns keep them.
    pub(crate) fn counting(payment: &Payment) -> Self {
        Self {
            authorised: payment.authorised_minor(),
            captured: payment.captured_minor(),
            voided: payment.voided_minor(),
            refunded: payment.refunded_minor(),
        }
    }

    /// Of all attempts, as the ledger keeps them.
    fn of_all(payment: &Payment) -> Self {
        let sum = |of: fn(&Attempt) -> i64| payment.attempts.iter().map(of).sum();
        Self {
            authorised: sum(|attempt| attempt.authorised_minor),
            captured: sum(|attempt| attempt.captured_minor),
            voided: sum(|attempt| attempt.voided_minor),
            refunded: payment.refunded_minor(),
        }
    }
}

/// What the audit reads of one payment.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Audited {
    pub(crate) payment: Payment,
    /// The column `state`.
    pub(crate) state: String,
    pub(crate) columns: Sums,
    pub(crate) ledger: Sums,
    /// How many tasks it has.
    pub(crate) tasks: i64,
}

/// The rules of one payment that do not hold:
///
/// - `captured-within-authorised`: no more was taken and given back than was held;
/// - `captured-or-voided`: money was not both taken and given back;
/// - `refunded-within-captured`: no more was refunded than was taken;
/// - `columns-equal-documents`: what is searched for is what the document says;
/// - `ledger-equals-documents`: the ledger's sums are the document's;
/// - `one-attempt-alive`: at most one means of payment may give the order's money;
/// - `wanted-is-asked`: whoever still waits for the provider has a task, and nothing is wanted that nobody asks for.
pub(crate) fn breaches(audited: &Audited, trace: &TraceContext) -> Vec<Breach> {
    let Audited { payment, state, columns, ledger, tasks } = audited;
    let (counting, all) = (Sums::counting(payment), Sums::of_all(payment));
    let both = |holds: fn(&Sums) -> bool| holds(columns) && holds(ledger);
    let sums = || format!("{}; the ledger says {}", said(columns), said(ledger));
    let waits = payment.waits_for_provider();
    let rules = [
        ("captured-within-authorised", both(|sums| sums.captured + sums.voided <= sums.authorised), sums()),
        ("captured-or-voided", columns.captured == 0 || columns.voided == 0, sums()),
        ("refunded-within-captured", both(|sums| sums.refunded <= sums.captured), sums()),
        (
            "columns-equal-documents",
            *columns == counting && state == payment.state().as_str(),
            format!("{state}, {}; the document says {}, {}", said(columns), payment.state().as_str(), said(&counting)),
        ),
        ("ledger-equals-documents", all == *ledger, format!("{}; the ledger says {}", said(&all), said(ledger))),
        ("one-attempt-alive", payment.alive() <= 1, format!("{} attempts may give the money", payment.alive())),
        (
            "wanted-is-asked",
            (!waits || *tasks > 0) && !payment.forgets(trace),
            format!("it is {state} and wanted is {}, but nothing is asked of the provider", payment.wish.as_str()),
        ),
    ];
    let broken = rules.into_iter().filter(|(_, holds, _)| !holds);
    broken.map(|(rule, _, detail)| breach(rule, &payment.order.to_string(), detail)).collect()
}

/// How the provider's intent differs from the payment of the order that it refers to, if there is one: `intent-theirs-only`
/// or `intent-amounts-differ`. A payment that is not settled is left alone, and so is a stranger's intent without money.
pub(crate) fn against(truth: &Truth, ours: Option<(&Payment, bool)>) -> Option<Breach> {
    let known = ours.is_some_and(|(payment, _)| payment.attempt_of(&truth.intent).is_some());
    match ours {
        Some((_, false)) => None,
        Some((payment, true)) if known => {
            let detail = payment.difference(truth)?;
            Some(breach("intent-amounts-differ", &truth.reference, detail))
        }
        _ if matches!(truth.standing, Standing::Declined | Standing::Voided | Standing::Expired) => None,
        _ => {
            let Truth { intent, amount, captured_minor, .. } = truth;
            let detail =
                format!("the provider has {intent}: {} for {}, {captured_minor} captured", standing(truth), amount.minor);
            Some(breach("intent-theirs-only", &truth.reference, detail))
        }
    }
}

/// The provider knows no intent of this name, and we do: `intent-ours-only`.
pub(crate) fn missing(order: OrderId, attempt: &Attempt, intent: &str) -> Breach {
    let Attempt { authorised_minor, captured_minor, .. } = attempt;
    let detail = format!("the provider has no {intent}; ours is authorised {authorised_minor}, captured {captured_minor}");
    breach("intent-ours-only", &order.to_string(), detail)
}

fn breach(rule: &str, subject: &str, detail: String) -> Breach {
    Breach { rule: rule.to_owned(), subject: subject.to_owned(), detail }
}

fn standing(truth: &Truth) -> String {
    let word = serde_json::to_value(truth.standing).ok();
    word.and_then(|word| word.as_str().map(str::to_owned)).unwrap_or_default()
}

fn said(sums: &Sums) -> String {
    let Sums { authorised, captured, voided, refunded } = sums;
    format!("authorised {authorised}, captured {captured}, voided {voided}, refunded {refunded}")
}

#[cfg(test)]
mod tests {
    use contracts::{RefundId, StoreId};
    use kernel::{Bucket, Draw, Id, Money, Timestamp};

    use super::*;
    use crate::domain::outcome::Outcome;
    use crate::domain::payment::{Operation, Terms};

    fn order() -> OrderId {
        OrderId(Id::new(Timestamp::from_millis(1), Bucket(3), &mut Draw::seeded(1)))
    }

    fn trace() -> TraceContext {
        TraceContext::start(&mut Draw::seeded(2))
    }

    fn money(minor: i64) -> Money {
        Money::new(minor, "USD".parse().unwrap())
    }

    fn done() -> Outcome {
        Outcome::Done { intent: "pi_1".to_owned() }
    }

    /// A payment of 10 of which 8 were taken and 3 given back.
    fn payment() -> Payment {
        let now = Timestamp::from_millis(1);
        let terms = Terms { amount: money(10), token: "tok_ok".to_owned(), pay_by: now };
        let (mut payment, _) = Payment::reserve(order(), StoreId(order().0), terms, now, &trace()).unwrap();
        payment.answer(Operation::Authorise, 1, &done(), now);
        payment.deliver(money(8), now, &trace()).unwrap();
        payment.answer(Operation::Capture, 1, &done(), now);
        payment.refund(RefundId(order().0), money(3), "late", now, &trace()).unwrap();
        payment.answer(Operation::Refund, 1, &done(), now);
        payment
    }

    fn sums(authorised: i64, captured: i64, voided: i64, refunded: i64) -> Sums {
        Sums { authorised, captured, voided, refunded }
    }

    fn truth(standing: Standing, captured_minor: i64, refunded_minor: i64) -> Truth {
        Truth {
            intent: "pi_1".to_owned(),
            reference: order().to_string(),
            standing,
            amount: money(10),
            captured_minor,
            refunded_minor,
            url: None,
            dispute: None,
            changed: 1,
        }
    }

    #[test]
    fn each_rule_finds_its_breach() {
        let whole = sums(10, 8, 0, 3);
        let sound = Audited { payment: payment(), state: "partially-refunded".into(), columns: whole, ledger: whole, tasks: 0 };
        let mut unasked = sound.clone();
        unasked.payment.refund(RefundId(Id::from_bytes([9; 16])), money(1), "late", Timestamp::from_millis(2), &trace()).unwrap();
        let mut forgotten = sound.clone();
        forgotten.payment.refunds[0].state = crate::domain::payment::RefundState::Wanted;
        forgotten.payment.asked.retain(|asked| asked.operation != Operation::Refund);
        (forgotten.columns.refunded, forgotten.ledger.refunded) = (0, 0);
        forgotten.state = "captured".to_owned();
        let mut doubled = sound.clone();
        let mut second = doubled.payment.attempts[0].clone();
        (second.number, second.authorised_minor, second.captured_minor) = (2, 0, 0);
        doubled.payment.attempts.push(second);
        let cases = [
            (sound.clone(), vec![]),
            (Audited { ledger: sums(10, 8, 0, 9), ..sound.clone() }, vec!["refunded-within-captured", "ledger-equals-documents"]),
            (Audited { ledger: sums(10, 9, 0, 3), ..sound.clone() }, vec!["ledger-equals-documents"]),
            (
                Audited { columns: sums(10, 11, 0, 3), ..sound.clone() },
                vec!["captured-within-authorised", "columns-equal-documents"],
            ),
            (Audited { columns: sums(10, 8, 2, 3), ..sound.clone() }, vec!["captured-or-voided", "columns-equal-documents"]),
            (Audited { state: "captured".to_owned(), ..sound.clone() }, vec!["columns-equal-documents"]),
            (unasked.clone(), vec!["wanted-is-asked"]),
            (Audited { tasks: 1, ..unasked }, vec![]),
            (forgotten, vec!["wanted-is-asked"]),
            (doubled, vec!["one-attempt-alive"]),
        ];
        for (audited, wanted) in cases {
            let found: Vec<String> = breaches(&audited, &trace()).into_iter().map(|breach| breach.rule).collect();
            assert_eq!(found, wanted, "{audited:?}");
        }
    }

    #[test]
    fn books_are_compared_from_both_sides() {
        let ours = payment();
        let rule = |truth: &Truth, ours: Option<(&Payment, bool)>| against(truth, ours).map(|breach| breach.rule);
        let differ = Some("intent-amounts-differ".to_owned());
        let theirs_only = Some("intent-theirs-only".to_owned());
        assert_eq!(rule(&truth(Standing::Captured, 8, 3), Some((&ours, true))), None);
        assert_eq!(rule(&truth(Standing::Captured, 8, 2), Some((&ours, true))), differ);
        assert_eq!(rule(&truth(Standing::Captured, 8, 2), Some((&ours, false))), None, "it is not settled");
        assert_eq!(rule(&truth(Standing::Authorised, 0, 0), Some((&ours, true))), differ);
        assert_eq!(rule(&Truth { amount: money(9), ..truth(Standing::Captured, 8, 3) }, Some((&ours, true))), differ);
        assert_eq!(rule(&truth(Standing::Captured, 8, 3), None), theirs_only);
        assert_eq!(rule(&truth(Standing::Voided, 0, 0), None), None, "nobody's money");
        assert_eq!(
            rule(&Truth { intent: "pi_2".to_owned(), ..truth(Standing::Captured, 8, 3) }, Some((&ours, true))),
            theirs_only
        );
        assert_eq!(missing(order(), &ours.attempts[0], "pi_1").rule, "intent-ours-only");
    }
}
