#![no_main]

use discovery_client::proto::server::WatchResponse;
use discovery_client::seal::Key;
use discovery_client::view::View;
use prost::Message;

// Whatever a discovery service sends: it is believed only if it was sealed, which nobody here can.
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(key) = Key::new(&[7; 32]) else { return };
    let mut view = View::new(key.into(), "own".into());
    if let Ok(message) = WatchResponse::decode(bytes) {
        view.replace(&message);
        view.change(&message);
        assert!(view.peers().is_empty());
    }
});
