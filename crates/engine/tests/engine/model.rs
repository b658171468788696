//! The model: services that do nothing but what a test lets them do, and then do what they would do anywhere.
//! Leaves what can be shown with it to the tests of the services.

use engine::{Entity, Job, Lane, Listener, Model, Service, Stop, TimerKind, TimerSet, Work};
use kernel::{Bucket, Millis, Timestamp};
use store::Value;

use crate::support::{Count, Moved, bank, count, hearing, migrations, plain, trace};

const NOON: Timestamp = Timestamp::from_millis(1_764_000_000_000);
const ALARM: &str = "alarm";

/// A counter whose timers count, and whose job calls somebody who takes a second.
fn counter() -> Service {
    let fire = |work: &mut Work<'_>, _: &str| count(work, "fired", 1);
    let call = Job::every("call", 1000, |context| {
        Box::pin(async move {
            let handle = context.handle.clone();
            let answer = async move {
                handle.runtime().sleep(1000).await;
                handle.decide(Lane::Rest, &trace(), |work: &mut Work<'_>| count(work, "answered", 1)).await.unwrap();
            };
            context.handle.runtime().spawn("call", Box::pin(answer));
            Ok(())
        })
    });
    let tables = &[Count::TABLE];
    let parts = Service { tables, subscriptions: vec![hearing()], timers: vec![TimerKind::new(ALARM, fire)], ..plain("counter") };
    Service { jobs: vec![call], ..parts }
}

fn model(seed: u64) -> Model {
    Model::new(vec![bank(), counter()], &migrations(), NOON, seed).unwrap()
}

fn counted(model: &Model, name: &str) -> i64 {
    let rows = model.rows(Count::TABLE);
    rows.iter().find(|row| row.0[0] == Value::from(name)).map_or(0, |row| row.int(1).unwrap())
}

fn moved(model: &mut Model, number: i64) {
    model.say("bank", Moved { account: "a".to_owned(), number }).unwrap();
}

fn set(model: &mut Model, due_in_ms: Millis) -> TimerSet {
    let handle = model.handle("counter");
    let set = move |work: &mut Work<'_>| {
        let due_at = work.now().plus_ms(due_in_ms);
        work.set_timer(ALARM, "x", Bucket(0), due_at)
    };
    model.run(handle.decide(Lane::Rest, &trace(), set)).unwrap();
    model.timers().remove(0)
}

#[test]
fn what_was_said_is_heard_when_and_as_often_as_the_test_says() {
    let mut model = model(1);
    moved(&mut model, 1);
    moved(&mut model, 2);
    let said = model.said("bank", 0);
    assert_eq!((said.len(), model.said("bank", said[0].seq).len()), (2, 1));
    let listener = Listener { service: "counter", to: "bank", topic: "bank.accounts" };
    assert_eq!(model.listeners().collect::<Vec<_>>(), std::slice::from_ref(&listener));
    assert_eq!(counted(&model, "moved"), 0);
    for (event, times) in [(&said[1], 1), (&said[0], 2), (&said[0], 3)] {
        model.hear(&listener, event).unwrap();
        assert_eq!(counted(&model, "moved"), times);
    }
}

#[test]
fn a_timer_fires_when_it_is_due_and_once() {
    let mut model = model(1);
    let timer = set(&mut model, 1000);
    for (passed_ms, fired) in [(0, 0), (999, 0), (1, 1), (1, 1)] {
        model.pass(passed_ms);
        model.fire(&timer).unwrap();
        assert_eq!(counted(&model, "fired"), fired);
    }
    assert_eq!((model.timers(), model.now()), (Vec::new(), NOON.plus_ms(1001)));
}

#[test]
fn a_call_to_the_outside_ends_when_the_test_lets_it() {
    let mut model = model(1);
    assert_eq!(model.jobs(), [("counter", "call")]);
    model.run_job(("counter", "call")).unwrap();
    model.pass(5000);
    assert_eq!((model.held().collect::<Vec<_>>(), counted(&model, "answered")), (vec!["call"], 0));
    model.let_go(0);
    model.pass(999);
    assert_eq!((model.held().count(), counted(&model, "answered")), (0, 0));
    model.pass(1);
    assert_eq!(counted(&model, "answered"), 1);
}

#[test]
fn what_is_refused_changes_nothing() {
    let mut model = model(1);
    let (handle, before) = (model.handle("counter"), model.rows_written());
    let refuse = |work: &mut Work<'_>| count(work, "never", 1).and(Err::<(), _>(Stop::Refused(kernel::Fault::not_found("it"))));
    assert!(model.run(handle.decide(Lane::Rest, &trace(), refuse)).is_err());
    assert_eq!(model.rows_written(), before);
}

#[test]
fn a_seed_repeats() {
    let story = |seed: u64| {
        let mut model = model(seed);
        moved(&mut model, 1);
        let drawn = model.runtime().draw().next_u64();
        (drawn, model.said("bank", 0))
    };
    assert_eq!(story(7), story(7));
    assert_ne!(story(7), story(8));
}
