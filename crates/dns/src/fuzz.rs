//! Entry points for fuzzing: each takes any bytes, must come back soon, and must not panic.

use std::net::{IpAddr, Ipv4Addr};

use crate::message::{self, RecordType};
use crate::wire::{self, Code};

/// A message from the network, as each side of each conversation reads it.
pub fn message(bytes: &[u8]) {
    let id = bytes.first_chunk().map_or(0, |id| u16::from_be_bytes(*id));
    for kind in [RecordType::A, RecordType::Aaaa] {
        let _ = message::answer(bytes, id, kind);
    }
    let _ = wire::addresses(bytes);
    assert!(
        wire::aged(bytes, 7, 60).len() == bytes.len(),
        "ageing changed the length"
    );
    query(bytes);
    // The same bytes as an answer to the question that is in them.
    let mut asked = bytes.to_vec();
    if let Some(flags) = asked.get_mut(2..4) {
        flags.fill(0);
    }
    if let Some(counts) = asked.get_mut(6..12) {
        counts.fill(0);
    }
    if let Some(asked) = wire::query(&asked) {
        let _ = wire::answer(bytes, &asked, id);
    }
}

/// What a forwarder does with a query.
fn query(bytes: &[u8]) {
    let Some(query) = wire::query(bytes) else { return };
    let onward = wire::onward(bytes, &query, 9);
    let again = wire::query(&onward);
    assert!(
        again.is_some_and(|again| again.id == 9 && again.question == query.question),
        "the question changed on its way: {query:?}"
    );
    let addresses = [IpAddr::V4(Ipv4Addr::LOCALHOST); 70];
    let reply = wire::reply(bytes, &query, Code::NoError, &addresses, 60);
    assert!(
        wire::answer(&reply, &query, query.id).is_some(),
        "the own answer is none: {query:?}"
    );
    let fitting = wire::fitting(reply, &query);
    assert!(fitting.len() <= query.udp_size, "the answer does not fit: {query:?}");
}

/// `hosts` and `resolv.conf`; a zero byte separates the two.
pub fn system(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (hosts, resolv_conf) = text.split_once('\0').unwrap_or((&text, &text));
    let _ = crate::Resolver::parse(hosts, resolv_conf);
}
