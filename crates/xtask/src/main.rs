//! The command line of the chores: `cargo xtask COMMAND`.
//! It leaves doing them to the library.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use xtask::servers::{self, Kind};
use xtask::{ci, fail_points, loc, shapes};

const HELP: &str = "\
The chores of this repository.

Usage: cargo xtask COMMAND

Commands:
  test [-- ARGS]         Run the tests of the workspace beside a private PostgreSQL and Kafka.
                         ARGS go to `cargo test`; with `-p CRATE` only that crate is tested.
  crash [--seeds N] [--first S]
                         Kill, freeze and cut off a shop under load, one storm for each of N seeds
                         (10 unless told) from S (1 unless told) on.
  isolation              Kill and freeze each role of a shop in turn, and tell what went on meanwhile.
  shapes [--orders N]    Measure a shop in every shape under the same load of N orders (1000 unless
                         told), as it is released: needs minutes, and the machine to itself.
  postgres               Start a private PostgreSQL, print its address, and keep it until Ctrl-C
                         or the end of input.
  postgres -- COMMAND…   Run COMMAND beside a private PostgreSQL and pass its exit code on.
  kafka [-- COMMAND…]    The same with a private Apache Kafka.
  servers [-- COMMAND…]  The same with both.
  ci                     Run all that CI checks: formatting, lints, documentation, dependencies, tests.
  fail-points            List the fail points of all crates, one a line.
  loc                    Count the lines of code of every crate, without tests, comments, blanks.
  help                   Print this.

A private server lives in a fresh directory on free ports of 127.0.0.1 and goes when its command
ends. PostgreSQL's address is in SWIFTCART_TEST_DATABASE_URL and SWIFTCART_DATABASE_URL, that of
Kafka in SWIFTCART_TEST_KAFKA.
PostgreSQL's programs are looked for on the path and where distributions put them. Kafka needs a
Java 17 or newer; Maven fetches Kafka itself, once, into ~/.cache/swiftcart. What is not there
apt-get installs, if root rights take no password. SWIFTCART_TEST_PG_BIN, JAVA_HOME and
SWIFTCART_TEST_KAFKA_JARS name other directories.

Examples:
  cargo xtask test
  cargo xtask test -- -p store batch -- --nocapture
  cargo xtask crash --seeds 50
  cargo xtask postgres -- sh -c 'psql \"$SWIFTCART_DATABASE_URL\"'
