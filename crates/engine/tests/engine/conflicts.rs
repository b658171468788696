//! Two processes on one database that want the same rows: nothing is lost, doubled or skewed, and nobody starves.
//! Leaves two readers of one log to `logs`.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use engine::{Lane, Service, Subscription, Work};
use futures_util::FutureExt;
use futures_util::future::{join, join_all};
use kernel::{Draw, Fault, FaultKind};
use testkit::Engine;

use crate::support::{
    Account, Count, ENGINES, Gate, Meanwhile, Moved, Process, Transfer, balance, bank, behind, count, counted, open, pay_in,
    plain, ready, say, send, sent, trace, transfers, until,
};

const ACCOUNTS: [&str; 4] = ["a", "b", "c", "d"];
const BUYERS: usize = 16;
const TRANSFERS_EACH: usize = 25;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn money_is_conserved_and_every_transfer_is_made_once() {
    for engine in ENGINES {
        let database = ready(engine).await;
        let [one, other] = Process::two(&database, engine).await;
        let banks = [one.start(bank()).await, other.start(bank()).await];
        for name in ACCOUNTS {
            open(&banks[0].handle, name, 1_000).await;
        }
        let buyer = |buyer: usize| {
            let banks = &banks;
            async move {
                let (mut draw, mut done) = (Draw::seeded(buyer as u64), Vec::new());
                for number in 0..TRANSFERS_EACH {
                    let from = usize::try_from(draw.below(4)).unwrap();
                    let between = (ACCOUNTS[from], ACCOUNTS[(from + 1 + number % 3) % 4]);
                    let (name, amount) = (format!("{buyer}-{number}"), i64::try_from(draw.below(20)).unwrap() + 20);
                    let (here, there) = (&banks[buyer % 2].handle, &banks[(buyer + 1) % 2].handle);
                    let first = send(here, &name, between, amount).await.unwrap();
                    let again = send(there, &name, between, amount).await.unwrap();
                    assert_eq!((first.replayed, again.replayed), (false, true), "{engine:?}");
                    assert_eq!((first.status, &first.resource), (again.status, &again.resource), "{engine:?}");
                    done.push(first.resource);
                }
                done
            }
        };
        let done: BTreeSet<String> = join_all((0..BUYERS).map(buyer)).await.into_iter().flatten().collect();
        assert_eq!(done.len(), BUYERS * TRANSFERS_EACH, "{engine:?}");
        assert_eq!(transfers(&banks[0].handle).await, i64::try_from(done.len()).unwrap(), "{engine:?}");
        let ids: Vec<_> = done.iter().map(|id| (id.parse().unwrap(),)).collect();
        assert_eq!(banks[0].handle.load::<Transfer>(&ids).await.unwrap().len(), done.len(), "{engine:?}");
        let balances = join_all(ACCOUNTS.map(|name| balance(&banks[1].handle, name))).await;
        assert_eq!(balances.iter().sum::<i64>(), 4_000, "{engine:?}");
        for bank in banks {
            bank.shut_down().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_reads_two_rows_and_writes_one_makes_no_skew() {
    for engine in ENGINES {
        let database = ready(engine).await;
        let [one, other] = Process::two(&database, engine).await;
        let banks = [one.start(bank()).await, other.start(bank()).await];
        for round in 0..100 {
            let doctors = [format!("one-{round}"), format!("other-{round}")];
            for doctor in &doctors {
                open(&banks[0].handle, doctor, 1).await;
            }
            let leave = |who: usize| {
                let (me, colleague) = (doctors[who].clone(), doctors[1 - who].clone());
                let trace = trace();
                let bank = &banks[who].handle;
                async move {
                    let decide = move |work: &mut Work<'_>| {
                        let colleague = work.load::<Account>(&(colleague.clone(),), "doctor")?;
                        if colleague.balance == 0 {
                            return Err(Fault::conflict("nobody-left", "somebody must stay").into());
                        }
                        pay_in(work, &me, -1)
                    };
                    bank.decide(Lane::Rest, &trace, decide).await
                }
            };
            let (one, other) = join(leave(0), leave(1)).await;
            let left = usize::from(one.is_ok()) + usize::from(other.is_ok());
            assert_eq!(left, 1, "{engine:?}, round {round}: {one:?}, {other:?}");
        }
        for bank in banks {
            bank.shut_down().await;
        }
    }
}

/// One input of a batch loses its race again and again, for each time it is decided another process changes what it reads.
/// After some strikes it runs alone, so those before it in its batch are served; those behind it keep their place.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_loses_every_race_runs_alone() {
    for engine in ENGINES {
        let database = ready(engine).await;
        let [one, other] = Process::two(&database, engine).await;
        let (here, there) = (one.start(bank()).await, other.start(bank()).await);
        for name in ["before", "contested", "behind"] {
            open(&here.handle, name, 0).await;
        }
        let (served, races) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
        let spoiled = Meanwhile::by(&there.handle, |work| pay_in(work, "contested", 1).map(drop));
        let contested = {
            let (served, races) = (served.clone(), races.clone());
            move |work: &mut Work<'_>| {
                let balance = pay_in(work, "contested", 1_000)?;
                if !served.load(Ordering::SeqCst) {
                    races.fetch_add(1, Ordering::SeqCst);
                    spoiled.happens();
                }
                Ok(balance)
            }
        };
        let (gate, trace) = (Gate::close(&here.handle).await, trace());
        let mut before = sent([here.handle.decide(Lane::Order, &trace, |work| pay_in(work, "before", 1))]);
        let mut loser = sent([here.handle.decide(Lane::Order, &trace, contested)]);
        let mut behind = sent([here.handle.decide(Lane::Order, &trace, |work| pay_in(work, "behind", 1))]);
        gate.open();
        before.pop().unwrap().await.unwrap();
        assert!(behind[0].as_mut().now_or_never().is_none(), "{engine:?}: order is kept");
        served.store(true, Ordering::SeqCst);
        loser.pop().unwrap().await.unwrap();
        behind.pop().unwrap().await.unwrap();
        drop((before, loser, behind));
        assert!(races.load(Ordering::SeqCst) >= 3, "{engine:?}");
        let balance = balance(&here.handle, "contested").await;
        assert_eq!(balance / 1_000, 1, "{engine:?}: what was decided again and again was done once");
        for bank in [here, there] {
            bank.shut_down().await;
        }
    }
}

