//! One Kafka server in a directory of its own: formatted, started, stopped, removed.
//! It leaves the question when to stop to the keeper in `servers`.

use std::fs::read_to_string;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::servers::Server as _;
use crate::servers::home::{Home, free_port, tail};

/// Ports are found by asking the system for free ones, which another process may take before the server does.
const STARTS_MAX: u32 = 5;

/// A machine that needs longer has another trouble.
const START_MAX_SECONDS: u64 = 120;

const POLL_INTERVAL_MS: u64 = 20;

/// What the server logs when its broker is registered, unfenced and listens.
const STARTED: &str = "Kafka Server started";

/// Any 16 bytes in base64 do: each cluster has a directory of its own.
const CLUSTER: &str = "SwiftcartSwiftcart0000";

/// Small, and quick to start rather than quick in the long run.
const JAVA_OPTIONS: [&str; 9] = [
    "-Xms256m",
    "-Xmx512m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:-UsePerfData",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.log.kafka.server.KafkaRaftServer=info",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
];

/// A running server. It is stopped by `stop` only; its directory goes in any case.
#[derive(Debug)]
pub(in crate::servers) struct Server {
    cluster: Cluster,
    process: Child,
    port: u16,
}

impl Server {
    /// Formats a directory, starts the server on it and waits until it is ready.
    ///
    /// # Errors
    /// When a step fails; the message ends with the server's log.
    pub(super) fn start(java: &Path, jars: &Path) -> Result<Self> {
        let mut reason = String::new();
        for _ in 0..STARTS_MAX {
            let port = free_port()?;
            let cluster = Cluster::make(java, jars, port)?;
            let process = cluster.spawn()?;
            let mut server = Self { cluster, process, port };
            if server.wait_until_ready(0)? {
                return Ok(server);
            }
            reason = tail(&server.log());
        }
        bail!("Kafka ended {STARTS_MAX} times before it was ready; its log:\n{reason}")
    }

    /// Waits until the server says in its log, from a place on, that it has started, or has ended (`false`).
    ///
    /// A connection would not tell whose server answers, nor whether its broker is registered.
    fn wait_until_ready(&mut self, from: usize) -> Result<bool> {
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(START_MAX_SECONDS) {
            if self.process.try_wait().context("Kafka cannot be waited for")?.is_some() {
                return Ok(false);
            }
            if read_to_string(self.log()).is_ok_and(|log| log.get(from..).is_some_and(|log| log.contains(STARTED))) {
                return Ok(true);
            }
            sleep(Duration::from_millis(POLL_INTERVAL_MS));
        }
        self.kill()?;
        bail!("Kafka was not ready after {START_MAX_SECONDS} seconds; its log:\n{}", tail(&self.log()))
    }

    fn kill(&mut self) -> Result<()> {
        self.process.kill().context("Kafka cannot be killed")?;
        self.process.wait().context("Kafka cannot be waited for")?;
        Ok(())
    }
}

impl crate::servers::Server for Server {
    fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    fn log(&self) -> PathBuf {
        self.cluster.home.log()
    }

    fn sole_process(&self) -> Option<u32> {
        Some(self.process.id())
    }

    fn crash(mut self) -> Result<Self> {
        self.kill()?;
        let logged = read_to_string(self.log()).context("the log of Kafka cannot be read")?.len();
        self.process = self.cluster.spawn()?;
        ensure!(self.wait_until_ready(logged)?, "Kafka did not come back; its log:\n{}", tail(&self.log()));
        Ok(self)
    }

    fn stop(mut self) -> Result<()> {
        self.kill()
    }
}

/// What a server runs on: its directory, Java, and the directory of Kafka's jars.
#[derive(Debug)]
struct Cluster {
    home: Home,
    java: PathBuf,
    jars: PathBuf,
}

impl Cluster {
    fn make(java: &Path, jars: &Path, port: u16) -> Result<Self> {
        let home = Home::make(&std::env::temp_dir(), "kafka")?;
        let cluster = Self { home, java: java.to_owned(), jars: jars.to_owned() };
        std::fs::write(cluster.settings(), settings(port, free_port()?)).context("cannot write the settings of Kafka")?;
        let mut command = cluster.command("kafka.tools.StorageTool")?;
        command.args(["format", "--standalone", "--cluster-id", CLUSTER, "--config"]).arg(cluster.settings());
        let status = command.status().with_context(|| format!("{} did not start", java.display()))?;
        ensure!(status.success(), "Kafka's directory cannot be formatted; its log:\n{}", tail(&cluster.home.log()));
        Ok(cluster)
    }

    fn settings(&self) -> PathBuf {
        self.home.path.join("kafka.properties")
    }

    /// A program of Kafka that runs here.
    fn command(&self, class: &str) -> Result<Command> {
        let mut command = Command::new(&self.java);
        command.args(JAVA_OPTIONS).arg("-cp").arg(self.jars.join("*")).arg(class).current_dir(&self.home.path);
        command.stdin(Stdio::null()).stdout(self.home.open_log()?).stderr(self.home.open_log()?);
        Ok(command)
    }

    fn spawn(&self) -> Result<Child> {
        self.command("kafka.Kafka")?.arg(self.settings()).spawn().context("Kafka did not start")
    }
}

/// A broker that is its own controller. A short session lets it come back soon after a crash, for it must first be taken for
/// dead; the cleaner's buffer, large by default, has nothing to hold here.
fn settings(port: u16, controller: u16) -> String {
    format!(
        "\
process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
inter.broker.listener.name=PLAINTEXT
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs=data
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
log.cleaner.dedupe.buffer.size=4194304
num.network.threads=2
num.io.threads=4
"
    )
}
