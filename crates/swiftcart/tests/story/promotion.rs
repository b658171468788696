//! A shop that outgrows its file: killed in full swing, carried to PostgreSQL, and served there for the same shoppers, who are
//! still trying. Leaves promotions that are killed themselves to the crash suite.

use std::path::Path;
use std::process::Output;
use std::sync::atomic::{AtomicBool, Ordering};

use testkit::Engine;

use crate::harness::{Server, baskets, nothing_was_found, said, swiftcart};

/// How many orders there are when the file has become too small.
const ORDERS: usize = 8;

fn promote(data: &Path, to: &str) -> Output {
    swiftcart().args(["promote", "--to", to, "--data"]).arg(data).output().expect("promote runs")
}

#[track_caller]
fn refused(output: &Output, why: &str) {
    let said = said(output);
    assert!(!output.status.success() && said.contains(why), "{why} in {said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shop_in_full_swing_goes_from_its_file_to_postgresql() {
    let database = testkit::fresh(Engine::Postgres).await;
    let data = tempfile::tempdir().expect("a directory");
    refused(&promote(data.path(), &database.url), "there is no shop in");
    let server = Server::start(data.path(), &[]);
    refused(&promote(data.path(), &database.url), "in use by process");
    let (token, address) = (server.admin_token(), server.address().to_owned());
    let mut load = swiftcart();
    load.args(["load", "replay", &baskets(), "--shoppers", "4", "--troubles", "30", "--give-up-after-s", "120"]);
    load.args(["--url", &server.url(), "--logins"]).arg(server.logins());
    let ended = AtomicBool::new(false);
    let (output, server, orders) = std::thread::scope(|scope| {
        let running = scope.spawn(|| {
            let output = load.output().expect("load runs");
            ended.store(true, Ordering::Release);
            output
        });
        while server.orders(&token) < ORDERS && !ended.load(Ordering::Acquire) {
            std::thread::yield_now();
        }
        drop(server);
        let told = promote(data.path(), &database.url);
        assert!(told.status.success(), "{}", said(&told));
        for part in ["orders_order ", "store_outbox ", "engine_cursor ", "equal on both sides"] {
            assert!(said(&told).contains(part), "{part} in {}", said(&told));
        }
        let old = swiftcart().args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(data.path()).output().expect("it runs");
        refused(&old, "was carried to postgres://");
        assert!(said(&promote(data.path(), &database.url)).contains("carried there before"));
        let server = Server::start_at(address, data.path(), &["--database", &database.url]);
        let orders = server.orders(&token);
        (running.join().expect("load ends"), server, orders)
    });
    assert!(orders >= ORDERS, "the orders came along: {orders}");
    assert!(output.status.success(), "{}", said(&output));
    let (report, content) = server.audit();
    assert!(content, "{report:#}");
    nothing_was_found(&[&server]);
}
