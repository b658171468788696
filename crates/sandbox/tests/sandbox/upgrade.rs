//! Books from before the provider was a server of its own go on: money that was held then is taken now, under the same keys.
//! Leaves migrating itself to `store`.

use engine::{Service, tally};
use kernel::{Bucket, Id};
use sandbox::{Given, Webhooks};
use testkit::{Engine, Stage, TestRuntime, migrated, ok, on_both, some_id};
use web::{Call, HeaderName, Peer, json};

use crate::bank::{INTENTS, dollars, quick};

on_both! { what_was_held_before_is_taken_now }

tally! {
    struct OldIntent in OLD_INTENT = "payments_sandbox_intent", Move {
        key { id: String, }
        bucket: Bucket,
        order_id: Id,
        authorised_minor: i64,
        captured_minor: i64,
        voided_minor: i64,
        doc_v: i64,
        doc: String,
    }
}

tally! {
    struct OldDemand in OLD_DEMAND = "payments_sandbox_demand", Move {
        key { key: String, }
        bucket: Bucket,
        fingerprint: String,
        outcome: Option<String>,
    }
}

fn old_intent(seed: u64, state: &str, voided_minor: i64) -> OldIntent {
    let (order_id, id) = (some_id(seed), format!("pi_{}", some_id(100 + seed)));
    let doc = format!(
        r#"{{"id":"{id}","order":"{order_id}","state":"{state}","authorised":{{"minor":1000,"currency":"USD"}},"captured_minor":0,"voided_minor":{voided_minor},"created_at":"2025-11-24T16:00:00Z"}}"#
    );
    OldIntent { id, bucket: Bucket(3), order_id, authorised_minor: 1000, captured_minor: 0, voided_minor, doc_v: 1, doc }
}

async fn what_was_held_before_is_taken_now(engine: Engine) {
    let now = || sandbox::service(&quick(), Webhooks { peer: Peer::unconnected(), path: "/hook".to_owned() });
    let (before, all) = (&now().migrations[..1], now().migrations);
    let mut stage = Stage::on(migrated(engine, &[before]).await, TestRuntime::flowing(), &[]).await;
    let old = Service {
        name: "sandbox",
        migrations: before,
        tables: &[],
        reads: &[],
        subscriptions: Vec::new(),
        timers: Vec::new(),
        jobs: Vec::new(),
        ages: Vec::new(),
    };
    let (held, voided) = (old_intent(1, "authorised", 0), old_intent(2, "voided", 1000));
    let demand = OldDemand {
        key: "k".to_owned(),
        bucket: Bucket(3),
        fingerprint: format!("authorise {} 1000 USD tok_ok", held.order_id),
        outcome: Some(format!(r#"{{"done":{{"intent":"{}"}}}}"#, held.id)),
    };
    let running = stage.play(old).await;
    let rows = (held.clone(), voided.clone(), demand);
    let trace = kernel::TraceContext::start(&mut kernel::Draw::seeded(1));
    let write = move |work: &mut engine::Work<'_>| {
        work.save(rows.0.clone());
        work.save(rows.1.clone());
        work.save(rows.2.clone());
        Ok(())
    };
    running.handle.decide(engine::Lane::Rest, &trace, write).await.unwrap();
    running.shut_down().await;

    let platform = [store::PLATFORM, engine::MIGRATIONS, all].concat();
    stage.database.store.migrate(&platform).await.unwrap();
    let running = stage.play(now()).await;
    let secrets = sandbox::ensure_secrets(&running.handle, Given::default()).await.unwrap();
    stage.open(sandbox::routes(running.handle.clone(), &quick(), &secrets.key));
    let ask = async |call: Call| ok(&stage.send(call.header(HeaderName::from_static("sandbox-key"), &secrets.key)).await);

    let list = ask(Call::get(INTENTS)).await;
    let found = |index: usize| ["intent", "reference", "state", "changed"].map(|member| list["items"][index][member].clone());
    let expected =
        |old: &OldIntent, state: &str, changed: i64| [json!(old.id), json!(old.order_id), json!(state), json!(changed)];
    let mut both = [(&held, "authorised"), (&voided, "voided")];
    both.sort_by_key(|(old, _)| old.id.clone());
    for (index, (old, state)) in both.into_iter().enumerate() {
        assert_eq!(found(index), expected(old, state, i64::try_from(index).unwrap() + 1));
    }
    let books = ask(Call::get("/sandbox/v1/books")).await;
    assert_eq!((&books["authorised_open"], &books["voided"], &books["demands"]), (&json!(1), &json!(1), &json!(1)));

    let again = json!({ "reference": held.order_id, "amount": dollars(1000), "token": "tok_ok" });
    assert_eq!(ask(Call::post(INTENTS).key("k").json(&again)).await, json!({ "outcome": "done", "intent": held.id }));
    let capture = Call::post(&format!("{INTENTS}/{}/capture", held.id)).key("c").json(&json!({ "amount": dollars(900) }));
    assert_eq!(ask(capture).await["outcome"], "done");
    let taken = ask(Call::get(&format!("{INTENTS}/{}", held.id))).await;
    assert_eq!((&taken["captured_minor"], &taken["changed"]), (&json!(900), &json!(3)));
    stage.close().await;
}
