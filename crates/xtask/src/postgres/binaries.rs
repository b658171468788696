//! Finds the server programs of PostgreSQL on this machine, or installs them where a package manager lets us.
//! It leaves running them to `server`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use crate::workspace::entries;

/// The oldest major version the shop is written for.
const MAJOR_MIN: u32 = 15;

/// What a private server is made with.
const PROGRAMS: [&str; 3] = ["postgres", "initdb", "pg_ctl"];

/// Names the directory of the programs; set, it is taken or the start fails.
const CHOICE: &str = "SWIFTCART_TEST_PG_BIN";

/// Where distributions put each major version, `*` standing for it.
const PLACES: [&str; 5] = [
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
    "/Applications/Postgres.app/Contents/Versions/*/bin",
];

/// The directory of the server programs, installing the package of the distribution if there is none.
///
/// # Errors
/// When the chosen directory does not serve, or there is none and none can be installed.
pub(super) fn find_or_install() -> Result<PathBuf> {
    if let Some(dir) = std::env::var_os(CHOICE).map(PathBuf::from) {
        let major = major_in(&dir).with_context(|| format!("{CHOICE} names {}", dir.display()))?;
        ensure!(major >= MAJOR_MIN, "{CHOICE} names PostgreSQL {major}; version {MAJOR_MIN} or newer is needed");
        return Ok(dir);
    }
    if let Some(dir) = find() {
        return Ok(dir);
    }
    install()?;
    find().with_context(|| {
        format!("the package `postgresql` is installed, but holds no PostgreSQL {MAJOR_MIN} or newer: {}", advice())
    })
}

/// The first directory that serves: that of the path, else the newest of the known places.
fn find() -> Option<PathBuf> {
    let serves = |dir: &PathBuf| major_in(dir).is_ok_and(|major| major >= MAJOR_MIN);
    on_path().filter(serves).or_else(|| {
        let places = PLACES.iter().flat_map(|place| matching(place));
        places.filter(serves).max_by_key(|dir| major_in(dir).unwrap_or(0))
    })
}

/// The directory of the `postgres` on the path, where its links lead.
fn on_path() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let program = std::env::split_paths(&path).map(|dir| dir.join("postgres")).find(|program| program.is_file())?;
    Some(program.canonicalize().ok()?.parent()?.to_owned())
}

/// The directories that fit a pattern with one `*` inside one name.
fn matching(pattern: &str) -> Vec<PathBuf> {
    let Some((head, tail)) = pattern.split_once('*') else { return Vec::new() };
    let (parent, prefix) = head.rsplit_once('/').unwrap_or(("", head));
    let found = entries(Path::new(parent)).unwrap_or_default();
    let named = found.into_iter().filter(|dir| dir.file_name().is_some_and(|name| name.to_string_lossy().starts_with(prefix)));
    named.map(|dir| dir.join(tail.trim_start_matches('/'))).filter(|dir| dir.is_dir()).collect()
}

/// The major version of the programs in a directory, if all are there and run.
fn major_in(dir: &Path) -> Result<u32> {
    for program in PROGRAMS {
        ensure!(dir.join(program).is_file(), "there is no {program} in {}", dir.display());
    }
    let program = dir.join("postgres");
    let output =
        Command::new(&program).arg("--version").output().with_context(|| format!("{} does not run", program.display()))?;
    let version = String::from_utf8_lossy(&output.stdout);
    major(&version).with_context(|| format!("{} tells no version, but {version:?}", program.display()))
}

/// Reads `postgres (PostgreSQL) 15.20 (Debian …)`.
fn major(version: &str) -> Option<u32> {
    let number = version.split_once("(PostgreSQL) ")?.1;
    number.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// Installs the package of Debian and its relatives, if we may.
fn install() -> Result<()> {
    let Some(rights) = rights().filter(|_| succeeds(Command::new("apt-get").arg("--version"))) else {
        bail!("there is no PostgreSQL {MAJOR_MIN} or newer on this machine: {}", advice());
    };
    eprintln!("There is no PostgreSQL {MAJOR_MIN} or newer on this machine: installing the package `postgresql` with apt-get.");
    for args in [&["update"][..], &["install", "--yes", "--no-install-recommends", "postgresql"]] {
        let command = [rights, &["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "--quiet"], args].concat();
        let status = Command::new(command[0]).args(&command[1..]).stdin(Stdio::null()).stdout(std::io::stderr()).status();
        let status = status.with_context(|| format!("{} did not start", command[0]))?;
        ensure!(status.success(), "`{}` failed ({status}): {}", command.join(" "), advice());
    }
    Ok(())
}

/// What to put before a command so that root runs it, if that takes no password.
fn rights() -> Option<&'static [&'static str]> {
    if super::server::root() { Some(&[]) } else { succeeds(Command::new("sudo").args(["-n", "true"])).then_some(&["sudo", "-n"]) }
}

fn succeeds(command: &mut Command) -> bool {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

fn advice() -> String {
    format!(
        "install the server programs (Debian, Ubuntu: `apt-get install postgresql`; Fedora: `dnf install postgresql-server`; \
         macOS: `brew install postgresql@18`), or let {CHOICE} name the directory that holds {}",
        PROGRAMS.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        assert_eq!(major("postgres (PostgreSQL) 15.20 (Debian 15.20-0+deb12u1)\n"), Some(15));
        assert_eq!(major("postgres (PostgreSQL) 19beta1"), Some(19));
        assert_eq!(major("psql 15"), None);
    }

    #[test]
    fn patterns_find_directories() {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let pattern = format!("{}/s*/postgres", here.display());
        assert_eq!(matching(&pattern), [here.join("src/postgres")]);
        assert!(matching("/no/such/place-*/bin").is_empty());
    }

    #[test]
    fn a_directory_without_programs_is_refused() {
        let error = major_in(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap_err();
        assert!(error.to_string().contains("there is no postgres in"));
    }
}
