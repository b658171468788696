//! Parked events in the hands of people: seen, tried again in order and once, dropped; and a subscription that stops instead
//! of parking whatever comes. Leaves which events are parked to `defects`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use engine::{Blame, DeadLetter, KeyScope, Retried, Running, Service, Stop, Subscription, Wish, Work};
use futures_util::future::join3;
use kernel::{Bucket, FaultKind};

use crate::support::{ENGINES, Moved, Process, bank, behind, counted, hear, heard, plain, ready, say, trace, until};

/// A counter whose code does not know what to do with the third event of some accounts, until it is mended.
#[derive(Clone, Default)]
struct Code(Arc<AtomicBool>);

impl Code {
    fn mend(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    fn counter(&self, broken: fn(&Moved) -> bool) -> Service {
        let code = self.clone();
        let hears = move |work: &mut Work<'_>, event: &Moved| {
            hear(work, event)?;
            if broken(event) && !code.0.load(Ordering::SeqCst) {
                return Err(Stop::Broken(format!("{} makes no sense", event.number)));
            }
            Ok(())
        };
        Service { subscriptions: vec![Subscription::to("bank").work(hears)], ..plain("counter") }
    }
}

fn third_of_odd(event: &Moved) -> bool {
    event.account.starts_with("odd") && event.number == 3
}

async fn until_read(counter: &Running, bank: &Running) {
    until("the log is read", || async { behind(counter, bank).await.is_empty() }).await;
}

async fn letters(counter: &Running) -> Vec<DeadLetter> {
    counter.dead_letters(None, 100).await.unwrap()
}

fn wish(letter: &DeadLetter, name: &str) -> Wish {
    let (scope, fingerprint) = ("admin".to_owned(), vec![]);
    let key = KeyScope { scope, key: name.to_owned(), bucket: Bucket(0), fingerprint, kept_ms: None };
    Wish { source: letter.source.clone(), seq: letter.seq, key, trace: trace() }
}

fn blame() -> Blame {
    Blame { by: "ada".to_owned(), reason: "it was said twice".to_owned() }
}

