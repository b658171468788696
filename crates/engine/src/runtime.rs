//! The real world behind the port: tokio's tasks and sleep, the system's clock and the process's chance.
//! Leaves simulated worlds to the simulation.

use std::any::Any;
use std::collections::hash_map::RandomState;
use std::future::Future;
use std::hash::{BuildHasher, Hasher};
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::FutureExt;
use kernel::{BoxFuture, Draw, Fault, Millis, Runtime, Timestamp};

/// tokio and the operating system.
#[derive(Debug, Default)]
pub struct TokioRuntime {
    draws: AtomicU64,
    keys: RandomState,
}

impl TokioRuntime {
    /// The world as it is.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn word(&self, draw: u64, index: u64) -> u64 {
        // SipHash keyed by the operating system's chance, over a counter: ids differ between processes and within one.
        let mut hasher = self.keys.build_hasher();
        hasher.write_u64(draw);
        hasher.write_u64(index);
        hasher.finish()
    }
}

#[allow(clippy::disallowed_methods, reason = "this is the port that everybody else goes through")]
impl Runtime for TokioRuntime {
    fn now(&self) -> Timestamp {
        let micros = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros());
        Timestamp::from_micros(i64::try_from(micros).unwrap_or(i64::MAX))
    }

    fn draw(&self) -> Draw {
        let draw = self.draws.fetch_add(1, Ordering::Relaxed);
        Draw::new(std::array::from_fn(|index| self.word(draw, index as u64)))
    }

    fn spawn(&self, name: &'static str, task: BoxFuture<'static, ()>) {
        tracing::trace!(task = name, "spawned");
        tokio::spawn(task);
    }

    fn sleep(&self, ms: Millis) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(Duration::from_millis(u64::try_from(ms).unwrap_or_default())))
    }
}

/// What `future` gives; a panic in it is one more failure, so that whoever loops goes on.
pub(crate) async fn guarded<T>(future: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
    AssertUnwindSafe(future).catch_unwind().await.unwrap_or_else(|panic| Err(Fault::internal(panic_text(&*panic))))
}

pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    format!("a panic: {}", text.unwrap_or("without words"))
}
