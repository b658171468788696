//! How clients of librdkafka are made from the settings, and where what they tell goes.
//! Leaves what each client is for to its file.

use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::KafkaError;

use super::Kafka;
use crate::Security;

/// How long a call that waits for a broker may take.
pub(super) const CALL_MAX: std::time::Duration = std::time::Duration::from_secs(10);

impl Kafka {
    /// What all clients have in common.
    pub(super) fn client(&self) -> ClientConfig {
        let config = &*self.config;
        let mut client = ClientConfig::new();
        client.set("bootstrap.servers", &config.servers).set("client.id", "swiftcart");
        // A broker that comes back is found at once, and one that is gone does not keep a core busy.
        client.set("reconnect.backoff.ms", "50").set("reconnect.backoff.max.ms", "1000");
        client.set("socket.keepalive.enable", "true").set("socket.nagle.disable", "true");
        let protocol = match config.security {
            Security::Plaintext => "plaintext",
            Security::Tls => "ssl",
            Security::SaslPlaintext => "sasl_plaintext",
            Security::SaslTls => "sasl_ssl",
        };
        client.set("security.protocol", protocol);
        if config.security.needs_tls() && !config.ca_file.is_empty() {
            client.set("ssl.ca.location", &config.ca_file);
        }
        if config.security.needs_password() {
            client.set("sasl.mechanism", &config.mechanism);
            client.set("sasl.username", &config.username).set("sasl.password", &config.password);
        }
        client
    }
}

/// Notes what librdkafka tells of its connections. What matters comes back as the result of a call besides.
pub(super) struct Telling;

impl ClientContext for Telling {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        tell(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tell_error(&error, reason);
    }
}

pub(super) fn tell(level: RDKafkaLogLevel, facility: &str, message: &str) {
    match level {
        RDKafkaLogLevel::Debug | RDKafkaLogLevel::Info | RDKafkaLogLevel::Notice => tracing::trace!(facility, message, "Kafka"),
        _ => tracing::debug!(facility, message, "Kafka"),
    }
}

pub(super) fn tell_error(error: &KafkaError, reason: &str) {
    tracing::info!(%error, reason, "Kafka");
}
