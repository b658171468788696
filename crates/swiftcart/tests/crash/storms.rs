//! Crashes by chance: processes are killed and frozen for longer than their leases live, their database is killed, their
//! connections are cut right after COMMIT was sent, while the provider fails every fifth time. A seed is a storm;
//! `cargo xtask crash --seeds N` runs as many as one likes.
//! Leaves crashes at a chosen step to `points`.

use std::time::{Duration, Instant};

use kernel::Draw;

use crate::shop::{Base, Shop};
use crate::siege::Siege;

/// How many storms a usual run has, and where the number of more is told.
const SEEDS: u64 = 2;
const SEEDS_VARIABLE: &str = "SWIFTCART_CRASH_SEEDS";
/// Which seed is the first.
const FIRST_VARIABLE: &str = "SWIFTCART_CRASH_FIRST";

/// How many things happen in one storm.
const BLOWS: u64 = 8;

/// How many storms over roles and Kafka a usual run has, and how many blows fall in one.
const SIEGES: u64 = 1;
const SIEGE_BLOWS: u64 = 6;

/// What may happen.
#[derive(Clone, Copy, Debug)]
enum Blow {
    Kill,
    Freeze,
    KillDatabase,
    CutAfterCommit,
}

#[tokio::test(flavor = "multi_thread")]
async fn storms_lose_nothing() {
    let (first, seeds) = (number(FIRST_VARIABLE, 1), number(SEEDS_VARIABLE, SEEDS));
    for seed in first..first + seeds {
        storm(seed).await;
    }
}

async fn storm(seed: u64) {
    let mut draw = Draw::seeded(seed);
    let base = match seed % 3 {
        0 => Base::Postgres(1),
        1 => Base::Sqlite,
        _ => Base::Postgres(2),
    };
    let mut shop = Shop::open(&base, seed).await;
    let token = shop.servers[0].admin_token();
    let traffic = shop.traffic(seed);
    let (mut blows, began) = (Vec::new(), Instant::now());
    for _ in 0..BLOWS {
        // So many more orders come in, or somebody has to be waited for, until the next blow falls.
        let enough = shop.servers[0].orders(&token) + 2 + usize::try_from(draw.below(6)).expect("a small number");
        let patience = Instant::now() + Duration::from_millis(500 + draw.below(3000));
        while shop.servers[0].orders(&token) < enough && Instant::now() < patience {
            std::thread::yield_now();
        }
        let blow = blow(&shop, &mut draw);
        strike(&mut shop, blow, &mut draw).await;
        assert!(!traffic.has_failed(), "seed {seed} after {blows:?} and {blow:?}: {:?}", traffic.end());
        blows.push(blow);
    }
    let rounds = traffic.end().unwrap_or_else(|failed| panic!("seed {seed} after {blows:?}: {failed}"));
    assert_eq!(shop.faults(), Vec::<String>::new(), "seed {seed} after {blows:?}");
    let orders = shop.servers[0].orders(&token);
    println!("seed {seed}: {orders} orders in {rounds} rounds, {blows:?}, {:.0} s", began.elapsed().as_secs_f64());
}

/// The same on the real stack: processes of single roles, Kafka between them.
#[tokio::test(flavor = "multi_thread")]
async fn storms_over_roles_and_kafka_lose_nothing() {
    let (first, seeds) = (number(FIRST_VARIABLE, 1), number(SEEDS_VARIABLE, SIEGES));
    for seed in first..first + seeds {
        siege(seed).await;
    }
}

async fn siege(seed: u64) {
    let mut draw = Draw::seeded(seed);
    let began = Instant::now();
    let copies = if seed.is_multiple_of(3) { 1 } else { 2 };
    let mut siege = Siege::lay(copies, seed, &[]).await;
    let open = began.elapsed();
    let token = siege.cluster.gateway.admin_token();
    let traffic = siege.traffic(seed);
    let mut blows = Vec::new();
    for _ in 0..SIEGE_BLOWS {
        // So many more orders come in, or somebody has to be waited for, until the next blow falls.
        let enough = siege.orders(&token) + 1 + usize::try_from(draw.below(4)).expect("a small number");
        let patience = Instant::now() + Duration::from_millis(500 + draw.below(3000));
        while siege.orders(&token) < enough && Instant::now() < patience {
            tokio::task::yield_now().await;
        }
        let blow = siege.draw(&mut draw);
        println!("seed {seed}: {blow:?} after {:.1} s", began.elapsed().as_secs_f64());
        siege.strike(blow).await;
        assert!(!traffic.has_failed(), "seed {seed} after {blows:?} and {blow:?}: {:?}", traffic.end());
        blows.push(blow);
    }
    let struck = began.elapsed();
    let rounds = traffic.end().unwrap_or_else(|failed| panic!("seed {seed} after {blows:?}: {failed}"));
    let ended = began.elapsed();
    assert_eq!(siege.faults(), Vec::<String>::new(), "seed {seed} after {blows:?}");
    let orders = siege.orders(&token);
    println!(
        "seed {seed}: {copies} of each role, {orders} orders in {rounds} rounds, {blows:?}, {:.0} s",
        began.elapsed().as_secs_f64()
    );
    println!("open {open:?} struck {struck:?} ended {ended:?}");
}

fn blow(shop: &Shop, draw: &mut Draw) -> Blow {
    match (draw.below(4), &shop.postgres, shop.servers.len()) {
        (1, Some(_), _) => Blow::CutAfterCommit,
        (2, Some(_), _) => Blow::KillDatabase,
        (3, Some(_), 2..) => Blow::Freeze,
        _ => Blow::Kill,
    }
}

async fn strike(shop: &mut Shop, blow: Blow, draw: &mut Draw) {
    let number = usize::try_from(draw.below(shop.servers.len() as u64)).expect("a small number");
    match blow {
        Blow::Kill => assert!(shop.restart(number, &[]), "a killed process opens again"),
        Blow::CutAfterCommit => shop.proxy.as_ref().expect("on PostgreSQL").cut_after_commit(),
        Blow::KillDatabase => shop.postgres.as_mut().expect("on PostgreSQL").crash(),
        Blow::Freeze => {
            shop.servers[number].signal("STOP");
            shop.until_leases_pass_on().await;
            shop.servers[number].signal("CONT");
        }
    }
}

fn number(variable: &str, usual: u64) -> u64 {
    std::env::var(variable).map_or(usual, |text| text.parse().unwrap_or_else(|_| panic!("{variable}: {text} is no number")))
}
