//! The private PostgreSQL seen from outside: it serves a command, passes its exit code on, and goes with its owner.
//! It leaves SQL to the crates that speak it.

use std::fs::{DirBuilder, read_dir, read_to_string, remove_dir_all};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::DirBuilderExt;
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

    fn xtask(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        command.env("TMPDIR", &self.0).arg("postgres");
        command
    }

    /// The process id of the one server in here.
    fn server(&self) -> String {
        let home =
            read_dir(&self.0).expect("the directory is there").next().expect("a server lives here").expect("it can be read");
        let lock = read_to_string(home.path().join("data/postmaster.pid")).expect("the server runs");
        lock.lines().next().expect("its process id comes first").to_owned()
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

fn alive(process: &str) -> bool {
    Command::new("kill").args(["-0", process]).stderr(Stdio::null()).status().expect("`kill` runs").success()
}

#[test]
fn a_command_gets_the_address_and_its_exit_code_passes_on() {
    let yard = Yard::make("command");
    let script = r#"test -n "$SWIFTCART_TEST_DATABASE_URL" && echo "$SWIFTCART_DATABASE_URL" && exit 7"#;
    let output = yard.xtask().args(["--", "sh", "-c", script]).output().unwrap();
    let (told, complaints) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(7), "{complaints}");
    assert!(told.starts_with("postgres://postgres@127.0.0.1:"), "{told}");
    assert!(complaints.contains("ready to accept connections"), "a failure shows the log: {complaints}");
    yard.assert_empty();
}

#[test]
fn the_server_goes_when_its_owner_is_killed() {
    let yard = Yard::make("killed");
    let mut owner = yard.xtask().stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut url = String::new();
    BufReader::new(owner.stdout.take().unwrap()).read_line(&mut url).unwrap();
    let server = yard.server();
    assert!(alive(&server), "a server is ready at {url}");

    owner.kill().unwrap();
    owner.wait().unwrap();
    // The keeper holds the other end: it closes when the keeper has ended.
    owner.stderr.take().unwrap().read_to_end(&mut Vec::new()).unwrap();
    assert!(!alive(&server));
    yard.assert_empty();
}

#[test]
fn a_directory_without_programs_is_refused() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = Yard::make("refused").xtask().args(["--", "true"]).env("SWIFTCART_TEST_PG_BIN", here).output().unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("there is no postgres in"));
}
