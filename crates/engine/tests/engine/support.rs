//! Two services of the tests' own, a bank that moves money and a counter that hears of it, and processes that run them.
//! Leaves databases to `testkit`.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, mpsc};

use contracts::{Event, Place};
use engine::{
    Behind, Command, Handle, KeyScope, Lane, Reply, Running, Service, Settings, Stop, Stored, Subscription, TokioRuntime, Work,
};
use futures_util::FutureExt;
use futures_util::future::join_all;
use kernel::{BoxFuture, Bucket, Buckets, Draw, Fault, Id, Millis, Runtime, Timestamp, TraceContext};
use serde::{Deserialize, Serialize};
use store::{Kind, Migration, PLATFORM, Read, Store};
use testkit::{Engine, TestStore, fresh, wakes};
use tokio::sync::oneshot;

/// Both.
pub(crate) const ENGINES: [Engine; 2] = [Engine::Sqlite, Engine::Postgres];

/// How often a condition is looked at before it counts as never met: half a minute in all.
const LOOKS_MAX: u32 = 6_000;
const LOOK_MS: Millis = 5;

engine::tally! {
    /// Somebody's money.
    pub(crate) struct Account in ACCOUNT = "bank_account", Stay {
        key { name: String, }
        balance: i64,
    }
}

engine::tally! {
    /// A transfer that was made.
    pub(crate) struct Transfer in TRANSFER = "bank_transfer", Stay {
        key { id: Id, }
        amount: i64,
    }
}

engine::tally! {
    /// How much of something there was; rivals add up.
    pub(crate) struct Count in COUNT = "counter_count", Stay {
        adds [count]
        key { name: String, }
        count: i64,
    }
}

engine::tally! {
    /// What was heard of an account, in order.
    pub(crate) struct Heard in HEARD = "counter_heard", Stay {
        key { account: String, }
        last: i64,
        out_of_order: i64,
    }
}

/// The tables of both services. No balance exceeds a million, and no transfer is made twice of thirteen.
const TABLES: Migration = Migration {
    service: "bank",
    number: 1,
    name: "accounts-and-counts",
    sql: "CREATE TABLE bank_account (
    name {text} NOT NULL PRIMARY KEY, version {int} NOT NULL, balance {int} NOT NULL {check balance BETWEEN 0 AND 1000000}
) {strict};
CREATE TABLE bank_transfer (id {id} NOT NULL PRIMARY KEY, version {int} NOT NULL, amount {int} NOT NULL) {strict};
CREATE UNIQUE INDEX bank_transfer_unlucky ON bank_transfer (amount) WHERE amount = 13;
CREATE TABLE counter_count (name {text} NOT NULL PRIMARY KEY, version {int} NOT NULL, count {int} NOT NULL) {strict};
CREATE TABLE counter_heard (
    account {text} NOT NULL PRIMARY KEY, version {int} NOT NULL, last {int} NOT NULL, out_of_order {int} NOT NULL
) {strict};
",
};

static TRANSFERS: Read =
    Read { name: "bank.transfers", sql: "SELECT count(*) FROM bank_transfer", arguments: &[], answer: &[Kind::Int] };

/// An account was moved for the `number`th time.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Moved {
    pub(crate) account: String,
    pub(crate) number: i64,
}

impl Event for Moved {
    const KIND: &'static str = "account.moved.v1";
    const TOPIC: &'static str = "bank.accounts";

    fn place(&self) -> Place {
        Place { bucket: Buckets::new(4).unwrap().of(self.account.as_bytes()), key: self.account.clone() }
    }
}

/// The world as it is, but for a clock that tests may move on, and that never says the same time twice.
#[derive(Default)]
pub(crate) struct World {
    real: TokioRuntime,
    ahead_ms: AtomicI64,
    last_micros: AtomicI64,
    /// How far the clock leaps whenever somebody sleeps.
    leap_ms: AtomicI64,
    /// How many tasks run.
    tasks: Arc<AtomicI64>,
}

