//! The audit as a part of the program: which process watches, and as whom it asks. Leaves what is looked at to `audit`.

use std::sync::Arc;

use audit::Watch;
use engine::{Job, Service};
use kernel::{Id, Millis, Runtime};
use web::{Grant, Keyring, Peer, Person, Role, Router, SigningKey};

/// The service whose lease says which process watches: every other one knows its orders by what it says.
const BESIDE: &str = "orders";

/// How long a token of the watch lives; each read has its own.
const TOKEN_TTL_MS: Millis = 60_000;

/// Puts a watch among the jobs of one of `services`, unless the settings want none. It sees nothing until it is connected.
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

/// Lets `watch` ask this process as an admin: by a key that it makes now, keeps to itself, and that nobody else trusts.
pub(crate) fn connect(
    watch: &Watch,
    router: &Router,
    keyring: &Keyring,
    runtime: &Arc<dyn Runtime>,
) -> Result<(), kernel::Fault> {
    let key = SigningKey::generate()?;
    keyring.insert(key.public());
    let grants = vec![Grant { role: Role::Admin, store: None }];
    let person = Person { id: Id::first_of(runtime.now()), name: "the audit of this process".to_owned(), grants };
    let clock = runtime.clone();
    let token = move || key.sign(&person, clock.now(), TOKEN_TTL_MS);
    watch.connect(Peer::local(router.clone()), Arc::new(token));
    Ok(())
}
