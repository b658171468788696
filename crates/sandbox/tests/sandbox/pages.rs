//! The shopper's page: what it asks, what each answer does, and what it refuses.
//! Leaves the intent's machine to `domain`.

use testkit::{brief, is, ok, on_both, problem};
use web::{Call, Reply, json};

use crate::bank::{Bank, INTENTS, dollars, wanted};

on_both! { Bank::open =>
    who_agrees_pays
    who_refuses_pays_nothing
    what_is_no_answer_is_refused
}

const FORM: &str = "application/x-www-form-urlencoded";

impl Bank {
    async fn asks(&self) -> (String, String) {
        let outcome = ok(&self.demand(INTENTS, &self.fresh_key(), &wanted("r", "tok_action")).await);
        let text = |member: &str| outcome[member].as_str().unwrap().to_owned();
        (text("intent"), text("url"))
    }

    async fn page(&self, url: &str) -> String {
        let reply = self.get(url).await;
        let policy = reply.header("content-security-policy").unwrap();
        assert!(reply.status == 200 && policy.starts_with("default-src 'none'; form-action 'self'"), "{reply:?}");
        String::from_utf8(reply.body.to_vec()).unwrap()
    }

    async fn says(&self, url: &str, form: &str) -> Reply {
        self.send(Call::post(url).bytes(FORM, form.to_owned())).await
    }
}

async fn who_agrees_pays(bank: Bank) {
    let (intent, url) = bank.asks().await;
    assert!(bank.page(&url).await.contains("USD 10.00"));
    let refused = bank.done(&intent, "capture", &json!({ "amount": dollars(1) })).await;
    assert_eq!(refused["reason"], "requires-action");
    // Twice, and then the other word: the first one counts.
    for form in ["answer=approve", "answer=approve", "answer=refuse"] {
        let reply = bank.says(&url, form).await;
        assert_eq!((reply.status.as_u16(), reply.header("location")), (303, Some(url.as_str())));
        assert_eq!(bank.intent(&intent).await["state"], "authorised");
    }
    assert!(!bank.page(&url).await.contains("<form"));
    assert!(bank.running.pending().await.unwrap().timers.is_empty(), "nobody waits for the shopper any more");
    assert_eq!(bank.done(&intent, "capture", &json!({ "amount": dollars(1000) })).await["outcome"], "done");
    bank.close().await;
}

async fn who_refuses_pays_nothing(bank: Bank) {
    let (intent, url) = bank.asks().await;
    bank.says(&url, "answer=refuse").await;
    let found = bank.intent(&intent).await;
    assert_eq!((&found["state"], &found["action_url"]), (&json!("declined"), &json!(null)));
    assert_eq!(bank.done(&intent, "void", &json!({})).await["outcome"], "done");
    let (intent, url) = bank.asks().await;
    assert_eq!(bank.done(&intent, "void", &json!({})).await["outcome"], "done");
    bank.says(&url, "answer=approve").await;
    assert_eq!(bank.intent(&intent).await["state"], "voided", "what is no longer wanted stays so");
    assert_eq!(bank.books().await["voided_minor"], 0);
    bank.close().await;
}

async fn what_is_no_answer_is_refused(bank: Bank) {
    let (intent, url) = bank.asks().await;
    for form in ["", "answer=", "answer=maybe", "answer=approve&answer=refuse", "{}"] {
        assert_eq!(brief(&bank.says(&url, form).await), is(422, "invalid-field", "/answer"), "{form}");
    }
    assert_eq!(problem(&bank.says("/sandbox/actions/pi_nobody", "answer=approve").await).0, 404);
    for nobody in ["pi_nobody", "%00", "%E2%98%83"] {
        assert_eq!(problem(&bank.get(&format!("/sandbox/actions/{nobody}")).await).0, 404, "{nobody}");
        for path in [format!("{INTENTS}/{nobody}"), format!("/sandbox/v1/demands/{nobody}")] {
            assert_eq!(problem(&bank.look(&path).await).0, 404, "{path}");
        }
    }
    assert_eq!(bank.intent(&intent).await["state"], "requires-action");
    bank.close().await;
}