impl World {
    pub(crate) fn move_on(&self, ms: Millis) {
        self.ahead_ms.fetch_add(ms, Ordering::SeqCst);
    }

    pub(crate) fn tasks(&self) -> i64 {
        self.tasks.load(Ordering::SeqCst)
    }

    pub(crate) fn leap_in_sleep(&self, ms: Millis) {
        self.leap_ms.store(ms, Ordering::SeqCst);
    }
}

impl Runtime for World {
    fn now(&self) -> Timestamp {
        let now = self.real.now().plus_ms(self.ahead_ms.load(Ordering::SeqCst)).as_micros();
        let last = self.last_micros.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |last| Some(now.max(last + 1))).unwrap();
        Timestamp::from_micros(now.max(last + 1))
    }

    fn draw(&self) -> Draw {
        self.real.draw()
    }

    fn spawn(&self, name: &'static str, task: BoxFuture<'static, ()>) {
        let tasks = self.tasks.clone();
        tasks.fetch_add(1, Ordering::SeqCst);
        let counted = async move {
            task.await;
            tasks.fetch_sub(1, Ordering::SeqCst);
        };
        self.real.spawn(name, Box::pin(counted));
    }

    fn sleep(&self, ms: Millis) -> BoxFuture<'static, ()> {
        self.move_on(self.leap_ms.load(Ordering::SeqCst));
        self.real.sleep(ms)
    }
}

/// The tables of the platform, of the engine and of both services.
pub(crate) fn migrations() -> Vec<Migration> {
    [PLATFORM, engine::MIGRATIONS, &[TABLES]].concat()
}

/// A database with all tables.
pub(crate) async fn ready(engine: Engine) -> TestStore {
    let database = fresh(engine).await;
    database.store.migrate(&migrations()).await.unwrap();
    database
}

/// What one process runs services with.
pub(crate) struct Process {
    pub(crate) settings: Settings,
    pub(crate) world: Arc<World>,
}

impl Process {
    pub(crate) fn on(store: Store) -> Self {
        let world = Arc::new(World::default());
        let settings = Settings { wakes: wakes(&store), ..Settings::alone(store, world.clone()) };
        Self { settings, world }
    }

    /// Two processes on one database. Where it is embedded there could be only one: there it is two sets of loops.
    pub(crate) async fn two(database: &TestStore, engine: Engine) -> [Self; 2] {
        let second = if engine == Engine::Sqlite { database.store.clone() } else { database.another().await };
        [Self::on(database.store.clone()), Self::on(second)]
    }

    pub(crate) async fn start(&self, service: Service) -> Running {
        engine::start(service, &self.settings).await.unwrap()
    }
}

/// A service without anything.
pub(crate) fn plain(name: &'static str) -> Service {
    Service { name, migrations: &[], tables: &[], reads: &[], subscriptions: vec![], timers: vec![], jobs: vec![], ages: vec![] }
}

/// The bank: it only does what it is told.
pub(crate) fn bank() -> Service {
    plain("bank")
}

/// The counter: it hears what the bank says.
pub(crate) fn counter() -> Service {
    Service { subscriptions: vec![hearing()], ..plain("counter") }
}

/// What the counter does on the bank's events. It notes every second time, and every wrong order.
pub(crate) fn hearing() -> Subscription {
    Subscription::to("bank").work(hear)
}

pub(crate) fn hear(work: &mut Work<'_>, event: &Moved) -> Result<(), Stop> {
    let account = event.account.clone();
    work.want::<Heard>(&(account.clone(),));
    count(work, "moved", 1)?;
    let heard = work.find::<Heard>(&(account.clone(),))?;
    let (last, wrong) = heard.map_or((0, 0), |heard| (heard.last, heard.out_of_order));
    let out_of_order = wrong + i64::from(event.number != last + 1);
    work.save(Heard { account, last: event.number, out_of_order });
    Ok(())
}

