//! Every fail point, one after the other: the process dies there, comes back, and goes on. The points are read from the
//! source, and which of them are reached is written down by the processes, so a new step is crashed without anybody listing it.
//! Leaves crashes between the steps to `storms`.

use std::collections::BTreeSet;
use std::path::Path;

use crate::promotion;
use crate::shop::{Base, Shop};

/// How long a process may take to come again to a point that was reached before.
const REACHED_WITHIN_S: u64 = 40;

/// What tells a process what to do at its points.
pub(crate) const DEEDS: &str = "SWIFTCART_FAIL_POINTS";

#[tokio::test(flavor = "multi_thread")]
async fn a_death_at_any_step_loses_nothing() {
    let mut crashed = every_point(&Base::Sqlite, &BTreeSet::new()).await;
    crashed.append(&mut every_point(&Base::Postgres(1), &BTreeSet::new()).await);
    // On the same database by Kafka: what is new there.
    crashed.append(&mut every_point(&Base::Kafka, &crashed).await);
    crashed.append(&mut promotion::every_point().await);
    let points = xtask::fail_points::all().expect("the points of the source");
    let never: Vec<&str> = points.iter().map(|point| point.name.as_str()).filter(|name| !crashed.contains(*name)).collect();
    assert_eq!(never, Vec::<&str>::new(), "no story comes to these fail points");
}

/// Crashes a shop at every point that it comes to, but for `others`, and tells which these were.
async fn every_point(base: &Base, others: &BTreeSet<String>) -> BTreeSet<String> {
    let directory = tempfile::tempdir().expect("a directory");
    let file = |name: &str| directory.path().join(name);
    let record = |name: &str| format!("record={}", file(name).display());
    let mut shop = Shop::recorded(base, (DEEDS, &record("birth"))).await;
    assert!(shop.restart(0, &[(DEEDS, &record("life"))]), "the shop opens again");
    shop.restart_provider(&[(DEEDS, &record("provider"))]);
    shop.traffic(1).end().unwrap_or_else(|failed| panic!("{failed}"));
    let new = |name: &str, known: &BTreeSet<String>| -> BTreeSet<String> {
        names(&file(name)).into_iter().filter(|point| !known.contains(point) && !others.contains(point)).collect()
    };
    let life = new("life", &BTreeSet::new());
    let (birth, theirs) = (new("birth", &life), new("provider", &life));

    let traffic = shop.traffic(2);
    for (number, point) in life.iter().enumerate() {
        let crash = format!("crash={point}@{}", 1 + number % 3);
        let open = shop.restart(0, &[(DEEDS, &crash)]);
        assert!(!open || shop.servers[0].ends_within(REACHED_WITHIN_S), "the shop does not come to {point} again");
        assert!(!traffic.has_failed(), "at {point}: {:?}", traffic.end());
    }
    assert!(shop.restart(0, &[]), "the shop opens at last");
    for point in &theirs {
        let died = shop.crash_provider((DEEDS, &format!("crash={point}@1")), REACHED_WITHIN_S);
        assert!(died, "the provider does not come to {point} again");
        assert!(!traffic.has_failed(), "at {point}: {:?}", traffic.end());
    }
    let rounds = traffic.end().unwrap_or_else(|failed| panic!("{failed}"));
    assert_eq!(shop.faults(), Vec::<String>::new());
    for point in &birth {
        dies_at_birth(base, point).await;
    }
    let (all, born) = (life.len() + theirs.len() + birth.len(), birth.len());
    println!("{base:?}: died at {all} fail points, {born} of them while the shop was made; {rounds} rounds of baskets meanwhile");
    [life, theirs, birth].into_iter().flatten().collect()
}

/// Makes a shop that dies at `point` while it is made, and once more without.
async fn dies_at_birth(base: &Base, point: &str) {
    let (mut shop, died) = Shop::try_open(base, (DEEDS, &format!("crash={point}@1"))).await;
    assert!(died, "a shop does not come to {point} while it is made");
    assert!(shop.restart(0, &[]), "a shop that died at {point} while it was made opens at last");
    assert_eq!(shop.faults(), Vec::<String>::new(), "{point}");
}

/// The points that were written down in `file`.
pub(crate) fn names(file: &Path) -> BTreeSet<String> {
    std::fs::read_to_string(file).unwrap_or_default().lines().map(str::to_owned).collect()
}
