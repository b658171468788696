//! A server that is spoken to by TLS: it is known by its certificate, or not spoken to at all.
//! Leaves everything else to `server`.

use store::{Error, Kind, Read, Store};
use testkit::{PostgresServer, admin};

use crate::support::{SERVICE, SOURCE, all, batch, new_tally, tally};

/// For `localhost`, by the authority of `ca.pem`; its key opens nothing else.
const CERTIFICATE: &str = include_str!("../tls/server.pem");
const KEY: &str = include_str!("../tls/server.key");

static ENCRYPTED: Read = Read {
    name: "test.encrypted",
    sql: "SELECT CASE WHEN ssl THEN 1 ELSE 0 END, version FROM pg_stat_ssl WHERE pid = pg_backend_pid()",
    arguments: &[],
    answer: &[Kind::Int, Kind::Text],
};

/// Gives the server its certificate.
async fn certify(url: &str) {
    let sql = admin(url).await;
    for (file, text) in [("server.crt", CERTIFICATE), ("server.key", KEY)] {
        // Its own hands write it, so that it is its own and nobody else's; it works in the directory of its data.
        let copy = format!("COPY (SELECT unnest(string_to_array('{text}', E'\\n'))) TO PROGRAM 'umask 077; cat > {file}'");
        sql.batch_execute(&copy).await.unwrap();
    }
    sql.batch_execute("ALTER SYSTEM SET ssl = on").await.unwrap();
    sql.batch_execute("SELECT pg_reload_conf()").await.unwrap();
    while admin(url).await.query_one("SHOW ssl", &[]).await.unwrap().get::<_, String>(0) != "on" {
        tokio::task::yield_now().await;
    }
}

fn why(outcome: Result<Store, Error>) -> String {
    match outcome {
        Err(Error::Unavailable(why)) => why,
        other => panic!("it is spoken to: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_known_by_its_certificate() {
    let server = PostgresServer::start();
    let to = |host: &str, parameters: &str| {
        let url = server.url.replace("127.0.0.1", host);
        let sign = if url.contains('?') { '&' } else { '?' };
        format!("{url}{sign}{parameters}")
    };
    let known_by = |file: &str| format!("sslmode=verify-full&sslrootcert={}/tests/tls/{file}", env!("CARGO_MANIFEST_DIR"));
    let before = why(Store::postgres(&to("localhost", &known_by("ca.pem")), 2).await);
    assert!(before.contains("TLS"), "a server without it: {before}");

    certify(&server.url).await;
    let store = Store::postgres(&to("localhost", &known_by("ca.pem")), 2).await.unwrap();
    let row = store.read(&ENCRYPTED, vec![]).await.unwrap().remove(0);
    assert_eq!((row.int(0), row.text(1)), (Ok(1), Ok("TLSv1.3")));
    store.migrate(&all()).await.unwrap();
    store.head(SERVICE, SOURCE).await.unwrap();
    store.commit(batch(vec![new_tally("milk", 1, 0)])).await.unwrap();
    assert_eq!(tally(&store, "milk").await, Some([1, 0, 1]));

    for (host, parameters) in
        [("127.0.0.1", known_by("ca.pem")), ("localhost", known_by("other_ca.pem")), ("localhost", "sslmode=require".to_owned())]
    {
        let refused = why(Store::postgres(&to(host, &parameters), 2).await);
        assert!(refused.contains("certificate"), "{host} {parameters}: {refused}");
    }
    let clear = Store::postgres(&server.url, 2).await.unwrap();
    assert_eq!(clear.read(&ENCRYPTED, vec![]).await.unwrap()[0].int(0), Ok(0), "who does not ask for it has none");
}
