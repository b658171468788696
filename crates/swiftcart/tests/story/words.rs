//! What the program says when it is started wrongly. Leaves stories that go well to `stories`.

use crate::harness::{Server, swiftcart};

fn refusal(arguments: &[&str], environment: &[(&str, &str)]) -> String {
    let output = swiftcart().args(arguments).envs(environment.iter().copied()).output().expect("it runs");
    assert!(!output.status.success());
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_data_directory_in_use_is_refused_with_the_name_of_its_process() {
    let data = tempfile::tempdir().expect("a directory");
    let _server = Server::start(data.path(), &["--no-sample"]);
    let said = refusal(&["serve", "--listen", "127.0.0.1:0", "--data", &data.path().display().to_string()], &[]);
    assert!(said.contains("is in use by process") && said.contains("swiftcart"), "{said}");
}

#[test]
fn unknown_settings_are_all_told_at_once() {
    let data = tempfile::tempdir().expect("a directory");
    let file = data.path().join("shop.toml");
    std::fs::write(&file, "[orders]\nquote_ttl = 5\n[server]\nport = 80\n").expect("a file");
    let said = refusal(&["--config", &file.display().to_string()], &[("SWIFTCART__ORDERS__BUCKETS", "3")]);
    for part in ["orders.quote_ttl is not a setting", "server.port is not a setting"] {
        assert!(said.contains(part), "{part} in {said}");
    }
}

#[test]
fn a_database_that_is_none_is_refused() {
    let said = refusal(&["serve", "--database", "mysql://localhost/shop", "--listen", "127.0.0.1:0"], &[]);
    assert!(said.contains("postgres://"), "{said}");
}

#[test]
fn a_provider_is_started_with_what_it_can_use() {
    let data = tempfile::tempdir().expect("a directory");
    let directory = data.path().display().to_string();
    for (wrong, word) in [
        (["--webhook-url", "ftp://shop"], "http://127.0.0.1:4242"),
        (["--faults-percent", "101"], "0..=100"),
        (["--key", "short"], "16 to 256"),
    ] {
        let said = refusal(&["sandbox-provider", "--listen", "127.0.0.1:0", "--data", &directory, wrong[0], wrong[1]], &[]);
        assert!(said.contains(word), "{word} in {said}");
    }
    let help = swiftcart().args(["sandbox-provider", "--help"]).output().expect("it runs");
    let help = String::from_utf8_lossy(&help.stdout).into_owned();
    assert!(help.contains("swiftcart --config sandbox-data/provider.toml"), "{help}");
}
