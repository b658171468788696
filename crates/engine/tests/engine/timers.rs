//! Timers: each fires once, when it is due and not before the log was read, whoever fires it.
//! Leaves what a timer means to the services.

use engine::{Lane, Running, Service, Stop, TimerKind, Work};
use futures_util::future::join;
use kernel::{Bucket, Fault, Millis};

use crate::support::{Count, ENGINES, Process, bank, count, counted, hearing, plain, ready, say, trace, until};

const ALARM: &str = "alarm";

/// A counter with timers: each counts that it fired, and how much had been counted of the bank's events by then.
fn clockwork() -> Service {
    let fire = |work: &mut Work<'_>, subject: &str| {
        work.want::<Count>(&("moved".to_owned(),));
        count(work, &format!("fired {subject}"), 1)?;
        let moved = work.find::<Count>(&("moved".to_owned(),))?.map_or(0, |count| count.count);
        count(work, &format!("moved before {subject}"), moved)?;
        match subject {
            "broken" => Err(Stop::Broken("this timer is broken on purpose".to_owned())),
            "panic" => panic!("this timer panics on purpose"),
            "refused" => Err(Fault::conflict("not-now", "not in this state").into()),
            "again" => work.set_timer(ALARM, subject, Bucket(0), work.now().plus_ms(3_600_000)),
            _ => Ok(()),
        }
    };
    Service { subscriptions: vec![hearing()], timers: vec![TimerKind::new(ALARM, fire)], ..plain("counter") }
}

async fn set(counter: &Running, subjects: &[&str], in_ms: Millis) {
    let subjects: Vec<String> = subjects.iter().map(|subject| (*subject).to_owned()).collect();
    let decide = move |work: &mut Work<'_>| {
        let due_at = work.now().plus_ms(in_ms);
        subjects.iter().try_for_each(|subject| work.set_timer(ALARM, subject, Bucket(0), due_at))
    };
    counter.handle.decide(Lane::Rest, &trace(), decide).await.unwrap();
}

async fn fired(counter: &Running, subject: &str) -> i64 {
    counted(&counter.handle, &format!("fired {subject}")).await
}

