//! Events once and in order by Kafka, between databases: whoever relays and listens, however many, whatever dies. Leaves the
//! chain by itself to `logs`.

use engine::{Audience, Settings, Trim};
use futures_util::future::join;
use log::{Kafka, KafkaConfig, Outbox, Security};
use store::Store;
use testkit::{KafkaServer, kafka, topic_prefix};

use crate::support::{
    ACCOUNTS, ENGINES, Process, bank, behind, counted, counter, ready, say, shut_down, trace, until, until_heard,
};

const TOPICS: [&str; 1] = ["bank.accounts"];

fn settings(servers: String, prefix: &str) -> KafkaConfig {
    let config = KafkaConfig {
        servers,
        prefix: prefix.to_owned(),
        replication: 1,
        retention_ms: 600_000,
        security: Security::Plaintext,
        mechanism: "PLAIN".to_owned(),
        username: String::new(),
        password: String::new(),
        ca_file: String::new(),
        member: String::new(),
        session_ms: 6000,
        beacon_every_ms: 100,
    };
    assert_eq!(config.validate(), Vec::<String>::new());
    config
}

/// A Kafka at `servers`, with topics of its own.
async fn at(servers: String) -> Kafka {
    let kafka = Kafka::new(&settings(servers, &topic_prefix()), 4);
    assert_eq!(kafka.ensure(&TOPICS).await.unwrap(), TOPICS);
    kafka
}

