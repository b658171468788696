//! Tables and sequences for the machine of a payment: every order of the shop's events, of lost, doubled, delayed and late
//! answers, of what the shopper and the provider do by themselves, against a provider that keeps books.
//! Leaves executors, tasks in a database and clocks to the tests of the service.

use std::collections::{BTreeMap, BTreeSet};

use kernel::{Bucket, Draw, Id};
use proptest::prelude::*;

use super::*;
use crate::domain::outcome::{Outcome, Standing, Truth};

const RULES: AskRules = AskRules { look_after_tries: 3, resend_within_ms: 3_600_000 };
const NOW: Timestamp = Timestamp::from_millis(1_000_000);
const AMOUNT: i64 = 1000;

fn order() -> OrderId {
    OrderId(Id::new(NOW, Bucket(3), &mut Draw::seeded(1)))
}

fn refund_id(index: u8) -> RefundId {
    RefundId(Id::from_bytes([index; 16]))
}

fn trace() -> TraceContext {
    TraceContext::start(&mut Draw::seeded(2))
}

fn money(minor: i64) -> Money {
    Money::new(minor, "USD".parse().unwrap())
}

fn terms(token: &str) -> Terms {
    Terms { amount: money(AMOUNT), token: token.to_owned(), pay_by: NOW.plus_ms(60_000) }
}

fn store() -> StoreId {
    StoreId(order().0)
}

/// A provider that keeps books by key, and does not care how often it is asked under new ones.
#[derive(Default)]
struct Books {
    words: BTreeMap<String, Outcome>,
    intents: Vec<Truth>,
    changes: i64,
}

impl Books {
    fn put(&mut self, question: &Question) -> Outcome {
        if let Some(word) = self.words.get(&question.key) {
            return word.clone();
        }
        let word = self.act(question).unwrap_or_else(Outcome::declined);
        self.words.insert(question.key.clone(), word.clone());
        word
    }

    fn act(&mut self, question: &Question) -> Result<Outcome, &'static str> {
        if question.operation == Operation::Authorise {
            let standing = match question.token.as_str() {
                "tok_ok" => Standing::Authorised,
                "tok_action" => Standing::RequiresAction,
                _ => return Err("card-declined"),
            };
            return Ok(self.open(question.amount, standing));
        }
        let intent = question.intent.clone();
        let minor = question.amount.minor;
        let truth = self.intents.iter_mut().find(|truth| truth.intent == intent).ok_or("no-such-intent")?;
        match (question.operation, truth.standing) {
            (Operation::Capture, Standing::Authorised) => {
                (truth.standing, truth.captured_minor) = (Standing::Captured, minor);
            }
            (Operation::Void, Standing::Authorised | Standing::RequiresAction) => truth.standing = Standing::Voided,
            (Operation::Void, standing) if standing != Standing::Captured => return Ok(Outcome::Done { intent }),
            (Operation::Refund, Standing::Captured) if truth.refunded_minor + minor <= truth.captured_minor => {
                truth.refunded_minor += minor;
            }
            _ => return Err("not-now"),
        }
        self.changed(&intent);
        Ok(Outcome::Done { intent })
    }

    fn open(&mut self, amount: Money, standing: Standing) -> Outcome {
        let intent = format!("pi_{}", self.intents.len());
        let url = (standing == Standing::RequiresAction).then(|| "/act".to_owned());
        self.changes += 1;
        self.intents.push(Truth {
            intent: intent.clone(),
            reference: order().to_string(),
            standing,
            amount,
            captured_minor: 0,
            refunded_minor: 0,
            url: url.clone(),
            dispute: None,
            changed: self.changes,
        });
        match url {
            Some(url) => Outcome::ActionRequired { intent, url },
            None => Outcome::Done { intent },
        }
    }

    fn changed(&mut self, intent: &str) {
        self.changes += 1;
        let changes = self.changes;
        self.intents.iter_mut().filter(|truth| truth.intent == intent).for_each(|truth| truth.changed = changes);
    }

    /// What happens without our asking: every intent that stands so, stands otherwise.
    fn turn(&mut self, from: Standing, to: Standing) {
        let turned: Vec<String> =
            self.intents.iter().filter(|truth| truth.standing == from).map(|truth| truth.intent.clone()).collect();
        for intent in turned {
            self.intents.iter_mut().filter(|truth| truth.intent == intent).for_each(|truth| truth.standing = to);
            self.changed(&intent);
        }
    }

    fn dispute(&mut self, dispute: Dispute) {
        let taken = self.intents.iter().find(|truth| truth.standing == Standing::Captured && truth.dispute != Some(dispute));
        let Some(intent) = taken.map(|truth| truth.intent.clone()) else { return };
        self.intents.iter_mut().filter(|truth| truth.intent == intent).for_each(|truth| truth.dispute = Some(dispute));
        self.changed(&intent);
    }

    fn held(&self) -> usize {
        let held = |truth: &&Truth| matches!(truth.standing, Standing::Authorised | Standing::RequiresAction);
        self.intents.iter().filter(held).count()
    }
}

