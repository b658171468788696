//! A shop is upgraded while orders go on: the database is expanded under the old processes, they are asked to end and replaced one
//! by one, and back again. What the next version adds is a column and a table that this one does not know.
//! Leaves which migrations a program can live with to `store`.

use testkit::{Engine, Raw};

use crate::harness::{Server, baskets, migrate, nothing_was_found, said};

/// What the next version's migration does, and the note of it.
const EXPANDS: [&str; 3] = [
    "ALTER TABLE orders_order ADD COLUMN gift_note TEXT",
    "CREATE TABLE orders_gift (id BYTEA PRIMARY KEY, version BIGINT NOT NULL, wrapping TEXT NOT NULL)",
    "INSERT INTO store_migration (service, number, name, checksum) VALUES ('orders', 9000, 'gifts', 'of-the-next-version')",
];

/// The note of one that would break this version.
const CONTRACTS: &str = "INSERT INTO store_migration (service, number, name, checksum) VALUES ('orders', 9001, 'contract-gifts', 'of-the-next-version')";

#[tokio::test(flavor = "multi_thread")]
async fn processes_are_replaced_one_by_one_on_an_expanded_database() {
    let database = testkit::fresh(Engine::Postgres).await;
    migrate(&database.url);
    let directories = [(); 2].map(|()| tempfile::tempdir().expect("a directory"));
    let arguments = ["--database", database.url.as_str()];
    let [first, second] = directories.each_ref().map(|directory| Server::start(directory.path(), &arguments));
    let mut load = first.loading(&[&second], &["replay", &baskets(), "--shoppers", "6"]);
    let running = tokio::task::spawn_blocking(move || load.output().expect("load runs"));
    let raw = Raw::open(&database.url).await;
    raw.run(&EXPANDS.map(str::to_owned)).await;
    let replace = |mut server: Server, at: usize| {
        let address = server.address().to_owned();
        assert!(server.stop().success(), "a process that is asked to ends well");
        Server::start_at(address, directories[at].path(), &arguments)
    };
    let (first, second) = tokio::task::block_in_place(|| (replace(first, 0), replace(second, 1)));
    // And back again: what was there before runs on what the next version has left.
    let (first, mut second) = tokio::task::block_in_place(|| (replace(first, 0), replace(second, 1)));
    let output = running.await.expect("load ends");
    assert!(output.status.success(), "{}", said(&output));
    let (report, content) = first.audit();
    assert!(content, "{report:#}");
    nothing_was_found(&[&first, &second]);

    raw.run(&[CONTRACTS.to_owned()]).await;
    let address = second.address().to_owned();
    assert!(second.stop().success());
    let refused = Server::try_start(address, directories[1].path(), &arguments, &[]);
    assert!(!refused.is_open(), "a program is not started on what it cannot live with");
}