fn came_to(retried: &Retried) -> (usize, i64, Option<i64>) {
    (retried.applied, retried.left, retried.failed.as_ref().map(|failed| failed.seq))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_mended_is_applied_in_order_and_once() {
    for engine in ENGINES {
        let database = ready(engine).await;
        let (process, code) = (Process::on(database.store.clone()), Code::default());
        let (bank, counter) = (process.start(bank()).await, process.start(code.counter(third_of_odd)).await);
        say(&bank.handle, &["even", "odd", "odder"], 1, 5).await;
        until_read(&counter, &bank).await;
        let parked = letters(&counter).await;
        let shown: Vec<(&str, &str)> = parked.iter().map(|letter| (letter.key.as_str(), letter.error.as_str())).collect();
        let behind = "an earlier event of its key is parked";
        assert_eq!(shown.len(), 6, "{engine:?}: {shown:?}");
        assert!(shown[0].0 == "odd" && shown[0].1.contains("3 makes no sense"), "{engine:?}: {shown:?}");
        assert_eq!(shown[2..4], [("odd", behind), ("odder", behind)], "{engine:?}");
        let (first, last) = (&parked[0], &parked[4]);
        let next = counter.dead_letters(Some((first.source.clone(), first.seq)), 1).await.unwrap();
        assert_eq!(next, parked[1..2], "{engine:?}: page by page");
        let whole = counter.dead_letter(&first.source, first.seq).await.unwrap();
        assert_eq!(whole.payload.unwrap()["data"]["number"], 3, "{engine:?}");

        let again = counter.retry_dead_letter(wish(last, "too-soon")).await.unwrap();
        assert_eq!(came_to(&again), (0, 3, Some(first.seq)), "{engine:?}: the first of them still fails");
        assert_eq!(heard(&counter.handle, "odd").await, (2, 0), "{engine:?}: nothing of it is left");

        code.mend();
        let again = counter.retry_dead_letter(wish(first, "mended")).await.unwrap();
        assert_eq!(came_to(&again), (3, 0, None), "{engine:?}");
        let repeated = counter.retry_dead_letter(wish(first, "mended")).await.unwrap();
        assert_eq!(came_to(&repeated), (0, 0, None), "{engine:?}: a repeat is answered and does nothing more");
        let gone = counter.retry_dead_letter(wish(first, "another")).await.unwrap_err();
        assert_eq!(gone.kind, FaultKind::NotFound, "{engine:?}");
        assert_eq!(heard(&counter.handle, "odd").await, (5, 0), "{engine:?}");
        assert_eq!(heard(&counter.handle, "odder").await, (2, 0), "{engine:?}: another key is another wish");
        assert_eq!(counter.pending().await.unwrap().parked, 3, "{engine:?}");
        say(&bank.handle, &["odd"], 6, 6).await;
        until_read(&counter, &bank).await;
        assert_eq!(heard(&counter.handle, "odd").await, (6, 0), "{engine:?}: the key goes on");
        for running in [bank, counter] {
            running.shut_down().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_dropped_is_kept_with_who_and_why_and_lets_the_others_on() {
    for engine in ENGINES {
        let database = ready(engine).await;
        let (process, code) = (Process::on(database.store.clone()), Code::default());
        let (bank, counter) = (process.start(bank()).await, process.start(code.counter(third_of_odd)).await);
        say(&bank.handle, &["odd"], 1, 6).await;
        until_read(&counter, &bank).await;
        let parked = letters(&counter).await;
        // One behind the culprit: that does not move the culprit.
        let dropped = counter.drop_dead_letter(wish(&parked[1], "fourth"), blame()).await.unwrap();
        assert_eq!(came_to(&dropped), (0, 3, None), "{engine:?}");
        let dropped = counter.drop_dead_letter(wish(&parked[0], "third"), blame()).await.unwrap();
        assert_eq!(came_to(&dropped), (2, 0, None), "{engine:?}: the fifth and the sixth are applied");
        let repeated = counter.drop_dead_letter(wish(&parked[0], "third"), blame()).await.unwrap();
        assert_eq!(came_to(&repeated), (0, 0, None), "{engine:?}");
        assert_eq!((heard(&counter.handle, "odd").await.0, counted(&counter.handle, "moved").await), (6, 4), "{engine:?}");
        let table = engine::TABLES.iter().find(|table| table.name == "engine_dropped").unwrap();
        let key = vec!["counter".into(), parked[0].source.as_str().into(), parked[0].seq.into()];
        let kept = database.store.load(table, vec![key]).await.unwrap();
        let text = |name| kept[0].text(table.index_of(name).unwrap()).unwrap().to_owned();
        assert_eq!((text("dropped_by"), text("reason")), ("ada".to_owned(), "it was said twice".to_owned()), "{engine:?}");
        assert!(text("payload").contains("account.moved.v1"), "{engine:?}");
        for running in [bank, counter] {
            running.shut_down().await;
        }
    }
}

/// Two admins try the same key in two processes while more comes for it: all of it once, and in order.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_retry_has_rivals_and_newcomers() {
    for engine in ENGINES {
        let database = ready(engine).await;
        let code = Code::default();
        let [one, other] = Process::two(&database, engine).await;
        let bank = one.start(bank()).await;
        let counters = [one.start(code.counter(third_of_odd)).await, other.start(code.counter(third_of_odd)).await];
        say(&bank.handle, &["odd"], 1, 40).await;
        until_read(&counters[0], &bank).await;
        let parked = letters(&counters[0]).await;
        assert_eq!(parked.len(), 38, "{engine:?}");
        code.mend();
        let (here, there, ()) = join3(
            counters[0].retry_dead_letter(wish(&parked[0], "here")),
            counters[1].retry_dead_letter(wish(&parked[7], "there")),
            say(&bank.handle, &["odd"], 41, 80),
        )
        .await;
        // Whoever comes too late for their own event is told that it has gone.
        let applied: usize = [here, there].into_iter().filter_map(Result::ok).map(|retried| retried.applied).sum();
        assert!(applied >= 38, "{engine:?}: {applied}");
        until_read(&counters[0], &bank).await;
        while let Some(late) = letters(&counters[0]).await.first() {
            counters[0].retry_dead_letter(wish(late, &format!("late-{}", late.seq))).await.unwrap();
        }
        assert_eq!(heard(&counters[0].handle, "odd").await, (80, 0), "{engine:?}");
        assert_eq!(counted(&counters[0].handle, "moved").await, 80, "{engine:?}");
        for running in counters.into_iter().chain([bank]) {
            running.shut_down().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn code_that_is_broken_parks_a_few_and_then_stops() {
    for engine in ENGINES {
        let database = ready(engine).await;
        let (process, code) = (Process::on(database.store.clone()), Code::default());
        let accounts: Vec<String> = (0..100).map(|number| format!("account-{number}")).collect();
        let accounts: Vec<&str> = accounts.iter().map(String::as_str).collect();
        let bank = process.start(bank()).await;
        say(&bank.handle, &accounts, 1, 3).await;
        let counter = process.start(code.counter(|event| event.number == 2)).await;
        until("it stops", || async { !counter.stopped().is_empty() }).await;
        let pending = counter.pending().await.unwrap();
        assert_eq!((&*pending.stopped[0].service, &*pending.stopped[0].from), ("counter", "bank"), "{engine:?}");
        assert!(pending.stopped[0].why.contains("the code is broken"), "{engine:?}: {}", pending.stopped[0].why);
        // A hundred went well, so the eleventh of few more is one too many of a hundred.
        assert!(pending.parked < 11, "{engine:?}: {}", pending.parked);
        assert_eq!(behind(&counter, &bank).await.len(), 1, "{engine:?}: the rest is not skipped");
        say(&bank.handle, &["account-0"], 4, 4).await;
        counter.shut_down().await;

        // After a restart of the same code it parks a few more and stops again.
        let counter = process.start(code.counter(|event| event.number == 2)).await;
        until("it stops again", || async { !counter.stopped().is_empty() }).await;
        assert!(counter.pending().await.unwrap().parked < 25, "{engine:?}");
        code.mend();
        assert!(counter.resume("bank") && !counter.resume("nobody"), "{engine:?}");
        until_read(&counter, &bank).await;
        assert_eq!(counter.stopped(), vec![], "{engine:?}");
        while let Some(first) = letters(&counter).await.first() {
            counter.retry_dead_letter(wish(first, &format!("{}", first.seq))).await.unwrap();
        }
        for account in &accounts {
            let last = if *account == "account-0" { 4 } else { 3 };
            assert_eq!(heard(&counter.handle, account).await, (last, 0), "{engine:?}: {account}");
        }
        for running in [bank, counter] {
            running.shut_down().await;
        }
    }
}
