//! A copy that is rebuilt while its owner goes on: what was lost is there again, what the owner has no more is gone, and
//! nothing that is said again overtakes a change. Leaves which services copy what to the program.

use engine::{Copied, Handle, KeyScope, Lane, Pass, Republish, Running, Service, Subscription, Work, passes};
use futures_util::future::join;
use kernel::{BoxFuture, Bucket, Fault, FaultKind};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::{Kind, Migration, Read};

use crate::support::{Account, ENGINES, Heard, Process, bank, behind, heard, open, plain, ready, trace, until};

/// Up to how many accounts there are: more than one step says.
const ACCOUNTS: usize = 250;

/// What an account has, or that there is none.
#[derive(Clone, Serialize, Deserialize)]
struct Told {
    account: String,
    balance: Option<i64>,
}

impl contracts::Event for Told {
    const KIND: &'static str = "account.told.v1";
    const TOPIC: &'static str = "bank.accounts";

    fn place(&self) -> contracts::Place {
        contracts::Place { bucket: Bucket(0), key: self.account.clone() }
    }
}

macro_rules! names {
    ($read:literal, $table:literal, $column:literal) => {
        Read {
            name: $read,
            sql: concat!("SELECT ", $column, " FROM ", $table, " WHERE ", $column, " > $1 ORDER BY ", $column, " LIMIT $2"),
            arguments: &[Kind::Text, Kind::Int],
            answer: &[Kind::Text],
        }
    };
}

static OWNED: Read = names!("bank.names", "bank_account", "name");
static COPIED: Read = names!("counter.names", "counter_heard", "account");

fn names(read: &'static Read) -> impl Fn(Handle, Option<String>, i64) -> BoxFuture<'static, Result<Vec<String>, Fault>> {
    move |handle, after, limit| {
        Box::pin(async move {
            let rows = handle.read(read, vec![after.unwrap_or_default().into(), limit.into()]).await?;
            Ok(rows.iter().map(|row| row.text(0).unwrap().to_owned()).collect())
        })
    }
}

fn states() -> Vec<Republish> {
    let told = |work: &mut Work<'_>, account: &String| {
        let balance = work.find::<Account>(&(account.clone(),))?.map(|account| account.balance);
        balance.map_or(Ok(()), |balance| work.emit(&Told { account: account.clone(), balance: Some(balance) }))
    };
    let gone = |work: &mut Work<'_>, account: &String| match work.find::<Account>(&(account.clone(),))? {
        Some(_) => Ok(()),
        None => work.emit(&Told { account: account.clone(), balance: None }),
    };
    vec![Republish::of::<Told, String>(names(&OWNED), told).or_gone(gone)]
}

/// It keeps a copy of each account's balance.
fn copying() -> Service {
    let keep = |work: &mut Work<'_>, told: &Told| {
        let account = told.account.clone();
        match told.balance {
            Some(last) => work.save(Heard { account, last, out_of_order: 0 }),
            None => work.remove::<Heard>(&(account,)),
        }
        Ok(())
    };
    Service { subscriptions: vec![Subscription::to("bank").copy(keep)], ..plain("counter") }
}

fn key(name: &str) -> KeyScope {
    KeyScope { scope: "admin".to_owned(), key: name.to_owned(), bucket: Bucket(0), fingerprint: vec![], kept_ms: None }
}

/// Who owns the truth, and who has the copy.
struct Parties<'a> {
    owner: &'a Running,
    consumer: &'a Running,
    state: &'a Republish,
    copied: &'a Copied,
}

impl Parties<'_> {
    /// One step of `pass`, under `key`.
    async fn step(&self, pass: Pass, after: Option<Value>, key: KeyScope) -> Option<Value> {
        if !pass.gone {
            return self.state.say(&self.owner.handle, after, key, trace()).await.unwrap();
        }
        let (keys, next) = self.copied.keys(&self.consumer.handle, after).await.unwrap();
        self.state.say_gone(&self.owner.handle, keys, key, trace()).await.unwrap();
        next
    }

    /// Rebuilds the copy, sending each step twice, and tells in how many steps.
    async fn rebuild(&self, passes: &[Pass]) -> usize {
        let mut steps = 0;
        for pass in passes {
            let mut after = None;
            loop {
                let name = format!("step-{steps}");
                let next = self.step(*pass, after.clone(), key(&name)).await;
                let again = self.step(*pass, after, key(&name)).await;
                assert!(pass.gone || again == next, "a repeat leads on as the first time");
                steps += 1;
                after = next;
                if after.is_none() {
                    break;
                }
            }
        }
        steps
    }
}

/// Changes accounts as ever, each change with its event.
async fn go_on(bank: &Running, name: &dyn Fn(usize) -> String) {
    for round in 1..=40 {
        let account = name(round * 6);
        let change = move |work: &mut Work<'_>| {
            let balance = work.load::<Account>(&(account.clone(),), "account")?.balance + 1000;
            work.save(Account { name: account.clone(), balance });
            work.emit(&Told { account: account.clone(), balance: Some(balance) })
        };
        bank.handle.decide(Lane::Rest, &trace(), change).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_copy_is_rebuilt_while_its_owner_goes_on() {
    let name = |number: usize| format!("account-{number:03}");
    for engine in ENGINES {
        let database = ready(engine).await;
        let process = Process::on(database.store.clone());
        let (bank, counter) = (process.start(bank()).await, process.start(copying()).await);
        for number in 0..ACCOUNTS {
            open(&bank.handle, &name(number), i64::try_from(number).unwrap()).await;
        }
        // Of the copy there is only something that is not so: one wrong balance, and an account that nobody has.
        let wrong = "INSERT INTO counter_heard (account, version, last, out_of_order) VALUES ('account-007', 1, 77, 0), ('nobody', 1, 1, 0);";
        database.store.migrate(&[Migration { service: "havoc", number: 1, name: "by-hand", sql: wrong }]).await.unwrap();

        let (states, copies) = (states(), vec![Copied::of::<Told, String>(names(&COPIED))]);
        let (listens, other) = (&copying().subscriptions[0], &Subscription::to("counter"));
        let all = passes(listens, &states, &copies);
        assert_eq!(all, [false, true].map(|gone| Pass { kind: "account.told.v1", gone }), "{engine:?}");
        assert!(passes(other, &states, &copies).is_empty(), "{engine:?}: nobody copies from there");
        let parties = Parties { owner: &bank, consumer: &counter, state: &states[0], copied: &copies[0] };
        let (steps, ()) = join(parties.rebuild(&all), go_on(&bank, &name)).await;
        assert!(steps >= 4, "{engine:?}: {steps}");
        until("all is heard", || async { behind(&counter, &bank).await.is_empty() }).await;
        for number in 0..ACCOUNTS {
            let (truth, _) = bank.handle.find::<Account>(&(name(number),)).await.unwrap().unwrap();
            assert_eq!(heard(&counter.handle, &name(number)).await.0, truth.balance, "{engine:?}: {number}");
        }
        assert!(counter.handle.find::<Heard>(&("nobody".to_owned(),)).await.unwrap().is_none(), "{engine:?}");

        let odd = states[0].say(&bank.handle, Some(Value::Bool(true)), key("odd"), trace()).await.unwrap_err();
        assert_eq!(odd.kind, FaultKind::Invalid, "{engine:?}");
        for running in [bank, counter] {
            running.shut_down().await;
        }
    }
}
