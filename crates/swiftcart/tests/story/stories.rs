//! The stories: each starts from nothing and ends with a quiescent audit.
//! Leaves starting and asking to `server`.

use std::sync::atomic::{AtomicBool, Ordering};

use tempfile::TempDir;
use testkit::Engine;

use crate::harness::{Bank, Server, baskets, free_address, migrate, nothing_was_found, said, swiftcart, until_leases_pass_on};

/// How often an audit may find that money is still on its way.
const AUDITS_MAX: usize = 60;

/// How often the server is killed in the story of kills.
const KILLS: usize = 4;

fn replay_and_audit(server: &Server, others: &[&Server]) {
    let output = server.load(others, &["replay", &baskets(), "--shoppers", "8"]);
    assert!(output.status.success(), "{}", said(&output));
    let (report, content) = server.audit();
    assert!(content, "{report:#}");
    let servers: Vec<&Server> = [server].into_iter().chain(others.iter().copied()).collect();
    nothing_was_found(&servers);
}

#[tokio::test(flavor = "multi_thread")]
async fn from_an_address_to_a_doorstep_on_sqlite() {
    let data = tempfile::tempdir().expect("a directory");
    let mut server = Server::start(data.path(), &[]);
    replay_and_audit(&server, &[]);
    assert!(server.stop().success());
    let again = Server::start(data.path(), &[]);
    assert!(again.orders(&again.admin_token()) > 0, "the orders are there after a restart");
}

