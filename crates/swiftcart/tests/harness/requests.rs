//! Requests to whoever listens at an address, each on a connection of its own.
//! Leaves who is asked, and what, to others.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

/// How long an answer may take: whoever is frozen is not waited for for ever.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);

/// One request; `None` if nobody is there or goes away meanwhile.
pub(crate) fn request(address: &str, method: &str, path: &str, headers: &str, body: &str) -> Option<(u16, Value)> {
    request_of(address, "application/json", method, path, headers, body)
}

/// Sends a filled-in form, as a browser does.
pub(crate) fn send_form(address: &str, path: &str, form: &str) -> Option<(u16, Value)> {
    request_of(address, "application/x-www-form-urlencoded", "POST", path, "", form)
}

/// One request, with the answer as text.
pub(crate) fn text_of(address: &str, path: &str, headers: &str) -> Option<String> {
    exchange(address, "text/plain", "GET", path, headers, "").map(|(_, text)| text)
}

fn request_of(address: &str, kind: &str, method: &str, path: &str, headers: &str, body: &str) -> Option<(u16, Value)> {
    let (status, text) = exchange(address, kind, method, path, headers, body)?;
    Some((status, serde_json::from_str(&text).unwrap_or(Value::Null)))
}

fn exchange(address: &str, kind: &str, method: &str, path: &str, headers: &str, body: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(ANSWER_WITHIN)).ok()?;
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