/// What happens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Step {
    Reserved,
    /// Another means of payment, of this token.
    Again(&'static str),
    Delivered(i64),
    Cancelling,
    Refunded(u8, i64),
    /// A worker takes up what is to be asked.
    TakeUp,
    /// The first question under way reaches the provider, and the answer comes back.
    Answer,
    /// It reaches the provider, and the answer is lost.
    AnswerLost,
    /// It is lost.
    QuestionLost,
    /// It takes its time, and nobody waits for it.
    Delayed,
    /// What took its time arrives.
    Arrives,
    /// The last answer comes once more.
    AnswerTwice,
    /// Time passes, beyond the time to pay.
    Later,
    /// Time passes, until what was asked is only looked for.
    MuchLater,
    /// The shopper does what they were asked to, or refuses.
    Shopper(bool),
    /// The provider lets go what nobody took.
    Expires,
    Disputed(Dispute),
    /// The provider is asked for the truth, for a webhook or by the sweep.
    Asked,
    /// What it said then is heard.
    Told,
}

/// The shop around one payment.
struct Shop {
    token: &'static str,
    payment: Option<Payment>,
    tasks: BTreeMap<Operation, i64>,
    looks: bool,
    timer: Option<Timestamp>,
    said: Vec<Said>,
    booked: BTreeMap<(&'static str, i64), i64>,
    under_way: Vec<Question>,
    delayed: Vec<Question>,
    truths: Vec<(i64, Truth)>,
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
            looks: false,
            timer: None,
            said: Vec::new(),
            booked: BTreeMap::new(),
            under_way: Vec::new(),
            delayed: Vec::new(),
            truths: Vec::new(),
            last: None,
            books: Books::default(),
            now: NOW,
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Answer => self.reach(|books, question| Some(books.put(question))),
            Step::AnswerLost => self.reach(|books, question| {
                books.put(question);
                Some(Outcome::unknown("lost"))
            }),
            Step::QuestionLost => self.reach(|_, _| Some(Outcome::unknown("lost"))),
            Step::Delayed => self.reach(|_, _| None),
            Step::Arrives if !self.delayed.is_empty() => {
                let question = self.delayed.remove(0);
                self.books.put(&question);
            }
            Step::Arrives => {}
            Step::AnswerTwice => {
                if let Some((question, outcome)) = self.last.clone() {
                    self.answer(&question, &outcome);
                }
            }
            Step::Later => self.pass(120_000),
            Step::MuchLater => self.pass(2 * RULES.resend_within_ms),
            Step::Shopper(true) => self.books.turn(Standing::RequiresAction, Standing::Authorised),
            Step::Shopper(false) => self.books.turn(Standing::RequiresAction, Standing::Declined),
            Step::Expires => self.books.turn(Standing::Authorised, Standing::Expired),
            Step::Disputed(dispute) => self.books.dispute(dispute),
            Step::TakeUp => self.take_up(),
            Step::Asked => self.truths = self.truth(),
            Step::Told => self.told(),
            _ => self.hear(step),
        }
        self.check();
    }

    /// The order says something.
    fn hear(&mut self, step: Step) {
        let now = self.now;
        let effects = match (&mut self.payment, step) {
            (None, Step::Reserved) => {
                let (payment, effects) = Payment::reserve(order(), store(), terms(self.token), now, &trace()).unwrap();
                self.payment = Some(payment);
                effects
            }
            (None, Step::Cancelling) => {
                let (payment, effects) = Payment::given_up(order(), now);
                self.payment = Some(payment);
                effects
            }
            (Some(payment), Step::Cancelling) => payment.cancel(now, &trace()),
            (Some(payment), Step::Delivered(minor)) => payment.deliver(money(minor), now, &trace()).unwrap(),
            (Some(payment), Step::Refunded(index, minor)) => {
                payment.refund(refund_id(index), money(minor), "bruised", now, &trace()).unwrap()
            }
            (Some(payment), Step::Again(token)) => {
                let number = payment.attempts.len() as i64 + 1;
                payment.pay_again(number, terms(token), now, &trace()).unwrap()
            }
            _ => Vec::new(),
        };
        self.apply(effects);
    }

    fn pass(&mut self, ms: i64) {
        self.now = self.now.plus_ms(ms);
        if self.timer.is_some_and(|due| due <= self.now) {
            self.timer = None;
            let now = self.now;
            let effects = self.payment.as_mut().map(|payment| payment.time_out(now, &trace()));
            self.apply(effects.unwrap_or_default());
        }
    }

    fn take_up(&mut self) {
        let Some(payment) = &mut self.payment else { return };
        for (operation, number) in &self.tasks {
            self.under_way.extend(payment.question(*operation, *number, 0, RULES, self.now));
        }
    }

    fn reach(&mut self, provider: impl Fn(&mut Books, &Question) -> Option<Outcome>) {
        if self.under_way.is_empty() {
            return;
        }
        let question = self.under_way.remove(0);
        let outcome = match question.how {
            How::TooLate => Outcome::declined("too-late"),
            How::LookOnly => self.books.words.get(&question.key).cloned().unwrap_or_else(|| Outcome::declined("never-arrived")),
            // A refund that arrives when it was declared dead is given back twice: it is given days to arrive.
            _ => match provider(&mut self.books, &question) {
                None if question.operation != Operation::Refund => {
                    self.delayed.push(question.clone());
                    Outcome::unknown("no answer")
                }
                outcome => outcome.unwrap_or_else(|| Outcome::unknown("lost")),
            },
        };
        self.answer(&question, &outcome);
        self.last = Some((question, outcome));
    }

    fn answer(&mut self, question: &Question, outcome: &Outcome) {
        // As the service does: an answer counts only while its task is there.
        if self.tasks.get(&question.operation) != Some(&question.number) {
            return;
        }
        let now = self.now;
        let payment = self.payment.as_mut().expect("what is asked for has a payment");
        let effects = payment.answer(question.operation, question.number, outcome, now);
        self.apply(effects);
    }

    /// What the provider has of every attempt, as the worker finds it.
    fn truth(&self) -> Vec<(i64, Truth)> {
        let probes = self.payment.as_ref().map(Payment::probes).unwrap_or_default();
        let found = |probe: &Probe| {
            let intent = probe.intent.clone().or_else(|| Some(self.books.words.get(&probe.key)?.intent()?.to_owned()))?;
            Some((probe.attempt, self.books.intents.iter().find(|truth| truth.intent == intent)?.clone()))
        };
        probes.iter().filter_map(found).collect()
    }

    fn told(&mut self) {
        for (attempt, truth) in self.truths.clone() {
            let (now, payment) = (self.now, self.payment.as_mut().expect("what is asked for has a payment"));
            let (news, before) = (payment.news(attempt, &truth, now, &trace()), payment.clone());
            let effects = payment.learn(attempt, &truth, now, &trace());
            assert_eq!(news, !effects.is_empty() || before != *payment);
            self.apply(effects);
        }
    }

    fn apply(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Ask(operation, number) => assert_eq!(self.tasks.insert(operation, number), None),
                Effect::Settled(operation) => assert!(self.tasks.remove(&operation).is_some()),
                Effect::Look => self.looks = true,
                Effect::Book(operation, number, amount) => {
                    assert_eq!(self.booked.insert((operation.entry(), number), amount.minor), None, "booked twice");
                }
                Effect::Wait(until) => self.timer = Some(until),
                Effect::WaitNoMore => self.timer = None,
                Effect::Say(said) => {
                    let repeatable = matches!(said, Said::Disputed(_) | Said::DisputeClosed(_));
                    assert!(repeatable || !self.said.contains(&said), "{said:?} is said twice");
                    self.said.push(said);
                }
            }
        }
    }

    fn has_said(&self, wanted: fn(&Said) -> bool) -> bool {
        self.said.iter().any(wanted)
    }

    /// What holds at every instant.
    fn check(&self) {
        let captured: Vec<&Truth> = self.books.intents.iter().filter(|truth| truth.standing == Standing::Captured).collect();
        assert!(captured.len() <= 1, "captured twice");
        for truth in captured {
            assert!(truth.captured_minor <= truth.amount.minor && truth.refunded_minor <= truth.captured_minor);
        }
        let (taken, voided) = (self.has_said(|it| matches!(it, Said::Captured(_))), self.has_said(|it| *it == Said::Voided));
        assert!(!(taken && voided), "taken and given back");
        let Some(payment) = &self.payment else { return };
        assert!(payment.alive() <= 1, "two attempts are alive");
        assert!(!payment.forgets(&trace()), "something is wanted that nobody asks for");
        let open: BTreeSet<Operation> = payment.asked.iter().filter(|asked| asked.open()).map(|asked| asked.operation).collect();
        assert_eq!(open, self.tasks.keys().copied().collect(), "each open question has its task");
        let ledger =
            |wanted: &str| -> i64 { self.booked.iter().filter(|((kind, _), _)| *kind == wanted).map(|(_, minor)| minor).sum() };
        let sum = |of: fn(&Attempt) -> i64| -> i64 { payment.attempts.iter().map(of).sum() };
        assert_eq!(sum(|attempt| attempt.authorised_minor), ledger("authorised"));
        assert_eq!(sum(|attempt| attempt.captured_minor), ledger("captured"));
        assert_eq!(sum(|attempt| attempt.voided_minor), ledger("voided"));
        assert_eq!(payment.refunded_minor(), ledger("refunded"));
    }

    /// Asks and answers until there is nothing more to ask, as worker, sweep and clock do.
    fn settle(&mut self) {
        while !self.delayed.is_empty() {
            self.step(Step::Arrives);
        }
        for _ in 0..40 {
            self.step(Step::Later);
            self.step(Step::TakeUp);
            while !self.under_way.is_empty() {
                self.step(Step::Answer);
            }
            self.looks = false;
            self.step(Step::Asked);
            self.step(Step::Told);
            let still = self.tasks.is_empty() && self.timer.is_none() && !self.looks;
            let doubted = self.payment.as_ref().is_some_and(Payment::waits_for_provider);
            if still && !doubted {
                return;
            }
        }
        panic!("it never settles: {:?}", self.payment);
    }
}

