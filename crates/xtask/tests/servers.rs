//! The private servers seen from outside: they serve a command, pass its exit code on, and go with their owner.
//! It leaves what is said to the servers to the crates that speak it.

#![allow(clippy::disallowed_methods, reason = "tests of the real thing stand outside of the ports")]

use std::fs::{DirBuilder, read_dir, remove_dir_all};
use std::io::{BufRead, BufReader, Read};
use std::net::TcpStream;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A directory for temporary things, in which nothing may be left over.
struct Yard(PathBuf);

impl Yard {
    fn make(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("xtask-{name}-{}", std::process::id()));
        DirBuilder::new().mode(0o755).create(&path).expect("a directory can be made");
        Self(path)
    }

    fn xtask(&self, subcommand: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        command.env("TMPDIR", &self.0).arg(subcommand);
        command
    }

    fn assert_empty(&self) {
        let left = read_dir(&self.0).expect("the directory is there").count();
        assert_eq!(left, 0, "something is left in {}", self.0.display());
    }
}

impl Drop for Yard {
    fn drop(&mut self) {
        let _ = remove_dir_all(&self.0);
    }
}

fn listens(address: &str) -> bool {
    TcpStream::connect(address).is_ok()
}

#[test]
fn a_command_gets_the_addresses_and_its_exit_code_passes_on() {
    let yard = Yard::make("command");
    let script = r#"test "$SWIFTCART_TEST_DATABASE_URL" = "$SWIFTCART_DATABASE_URL" &&
        echo "$SWIFTCART_DATABASE_URL $SWIFTCART_TEST_KAFKA" && exit 7"#;
    let output = yard.xtask("servers").args(["--", "sh", "-c", script]).output().unwrap();
    let (told, complaints) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(7), "{complaints}");
    assert!(told.starts_with("postgres://postgres@127.0.0.1:") && told.contains(" 127.0.0.1:"), "{told}");
    for line in ["ready to accept connections", "Kafka Server started"] {
        assert!(complaints.contains(line), "a failure shows the logs: {complaints}");
    }
    yard.assert_empty();
}

#[test]
fn servers_go_when_their_owner_is_killed() {
    let yard = Yard::make("killed");
    let mut owner = yard.xtask("servers").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(owner.stdout.take().unwrap()).lines();
    let (url, kafka) = (lines.next().unwrap().unwrap(), lines.next().unwrap().unwrap());
    let postgres = url.trim_start_matches("postgres://postgres@").trim_end_matches("/postgres");
    assert!(listens(postgres) && listens(&kafka), "servers are ready at {url} and {kafka}");

    owner.kill().unwrap();
    owner.wait().unwrap();
    // The keepers hold the other end: it closes when both have ended.
    owner.stderr.take().unwrap().read_to_end(&mut Vec::new()).unwrap();
    assert!(!listens(postgres) && !listens(&kafka));
    yard.assert_empty();
}

#[test]
fn a_directory_without_programs_is_refused() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (subcommand, variable, complaint) in [
        ("postgres", "SWIFTCART_TEST_PG_BIN", "there is no postgres in"),
        ("kafka", "SWIFTCART_TEST_KAFKA_JARS", "there is no kafka_2.13"),
    ] {
        let output = Yard::make(subcommand).xtask(subcommand).args(["--", "true"]).env(variable, here).output().unwrap();
        assert!(!output.status.success());
        assert!(String::from_utf8_lossy(&output.stderr).contains(complaint), "{subcommand}");
    }
}

#[test]
fn kafka_that_is_half_fetched_is_not_taken_for_whole() {
    let yard = Yard::make("fetching");
    let programs = yard.0.join("programs");
    let maven = programs.join("mvn");
    std::fs::create_dir(&programs).unwrap();
    std::fs::write(&maven, "#!/bin/sh\nexit 1\n").unwrap();
    std::fs::set_permissions(&maven, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
    let mut kafka = yard.xtask("kafka");
    let output = kafka.args(["--", "true"]).env("PATH", path).env("XDG_CACHE_HOME", &yard.0).output().unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("Maven did not fetch Apache Kafka"));
    assert_eq!(read_dir(yard.0.join("swiftcart")).unwrap().count(), 0, "nothing is taken for Kafka");
}
