//! What the discovery service keeps, and what its clients believe.

use discovery::journal::entry::{Entry, put_delete, put_set, read};
use discovery::record::Record;
use discovery_client::proto::server::WatchResponse;
use discovery_client::seal::Key;
use discovery_client::view::View;
use prost::Message;

/// Whatever the disk has: it is read to the end, and what was found can be written and found again.
pub(crate) fn journal(bytes: &[u8]) {
    let (mut again, mut entries) = (Vec::new(), 0);
    let found = read(bytes, |entry| {
        match entry {
            Entry::Set(cluster, record) => put_set(&mut again, cluster, &record),
            Entry::Delete(cluster, affiliate) => put_delete(&mut again, cluster, affiliate),
            Entry::End(_) => return,
        }
        entries += 1;
    });
    assert!(found.is_ok_and(|found| found.entries == entries));
    let found = read(&*again, |_| {});
    assert!(found.is_ok_and(|found| found.entries == entries && found.damaged == 0 && found.cut == 0));
}

/// A record and an entry of it, whose checksum is right: its bytes come back as they were.
pub(crate) fn record(bytes: &[u8]) {
    let Some(record) = Record::from_bytes(bytes) else {
        return;
    };
    assert!(record.as_bytes() == bytes, "a record reads differently");
    let endpoints = record.endpoints().count();
    assert!(endpoints == record.endpoint_count(), "endpoints are missing");
    let _ = (record.id(), record.data(), record.expires());
    let mut entry = Vec::new();
    put_set(&mut entry, "cluster", &record);
    let mut back = None;
    let found = read(&*entry, |entry| {
        if let Entry::Set(_, record) = entry {
            back = Some(record);
        }
    });
    assert!(found.is_ok_and(|found| found.damaged == 0) && back == Some(record));
}

/// Whatever a discovery service sends: it is believed only if it was sealed, which nobody here can.
pub(crate) fn sealed(bytes: &[u8]) {
    let Ok(key) = Key::new(&[7; 32]) else { return };
    let mut view = View::new(key.into(), "own".into());
    if let Ok(message) = WatchResponse::decode(bytes) {
        view.replace(&message);
        view.change(&message);
        assert!(view.peers().is_empty());
    }
}