/// Differences of tallies need no version: rivals add up.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn tallies_of_two_processes_add_up_and_never_fall_below_zero() {
    for engine in ENGINES {
        let database = ready(engine).await;
        let [one, other] = Process::two(&database, engine).await;
        let banks = [one.start(bank()).await, other.start(bank()).await];
        let trace = trace();
        banks[0].handle.decide(Lane::Rest, &trace, |work| count(work, "left", 60)).await.unwrap();
        let take = |work: &mut Work<'_>| {
            let left = work.load::<Count>(&("left".to_owned(),), "count")?.count;
            if left == 0 {
                return Err(Fault::conflict("none-left", "all are taken").into());
            }
            count(work, "left", -1)
        };
        let takes = (0..100).map(|buyer| banks[buyer % 2].handle.decide(Lane::Rest, &trace, take));
        let taken = join_all(takes).await;
        assert_eq!(taken.iter().filter(|taken| taken.is_ok()).count(), 60, "{engine:?}");
        let refused = taken.into_iter().filter_map(Result::err);
        assert!(refused.into_iter().all(|fault| fault.reason == "none-left"), "{engine:?}");
        assert_eq!(counted(&banks[0].handle, "left").await, 0, "{engine:?}");
        for bank in banks {
            bank.shut_down().await;
        }
    }
}

