//! A server of the real binary in a directory of its own, and the other commands against it.
//! Leaves what is expected of them to the stories.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};

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

/// A shop as a process.
pub(crate) struct Server {
    child: Child,
    address: String,
    data: PathBuf,
    arguments: Vec<String>,
}

impl Server {
    /// Starts a shop with its data in `data`, and waits until it says that it is open.
    pub(crate) fn start(data: &Path, arguments: &[&str]) -> Self {
        Self::start_at(free_address(), data, arguments)
    }

    /// The same at an address that somebody knows already.
    pub(crate) fn start_at(address: String, data: &Path, arguments: &[&str]) -> Self {
        let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let child = open(data, &address, &arguments);
        Self { child, address, data: data.to_owned(), arguments }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn logins(&self) -> PathBuf {
        self.data.join("logins.json")
    }

    /// Kills it as a power cut would, and starts it again at the same address.
    pub(crate) fn kill_and_restart(&mut self) {
        self.child.kill().expect("kill -9");
        self.child.wait().expect("its end");
        self.child = open(&self.data, &self.address, &self.arguments);
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

fn open(data: &Path, address: &str, arguments: &[String]) -> Child {
    let mut command = swiftcart();
    command.arg("serve").arg("--data").arg(data).args(["--listen", address]).args(arguments);
    opened(command, "SwiftCart is open at").0
}

/// A process of `command` that has said `word`, and all that it said until then.
fn opened(mut command: Command, word: &str) -> (Child, String) {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("the server starts");
    let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
    let mut said = String::new();
    let open = lines.by_ref().map_while(Result::ok).any(|line| {
        said = format!("{said}{line}\n");
        line.starts_with(word)
    });
    assert!(open, "the server ended before it was open: {:?}", child.wait());
    // What it says later must not fill the pipe.
    std::thread::Builder::new().spawn(move || lines.map_while(Result::ok).for_each(drop)).expect("a thread");
    (child, said)
}

/// One request to any address; `None` if nobody is there or goes away meanwhile.
fn request(address: &str, method: &str, path: &str, headers: &str, body: &str) -> Option<(u16, Value)> {
    let mut stream = TcpStream::connect(address).ok()?;
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: shop\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n{headers}\r\n"
    );
    stream.write_all(head.as_bytes()).ok()?;
    stream.write_all(body.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let status = answer.split(' ').nth(1)?.parse().ok()?;
    let text = answer.split_once("\r\n\r\n")?.1;
    Some((status, serde_json::from_str(text).unwrap_or(Value::Null)))
}

/// The payment provider as a process.
pub(crate) struct Bank {
    child: Child,
    address: String,
    data: PathBuf,
    arguments: Vec<String>,
    /// What it said until it was open.
    pub(crate) said: String,
}

impl Bank {
    /// Starts a provider with its books in `data` that tells the shop at `shop` of changes.
    pub(crate) fn start(data: &Path, shop: &str, arguments: &[&str]) -> Self {
        let url = format!("http://{shop}/v1/webhooks/sandbox");
        let arguments = ["--webhook-url", &url].iter().chain(arguments).map(|argument| (*argument).to_owned()).collect();
        let (address, data) = (free_address(), data.to_owned());
        let (child, said) = Self::open(&data, &address, &arguments);
        Self { child, address, data, arguments, said }
    }

    fn open(data: &Path, address: &str, arguments: &Vec<String>) -> (Child, String) {
        let mut command = swiftcart();
        command.arg("sandbox-provider").arg("--data").arg(data).args(["--listen", address]).args(arguments);
        opened(command, "The sandbox provider is open at")
    }

    /// The settings with which a shop pays through it.
    pub(crate) fn settings(&self) -> PathBuf {
        self.data.join("provider.toml")
    }

    /// Kills it as a power cut would, and starts it again at the same address.
    pub(crate) fn kill_and_restart(&mut self) {
        self.child.kill().expect("kill -9");
        self.child.wait().expect("its end");
        (self.child, self.said) = Self::open(&self.data, &self.address, &self.arguments);
    }

    /// The sums of its books, as whoever holds `key` reads them.
    pub(crate) fn books(&self, key: &str) -> (u16, Value) {
        let header = format!("Sandbox-Key: {key}\r\n");
        request(&self.address, "GET", "/sandbox/v1/books", &header, "").expect("the provider answers")
    }
}

impl Drop for Bank {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
