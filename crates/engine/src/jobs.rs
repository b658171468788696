//! Loops of a service beside its inputs: workers that call the outside, sweeps, makers of slots. One process runs them.
//! Leaves what they do to the services; whatever they learn comes back as an input.

use std::sync::Arc;

use kernel::{BoxFuture, Fault, Millis, fail_point};
use log::Wakes;

use crate::handle::Handle;
use crate::lease::Leadership;
use crate::runtime::guarded;

/// The longest pause after a run that failed.
const FAILED_PAUSE_MS: Millis = 1000;

type Run = Arc<dyn Fn(JobContext) -> BoxFuture<'static, Result<(), Fault>> + Send + Sync>;

/// What a run of a job works with.
#[derive(Clone)]
pub struct JobContext {
    /// The door to the service's executor and reads.
    pub handle: Handle,
    /// The how-manieth holder of the service's lease this run belongs to.
    pub lease_epoch: i64,
}

/// Something that is done again and again.
#[derive(Clone)]
pub struct Job {
    pub(crate) name: &'static str,
    every_ms: Millis,
    on_commit: bool,
    pub(crate) run: Run,
}

impl Job {
    /// Runs `run` whenever this process has committed a change of the service or another one an event of it, and at the
    /// latest every `every_ms`.
    /// Each run ends by itself.
    #[must_use]
    pub fn new(
        name: &'static str,
        every_ms: Millis,
        run: impl Fn(JobContext) -> BoxFuture<'static, Result<(), Fault>> + Send + Sync + 'static,
    ) -> Self {
        Self { name, every_ms, on_commit: true, run: Arc::new(run) }
    }

    /// Runs `run` every `every_ms`.
    #[must_use]
    pub fn every(
        name: &'static str,
        every_ms: Millis,
        run: impl Fn(JobContext) -> BoxFuture<'static, Result<(), Fault>> + Send + Sync + 'static,
    ) -> Self {
        Self { on_commit: false, ..Self::new(name, every_ms, run) }
    }

    pub(crate) async fn repeat(self, handle: Handle, leadership: Leadership, wakes: Wakes) {
        let (mut committed, mut said) = (handle.watchers.any(), wakes.of(handle.service));
        while let Some(lease_epoch) = leadership.held().await {
            committed.mark_unchanged();
            said.mark_unchanged();
            let context = JobContext { handle: handle.clone(), lease_epoch };
            fail_point("engine.job-before-run");
            let ran = guarded((self.run)(context)).await;
            fail_point("engine.job-after-run");
            if let Err(fault) = ran {
                tracing::warn!(service = handle.service, job = self.name, %fault, "job failed; it will run again");
                // A job that fails at once must not spin on the commits of others.
                leadership.pause(self.every_ms.min(FAILED_PAUSE_MS)).await;
            }
            tokio::select! {
                biased;
                _ = committed.changed(), if self.on_commit => {}
                _ = said.changed(), if self.on_commit => {}
                () = leadership.pause(self.every_ms) => {}
            }
        }
    }
}
