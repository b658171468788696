//! Every fail point, one after the other: the process dies there, comes back, and goes on. The points are read from the
//! source, so a new step is crashed without anybody listing it.
//! Leaves crashes between the steps to `storms`.

use std::collections::BTreeSet;
use std::path::Path;

use crate::shop::{Base, Shop};

/// How long a process may take to come to a point before it counts as never reached.
const REACHED_WITHIN_S: u64 = 25;

#[tokio::test(flavor = "multi_thread")]
async fn a_death_at_any_step_loses_nothing_on_sqlite() {
    every_point(&Base::Sqlite, ".postgres-").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_death_at_any_step_loses_nothing_on_postgresql() {
    every_point(&Base::Postgres(1), ".sqlite-").await;
}

/// Lets the shop die at every point but those whose name has `not_here` in it: the other engine's.
async fn every_point(base: &Base, not_here: &str) {
    let points: Vec<String> = points().into_iter().filter(|point| !point.contains(not_here)).collect();
    assert!(points.len() > 10, "the source has fail points: {points:?}");
    let mut shop = Shop::open(base, 1, &SHORT).await;
    let traffic = shop.traffic(1);
    let mut never = Vec::new();
    for (number, point) in points.iter().enumerate() {
        if !dies_at(&mut shop, point, 1 + number % 3) {
            never.push(point.as_str());
        }
        assert!(!traffic.has_failed(), "at {point}: {:?}", traffic.end());
    }
    assert!(shop.restart(0, &[]), "the shop opens at last");
    let rounds = traffic.end().unwrap_or_else(|failed| panic!("{failed}"));
    assert_eq!(shop.faults(), Vec::<String>::new());
    // What only happens when a shop is made is tried on one that is just being made.
    let mut born = Vec::new();
    for point in never.iter().copied() {
        if dies_at_birth(base, point).await {
            born.push(point);
        }
    }
    never.retain(|point| !born.contains(point));
    println!("{} fail points, {} of them at the birth of a shop, {rounds} rounds of baskets", points.len(), born.len());
    assert_eq!(never, Vec::<&str>::new(), "no story comes to these fail points");
}

/// What happens seldom happens often here.
const SHORT: [(&str, &str); 1] = [("SWIFTCART__PAYMENTS__WORKER_EVERY_MS", "200")];

/// Starts the shop so that it dies at the `hit`-th time that it comes to `point`, and waits for that.
fn dies_at(shop: &mut Shop, point: &str, hit: usize) -> bool {
    let crash = format!("crash={point}@{hit}");
    let open = shop.restart(0, &[("SWIFTCART_FAIL_POINTS", &crash)]);
    !open || shop.servers[0].ends_within(REACHED_WITHIN_S)
}

/// Makes a shop that dies at `point` while it is made, and once more without; says whether it died.
async fn dies_at_birth(base: &Base, point: &str) -> bool {
    let crash = format!("crash={point}@1");
    let (mut shop, died) = Shop::try_open(base, ("SWIFTCART_FAIL_POINTS", &crash)).await;
    assert!(shop.restart(0, &[]), "a shop that died at {point} while it was made opens at last");
    assert_eq!(shop.faults(), Vec::<String>::new(), "{point}");
    died
}

/// Every fail point of the source.
fn points() -> BTreeSet<String> {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the folder of all crates");
    let mut points = BTreeSet::new();
    let mut folders: Vec<_> = folders_in(crates).map(|package| package.join("src")).collect();
    while let Some(folder) = folders.pop() {
        folders.extend(folders_in(&folder));
        for file in entries(&folder).filter(|path| path.extension().is_some_and(|extension| extension == "rs")) {
            let text = std::fs::read_to_string(&file).expect("a source file");
            points.extend(text.split("fail_point!(\"").skip(1).filter_map(|rest| rest.split('"').next()).map(str::to_owned));
        }
    }
    points
}

fn entries(folder: &Path) -> impl Iterator<Item = std::path::PathBuf> {
    std::fs::read_dir(folder).into_iter().flatten().map(|entry| entry.expect("an entry").path())
}

fn folders_in(folder: &Path) -> impl Iterator<Item = std::path::PathBuf> {
    entries(folder).filter(|path| path.is_dir())
}
