//! What must hold of a payment at every instant, and of a payment beside the provider's books once it is settled.
//! Leaves reading the rows to `http`.

use contracts::OrderId;
use contracts::audit::Breach;

use super::payment::Payment;
use super::sandbox::Intent;

/// A payment's sums as its document says, and as its ledger does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Sums {
    pub(crate) authorised: i64,
    pub(crate) captured: i64,
    pub(crate) voided: i64,
}

/// What the audit reads of one payment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Audited {
    pub(crate) order: OrderId,
    pub(crate) state: String,
    pub(crate) wish: String,
    pub(crate) document: Sums,
    pub(crate) ledger: Sums,
    /// What the ledger says was refunded.
    pub(crate) refunded: i64,
    /// How many tasks it has.
    pub(crate) tasks: i64,
}

/// The rules of one payment that do not hold:
///
/// - `captured-within-authorised`: no more was taken and given back than was held;
/// - `captured-or-voided`: money was not both taken and given back;
/// - `refunded-within-captured`: no more was refunded than was taken;
/// - `ledger-equals-documents`: the ledger's sums are the document's;
/// - `wanted-is-asked`: whoever still waits for the provider has a task; a void that was refused shows here.
pub(crate) fn breaches(audited: &Audited) -> Vec<Breach> {
    let Audited { document, ledger, .. } = audited;
    let waits = match audited.state.as_str() {
        "created" | "unknown" => true,
        "authorised" => audited.wish != "hold",
        _ => false,
    };
    let rules = [
        ("captured-within-authorised", document.captured + document.voided <= document.authorised, said(document)),
        ("captured-or-voided", document.captured == 0 || document.voided == 0, said(document)),
        (
            "refunded-within-captured",
            audited.refunded <= ledger.captured,
            format!("refunded {} of captured {}", audited.refunded, ledger.captured),
        ),
        ("ledger-equals-documents", document == ledger, format!("{}; the ledger says {}", said(document), said(ledger))),
        (
            "wanted-is-asked",
            !waits || audited.tasks > 0,
            format!("it is {} and wanted is {}, but nothing is asked of the provider", audited.state, audited.wish),
        ),
    ];
    let broken = rules.into_iter().filter(|(_, holds, _)| !holds);
    broken.map(|(rule, _, detail)| Breach { rule: rule.to_owned(), subject: audited.order.to_string(), detail }).collect()
}

/// How a settled payment, or none, differs from what the provider's books hold of its order.
pub(crate) fn differences(order: OrderId, ours: Option<&Payment>, theirs: &[Intent]) -> Vec<Breach> {
    let breach = |rule: &str, detail: String| Breach { rule: rule.to_owned(), subject: order.to_string(), detail };
    let our_intent = ours.and_then(|payment| payment.intent.as_deref());
    let mut found = Vec::new();
    for intent in theirs.iter().filter(|intent| our_intent != Some(&intent.id)) {
        found.push(breach("intent-theirs-only", format!("the provider has {}: {}", intent.id, said(&sums_of(intent)))));
    }
    let (Some(payment), Some(id)) = (ours, our_intent) else { return found };
    let ours = Sums { authorised: payment.authorised_minor, captured: payment.captured_minor, voided: payment.voided_minor };
    match theirs.iter().find(|intent| intent.id == id) {
        None => found.push(breach("intent-ours-only", format!("the provider has no {id}; ours is {}", said(&ours)))),
        Some(intent) if sums_of(intent) != ours || Some(intent.authorised) != payment.amount() => {
            let detail = format!("{id}: ours is {}, the provider's {}", said(&ours), said(&sums_of(intent)));
            found.push(breach("intent-amounts-differ", detail));
        }
        Some(_) => {}
    }
    found
}

fn sums_of(intent: &Intent) -> Sums {
    Sums { authorised: intent.authorised.minor, captured: intent.captured_minor, voided: intent.voided_minor }
}

fn said(sums: &Sums) -> String {
    format!("authorised {}, captured {}, voided {}", sums.authorised, sums.captured, sums.voided)
}

#[cfg(test)]
mod tests {
    use kernel::{Bucket, Draw, Id, Money, Timestamp};

    use super::*;
    use crate::domain::payment::{PaymentState, Wish};

    fn order() -> OrderId {
        OrderId(Id::new(Timestamp::from_millis(1), Bucket(3), &mut Draw::seeded(1)))
    }

    fn sums(authorised: i64, captured: i64, voided: i64) -> Sums {
        Sums { authorised, captured, voided }
    }

    #[test]
    fn each_rule_finds_its_breach() {
        let sound = Audited {
            order: order(),
            state: "captured".to_owned(),
            wish: "capture".to_owned(),
            document: sums(10, 8, 0),
            ledger: sums(10, 8, 0),
            refunded: 3,
            tasks: 0,
        };
        let waiting = Audited { state: "authorised".to_owned(), wish: "void".to_owned(), ..sound.clone() };
        let cases = [
            (sound.clone(), vec![]),
            (Audited { refunded: 9, ..sound.clone() }, vec!["refunded-within-captured"]),
            (Audited { ledger: sums(10, 9, 0), ..sound.clone() }, vec!["ledger-equals-documents"]),
            (Audited { document: sums(10, 11, 0), ledger: sums(10, 11, 0), ..sound.clone() }, vec!["captured-within-authorised"]),
            (Audited { document: sums(10, 8, 2), ledger: sums(10, 8, 2), ..sound.clone() }, vec!["captured-or-voided"]),
            (waiting.clone(), vec!["wanted-is-asked"]),
            (Audited { tasks: 1, ..waiting.clone() }, vec![]),
            (Audited { wish: "hold".to_owned(), ..waiting }, vec![]),
            (Audited { state: "unknown".to_owned(), ..sound }, vec!["wanted-is-asked"]),
        ];
        for (audited, wanted) in cases {
            let found: Vec<String> = breaches(&audited).into_iter().map(|breach| breach.rule).collect();
            assert_eq!(found, wanted, "{audited:?}");
        }
    }

    #[test]
    fn books_are_compared_from_both_sides() {
        let amount = Money::new(10, "USD".parse().unwrap());
        let now = Timestamp::from_millis(1);
        let theirs = |id: &str| Intent::authorise(id.to_owned(), order(), amount, now);
        let (mut ours, _) = Payment::given_up(order(), now);
        assert_eq!(rules(Some(&ours), &[]), Vec::<String>::new());
        assert_eq!(rules(Some(&ours), &[theirs("pi_1")]), ["intent-theirs-only"]);
        assert_eq!(rules(None, &[theirs("pi_1")]), ["intent-theirs-only"]);
        let token = "tok_ok".to_owned();
        let store = contracts::StoreId(order().0);
        ours.terms = Some(crate::domain::payment::Terms { store, amount, token, pay_by: now });
        (ours.state, ours.wish) = (PaymentState::Authorised, Wish::Hold);
        (ours.intent, ours.authorised_minor) = (Some("pi_1".to_owned()), 10);
        assert_eq!(rules(Some(&ours), &[theirs("pi_1")]), Vec::<String>::new());
        assert_eq!(rules(Some(&ours), &[]), ["intent-ours-only"]);
        assert_eq!(rules(Some(&ours), &[theirs("pi_1").void().unwrap()]), ["intent-amounts-differ"]);
        assert_eq!(rules(Some(&ours), &[theirs("pi_1"), theirs("pi_2")]), ["intent-theirs-only"]);
    }

    fn rules(ours: Option<&Payment>, theirs: &[Intent]) -> Vec<String> {
        differences(order(), ours, theirs).into_iter().map(|breach| breach.rule).collect()
    }
}