/// Adds to a count.
pub(crate) fn count(work: &mut Work<'_>, name: &str, by: i64) -> Result<(), Stop> {
    let before = work.find::<Count>(&(name.to_owned(),))?.map_or(0, |count| count.count);
    work.save(Count { name: name.to_owned(), count: before + by });
    Ok(())
}

/// Adds to a balance.
pub(crate) fn pay_in(work: &mut Work<'_>, name: &str, amount: i64) -> Result<i64, Stop> {
    let balance = work.load::<Account>(&(name.to_owned(),), "account")?.balance + amount;
    work.save(Account { name: name.to_owned(), balance });
    Ok(balance)
}

/// Moves `amount` from one account to another and keeps note of it. Who has not enough is refused.
pub(crate) fn transfer(work: &mut Work<'_>, from: &str, to: &str, amount: i64) -> Result<Stored, Stop> {
    work.want::<Account>(&(to.to_owned(),));
    if work.load::<Account>(&(from.to_owned(),), "account")?.balance < amount {
        return Err(Fault::conflict("too-little", "there is not enough on this account").into());
    }
    pay_in(work, from, -amount)?;
    pay_in(work, to, amount)?;
    let id = work.new_id(Bucket(0));
    work.create(Transfer { id, amount })?;
    Ok(Stored { status: 201, resource: id.to_string() })
}

pub(crate) fn trace() -> TraceContext {
    TraceContext::start(&mut Draw::seeded(7))
}

/// Sends a transfer of `amount` under the key `name`.
pub(crate) async fn send(bank: &Handle, name: &str, (from, to): (&str, &str), amount: i64) -> Result<Reply, Fault> {
    let (scope, fingerprint) = ("anyone".to_owned(), format!("{from} {to} {amount}").into_bytes());
    let key = KeyScope { scope, key: name.to_owned(), bucket: Bucket(0), fingerprint, kept_ms: None };
    let (from, to) = (from.to_owned(), to.to_owned());
    let decide = move |work: &mut Work<'_>| transfer(work, &from, &to, amount);
    let show = |_: &mut Work<'_>, resource: &str| Ok(resource.into());
    bank.command(Command { lane: Lane::Order, key, trace: trace(), bytes: 100, deadline_ms: 20_000, decide, show }).await
}

/// Opens an account.
pub(crate) async fn open(bank: &Handle, name: &str, balance: i64) {
    let account = Account { name: name.to_owned(), balance };
    bank.decide(Lane::Rest, &trace(), move |work| work.create(account.clone())).await.unwrap();
}

/// Says of each account that it was moved, from the time `first` to the time `last`.
pub(crate) async fn say(bank: &Handle, accounts: &[&str], first: i64, last: i64) {
    for number in first..=last {
        let events: Vec<Moved> = accounts.iter().map(|account| Moved { account: (*account).to_owned(), number }).collect();
        bank.decide(Lane::Rest, &trace(), move |work| events.iter().try_for_each(|event| work.emit(event))).await.unwrap();
    }
}

pub(crate) async fn balance(bank: &Handle, name: &str) -> i64 {
    bank.find::<Account>(&(name.to_owned(),)).await.unwrap().unwrap().0.balance
}

pub(crate) async fn transfers(bank: &Handle) -> i64 {
    bank.read(&TRANSFERS, vec![]).await.unwrap()[0].int(0).unwrap()
}

pub(crate) async fn counted(handle: &Handle, name: &str) -> i64 {
    handle.find::<Count>(&(name.to_owned(),)).await.unwrap().map_or(0, |(count, _)| count.count)
}

/// What was heard of an account: the last number, and how often it came in a wrong order.
pub(crate) async fn heard(handle: &Handle, account: &str) -> (i64, i64) {
    let heard = handle.find::<Heard>(&(account.to_owned(),)).await.unwrap();
    heard.map_or((0, 0), |(heard, _)| (heard.last, heard.out_of_order))
}

/// Accounts enough to lie in every partition.
pub(crate) const ACCOUNTS: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];

