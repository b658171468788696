//! What lies between the services: every event that was said and how far each listener has heard it. Topics and partitions
//! come in any order, each of them in its own; an event may come twice, and a listener may begin again from an earlier one.
//! Leaves what is heard to the services.

use std::collections::{BTreeMap, BTreeSet};

use engine::{Listener, Model};
use log::LogEvent;

/// Rows that every commit writes: the head row.
const HEAD: u64 = 1;

/// Whose order must hold: one topic's partition on its way to one listener.
pub(super) type Name = (Listener, u16);

/// Everything on its way.
#[derive(Default)]
pub(super) struct Net {
    /// How far each log was read.
    read: BTreeMap<&'static str, i64>,
    channels: BTreeMap<Name, Channel>,
    /// How many events were said to anybody.
    pub(super) said: u64,
    /// How many were heard, each time counted.
    pub(super) heard: u64,
    /// What had been written at the last look: while that stands still, nothing was said.
    written: u64,
}

#[derive(Default)]
struct Channel {
    events: Vec<LogEvent>,
    next: usize,
}

impl Net {
    /// Takes up what was said since the last look.
    pub(super) fn look(&mut self, model: &mut Model) {
        if std::mem::replace(&mut self.written, model.rows_written()) == model.rows_written() {
            return;
        }
        let listeners: Vec<Listener> = model.listeners().collect();
        let sayers: BTreeSet<&'static str> = listeners.iter().map(|listener| listener.to).collect();
        for sayer in sayers {
            let read = self.read.entry(sayer).or_default();
            for event in model.said(sayer, *read) {
                *read = event.seq;
                self.said += 1;
                for listener in listeners.iter().filter(|listener| listener.to == sayer && listener.topic == event.topic) {
                    self.channels.entry((listener.clone(), event.partition.0)).or_default().events.push(event.clone());
                }
            }
        }
    }

    /// The channels on which something waits.
    pub(super) fn waiting(&self) -> Vec<Name> {
        self.channels.iter().filter(|(_, channel)| channel.next < channel.events.len()).map(|(name, _)| name.clone()).collect()
    }

    /// The channels on which something was heard.
    pub(super) fn heard(&self) -> Vec<Name> {
        self.channels.iter().filter(|(_, channel)| channel.next > 0).map(|(name, _)| name.clone()).collect()
    }

    /// Lets the next event of a channel be heard. A repetition at once must change nothing; who is asked again may answer again.
    pub(super) fn hear(&mut self, model: &mut Model, name: &Name, twice: bool) {
        let Some(channel) = self.channels.get_mut(name) else { return };
        let Some(event) = channel.events.get(channel.next).cloned() else { return };
        channel.next += 1;
        self.hear_once(model, &name.0, &event);
        if twice {
            let (written, said) = (model.rows_written(), self.said);
            self.hear_once(model, &name.0, &event);
            let (written, said) = (model.rows_written() - written, self.said - said);
            let answer = if said == 0 { 0 } else { HEAD + said };
            let Listener { service, .. } = name.0;
            assert_eq!(written, answer, "{service} changes something on a second {}\n{}", event.kind, event.payload);
        }
    }

    fn hear_once(&mut self, model: &mut Model, listener: &Listener, event: &LogEvent) {
        let heard = model.hear(listener, event);
        assert!(heard.is_ok(), "{} cannot hear {}: {heard:?}\n{}", listener.service, event.kind, event.payload);
        self.heard += 1;
        self.look(model);
    }

    /// Lets a channel begin again `events` earlier, as a log does that lost how far it was heard.
    pub(super) fn rewind(&mut self, name: &Name, events: usize) {
        if let Some(channel) = self.channels.get_mut(name) {
            channel.next = channel.next.saturating_sub(events);
        }
    }
}
