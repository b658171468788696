//! How much there is of things, set as the admin before a run: plenty, exactly so much, or scarce.
//! Leaves what shoppers make of it to `replay` and `rush`.

use contracts::{Sku, SlotKey};
use serde::Deserialize;
use serde_json::json;

use crate::city::{PAGE_LIMIT, Page, StoreView, list};
use crate::client::{Ask, Client};
use crate::error::LoadError;
use crate::people::Session;

/// How often a level is set until it is as wanted.
const LEVEL_TRIES_MAX: usize = 5;
/// Of every how-manieth product scarcity leaves few.
const SCARCE_PRODUCTS_STEP: usize = 8;
/// How many units it leaves of those, and how many places in the first slot of each store.
const SCARCE_UNITS: i64 = 25;

/// How much of a thing there is after it was set.
#[derive(Deserialize)]
struct Level {
    #[serde(alias = "left")]
    available: i64,
}

#[derive(Deserialize)]
struct Listed {
    sku: Sku,
}

#[derive(Deserialize)]
struct Offered {
    starts_at: SlotKey,
}

/// Makes some products of each store scarce, and the places of its first slot.
pub(crate) async fn make_scarce(client: &Client, admin: &Session) -> Result<(), LoadError> {
    for store in list::<StoreView>(client, "/v1/stores").await? {
        let of_store = format!("/v1/admin/stores/{}", store.id);
        let products: Vec<Listed> = list(client, &format!("/v1/stores/{}/products", store.id)).await?;
        for Listed { sku } in products.iter().step_by(SCARCE_PRODUCTS_STEP) {
            set_level(client, admin, &format!("{of_store}/stock/{sku}"), "on_hand", SCARCE_UNITS).await?;
        }
        let slots = format!("/v1/stores/{}/slots?limit={PAGE_LIMIT}", store.id);
        let slots: Page<Offered> = client.send(&Ask::get(slots)).await?.expect()?;
        if let Some(Offered { starts_at }) = slots.items.first() {
            set_level(client, admin, &format!("{of_store}/slots/{starts_at}/places"), "places", SCARCE_UNITS).await?;
        }
    }
    Ok(())
}

/// Sets how much of a thing is to be had, beyond what earlier orders have of it. How much that is, the answers tell: a
/// refusal names the least that can be set, and a level what is available of what was set.
pub(crate) async fn set_level(client: &Client, admin: &Session, path: &str, name: &str, wanted: i64) -> Result<(), LoadError> {
    let mut in_all = wanted;
    for _ in 0..LEVEL_TRIES_MAX {
        let ask = Ask::put(path).key(client.new_key()).body(json!({ name: in_all }));
        let reply = admin.send(&ask).await?;
        if let (409, Some(least)) = (reply.status, reply.problem().members["least"].as_i64()) {
            in_all = least.saturating_add(wanted);
            continue;
        }
        let available = reply.expect::<Level>()?.available;
        if available == wanted {
            return Ok(());
        }
        in_all = in_all.saturating_add(wanted - available);
    }
    Err(LoadError::Options(format!("PUT {path}: orders come in meanwhile; a rush needs a shop to itself")))
}