/// A process whose services hear each other by `kafka`.
fn process(store: &Store, kafka: &Kafka) -> Process {
    let process = Process::on(store.clone());
    Process { settings: Settings { kafka: Some(kafka.clone()), ..process.settings }, ..process }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_one_database_says_another_hears_once_and_in_order() {
    for engine in ENGINES {
        let kafka = at(kafka()).await;
        let (here, there) = (ready(engine).await, ready(engine).await);
        let bank = process(&here.store, &kafka).start(bank()).await;
        let counters =
            [process(&there.store, &kafka).start(counter()).await, process(&there.store, &kafka).start(counter()).await];
        join(say(&bank.handle, &ACCOUNTS, 1, 60), until_heard(&counters[1], 60)).await;
        assert_eq!(behind(&counters[0], &bank).await, vec![], "{engine:?}");
        let status = bank.log_status().await.unwrap();
        until("the mark moves", || async { bank.log_status().await.unwrap().relayed == Some(480) }).await;
        assert_eq!((status.last, status.first_kept), (480, 1), "{engine:?}");
        shut_down(counters).await;
        // Who comes back reads on from its place.
        say(&bank.handle, &ACCOUNTS, 61, 70).await;
        let counter = process(&there.store, &kafka).start(counter()).await;
        until_heard(&counter, 70).await;
        shut_down([counter, bank]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_relays_of_one_log_lose_and_double_nothing() {
    for engine in ENGINES {
        let kafka = at(kafka()).await;
        let (here, there) = (ready(engine).await, ready(engine).await);
        // Where the database is embedded no lease holds the second relay back: both send everything.
        let banks = [process(&here.store, &kafka).start(bank()).await, process(&here.store, &kafka).start(bank()).await];
        let counter = process(&there.store, &kafka).start(counter()).await;
        let saying = async {
            for number in 1..=40 {
                say(&banks[usize::from(number % 2 == 0)].handle, &ACCOUNTS, number, number).await;
            }
        };
        join(saying, until_heard(&counter, 40)).await;
        until("the mark moves", || async { banks[0].log_status().await.unwrap().relayed == Some(320) }).await;
        shut_down(banks).await;
        shut_down([counter]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_kafka_that_dies_and_freezes_delays_and_loses_nothing() {
    let mut server = KafkaServer::start();
    for engine in ENGINES {
        let kafka = at(server.address.clone()).await;
        let (here, there) = (ready(engine).await, ready(engine).await);
        let bank = process(&here.store, &kafka).start(bank()).await;
        let counter = process(&there.store, &kafka).start(counter()).await;
        join(say(&bank.handle, &ACCOUNTS, 1, 10), until_heard(&counter, 10)).await;
        server.freeze();
        say(&bank.handle, &ACCOUNTS, 11, 20).await;
        server.thaw();
        until_heard(&counter, 20).await;
        let saying = say(&bank.handle, &ACCOUNTS, 21, 60);
        let crashing = async { tokio::task::block_in_place(|| server.crash()) };
        join(saying, crashing).await;
        until_heard(&counter, 60).await;
        shut_down([bank, counter]).await;
    }
}

/// A member is thrown out when another comes by its name, and, though it is the only one, now and then by a broker that died
/// and does not know it again.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_is_thrown_out_of_a_group_joins_again() {
    for engine in ENGINES {
        let config = KafkaConfig { member: "one".to_owned(), ..settings(kafka(), &topic_prefix()) };
        let kafka = Kafka::new(&config, 4);
        kafka.ensure(&TOPICS).await.unwrap();
        let (here, there) = (ready(engine).await, ready(engine).await);
        let bank = process(&here.store, &kafka).start(bank()).await;
        let first = process(&there.store, &kafka).start(counter()).await;
        join(say(&bank.handle, &ACCOUNTS, 1, 10), until_heard(&first, 10)).await;
        let other = process(&there.store, &kafka).start(counter()).await;
        join(say(&bank.handle, &ACCOUNTS, 11, 20), until_heard(&other, 20)).await;
        shut_down([other]).await;
        join(say(&bank.handle, &ACCOUNTS, 21, 30), until_heard(&first, 30)).await;
        shut_down([first, bank]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_shop_that_moves_to_kafka_loses_and_repeats_nothing_and_does_not_go_back() {
    for engine in ENGINES {
        let kafka = at(kafka()).await;
        let database = ready(engine).await;
        let audience = Audience::of(&[bank(), counter()]);
        let mut before = Process::on(database.store.clone());
        before.settings.trim = Some(Trim::once_heard(0, 5, audience.clone()));
        let (old_bank, old_counter) = (before.start(bank()).await, before.start(counter()).await);
        join(say(&old_bank.handle, &ACCOUNTS, 1, 20), until_heard(&old_counter, 20)).await;
        // The old processes still run, and say and hear what they can.
        let mut after = process(&database.store, &kafka);
        after.settings.trim = Some(Trim::once_relayed(0, 5, audience));
        let (bank, counter) = (after.start(bank()).await, after.start(counter()).await);
        join(say(&old_bank.handle, &ACCOUNTS, 21, 40), until_heard(&counter, 40)).await;
        shut_down([old_bank, old_counter]).await;
        join(say(&bank.handle, &ACCOUNTS, 41, 50), until_heard(&counter, 50)).await;
        assert_eq!(behind(&counter, &bank).await, vec![], "{engine:?}");
        let outbox = Outbox::new(database.store.clone(), database.store.head("bank", "unused").await.unwrap().source);
        until("all of it is cleaned up", || async { outbox.removed(&TOPICS).await == Ok(400) }).await;
        shut_down([bank, counter]).await;
        let refused = engine::start(crate::support::counter(), &before.settings).await.err().map(|error| error.to_string());
        assert!(refused.is_some_and(|why| why.contains("cannot go back")), "{engine:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_kafka_has_lost_is_missed_and_said_again() {
    for engine in ENGINES {
        let (lost, found) = (at(kafka()).await, at(kafka()).await);
        let (here, there) = (ready(engine).await, ready(engine).await);
        let bank_of = |kafka: &Kafka| process(&here.store, kafka);
        let before = bank_of(&lost).start(bank()).await;
        let counter_before = process(&there.store, &lost).start(counter()).await;
        join(say(&before.handle, &ACCOUNTS, 1, 10), until_heard(&counter_before, 10)).await;
        shut_down([counter_before]).await;
        say(&before.handle, &ACCOUNTS, 11, 20).await;
        until("all of it lies there", || async { before.log_status().await.unwrap().relayed == Some(160) }).await;
        shut_down([before]).await;
        // Another Kafka has nothing of it, and soon more than what a cursor's row says of the old one.
        let bank = bank_of(&found).start(bank()).await;
        say(&bank.handle, &ACCOUNTS, 21, 60).await;
        let counter = process(&there.store, &found).start(counter()).await;
        until("the gap is seen", || async { !behind(&counter, &bank).await.is_empty() }).await;
        assert_eq!(counted(&counter.handle, "moved").await, 80, "{engine:?}: nothing is applied over a gap");
        let too_far = bank.republish(1_000, &trace()).await.unwrap();
        assert!(too_far <= 480, "{engine:?}: a mark is never moved forward");
        assert_eq!(bank.republish(0, &trace()).await.unwrap(), 0, "{engine:?}");
        until_heard(&counter, 60).await;
        shut_down([bank, counter]).await;
    }
}

#[tokio::test]
async fn topics_are_made_once_and_wrong_ones_are_refused() {
    let prefix = topic_prefix();
    let config = |partitions| {
        let at = Kafka::new(&settings(kafka(), &prefix), partitions);
        async move { at.ensure(&TOPICS).await.map_err(|fault| fault.to_string()) }
    };
    assert_eq!(config(4).await, Ok(TOPICS.to_vec()));
    assert_eq!(config(4).await, Ok(vec![]));
    let refused = config(8).await.unwrap_err();
    assert!(refused.contains("has 4 partitions, and the shop has 8 buckets"), "{refused}");
}
