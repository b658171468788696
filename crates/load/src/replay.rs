//! A replay: every basket of a file becomes an order and is carried to the doorstep, or refused with a true reason.
//! Leaves what shoppers, pickers and couriers do to their files.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use kernel::{BoxFuture, Millis, Runtime};

use crate::baskets;
use crate::city::City;
use crate::client::Client;
use crate::courier::Courier;
use crate::error::LoadError;
use crate::figures::Summary;
use crate::history::Stock;
use crate::people::{Logins, Session};
use crate::picker::{Claims, Picker};
use crate::progress;
use crate::shopper::Shopping;
use crate::tokens::TokenMix;
use crate::troubles::Managers;
use crate::world::{Started, World, start, together};
use crate::{levels, settle};

/// What to replay, where and how.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Replay {
    /// The baskets: one a line, item names parted by commas.
    pub file: PathBuf,
    /// The logins that the shop wrote.
    pub logins: PathBuf,
    /// Where the shop answers; several addresses are used in turn.
    pub urls: Vec<String>,
    /// How many shoppers shop at once.
    pub shoppers: usize,
    /// Where chance begins: quantities, addresses and tokens of each basket follow from it.
    pub seed: u64,
    /// Only so many baskets.
    pub limit: Option<usize>,
    /// Whether stock of some products and places of some slots are made scarce first.
    pub scarce: bool,
    /// How many of a hundred orders meet a trouble on purpose, from a second card to goods that come back.
    pub troubles_percent: u64,
    /// How many of a hundred orders are sent once only, answered or not, by somebody who looks later what became of it.
    pub impatient_percent: u64,
    /// Where to write what shoppers know of each order they placed, as JSON, a step a line. It is judged, too: nobody else may
    /// order meanwhile.
    pub history: Option<PathBuf>,
    /// Where to write the figures as JSON too.
    pub json: Option<PathBuf>,
    /// How shoppers pay.
    pub mix: TokenMix,
    /// Whether orders are left unverified and the shop unaudited at the end: for figures of the orders alone.
    pub unaudited: bool,
    /// After how long without any success the run is given up.
    pub give_up_after_ms: Millis,
    /// How long the shop may take to come to rest before it is audited as it is.
    pub settle_within_ms: Millis,
}

impl Replay {
    /// A replay of `file` with everything else as usual.
    #[must_use]
    pub fn new(file: PathBuf, logins: PathBuf, urls: Vec<String>) -> Self {
        Self {
            file,
            logins,
            urls,
            shoppers: 64,
            seed: 1,
            limit: None,
            scarce: false,
            troubles_percent: 0,
            impatient_percent: 0,
            history: None,
            json: None,
            mix: TokenMix::default(),
            unaudited: false,
            give_up_after_ms: 60_000,
            settle_within_ms: 120_000,
        }
    }
}