fn token() -> impl Strategy<Value = &'static str> {
    prop_oneof![3 => Just("tok_ok"), 1 => Just("tok_decline"), 2 => Just("tok_action")]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => Just(Step::Reserved),
        2 => token().prop_map(Step::Again),
        1 => (0i64..1500).prop_map(Step::Delivered),
        1 => Just(Step::Cancelling),
        1 => (0u8..3, 1i64..800).prop_map(|(index, minor)| Step::Refunded(index, minor)),
        5 => Just(Step::TakeUp),
        5 => Just(Step::Answer),
        2 => Just(Step::AnswerLost),
        1 => Just(Step::QuestionLost),
        1 => Just(Step::Delayed),
        1 => Just(Step::Arrives),
        1 => Just(Step::AnswerTwice),
        1 => Just(Step::Later),
        1 => Just(Step::MuchLater),
        1 => any::<bool>().prop_map(Step::Shopper),
        1 => Just(Step::Expires),
        1 => prop_oneof![Just(Dispute::Open), Just(Dispute::Won), Just(Dispute::Lost)].prop_map(Step::Disputed),
        2 => Just(Step::Asked),
        2 => Just(Step::Told),
    ];
    prop::collection::vec(step, 0..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn in_every_order_money_ends_where_it_is_wanted(steps in steps(), token in token()) {
        let mut shop = Shop::new(token);
        for step in &steps {
            shop.step(*step);
        }
        shop.settle();
        let Some(payment) = &shop.payment else { return Ok(()) };

        // Our books and the provider's are the same.
        for truth in &shop.books.intents {
            prop_assert!(payment.attempt_of(&truth.intent).is_some(), "{truth:?} is nobody's");
            prop_assert_eq!(payment.difference(truth), None);
        }
        let ends = payment.state();
        prop_assert!(!matches!(ends, PaymentState::Created | PaymentState::RequiresAction | PaymentState::Unknown), "{ends:?}");
        match payment.wish {
            // Given up: whatever was held is given back, and everybody hears of it.
            Wish::Void => {
                prop_assert_eq!(ends, PaymentState::Voided);
                prop_assert_eq!(shop.books.held(), 0, "money is left");
                prop_assert!(shop.said.contains(&Said::Voided));
            }
            // Handed over: it is taken, unless it was never held or let go before.
            Wish::Capture(amount) => {
                prop_assert_eq!(shop.books.held(), 0, "money is left");
                if let Some(taken) = payment.attempts.iter().find(|attempt| attempt.state == AttemptState::Captured) {
                    prop_assert_eq!(taken.captured_minor, amount.minor.min(AMOUNT));
                    prop_assert!(shop.said.contains(&Said::Captured(money(taken.captured_minor))));
                }
            }
            Wish::Hold => prop_assert_eq!(shop.books.held(), usize::from(ends == PaymentState::Authorised)),
        }
        // No refund is left open where it is known what was taken.
        let open = |refund: &&Refund| matches!(refund.state, RefundState::Wanted | RefundState::Asked);
        let waits = payment.refunds.iter().filter(open).count();
        prop_assert!(waits == 0 || ends == PaymentState::Authorised, "{ends:?}");
    }

    #[test]
    fn an_order_given_up_before_delivery_keeps_nothing(before in steps(), after in steps(), token in token()) {
        let mut shop = Shop::new(token);
        let undelivered = before.into_iter().filter(|step| !matches!(step, Step::Delivered(_)));
        for step in undelivered.chain([Step::Cancelling]).chain(after) {
            shop.step(step);
        }
        shop.settle();
        let payment = shop.payment.as_ref().expect("giving up leaves its mark");
        prop_assert_eq!(payment.state(), PaymentState::Voided);
        prop_assert_eq!((shop.books.held(), payment.captured_minor()), (0, 0));
        prop_assert!(shop.said.contains(&Said::Voided));
    }

    #[test]
    fn repeated_events_change_nothing(steps in steps(), token in token()) {
        let (mut once, mut twice) = (Shop::new(token), Shop::new(token));
        for step in steps {
            once.step(step);
            twice.step(step);
            let says = matches!(step, Step::Reserved | Step::Delivered(_) | Step::Cancelling | Step::Refunded(..));
            if says || step == Step::Told {
                twice.step(step);
            }
            prop_assert_eq!(&once.payment, &twice.payment);
            prop_assert_eq!(&once.said, &twice.said);
        }
    }
}

