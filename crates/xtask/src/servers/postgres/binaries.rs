//! Finds the server programs of PostgreSQL on this machine, or installs them where a package manager lets us.
//! It leaves running them to `server`.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::servers::{matching, on_path, packages};

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
pub(in crate::servers) fn find_or_install() -> Result<PathBuf> {
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
    beside_path().filter(serves).or_else(|| {
        let places = PLACES.iter().flat_map(|place| matching(place));
        places.filter(serves).max_by_key(|dir| major_in(dir).unwrap_or(0))
    })
}

/// The directory of the `postgres` on the path, where its links lead.
fn beside_path() -> Option<PathBuf> {
    Some(on_path("postgres")?.canonicalize().ok()?.parent()?.to_owned())
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
    ensure!(packages::installable(), "there is no PostgreSQL {MAJOR_MIN} or newer on this machine: {}", advice());
    eprintln!("There is no PostgreSQL {MAJOR_MIN} or newer on this machine: installing the package `postgresql` with apt-get.");
    packages::install(&["postgresql"]).with_context(advice)
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
    fn a_directory_without_programs_is_refused() {
        let error = major_in(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap_err();
        assert!(error.to_string().contains("there is no postgres in"));
    }
}
