//! Tables and sequences for the machine of a payment: every order of the shop's events, of lost, doubled and late answers,
//! against a provider that keeps books by the sandbox's own rules.
//! Leaves executors, tasks in a database and clocks to the tests of the service.

use std::collections::BTreeMap;

use kernel::{Bucket, Draw, Id};
use proptest::prelude::*;

use super::*;
use crate::domain::sandbox::{Intent, charge};

const RULES: AskRules = AskRules { look_after_tries: 3, resend_within_ms: 3_600_000 };
const NOW: Timestamp = Timestamp::from_millis(1_000_000);

fn order() -> OrderId {
    OrderId(Id::new(NOW, Bucket(3), &mut Draw::seeded(1)))
}

fn trace() -> TraceContext {
    TraceContext::start(&mut Draw::seeded(2))
}

fn money(minor: i64) -> Money {
    Money::new(minor, "USD".parse().unwrap())
}

fn terms(token: &str) -> Terms {
    Terms { store: StoreId(order().0), amount: money(1000), token: token.to_owned(), pay_by: NOW.plus_ms(60_000) }
}

/// A provider that keeps books by key.
#[derive(Default)]
struct Books {
    words: BTreeMap<String, Outcome>,
    intents: Vec<Intent>,
}

impl Books {
    fn put(&mut self, question: &Question) -> Outcome {
        if let Some(word) = self.words.get(&question.key) {
            return word.clone();
        }
        let word = self.act(question).map_or_else(Outcome::declined, |intent| Outcome::Done { intent });
        self.words.insert(question.key.clone(), word.clone());
        word
    }

    fn act(&mut self, question: &Question) -> Result<String, &'static str> {
        if question.how == How::TooLate {
            return Err("too-late");
        }
        if question.operation == Operation::Authorise {
            charge(&question.token)?;
            let id = format!("pi_{}", self.intents.len());
            self.intents.push(Intent::authorise(id.clone(), question.order, question.amount, NOW));
            return Ok(id);
        }
        let intent = self.intents.iter_mut().find(|intent| intent.id == question.intent).ok_or("no-such-intent")?;
        *intent = if question.operation == Operation::Capture { intent.capture(question.amount)? } else { intent.void()? };
        Ok(intent.id.clone())
    }
}

/// What happens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Step {
    Reserved,
    Delivered(i64),
    Cancelling,
    /// A worker takes up what is to be asked.
    TakeUp,
    /// The first question under way reaches the provider, and the answer comes back.
    Answer,
    /// It reaches the provider, and the answer is lost.
    AnswerLost,
    /// It is lost.
    QuestionLost,
    /// The last answer comes once more.
    AnswerTwice,
    /// Time passes, beyond the time to pay.
    Later,
}

/// The shop around one payment.
struct Shop {
    token: &'static str,
    payment: Option<Payment>,
    tasks: BTreeMap<Operation, i64>,
    said: Vec<Said>,
    booked: BTreeMap<&'static str, i64>,
    under_way: Vec<Question>,
    last: Option<(Question, Outcome)>,
    books: Books,
    now: Timestamp,
}

impl Shop {
    fn new(token: &'static str) -> Self {
        Self {
            token,
            payment: None,
            tasks: BTreeMap::new(),
            said: Vec::new(),
            booked: BTreeMap::new(),
            under_way: Vec::new(),
            last: None,
            books: Books::default(),
            now: NOW,
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Reserved if self.payment.is_none() => {
                let (payment, effects) = Payment::reserve(order(), terms(self.token), self.now, &trace()).unwrap();
                self.payment = Some(payment);
                self.apply(effects);
            }
            Step::Reserved => {}
            Step::Delivered(minor) => {
                let now = self.now;
                let effects = self.payment.as_mut().map(|payment| payment.deliver(money(minor), now, &trace()).unwrap());
                self.apply(effects.unwrap_or_default());
            }
            Step::Cancelling => {
                let effects = match &mut self.payment {
                    Some(payment) => payment.cancel(self.now, &trace()),
                    None => {
                        let (payment, effects) = Payment::given_up(order(), self.now);
                        self.payment = Some(payment);
                        effects
                    }
                };
                self.apply(effects);
            }
            Step::TakeUp => self.take_up(),
            Step::Answer => self.reach(|books, question| books.put(question)),
            Step::AnswerLost => self.reach(|books, question| {
                books.put(question);
                Outcome::unknown("lost")
            }),
            Step::QuestionLost => self.reach(|_, _| Outcome::unknown("lost")),
            Step::AnswerTwice => {
                if let Some((question, outcome)) = self.last.clone() {
                    self.answer(&question, &outcome);
                }
            }
            Step::Later => self.now = self.now.plus_ms(120_000),
        }
        self.check();
    }

    fn take_up(&mut self) {
        let Some(payment) = &mut self.payment else { return };
        for (operation, number) in &self.tasks {
            self.under_way.extend(payment.question(*operation, *number, 0, RULES, self.now));
        }
    }

