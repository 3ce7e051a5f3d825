//! Certificate requests, signed by an authority that is made once.

use std::sync::OnceLock;

use pki::{Authority, PrivateKey};

pub(crate) fn request(bytes: &[u8]) {
    static AUTHORITY: OnceLock<Option<(Authority, PrivateKey)>> = OnceLock::new();
    if let Some((authority, key)) = AUTHORITY.get_or_init(|| api::fuzz::authority().ok()) {
        api::fuzz::certificate_request(bytes, authority, key);
    }
}
