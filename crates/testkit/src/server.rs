//! A PostgreSQL of one's own, for tests that crash it: others share the one of the whole run.
//! Leaves the server to its keeper, which `cargo xtask test` names.

#![allow(clippy::disallowed_methods, reason = "tests of the real thing stand outside of the ports")]

use std::io::{BufRead, BufReader, Lines, Write};
use std::process::{Child, ChildStdout, Command, Stdio};

/// Where the keeper is: its program and the directory of the server's programs, on a line each.
const KEEPER: &str = "SWIFTCART_TEST_POSTGRES_KEEPER";

/// A private server; it goes when this is dropped.
#[derive(Debug)]
pub struct PostgresServer {
    /// Where to connect, as a superuser.
    pub url: String,
    keeper: Child,
    answers: Lines<BufReader<ChildStdout>>,
}

impl PostgresServer {
    /// Starts a server and waits until it takes connections.
    ///
    /// # Panics
    /// If there is no keeper, or it starts none.
    #[must_use]
    pub fn start() -> Self {
        let keeper = std::env::var(KEEPER).unwrap_or_else(|_| panic!("{KEEPER} is not set: run cargo xtask test"));
        let (program, servers) = keeper.split_once('\n').expect("the keeper is a program and a directory");
        let mut command = Command::new(program);
        command.args(["keep-postgres", servers]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut keeper = command.spawn().expect("the keeper starts");
        let mut answers = BufReader::new(keeper.stdout.take().expect("its output")).lines();
        let mut line = || answers.next().and_then(Result::ok).expect("the keeper tells of its server");
        let (url, _log) = (line(), line());
        Self { url, keeper, answers }
    }

    /// Kills the server with -9 and waits until it is there again.
    ///
    /// # Panics
    /// If it does not come back.
    pub fn crash(&mut self) {
        self.keeper.stdin.as_mut().expect("its input").write_all(b"crash\n").expect("the keeper listens");
        let answer = self.answers.next().and_then(Result::ok);
        assert_eq!(answer.as_deref(), Some("risen"), "the server is there again");
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        // It may have ended already.
        let _ = self.keeper.wait();
    }
}
