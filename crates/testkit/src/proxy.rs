//! A proxy in front of PostgreSQL that fails at the moments that matter: COMMIT is done and nobody was told; or the server
//! holds a row and the client has frozen in mid-sentence. Leaves the protocol alone but for these two messages.

#![allow(clippy::disallowed_methods, reason = "tests of the real thing stand outside of the ports")]

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

/// How the server says that COMMIT is done: the message `CommandComplete` with its tag.
const COMMITTED: &[u8] = b"C\0\0\0\x0bCOMMIT\0";

/// How a client ends what it sends in one flight: the message `Sync`.
const SYNC: &[u8] = b"S\0\0\0\x04";

/// A proxy for one server.
#[derive(Debug)]
pub struct Proxy {
    /// The URL that leads through it.
    pub url: String,
    faults: Arc<Faults>,
}

#[derive(Debug, Default)]
struct Faults {
    cut: AtomicBool,
    freeze: AtomicBool,
}

impl Proxy {
    /// A proxy in front of the server at `url`, which must name a user, a host with its port and a database.
    ///
    /// # Panics
    /// If it does not, or no port is free.
    pub async fn before(url: &str) -> Self {
        let (user, rest) = url.split_once('@').expect("the URL names a user");
        let (address, database) = rest.split_once('/').expect("the URL names a database");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let port = listener.local_addr().expect("what listens has an address").port();
        let faults = Arc::new(Faults::default());
        tokio::spawn(accept(listener, address.to_owned(), Arc::clone(&faults)));
        Self { url: format!("{user}@127.0.0.1:{port}/{database}"), faults }
    }

    /// The next commit that succeeds is not told to its client: the connection is cut instead.
    pub fn cut_after_commit(&self) {
        self.faults.cut.store(true, Ordering::SeqCst);
    }

    /// The next flight of messages reaches the server without its end, and so does nothing after it on that connection.
    pub fn freeze_before_sync(&self) {
        self.faults.freeze.store(true, Ordering::SeqCst);
    }
}

async fn accept(listener: TcpListener, server: String, faults: Arc<Faults>) {
    while let Ok((client, _)) = listener.accept().await {
        let (server, faults) = (server.clone(), Arc::clone(&faults));
        tokio::spawn(async move {
            let Ok(server) = TcpStream::connect(server).await else { return };
            let (from_client, to_client) = client.into_split();
            let (from_server, to_server) = server.into_split();
            // Whatever ends first ends both directions: that is the cut.
            let _ = tokio::select! {
                ended = pass_up(from_client, to_server, &faults.freeze) => ended,
                ended = pass_down(from_server, to_client, &faults.cut) => ended,
            };
        });
    }
}

async fn pass_up(mut client: OwnedReadHalf, mut server: OwnedWriteHalf, freeze: &AtomicBool) -> io::Result<()> {
    let mut bytes = vec![0; 64 * 1_024];
    loop {
        let count = client.read(&mut bytes).await?;
        let flight = &bytes[..count];
        if count == 0 {
            return Ok(());
        }
        match flight.strip_suffix(SYNC) {
            Some(unfinished) if freeze.swap(false, Ordering::SeqCst) => {
                server.write_all(unfinished).await?;
                // The client stays connected and says nothing more until it goes.
                while client.read(&mut bytes).await? > 0 {}
                return Ok(());
            }
            _ => server.write_all(flight).await?,
        }
    }
}

async fn pass_down(mut server: OwnedReadHalf, mut client: OwnedWriteHalf, cut: &AtomicBool) -> io::Result<()> {
    let mut bytes = vec![0; 64 * 1_024];
    // The end of what was passed before, for the message may come in two pieces.
    let mut seen = Vec::new();
    loop {
        let count = server.read(&mut bytes).await?;
        if count == 0 {
            return Ok(());
        }
        seen.extend_from_slice(&bytes[..count]);
        let committed = seen.windows(COMMITTED.len()).any(|window| window == COMMITTED);
        if committed && cut.swap(false, Ordering::SeqCst) {
            return Ok(());
        }
        client.write_all(&bytes[..count]).await?;
        seen.drain(..seen.len().saturating_sub(COMMITTED.len() - 1));
    }
}
