//! Seals: only the same secret and purpose open them.
//! Leaves capabilities and quotes to orders.

use proptest::prelude::*;
use web::Seal;

#[test]
fn a_seal_opens_for_its_purpose_and_secret_only() {
    let seal = Seal::generate().unwrap();
    let text = seal.seal("cart", b"0197");
    assert_eq!(seal.open("cart", &text), Some(b"0197".to_vec()));
    assert_eq!(Seal::from_bytes(*seal.as_bytes()).open("cart", &text), Some(b"0197".to_vec()));
    assert_eq!(seal.open("quote", &text), None);
    assert_eq!(Seal::generate().unwrap().open("cart", &text), None);
    assert_ne!(seal.seal("ab", b"c"), seal.seal("a", b"bc"));
    assert_eq!(format!("{seal:?}"), "Seal(***)");
}

#[test]
fn a_forged_seal_does_not_open() {
    let seal = Seal::from_bytes([7; 32]);
    let text = seal.seal("cart", b"0197");
    let (payload, mac) = text.split_once('.').unwrap();
    let other = seal.seal("cart", b"0198");
    let (other_payload, _) = other.split_once('.').unwrap();
    let forged = [
        String::new(),
        ".".to_owned(),
        payload.to_owned(),
        format!("{payload}."),
        format!("{other_payload}.{mac}"),
        format!("{payload}.{}", &mac[..mac.len() - 2]),
        format!("{payload}.{mac}."),
        format!("{payload}={mac}"),
        format!(".{mac}"),
    ];
    for text in forged {
        assert_eq!(seal.open("cart", &text), None, "{text}");
    }
}

proptest! {
    #[test]
    fn any_payload_comes_back_and_no_text_panics(payload: Vec<u8>, purpose: String, text: String) {
        let seal = Seal::from_bytes([7; 32]);
        prop_assert_eq!(seal.open(&purpose, &seal.seal(&purpose, &payload)), Some(payload));
        prop_assert_eq!(seal.open(&purpose, &text), None);
    }

    #[test]
    fn one_changed_character_is_seen(payload: [u8; 16], at in 0usize..66, letter in "[A-Za-z0-9_.-]") {
        let seal = Seal::from_bytes([7; 32]);
        let text = seal.seal("cart", &payload);
        let at = at.min(text.len() - 1);
        let changed = format!("{}{letter}{}", &text[..at], &text[at + 1..]);
        prop_assume!(changed != text);
        prop_assert_eq!(seal.open("cart", &changed), None);
    }
}
