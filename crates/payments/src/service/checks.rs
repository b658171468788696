//! The fences between workers, on an executor and a database: tasks taken up twice, by an earlier holder of the lease, and
//! answered twice or by a worker that was overtaken.
//! Leaves the worker itself and other engines to the tests beside `src`.

use std::sync::Arc;

use contracts::StoreId;
use engine::{Handle, Lane, Running, Settings, TokioRuntime};
use kernel::{Bucket, Draw, Fault, Id, Timestamp, TraceContext};
use testkit::{Engine, TestStore, fresh};

use super::*;
use crate::domain::outcome::Standing;
use crate::domain::payment::{How, PaymentState};

const RULES: AskRules = AskRules { look_after_tries: 3, resend_within_ms: 3_600_000 };
const BACKOFF: Backoff = Backoff { first_ms: 60_000, longest_ms: 60_000 };

struct Books {
    running: Running,
    order: OrderId,
    _store: TestStore,
}

impl Books {
    /// A service without workers that has one order to be paid.
    async fn with_one_task() -> Self {
        let test_store = fresh(Engine::Sqlite).await;
        let store = test_store.store.clone();
        let migrations = [store::PLATFORM, engine::MIGRATIONS, crate::store::MIGRATIONS].concat();
        store.migrate(&migrations).await.unwrap();
        let service = engine::Service {
            name: crate::store::SERVICE,
            migrations: crate::store::MIGRATIONS,
            tables: crate::store::TABLES,
            reads: crate::store::READS,
            subscriptions: Vec::new(),
            timers: Vec::new(),
            jobs: Vec::new(),
            ages: Vec::new(),
        };
        let settings = Settings::alone(store, Arc::new(TokioRuntime::new()));
        let running = engine::start(service, &settings).await.unwrap();
        let now = running.handle.runtime().now();
        let order = OrderId(Id::new(now, Bucket(5), &mut Draw::seeded(9)));
        let books = Self { running, order, _store: test_store };
        let reserved = OrderReserved {
            order,
            store: StoreId(order.0),
            amount: Money::new(1000, "USD".parse().unwrap()),
            payment_token: "tok_ok".to_owned(),
            pay_by: now.plus_ms(60_000),
        };
        books.decide(move |work| reserve(work, &reserved)).await.unwrap();
        books
    }

    fn handle(&self) -> &Handle {
        &self.running.handle
    }

    async fn decide<T: Send + Sync + 'static>(
        &self,
        decide: impl Fn(&mut Work<'_>) -> Result<T, Stop> + Send + Sync + 'static,
    ) -> Result<T, Fault> {
        self.handle().decide(Lane::Money, &TraceContext::start(&mut Draw::seeded(3)), decide).await
    }

    async fn take_up(&self, lease_epoch: i64) -> Vec<Question> {
        self.take_up_of(task_key(self.order, Operation::Authorise), lease_epoch).await.into_iter().map(question).collect()
    }

    async fn take_up_of(&self, key: TaskKey, lease_epoch: i64) -> Vec<Errand> {
        self.decide(move |work| super::take_up(work, std::slice::from_ref(&key), lease_epoch, RULES)).await.unwrap()
    }

    async fn answer(&self, question: &Question, lease_epoch: i64, outcome: Outcome) {
        let question = question.clone();
        self.decide(move |work| super::answer(work, &question, lease_epoch, &outcome, BACKOFF)).await.unwrap();
    }

    async fn payment(&self) -> Payment {
        self.handle().find::<Payment>(&self.order).await.unwrap().unwrap().0
    }

    async fn state(&self) -> PaymentState {
        self.payment().await.state()
    }

    async fn task(&self) -> Option<Task> {
        self.handle().find::<Task>(&task_key(self.order, Operation::Authorise)).await.unwrap().map(|(task, _)| task)
    }

    async fn cancel(&self) {
        let cancelling = OrderCancelling { order: self.order, reason: "gave-up".to_owned() };
        self.decide(move |work| super::cancel(work, &cancelling)).await.unwrap();
    }
}