#[test]
fn ways_of_a_payment() {
    use PaymentState::{
        Authorised, Captured, Created, Declined, Disputed, Expired, PartiallyRefunded, Refunded, RequiresAction, Unknown, Voided,
    };
    use Step::{
        Again, Answer, AnswerLost, Arrives, Asked, Cancelling, Delayed, Delivered, Expires, Later, MuchLater, QuestionLost,
        Reserved, Shopper, TakeUp, Told,
    };
    let refund = Step::Refunded;

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
        ("tok_ok", &[Reserved, Later, TakeUp, Answer], Declined, 0),
        ("tok_ok", &[Reserved, TakeUp, QuestionLost, Later, TakeUp, Answer], Authorised, 1),
        // Another means of payment, once the one before is proved dead.
        ("tok_decline", &[Reserved, TakeUp, Answer, Again("tok_ok"), TakeUp, Answer], Authorised, 1),
        ("tok_ok", &[Reserved, TakeUp, AnswerLost, Again("tok_ok"), TakeUp, Answer, TakeUp, Answer], Authorised, 1),
        ("tok_ok", &[Reserved, TakeUp, Answer, Again("tok_ok"), TakeUp, Answer], Authorised, 1),
        // The shopper is to act: does, refuses, does not in time, does in the last moment, tries something else.
        ("tok_action", &[Reserved, TakeUp, Answer], RequiresAction, 1),
        ("tok_action", &[Reserved, TakeUp, Answer, Shopper(true), Asked, Told], Authorised, 1),
        ("tok_action", &[Reserved, TakeUp, Answer, Shopper(false), Asked, Told], Declined, 1),
        ("tok_action", &[Reserved, TakeUp, Answer, Later, TakeUp, Answer], Voided, 1),
        ("tok_action", &[Reserved, TakeUp, Answer, Shopper(true), Later, Asked, Told, TakeUp, Answer], Voided, 1),
        ("tok_action", &[Reserved, TakeUp, Answer, Again("tok_ok"), TakeUp, Answer, TakeUp, Answer], Authorised, 2),
        // What the provider lets go, learned at once or from its refusal.
        ("tok_ok", &[Reserved, TakeUp, Answer, Expires, Asked, Told], Expired, 1),
        ("tok_ok", &[Reserved, TakeUp, Answer, Expires, Delivered(900), TakeUp, Answer], Unknown, 1),
        ("tok_ok", &[Reserved, TakeUp, Answer, Expires, Delivered(900), TakeUp, Answer, Asked, Told], Expired, 1),
        // An answer that is learned from the truth before the question is asked again.
        ("tok_ok", &[Reserved, TakeUp, Answer, Delivered(900), TakeUp, AnswerLost, Asked, Told], Captured, 1),
        (
            "tok_ok",
            &[Reserved, TakeUp, Answer, Delivered(900), TakeUp, AnswerLost, Asked, Told, refund(1, 900), TakeUp, Answer],
            Refunded,
            1,
        ),
        // Thought dead, and alive after all: given back.
        ("tok_ok", &[Reserved, TakeUp, Delayed, MuchLater, TakeUp, Answer], Declined, 0),
        ("tok_ok", &[Reserved, TakeUp, Delayed, MuchLater, TakeUp, Answer, Arrives, Asked, Told], Authorised, 1),
        ("tok_ok", &[Reserved, TakeUp, Delayed, MuchLater, TakeUp, Answer, Arrives, Asked, Told, TakeUp, Answer], Voided, 1),
        // Refunds: part, all, more than there is, before it is known what was taken.
        (
            "tok_ok",
            &[Reserved, TakeUp, Answer, Delivered(900), TakeUp, Answer, refund(1, 400), TakeUp, Answer],
            PartiallyRefunded,
            1,
        ),
        ("tok_ok", &[Reserved, TakeUp, Answer, refund(1, 900), Delivered(900), TakeUp, Answer, TakeUp, Answer], Refunded, 1),
        ("tok_ok", &[Reserved, TakeUp, Answer, Delivered(900), TakeUp, Answer, refund(1, 901)], Captured, 1),
        (
            "tok_ok",
            &[Reserved, TakeUp, Answer, Delivered(900), TakeUp, Answer, Step::Disputed(Dispute::Open), Asked, Told],
            Disputed,
            1,
        ),
    ];
    for (token, steps, state, intents) in cases {
        let mut shop = Shop::new(token);
        steps.iter().for_each(|step| shop.step(*step));
        assert_eq!(shop.payment.as_ref().map(Payment::state), Some(*state), "{steps:?}");
        assert_eq!(shop.books.intents.len(), *intents, "{steps:?}");
        shop.settle();
    }
}

