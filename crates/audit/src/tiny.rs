//! A tiny HTTP server and a runtime for the tests of `audit` and `load`: answers come from a function of the request.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use kernel::{BoxFuture, Draw, Millis, Runtime, Timestamp};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// Real tasks and waits; the clock is the sum of the waits, and chance always the same.
#[derive(Default)]
pub(crate) struct TestRuntime(Mutex<Millis>);

#[allow(clippy::disallowed_methods, reason = "this is the port that everybody else goes through")]
impl Runtime for TestRuntime {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(*self.0.lock().expect("a clock"))
    }

    fn draw(&self) -> Draw {
        Draw::seeded(1)
    }

    fn spawn(&self, _: &'static str, task: BoxFuture<'static, ()>) {
        tokio::spawn(task);
    }

    /// A hundredth as long as asked for.
    fn sleep(&self, ms: Millis) -> BoxFuture<'static, ()> {
        *self.0.lock().expect("a clock") += ms;
        let short = Duration::from_millis(u64::try_from(ms / 100).unwrap_or_default());
        Box::pin(async move {
            let _ = tokio::time::timeout(short, std::future::pending::<()>()).await;
        })
    }
}

/// A request: its path, and its headers in lower case.
pub(crate) struct Asked {
    pub(crate) path: String,
    headers: String,
}

impl Asked {
    /// The value of a header in lower case; empty if it is not there.
    pub(crate) fn header(&self, name: &str) -> &str {
        let mut lines = self.headers.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(found, _)| *found == name).map_or("", |(_, value)| value)
    }
}

/// A status that stands for hanging up without an answer.
pub(crate) const HANG_UP: u16 = 0;

/// Serves `answer`, which gives a status and a body; says where.
#[allow(clippy::disallowed_methods, reason = "a server beside the test")]
pub(crate) async fn serve(answer: impl Fn(&Asked) -> (u16, String) + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let answer = Arc::new(answer);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let answer = answer.clone();
            tokio::spawn(async move { converse(stream, &*answer).await });
        }
    });
    url
}

async fn converse(stream: TcpStream, answer: &(impl Fn(&Asked) -> (u16, String) + Sync)) {
    let mut stream = BufReader::new(stream);
    let mut first = String::new();
    if stream.read_line(&mut first).await.is_err() {
        return;
    }
    let mut headers = String::new();
    while !headers.ends_with("\r\n\r\n") && headers != "\r\n" {
        if stream.read_line(&mut headers).await.unwrap_or(0) == 0 {
            return;
        }
    }
    let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
    let (status, body) = answer(&Asked { path, headers: headers.to_lowercase() });
    if status == HANG_UP {
        return;
    }
    let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
    let _ = stream.write_all((head + &body).as_bytes()).await;
}
