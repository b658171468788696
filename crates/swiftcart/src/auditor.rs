//! The audit as a part of the program: which process watches, and as whom it asks. Leaves what is looked at to `audit`.

use std::sync::Arc;

use audit::Watch;
use engine::{Job, Service};
use kernel::Runtime;
use web::{InternalKey, Peer, Router};

/// The service whose lease says which process watches: every other one knows its orders by what it says.
pub(crate) const BESIDE: &str = "orders";

/// Puts a watch among the jobs of one of `services`, unless the settings want none or that service is elsewhere. It sees nothing
/// until it is connected.
pub(crate) fn join(services: &mut [Service], config: &audit::Config, runtime: &Arc<dyn Runtime>) -> Option<Watch> {
    let service = services.iter_mut().find(|service| config.watch && service.name == BESIDE)?;
    let watch = Watch::new(runtime.clone(), config.clone());
    let watcher = watch.clone();
    service.jobs.push(Job::every("audit", watch.step_every_ms(), move |_| {
        let watch = watcher.clone();
        Box::pin(async move {
            watch.step().await;
            Ok(())
        })
    }));
    Some(watch)
}

/// Lets `watch` ask the whole shop behind `router` as one of its own processes.
pub(crate) fn connect(watch: &Watch, router: Router, key: InternalKey) {
    watch.connect(Peer::local(router), Arc::new(move || Ok(key.token().to_owned())));
}
