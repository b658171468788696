//! Clean-up of a service's own outbox: what is older than the window in which it may be said again, and has been carried on by
//! whoever does that, goes. Leaves how it goes, and what stays noted of it, to `store`.

use std::sync::Arc;

use kernel::{Fault, Millis, fail_point};
use log::{Outbox, READ_EVENTS_MAX};

use crate::handle::{Handle, fault_of};
use crate::lease::Leadership;
use crate::reader::outbox_of;
use crate::runtime::guarded;
use crate::service::Service;
use crate::subscription::outbox_cursor;
use crate::tables::{Cursor, RelayMark};

/// When events may go.
#[derive(Clone)]
pub struct Trim {
    keep_ms: Millis,
    every_ms: Millis,
    audience: Audience,
    /// Whether they must lie in Kafka, whoever listens.
    to_kafka: bool,
}

/// Who listens to whom in a shop, whether it runs in this process or not.
#[derive(Clone)]
pub struct Audience(Arc<[Listening]>);

/// A service that listens to another.
struct Listening {
    service: &'static str,
    to: &'static str,
    topics: Vec<&'static str>,
}

impl Audience {
    /// Those of `services` that listen to another.
    #[must_use]
    pub fn of(services: &[Service]) -> Self {
        let listening = |service: &Service| {
            let name = service.name;
            let listening = service.subscriptions.iter().map(move |subscription| {
                let topics = subscription.topics.keys().copied().collect();
                Listening { service: name, to: subscription.to, topics }
            });
            listening.collect::<Vec<_>>()
        };
        Self(services.iter().flat_map(listening).collect())
    }
}

impl Trim {
    /// Every `every_ms`, events go that are older than `keep_ms` and that all of `audience` have heard. Who has moved to Kafka
    /// hears what lies there.
    #[must_use]
    pub fn once_heard(keep_ms: Millis, every_ms: Millis, audience: Audience) -> Self {
        Self { keep_ms, every_ms, audience, to_kafka: false }
    }

    /// Every `every_ms`, events go that are older than `keep_ms` and lie in Kafka for certain. Who of `audience` has not moved
    /// there yet must have heard them.
    #[must_use]
    pub fn once_relayed(keep_ms: Millis, every_ms: Millis, audience: Audience) -> Self {
        Self { keep_ms, every_ms, audience, to_kafka: true }
    }

    /// Up to which event, and not beyond `through`, nobody needs `outbox` any more. A cursor stands still where nothing
    /// concerns its service, so what counts is the first event after it that does. Who has never read has heard nothing, but
    /// in a shop on Kafka it never will read here.
    async fn passed(&self, handle: &Handle, outbox: &Outbox, mut through: i64) -> Result<i64, Fault> {
        let mut to_kafka = self.to_kafka;
        for listening in self.audience.0.iter().filter(|listening| listening.to == handle.service) {
            let cursor = handle.find::<Cursor>(&outbox_cursor(listening.service, outbox.source())).await?;
            let heard = match cursor.map(|(cursor, _)| cursor.seq) {
                // It has moved, and left its cursor at the end of all.
                Some(i64::MAX) => {
                    to_kafka = true;
                    continue;
                }
                None if self.to_kafka => continue,
                heard => heard.unwrap_or(0),
            };
            let unheard = outbox.first(&listening.topics, heard, through).await.map_err(fault_of)?;
            through = unheard.map_or(through, |seq| seq - 1);
        }
        if to_kafka {
            let mark = handle.find::<RelayMark>(&(handle.service.to_owned(), outbox.source().to_owned())).await?;
            through = through.min(mark.map_or(0, |(mark, _)| mark.seq));
        }
        Ok(through)
    }

    /// Cleans up while the service's lonely work is ours.
    pub(crate) async fn run(self, handle: Handle, leadership: Leadership) {
        while leadership.held().await.is_some() {
            if let Err(fault) = guarded(self.clean_up(&handle, &leadership)).await {
                tracing::warn!(service = handle.service, %fault, "the outbox was not cleaned up; it will be tried again");
            }
            leadership.pause(self.every_ms).await;
        }
    }

    /// Removes page after page until the oldest event has to stay.
    async fn clean_up(&self, handle: &Handle, leadership: &Leadership) -> Result<(), Fault> {
        let outbox = outbox_of(handle.service, handle).await?;
        while leadership.is_held() {
            let before = handle.runtime.now().plus_ms(-self.keep_ms);
            let old = outbox.said_before(before).await.map_err(fault_of)?;
            let through = self.passed(handle, &outbox, old).await?;
            fail_point("engine.trim-before-removal");
            let page = i64::try_from(READ_EVENTS_MAX).unwrap_or(i64::MAX);
            let removed = handle.store.trim(handle.service, outbox.source(), through, page).await.map_err(fault_of)?;
            fail_point("engine.trim-removed");
            if removed < page {
                return Ok(());
            }
        }
        Ok(())
    }
}
