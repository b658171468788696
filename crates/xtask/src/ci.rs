//! The checks that CI makes, for home use, and the test run with its private servers.
//! It leaves the rules of the house to `tests/house` and the servers to `servers`.

use std::ffi::OsString;
use std::process::{Command, ExitStatus, Stdio};

use anyhow::{Context, Result};

use crate::servers::{self, Kind};
use crate::workspace::cargo;

/// A check by a program that cargo does not bring along.
struct Extra {
    program: &'static str,
    args: &'static [&'static str],
}

const EXTRAS: [Extra; 2] = [
    Extra { program: "cargo-deny", args: &["check", "bans", "licenses", "sources"] },
    Extra { program: "cargo-machete", args: &[] },
];

/// What the binary is given in tests and in checks of them, and in no release: the means to die at fail points. With one set of
/// features nothing is built twice.
const FEATURES: &str = "--features=swiftcart/fail-points";

/// Runs every check in turn, cheap ones first, and returns the exit code of the first that fails.
///
/// # Errors
/// When a check does not start.
pub fn run() -> Result<u8> {
    let mut checks = vec![
        ("fmt", with(&["fmt", "--all", "--check"])),
        ("clippy", with(&["clippy", "--workspace", "--all-targets", FEATURES, "--", "-D", "warnings"])),
        ("doc", documented()),
    ];
    checks.extend(EXTRAS.iter().filter_map(present));
    for (name, mut command) in checks {
        announce(name);
        let status = command.status().with_context(|| format!("the check {name} did not start"))?;
        if !status.success() {
            eprintln!("the check {name} failed");
            return Ok(exit_code(status));
        }
    }
    announce("test");
    test(&[])
}

/// Runs the tests of the workspace, those in documentation too, beside private servers, and returns their exit code.
///
/// # Errors
/// When a server or cargo does not start.
pub fn test(args: &[OsString]) -> Result<u8> {
    servers::run_beside(needed(args), cargo().arg("test").args(scope(args)).args(features(args)).args(args))
}

/// Runs so many storms of the crash suite, each from a seed of its own, and returns the exit code.
///
/// # Errors
/// When a server or cargo does not start.
pub fn crash(seeds: u64, first: u64) -> Result<u8> {
    let mut command =
        with(&["test", "-p", "swiftcart", "--features", "fail-points", "--test", "crash", "storms", "--", "--nocapture"]);
    command.env("SWIFTCART_CRASH_SEEDS", seeds.to_string()).env("SWIFTCART_CRASH_FIRST", first.to_string());
    servers::run_beside(&Kind::ALL, &mut command)
}

/// Takes each role of a shop away in turn, tells what went on meanwhile, and returns the exit code.
///
/// # Errors
/// When a server or cargo does not start.
pub fn isolation() -> Result<u8> {
    let mut command = with(&["test", "-p", "swiftcart", "--features", "fail-points", "--test", "story", "a_role_that_is_away"]);
    command.args(["--", "--nocapture"]).env("SWIFTCART_ISOLATION", "all");
    servers::run_beside(&Kind::ALL, &mut command)
}

/// The exit code to pass on for a process that ended; one that a signal ended counts as the shell counts it.
#[must_use]
pub fn exit_code(status: ExitStatus) -> u8 {
    use std::os::unix::process::ExitStatusExt;
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}

/// All packages, unless the arguments choose some.
fn scope(args: &[OsString]) -> Option<&'static str> {
    let chosen = for_cargo(args).any(chooses_package);
    (!chosen).then_some("--workspace")
}

/// Those of the binary, if it is among the packages: cargo refuses features of a package that was not chosen.
fn features(args: &[OsString]) -> Option<&'static str> {
    (scope(args).is_some() || chosen(args, &["swiftcart"])).then_some(FEATURES)
}

/// The servers that the chosen packages need; only a few speak to Kafka.
fn needed(args: &[OsString]) -> &'static [Kind] {
    let all = scope(args).is_some() || chosen(args, &["log", "engine", "testkit", "swiftcart"]);
    if all { &Kind::ALL } else { &[Kind::Postgres] }
}

/// Whether one of `packages` is among those that the arguments choose.
fn chosen(args: &[OsString], packages: &[&str]) -> bool {
    for_cargo(args).any(|arg| packages.contains(&arg.trim_start_matches("--package=").trim_start_matches("-p")))
}

fn for_cargo(args: &[OsString]) -> impl Iterator<Item = &str> {
    args.iter().filter_map(|arg| arg.to_str()).take_while(|arg| *arg != "--")
}

fn chooses_package(arg: &str) -> bool {
    let long = arg == "--package" || arg.starts_with("--package=");
    long || (arg.starts_with("-p") && !arg.starts_with("--"))
}

fn with(args: &[&str]) -> Command {
    let mut command = cargo();
    command.args(args);
    command
}

fn documented() -> Command {
    let mut command = with(&["doc", "--workspace", "--no-deps"]);
    command.env("RUSTDOCFLAGS", "-D warnings");
    command
}

/// The check, if its program is on the path; else a word on what is left out.
fn present(extra: &Extra) -> Option<(&'static str, Command)> {
    let program = extra.program;
    let asked = Command::new(program).arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    if asked.is_err() {
        eprintln!("{program} is left out, for it is not on the path: `cargo install --locked {program}` brings it.");
        return None;
    }
    let mut command = Command::new(program);
    command.args(extra.args);
    Some((program, command))
}

fn announce(check: &str) {
    eprintln!("\n== {check}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_packages_are_tested_unless_some_are_chosen() {
        let scope = |args: &[&str]| scope(&args.iter().map(Into::into).collect::<Vec<_>>());
        assert_eq!(scope(&[]), Some("--workspace"));
        assert_eq!(scope(&["--locked", "--", "-p"]), Some("--workspace"));
        assert_eq!(scope(&["-p", "store"]), None);
        assert_eq!(scope(&["-pstore"]), None);
        assert_eq!(scope(&["--package=store"]), None);
        assert_eq!(scope(&["--profile", "release"]), Some("--workspace"));
    }

    #[test]
    fn the_binary_is_tested_with_its_fail_points() {
        let features = |args: &[&str]| features(&args.iter().map(Into::into).collect::<Vec<_>>());
        for args in [&[][..], &["--locked"], &["-p", "swiftcart"], &["-p", "store", "-pswiftcart"], &["--package=swiftcart"]] {
            assert_eq!(features(args), Some(FEATURES), "{args:?}");
        }
        for args in [&["-p", "store"][..], &["-p", "store", "--", "swiftcart"]] {
            assert_eq!(features(args), None, "{args:?}");
        }
    }

    #[test]
    fn kafka_is_started_for_those_who_speak_to_it() {
        let needed = |args: &[&str]| needed(&args.iter().map(Into::into).collect::<Vec<_>>());
        for args in [&[][..], &["-p", "log"], &["-pengine"], &["-p", "store", "--package=swiftcart"]] {
            assert_eq!(needed(args), Kind::ALL, "{args:?}");
        }
        for args in [&["-p", "store"][..], &["-p", "orders", "--", "log"]] {
            assert_eq!(needed(args), [Kind::Postgres], "{args:?}");
        }
    }

    #[test]
    fn exit_codes_pass_on() {
        let code = |script: &str| exit_code(Command::new("sh").args(["-c", script]).status().unwrap());
        assert_eq!(code("exit 0"), 0);
        assert_eq!(code("exit 101"), 101);
        assert_eq!(code("kill -9 $$"), 137);
    }
}
