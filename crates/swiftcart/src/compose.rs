//! How a shop is put together: the database, the services, their routes behind one door. One straight function in the
//! order in which things depend on each other. Leaves what each part does to the parts.

use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use engine::{Audience, Handle, Running, Service, TokenKeys, TokioRuntime, Trim};
use kernel::{BoxFuture, Fault, Millis, Runtime};
use log::{Kafka, Way};
use payments::ProviderConfig;
use sandbox::Given;
use store::{Migration, Store};
use tokio::sync::watch;
use web::{Access, Door, InternalKey, Keyring, Limits, Peer, PublicKey, Router, Routes, Seal};

use crate::admin::Life;
use crate::data_dir::DataDir;
use crate::metrics::{self, Measured};
use crate::peers::Peers;
use crate::roles::Roles;
use crate::sample::Site;
use crate::settings::Settings;
use crate::tables::{self, Copying, Parts};
use crate::{admin, auditor};

/// How often the keys that verify tokens are looked for again.
const KEYRING_REFRESH_MS: Millis = 1000;

/// When a refused caller should come back.
const RETRY_AFTER_MS: Millis = 1000;

/// A shop that runs, or the part of one that this process is; not yet reachable.
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
    /// What this process is.
    pub(crate) roles: Roles,
    /// The door of identity, to make the first admin, if it is here.
    pub(crate) identity: Option<Handle>,
    /// The shop's own secret, from which the sample's logins follow.
    pub(crate) seal: Seal,
    /// To say that it is about to end.
    pub(crate) life: Life,
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

/// The Kafka that the settings name, if services hear each other by it: with every topic, each as this shop needs it.
async fn kafka(settings: &Settings) -> anyhow::Result<Option<Kafka>> {
    if settings.log.kind == Way::Outbox {
        return Ok(None);
    }
    ensure!(
        !settings.server.database.is_empty(),
        "log.kind = \"kafka\" needs server.database: the embedded database has one process, which needs no Kafka"
    );
    let kafka = kafka_of(settings)?;
    let missing = kafka.missing(&log::every_topic()).await?;
    ensure!(
        missing.is_empty(),
        "Kafka lacks {} topics, the first being {}; run `swiftcart topics ensure`",
        missing.len(),
        missing[0]
    );
    Ok(Some(kafka))
}

/// The Kafka that the settings name.
pub(crate) fn kafka_of(settings: &Settings) -> anyhow::Result<Kafka> {
    ensure!(!settings.kafka.servers.is_empty(), "kafka.servers must name a broker, as 127.0.0.1:9092");
    Ok(Kafka::new(&settings.kafka, settings.server.buckets))
}

