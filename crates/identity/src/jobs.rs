//! What identity does again and again: it sweeps away attempts to sign in that are forgotten, so that guessing at
//! addresses does not fill the database. Leaves when an attempt is forgotten to `domain`.

use engine::{Job, JobContext, Lane};
use kernel::{Fault, TraceContext};

use crate::config::Config;
use crate::service::forget_attempts;
use crate::store::attempts_forgotten;

/// How many rows one input sweeps.
const SWEPT_MAX: usize = 500;

/// Identity's jobs.
pub(crate) fn jobs(config: &Config) -> Vec<Job> {
    vec![Job::new("attempts", config.attempts_swept_every_ms, |context| Box::pin(sweep(context)))]
}

async fn sweep(context: JobContext) -> Result<(), Fault> {
    let handle = context.handle;
    let trace = TraceContext::start(&mut handle.runtime().draw());
    loop {
        let accounts = attempts_forgotten(&handle, handle.runtime().now(), SWEPT_MAX as i64).await?;
        let last = accounts.len() < SWEPT_MAX;
        if !accounts.is_empty() {
            handle.decide(Lane::Rest, &trace, move |work| forget_attempts(work, &accounts)).await?;
        }
        if last {
            return Ok(());
        }
    }
}
