//! The port through which messages leave the shop, and the mailer that is built in.
//! Leaves real carriers, as a mail server, to other implementations of the port.

use kernel::{BoxFuture, Id};

use crate::domain::message::Outcome;

/// A message on its way out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mail {
    /// The same at every try: a carrier that can should drop what it has had.
    pub id: Id,
    /// An e-mail address, as the shopper gave it.
    pub recipient: String,
    /// One line.
    pub subject: String,
    /// Plain text.
    pub text: String,
}

/// Whatever carries messages out of the shop.
pub trait Mailer: Send + Sync + 'static {
    /// What it is called beside the messages that it had.
    fn name(&self) -> &'static str;

    /// Tries once to send `mail`.
    fn send(&self, mail: Mail) -> BoxFuture<'_, Outcome>;
}

/// The built-in mailer: messages stay in the shop, where the API shows them, and reach nobody. Its name says so.
#[derive(Clone, Copy, Debug, Default)]
pub struct Journal;

impl Mailer for Journal {
    fn name(&self) -> &'static str {
        "journal: kept in the shop, sent to nobody"
    }

    fn send(&self, _mail: Mail) -> BoxFuture<'_, Outcome> {
        Box::pin(std::future::ready(Outcome::Sent))
    }
}
