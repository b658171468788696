//! Idempotency keys: a command is carried out once, however and wherever it is sent again.
//! Leaves keys under load to `conflicts` and unknown outcomes to `outages`.

use engine::{Command, Handle, KeyScope, Lane, Stored, Work};
use futures_util::future::{join, join_all};
use kernel::{Bucket, FaultKind, Millis};

use crate::support::{ENGINES, Gate, Process, balance, bank, open, pay_in, ready, send, sent, trace, transfers, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_key_is_used_once_one_after_the_other_in_one_batch_and_on_two_processes() {
    for engine in ENGINES {
        let database = ready(engine).await;
        let [one, other] = Process::two(&database, engine).await;
        let (here, there) = (one.start(bank()).await, other.start(bank()).await);
        open(&here.handle, "a", 100).await;
        open(&here.handle, "b", 0).await;

        let first = send(&here.handle, "k1", ("a", "b"), 1).await.unwrap();
        let again = send(&here.handle, "k1", ("a", "b"), 1).await.unwrap();
        assert_eq!((first.replayed, again.replayed), (false, true), "{engine:?}");
        assert_eq!((first.status, &first.resource, &first.view), (again.status, &again.resource, &again.view), "{engine:?}");

        let gate = Gate::close(&here.handle).await;
        let both = sent((0..5).map(|_| send(&here.handle, "k2", ("a", "b"), 1)));
        gate.open();
        let replies: Vec<_> = join_all(both).await.into_iter().map(Result::unwrap).collect();
        assert_eq!(replies.iter().filter(|reply| !reply.replayed).count(), 1, "{engine:?}");
        assert!(replies.iter().all(|reply| reply.resource == replies[0].resource), "{engine:?}");

        for round in 0..50 {
            let key = format!("race-{round}");
            let (one, other) = join(send(&here.handle, &key, ("a", "b"), 1), send(&there.handle, &key, ("a", "b"), 1)).await;
            let (one, other) = (one.unwrap(), other.unwrap());
            assert_eq!(one.resource, other.resource, "{engine:?}");
            assert!(one.replayed != other.replayed, "{engine:?}");
        }
        assert_eq!((transfers(&here.handle).await, balance(&here.handle, "b").await), (52, 52), "{engine:?}");
        for bank in [here, there] {
            bank.shut_down().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_key_with_another_request_is_refused_and_changes_nothing() {
    for engine in ENGINES {
        let database = ready(engine).await;
        let bank = Process::on(database.store.clone()).start(bank()).await;
        open(&bank.handle, "a", 100).await;
        open(&bank.handle, "b", 0).await;
        let gate = Gate::close(&bank.handle).await;
        let mut both = sent([send(&bank.handle, "k", ("a", "b"), 1), send(&bank.handle, "k", ("a", "b"), 2)]);
        gate.open();
        assert_eq!(both.pop().unwrap().await.unwrap_err().kind, FaultKind::KeyReused, "{engine:?}: in one batch");
        both.pop().unwrap().await.unwrap();
        let other = send(&bank.handle, "k", ("b", "a"), 1).await.unwrap_err();
        assert_eq!((other.kind, other.reason.as_str()), (FaultKind::KeyReused, "idempotency-key-reused"), "{engine:?}");
        assert_eq!(balance(&bank.handle, "b").await, 1, "{engine:?}");
        bank.shut_down().await;
    }
}

/// What was refused was not done: its key is free, and the request may succeed later.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_refusal_uses_no_key_up_and_a_restart_forgets_none() {
    for engine in ENGINES {
        let database = ready(engine).await;
        let bank = Process::on(database.store.clone()).start(crate::support::bank()).await;
        open(&bank.handle, "a", 0).await;
        open(&bank.handle, "b", 0).await;
        assert_eq!(send(&bank.handle, "k", ("a", "b"), 5).await.unwrap_err().reason, "too-little", "{engine:?}");
        bank.handle.decide(Lane::Rest, &trace(), |work| pay_in(work, "a", 5)).await.unwrap();
        let first = send(&bank.handle, "k", ("a", "b"), 5).await.unwrap();
        assert!(!first.replayed, "{engine:?}");
        bank.shut_down().await;
        let bank = Process::on(database.store.clone()).start(crate::support::bank()).await;
        let again = send(&bank.handle, "k", ("a", "b"), 5).await.unwrap();
        assert!(again.replayed && again.resource == first.resource, "{engine:?}");
        assert_eq!(balance(&bank.handle, "b").await, 5, "{engine:?}");
        bank.shut_down().await;
    }
}

/// Keys are forgotten when their time has come; those kept for ever are not.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn expired_keys_are_swept_away() {
    for engine in ENGINES {
        let database = ready(engine).await;
        let process = Process::on(database.store.clone());
        let bank = process.start(bank()).await;
        open(&bank.handle, "a", 0).await;
        for name in ["short-1", "short-2"] {
            assert!(!under(&bank.handle, name, Some(1_000)).await, "{engine:?}");
        }
        assert!(!under(&bank.handle, "for-ever", None).await, "{engine:?}");
        process.world.move_on(2_000);
        bank.shut_down().await;
        // The first sweep is at the start.
        let bank = process.start(crate::support::bank()).await;
        let read = engine::READS.iter().find(|read| read.name == "engine.keys-expired").unwrap();
        let expired = || async {
            let arguments = vec!["bank".into(), i64::MAX.into(), 10_i64.into()];
            bank.handle.read(read, arguments).await.unwrap().len()
        };
        until("expired keys are gone", || async { expired().await == 0 }).await;
        assert!(under(&bank.handle, "for-ever", None).await, "{engine:?}");
        bank.shut_down().await;
    }
}

/// Pays in under the key `name`, and tells whether that had been done.
async fn under(bank: &Handle, name: &str, kept_ms: Option<Millis>) -> bool {
    let (scope, key, bucket) = ("anyone".to_owned(), name.to_owned(), Bucket(0));
    let key = KeyScope { scope, key, bucket, fingerprint: vec![1], kept_ms };
    let decide = |work: &mut Work<'_>| pay_in(work, "a", 1).map(|_| Stored { status: 200, resource: "a".to_owned() });
    let show = |_: &mut Work<'_>, _: &str| Ok(serde_json::Value::Null);
    let command = Command { lane: Lane::Rest, key, trace: trace(), bytes: 1, deadline_ms: 10_000, decide, show };
    bank.command(command).await.unwrap().replayed
}