/// Replays baskets. The run is good if [`Summary::is_clean`] says so.
///
/// # Errors
/// If it cannot begin, or the shop does not answer for too long, or answers what is no answer.
pub async fn replay(runtime: Arc<dyn Runtime>, options: Replay) -> Result<Summary, LoadError> {
    if options.shoppers == 0 {
        return Err(LoadError::Options("at least one shopper must shop".to_owned()));
    }
    let client = Arc::new(Client::new(runtime.clone(), &options.urls, options.give_up_after_ms)?);
    let logins = Logins::read(&options.logins)?;
    let baskets = baskets::read(&options.file, options.limit)?;
    let city = City::explore(&client, &baskets).await?;
    let managers = logins.managers().map(|(store, login)| (store, Session::new(client.clone(), login)));
    let world = Arc::new(World::new(client.clone(), Managers(managers.collect())));
    let admin = Session::new(client.clone(), &logins.admin);
    if options.scarce {
        levels::make_scarce(&client, &admin).await?;
    }

    let before = match options.history {
        Some(_) => Stock::read(&client, &admin).await?,
        None => Stock::default(),
    };
    let staff = open(&world, &logins, baskets.len());
    let regulars = logins.shoppers.iter().map(|login| Session::new(client.clone(), login)).collect();
    let Replay { seed, mix, troubles_percent, impatient_percent, .. } = options;
    let shopping = Shopping { world: world.clone(), city, baskets, regulars, seed, mix, troubles_percent, impatient_percent };
    let began = runtime.now();
    let shopped = shop(Arc::new(shopping), options.shoppers).await;
    let elapsed_ms = runtime.now().since_ms(began);
    world.closing.close();
    if let Some(path) = &options.history {
        world.history.write(path)?;
    }
    // A shop that is gone would keep everybody else trying as long again.
    shopped?;
    let left = staff.all().await?;

    let mut summary = world.figures.summary(elapsed_ms, client.repeats());
    summary.faults = left.into_iter().filter_map(Result::err).map(|error| format!("staff: {error}")).collect();
    if !options.unaudited {
        summary.faults.extend(settle::verify(&client, &world.figures.acknowledged()).await?);
        summary.audit = Some(settle::audit_at_rest(&runtime, &admin, &options.urls[0], options.settle_within_ms).await?);
    }
    if options.history.is_some() {
        let shop = settle::facts(&runtime, &admin, &options.urls[0]).await?;
        summary.faults.extend(world.history.verify(&client, &admin, shop, before).await?);
    }
    if let Some(path) = &options.json {
        settle::write_json(path, &summary)?;
    }
    Ok(summary)
}

/// Starts the working day: pickers and couriers, and the display for whoever looks.
fn open(world: &Arc<World>, logins: &Logins, baskets: usize) -> Started<Result<(), LoadError>> {
    let session = |login| Session::new(world.client.clone(), login);
    let claims = Claims::default();
    let mut tasks: Vec<BoxFuture<'static, Result<(), LoadError>>> = Vec::new();
    for (store, login) in logins.pickers() {
        let picker = Picker { world: world.clone(), session: session(login), store, claims: claims.clone() };
        tasks.push(Box::pin(async move { told(picker.work().await, "a picker") }));
    }
    for login in &logins.couriers {
        let courier = Courier { world: world.clone(), session: session(login) };
        tasks.push(Box::pin(async move { told(courier.work().await, "a courier") }));
    }
    let display = progress::show(world.clone(), baskets);
    tasks.push(Box::pin(async move {
        display.await;
        Ok(())
    }));
    start(&**world.runtime(), "load-staff", tasks)
}

/// Says at once that somebody stopped working: everybody else may be waiting for them.
fn told(worked: Result<(), LoadError>, who: &'static str) -> Result<(), LoadError> {
    if let Err(error) = &worked {
        tracing::error!(%error, "{who} stopped working");
    }
    worked
}

/// Lets so many shoppers take one basket after the other until none is left. What one basket meets is counted and the next is
/// taken; only a shop that does not answer any more ends the run.
async fn shop(shopping: Arc<Shopping>, shoppers: usize) -> Result<(), LoadError> {
    let next = Arc::new(AtomicUsize::new(0));
    let shopper = |_| -> BoxFuture<'static, Result<(), LoadError>> {
        let (shopping, next) = (shopping.clone(), next.clone());
        Box::pin(async move {
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if index >= shopping.baskets.len() {
                    return Ok(());
                }
                let figures = &shopping.world.figures;
                match shopping.serve(index).await {
                    Err(gone @ LoadError::GivenUp { .. }) => return Err(gone),
                    Err(error) => figures.fail(format!("basket {}: {error}", index + 1)),
                    Ok(()) => {}
                }
                figures.finish_basket();
            }
        })
    };
    let tasks = (0..shoppers).map(shopper).collect();
    let ended = together(&**shopping.world.runtime(), "load-shopper", tasks).await?;
    ended.into_iter().collect()
}
