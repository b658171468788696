//! How a webhook is signed, so that whoever shares the secret knows from whom it comes and when it was sent.
//! Leaves checking to whoever receives it.

use aws_lc_rs::hmac;
use kernel::Timestamp;

/// The header that holds a webhook's signature, in lower case.
pub const SIGNATURE_HEADER: &str = "sandbox-signature";

/// The signature of `body` sent at `at`: `t=<unix seconds>,v1=<hex of HMAC-SHA256(secret, "<t>.<body>")>`.
#[must_use]
pub fn sign(secret: &str, at: Timestamp, body: &[u8]) -> String {
    let seconds = at.as_millis().div_euclid(1000);
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let tag = hmac::sign(&key, &[format!("{seconds}.").as_bytes(), body].concat());
    format!("t={seconds},v1={}", hex(tag.as_ref()))
}

/// `bytes` as hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_the_one_that_others_compute() {
        // printf '1764000000.{}' | openssl dgst -sha256 -hmac secret
        let signature = sign("secret", Timestamp::from_millis(1_764_000_000_999), b"{}");
        assert_eq!(signature, "t=1764000000,v1=b691197929ebc73b102d12f9a4689644cb2d1a38c9f2d1883b9f478077313f85");
    }
}
