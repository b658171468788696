//! A shop that is carried to PostgreSQL by a process that dies at each of its steps: begun again it comes to the same end, and
//! at no moment can the shop be served in both places. Leaves what a carried shop does to `story`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Output, Stdio};

use store::Store;
use testkit::{Engine, TestStore, admin, fresh};

use crate::harness::{Server, baskets, said, swiftcart};
use crate::points::{DEEDS, names};

/// How many orders the shop has, some of them under way.
const ORDERS: usize = 6;

/// Crashes a promotion at every point that it comes to, and tells which these were.
pub(crate) async fn every_point() -> BTreeSet<String> {
    let directory = tempfile::tempdir().expect("a directory");
    let shop = directory.path().join("shop");
    killed_shop(&shop);
    let record = directory.path().join("points");
    let (whole, died) = carried(&shop, &directory.path().join("whole"), &format!("record={}", record.display())).await;
    assert!(!died, "a promotion comes to its end");
    let points = names(&record);
    for (number, point) in points.iter().enumerate() {
        let data = directory.path().join(number.to_string());
        let crash = format!("crash={point}@{}", if point == "store.carry-table" { 1 + number } else { 1 });
        assert_eq!(carried(&shop, &data, &crash).await, (whole.clone(), true), "{point}");
    }
    println!("a promotion died at {} fail points", points.len());
    points
}

/// A directory with a shop that was killed while it had orders under way.
fn killed_shop(data: &Path) {
    let server = Server::start(data, &[]);
    let token = server.admin_token();
    let mut load = swiftcart();
    load.args(["load", "replay", &baskets(), "--url", &server.url(), "--logins"]).arg(server.logins());
    let mut load = load.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("load runs");
    while server.orders(&token) < ORDERS {
        std::thread::yield_now();
    }
    drop(server);
    load.kill().expect("it runs for longer");
    load.wait().expect("its end");
}

/// Carries a copy of `shop` to a database of its own, and if that dies of `deed`, once more. Tells how many rows of each table
/// have arrived, and whether it died.
async fn carried(shop: &Path, copy: &Path, deed: &str) -> (BTreeMap<String, i64>, bool) {
    std::fs::create_dir(copy).expect("a directory");
    for file in std::fs::read_dir(shop).expect("the shop") {
        let file = file.expect("a file").path();
        std::fs::copy(&file, copy.join(file.file_name().expect("a name"))).expect("a copy");
    }
    let database = fresh(Engine::Postgres).await;
    let mut output = promote(copy, &database, &[(DEEDS, deed)]);
    let died = !output.status.success();
    if died {
        let arrived = rows(&database).await.get("store_head").is_some_and(|rows| *rows > 0);
        assert!(is_sealed(copy).await || !arrived, "the shop is in both places: {deed}: {}", said(&output));
        output = promote(copy, &database, &[]);
    }
    assert!(output.status.success(), "{deed}: {}", said(&output));
    assert!(is_sealed(copy).await, "{deed}");
    (rows(&database).await, died)
}

fn promote(data: &Path, to: &TestStore, environment: &[(&str, &str)]) -> Output {
    let mut command = swiftcart();
    command.args(["promote", "--to", &to.url, "--data"]).arg(data).envs(environment.iter().copied());
    command.output().expect("promote runs")
}

/// Whether nobody may serve the shop in `data` any more.
async fn is_sealed(data: &Path) -> bool {
    let store = Store::sqlite(&data.join("swiftcart.db")).expect("the file can be opened");
    store.carried_to().await.expect("the file can be read").is_some()
}

/// How many rows each table has.
async fn rows(database: &TestStore) -> BTreeMap<String, i64> {
    let sql = admin(&database.url).await;
    let tables = "SELECT table_name::text FROM information_schema.tables \
                  WHERE table_schema = 'public' AND table_name NOT IN ('store_migration', 'store_promotion')";
    let mut rows = BTreeMap::new();
    for table in sql.query(tables, &[]).await.expect("its tables") {
        let table: String = table.get(0);
        let count = sql.query_one(&format!("SELECT count(*) FROM {table}"), &[]).await.expect("a count").get(0);
        rows.insert(table, count);
    }
    rows
}