fn question(errand: Errand) -> Question {
    match errand {
        Errand::Ask(question) => question,
        Errand::Look { .. } => panic!("no question: {errand:?}"),
    }
}

fn done(intent: &str) -> Outcome {
    Outcome::Done { intent: intent.to_owned() }
}

#[tokio::test]
async fn a_task_taken_up_twice_is_the_same_question_and_answered_once() {
    let books = Books::with_one_task().await;
    let (first, second) = (books.take_up(1).await, books.take_up(1).await);
    assert_eq!((first.len(), &first), (1, &second));
    books.answer(&first[0], 1, done("pi_1")).await;
    books.answer(&second[0], 1, done("pi_2")).await;
    assert_eq!(books.state().await, PaymentState::Authorised);
    let payment = books.payment().await;
    assert_eq!((payment.attempts[0].intent.as_deref(), payment.authorised_minor()), (Some("pi_1"), 1000));
    assert_eq!(books.task().await, None);
    assert!(books.take_up(1).await.is_empty());
}

#[tokio::test]
async fn an_overtaken_worker_neither_takes_up_nor_answers() {
    let books = Books::with_one_task().await;
    let earlier = books.take_up(1).await.remove(0);
    let later = books.take_up(2).await.remove(0);
    assert_eq!(earlier, later);
    assert!(books.take_up(1).await.is_empty());
    books.answer(&earlier, 1, Outcome::declined("card-declined")).await;
    assert_eq!(books.state().await, PaymentState::Created);
    books.answer(&later, 2, done("pi_1")).await;
    assert_eq!(books.state().await, PaymentState::Authorised);
}

#[tokio::test]
async fn an_answer_to_another_attempt_says_nothing() {
    let books = Books::with_one_task().await;
    let mut question = books.take_up(1).await.remove(0);
    question.number += 1;
    books.answer(&question, 1, done("pi_1")).await;
    assert_eq!(books.state().await, PaymentState::Created);
}

#[tokio::test]
async fn an_unknown_waits_before_it_is_asked_again() {
    let books = Books::with_one_task().await;
    let question = books.take_up(1).await.remove(0);
    let asked = books.handle().runtime().now();
    books.answer(&question, 1, Outcome::unknown("lost")).await;
    assert_eq!(books.state().await, PaymentState::Unknown);
    let task = books.task().await.unwrap();
    assert_eq!((task.tries, task.attempt), (1, 1));
    assert!(task.next_at >= asked.plus_ms(BACKOFF.first_ms / 2) && task.next_at <= asked.plus_ms(BACKOFF.longest_ms + 10_000));
    assert!(books.take_up(1).await.is_empty(), "it is not due");
}

#[tokio::test]
async fn giving_up_waits_for_the_truth_once_somebody_may_have_been_asked() {
    let unasked = Books::with_one_task().await;
    unasked.cancel().await;
    assert_eq!((unasked.state().await, unasked.task().await), (PaymentState::Voided, None));

    let asked = Books::with_one_task().await;
    let question = asked.take_up(1).await.remove(0);
    asked.cancel().await;
    assert_eq!(asked.state().await, PaymentState::Created);
    asked.answer(&question, 1, done("pi_1")).await;
    let voiding = asked.handle().find::<Task>(&task_key(asked.order, Operation::Void)).await.unwrap();
    assert!(voiding.is_some(), "what is held is to be given back");
}

#[tokio::test]
async fn what_was_never_asked_in_time_is_not_asked_any_more() {
    let books = Books::with_one_task().await;
    let order = books.order;
    let past = move |work: &mut Work<'_>| {
        let mut payment = (*work.load::<Payment>(&order, "payment")?).clone();
        payment.attempts[0].pay_by = Timestamp::from_millis(1);
        work.save(payment);
        Ok(())
    };
    books.decide(past).await.unwrap();
    assert_eq!(books.take_up(1).await[0].how, How::TooLate);
    books.cancel().await;
    assert_eq!(books.state().await, PaymentState::Voided);
}

