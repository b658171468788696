//! A database with services on it, as one process would run them: the one under test, and speakers for the others, which say
//! what the test lets them say and nothing else. Waits for what must come, and reads what was said.
//! Leaves who asks, and how, to `asking`.

use std::collections::BTreeMap;
use std::sync::Arc;

use contracts::{Envelope, Event};
use engine::{Lane, Running, Service, Settings, TokioRuntime};
use kernel::{Millis, Runtime, Timestamp, TraceContext};
use log::{LogEvent, Outbox, Wakes};
use store::Store;
use web::{Door, Keyring, Limits, Router, Routes, SigningKey};

use crate::{TestRuntime, TestStore};

/// How often a condition is looked at before it counts as never met: half a minute in all.
const LOOKS_MAX: u32 = 6000;
const LOOK_MS: Millis = 5;

/// One process of a shop.
pub struct Stage {
    /// The port to the world.
    pub clock: Arc<TestRuntime>,
    /// The keys that the door trusts.
    pub keyring: Keyring,
    /// One of them, which signs.
    pub key: Arc<SigningKey>,
    settings: Settings,
    door: Door,
    router: Router,
    played: Vec<Arc<Running>>,
    speakers: BTreeMap<&'static str, Running>,
    /// The database; dropped last, for it goes with the last stage on it.
    pub database: Arc<TestStore>,
}