#[test]
fn what_is_said_of_attempts_disputes_and_refunds() {
    use Step::{Again, Answer, Asked, Delivered, Disputed, Refunded, Reserved, TakeUp, Told};
    let mut shop = Shop::new("tok_decline");
    for step in [Reserved, TakeUp, Answer, Again("tok_action"), TakeUp, Answer, Step::Shopper(true), Asked, Told] {
        shop.step(step);
    }
    let until = terms("").pay_by;
    let action = Said::ActionRequired { attempt: 2, url: "/act".to_owned(), until };
    let declined = Said::Declined { attempt: 1, reason: "card-declined".to_owned() };
    assert_eq!(shop.said, [declined, action, Said::Authorised { attempt: 2, amount: money(AMOUNT) }]);
    assert_eq!(shop.timer, None, "nobody waits for the shopper any more");

    shop.said.clear();
    for step in [Delivered(900), TakeUp, Answer, Refunded(1, 500), Refunded(2, 500), TakeUp, Answer, Refunded(1, 500)] {
        shop.step(step);
    }
    let refunded = Said::Refunded { refund: refund_id(1), amount: money(500), refunded: money(500) };
    let failed = Said::RefundFailed { refund: refund_id(2), reason: "more-than-captured".to_owned() };
    assert_eq!(shop.said, [Said::Captured(money(900)), refunded, failed]);

    shop.said.clear();
    for step in [Disputed(Dispute::Lost), Asked, Told, Told] {
        shop.step(step);
    }
    assert_eq!(shop.said, [Said::Disputed(money(900)), Said::DisputeClosed(false)], "the beginning was missed");
}