    fn reach(&mut self, provider: impl Fn(&mut Books, &Question) -> Outcome) {
        if self.under_way.is_empty() {
            return;
        }
        let question = self.under_way.remove(0);
        let outcome =
            if question.how == How::TooLate { Outcome::declined("too-late") } else { provider(&mut self.books, &question) };
        self.answer(&question, &outcome);
        self.last = Some((question, outcome));
    }

    fn answer(&mut self, question: &Question, outcome: &Outcome) {
        // As the service does: an answer counts only while its task is there.
        if self.tasks.get(&question.operation) != Some(&question.attempt) {
            return;
        }
        let now = self.now;
        let payment = self.payment.as_mut().expect("what is asked for has a payment");
        let effects = payment.answer(question.operation, question.attempt, outcome, now, &trace());
        self.apply(effects);
    }

    fn apply(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Ask(operation, number) => assert_eq!(self.tasks.insert(operation, number), None),
                Effect::Settled(operation) => assert!(self.tasks.remove(&operation).is_some()),
                Effect::Book(operation, _, amount) => {
                    assert_eq!(self.booked.insert(operation.entry(), amount.minor), None, "booked twice");
                }
                Effect::Say(said) => {
                    let same = |other: &Said| std::mem::discriminant(other) == std::mem::discriminant(&said);
                    assert!(!self.said.iter().any(same), "{said:?} is said twice");
                    self.said.push(said);
                }
            }
        }
    }

    /// What holds at every instant.
    fn check(&self) {
        assert!(self.books.intents.len() <= 1, "authorised twice");
        for intent in &self.books.intents {
            assert!(intent.captured_minor == 0 || intent.voided_minor == 0, "taken and given back");
            assert!(intent.captured_minor <= intent.authorised.minor);
        }
        let said = |wanted: fn(&Said) -> bool| self.said.iter().any(wanted);
        assert!(!(said(|said| matches!(said, Said::Captured(_))) && said(|said| matches!(said, Said::Voided))));
        if let Some(payment) = &self.payment {
            let ledger = |kind| self.booked.get(kind).copied().unwrap_or(0);
            assert_eq!(payment.authorised_minor, ledger("authorised"));
            assert_eq!(payment.captured_minor, ledger("captured"));
            assert_eq!(payment.voided_minor, ledger("voided"));
        }
    }

    /// Asks and answers until there is nothing more to ask.
    fn settle(&mut self) {
        for _ in 0..20 {
            if self.tasks.is_empty() {
                return;
            }
            self.step(Step::TakeUp);
            while !self.under_way.is_empty() {
                self.step(Step::Answer);
            }
        }
        panic!("it never settles: {:?}", self.payment);
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        2 => Just(Step::Reserved),
        1 => (0i64..1500).prop_map(Step::Delivered),
        1 => Just(Step::Cancelling),
        3 => Just(Step::TakeUp),
        3 => Just(Step::Answer),
        2 => Just(Step::AnswerLost),
        2 => Just(Step::QuestionLost),
        1 => Just(Step::AnswerTwice),
        1 => Just(Step::Later),
    ];
    prop::collection::vec(step, 0..24)
}

fn tokens() -> impl Strategy<Value = &'static str> {
    prop_oneof![3 => Just("tok_ok"), 1 => Just("tok_decline")]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn in_every_order_of_events_nothing_is_taken_and_given_back(steps in steps(), token in tokens()) {
        let mut shop = Shop::new(token);
        for step in &steps {
            shop.step(*step);
        }
        shop.settle();
        let Some(payment) = &shop.payment else { return Ok(()) };

        // Our books and the provider's are the same.
        let theirs = shop.books.intents.first();
        prop_assert_eq!(theirs.map(|intent| &intent.id), payment.intent.as_ref());
        prop_assert_eq!(theirs.map_or(0, |intent| intent.captured_minor), payment.captured_minor);
        prop_assert_eq!(theirs.map_or(0, |intent| intent.voided_minor), payment.voided_minor);

        match payment.wish {
            // Given up: whatever was held is given back, and everybody hears of it.
            Wish::Void => {
                prop_assert_eq!(payment.state, PaymentState::Voided);
                prop_assert_eq!(payment.captured_minor, 0);
                prop_assert_eq!(payment.voided_minor, payment.authorised_minor);
                prop_assert!(shop.said.contains(&Said::Voided));
            }
            // Handed over: it is taken, unless it could never be held.
            Wish::Capture(amount) => {
                let taken = amount.minor.min(payment.authorised_minor);
                prop_assert_eq!(payment.captured_minor, taken);
                let ends = [PaymentState::Captured, PaymentState::Declined];
                prop_assert!(ends.contains(&payment.state), "{:?}", payment.state);
            }
            Wish::Hold => {
                let ends = [PaymentState::Authorised, PaymentState::Declined];
                prop_assert!(ends.contains(&payment.state), "{:?}", payment.state);
            }
        }
    }

    #[test]
    fn an_order_given_up_before_delivery_keeps_nothing(before in steps(), after in steps()) {
        let mut shop = Shop::new("tok_ok");
        let undelivered = before.into_iter().filter(|step| !matches!(step, Step::Delivered(_)));
        for step in undelivered.chain([Step::Cancelling]).chain(after) {
            shop.step(step);
        }
        shop.settle();
        let payment = shop.payment.expect("giving up leaves its mark");
        prop_assert_eq!(payment.state, PaymentState::Voided);
        prop_assert!(shop.books.intents.iter().all(|intent| intent.voided_minor == intent.authorised.minor));
        prop_assert!(shop.said.contains(&Said::Voided));
    }

    #[test]
    fn repeated_events_change_nothing(steps in steps(), token in tokens()) {
        let (mut once, mut twice) = (Shop::new(token), Shop::new(token));
        for step in steps {
            once.step(step);
            twice.step(step);
            if matches!(step, Step::Reserved | Step::Delivered(_) | Step::Cancelling) {
                twice.step(step);
            }
            prop_assert_eq!(&once.payment, &twice.payment);
            prop_assert_eq!(&once.said, &twice.said);
        }
    }
}