/// What can never come true is refused, and not tried until the deadline.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_wants_what_is_taken_for_good_is_refused() {
    for engine in ENGINES {
        let database = ready(engine).await;
        let bank = Process::on(database.store.clone()).start(bank()).await;
        open(&bank.handle, "a", 100).await;
        open(&bank.handle, "b", 100).await;
        send(&bank.handle, "first", ("a", "b"), 13).await.unwrap();
        let (gate, trace) = (Gate::close(&bank.handle).await, trace());
        // A new row whose key is not new after all, and one whose key is new, but not what is unique besides.
        let known =
            sent([bank.handle.decide(Lane::Rest, &trace, |work| work.create(Account { name: "a".to_owned(), balance: 1 }))]);
        let unlucky = sent([send(&bank.handle, "second", ("a", "b"), 13)]);
        let others = sent((0..5).map(|_| bank.handle.decide(Lane::Rest, &trace, |work| pay_in(work, "b", 1))));
        gate.open();
        assert!(join_all(others).await.iter().all(Result::is_ok), "{engine:?}");
        assert_eq!(join_all(known).await.pop().unwrap().unwrap_err().kind, FaultKind::Internal, "{engine:?}");
        assert_eq!(join_all(unlucky).await.pop().unwrap().unwrap_err().kind, FaultKind::Internal, "{engine:?}");
        assert_eq!(balance(&bank.handle, "b").await, 118, "{engine:?}");
        assert_eq!(balance(&bank.handle, "a").await, 87, "{engine:?}");
        bank.shut_down().await;
    }
}

/// Rows that were loaded one after the other may never have stood so together: nobody is refused for that.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nobody_is_refused_for_what_never_was() {
    let database = ready(Engine::Postgres).await;
    let [one, other] = Process::two(&database, Engine::Postgres).await;
    let (here, there) = (one.start(bank()).await, other.start(bank()).await);
    open(&here.handle, "left", 0).await;
    open(&here.handle, "right", 1).await;
    let moved = Meanwhile::by(&there.handle, |work| {
        pay_in(work, "left", 1)?;
        pay_in(work, "right", -1).map(drop)
    });
    let first = AtomicBool::new(true);
    let decide = move |work: &mut Work<'_>| {
        let left = work.load::<Account>(&("left".to_owned(),), "account")?.balance;
        if first.swap(false, Ordering::SeqCst) {
            moved.happens();
        }
        let right = work.load::<Account>(&("right".to_owned(),), "account")?.balance;
        if left + right == 0 {
            return Err(Fault::conflict("nothing-left", "both were never empty at once").into());
        }
        Ok((left, right))
    };
    assert_eq!(here.handle.decide(Lane::Rest, &trace(), decide).await.unwrap(), (1, 0));
    for bank in [here, there] {
        bank.shut_down().await;
    }
}

/// An event that is refused because of a row that had changed already is not parked for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_event_is_parked_for_what_is_not_so_any_more() {
    for engine in ENGINES {
        let database = ready(engine).await;
        let process = Process::on(database.store.clone());
        let bank = process.start(bank()).await;
        open(&bank.handle, "permission", 0).await;
        let given = Meanwhile::by(&bank.handle, |work| pay_in(work, "permission", 1).map(drop));
        let hears = Arc::new(move |work: &mut Work<'_>| {
            if work.load::<Account>(&("permission".to_owned(),), "account")?.balance == 0 {
                given.happens();
                return Err(Fault::conflict("not-yet", "there is no permission").into());
            }
            count(work, "moved", 1)
        });
        let subscription = Subscription::to("bank").work(move |work, _: &Moved| hears(work));
        say(&bank.handle, &["x"], 1, 1).await;
        let counter = process.start(Service { subscriptions: vec![subscription], ..plain("counter") }).await;
        until("it is read", || async { behind(&counter, &bank).await.is_empty() }).await;
        assert_eq!(counter.pending().await.unwrap().parked, 0, "{engine:?}");
        assert_eq!(counted(&counter.handle, "moved").await, 1, "{engine:?}");
        for running in [bank, counter] {
            running.shut_down().await;
        }
    }
}
