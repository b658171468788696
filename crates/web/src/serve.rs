//! Listens: accepts connections up to a limit, speaks HTTP/1.1 on each, and on shutdown lets what is under way end, within a bound.
//! Leaves the requests to the router, TLS and HTTP/2 to the proxy in front, and tasks and time to the runtime.

use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::Request;
use futures_util::future::{Either, select};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use kernel::{Millis, Runtime};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tower::ServiceExt;

/// How long to rest after the operating system refused a connection for want of something, as file descriptors.
const ACCEPT_PAUSE_MS: Millis = 1000;

/// How much the head of a request may hold; hyper answers more with 431.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// Bounds of what a listener keeps open.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ServeLimits {
    /// Connections at once; one more waits in the operating system's queue, unread.
    pub connections_max: usize,
    /// How long a connection may take to send the head of its next request.
    pub head_ms_max: Millis,
    /// How long requests under way may take to end after the shutdown began.
    pub drain_ms_max: Millis,
}

impl Default for ServeLimits {
    fn default() -> Self {
        Self { connections_max: 8192, head_ms_max: 30_000, drain_ms_max: 20_000 }
    }
}

/// From where a request came: an extension of each request that was served.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ClientAddress(pub IpAddr);

/// How serving ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Drained {
    /// Every request under way was answered.
    Whole,
    /// The bound passed first; the connections still open were cut.
    Cut,
}

/// How a connection is to go on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    Draining,
    Cut,
}

/// Serves `router` on `listener` until `shutdown` ends, then drains.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    runtime: Arc<dyn Runtime>,
    limits: ServeLimits,
    shutdown: impl Future<Output = ()> + Send,
) -> Drained {
    let (phase, watcher) = watch::channel(Phase::Open);
    let server = Server { router, runtime: runtime.clone(), limits, places: Arc::new(Semaphore::new(limits.connections_max)) };
    select(pin!(shutdown), pin!(server.accept_all(&listener, watcher))).await;
    // Whoever connects from now on is refused by the operating system and goes elsewhere.
    drop((listener, server));
    let _ = phase.send(Phase::Draining);
    // Every connection holds a receiver, so the channel is closed when the last one has ended.
    if let Either::Left(_) = select(pin!(phase.closed()), runtime.sleep(limits.drain_ms_max)).await {
        return Drained::Whole;
    }
    let _ = phase.send(Phase::Cut);
    phase.closed().await;
    Drained::Cut
}

struct Server {
    router: Router,
    runtime: Arc<dyn Runtime>,
    limits: ServeLimits,
    places: Arc<Semaphore>,
}

impl Server {
    async fn accept_all(&self, listener: &TcpListener, phase: watch::Receiver<Phase>) {
        loop {
            let Ok(place) = self.places.clone().acquire_owned().await else { return };
            match listener.accept().await {
                Ok((stream, address)) => self.start(stream, ClientAddress(address.ip()), phase.clone(), place),
                Err(error) if is_of_the_peer(&error) => {}
                Err(error) => {
                    tracing::error!(%error, "a connection could not be accepted");
                    self.runtime.sleep(ACCEPT_PAUSE_MS).await;
                }
            }
        }
    }

    fn start(&self, stream: TcpStream, client: ClientAddress, phase: watch::Receiver<Phase>, place: OwnedSemaphorePermit) {
        // Small answers must not wait for more to send; a socket that refuses this is merely slower.
        let _ = stream.set_nodelay(true);
        let head_time_max = Duration::from_millis(u64::try_from(self.limits.head_ms_max).unwrap_or_default());
        let router = self.router.clone();
        self.runtime.spawn(
            "connection",
            Box::pin(async move {
                converse(stream, router, client, head_time_max, phase).await;
                drop(place);
            }),
        );
    }
}

async fn converse(
    stream: TcpStream,
    router: Router,
    client: ClientAddress,
    head_time_max: Duration,
    mut phase: watch::Receiver<Phase>,
) {
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(client);
        router.clone().oneshot(request)
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(head_time_max).max_buf_size(HEAD_BYTES_MAX);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    loop {
        let now = *phase.borrow_and_update();
        match now {
            Phase::Open => {}
            Phase::Draining => connection.as_mut().graceful_shutdown(),
            Phase::Cut => return,
        }
        match select(connection.as_mut(), pin!(phase.changed())).await {
            Either::Left((Err(error), _)) => {
                tracing::trace!(%error, "a connection ended badly");
                return;
            }
            Either::Left((Ok(()), _)) | Either::Right((Err(_), _)) => return,
            Either::Right((Ok(()), _)) => {}
        }
    }
}

/// Whether the peer gave up while it was being accepted, which is no trouble of ours.
fn is_of_the_peer(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset)
}
