//! What happens to contacts and messages: one short decider per use case. It loads, lets the domain decide, and saves.
//! Leaves which events lead here to `events`, and the sending to `jobs`.

use contracts::OrderId;
use contracts::orders::OrderPlaced;
use engine::{Stop, Work};
use kernel::{Id, Money};

use crate::config::Config;
use crate::domain::contact::{Contact, Reach};
use crate::domain::letter::News;
use crate::domain::message::{Message, Outcome, message_id};

/// Keeps how to reach whoever placed the order, and writes what can be written now.
pub(crate) fn keep_contact(work: &mut Work<'_>, event: &OrderPlaced, config: &Config) -> Result<(), Stop> {
    let reach = Reach {
        customer: event.customer,
        name: event.contact.name.clone(),
        email: event.contact.email.clone(),
        total: event.total,
        slot: event.slot,
    };
    let mut contact = find_contact(work, event.order)?;
    let news = contact.placed(reach);
    write_messages(work, contact, &news, config)
}

/// Writes a message of the news, or keeps them until it is known to whom. If the order `costs` something else now, letters say so
/// from this one on.
pub(crate) fn hear(work: &mut Work<'_>, order: OrderId, news: News, costs: Option<Money>, config: &Config) -> Result<(), Stop> {
    work.want::<Message>(&message_id(order, &news));
    let mut contact = find_contact(work, order)?;
    costs.into_iter().for_each(|total| contact.costs(total));
    let news = contact.heard(news);
    write_messages(work, contact, &news, config)
}

/// The order is about to end, which is news only once it has: but nothing is asked of the shopper any more.
pub(crate) fn hear_that_it_ends(work: &mut Work<'_>, order: OrderId) -> Result<(), Stop> {
    let contact = find_contact(work, order)?;
    work.save(Contact { over: true, ..contact });
    Ok(())
}

/// One try to send a message, and what it came to.
#[derive(Clone, Debug)]
pub(crate) struct Tried {
    pub(crate) id: Id,
    pub(crate) attempt: i64,
    pub(crate) outcome: Outcome,
}

/// Keeps what tries came to.
pub(crate) fn record(work: &mut Work<'_>, mailer: &str, tries: &[Tried], limits: &Config) -> Result<(), Stop> {
    let ids: Vec<Id> = tries.iter().map(|tried| tried.id).collect();
    let now = work.now();
    for (tried, message) in tries.iter().zip(work.find_all::<Message>(&ids)?) {
        let after = message.and_then(|message| message.after(tried.attempt, mailer, &tried.outcome, now, limits, work.draw()));
        if let Some(message) = after {
            work.save(message);
        }
    }
    Ok(())
}

fn find_contact(work: &mut Work<'_>, order: OrderId) -> Result<Contact, Stop> {
    Ok(work.find::<Contact>(&order)?.map_or_else(|| Contact::unknown(order), |contact| (*contact).clone()))
}

/// Saves the contact and a message of each of `news` that has none yet.
fn write_messages(work: &mut Work<'_>, contact: Contact, news: &[News], config: &Config) -> Result<(), Stop> {
    if let Some(reach) = &contact.reach {
        let ids: Vec<Id> = news.iter().map(|news| message_id(contact.order, news)).collect();
        let (page, now) = (config.page_of(contact.order), work.now());
        for (news, written) in news.iter().zip(work.find_all::<Message>(&ids)?) {
            if written.is_none() {
                work.save(Message::written(contact.order, reach, news, page.as_deref(), now));
            }
        }
    }
    work.save(contact);
    Ok(())
}
