//! The worker that carries queued messages to the mailer and brings back what became of each as an input.
//! Leaves when to try again, and when to give up, to `domain::message`. A message that a process sent and did not live to note
//! is sent again, under the same id.

pub(crate) mod mailer;

use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;

use engine::{Handle, Job, Lane};
use futures_util::future::{Either, select};
use futures_util::{FutureExt, StreamExt, stream};
use kernel::{Fault, Millis, TraceContext};

use self::mailer::{Mail, Mailer};
use crate::config::Config;
use crate::domain::message::{Message, Outcome};
use crate::service::{Tried, record};
use crate::store::{MESSAGES_DUE, messages};

/// How many batches one run sends, so that it ends soon when the service is to stop or another process takes over.
const BATCHES_MAX: usize = 20;

/// Its jobs.
pub(crate) fn jobs(config: &Config, mailer: Arc<dyn Mailer>) -> Vec<Job> {
    let post = Arc::new(Post { config: config.clone(), mailer });
    vec![Job::new("send-messages", config.look_ms, move |context| {
        let post = post.clone();
        Box::pin(async move { post.run(&context.handle).await })
    })]
}

/// What the worker works with.
struct Post {
    config: Config,
    mailer: Arc<dyn Mailer>,
}

impl Post {
    async fn run(&self, handle: &Handle) -> Result<(), Fault> {
        for _ in 0..BATCHES_MAX {
            if self.send_batch(handle).await? < self.config.batch_max {
                break;
            }
        }
        Ok(())
    }

    /// Sends what is due, as much as one batch takes, and says how much that was.
    async fn send_batch(&self, handle: &Handle) -> Result<usize, Fault> {
        let limit = i64::try_from(self.config.batch_max).unwrap_or(i64::MAX);
        let due = messages(&handle.read(&MESSAGES_DUE, vec![handle.runtime().now().into(), limit.into()]).await?)?;
        if due.is_empty() {
            return Ok(0);
        }
        let count = due.len();
        let sends =
            due.into_iter().map(|message| try_once(handle.clone(), self.mailer.clone(), message, self.config.send_timeout_ms));
        let tries: Vec<Tried> = stream::iter(sends).buffer_unordered(self.config.sends_at_once_max).collect().await;
        let failures = tries.iter().filter(|tried| tried.outcome != Outcome::Sent).count();
        if failures > 0 {
            tracing::warn!(count, failures, mailer = self.mailer.name(), "messages not sent");
        }
        let (name, limits) = (self.mailer.name(), self.config.clone());
        let trace = TraceContext::start(&mut handle.runtime().draw());
        handle.decide(Lane::Rest, &trace, move |work| record(work, name, &tries, &limits)).await?;
        Ok(count)
    }
}

/// Gives one message to the mailer once. A mailer that panics or does not answer has failed, and may do better next time.
async fn try_once(handle: Handle, mailer: Arc<dyn Mailer>, message: Message, timeout_ms: Millis) -> Tried {
    let (id, attempt) = (message.id, message.tries + 1);
    let Message { recipient, subject, text, .. } = message;
    let failed = |cause: &str| Outcome::Failed { again: true, cause: cause.to_owned() };
    let mail = Mail { id, recipient, subject, text };
    let sending = pin!(AssertUnwindSafe(async { mailer.send(mail).await }).catch_unwind());
    let outcome = match select(sending, handle.runtime().sleep(timeout_ms)).await {
        Either::Left((answered, _)) => answered.unwrap_or_else(|_| failed("the mailer panicked")),
        Either::Right(_) => failed("the mailer did not answer in time"),
    };
    Tried { id, attempt, outcome }
}
