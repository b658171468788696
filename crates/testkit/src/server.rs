//! Servers for tests: the Kafka of the whole run, and servers of one's own for tests that crash or freeze them.
//! Leaves the servers to their keepers, which `cargo xtask test` names.

#![allow(clippy::disallowed_methods, reason = "tests of the real thing stand outside of the ports")]

use std::io::{BufRead, BufReader, Lines, Write};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::SystemTime;

/// Where the Kafka for tests is.
const KAFKA: &str = "SWIFTCART_TEST_KAFKA";

/// Where the keepers are: a program and its arguments, on a line each.
const POSTGRES_KEEPER: &str = "SWIFTCART_TEST_POSTGRES_KEEPER";
const KAFKA_KEEPER: &str = "SWIFTCART_TEST_KAFKA_KEEPER";

static PREFIXES: AtomicU32 = AtomicU32::new(0);

/// The address of the Kafka that tests share; each names its topics with a prefix of its own.
///
/// # Panics
/// If there is none.
#[must_use]
pub fn kafka() -> String {
    std::env::var(KAFKA).unwrap_or_else(|_| panic!("there is no Kafka for tests ({KAFKA} is not set): run cargo xtask test"))
}

/// A prefix for topics and groups that nobody else has used.
#[must_use]
pub fn topic_prefix() -> String {
    // Numbers of processes come again.
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_micros());
    format!("test-{}-{}-{since}.", std::process::id(), PREFIXES.fetch_add(1, Ordering::Relaxed))
}

/// A private PostgreSQL; it goes when this is dropped.
#[derive(Debug)]
pub struct PostgresServer {
    /// Where to connect, as a superuser.
    pub url: String,
    keeper: Keeper,
}

impl PostgresServer {
    /// Starts a server and waits until it takes connections.
    ///
    /// # Panics
    /// If there is no keeper, or it starts none.
    #[must_use]
    pub fn start() -> Self {
        let (keeper, url) = Keeper::start(POSTGRES_KEEPER);
        Self { url, keeper }
    }

    /// Kills the server with -9 and waits until it is there again.
    ///
    /// # Panics
    /// If it does not come back.
    pub fn crash(&mut self) {
        self.keeper.ask("crash");
    }
}

/// A private Kafka; it goes when this is dropped.
#[derive(Debug)]
pub struct KafkaServer {
    /// Its host and port.
    pub address: String,
    keeper: Keeper,
}

impl KafkaServer {
    /// Starts a server and waits until its broker serves.
    ///
    /// # Panics
    /// If there is no keeper, or it starts none.
    #[must_use]
    pub fn start() -> Self {
        let (keeper, address) = Keeper::start(KAFKA_KEEPER);
        Self { address, keeper }
    }

    /// Kills the server with -9 and waits until it is there again.
    ///
    /// # Panics
    /// If it does not come back.
    pub fn crash(&mut self) {
        self.keeper.ask("crash");
    }

    /// Stops the server in its tracks, with connections open, until [`KafkaServer::thaw`].
    ///
    /// # Panics
    /// If it has ended.
    pub fn freeze(&mut self) {
        self.keeper.ask("freeze");
    }

    /// Lets a frozen server go on.
    ///
    /// # Panics
    /// If it has ended.
    pub fn thaw(&mut self) {
        self.keeper.ask("thaw");
    }
}

/// Holds a server until its input closes.
#[derive(Debug)]
struct Keeper {
    process: Child,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Keeper {
    /// A keeper, and where its server is.
    fn start(variable: &str) -> (Self, String) {
        let command = std::env::var(variable).unwrap_or_else(|_| panic!("{variable} is not set: run cargo xtask test"));
        let mut words = command.lines();
        let mut command = Command::new(words.next().expect("the keeper is a program"));
        command.args(words).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().expect("the keeper starts");
        let mut answers = BufReader::new(process.stdout.take().expect("its output")).lines();
        let mut line = || answers.next().and_then(Result::ok).expect("the keeper tells of its server");
        let (address, _log) = (line(), line());
        (Self { process, answers }, address)
    }

    /// Has something done to the server, and waits until it is done.
    fn ask(&mut self, word: &str) {
        writeln!(self.process.stdin.as_mut().expect("its input"), "{word}").expect("the keeper listens");
        let answer = self.answers.next().and_then(Result::ok);
        assert_eq!(answer.as_deref(), Some("done"), "the keeper does what {word} asks");
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        // It may have ended already.
        let _ = self.process.wait();
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::TcpStream;
    use std::time::Duration;

    use super::*;

    /// A connection that has asked what the broker can do: a request of nothing but its header.
    fn asked(address: &str) -> TcpStream {
        let mut stream = TcpStream::connect(address).unwrap();
        let (api_versions, version, correlation, no_client) = (18_u16, 0_u16, 7_u32, u16::MAX);
        let header =
            [&api_versions.to_be_bytes()[..], &version.to_be_bytes(), &correlation.to_be_bytes(), &no_client.to_be_bytes()];
        let request = header.concat();
        stream.write_all(&u32::try_from(request.len()).unwrap().to_be_bytes()).unwrap();
        stream.write_all(&request).unwrap();
        stream
    }

    /// Whether the answer comes, which repeats the number of the request, within so many milliseconds.
    fn answers(mut stream: TcpStream, within_ms: u64) -> bool {
        stream.set_read_timeout(Some(Duration::from_millis(within_ms))).unwrap();
        let mut answer = [0; 8];
        stream.read_exact(&mut answer).is_ok() && answer[4..] == 7_u32.to_be_bytes()
    }

    #[test]
    fn a_kafka_of_ones_own_crashes_and_freezes() {
        let mut kafka = KafkaServer::start();
        assert!(answers(asked(&kafka.address), 10_000));
        kafka.crash();
        assert!(answers(asked(&kafka.address), 10_000));
        kafka.freeze();
        let waiting = asked(&kafka.address);
        assert!(!answers(waiting.try_clone().unwrap(), 300));
        kafka.thaw();
        assert!(answers(waiting, 10_000));
    }

    #[test]
    fn prefixes_differ() {
        assert_ne!(topic_prefix(), topic_prefix());
    }
}
