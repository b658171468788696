//! Going wrong on purpose, around whatever a request does: before it or after it, with an answer, with another, with none.
//! Leaves what goes wrong, and how often, to `domain::faults`.

use std::future::Future;
use std::sync::atomic::Ordering;

use kernel::Fault;
use web::{Answer, StatusCode, json};

use super::Desk;
use crate::domain::faults::Mishap;
use crate::service;

impl Desk {
    /// Does `work`, or not, and answers with what it came to, or not. Whoever has gone away meanwhile hears nothing either.
    pub(super) async fn with_faults(&self, work: impl Future<Output = Result<Answer, Fault>> + Send) -> Result<Answer, Fault> {
        let work = Box::pin(work);
        let faults = service::faults(&self.handle).await?;
        // What is asked for while nothing goes wrong does not move chance on: a test begins where it sets its faults.
        if faults.share_percent == 0 {
            return work.await;
        }
        match faults.of_request(self.asked.fetch_add(1, Ordering::Relaxed)) {
            None => work.await,
            Some(Mishap::Delay) => {
                self.handle.runtime().sleep(faults.delay_ms).await;
                work.await
            }
            Some(Mishap::TimeoutBefore) => self.silence().await,
            Some(Mishap::ErrorBefore) => Ok(error()),
            Some(mishap) => {
                // A refusal has no effect, so there is nothing to lose but its words.
                let _ = work.await;
                match mishap {
                    Mishap::TimeoutAfter => self.silence().await,
                    Mishap::Cut => Ok(Answer::cut()),
                    _ => Ok(error()),
                }
            }
        }
    }

    /// Says nothing for longer than anybody waits, then hangs up.
    pub(super) async fn silence(&self) -> Result<Answer, Fault> {
        self.handle.runtime().sleep(self.config.silence_ms).await;
        Ok(Answer::cut())
    }
}

/// The error that says nothing of what was done. It is none of ours, so no defect is logged.
fn error() -> Answer {
    let detail = "the provider fails on purpose; what was asked for may or may not have been done";
    Answer::json(StatusCode::INTERNAL_SERVER_ERROR, json!({ "type": "about:blank", "status": 500, "detail": detail }))
}
