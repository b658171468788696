//! What stops when a role stops: one process for each role over Kafka, behind a gateway. Each is killed, and frozen, for longer
//! than a token lives, while everybody goes on as far as they can; what went on meanwhile, what came late and how long it took
//! to catch up is told as a table. A role that is away stops only its own work.
//! Leaves a crash in the middle of a step to the crash suite.

#![allow(clippy::disallowed_methods, reason = "what is measured here is time")]

mod clients;
mod tally;

use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use testkit::Engine;

use crate::harness::{Cluster, ROLES, Server, Topology, migrate};

use clients::Clients;
use tally::{Column, Deed, Share, table};

/// How long a token lives meanwhile, and for how long a role is away at least.
const TOKEN_TTL: Duration = Duration::from_secs(2);
const AWAY: Duration = Duration::from_secs(3);

/// Whoever of these is away, orders are placed, held, paid and confirmed.
const ORDERS_GO_ON_WITHOUT: [&str; 4] = ["notifications", "delivery", "catalog", "identity"];

/// How many orders of each kind must come through while such a role is away.
const ORDERS_MIN: usize = 2;

/// How many of a hundred requests on the way to an order may fail meanwhile and be repeated.
const FAILED_PERCENT_MAX: usize = 10;

/// How a role stops.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum How {
    Killed,
    /// Its connections stay open, and nobody answers.
    Frozen,
}

/// Those without which orders go on; with `SWIFTCART_ISOLATION=all`, as `cargo xtask isolation` says, every role.
#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_is_away_stops_only_its_own_work() {
    let struck: Vec<(&str, How)> = if std::env::var("SWIFTCART_ISOLATION").is_ok_and(|which| which == "all") {
        let roles = ROLES.into_iter().chain(["gateway"]);
        roles.flat_map(|role| [How::Killed, How::Frozen].map(|how| (role, how))).collect()
    } else {
        let frozen = ["delivery", "identity"].map(|role| (role, How::Frozen));
        ORDERS_GO_ON_WITHOUT.map(|role| (role, How::Killed)).into_iter().chain(frozen).collect()
    };
    isolate(&struck).await;
}

/// Strikes one after the other and tells the tables.
async fn isolate(struck: &[(&'static str, How)]) {
    let database = testkit::fresh(Engine::Postgres).await;
    migrate(&database.url);
    let kafka = testkit::kafka();
    let mut cluster =
        Cluster::start(&Topology { database: &database.url, apart: &[], copies: 1, kafka: Some(&kafka), settings: "" });
    let clients = Clients::of(&cluster.gateway, cluster.process("notifications"));
    restart(cluster.one("identity", 0));
    let columns: Vec<(How, Column)> = std::thread::scope(|scope| {
        // However this ends, everybody goes home.
        let mut closings = Vec::new();
        for work in Clients::work() {
            let (closing, closed) = channel();
            closings.push(closing);
            let clients = &clients;
            scope.spawn(move || work(clients, &closed));
        }
        let columns = struck.iter().map(|(role, how)| (*how, strike(&mut cluster, &clients, role, *how))).collect();
        clients.until_all_are_delivered();
        columns
    });
    for how in [How::Killed, How::Frozen] {
        let of_these = columns.iter().filter(|(other, _)| *other == how).map(|(_, column)| column);
        println!("\n{}", table(&format!("{how:?}"), &of_these.collect::<Vec<_>>()));
    }
    // The audit asks for longer than those tokens live.
    assert!(cluster.one("identity", 0).restart_with(&[]));
    let (report, content) = cluster.gateway.audit();
    assert!(content, "{report:#}");
    for server in cluster.servers() {
        assert_eq!(server.told(&["an invariant"]), Vec::<String>::new());
    }
}

/// Takes a role away and lets it come back; says what became of everything meanwhile.
fn strike(cluster: &mut Cluster, clients: &Clients, role: &'static str, how: How) -> Column {
    let (tally, opened) = (&clients.tally, Instant::now());
    clients.open();
    tally.until(&format!("all goes well before {role} is {how:?}"), || {
        Deed::ALL.iter().all(|(deed, _)| tally.went(*deed, opened) > 0)
    });
    let away = Instant::now();
    cluster.process(role).signal(if how == How::Killed { "KILL" } else { "STOP" });
    let needs_orders = ORDERS_GO_ON_WITHOUT.contains(&role);
    // By then the token of whoever had signed in is dead.
    let come_through = |confirmation| clients.confirmed(confirmation, away + TOKEN_TTL) >= ORDERS_MIN;
    tally.until(&format!("orders go on while {role} is {how:?}"), || {
        let orders_went = come_through(Deed::GuestConfirmed) && come_through(Deed::ShopperConfirmed);
        away.elapsed() >= AWAY && (orders_went || !needs_orders)
    });
    match how {
        How::Killed => restart(cluster.one(role, 0)),
        How::Frozen => cluster.process(role).signal("CONT"),
    }
    let back = Instant::now();
    clients.close();
    tally.until(&format!("all is caught up after {role} was {how:?}"), || {
        clients.all_are_confirmed() && clients.nothing_is_behind()
    });
    let caught_up = back.elapsed();
    let shares: Vec<Share> = Deed::ALL.iter().map(|(deed, _)| tally.share(*deed, &(away..back))).collect();
    for ((deed, name), share) in Deed::ALL.iter().zip(&shares) {
        let must_go = needs_orders && deed.is_ordering();
        assert!(!must_go || share.failed_percent() <= FAILED_PERCENT_MAX, "{name} while {role} is {how:?}: {share:?}");
    }
    Column { role, shares, away: back - away, caught_up }
}

fn restart(server: &mut Server) {
    let ttl_ms = TOKEN_TTL.as_millis().to_string();
    assert!(server.restart_with(&[("SWIFTCART__IDENTITY__TOKEN_TTL_MS", &ttl_ms)]), "it opens again");
}