async fn until_fired(counter: &Running, subject: &str) {
    until("it fires", || async { fired(counter, subject).await > 0 }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_timer_fires_once_when_it_is_due_with_two_processes() {
    for engine in ENGINES {
        let database = ready(engine).await;
        let [one, other] = Process::two(&database, engine).await;
        let counters = [one.start(clockwork()).await, other.start(clockwork()).await];
        let subjects: Vec<String> = (0..40).map(|number| number.to_string()).collect();
        let subjects: Vec<&str> = subjects.iter().map(String::as_str).collect();
        set(&counters[0], &subjects, 3_600_000).await;
        set(&counters[0], &["later"], 3 * 3_600_000).await;
        set(&counters[1], &["soon"], 0).await;
        until_fired(&counters[0], "soon").await;
        assert_eq!(counters[0].pending().await.unwrap().timers[ALARM], 41, "{engine:?}: the others are not due");
        for process in [&one, &other] {
            process.world.move_on(2 * 3_600_000);
        }
        until("all fire", || async { counters[1].pending().await.unwrap().timers[ALARM] == 1 }).await;
        for subject in subjects {
            assert_eq!(fired(&counters[0], subject).await, 1, "{engine:?}: {subject}");
        }
        assert_eq!(fired(&counters[0], "later").await, 0, "{engine:?}");
        for counter in counters {
            counter.shut_down().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_timer_that_was_cleared_does_not_fire_and_one_that_was_moved_fires_then() {
    for engine in ENGINES {
        let database = ready(engine).await;
        let process = Process::on(database.store.clone());
        let counter = process.start(clockwork()).await;
        set(&counter, &["cleared", "moved", "kept", "again"], 3_600_000).await;
        let handle = &counter.handle;
        handle.decide(Lane::Rest, &trace(), |work| work.clear_timer(ALARM, "cleared")).await.unwrap();
        handle.decide(Lane::Rest, &trace(), |work| work.clear_timer(ALARM, "never set")).await.unwrap();
        set(&counter, &["moved"], 3 * 3_600_000).await;
        // In one input, and so in one batch: what is said last holds.
        let both = |work: &mut Work<'_>| {
            work.set_timer(ALARM, "both", Bucket(0), work.now())?;
            work.clear_timer(ALARM, "both")
        };
        handle.decide(Lane::Rest, &trace(), both).await.unwrap();
        process.world.move_on(2 * 3_600_000);
        until_fired(&counter, "kept").await;
        until_fired(&counter, "again").await;
        for subject in ["cleared", "moved", "both", "never set"] {
            assert_eq!(fired(&counter, subject).await, 0, "{engine:?}: {subject}");
        }
        assert_eq!(counter.pending().await.unwrap().timers[ALARM], 2, "{engine:?}: one is moved, one has set itself again");
        process.world.move_on(3_600_000);
        until_fired(&counter, "moved").await;
        until("it fires again", || async { fired(&counter, "again").await == 2 }).await;
        counter.shut_down().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_fell_due_during_a_stop_fires_after_the_log_was_read() {
    for engine in ENGINES {
        let database = ready(engine).await;
        let process = Process::on(database.store.clone());
        let [bank, counter] = [process.start(bank()).await, process.start(clockwork()).await];
        set(&counter, &["meanwhile"], 3_600_000).await;
        counter.shut_down().await;
        // More than one read brings.
        let accounts: Vec<String> = (0..30).map(|number| format!("account-{number}")).collect();
        let accounts: Vec<&str> = accounts.iter().map(String::as_str).collect();
        say(&bank.handle, &accounts, 1, 40).await;
        process.world.move_on(2 * 3_600_000);
        let counter = process.start(clockwork()).await;
        until_fired(&counter, "meanwhile").await;
        assert_eq!(fired(&counter, "meanwhile").await, 1, "{engine:?}");
        assert_eq!(counted(&counter.handle, "moved before meanwhile").await, 30 * 40, "{engine:?}: it knew all of it");
        for running in [bank, counter] {
            running.shut_down().await;
        }
    }
}

/// All were down when it fell due; whoever comes up first, or both at once: it fires once.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_fell_due_while_all_were_down_fires_once_with_two_processes() {
    for engine in ENGINES {
        let database = ready(engine).await;
        let [one, other] = Process::two(&database, engine).await;
        let counter = one.start(clockwork()).await;
        let subjects: Vec<String> = (0..40).map(|number| number.to_string()).collect();
        let subjects: Vec<&str> = subjects.iter().map(String::as_str).collect();
        set(&counter, &subjects, 3_600_000).await;
        counter.shut_down().await;
        for process in [&one, &other] {
            process.world.move_on(2 * 3_600_000);
        }
        let (here, there) = join(one.start(clockwork()), other.start(clockwork())).await;
        until("all fire", || async { here.pending().await.unwrap().timers.is_empty() }).await;
        for subject in subjects {
            assert_eq!(fired(&there, subject).await, 1, "{engine:?}: {subject}");
        }
        for counter in [here, there] {
            counter.shut_down().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_broken_timer_is_put_off_and_stops_no_other() {
    for engine in ENGINES {
        let database = ready(engine).await;
        let process = Process::on(database.store.clone());
        let counter = process.start(clockwork()).await;
        set(&counter, &["broken", "panic", "refused", "well"], 0).await;
        let stray = |work: &mut Work<'_>| work.set_timer("unheard-of", "stray", Bucket(0), work.now());
        counter.handle.decide(Lane::Rest, &trace(), stray).await.unwrap();
        until_fired(&counter, "well").await;
        let due_now = || async {
            let read = engine::READS.iter().find(|read| read.name == "engine.timers-next").unwrap();
            let now = process.settings.runtime.now();
            let next = counter.handle.read(read, vec!["counter".into(), 10_i64.into()]).await.unwrap();
            next.iter().filter(|row| row.time(2).unwrap() <= now).count()
        };
        until("the broken are put off", || async { due_now().await == 0 }).await;
        let timers = counter.pending().await.unwrap().timers;
        assert_eq!((timers[ALARM], timers["unheard-of"]), (3, 1), "{engine:?}: they stay set");
        for subject in ["broken", "panic", "refused"] {
            assert_eq!(fired(&counter, subject).await, 0, "{engine:?}: nothing of {subject} is left");
        }
        process.world.move_on(61_000);
        assert_eq!(due_now().await, 4, "{engine:?}: they are tried again in a minute");
        counter.shut_down().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_overdue_and_unheard_is_counted() {
    for engine in ENGINES {
        let database = ready(engine).await;
        let process = Process::on(database.store.clone());
        let [bank, counter] = [process.start(bank()).await, process.start(clockwork()).await];
        set(&counter, &["late", "later"], 3_600_000).await;
        until("all is read", || async { counter.gauges().await.unwrap().unheard["bank"] == 0 }).await;
        counter.shut_down().await;
        say(&bank.handle, &["x"], 1, 3).await;
        let gauges = counter.gauges().await.unwrap();
        assert_eq!(gauges.timers_overdue, 0, "{engine:?}");
        assert!(gauges.unheard["bank"] > 0, "{engine:?}: {gauges:?}");
        process.world.move_on(3_600_000 + 2 * engine::OVERDUE_AFTER_MS);
        assert_eq!(counter.gauges().await.unwrap().timers_overdue, 2, "{engine:?}");
        bank.shut_down().await;
    }
}
