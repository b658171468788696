//! How a shop is put together: the database, the services, their routes behind one door. One straight function in the
//! order in which things depend on each other. Leaves what each part does to the parts.

use std::sync::Arc;

use anyhow::{Context, bail};
use engine::{Audience, Handle, Running, Service, TokenKeys, TokioRuntime, Trim};
use kernel::{BoxFuture, Millis, Runtime};
use log::{Wakes, Way};
use payments::ProviderConfig;
use sandbox::Given;
use store::{Migration, Store};
use tokio::sync::watch;
use web::{Access, Door, Keyring, Limits, Peer, Router, Routes, Seal};

use crate::data_dir::DataDir;
use crate::metrics::{self, Measured};
use crate::settings::Settings;
use crate::tables::{self, Parts};
use crate::{admin, auditor};

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
    /// The key of the provider that is built in.
    #[cfg(test)]
    pub(crate) provider_key: String,
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
        if let Some(place) = store.carried_to().await? {
            bail!("the shop in {} was carried to {place}: serve it with --database", settings.server.data.display());
        }
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

/// Starts every service and gathers their routes. Without the address of a provider, the one that is built in is one of them.
pub(crate) async fn start(settings: &Settings) -> anyhow::Result<Shop> {
    let runtime: Arc<dyn Runtime> = Arc::new(TokioRuntime::new());
    let parts = Parts::default();
    let mut services = tables::services(settings, &parts);
    let audit = auditor::join(&mut services, &settings.audit, &runtime);
    let (store, data) = open_store(settings, &tables::migrations(&services)).await?;
    let trim = trim(&settings.log, &services);
    let shared = engine::Settings { store, runtime: runtime.clone(), wakes: Wakes::default(), trim };
    let keyring = Keyring::new();
    let limits = Limits {
        requests_max: settings.server.requests_max,
        waits_max: settings.server.waits_max,
        deadline_ms: settings.server.deadline_ms,
        retry_after_ms: RETRY_AFTER_MS,
    };
    let open = |routes: Routes| Door::new(runtime.clone(), keyring.clone(), limits).open(routes);

    let (sandbox, services): (Vec<Service>, Vec<Service>) =
        services.into_iter().partition(|service| service.name == tables::SANDBOX);
    let (mut running, mut provider) = (Vec::new(), Provider::Elsewhere);
    if settings.payments.provider.built_in() {
        for service in sandbox {
            let started = Arc::new(engine::start(service, &shared).await?);
            provider = Provider::built_in(&started.handle, settings, &parts, open).await?;
            running.push(started);
        }
    } else {
        reach(&settings.payments.provider, &parts)?;
    }
    for service in services {
        running.push(Arc::new(engine::start(service, &shared).await?));
    }
    let handle = |name: &str| running.iter().map(|running| &running.handle).find(|handle| handle.service() == name).cloned();
    let doors = Doors::new(handle).context("a service is missing")?;

    keyring.insert(&identity::ensure_signing_key(&doors.identity).await?);
    let seal = orders::ensure_seal(&doors.orders).await?;
    let (alive, ended) = watch::channel(());
    runtime.spawn("keyring", refresh(keyring.clone(), doors.orders.clone(), ended));

    let identity = doors.identity.clone();
    // What the provider tells payments has a door of its own, as what payments asks has: neither waits behind what others ask.
    parts.hearer.connect(open(doors.payments_routes(settings, &parts)));
    let glance = audit.as_ref().map(audit::Watch::glance);
    let measured = Measured { running: running.clone(), audit: glance.clone(), runtime: runtime.clone() };
    let routes = doors
        .routes(settings, seal.clone(), &parts)
        .merge(provider.routes(settings))
        .merge(admin::routes(running.clone(), glance))
        .merge(metrics::routes(Access::admin(), measured.clone()));
    #[cfg(test)]
    let list = routes.list();
    let metrics = Door::new(runtime.clone(), Keyring::new(), limits).open(metrics::routes(Access::anyone(), measured));
    let router = open(routes);
    if let Some(audit) = &audit {
        auditor::connect(audit, &router, &keyring, &runtime)?;
    }
    Ok(Shop {
        router,
        metrics,
        #[cfg(test)]
        routes: list,
        #[cfg(test)]
        provider_key: provider.key(),
        runtime: runtime.clone(),
        identity,
        seal,
        running,
        alive,
        _data: data,
    })
}

/// When events may go: where services read each other's outboxes, once all of `services` have heard them.
fn trim(log: &log::Config, services: &[Service]) -> Option<Trim> {
    match log.kind {
        Way::Outbox => Some(Trim::once_heard(log.keep_ms, log.trim_every_ms, Audience::of(services))),
        Way::Kafka => None,
    }
}

/// Reaches the provider that the settings name.
fn reach(provider: &ProviderConfig, parts: &Parts) -> anyhow::Result<()> {
    let peer = Peer::remote(&provider.url).context("payments.provider.url")?;
    parts.provider.connect(peer, &provider.key, &provider.webhook_secret);
    Ok(())
}

/// Who moves the money of a shop.
enum Provider {
    /// The one that is built in, with the key that lets payments in.
    BuiltIn(Handle, String),
    /// One that has its own process.
    Elsewhere,
}

impl Provider {
    /// Reaches the provider that is built in; its secrets are made once, unless the settings name them.
    async fn built_in(
        sandbox: &Handle,
        settings: &Settings,
        parts: &Parts,
        open: impl Fn(Routes) -> Router,
    ) -> anyhow::Result<Self> {
        let named = |secret: &String| Some(secret.clone()).filter(|secret| !secret.is_empty());
        let ours = &settings.payments.provider;
        let given = Given { key: named(&ours.key), webhook_secret: named(&ours.webhook_secret) };
        let secrets = sandbox::ensure_secrets(sandbox, given).await?;
        let provider = Self::BuiltIn(sandbox.clone(), secrets.key.clone());
        parts.provider.connect(Peer::local(open(provider.routes(settings))), &secrets.key, &secrets.webhook_secret);
        Ok(provider)
    }

    fn routes(&self, settings: &Settings) -> Routes {
        match self {
            Self::BuiltIn(sandbox, key) => sandbox::routes(sandbox.clone(), &settings.sandbox, key),
            Self::Elsewhere => Routes::new(tables::SANDBOX),
        }
    }

    #[cfg(test)]
    fn key(&self) -> String {
        match self {
            Self::BuiltIn(_, key) => key.clone(),
            Self::Elsewhere => String::new(),
        }
    }
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
        })
    }

    fn payments_routes(&self, settings: &Settings, parts: &Parts) -> Routes {
        payments::routes(self.payments.clone(), &settings.payments, parts.provider.clone())
    }

    fn routes(self, settings: &Settings, seal: Seal, parts: &Parts) -> Routes {
        let payments = self.payments_routes(settings, parts);
        identity::routes(self.identity, &settings.identity)
            .merge(delivery::routes(self.delivery, &settings.delivery))
            .merge(catalog::routes(self.catalog, &settings.catalog))
            .merge(inventory::routes(self.inventory, &settings.inventory))
            .merge(orders::routes(self.orders, &settings.orders, seal))
            .merge(payments)
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
