//! How a shop is put together: the database, the services, their routes behind one door. One straight function in the
//! order in which things depend on each other. Leaves what each part does to the parts.

use std::sync::Arc;

use anyhow::{Context, bail};
use engine::{Running, TokenKeys, TokioRuntime};
use kernel::{BoxFuture, Millis, Runtime};
use log::Wakes;
use store::Store;
use tokio::sync::watch;
use web::{Door, Keyring, Limits, PublicKey, Router, Seal};

use crate::admin;
use crate::data_dir::DataDir;
use crate::settings::Settings;
use crate::tables::migrations;

/// How often the keys that verify tokens are looked for again.
const KEYRING_REFRESH_MS: Millis = 1000;

/// When a refused caller should come back.
const RETRY_AFTER_MS: Millis = 1000;

/// A shop that runs, not yet reachable.
pub(crate) struct Shop {
    /// Its routes behind the door.
    pub(crate) router: Router,
    /// The port to the world.
    pub(crate) runtime: Arc<dyn Runtime>,
    /// The door of identity, to make the first admin.
    pub(crate) identity: engine::Handle,
    /// The shop's own secret, from which the sample's logins follow.
    pub(crate) seal: Seal,
    running: Vec<Arc<Running>>,
    /// Dropped when the shop stops; ends what the composition itself has spawned.
    alive: watch::Sender<()>,
    /// Held as long as the shop runs, where the database is embedded.
    _data: Option<DataDir>,
}

/// Opens the database that the settings name. An embedded one is brought up to date; PostgreSQL must be already.
pub(crate) async fn open_store(settings: &Settings) -> anyhow::Result<(Store, Option<DataDir>)> {
    let all = migrations(settings);
    if settings.server.database.is_empty() {
        let data = DataDir::take(&settings.server.data)?;
        let store = Store::sqlite(&data.database()).context("the embedded database cannot be opened")?;
        store.migrate(&all).await.context("the embedded database cannot be brought up to date")?;
        return Ok((store, Some(data)));
    }
    let store = Store::postgres(&settings.server.database, settings.server.database_connections).await?;
    let pending = store.pending(&all).await?;
    if let Some(first) = pending.first() {
        bail!("the database lacks {} migrations, the first being {} {} of {}; run `swiftcart migrate`", pending.len(), first.number, first.name, first.service);
    }
    Ok((store, None))
}

/// Starts every service and gathers their routes.
pub(crate) async fn start(settings: &Settings) -> anyhow::Result<Shop> {
    let (store, data) = open_store(settings).await?;
    let runtime: Arc<dyn Runtime> = Arc::new(TokioRuntime::new());
    let shared = engine::Settings { store, runtime: runtime.clone(), wakes: Wakes::default() };
    let start = |service| engine::start(service, &shared);

    let identity = Arc::new(start(identity::service(&settings.identity)).await?);
    let delivery = Arc::new(start(delivery::service(&settings.delivery)).await?);
    let catalog = Arc::new(start(catalog::service(&settings.catalog)).await?);
    let inventory = Arc::new(start(inventory::service(&settings.inventory)).await?);
    let sandbox = Arc::new(start(payments::sandbox(&settings.payments)).await?);
    let provider = Arc::new(payments::SandboxProvider::new(sandbox.handle.clone(), &settings.payments));
    let payments = Arc::new(start(payments::service(&settings.payments, provider)).await?);
    let notifications = Arc::new(start(notifications::service(&settings.notifications, Arc::new(notifications::Journal))).await?);
    let orders = Arc::new(start(orders::service(&settings.orders)).await?);

    let keyring = Keyring::new();
    keyring.insert(&identity::ensure_signing_key(&identity.handle).await?)?;
    let seal = orders::ensure_seal(&orders.handle).await?;
    let (alive, ended) = watch::channel(());
    runtime.spawn("keyring", refresh(keyring.clone(), orders.handle.clone(), ended));

    let running = vec![identity.clone(), delivery.clone(), catalog.clone(), inventory.clone(), sandbox.clone(), payments.clone(), notifications.clone(), orders.clone()];
    let routes = identity::routes(identity.handle.clone(), &settings.identity)
        .merge(delivery::routes(delivery.handle.clone(), &settings.delivery))
        .merge(catalog::routes(catalog.handle.clone(), &settings.catalog))
        .merge(inventory::routes(inventory.handle.clone(), &settings.inventory))
        .merge(payments::routes(payments.handle.clone(), &settings.payments))
        .merge(payments::sandbox_routes(sandbox.handle.clone()))
        .merge(notifications::routes(notifications.handle.clone(), &settings.notifications))
        .merge(orders::routes(orders.handle.clone(), &settings.orders, seal.clone()))
        .merge(admin::routes(running.clone()));
    let limits = Limits {
        requests_max: settings.server.requests_max,
        waits_max: settings.server.waits_max,
        deadline_ms: settings.server.deadline_ms,
        retry_after_ms: RETRY_AFTER_MS,
    };
    let router = Door::new(runtime.clone(), keyring, limits).open(routes);
    Ok(Shop { router, runtime, identity: identity.handle.clone(), seal, running, alive, _data: data })
}

impl Shop {
    /// Stops every service: each ends what it has begun.
    pub(crate) async fn shut_down(self) {
        drop(self.alive);
        // The routes hold the services too; without the router nobody does.
        drop((self.router, self.identity));
        let stops = self.running.iter().map(|running| running.shut_down());
        futures_util::future::join_all(stops).await;
    }
}

/// Keeps the keys that verify tokens as orders' own copy has them: whoever else signs in another process is known within a second.
fn refresh(keyring: Keyring, orders: engine::Handle, mut ended: watch::Receiver<()>) -> BoxFuture<'static, ()> {
    Box::pin(async move {
        loop {
            match TokenKeys::of(&orders).await {
                Ok(keys) => keys.into_iter().for_each(|(kid, key)| learn(&keyring, kid, &key)),
                Err(fault) => tracing::warn!(%fault, "token keys not refreshed"),
            }
            let again = orders.runtime().sleep(KEYRING_REFRESH_MS);
            tokio::select! {
                () = again => {}
                _ = ended.changed() => return,
            }
        }
    })
}

fn learn(keyring: &Keyring, kid: String, public_key: &str) {
    let Some(bytes) = identity::key_bytes(public_key) else { return tracing::error!(kid, "a token key is not hexadecimal") };
    if let Err(fault) = keyring.insert(&PublicKey { kid, bytes }) {
        tracing::error!(%fault, "a token key cannot be used");
    }
}
