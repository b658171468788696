//! A tiny HTTP server for the tests of clients: answers come from a function of the request, and may be none at all.
//! Leaves everything of HTTP that those clients do not use.

use std::sync::Arc;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// A request: its path, and its headers in lower case.
#[derive(Debug)]
pub struct Asked {
    /// The method.
    pub method: String,
    /// The path with its query.
    pub path: String,
    headers: String,
}

impl Asked {
    /// The value of a header in lower case; empty if it is not there.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        let mut lines = self.headers.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(found, _)| *found == name).map_or("", |(_, value)| value)
    }
}

/// A status that stands for hanging up without an answer.
pub const HANG_UP: u16 = 0;

/// A status that stands for saying nothing while the connection stays open, as a frozen process does.
pub const SILENCE: u16 = 1;

/// A status that stands for an answer of 200 that stops in the middle of its body.
pub const STALL: u16 = 2;

/// Serves `answer`, which gives a status and a body; says where.
///
/// # Panics
/// If no port is free.
pub async fn serve(answer: impl Fn(&Asked) -> (u16, String) + Send + Sync + 'static) -> String {
    serve_at("127.0.0.1:0", answer).await
}

/// The same at an address that is known before.
///
/// # Panics
/// If it is taken.
#[allow(clippy::disallowed_methods, reason = "a server beside the test")]
pub async fn serve_at(address: &str, answer: impl Fn(&Asked) -> (u16, String) + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind(address).await.expect("a free port");
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
    let mut words = first.split(' ').map(str::to_owned);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let (status, body) = answer(&Asked { method, path, headers: headers.to_lowercase() });
    let head = |status: u16, length: usize| {
        format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}")
    };
    let text = match status {
        HANG_UP => return,
        SILENCE => String::new(),
        STALL => head(200, body.len() + 1),
        status => head(status, body.len()),
    };
    let _ = stream.write_all(text.as_bytes()).await;
    if matches!(status, SILENCE | STALL) {
        // The client hangs up when it has waited enough.
        let _ = stream.read_line(&mut first).await;
    }
}