impl Stage {
    /// A stage on `database` with a speaker for each service of these names. Nobody is behind its door yet.
    ///
    /// # Panics
    /// If a speaker does not start.
    pub async fn on(database: TestStore, clock: TestRuntime, speakers: &[&'static str]) -> Self {
        let clock = Arc::new(clock);
        let store = database.store.clone();
        let settings = Settings { wakes: wakes(&store), ..Settings::alone(store, clock.clone()) };
        let (key, keyring) = (SigningKey::generate().expect("the system gives a key"), Keyring::new());
        keyring.insert(key.public());
        Self::set(Arc::new(database), clock, settings, (Arc::new(key), keyring), speakers).await
    }

    /// One more process on the same database, with the same clock and keys; where there can be only one process, one more
    /// worker in it.
    ///
    /// # Panics
    /// As [`Stage::on`].
    pub async fn another(&self) -> Self {
        let mut settings = self.settings.clone();
        if settings.store.shared() {
            settings.store = self.database.another().await;
            settings.wakes = wakes(&settings.store);
        }
        let speakers: Vec<&str> = self.speakers.keys().copied().collect();
        let keys = (self.key.clone(), self.keyring.clone());
        Self::set(self.database.clone(), self.clock.clone(), settings, keys, &speakers).await
    }

    async fn set(
        database: Arc<TestStore>,
        clock: Arc<TestRuntime>,
        settings: Settings,
        (key, keyring): (Arc<SigningKey>, Keyring),
        names: &[&'static str],
    ) -> Self {
        let mut speakers = BTreeMap::new();
        for name in names {
            speakers.insert(*name, start(speaker(name), &settings).await);
        }
        let door = Door::new(clock.clone(), keyring.clone(), Limits::default());
        let router = door.open(Routes::new("nobody"));
        Self { clock, keyring, key, settings, door, router, played: Vec::new(), speakers, database }
    }

    /// Starts `service` here; [`Stage::close`] stops it.
    ///
    /// # Panics
    /// If it does not start.
    pub async fn play(&mut self, service: Service) -> Arc<Running> {
        let running = Arc::new(start(service, &self.settings).await);
        self.played.push(running.clone());
        running
    }

    /// Puts `routes` behind the door, in place of those before.
    pub fn open(&mut self, routes: Routes) {
        self.router = self.door.open(routes);
    }

    /// What is behind the door.
    pub fn router(&self) -> &Router {
        &self.router
    }

    /// What time it is here.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Lets the speaker `by` say `event`.
    ///
    /// # Panics
    /// If there is no such speaker, or it may not say that.
    pub async fn say<E: Event>(&self, by: &str, event: E) {
        self.tell(by, vec![event], TraceContext::start(&mut self.clock.draw())).await;
    }

    /// Lets the speaker `by` say `events` at once, as part of the request `trace`.
    ///
    /// # Panics
    /// As [`Stage::say`].
    pub async fn tell<E: Event>(&self, by: &str, events: Vec<E>, trace: TraceContext) {
        let speaker = self.speakers.get(by).unwrap_or_else(|| panic!("nobody speaks for {by}"));
        let emit = move |work: &mut engine::Work<'_>| events.iter().try_for_each(|event| work.emit(event));
        speaker.handle.decide(Lane::Rest, &trace, emit).await.expect("a speaker says what it is told");
    }

    /// Waits until `running` has heard everything that was said so far; nothing of it may be parked.
    ///
    /// # Panics
    /// If something is, or it never comes.
    pub async fn catch_up(&self, running: &Running) {
        let caught_up = async || {
            // Where it stands is asked first: what the others say meanwhile then counts as said.
            let mut all = vec![running.pending().await.expect("the database answers")];
            assert_eq!(all[0].parked, 0, "an event was parked");
            for other in self.speakers.values().chain(self.played.iter().map(|played| &**played)) {
                all.push(other.pending().await.expect("the database answers"));
            }
            engine::compare(&mut all);
            all[0].behind.is_empty()
        };
        self.until("everything is heard", caught_up).await;
    }

    /// Everything that `service` has said on `topics`, in order.
    ///
    /// # Panics
    /// If it cannot be read.
    pub async fn log_of(&self, service: &'static str, topics: &[&'static str]) -> Vec<Envelope> {
        let store = &self.database.store;
        let source = store.head(service, "nobody").await.expect("the database answers").source;
        let outbox = Outbox::new(store.clone(), source);
        let mut said: Vec<LogEvent> = Vec::new();
        loop {
            let more = outbox.read(said.last().map_or(0, |event| event.seq), topics).await.expect("the database answers");
            if more.is_empty() {
                return said.iter().map(|event| event.envelope().expect("what is said has an envelope")).collect();
            }
            said.extend(more);
        }
    }

    /// Everything that `service` has said on the topic of `E`, where it says nothing else, in order.
    ///
    /// # Panics
    /// As [`Stage::log_of`], or if something else was said there.
    pub async fn events_of<E: Event>(&self, service: &'static str) -> Vec<E> {
        let event = |envelope: Envelope| {
            assert_eq!(envelope.kind, E::KIND);
            serde_json::from_value(envelope.data).expect("an event is what its kind says")
        };
        self.log_of(service, &[E::TOPIC]).await.into_iter().map(event).collect()
    }

    /// Waits until `met`.
    ///
    /// # Panics
    /// If that never comes.
    pub async fn until(&self, what: &str, met: impl AsyncFn() -> bool) {
        self.until_some(what, async || met().await.then_some(())).await;
    }

    /// Waits until `find` finds something.
    ///
    /// # Panics
    /// If that never comes.
    pub async fn until_some<T>(&self, what: &str, mut find: impl AsyncFnMut() -> Option<T>) -> T {
        for _ in 0..LOOKS_MAX {
            if let Some(found) = find().await {
                return found;
            }
            self.clock.sleep(LOOK_MS).await;
        }
        panic!("it never came that {what}");
    }

    /// Stops everything here, so that the database can go; no service may have parked an event.
    ///
    /// # Panics
    /// If one has.
    pub async fn close(&self) {
        for running in self.played.iter().rev() {
            running.shut_down().await;
            let pending = running.pending().await.expect("the database answers");
            assert_eq!(pending.parked, 0, "{} parked an event", pending.service);
        }
        for speaker in self.speakers.values() {
            speaker.shut_down().await;
        }
    }
}

/// What wakes readers of the logs in `store`. Its tail looks in real time, whatever the clock of the test.
#[must_use]
pub fn wakes(store: &Store) -> Wakes {
    let world: Arc<dyn Runtime> = Arc::new(TokioRuntime::new());
    Wakes::new(store, &world)
}

async fn start(service: Service, settings: &Settings) -> Running {
    engine::start(service, settings).await.expect("a service starts on an up-to-date database")
}

/// A service that only says what it is told to.
fn speaker(name: &'static str) -> Service {
    Service {
        name,
        migrations: &[],
        tables: &[],
        reads: &[],
        subscriptions: Vec::new(),
        timers: Vec::new(),
        jobs: Vec::new(),
        ages: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use contracts::delivery::StoreChanged;
    use engine::{Stop, Subscription};

    use super::*;
    use crate::{Engine, migrated, store};

    /// A stage on which delivery speaks, and a service that hears it and can keep nothing of what it hears if it is `deaf`.
    async fn heard(deaf: bool) -> (Stage, Arc<Running>) {
        let keep = move |_: &mut engine::Work<'_>, _: &StoreChanged| match deaf {
            true => Err(Stop::Broken("deaf".to_owned())),
            false => Ok(()),
        };
        let subscriptions = vec![Subscription::to("delivery").copy(keep)];
        let mut stage = Stage::on(migrated(Engine::Sqlite, &[]).await, TestRuntime::flowing(), &["delivery"]).await;
        let listener = stage.play(Service { subscriptions, ..speaker("listener") }).await;
        stage.say("delivery", StoreChanged { store: store(1) }).await;
        (stage, listener)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_was_said_is_heard_and_read() {
        let (stage, listener) = heard(false).await;
        stage.catch_up(&listener).await;
        assert_eq!(stage.events_of::<StoreChanged>("delivery").await, [StoreChanged { store: store(1) }]);
        assert!(stage.another().await.log_of("delivery", &["delivery.deliveries"]).await.is_empty());
        stage.close().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    #[should_panic = "listener parked an event"]
    async fn a_parked_event_is_found_at_the_end() {
        let (stage, listener) = heard(true).await;
        let parked = async || listener.pending().await.unwrap().parked == 1;
        stage.until("it is parked", parked).await;
        stage.close().await;
    }
}
