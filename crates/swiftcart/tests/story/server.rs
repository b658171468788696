//! A server of the real binary in a directory of its own, and the other commands against it.
//! Leaves what is expected of them to the stories.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;

/// The binary under test.
pub(crate) fn swiftcart() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_swiftcart"));
    command.env("SWIFTCART__SERVER__LOG", "warn");
    command
}

/// A free port: taken and let go again, so that a server that is killed can come back to it.
pub(crate) fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address").to_string()
}

/// A watch that looks often enough to meet a story while it happens.
const AWAKE: [(&str, &str); 4] = [
    ("SWIFTCART__AUDIT__PAGE_PAUSE_MS", "20"),
    ("SWIFTCART__AUDIT__SHARE_MAX_PERCENT", "20"),
    ("SWIFTCART__AUDIT__INSTANTS_EVERY_MS", "200"),
    ("SWIFTCART__AUDIT__SWEEP_EVERY_MS", "500"),
];

/// The baskets that come with the program.
pub(crate) fn baskets() -> String {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../examples/baskets.csv").display().to_string()
}

/// Everything that a command said.
pub(crate) fn said(output: &Output) -> String {
    format!("{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A shop as a process.
pub(crate) struct Server {
    child: Child,
    /// Whether it was open when it was last started.
    pub(crate) open: bool,
    /// Disconnected when the process has ended.
    alive: Receiver<()>,
    address: String,
    data: PathBuf,
    arguments: Vec<String>,
    log: Log,
}

/// What a server has told on its standard error output, through all its lives.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    /// Keeps what comes, and tells it on.
    fn keep(&self, said: ChildStderr) {
        let log = self.clone();
        let kept = std::thread::Builder::new().spawn(move || {
            for line in BufReader::new(said).lines().map_while(Result::ok) {
                eprintln!("{line}");
                log.0.lock().expect("the log").push(line);
            }
        });
        kept.expect("a thread");
    }
}

impl Server {
    /// Starts a shop with its data in `data`, and waits until it says that it is open.
    pub(crate) fn start(data: &Path, arguments: &[&str]) -> Self {
        let server = Self::try_start(free_address(), data, arguments, &[]);
        assert!(server.open, "the server ended before it was open");
        server
    }

    /// Starts a shop at `address` with this environment, and waits until it is open or has ended.
    pub(crate) fn try_start(address: String, data: &Path, arguments: &[&str], environment: &[(String, String)]) -> Self {
        let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let environment: Vec<(&str, &str)> = environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let log = Log::default();
        let (child, alive) = spawn(data, &address, &arguments, &environment, &log);
        let (open, alive) = (alive.is_some(), alive.unwrap_or_else(|| channel().1));
        Self { child, open, alive, address, data: data.to_owned(), arguments, log }
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn logins(&self) -> PathBuf {
        self.data.join("logins.json")
    }

    /// Kills it as a power cut would, and starts it again at the same address.
    pub(crate) fn kill_and_restart(&mut self) {
        assert!(self.restart_with(&[]), "the server ended before it was open");
    }

    /// Kills it, unless it is dead already, and starts it again with more environment. Says whether it was open before it
    /// ended, if it has.
    pub(crate) fn restart_with(&mut self, environment: &[(&str, &str)]) -> bool {
        // It may have ended already.
        let _ = self.child.kill();
        self.child.wait().expect("its end");
        let (child, alive) = spawn(&self.data, &self.address, &self.arguments, environment, &self.log);
        (self.child, self.open) = (child, alive.is_some());
        self.alive = alive.unwrap_or_else(|| channel().1);
        self.open
    }

    /// What it has told, in any of its lives, that holds all of `words`.
    pub(crate) fn told(&self, words: &[&str]) -> Vec<String> {
        let log = self.log.0.lock().expect("the log");
        log.iter().filter(|line| words.iter().all(|word| line.contains(word))).cloned().collect()
    }

    /// Waits until it has ended by itself; says whether it did within the time.
    pub(crate) fn ends_within(&self, seconds: u64) -> bool {
        self.alive.recv_timeout(Duration::from_secs(seconds)) == Err(std::sync::mpsc::RecvTimeoutError::Disconnected)
    }

    /// Sends it a signal, as `STOP`.
    pub(crate) fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args(["-s", signal, &self.child.id().to_string()]).status().expect("the command kill");
        assert!(sent.success());
    }

    /// Asks it to stop, as a supervisor would, and waits for its end.
    pub(crate) fn stop(mut self) -> ExitStatus {
        let asked = Command::new("kill").arg(self.child.id().to_string()).status().expect("the command kill");
        assert!(asked.success());
        self.child.wait().expect("its end")
    }

    /// `load` with these arguments against this server and `others`.
    pub(crate) fn load(&self, others: &[&Self], arguments: &[&str]) -> Output {
        let mut command = swiftcart();
        command.arg("load").args(arguments).arg("--logins").arg(self.logins());
        for server in [self].iter().chain(others) {
            command.arg("--url").arg(server.url());
        }
        command.stdin(Stdio::null()).output().expect("load runs")
    }

    /// The quiescent audit, as JSON, and whether it was content.
    pub(crate) fn audit(&self) -> (Value, bool) {
        let mut command = swiftcart();
        command.args(["audit", "--quiescent", "--json", "--url", &self.url(), "--logins"]).arg(self.logins());
        let output = command.output().expect("audit runs");
        let report = serde_json::from_slice(&output.stdout);
        let report = report.unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
        (report, output.status.success())
    }

    /// The admin's token.
    pub(crate) fn admin_token(&self) -> String {
        let logins: Value = serde_json::from_slice(&std::fs::read(self.logins()).expect("logins")).expect("logins are JSON");
        let body = serde_json::json!({ "email": logins["admin"]["email"], "password": logins["admin"]["password"] }).to_string();
        let (status, answer) = self.request("POST", "/v1/sign-in", "", &body).expect("sign-in is answered");
        assert_eq!(status, 200, "{answer}");
        answer["token"].as_str().expect("a token").to_owned()
    }

    /// One request; `None` if the server is not there or goes away meanwhile.
    pub(crate) fn request(&self, method: &str, path: &str, headers: &str, body: &str) -> Option<(u16, Value)> {
        request(&self.address, method, path, headers, body)
    }

    /// What is read at `path`, as text; `None` as for [`Server::request`].
    pub(crate) fn text(&self, path: &str, headers: &str) -> Option<String> {
        exchange(&self.address, "application/json", "GET", path, headers, "").map(|(_, text)| text)
    }

    /// How many orders there are, as far as the server answers.
    pub(crate) fn orders(&self, token: &str) -> usize {
        let mut count = 0;
        let mut after = String::new();
        loop {
            let path = format!("/v1/admin/audit/orders/facts?limit=100{after}");
            let Some((200, page)) = self.request("GET", &path, &format!("Authorization: Bearer {token}\r\n"), "") else {
                return count;
            };
            count += page["items"].as_array().map_or(0, Vec::len);
            match page["next"].as_str() {
                Some(next) => after = format!("&after={next}"),
                None => return count,
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One request to whoever listens at `address`; `None` if nobody does or they go away meanwhile.
pub(crate) fn request(address: &str, method: &str, path: &str, headers: &str, body: &str) -> Option<(u16, Value)> {
    request_of(address, "application/json", method, path, headers, body)
}

/// Sends a filled-in form, as a browser does.
pub(crate) fn send_form(address: &str, path: &str, form: &str) -> Option<(u16, Value)> {
    request_of(address, "application/x-www-form-urlencoded", "POST", path, "", form)
}

fn request_of(address: &str, kind: &str, method: &str, path: &str, headers: &str, body: &str) -> Option<(u16, Value)> {
    let (status, text) = exchange(address, kind, method, path, headers, body)?;
    Some((status, serde_json::from_str(&text).unwrap_or(Value::Null)))
}

fn exchange(address: &str, kind: &str, method: &str, path: &str, headers: &str, body: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(address).ok()?;
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: shop\r\nConnection: close\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n{headers}\r\n"
    );
    stream.write_all(head.as_bytes()).ok()?;
    stream.write_all(body.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let status = answer.split(' ').nth(1)?.parse().ok()?;
    Some((status, answer.split_once("\r\n\r\n")?.1.to_owned()))
}

/// Brings the PostgreSQL at `url` up to date.
pub(crate) fn migrate(url: &str) {
    let output = swiftcart().args(["migrate", "--database", url]).output().expect("migrate runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Starts a server and waits until it is open or has ended. What comes with it tells its end; `None` if that came first.
fn spawn(
    data: &Path,
    address: &str,
    arguments: &[String],
    environment: &[(&str, &str)],
    log: &Log,
) -> (Child, Option<Receiver<()>>) {
    let mut command = swiftcart();
    command.arg("serve").arg("--data").arg(data).args(["--listen", address]).args(arguments);
    command.envs(AWAKE).envs(environment.iter().copied());
    let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the server starts");
    log.keep(child.stderr.take().expect("its log"));
    let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
    let open = lines.by_ref().map_while(Result::ok).any(|line| line.starts_with("SwiftCart is open at"));
    if !open {
        return (child, None);
    }
    let (end, alive) = channel();
    // What it says later must not fill the pipe, which closes when it has ended, however.
    let drained = std::thread::Builder::new().spawn(move || {
        lines.map_while(Result::ok).for_each(drop);
        drop(end);
    });
    drained.expect("a thread");
    (child, Some(alive))
}