/// Waits until all of the accounts were heard to `last`, and fails unless each event was applied once and in order.
pub(crate) async fn until_heard(counter: &Running, last: i64) {
    until("all is heard", || async {
        join_all(ACCOUNTS.map(|account| heard(&counter.handle, account))).await.iter().all(|(heard, _)| *heard >= last)
    })
    .await;
    for account in ACCOUNTS {
        assert_eq!(heard(&counter.handle, account).await, (last, 0), "{account}");
    }
    assert_eq!(counted(&counter.handle, "moved").await, last * 8, "each was counted once");
}

/// Ends services, one after the other.
pub(crate) async fn shut_down(all: impl IntoIterator<Item = Running>) {
    for running in all {
        running.shut_down().await;
    }
}

/// What of the other's log a service has not heard.
pub(crate) async fn behind(consumer: &Running, owner: &Running) -> Vec<Behind> {
    let owner_stands = owner.stands().await.unwrap();
    consumer.stands().await.unwrap().behind(owner.handle.service(), &owner_stands)
}

/// Waits until `met`, and fails if that never comes.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, mut met: impl FnMut() -> F) {
    let clock = TokioRuntime::new();
    for _ in 0..LOOKS_MAX {
        if met().await {
            return;
        }
        clock.sleep(LOOK_MS).await;
    }
    panic!("it never came that {what}");
}

/// Holds an executor in the middle of a batch, so that what is sent meanwhile waits in its lanes.
pub(crate) struct Gate {
    _closed: mpsc::Sender<()>,
}

impl Gate {
    pub(crate) async fn close(handle: &Handle) -> Self {
        let (closed, opened) = mpsc::channel();
        let (here, arrived) = oneshot::channel();
        let hold = Mutex::new(Some((here, opened)));
        let (runtime, handle) = (handle.runtime().clone(), handle.clone());
        let decide = move |_: &mut Work<'_>| {
            if let Some((here, opened)) = hold.lock().unwrap().take() {
                here.send(()).unwrap();
                wait_for(&opened);
            }
            Ok(())
        };
        runtime.spawn("gate", Box::pin(async move { handle.decide(Lane::Rest, &trace(), decide).await.unwrap() }));
        arrived.await.unwrap();
        Self { _closed: closed }
    }

    pub(crate) fn open(self) {}
}

/// What a decider of one process asks to be done at that very moment by another, as deciders never should.
pub(crate) struct Meanwhile(Mutex<mpsc::Sender<mpsc::Sender<()>>>);

impl Meanwhile {
    /// `act` is done by `handle` whenever it is asked for.
    pub(crate) fn by(handle: &Handle, act: fn(&mut Work<'_>) -> Result<(), Stop>) -> Self {
        let (ask, asked) = mpsc::channel::<mpsc::Sender<()>>();
        let (runtime, handle) = (handle.runtime().clone(), handle.clone());
        let acting = async move {
            while let Ok(done) = tokio::task::block_in_place(|| asked.recv()) {
                handle.decide(Lane::Rest, &trace(), act).await.unwrap();
                drop(done);
            }
        };
        runtime.spawn("meanwhile", Box::pin(acting));
        Self(Mutex::new(ask))
    }

    pub(crate) fn happens(&self) {
        let (done, until) = mpsc::channel();
        self.0.lock().unwrap().send(done).unwrap();
        wait_for(&until);
    }
}

/// Waits in a decider, which no real one may, until something is sent or the sender has gone.
pub(crate) fn wait_for(signal: &mpsc::Receiver<()>) {
    let _ = tokio::task::block_in_place(|| signal.recv());
}

/// Polls each of `futures` once, so that what they send waits in its lane, in their order.
pub(crate) fn sent<F: Future>(futures: impl IntoIterator<Item = F>) -> Vec<Pin<Box<F>>> {
    let mut futures: Vec<_> = futures.into_iter().map(Box::pin).collect();
    for future in &mut futures {
        assert!(future.now_or_never().is_none(), "what is behind a gate is not answered");
    }
    futures
}