#[test]
fn ways_of_a_payment() {
    use PaymentState::{Authorised, Captured, Created, Declined, Unknown, Voided};
    use Step::{Answer, AnswerLost, Cancelling, Delivered, QuestionLost, Reserved, TakeUp};

    let cases: &[(&str, &[Step], PaymentState, usize)] = &[
        ("tok_ok", &[Reserved], Created, 0),
        ("tok_ok", &[Reserved, TakeUp, Answer], Authorised, 1),
        ("tok_decline", &[Reserved, TakeUp, Answer], Declined, 0),
        ("tok_ok", &[Reserved, TakeUp, AnswerLost], Unknown, 1),
        ("tok_ok", &[Reserved, TakeUp, QuestionLost], Unknown, 0),
        ("tok_ok", &[Reserved, TakeUp, AnswerLost, TakeUp, Answer], Authorised, 1),
        ("tok_ok", &[Reserved, TakeUp, Answer, Delivered(900), TakeUp, Answer], Captured, 1),
        ("tok_ok", &[Reserved, TakeUp, Answer, Delivered(2000), TakeUp, AnswerLost], Unknown, 1),
        ("tok_ok", &[Reserved, TakeUp, Answer, Cancelling, TakeUp, Answer], Voided, 1),
        // Nobody was asked: there is nothing to wait for.
        ("tok_ok", &[Reserved, Cancelling], Voided, 0),
        ("tok_ok", &[Cancelling, Reserved, TakeUp, Answer], Voided, 0),
        ("tok_decline", &[Reserved, TakeUp, Answer, Cancelling], Voided, 0),
        // Somebody may have been asked: it is voided when that is known, and not before.
        ("tok_ok", &[Reserved, TakeUp, Cancelling], Created, 0),
        ("tok_ok", &[Reserved, TakeUp, AnswerLost, Cancelling], Unknown, 1),
        ("tok_ok", &[Reserved, TakeUp, AnswerLost, Cancelling, TakeUp, Answer, TakeUp, Answer], Voided, 1),
        ("tok_decline", &[Reserved, TakeUp, Cancelling, Answer], Voided, 0),
        // Too late to be asked.
        ("tok_ok", &[Reserved, Step::Later, TakeUp, Answer], Declined, 0),
        ("tok_ok", &[Reserved, TakeUp, QuestionLost, Step::Later, TakeUp, Answer], Authorised, 1),
    ];
    for (token, steps, state, intents) in cases {
        let mut shop = Shop::new(token);
        steps.iter().for_each(|step| shop.step(*step));
        assert_eq!(shop.payment.as_ref().map(|payment| payment.state), Some(*state), "{steps:?}");
        assert_eq!(shop.books.intents.len(), *intents, "{steps:?}");
    }
}

#[test]
fn a_question_keeps_its_key_and_is_in_the_end_only_looked_for() {
    let (mut payment, _) = Payment::reserve(order(), terms("tok_ok"), NOW, &trace()).unwrap();
    let mut put = |tries, now| payment.question(Operation::Authorise, 1, tries, RULES, now).unwrap();
    let first = put(0, NOW);
    assert_eq!(first.key, format!("sc:{}:authorise:1", order()));
    for (tries, now, how) in
        [(1, NOW.plus_ms(1000), How::Send), (3, NOW.plus_ms(2000), How::LookFirst), (9, NOW.plus_ms(3_600_001), How::LookOnly)]
    {
        assert_eq!(put(tries, now), Question { how, ..first.clone() });
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let negative = Terms { amount: money(-1), ..terms("tok_ok") };
    assert_eq!(Payment::reserve(order(), negative, NOW, &trace()).unwrap_err(), Refusal::Negative);
    let (mut payment, _) = Payment::reserve(order(), terms("tok_ok"), NOW, &trace()).unwrap();
    assert_eq!(payment.deliver(money(-1), NOW, &trace()), Err(Refusal::Negative));
    let euros = Money::new(1, "EUR".parse().unwrap());
    assert_eq!(payment.deliver(euros, NOW, &trace()), Err(Refusal::Currency));
}
