//! The sender of webhooks, which carries each change of an intent to the shop until it is taken or given up; and the timers.
//! Leaves what is kept of a try, and what a timer does, to `service`. A webhook that was sent and not noted is sent again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use engine::{Handle, Job, Lane, TimerKind, Work};
use futures_util::future::{Either, select};
use futures_util::{StreamExt, stream};
use kernel::{BoxFuture, Fault, Millis, Runtime, TraceContext};
use web::{Peer, PeerAsk, TRACEPARENT, json};

use crate::config::Config;
use crate::domain::faults::{Faults, Mishap};
use crate::domain::signature::{SIGNATURE_HEADER, sign};
use crate::service::{self, DISPUTE, EXPIRE, LAPSE, Sent, record};
use crate::store::{WEBHOOKS_DUE, Webhook, loaded};

/// How many webhooks are taken up, and their outcomes kept, in one go.
const BATCH_MAX: usize = 64;
/// How many are on their way at once.
const AT_ONCE_MAX: usize = 16;
/// How many batches one run sends, so that it ends soon when the provider is to stop.
const BATCHES_MAX: usize = 20;
/// How many delays a webhook is late.
const LATE_DELAYS: Millis = 10;

/// Whom the provider tells of changes.
#[derive(Clone, Debug)]
pub struct Webhooks {
    /// Who hears them.
    pub peer: Peer,
    /// At which path.
    pub path: String,
}

/// The timers of the provider.
pub(crate) fn timers(config: &Config) -> Vec<TimerKind> {
    let timer = |kind: &'static str| {
        let config = config.clone();
        TimerKind::new(kind, move |work, id| service::fire(work, id, &config, kind))
    };
    [EXPIRE, LAPSE, DISPUTE].map(timer).into()
}

/// The jobs of the provider.
pub(crate) fn jobs(config: &Config, webhooks: Webhooks) -> Vec<Job> {
    let sender = Arc::new(Sender { config: config.clone(), webhooks, sent: AtomicU64::new(0) });
    let run = move |context: engine::JobContext| -> BoxFuture<'static, Result<(), Fault>> {
        let sender = sender.clone();
        Box::pin(async move { sender.run(&context.handle).await })
    };
    vec![Job::new("send-webhooks", config.webhook_look_ms, run)]
}

struct Sender {
    config: Config,
    webhooks: Webhooks,
    /// How many were sent so far, for chance.
    sent: AtomicU64,
}

impl Sender {
    async fn run(&self, handle: &Handle) -> Result<(), Fault> {
        for _ in 0..BATCHES_MAX {
            if self.send_batch(handle).await? < BATCH_MAX {
                break;
            }
        }
        Ok(())
    }

    /// Sends what is due, as much as one batch takes, and says how much that was.
    async fn send_batch(&self, handle: &Handle) -> Result<usize, Fault> {
        let limit = i64::try_from(BATCH_MAX).unwrap_or(i64::MAX);
        let rows = handle.read(&WEBHOOKS_DUE, vec![handle.runtime().now().into(), limit.into()]).await?;
        let due: Vec<Webhook> = loaded(&rows)?;
        // Nothing can be due before the secrets were made, but it may be before they are there in this process.
        let Some(secret) = service::webhook_secret(handle).await?.filter(|_| !due.is_empty()) else { return Ok(0) };
        let faults = service::faults(handle).await?;
        let count = due.len();
        let tries = due.into_iter().map(|webhook| self.try_once(handle.runtime(), webhook, &secret, &faults));
        let tries: Vec<BoxFuture<'_, (String, Sent)>> = tries.collect();
        let tries: Vec<(String, Sent)> = stream::iter(tries).buffer_unordered(AT_ONCE_MAX).collect().await;
        kernel::fail_point("sandbox.webhooks-sent");
        let (trace, config) = (TraceContext::start(&mut handle.runtime().draw()), self.config.clone());
        let keep = move |work: &mut Work<'_>| record(work, &tries, &config);
        let given_up = handle.decide(Lane::Rest, &trace, keep).await?;
        if given_up > 0 {
            tracing::warn!(given_up, to = ?self.webhooks, "webhooks were not taken and are given up");
        }
        Ok(count)
    }

    fn try_once<'a>(
        &'a self,
        runtime: &'a Arc<dyn Runtime>,
        webhook: Webhook,
        secret: &'a str,
        faults: &'a Faults,
    ) -> BoxFuture<'a, (String, Sent)> {
        let mishap = faults.of_webhook(self.sent.fetch_add(1, Ordering::Relaxed));
        Box::pin(async move {
            let later = |ms| Sent::HeldBack(runtime.now().plus_ms(ms));
            let sent = match mishap {
                Some(Mishap::WebhookLost) => Sent::Gone,
                Some(Mishap::WebhookLate) if !webhook.held_back => later(faults.delay_ms * LATE_DELAYS),
                Some(Mishap::WebhookReordered) if !webhook.held_back => later(faults.delay_ms),
                Some(Mishap::WebhookBadSignature) => self.send(runtime, &webhook, "another secret").await,
                Some(Mishap::WebhookTwice) => {
                    self.send(runtime, &webhook, secret).await;
                    self.send(runtime, &webhook, secret).await
                }
                _ => self.send(runtime, &webhook, secret).await,
            };
            (webhook.id, sent)
        })
    }

    /// Sends a webhook once, signed with `secret`.
    async fn send(&self, runtime: &Arc<dyn Runtime>, webhook: &Webhook, secret: &str) -> Sent {
        let Webhook { id, intent, reference, made_at, traceparent, .. } = webhook;
        let body = json!({ "id": id, "kind": "intent.changed", "intent": intent, "reference": reference, "at": made_at });
        let body = body.to_string().into_bytes();
        let signature = sign(secret, runtime.now(), &body);
        let mut headers = vec![("content-type", "application/json".to_owned()), (SIGNATURE_HEADER, signature)];
        headers.extend(traceparent.iter().map(|trace| (TRACEPARENT, trace.clone())));
        let ask = PeerAsk { method: "POST", path: self.webhooks.path.clone(), headers, body };
        let asking = Box::pin(self.webhooks.peer.ask(ask));
        match select(asking, runtime.sleep(self.config.webhook_timeout_ms)).await {
            Either::Left((Ok(answer), _)) if (200..300).contains(&answer.status) => Sent::Gone,
            Either::Left((answer, _)) => {
                tracing::debug!(id, ?answer, "a webhook was not taken");
                Sent::Failed
            }
            Either::Right(_) => Sent::Failed,
        }
    }
}
