//! The settings of the log: by what way events travel, how long they are kept, and where Kafka is.
//! Leaves reading them to the composition.

use kernel::Millis;
use serde::Deserialize;

/// By what way services hear each other.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// Each reads the outboxes of the database that all of them share.
    Outbox,
    /// Outboxes are relayed to Apache Kafka and read from there.
    Kafka,
}

/// The settings of the log.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// By what way services hear each other.
    pub kind: Way,
    /// How long events stay in the outbox after everybody has heard them: the window in which they can be said again.
    pub keep_ms: Millis,
    /// How often those that are older are looked for.
    pub trim_every_ms: Millis,
}

/// How a connection to Kafka is protected.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Security {
    /// Not at all: for a network of one's own.
    Plaintext,
    /// By TLS.
    Tls,
    /// By name and password, in the clear: for a network of one's own.
    SaslPlaintext,
    /// By TLS, and by name and password.
    SaslTls,
}

impl Security {
    /// Whether it needs the TLS that only a build with the feature `kafka-tls` has.
    #[must_use]
    pub fn needs_tls(self) -> bool {
        matches!(self, Self::Tls | Self::SaslTls)
    }

    /// Whether it needs a name and a password.
    #[must_use]
    pub fn needs_password(self) -> bool {
        matches!(self, Self::SaslPlaintext | Self::SaslTls)
    }
}

/// Where Kafka is, and how it is spoken to.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KafkaConfig {
    /// Addresses of brokers, as `10.0.0.1:9092,10.0.0.2:9092`.
    pub servers: String,
    /// Stands before the name of every topic and group, so that several shops may share a Kafka.
    pub prefix: String,
    /// On how many brokers each event lies.
    pub replication: i32,
    /// How long Kafka keeps events; they stay in the outbox for `log.keep_ms` besides.
    pub retention_ms: Millis,
    /// How the connection is protected.
    pub security: Security,
    /// `PLAIN`, `SCRAM-SHA-256` or `SCRAM-SHA-512`.
    pub mechanism: String,
    /// The name.
    pub username: String,
    /// The password.
    pub password: String,
    /// A file with the certificates that sign the brokers'; empty for those of the system.
    pub ca_file: String,
    /// What this member of the consumer groups is called; it keeps its partitions over a short restart. Empty for no name.
    pub member: String,
    /// After how long without a sign of life a member's partitions go to the others.
    pub session_ms: Millis,
    /// How often a relay says where each partition stands, so that whoever lost its place notices.
    pub beacon_every_ms: Millis,
}

impl std::fmt::Debug for KafkaConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { servers, prefix, security, .. } = self;
        f.debug_struct("KafkaConfig")
            .field("servers", servers)
            .field("prefix", prefix)
            .field("security", security)
            .finish_non_exhaustive()
    }
}

impl Config {
    /// What is wrong with these settings.
    #[must_use]
    pub fn validate(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        if self.keep_ms < 0 {
            wrong.push("log.keep_ms must be 0 or more".to_owned());
        }
        if !(10..=86_400_000).contains(&self.trim_every_ms) {
            wrong.push("log.trim_every_ms must be from 10 to 86400000".to_owned());
        }
        wrong
    }
}

impl KafkaConfig {
    /// What is wrong with these settings. That servers are named is asked only of whoever uses them.
    #[must_use]
    pub fn validate(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        let word =
            |text: &str| text.len() <= 60 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
        for (name, text) in [("prefix", &self.prefix), ("member", &self.member)] {
            if !word(text) {
                wrong.push(format!("kafka.{name} must be at most 60 letters, digits, dots, dashes and underscores"));
            }
        }
        if !(1..=9).contains(&self.replication) {
            wrong.push("kafka.replication must be from 1 to 9".to_owned());
        }
        if self.retention_ms < 60_000 {
            wrong.push("kafka.retention_ms must be 60000 or more".to_owned());
        }
        if !(1000..=300_000).contains(&self.session_ms) {
            wrong.push("kafka.session_ms must be from 1000 to 300000".to_owned());
        }
        if !(100..=3_600_000).contains(&self.beacon_every_ms) {
            wrong.push("kafka.beacon_every_ms must be from 100 to 3600000".to_owned());
        }
        if self.security.needs_tls() && !cfg!(feature = "kafka-tls") {
            wrong.push(
                "kafka.security: this program was built without TLS to Kafka; build it with --features kafka-tls".to_owned(),
            );
        }
        if self.security.needs_password() && (self.username.is_empty() || self.password.is_empty()) {
            wrong.push("kafka.username and kafka.password must be set for this kafka.security".to_owned());
        }
        if !["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"].contains(&self.mechanism.as_str()) {
            wrong.push("kafka.mechanism must be PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512".to_owned());
        }
        wrong
    }
}
