//! A proxy in front of PostgreSQL that cuts a connection at the one moment that matters: COMMIT is done, and nobody was told.
//! Leaves the protocol alone but for the message that says so.

#![allow(clippy::disallowed_methods, reason = "tests of the real thing stand outside of the ports")]

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// How the server says that COMMIT is done: the message `CommandComplete` with its tag.
const COMMITTED: &[u8] = b"C\0\0\0\x0bCOMMIT\0";

/// A proxy for one server.
#[derive(Debug)]
pub struct Cutter {
    /// The URL that leads through it.
    pub url: String,
    armed: Arc<AtomicBool>,
}

impl Cutter {
    /// A proxy in front of the server at `url`; it passes everything until it is armed.
    ///
    /// # Panics
    /// If `url` names no host and port, or no port is free.
    pub async fn before(url: &str) -> Self {
        let (scheme, rest) = url.split_once("://").expect("a URL has a scheme");
        let (user, rest) = rest.split_once('@').expect("the URL names a user");
        let (address, path) = rest.split_once('/').expect("the URL names a database");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let port = listener.local_addr().expect("what listens has an address").port();
        let armed = Arc::new(AtomicBool::new(false));
        tokio::spawn(accept(listener, address.to_owned(), Arc::clone(&armed)));
        Self { url: format!("{scheme}://{user}@127.0.0.1:{port}/{path}"), armed }
    }

    /// From now on the next commit that succeeds is not told to its client, whose connection is cut instead.
    pub fn arm(&self) {
        self.armed.store(true, Ordering::SeqCst);
    }

    /// Whether the cut is still to come.
    #[must_use]
    pub fn armed(&self) -> bool {
        self.armed.load(Ordering::SeqCst)
    }
}

async fn accept(listener: TcpListener, server: String, armed: Arc<AtomicBool>) {
    while let Ok((client, _)) = listener.accept().await {
        let (server, armed) = (server.clone(), Arc::clone(&armed));
        tokio::spawn(async move {
            let Ok(server) = TcpStream::connect(server).await else { return };
            // Whatever ends first ends both directions: that is the cut.
            let _ = pass(client, server, &armed).await;
        });
    }
}

async fn pass(client: TcpStream, server: TcpStream, armed: &AtomicBool) -> io::Result<()> {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let up = tokio::io::copy(&mut from_client, &mut to_server);
    let down = async {
        let mut bytes = vec![0; 64 * 1_024];
        // The message may come in two pieces.
        let mut tail = Vec::new();
        loop {
            let count = from_server.read(&mut bytes).await?;
            if count == 0 {
                return Ok(());
            }
            tail.extend_from_slice(&bytes[..count]);
            let committed = tail.windows(COMMITTED.len()).any(|window| window == COMMITTED);
            if committed && armed.swap(false, Ordering::SeqCst) {
                return Ok(());
            }
            to_client.write_all(&bytes[..count]).await?;
            tail.drain(..tail.len().saturating_sub(COMMITTED.len() - 1));
        }
    };
    tokio::select! { end = up => end.map(drop), end = down => end }
}
