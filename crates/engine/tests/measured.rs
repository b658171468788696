//! What a service tells of its loops: what is in its commits and how often they fail, and how far behind it is in a log.
//! Leaves the form of the text to `telemetry`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "engine/support.rs"]
#[allow(dead_code, reason = "shared with the suite, which uses all of it")]
mod support;

use engine::{Lane, Running, Service, Stop, Subscription, Work};
use telemetry::Text;
use testkit::Engine;

use support::{Account, ENGINES, Moved, Process, bank, counter, hear, pay_in, plain, ready, say, trace, until};

/// The value of a sample, if it is told.
fn told(running: &Running, sample: &str) -> Option<f64> {
    let mut text = Text::default();
    running.tell(&mut text);
    let text = text.to_string();
    let value = text.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
    value.map(|value| value.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn commits_are_told_by_what_is_in_them_and_failures_by_their_kind() {
    for engine in ENGINES {
        let database = ready(engine).await;
        let bank = Process::on(database.store.clone()).start(bank()).await;
        let of = |what: &str| told(&bank, &format!("swiftcart_{what}{{service=\"bank\"}}")).unwrap();
        let before = of("commit_rows_sum");
        let pay = |work: &mut Work<'_>| {
            for name in ["a", "b"] {
                work.save(Account { name: name.to_owned(), balance: 1 });
            }
            work.emit(&Moved { account: "a".to_owned(), number: 1 })
        };
        bank.handle.decide(Lane::Order, &trace(), pay).await.unwrap();
        // Where there is a lease, it is a row too.
        let rows = of("commit_rows_sum") - before;
        assert!(rows == 2.0 || engine == Engine::Postgres && rows > 2.0, "{engine:?}: {rows}");
        assert_eq!(of("commit_events_sum"), 1.0, "{engine:?}");
        assert_eq!(of("commit_inputs_count"), of("commit_duration_seconds_count"), "{engine:?}");
        assert!(of("commit_duration_seconds_sum") > 0.0, "{engine:?}");
        let waited = r#"swiftcart_input_wait_seconds_count{service="bank",lane="order"}"#;
        assert_eq!(told(&bank, waited), Some(1.0), "{engine:?}");
        bank.handle.decide(Lane::Order, &trace(), |work: &mut Work<'_>| pay_in(work, "a", 2_000_000)).await.unwrap_err();
        let failed = r#"swiftcart_batches_failed_total{service="bank",why="broken"}"#;
        assert_eq!(told(&bank, failed), Some(1.0), "{engine:?}");
        bank.shut_down().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_reader_that_stands_still_tells_how_old_what_waits_is() {
    const LAG: &str = r#"swiftcart_log_lag_seconds{service="counter",log="bank"}"#;
    const STOPPED: &str = r#"swiftcart_subscription_stopped{service="counter",log="bank"}"#;
    let hears = |work: &mut Work<'_>, event: &Moved| {
        hear(work, event)?;
        if event.number == 2 { Err(Stop::Broken("it makes no sense".to_owned())) } else { Ok(()) }
    };
    for engine in ENGINES {
        let database = ready(engine).await;
        let process = Process::on(database.store.clone());
        let bank = process.start(bank()).await;
        let counter = Service { subscriptions: vec![Subscription::to("bank").work(hears)], ..plain("counter") };
        let counter = process.start(counter).await;
        say(&bank.handle, &["one"], 1, 1).await;
        until("it has caught up", || async { told(&counter, LAG) == Some(0.0) }).await;
        process.world.move_on(5_000);
        assert_eq!((told(&counter, LAG), told(&counter, STOPPED)), (Some(0.0), Some(0.0)), "{engine:?}");
        let accounts: Vec<String> = (0..100).map(|number| format!("account-{number}")).collect();
        let accounts: Vec<&str> = accounts.iter().map(String::as_str).collect();
        say(&bank.handle, &accounts, 1, 2).await;
        until("it has stopped", || async { told(&counter, STOPPED) == Some(1.0) }).await;
        process.world.move_on(60_000);
        let lag = told(&counter, LAG).unwrap();
        assert!((60.0..120.0).contains(&lag), "{engine:?}: {lag}");
        for running in [counter, bank] {
            running.shut_down().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_two_processes_the_one_that_reads_tells_how_far_it_is_behind() {
    const LAG: &str = r#"swiftcart_log_lag_seconds{service="counter",log="bank"}"#;
    let database = ready(Engine::Postgres).await;
    let [one, other] = Process::two(&database, Engine::Postgres).await;
    let bank = one.start(bank()).await;
    let counters = [one.start(counter()).await, other.start(counter()).await];
    say(&bank.handle, &["one"], 1, 3).await;
    until("one tells", || async { counters.iter().filter(|counter| told(counter, LAG) == Some(0.0)).count() == 1 }).await;
    assert_eq!(counters.iter().filter(|counter| told(counter, LAG).is_none()).count(), 1);
    for running in counters.into_iter().chain([bank]) {
        running.shut_down().await;
    }
}