/// Starts the services of this process and gathers their routes; a gateway also carries to those that are elsewhere. Without the
/// address of a provider, the one that is built in runs beside payments.
pub(crate) async fn start(settings: &Settings) -> anyhow::Result<Shop> {
    let runtime: Arc<dyn Runtime> = Arc::new(TokioRuntime::new());
    let roles = settings.server.roles().map_err(anyhow::Error::msg)?;
    let parts = Parts::default();
    let mut services = tables::services(settings, &parts);
    let trim = trim(&settings.log, &services);
    services.retain(|service| roles.serve(service.name));
    let audit = auditor::join(&mut services, &settings.audit, &runtime);
    let key = internal_key(settings)?;
    // Nobody inside asks a process that has no service; and who comes from outside shows no key of ours.
    let keyring = if roles.have_services() { Keyring::new().trusting(key.clone()) } else { Keyring::new() };
    let limits = Limits {
        requests_max: settings.server.requests_max,
        waits_max: settings.server.waits_max,
        deadline_ms: settings.server.deadline_ms,
        retry_after_ms: RETRY_AFTER_MS,
    };
    let open = |routes: Routes| Door::new(runtime.clone(), keyring.clone(), limits).open(routes);

    let (mut running, mut provider, mut data) = (Vec::new(), Provider::Elsewhere, None);
    if roles.have_services() {
        let (store, taken) = open_store(settings, &tables::migrations(&services)).await?;
        data = taken;
        let kafka = kafka(settings).await?;
        let shared = engine::Settings { kafka, trim: Some(trim), ..engine::Settings::alone(store, runtime.clone()) };
        if !settings.payments.provider.built_in() {
            services.retain(|service| service.name != tables::SANDBOX);
            reach(&settings.payments.provider, &parts)?;
        }
        for service in services {
            let started = Arc::new(engine::start(service, &shared).await?);
            if started.handle.service() == tables::SANDBOX {
                provider = Provider::built_in(&started.handle, settings, &parts, open).await?;
            }
            running.push(started);
        }
    }
    let handle = |name: &str| running.iter().map(|running| &running.handle).find(|handle| handle.service() == name).cloned();

    let (identity, orders) = (handle("identity"), handle("orders"));
    if let Some(identity) = &identity {
        keyring.insert(&identity::ensure_signing_key(identity).await?);
    }
    let carts = match &orders {
        Some(orders) => Some(orders::ensure_seal(orders).await?),
        None => None,
    };
    let services = Services { settings, parts: &parts, provider: &provider, carts: carts.as_ref() };
    // What the provider tells payments has a door of its own, as what payments asks has: neither waits behind what others ask.
    if let Some(payments) = handle("payments") {
        parts.hearer.connect(open(services.routes(payments)));
    }

    let glance = audit.as_ref().map(audit::Watch::glance);
    let copying = Arc::new(Copying::new(settings));
    let own = running.iter().fold(Routes::new("swiftcart"), |own, running| {
        let program = admin::of_service(running.clone(), copying.clone(), glance.clone());
        own.merge(services.routes(running.handle.clone())).merge(program)
    });
    let also: &[&'static str] = if settings.payments.provider.built_in() { &[tables::SANDBOX] } else { &[] };
    let peers = Peers::new(&roles, also, &open(own.clone()), settings, &key, &runtime)?;
    let (alive, ended) = watch::channel(());
    // Every service has a copy of the keys, but for the provider, which knows no people.
    let here = running.iter().map(|running| &running.handle).find(|handle| handle.service() != tables::SANDBOX).cloned();
    let learner = Learner { keyring: keyring.clone(), here, peers: peers.clone() };
    runtime.spawn("keyring", learner.refresh(runtime.clone(), ended));

    let front = |refused: Option<&InternalKey>| {
        let elsewhere = peers.elsewhere().fold(Routes::new("swiftcart"), |routes, (service, peer)| {
            let table = [tables::routes(service), admin::table(service)].concat();
            routes.merge(gateway::routes(service, table, peer, refused.cloned()))
        });
        elsewhere.merge(admin::of_whole(peers.clone(), copying.clone()))
    };
    let measured = Measured { running: running.clone(), audit: glance, runtime: runtime.clone() };
    let life = Life::default();
    let shown = Some(peers.clone()).filter(|_| roles.have_gateway());
    let mut routes = own
        .clone()
        .merge(admin::of_process(life.clone(), running.clone(), shown))
        .merge(metrics::routes(Access::admin(), measured.clone()));
    if roles.have_gateway() {
        routes = routes.merge(front(Some(&key)));
    }
    #[cfg(test)]
    let list = routes.list();
    let metrics = Door::new(runtime.clone(), Keyring::new(), limits).open(metrics::routes(Access::anyone(), measured));
    if let Some(audit) = &audit {
        auditor::connect(audit, open(own.merge(front(None))), key.clone());
    }
    Ok(Shop {
        router: open(routes),
        metrics,
        #[cfg(test)]
        routes: list,
        #[cfg(test)]
        provider_key: provider.key(),
        runtime: runtime.clone(),
        seal: carts.filter(|_| roles.are_all()).unwrap_or_else(|| key.seal()),
        roles,
        identity,
        life,
        running,
        alive,
        _data: data,
    })
}

/// When events may go: once all of `services` have heard them, in whichever process they are, or once they lie in Kafka.
fn trim(log: &log::Config, services: &[Service]) -> Trim {
    let once = match log.kind {
        Way::Outbox => Trim::once_heard,
        Way::Kafka => Trim::once_relayed,
    };
    once(log.keep_ms, log.trim_every_ms, Audience::of(services))
}

/// What the processes of the shop show each other. A shop of one process makes a key that nobody else knows.
fn internal_key(settings: &Settings) -> Result<InternalKey, Fault> {
    let named = &settings.server.internal_key;
    if named.is_empty() { InternalKey::generate() } else { Ok(InternalKey::named(named)) }
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

/// What the routes of services need besides their handles.
struct Services<'a> {
    settings: &'a Settings,
    parts: &'a Parts,
    provider: &'a Provider,
    /// What seals the capabilities of carts, where orders is.
    carts: Option<&'a Seal>,
}

impl Services<'_> {
    /// The routes of the service behind `handle`.
    fn routes(&self, handle: Handle) -> Routes {
        let settings = self.settings;
        match (handle.service(), self.carts) {
            ("identity", _) => identity::routes(handle, &settings.identity),
            ("delivery", _) => delivery::routes(handle, &settings.delivery),
            ("catalog", _) => catalog::routes(handle, &settings.catalog),
            ("inventory", _) => inventory::routes(handle, &settings.inventory),
            ("orders", Some(seal)) => orders::routes(handle, &settings.orders, seal.clone()),
            ("payments", _) => payments::routes(handle, &settings.payments, self.parts.provider.clone()),
            ("notifications", _) => notifications::routes(handle, &settings.notifications),
            _ => self.provider.routes(settings),
        }
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

    /// Where its sample is made.
    pub(crate) fn site(&self) -> Site {
        let (router, runtime, seal) = (self.router.clone(), self.runtime.clone(), self.seal.clone());
        Site { router, runtime, seal, identity: self.identity.clone() }
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

/// Keeps the keys that verify tokens as a service of this process has copied them, or, where there is none, as any other tells
/// them: whoever else signs in another process is known within a second.
struct Learner {
    keyring: Keyring,
    here: Option<Handle>,
    peers: Peers,
}

impl Learner {
    fn refresh(self, runtime: Arc<dyn Runtime>, mut ended: watch::Receiver<()>) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            loop {
                match self.keys().await {
                    Ok(keys) => keys.iter().for_each(|key| self.keyring.insert(key)),
                    Err(fault) => tracing::warn!(%fault, "token keys not refreshed"),
                }
                let again = runtime.sleep(KEYRING_REFRESH_MS);
                tokio::select! {
                    () = again => {}
                    _ = ended.changed() => return,
                }
            }
        })
    }

    async fn keys(&self) -> Result<Vec<PublicKey>, Fault> {
        if let Some(handle) = &self.here {
            return TokenKeys::of(handle).await;
        }
        let mut last = Fault::not_found("service");
        for (service, peer) in self.peers.elsewhere() {
            match self.peers.get(service, peer, format!("/internal/{service}/token-keys")).await {
                Ok(keys) => return serde_json::from_value(keys).map_err(|error| Fault::internal(error.to_string())),
                Err(fault) => last = fault,
            }
        }
        Err(last)
    }
}
