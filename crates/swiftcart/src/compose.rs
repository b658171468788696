//! How a shop is put together: the database, the services, their routes behind one door. One straight function in the
//! order in which things depend on each other. Leaves what each part does to the parts.

use std::sync::Arc;

use anyhow::{Context, bail};
use engine::{Handle, Running, TokenKeys, TokioRuntime};
use kernel::{BoxFuture, Millis, Runtime};
use log::Wakes;
use payments::SandboxProvider;
use store::{Migration, Store};
use tokio::sync::watch;
use web::{Access, Door, Keyring, Limits, Router, Routes, Seal};

use crate::data_dir::DataDir;
use crate::metrics::{self, Measured};
use crate::settings::Settings;
use crate::{admin, auditor, tables};

/// How often the keys that verify tokens are looked for again.
const KEYRING_REFRESH_MS: Millis = 1000;

/// When a refused caller should come back.
const RETRY_AFTER_MS: Millis = 1000;

/// A shop that runs, not yet reachable.
pub(crate) struct Shop {
    /// Its routes behind the door.
    pub(crate) router: Router,
    /// Its metrics for anyone, for a listener that only monitoring reaches.
    pub(crate) metrics: Router,
    /// What these routes are, and for whom: for the tests that try all of them.
    #[cfg(test)]
    pub(crate) routes: Vec<web::RouteInfo>,
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
async fn open_store(settings: &Settings, migrations: &[Migration]) -> anyhow::Result<(Store, Option<DataDir>)> {
    if settings.server.database.is_empty() {
        let data = DataDir::take(&settings.server.data)?;
        let store = Store::sqlite(&data.database()).context("the embedded database cannot be opened")?;
        store.migrate(migrations).await.context("the embedded database cannot be brought up to date")?;
        return Ok((store, Some(data)));
    }
    let store = Store::postgres(&settings.server.database, settings.server.database_connections).await?;
    let pending = store.pending(migrations).await?;
    if let Some(first) = pending.first() {
        let (count, number, name, service) = (pending.len(), first.number, &first.name, &first.service);
        bail!("the database lacks {count} migrations, the first being {number} {name} of {service}; run `swiftcart migrate`");
    }
    Ok((store, None))
}

/// Starts every service and gathers their routes.
pub(crate) async fn start(settings: &Settings) -> anyhow::Result<Shop> {
    let runtime: Arc<dyn Runtime> = Arc::new(TokioRuntime::new());
    let provider = Arc::new(SandboxProvider::unconnected(&settings.payments));
    let mut services = tables::services(settings, &provider);
    let audit = auditor::join(&mut services, &settings.audit, &runtime);
    let (store, data) = open_store(settings, &tables::migrations(&services)).await?;
    let shared = engine::Settings { store, runtime: runtime.clone(), wakes: Wakes::default() };
    let mut running = Vec::new();
    for service in services {
        running.push(Arc::new(engine::start(service, &shared).await?));
    }
    let handle = |name: &str| running.iter().map(|running| &running.handle).find(|handle| handle.service() == name).cloned();
    let doors = Doors::new(handle).context("a service is missing")?;
    provider.connect(doors.sandbox.clone());

    let keyring = Keyring::new();
    keyring.insert(&identity::ensure_signing_key(&doors.identity).await?);
    let seal = orders::ensure_seal(&doors.orders).await?;
    let (alive, ended) = watch::channel(());
    runtime.spawn("keyring", refresh(keyring.clone(), doors.orders.clone(), ended));

    let identity = doors.identity.clone();
    let glance = audit.as_ref().map(audit::Watch::glance);
    let measured = Measured { running: running.clone(), audit: glance.clone(), runtime: runtime.clone() };
    let routes = doors
        .routes(settings, seal.clone())
        .merge(admin::routes(running.clone(), glance))
        .merge(metrics::routes(Access::admin(), measured.clone()));
    let limits = Limits {
        requests_max: settings.server.requests_max,
        waits_max: settings.server.waits_max,
        deadline_ms: settings.server.deadline_ms,
        retry_after_ms: RETRY_AFTER_MS,
    };
    #[cfg(test)]
    let list = routes.list();
    let metrics = Door::new(runtime.clone(), Keyring::new(), limits).open(metrics::routes(Access::anyone(), measured));
    let router = Door::new(runtime.clone(), keyring.clone(), limits).open(routes);
    if let Some(audit) = &audit {
        auditor::connect(audit, &router, &keyring, &runtime)?;
    }
    Ok(Shop {
        router,
        metrics,
        #[cfg(test)]
        routes: list,
        runtime,
        identity,
        seal,
        running,
        alive,
        _data: data,
    })
}

/// The doors of all services.
struct Doors {
    identity: Handle,
    delivery: Handle,
    catalog: Handle,
    inventory: Handle,
    orders: Handle,
    payments: Handle,
    notifications: Handle,
    sandbox: Handle,
}

impl Doors {
    fn new(handle: impl Fn(&str) -> Option<Handle>) -> Option<Self> {
        Some(Self {
            identity: handle("identity")?,
            delivery: handle("delivery")?,
            catalog: handle("catalog")?,
            inventory: handle("inventory")?,
            orders: handle("orders")?,
            payments: handle("payments")?,
            notifications: handle("notifications")?,
            sandbox: handle("sandbox")?,
        })
    }

    fn routes(self, settings: &Settings, seal: Seal) -> Routes {
        identity::routes(self.identity, &settings.identity)
            .merge(delivery::routes(self.delivery, &settings.delivery))
            .merge(catalog::routes(self.catalog, &settings.catalog))
            .merge(inventory::routes(self.inventory, &settings.inventory))
            .merge(orders::routes(self.orders, &settings.orders, seal))
            .merge(payments::routes(self.payments.clone(), &settings.payments))
            .merge(payments::reconcile_routes(self.payments, self.sandbox.clone()))
            .merge(payments::sandbox_routes(self.sandbox))
            .merge(notifications::routes(self.notifications, &settings.notifications))
    }
}

impl Shop {
    /// How many events each service has said: for tests that nothing was.
    #[cfg(test)]
    pub(crate) async fn events_said(&self) -> Result<Vec<i64>, kernel::Fault> {
        let mut said = Vec::new();
        for running in &self.running {
            said.push(running.events_said().await?);
        }
        Ok(said)
    }

    /// Ends when the shop stops.
    pub(crate) fn ended(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut alive = self.alive.subscribe();
        async move { while alive.changed().await.is_ok() {} }
    }

    /// Stops every service: each ends what it has begun.
    pub(crate) async fn shut_down(self) {
        drop(self.alive);
        // The routes hold the services too; without the router nobody does.
        drop((self.router, self.metrics, self.identity));
        let stops = self.running.iter().map(|running| running.shut_down());
        futures_util::future::join_all(stops).await;
    }
}

/// Keeps the keys that verify tokens as orders' own copy has them: whoever else signs in another process is known within a second.
fn refresh(keyring: Keyring, orders: engine::Handle, mut ended: watch::Receiver<()>) -> BoxFuture<'static, ()> {
    Box::pin(async move {
        loop {
            match TokenKeys::of(&orders).await {
                Ok(keys) => keys.iter().for_each(|key| keyring.insert(key)),
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
