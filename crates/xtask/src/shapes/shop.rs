//! One shop in one shape: its processes, started on free ports with a directory of their own, gone with it.
//! Leaves its database and its Kafka to `servers`, and what is asked of it to `shapes`.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::servers::home::{Home, free_port};

/// Who has a process of their own where roles have.
const ROLES: [&str; 7] = ["identity", "catalog", "orders", "inventory", "payments", "delivery", "notifications"];

/// How long a shop may take to have its sample.
const READY_MAX: Duration = Duration::from_secs(120);
const LOOK: Duration = Duration::from_millis(50);

/// Which processes a shop has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// So many that are alike.
    Alike(usize),
    /// One for each role, and a gateway.
    Roles,
}

/// A running shop.
pub(super) struct Shop {
    binary: PathBuf,
    processes: Vec<Child>,
    /// Where shoppers come in.
    urls: Vec<String>,
    /// Its directory, which goes last.
    home: Home,
}

impl Shop {
    /// Starts a shop and waits until its sample is made.
    pub(super) fn start(binary: &Path, layout: Layout, database: Option<&str>, kafka: Option<&str>) -> Result<Self> {
        let home = Home::make(&std::env::temp_dir(), "shape")?;
        let mut shop = Self { binary: binary.to_owned(), processes: Vec::new(), urls: Vec::new(), home };
        let ports = (0..ROLES.len()).map(|_| free_port()).collect::<Result<Vec<u16>>>()?;
        let config = shop.home.path.join("shop.toml");
        std::fs::write(&config, settings(layout, database, kafka, &ports)).context("the settings cannot be written")?;
        if let Some(database) = database {
            shop.run(&["migrate", "--database", database])?;
        }
        if kafka.is_some() {
            shop.run(&["topics", "ensure", "--config", &config.display().to_string()])?;
        }
        match layout {
            Layout::Alike(count) => {
                for number in 0..count {
                    let port = free_port()?;
                    shop.spawn(&config, number, port, None)?;
                    shop.urls.push(url(port));
                }
            }
            Layout::Roles => {
                for (number, (role, port)) in ROLES.into_iter().zip(ports).enumerate() {
                    shop.spawn(&config, number + 1, port, Some(role))?;
                }
                let port = free_port()?;
                shop.spawn(&config, 0, port, Some("gateway"))?;
                shop.urls.push(url(port));
            }
        }
        shop.until_ready()?;
        Ok(shop)
    }

    /// The processes.
    pub(super) fn ids(&self) -> Vec<u32> {
        self.processes.iter().map(Child::id).collect()
    }

    /// Runs `load` with these arguments against the shop, and gives its figures.
    pub(super) fn load(&self, arguments: &[&str]) -> Result<serde_json::Value> {
        let figures = self.home.path.join("figures.json");
        let mut command = self.command();
        command.arg("load").args(arguments).arg("--logins").arg(self.logins()).arg("--json").arg(&figures);
        for url in &self.urls {
            command.args(["--url", url]);
        }
        done(&mut command)?;
        let text = std::fs::read_to_string(&figures).context("the load has left no figures")?;
        serde_json::from_str(&text).context("the figures are no JSON")
    }

    /// Whether everything is as it should be, by the audit.
    pub(super) fn audit(&self) -> Result<()> {
        done(self.command().args(["audit", "--quiescent", "--url", &self.urls[0], "--logins"]).arg(self.logins()))
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.binary);
        command.current_dir(&self.home.path).stdin(Stdio::null());
        command
    }

    fn run(&self, arguments: &[&str]) -> Result<()> {
        done(self.command().args(arguments))
    }

    fn data(&self, number: usize) -> PathBuf {
        self.home.path.join(number.to_string())
    }

    fn logins(&self) -> PathBuf {
        self.data(0).join("logins.json")
    }

    fn spawn(&mut self, config: &Path, number: usize, port: u16, role: Option<&str>) -> Result<()> {
        let mut command = self.command();
        command.arg("serve").arg("--config").arg(config).arg("--data").arg(self.data(number));
        command.args(["--listen", &format!("127.0.0.1:{port}")]).stdout(Stdio::piped());
        command.args(role.iter().flat_map(|role| ["--role", role]));
        let mut child = command.spawn().context("a process of the shop did not start")?;
        let output = child.stdout.take().context("a process of the shop has no output")?;
        self.processes.push(child);
        let mut lines = BufReader::new(output).lines().map_while(Result::ok);
        ensure!(lines.any(|line| line.starts_with("SwiftCart is open")), "a process of the shop ended before it was open");
        // What it says later has a reader, too.
        std::thread::spawn(move || lines.for_each(drop));
        Ok(())
    }

    fn until_ready(&self) -> Result<()> {
        let began = Instant::now();
        while !self.logins().exists() {
            ensure!(began.elapsed() < READY_MAX, "the sample shop was not made within {} s", READY_MAX.as_secs());
            sleep(LOOK);
        }
        Ok(())
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        for process in &mut self.processes {
            // It may have ended already.
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

fn url(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

fn settings(layout: Layout, database: Option<&str>, kafka: Option<&str>, ports: &[u16]) -> String {
    let mut text = String::from("[server]\ninternal_key = \"the-key-of-this-shop\"\n");
    // A string takes whatever is written to it.
    let _ = database.map(|database| writeln!(text, "database = \"{database}\""));
    if let Some(kafka) = kafka {
        let _ = writeln!(text, "[log]\nkind = \"kafka\"\n[kafka]\nservers = \"{kafka}\"");
    }
    if layout == Layout::Roles {
        text += "[peers]\n";
        for (role, port) in ROLES.iter().zip(ports) {
            let _ = writeln!(text, "{role} = [\"{}\"]", url(*port));
        }
    }
    text
}

/// Runs a command whose words are only wanted if it fails.
fn done(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("{} did not start", command.get_program().display()))?;
    let told = || format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "{:?} failed:\n{}", command.get_args().collect::<Vec<_>>(), told());
    Ok(())
}
