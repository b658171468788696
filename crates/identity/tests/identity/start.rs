//! What the composition calls at start, by one process or by two at once, and the tables as the database has them.
//! Leaves the routes to the other files.

use contracts::identity::TokenKeyPublished;
use identity::{Secret, ensure_admin, ensure_signing_key};
use testkit::ok;

use crate::shop::{ADMIN, PASSWORD, Shop, config};

testkit::on_both! {
    Shop::open =>
    two_processes_make_one_key_and_one_admin
    a_first_admin_must_be_sound_and_is_made_once
    a_customer_is_somebody
    every_read_and_table_fits_the_database
}

async fn two_processes_make_one_key_and_one_admin(shop: Shop) {
    let other = shop.another().await;
    let (one, two) = (&shop.identity.handle, &other.identity.handle);
    let (first, second) = tokio::join!(ensure_signing_key(one), ensure_signing_key(two));
    assert_eq!(first, second);
    let published = shop.events_of::<TokenKeyPublished>("identity").await;
    assert_eq!(published.len(), 1);
    assert_eq!(published[0].kid, first.unwrap().kid);

    let (first, second) = tokio::join!(
        ensure_admin(one, "Ada", ADMIN, Secret::new(PASSWORD)),
        ensure_admin(two, "Ada", ADMIN, Secret::new("another good password")),
    );
    assert_ne!(first.unwrap(), second.unwrap());
    let statuses = [shop.sign_in(ADMIN, PASSWORD).await.status, shop.sign_in(ADMIN, "another good password").await.status];
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
    // A token of one is taken by the other.
    let reply = other.sign_in(ADMIN, if statuses[0] == 200 { PASSWORD } else { "another good password" }).await;
    shop.keyring.insert(&ensure_signing_key(two).await.unwrap());
    let token = ok(&reply)["token"].as_str().unwrap().to_owned();
    assert_eq!(shop.get_as("/v1/me", &token).await.status, 200);
    other.close().await;
    shop.close().await;
}

async fn a_first_admin_must_be_sound_and_is_made_once(shop: Shop) {
    let handle = &shop.identity.handle;
    for (name, email, password) in [("", ADMIN, PASSWORD), ("Ada", "ada", PASSWORD), ("Ada", ADMIN, "password123")] {
        assert!(ensure_admin(handle, name, email, Secret::new(password)).await.is_err());
    }
    assert_eq!(ensure_admin(handle, "Ada", ADMIN, Secret::new(PASSWORD)).await, Ok(true));
    assert_eq!(ensure_admin(handle, "Eve", "eve@example.org", Secret::new(PASSWORD)).await, Ok(false));
    assert_eq!(shop.sign_in("eve@example.org", PASSWORD).await.status, 401);
    shop.token_of(ADMIN).await;
    shop.close().await;
}

async fn a_customer_is_somebody(shop: Shop) {
    assert_eq!(shop.sign_up("k", "grace@example.org", PASSWORD).await.status, 201);
    assert_eq!(ensure_admin(&shop.identity.handle, "Ada", ADMIN, Secret::new(PASSWORD)).await, Ok(false));
    shop.close().await;
}

async fn every_read_and_table_fits_the_database(shop: Shop) {
    shop.database.assert_fits(&identity::service(&config())).await;
    shop.close().await;
}
