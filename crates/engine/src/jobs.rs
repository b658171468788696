//! Loops of a service beside its inputs: workers that call the outside, sweeps, makers of slots. One process runs them.
//! Leaves what they do to the services; whatever they learn comes back as an input.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use kernel::{BoxFuture, Fault, Millis};

use crate::handle::Handle;
use crate::lease::Leadership;
use crate::service::Stopping;

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
    name: &'static str,
    every_ms: Millis,
    run: Run,
}

impl Job {
    /// Runs `run` whenever this process has committed a change of the service, and at the latest every `every_ms`. Each run ends by itself.
    #[must_use]
    pub fn new(
        name: &'static str,
        every_ms: Millis,
        run: impl Fn(JobContext) -> BoxFuture<'static, Result<(), Fault>> + Send + Sync + 'static,
    ) -> Self {
        Self { name, every_ms, run: Arc::new(run) }
    }

    /// A run that panics is a defect of that run alone: it is told and the job goes on.
    async fn run_once(&self, context: JobContext) -> Result<(), Fault> {
        let run = AssertUnwindSafe((self.run)(context)).catch_unwind();
        run.await.unwrap_or_else(|_| Err(Fault::internal("the job panicked")))
    }

    pub(crate) async fn repeat(self, handle: Handle, leadership: Leadership, stopping: Stopping) {
        let mut committed = handle.watchers.any();
        while stopping.or(leadership.held()).await.is_some() {
            committed.mark_unchanged();
            let context = JobContext { handle: handle.clone(), lease_epoch: leadership.epoch() };
            if leadership.is_held(&*handle.runtime)
                && let Err(fault) = self.run_once(context).await
            {
                tracing::warn!(service = handle.service, job = self.name, %fault, "job failed; it will run again");
                // A job that fails at once must not spin on the commits of others.
                let _ = stopping.or(handle.runtime.sleep(self.every_ms.min(1000))).await;
            }
            tokio::select! {
                _ = committed.changed() => {}
                () = handle.runtime.sleep(self.every_ms) => {}
                () = stopping.wait() => {}
            }
        }
    }
}
