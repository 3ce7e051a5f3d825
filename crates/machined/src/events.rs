//! The event bus: what happened on the node, newest last, for `events` and for everything that follows a long action.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::sync::broadcast;

use crate::logs::lock;

/// How many events are kept (the interface's buffer).
pub const CAPACITY: usize = 1000;

/// One event: a protobuf message with its type, in the order of its id.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Sorts by time: 20 characters of base32hex over seconds, node and counter.
    pub id: String,
    /// Who caused it, as the client named itself; empty for the node itself.
    pub actor: String,
    /// `talos/runtime/machine.ServiceStateEvent`-like type URL.
    pub type_url: String,
    /// The encoded message.
    pub value: Vec<u8>,
    /// When it happened.
    pub at: SystemTime,
}

/// The bus; clones share it.
#[derive(Clone)]
pub struct Events {
    kept: Arc<Mutex<VecDeque<Event>>>,
    live: broadcast::Sender<Event>,
    counter: Arc<AtomicU32>,
}

impl Default for Events {
    fn default() -> Self {
        Self {
            kept: Arc::default(),
            live: broadcast::channel(CAPACITY).0,
            counter: Arc::default(),
        }
    }
}

impl Events {
    /// Publishes a message of the machine API.
    pub fn publish<M: prost::Message>(&self, message_name: &str, message: &M, actor: &str) {
        let at = SystemTime::now();
        let event = Event {
            id: self.id(at),
            actor: actor.to_owned(),
            type_url: format!("talos/runtime/{message_name}"),
            value: message.encode_to_vec(),
            at,
        };
        let mut kept = lock(&self.kept);
        if kept.len() == CAPACITY {
            kept.pop_front();
        }
        kept.push_back(event.clone());
        // Sent under the lock, so that a subscriber sees each event once: in what it was given or in what comes.
        let _ = self.live.send(event);
    }

    /// What is kept, and a receiver of what comes after it.
    pub fn subscribe(&self) -> (Vec<Event>, broadcast::Receiver<Event>) {
        let kept = lock(&self.kept);
        (kept.iter().cloned().collect(), self.live.subscribe())
    }

    /// The id of an event at a time: 12 bytes (4 of seconds, 5 of process, 3 of counter) in lowercase base32hex.
    fn id(&self, at: SystemTime) -> String {
        let seconds = at.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs()) as u32;
        let count = self.counter.fetch_add(1, Ordering::Relaxed);
        let mut raw = [0u8; 12];
        raw[..4].copy_from_slice(&seconds.to_be_bytes());
        raw[4..8].copy_from_slice(&std::process::id().to_be_bytes());
        raw[9..].copy_from_slice(&count.to_be_bytes()[1..]);
        base32hex(&raw)
    }
}

fn base32hex(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 32] = b"0123456789abcdefghijklmnopqrstuv";
    let mut out = String::new();
    let (mut buffer, mut bits) = (0u32, 0);
    for &byte in bytes {
        buffer = (buffer << 8) | u32::from(byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            out.push(char::from(ALPHABET[(buffer >> bits) as usize & 31]));
        }
    }
    if bits > 0 {
        out.push(char::from(ALPHABET[(buffer << (5 - bits)) as usize & 31]));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_sort_by_time_and_have_twenty_characters() {
        let events = Events::default();
        let early = events.id(UNIX_EPOCH + std::time::Duration::from_secs(1_000_000));
        let late = events.id(UNIX_EPOCH + std::time::Duration::from_secs(1_000_001));
        assert!(early < late);
        assert_eq!(early.len(), 20);
    }

    #[test]
    fn the_buffer_is_bounded() {
        let events = Events::default();
        for _ in 0..CAPACITY + 5 {
            events.publish("machine.RestartEvent", &prost_types::Duration::default(), "");
        }
        let (kept, _) = events.subscribe();
        assert_eq!(kept.len(), CAPACITY);
        assert!(kept.windows(2).all(|w| w[0].id < w[1].id));
    }
}