#[test]
fn a_question_keeps_its_key_and_is_in_the_end_only_looked_for() {
    let (mut payment, _) = Payment::reserve(order(), store(), terms("tok_ok"), NOW, &trace()).unwrap();
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
fn what_is_refused_again_and_again_is_asked_under_new_keys_and_not_kept_for_ever() {
    use Step::{Answer, Asked, Delivered, Reserved, TakeUp, Told};
    let mut shop = Shop::new("tok_ok");
    for step in [Reserved, TakeUp, Answer, Delivered(900)] {
        shop.step(step);
    }
    let refuse = |shop: &mut Shop| {
        shop.step(TakeUp);
        shop.reach(|_, _| Some(Outcome::declined("not-now")));
        shop.step(Asked);
        shop.step(Told);
    };
    for _ in 0..9 {
        refuse(&mut shop);
    }
    let payment = shop.payment.as_ref().unwrap();
    let captures: Vec<i64> =
        payment.asked.iter().filter(|asked| asked.operation == Operation::Capture).map(|asked| asked.number).collect();
    assert_eq!(captures, [9, 10]);
    shop.step(TakeUp);
    shop.step(Answer);
    assert_eq!(shop.payment.as_ref().unwrap().captured_minor(), 900);
}

#[test]
fn what_does_not_fit_is_refused() {
    let negative = Terms { amount: money(-1), ..terms("tok_ok") };
    assert_eq!(Payment::reserve(order(), store(), negative.clone(), NOW, &trace()).unwrap_err(), Refusal::Negative);
    let (mut payment, _) = Payment::reserve(order(), store(), terms("tok_ok"), NOW, &trace()).unwrap();
    assert_eq!(payment.deliver(money(-1), NOW, &trace()), Err(Refusal::Negative));
    assert_eq!(payment.pay_again(2, negative, NOW, &trace()), Err(Refusal::Negative));
    let euros = Money::new(1, "EUR".parse().unwrap());
    assert_eq!(payment.deliver(euros, NOW, &trace()), Err(Refusal::Currency));
    assert_eq!(payment.refund(refund_id(1), euros, "late", NOW, &trace()), Err(Refusal::Currency));
}
