//! The books: intents in the order of their changes, and their sums.
//! Leaves double payments to `keys`.

use testkit::{ok, on_both};
use web::{Json, json};

use crate::bank::{Bank, INTENTS, dollars};

on_both! { Bank::open =>
    changes_are_read_in_their_order_and_none_is_skipped
    the_sums_are_those_of_the_intents
}

impl Bank {
    /// The intents that changed after `after`, in pages of two, each as its id and the number of its change.
    async fn changed(&self, after: i64) -> Vec<(String, i64)> {
        let (mut after, mut all) = (after, Vec::new());
        loop {
            let page = ok(&self.look(&format!("{INTENTS}?after={after}&limit=2")).await);
            let item = |item: &Json| (item["intent"].as_str().unwrap().to_owned(), item["changed"].as_i64().unwrap());
            all.extend(page["items"].as_array().unwrap().iter().map(item));
            let Some(next) = page["next"].as_i64() else { return all };
            assert_eq!(Some(next), all.last().map(|last| last.1));
            after = next;
        }
    }
}

async fn changes_are_read_in_their_order_and_none_is_skipped(bank: Bank) {
    let mut intents = Vec::new();
    for reference in ["a", "b", "c", "d", "e"] {
        intents.push(bank.held(reference, "tok_ok").await);
    }
    let numbered: Vec<(String, i64)> = intents.iter().cloned().zip(1..).collect();
    assert_eq!(bank.changed(0).await, numbered);
    bank.done(&intents[1], "void", &json!({})).await;
    assert_eq!(bank.changed(5).await, [(intents[1].clone(), 6)]);
    // What changes nothing gets no number.
    bank.done(&intents[1], "void", &json!({})).await;
    assert_eq!(bank.changed(6).await, []);
    let order: Vec<String> = bank.changed(0).await.into_iter().map(|changed| changed.0).collect();
    assert_eq!(order, [0, 2, 3, 4, 1].map(|index| intents[index].clone()));
    bank.close().await;
}

async fn the_sums_are_those_of_the_intents(bank: Bank) {
    for what in ["capture", "void", "expire", "nothing"] {
        let intent = bank.held(what, "tok_ok").await;
        match what {
            "capture" => {
                bank.done(&intent, what, &json!({ "amount": dollars(800) })).await;
                bank.done(&intent, "refunds", &json!({ "amount": dollars(300) })).await;
            }
            "nothing" => {}
            _ => drop(bank.done(&intent, what, &json!({})).await),
        }
    }
    bank.held("asks", "tok_action").await;
    bank.until("all webhooks are sent", async || bank.books().await["webhooks_waiting"] == 0).await;
    let expected = json!({
        "intents": 5, "requires_action": 1, "authorised_open": 1, "declined": 0, "captured": 1, "voided": 1, "expired": 1,
        "authorised_open_minor": 1000, "captured_minor": 800, "voided_minor": 1000, "refunded_minor": 300,
        "captured_twice": 0, "open_twice": 0, "open_beside_captured": 0, "demands": 9, "webhooks_waiting": 0,
    });
    assert_eq!(bank.books().await, expected);
    bank.close().await;
}
