//! A copy that is rebuilt while its owner goes on: what was lost is there again, what the owner has no more is gone, and
//! nothing that is said again overtakes a change. Leaves which services copy what to the program.

use engine::{Copied, Handle, KeyScope, Lane, Position, Republish, Resync, Running, Service, Subscription, Work};
use futures_util::future::join;
use kernel::{BoxFuture, Bucket, Fault, FaultKind};
use serde::{Deserialize, Serialize};
use store::{Kind, Migration, Read};

use crate::support::{Account, ENGINES, Heard, Process, bank, heard, open, plain, ready, trace, until};

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

/// Rebuilds the copy, sending each step twice, and tells in how many steps.
async fn rebuild(resync: &Resync<'_>) -> usize {
    let (mut at, mut steps): (Option<Position>, usize) = (None, 0);
    loop {
        let name = format!("step-{steps}");
        let next = resync.step(at.clone(), key(&name), trace()).await.unwrap();
        assert_eq!(resync.step(at.clone(), key(&name), trace()).await.unwrap(), next, "a repeat leads on as the first time");
        steps += 1;
        match next {
            Some(next) => at = Some(next),
            None => return steps,
        }
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
        let resync = Resync { consumer: &counter, owner: &bank, states: &states, copies: &copies };
        assert!(resync.is_possible(), "{engine:?}");
        let (steps, ()) = join(rebuild(&resync), go_on(&bank, &name)).await;
        assert!(steps >= 4, "{engine:?}: {steps}");
        let until_seq = resync.progress().await.unwrap().last;
        until("all is heard", || async { resync.progress().await.unwrap().heard >= until_seq }).await;
        for number in 0..ACCOUNTS {
            let (truth, _) = bank.handle.find::<Account>(&(name(number),)).await.unwrap().unwrap();
            assert_eq!(heard(&counter.handle, &name(number)).await.0, truth.balance, "{engine:?}: {number}");
        }
        assert!(counter.handle.find::<Heard>(&("nobody".to_owned(),)).await.unwrap().is_none(), "{engine:?}");

        let odd: Position = serde_json::from_str(r#"{"pass":9,"after":null}"#).unwrap();
        let refused = resync.step(Some(odd), key("odd"), trace()).await.unwrap_err();
        assert_eq!(refused.kind, FaultKind::Invalid, "{engine:?}");
        let nothing = Resync { owner: &counter, ..resync };
        assert!(!nothing.is_possible(), "{engine:?}: nobody copies from there");
        for running in [bank, counter] {
            running.shut_down().await;
        }
    }
}