#[tokio::test]
async fn a_look_that_is_wanted_while_one_is_under_way_is_looked_once_more() {
    let books = Books::with_one_task().await;
    let asked = books.take_up(1).await.remove(0);
    let nudged = |id: &str| Nudge { id: id.to_owned(), order: Some(books.order) };
    let hear = async |nudge: Nudge| books.decide(move |work| super::nudge(work, &nudge)).await.unwrap();
    hear(nudged("evt_1")).await;
    hear(nudged("evt_1")).await;
    let look = books.take_up_of(look_key(books.order), 1).await.remove(0);
    let probe = Probe { attempt: 1, key: asked.key.clone(), intent: None };
    let trace = books.payment().await.asked[0].trace.clone();
    assert_eq!(look, Errand::Look(Look { order: books.order, round: 1, probes: vec![probe], trace }));
    hear(nudged("evt_2")).await;
    let key = (books.order, 1);
    books.decide(move |work| looked(work, key, 1, &[], false, BACKOFF)).await.unwrap();
    let again = books.handle().find::<Task>(&look_key(books.order)).await.unwrap().unwrap().0;
    assert_eq!((again.attempt, again.tries), (2, 0));
    let key = (books.order, 2);
    books.decide(move |work| looked(work, key, 1, &[], false, BACKOFF)).await.unwrap();
    assert_eq!(books.handle().find::<Task>(&look_key(books.order)).await.unwrap(), None);
}

#[tokio::test]
async fn a_refused_capture_is_not_asked_again_at_once() {
    let books = Books::with_one_task().await;
    let asked = books.take_up(1).await.remove(0);
    books.answer(&asked, 1, done("pi_1")).await;
    let delivered = OrderDelivered { order: books.order, amount: Money::new(900, "USD".parse().unwrap()) };
    books.decide(move |work| deliver(work, &delivered)).await.unwrap();
    let capture = task_key(books.order, Operation::Capture);
    let asked = question(books.take_up_of(capture.clone(), 1).await.remove(0));
    books.answer(&asked, 1, Outcome::declined("busy")).await;
    assert_eq!(books.state().await, PaymentState::Unknown, "the truth decides");
    books.take_up_of(look_key(books.order), 1).await;
    let truth = Truth {
        intent: "pi_1".to_owned(),
        reference: books.order.to_string(),
        standing: Standing::Authorised,
        amount: Money::new(1000, "USD".parse().unwrap()),
        captured_minor: 0,
        refunded_minor: 0,
        url: None,
        dispute: None,
        changed: 1,
    };
    let learned = [Learned { attempt: 1, truth: Some(truth) }];
    let key = (books.order, 1);
    let now = books.handle().runtime().now();
    books.decide(move |work| looked(work, key, 1, &learned, false, BACKOFF)).await.unwrap();
    let again = books.handle().find::<Task>(&capture).await.unwrap().unwrap().0;
    assert_eq!(again.attempt, 2, "a new key, since the one before is proved dead");
    assert!(again.next_at >= now.plus_ms(BACKOFF.first_ms / 2));
    assert_eq!(books.state().await, PaymentState::Authorised);
}

#[tokio::test]
async fn a_webhook_is_forgotten_when_it_would_not_be_taken_any_more() {
    let books = Books::with_one_task().await;
    let heard = Nudge { id: "evt_1".to_owned(), order: Some(books.order) };
    books.decide(move |work| nudge(work, &heard)).await.unwrap();
    let known = async || books.handle().find::<Webhook>(&("evt_1".to_owned(),)).await.unwrap().is_some();
    crate::jobs::sweep::forget_webhooks(books.handle(), 60_000).await.unwrap();
    assert!(known().await);
    crate::jobs::sweep::forget_webhooks(books.handle(), -1).await.unwrap();
    assert!(!known().await);
}