";

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
enum Request {
    Help,
    Test(Vec<OsString>),
    Crash { seeds: u64, first: u64 },
    Isolation,
    Shapes { orders: usize },
    Serve(&'static [Kind], Vec<OsString>),
    Keep(Kind, Vec<PathBuf>),
    Ci,
    FailPoints,
    Loc,
}

fn main() -> ExitCode {
    let args = std::env::args_os().skip(1).collect();
    match parse(args) {
        Ok(request) => match run(request) {
            Ok(code) => code.into(),
            Err(error) => {
                eprintln!("error: {error:#}");
                ExitCode::FAILURE
            }
        },
        Err(complaint) => {
            eprintln!("error: {complaint}\n\n`cargo xtask help` tells what there is.");
            ExitCode::from(2)
        }
    }
}

fn run(request: Request) -> Result<u8> {
    match request {
        Request::Help => print!("{HELP}"),
        Request::Test(args) => return ci::test(&args),
        Request::Crash { seeds, first } => return ci::crash(seeds, first),
        Request::Isolation => return ci::isolation(),
        Request::Shapes { orders } => shapes::run(orders)?,
        Request::Serve(kinds, command) => return servers::serve(kinds, &command),
        Request::Keep(kind, programs) => servers::keep(kind, &programs)?,
        Request::Ci => return ci::run(),
        Request::FailPoints => fail_points::all()?.iter().for_each(|point| println!("{}", point.name)),
        Request::Loc => print!("{}", loc::report()?),
    }
    Ok(0)
}

fn parse(mut args: Vec<OsString>) -> Result<Request, String> {
    if args.is_empty() {
        return Err("a command is missing".to_owned());
    }
    let command = args.remove(0);
    if args.first().is_some_and(asks_for_help) {
        return Ok(Request::Help);
    }
    match command.to_str() {
        Some("test") => Ok(Request::Test(trailing("test", args)?)),
        Some("crash") => storms(&args),
        Some("isolation") => alone("isolation", &args, Request::Isolation),
        Some("shapes") => orders(&args),
        Some("postgres") => Ok(Request::Serve(&[Kind::Postgres], trailing("postgres", args)?)),
        Some("kafka") => Ok(Request::Serve(&[Kind::Kafka], trailing("kafka", args)?)),
        Some("servers") => Ok(Request::Serve(&Kind::ALL, trailing("servers", args)?)),
        Some("ci") => alone("ci", &args, Request::Ci),
        Some("fail-points") => alone("fail-points", &args, Request::FailPoints),
        Some("loc") => alone("loc", &args, Request::Loc),
        Some(servers::KEEPER) => keeper(args),
        Some("help") => alone("help", &args, Request::Help),
        _ if asks_for_help(&command) => Ok(Request::Help),
        _ => Err(format!("there is no command `{}`", command.display())),
    }
}

fn asks_for_help(arg: &OsString) -> bool {
    arg == "--help" || arg == "-h"
}

/// How many storms, and from which seed on.
fn storms(args: &[OsString]) -> Result<Request, String> {
    let (mut seeds, mut first) = (10, 1);
    numbers("crash", args, &mut [("--seeds", &mut seeds), ("--first", &mut first)])?;
    Ok(Request::Crash { seeds, first })
}

/// How many orders each shape is measured with.
fn orders(args: &[OsString]) -> Result<Request, String> {
    let mut orders = 1000;
    numbers("shapes", args, &mut [("--orders", &mut orders)])?;
    let orders = usize::try_from(orders).ok().filter(|orders| *orders > 0);
    orders.map(|orders| Request::Shapes { orders }).ok_or_else(|| "`--orders` needs a number above 0".to_owned())
}

/// Reads options with a number each.
fn numbers(command: &str, args: &[OsString], options: &mut [(&str, &mut u64)]) -> Result<(), String> {
    for pair in args.chunks(2) {
        let place = options.iter_mut().find(|(name, _)| pair[0] == *name);
        let (name, place) = place.ok_or_else(|| format!("`{command}` does not know `{}`", pair[0].display()))?;
        let number = pair.get(1).and_then(|value| value.to_str()).and_then(|value| value.parse().ok());
        **place = number.ok_or_else(|| format!("`{name}` needs a number"))?;
    }
    Ok(())
}

/// Which server is to be kept, and where its programs are.
fn keeper(args: Vec<OsString>) -> Result<Request, String> {
    let mut args = args.into_iter();
    let word = args.next().unwrap_or_default();
    let kind = Kind::ALL.into_iter().find(|kind| word == kind.word());
    let kind = kind.ok_or_else(|| format!("there is no server `{}` to keep", word.display()))?;
    Ok(Request::Keep(kind, args.map(Into::into).collect()))
}

/// What stands after `--`.
fn trailing(command: &str, mut args: Vec<OsString>) -> Result<Vec<OsString>, String> {
    match args.first() {
        None => Ok(args),
        Some(first) if first == "--" => Ok(args.split_off(1)),
        Some(first) => Err(format!("`{command}` does not know `{}`; what is to be passed on stands after `--`", first.display())),
    }
}

fn alone(command: &str, args: &[OsString], request: Request) -> Result<Request, String> {
    match args.first() {
        None => Ok(request),
        Some(first) => Err(format!("`{command}` takes no arguments, but got `{}`", first.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Request, String> {
        parse(words(line))
    }

    fn words(line: &str) -> Vec<OsString> {
        line.split_whitespace().map(Into::into).collect()
    }

    #[test]
    fn commands_are_read() {
        assert_eq!(read("test"), Ok(Request::Test(vec![])));
        assert_eq!(read("test -- -p store -- --nocapture"), Ok(Request::Test(words("-p store -- --nocapture"))));
        assert_eq!(read("postgres -- psql -h x"), Ok(Request::Serve(&[Kind::Postgres], words("psql -h x"))));
        assert_eq!(read("kafka"), Ok(Request::Serve(&[Kind::Kafka], vec![])));
        assert_eq!(read("servers"), Ok(Request::Serve(&Kind::ALL, vec![])));
        assert_eq!(read("keep kafka java jars"), Ok(Request::Keep(Kind::Kafka, vec!["java".into(), "jars".into()])));
        assert_eq!(read("crash"), Ok(Request::Crash { seeds: 10, first: 1 }));
        assert_eq!(read("crash --first 7 --seeds 3"), Ok(Request::Crash { seeds: 3, first: 7 }));
        assert_eq!(read("isolation"), Ok(Request::Isolation));
        assert_eq!(read("shapes"), Ok(Request::Shapes { orders: 1000 }));
        assert_eq!(read("shapes --orders 50"), Ok(Request::Shapes { orders: 50 }));
        assert_eq!(read("ci"), Ok(Request::Ci));
        assert_eq!(read("fail-points"), Ok(Request::FailPoints));
        assert_eq!(read("loc"), Ok(Request::Loc));
        for line in ["help", "--help", "-h", "test --help", "ci -h"] {
            assert_eq!(read(line), Ok(Request::Help), "{line}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (line, complaint) in [
            ("", "missing"),
            ("tset", "`tset`"),
            ("test -p store", "after `--`"),
            ("loc all", "`all`"),
            ("crash 5", "`5`"),
            ("keep zookeeper", "`zookeeper`"),
            ("crash --seeds", "a number"),
            ("shapes --orders 0", "a number"),
        ] {
            assert!(read(line).is_err_and(|told| told.contains(complaint)), "{line}");
        }
    }
}
