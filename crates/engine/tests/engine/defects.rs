//! Inputs that are defects: of many in a batch only the culprit is refused or put aside, whatever way it is broken in.
//! Leaves timers that are put off to `timers`.

use engine::{Lane, Running, Service, Stop, Subscription, Work};
use futures_util::future::join_all;
use kernel::{Fault, FaultKind};

use crate::support::{
    Account, ENGINES, Gate, Moved, Process, balance, bank, behind, counted, hear, heard, open, pay_in, plain, ready, say, sent,
    trace, until,
};

/// The ways in which a decider can be broken.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Broken {
    /// What it writes breaks a rule of the table, which only the database finds.
    Rule,
    Panic,
    Told,
}

fn broken(work: &mut Work<'_>, way: Broken) -> Result<(), Stop> {
    match way {
        Broken::Rule => {
            work.save(Account { name: "too-rich".to_owned(), balance: 1_000_001 });
            Ok(())
        }
        Broken::Panic => panic!("this decider is broken on purpose"),
        Broken::Told => Err(Stop::Broken("this makes no sense".to_owned())),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_inputs_only_the_broken_are_refused() {
    for engine in ENGINES {
        let database = ready(engine).await;
        let bank = Process::on(database.store.clone()).start(bank()).await;
        open(&bank.handle, "a", 0).await;
        let (gate, trace) = (Gate::close(&bank.handle).await, trace());
        let ask = |number: usize| {
            let way = [(17, Broken::Rule), (23, Broken::Panic), (24, Broken::Told)].into_iter().find(|(at, _)| *at == number);
            bank.handle.decide(Lane::Rest, &trace, move |work: &mut Work<'_>| {
                pay_in(work, "a", 1)?;
                way.map_or(Ok(()), |(_, way)| broken(work, way))
            })
        };
        let waiting = sent((0..40).map(ask));
        gate.open();
        for (number, answer) in join_all(waiting).await.into_iter().enumerate() {
            let expected = if [17, 23, 24].contains(&number) { Err(FaultKind::Internal) } else { Ok(()) };
            assert_eq!(answer.map_err(|fault: Fault| fault.kind), expected, "{engine:?}: input {number}");
        }
        assert_eq!(balance(&bank.handle, "a").await, 37, "{engine:?}: nothing of the broken is left");
        bank.shut_down().await;
    }
}

/// A counter that some accounts bring to grief with their third event.
fn touchy() -> Service {
    let hears = |work: &mut Work<'_>, event: &Moved| {
        hear(work, event)?;
        match (event.account.as_str(), event.number) {
            ("rule", 3) => broken(work, Broken::Rule),
            ("panic", 3) => broken(work, Broken::Panic),
            ("told", 3) => broken(work, Broken::Told),
            ("refused", 3) => Err(Fault::conflict("not-now", "not in this state").into()),
            ("endless", 3) => (0..1_000).try_for_each(|number| work.find::<Account>(&(format!("nobody-{number}"),)).map(drop)),
            _ => Ok(()),
        }
    };
    Service { subscriptions: vec![Subscription::to("bank").work(hears)], ..plain("counter") }
}

async fn until_read(counter: &Running, bank: &Running) {
    until("the log is read", || async { behind(counter, bank).await.is_empty() }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_event_that_cannot_be_handled_stops_its_own_key_only() {
    for engine in ENGINES {
        let database = ready(engine).await;
        let process = Process::on(database.store.clone());
        let (bank, counter) = (process.start(bank()).await, process.start(touchy()).await);
        let accounts = ["well", "rule", "panic", "told", "refused", "endless", "fine"];
        say(&bank.handle, &accounts, 1, 5).await;
        until_read(&counter, &bank).await;
        for account in accounts {
            let last = if ["well", "fine"].contains(&account) { 5 } else { 2 };
            assert_eq!(heard(&counter.handle, account).await, (last, 0), "{engine:?}: {account}");
        }
        assert_eq!(counted(&counter.handle, "moved").await, 5 + 5 + 5 * 2, "{engine:?}");
        assert_eq!(counter.pending().await.unwrap().parked, 5 * 3, "{engine:?}: the third, and those behind it");
        // A key stays stopped, also for another process.
        counter.shut_down().await;
        let counter = process.start(touchy()).await;
        say(&bank.handle, &accounts, 6, 6).await;
        until_read(&counter, &bank).await;
        assert_eq!(counter.pending().await.unwrap().parked, 5 * 4, "{engine:?}");
        assert_eq!(heard(&counter.handle, "fine").await, (6, 0), "{engine:?}");
        for running in [bank, counter] {
            running.shut_down().await;
        }
    }
}

/// What is not even an event of its type is parked too; what is of a type that nobody asked for passes.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_event_that_does_not_load_is_parked() {
    for engine in ENGINES {
        let database = ready(engine).await;
        let process = Process::on(database.store.clone());
        let bank = process.start(bank()).await;
        say(&bank.handle, &["well", "odd"], 1, 2).await;
        let handle = &bank.handle;
        handle.decide(Lane::Rest, &trace(), |work| work.emit(&Odd("odd".to_owned()))).await.unwrap();
        handle.decide(Lane::Rest, &trace(), |work| work.emit(&Unknown("well".to_owned()))).await.unwrap();
        say(handle, &["well", "odd"], 3, 3).await;
        let counter = process.start(touchy()).await;
        until_read(&counter, &bank).await;
        assert_eq!(heard(&counter.handle, "well").await, (3, 0), "{engine:?}");
        assert_eq!(heard(&counter.handle, "odd").await, (2, 0), "{engine:?}");
        assert_eq!(counter.pending().await.unwrap().parked, 2, "{engine:?}");
        for running in [bank, counter] {
            running.shut_down().await;
        }
    }
}

macro_rules! impostor {
    ($name:ident, $kind:literal) => {
        #[derive(serde::Serialize, serde::Deserialize)]
        struct $name(String);

        impl contracts::Event for $name {
            const KIND: &'static str = $kind;
            const TOPIC: &'static str = <Moved as contracts::Event>::TOPIC;

            fn place(&self) -> contracts::Place {
                contracts::Place { bucket: kernel::Bucket(0), key: self.0.clone() }
            }
        }
    };
}

// It calls itself a movement and holds none.
impostor!(Odd, "account.moved.v1");
impostor!(Unknown, "account.closed.v1");