#[tokio::test(flavor = "multi_thread")]
async fn from_an_address_to_a_doorstep_on_postgresql() {
    let database = testkit::fresh(Engine::Postgres).await;
    let data = tempfile::tempdir().expect("a directory");
    let refused =
        swiftcart().args(["serve", "--database", &database.url, "--listen", "127.0.0.1:0", "--data"]).arg(data.path()).output();
    let refused = refused.expect("it runs");
    assert!(!refused.status.success() && said(&refused).contains("swiftcart migrate"), "{}", said(&refused));
    migrate(&database.url);
    let server = Server::start(data.path(), &["--database", &database.url]);
    replay_and_audit(&server, &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_share_one_postgresql() {
    let database = testkit::fresh(Engine::Postgres).await;
    migrate(&database.url);
    let (here, there) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
    let first = Server::start(here.path(), &["--database", &database.url]);
    let second = Server::start(there.path(), &["--database", &database.url]);
    replay_and_audit(&first, &[&second]);
}

/// The first shape beyond one process: each of them does all, and none of them is missed.
#[tokio::test(flavor = "multi_thread")]
async fn three_processes_share_one_postgresql_while_one_dies_and_one_freezes() {
    let database = testkit::fresh(Engine::Postgres).await;
    migrate(&database.url);
    let directories = [(); 3].map(|()| tempfile::tempdir().expect("a directory"));
    let start = |directory: &TempDir| Server::start(directory.path(), &["--database", &database.url]);
    let mut servers = directories.each_ref().map(start);
    let token = servers[2].admin_token();
    // The first holds leases, for it was there first; the second has some of them when the first has died.
    for (number, signal) in [(0, "KILL"), (1, "STOP")] {
        let mut load = servers[2].loading(&[&servers[0], &servers[1]], &["replay", &baskets(), "--shoppers", "8"]);
        let enough = servers[2].orders(&token) + 4;
        let running = tokio::task::spawn_blocking(move || load.output().expect("load runs"));
        while servers[2].orders(&token) < enough && !running.is_finished() {
            std::thread::yield_now();
        }
        servers[number].signal(signal);
        until_leases_pass_on(&database.url).await;
        match signal {
            "KILL" => servers[number].kill_and_restart(),
            _ => servers[number].signal("CONT"),
        }
        let output = running.await.expect("load ends");
        assert!(output.status.success(), "{signal}: {}", said(&output));
    }
    let (report, content) = servers[0].audit();
    assert!(content, "{report:#}");
    let [first, second, third] = &servers;
    nothing_was_found(&[first, second, third]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_killed_loses_nothing_on_sqlite() {
    let data = tempfile::tempdir().expect("a directory");
    killed(Server::start(data.path(), &[]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_killed_loses_nothing_on_postgresql() {
    let database = testkit::fresh(Engine::Postgres).await;
    migrate(&database.url);
    let data = tempfile::tempdir().expect("a directory");
    killed(Server::start(data.path(), &["--database", &database.url]));
}

/// Replays baskets while the server is killed each time that some more orders have come in.
fn killed(mut server: Server) {
    let token = server.admin_token();
    let mut load = swiftcart();
    load.args(["load", "replay", &baskets(), "--shoppers", "2", "--url", &server.url(), "--logins"]).arg(server.logins());
    let ended = AtomicBool::new(false);
    let output = std::thread::scope(|scope| {
        let running = scope.spawn(|| {
            let output = load.output().expect("load runs");
            ended.store(true, Ordering::Release);
            output
        });
        for kill in 0..KILLS {
            let enough = (kill + 1) * 4;
            while server.orders(&token) < enough && !ended.load(Ordering::Acquire) {
                std::thread::yield_now();
            }
            server.kill_and_restart();
        }
        running.join().expect("load ends")
    });
    assert!(output.status.success(), "{}", said(&output));
    let (report, content) = server.audit();
    assert!(content, "{report:#}");
    nothing_was_found(&[&server]);
}

/// A shop whose money is moved by another process, which makes mistakes and is killed on the way.
#[tokio::test(flavor = "multi_thread")]
async fn a_shop_pays_through_a_provider_of_its_own_process() {
    let (here, there) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
    let address = free_address();
    let mut bank = Bank::start(there.path(), &address, &["--faults-percent", "20", "--faults-seed", "4"], &[]);
    let settings = std::fs::read_to_string(bank.settings()).expect("the settings of the shop");
    let key = bank.key();
    assert!(!bank.said().contains(&key) && bank.said().contains("provider.toml"), "{}", bank.said());

    // A shop that does not wait long for an answer that does not come.
    let config = here.path().join("shop.toml");
    let impatient = "[payments]\ncall_timeout_ms = 500\nretry_first_ms = 20\nretry_longest_ms = 200\n";
    std::fs::write(&config, format!("{impatient}{settings}")).expect("a file");
    let server = Server::start_at(address, here.path(), &["--config", &config.display().to_string()]);
    for _ in 0..2 {
        let output = server.load(&[], &["replay", &baskets(), "--shoppers", "8"]);
        // Its audit comes at once, and money that was asked for may still be on its way.
        assert!(said(&output).contains("open                0"), "{}", said(&output));
        bank.restart(&[]);
    }
    settled(&server);
    let (status, books) = bank.books(&key);
    assert_eq!(status, 200, "the key stays the same");
    assert!(books["captured"].as_i64() > Some(30), "{books:#}");
    for nothing in ["authorised_open", "captured_twice", "open_twice", "open_beside_captured"] {
        assert_eq!(books[nothing], 0, "{nothing} in {books:#}");
    }
    assert_eq!(bank.books("another key").0, 401);
    nothing_was_found(&[&server]);
}

/// Waits until the audit is content.
fn settled(server: &Server) {
    let mut last = None;
    for _ in 0..AUDITS_MAX {
        let (report, content) = server.audit();
        if content {
            return;
        }
        last = Some(report);
    }
    panic!("it never settled: {last:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rush_sells_what_there_is_and_no_more() {
    let data = tempfile::tempdir().expect("a directory");
    let server = Server::start(data.path(), &[]);
    for what in [&["rush", "--buyers", "100", "--units", "20"][..], &["rush", "--buyers", "60", "--units", "20", "--slot"]] {
        let output = server.load(&[], what);
        assert!(output.status.success(), "{}", said(&output));
    }
    let (report, content) = server.audit();
    assert!(content, "{report:#}");
    nothing_was_found(&[&server]);
}
