//! What the service cannot read: affiliates and endpoints, sealed with the key of the cluster.
//!
//! An affiliate is sealed with AES-256-GCM: a random nonce of 12 bytes, the message, the tag. An endpoint is padded with
//! zeros to whole blocks of AES, and each block is encrypted by itself: the same endpoint is the same bytes whoever
//! reports it, so that the service can merge them. That shows which endpoints are equal, and nothing else of use: an
//! endpoint is one or two blocks.
//!
//! ```
//! use discovery_client::proto::client::Affiliate;
//! use discovery_client::seal::Key;
//!
//! let key = Key::new(&[7; 32])?;
//! let affiliate = Affiliate { node_id: "n".into(), ..Affiliate::default() };
//! let sealed = key.seal_affiliate(&affiliate, [1; 12])?;
//! assert_eq!(key.open_affiliate(&sealed)?, affiliate);
//!
//! let endpoint = "10.5.0.2:51820".parse()?;
//! let sealed = key.seal_endpoint(endpoint)?;
//! assert_eq!(sealed.len(), 16);
//! assert_eq!(key.open_endpoint(&sealed)?, endpoint);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::cipher::{AES_256, DecryptingKey, DecryptionContext, EncryptingKey, UnboundCipherKey};
use bytes::Bytes;
use prost::Message;
use prost::encoding::{DecodeContext, decode_key, skip_field};

use crate::proto::client::{Affiliate, Endpoint};

const BLOCK: usize = 16;

/// The key of a cluster.
pub struct Key {
    affiliates: LessSafeKey,
    encrypting: EncryptingKey,
    decrypting: DecryptingKey,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(**REDACTED**)")
    }
}

/// Why something could not be sealed or opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The secret is no key.
    #[error("a cluster secret has 32 bytes, this one has {0}")]
    Secret(usize),
    /// The library refused; it does not say why.
    #[error("encryption failed")]
    Encrypt,
    /// Sealed with another key, or changed since.
    #[error("it was not sealed with this cluster's secret, or was changed since")]
    NotSealed,
    /// It was sealed, and is not what it should be.
    #[error("it is sealed, but not a message of the protocol")]
    NotAMessage,
}

impl Key {
    /// The key from the 32 bytes of the cluster's secret (`cluster.secret`, which is base64 in the configuration).
    pub fn new(secret: &[u8]) -> Result<Key, Error> {
        if secret.len() != 32 {
            return Err(Error::Secret(secret.len()));
        }
        let block = || UnboundCipherKey::new(&AES_256, secret);
        let make = || {
            Ok::<_, aws_lc_rs::error::Unspecified>(Key {
                affiliates: LessSafeKey::new(UnboundKey::new(&AES_256_GCM, secret)?),
                encrypting: EncryptingKey::ecb(block()?)?,
                decrypting: DecryptingKey::ecb(block()?)?,
            })
        };
        make().map_err(|_| Error::Encrypt)
    }

    /// Seals an affiliate. The nonce must be random, and never used again.
    pub fn seal_affiliate(&self, affiliate: &Affiliate, nonce: [u8; NONCE_LEN]) -> Result<Vec<u8>, Error> {
        let mut message = affiliate.encode_to_vec();
        let sealing = Nonce::assume_unique_for_key(nonce);
        let sealed = self
            .affiliates
            .seal_in_place_append_tag(sealing, Aad::empty(), &mut message);
        sealed.map_err(|_| Error::Encrypt)?;
        Ok([&nonce[..], &message].concat())
    }

    /// Opens an affiliate.
    pub fn open_affiliate(&self, sealed: &[u8]) -> Result<Affiliate, Error> {
        let (nonce, rest) = sealed.split_at_checked(NONCE_LEN).ok_or(Error::NotSealed)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| Error::NotSealed)?;
        let mut message = rest.to_vec();
        let opened = self.affiliates.open_in_place(nonce, Aad::empty(), &mut message);
        let opened = opened.map_err(|_| Error::NotSealed)?;
        Affiliate::decode(&*opened).map_err(|_| Error::NotAMessage)
    }

    /// Seals an endpoint.
    pub fn seal_endpoint(&self, endpoint: SocketAddr) -> Result<Vec<u8>, Error> {
        let endpoint = Endpoint {
            ip: address_bytes(endpoint.ip()),
            port: endpoint.port().into(),
        };
        let mut blocks = endpoint.encode_to_vec();
        blocks.resize(blocks.len().next_multiple_of(BLOCK), 0);
        self.encrypting.encrypt(&mut blocks).map_err(|_| Error::Encrypt)?;
        Ok(blocks)
    }

    /// Opens an endpoint. There is no tag: with another key it is not a message, all but surely.
    pub fn open_endpoint(&self, sealed: &[u8]) -> Result<SocketAddr, Error> {
        let mut blocks = sealed.to_vec();
        let whole = !blocks.is_empty() && blocks.len().is_multiple_of(BLOCK);
        if !whole || self.decrypting.decrypt(&mut blocks, DecryptionContext::None).is_err() {
            return Err(Error::NotSealed);
        }
        let message = without_padding(&blocks).ok_or(Error::NotAMessage)?;
        let endpoint = Endpoint::decode(message).map_err(|_| Error::NotAMessage)?;
        let address = address_from_bytes(&endpoint.ip).ok_or(Error::NotAMessage)?;
        let port = u16::try_from(endpoint.port).map_err(|_| Error::NotAMessage)?;
        Ok(SocketAddr::new(address, port))
    }
}

/// The message before the zeros. A message may end in zeros, and no field begins with one.
fn without_padding(blocks: &[u8]) -> Option<&[u8]> {
    let mut rest = blocks;
    while rest.first().is_some_and(|byte| *byte != 0) {
        let (tag, wire_type) = decode_key(&mut rest).ok()?;
        skip_field(wire_type, tag, &mut rest, DecodeContext::default()).ok()?;
    }
    let zeros = rest.iter().all(|byte| *byte == 0) && rest.len() < BLOCK;
    zeros.then(|| &blocks[..blocks.len() - rest.len()])
}

/// An address as messages have it: 4 or 16 bytes.
pub fn address_bytes(address: IpAddr) -> Bytes {
    match address {
        IpAddr::V4(v4) => Bytes::copy_from_slice(&v4.octets()),
        IpAddr::V6(v6) => Bytes::copy_from_slice(&v6.octets()),
    }
}

/// An address of a message. None if it has neither 4 nor 16 bytes.
pub fn address_from_bytes(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(byte: u8) -> Key {
        Key::new(&[byte; 32]).unwrap()
    }

    fn affiliate() -> Affiliate {
        Affiliate {
            node_id: "n".into(),
            hostname: "host".into(),
            ..Affiliate::default()
        }
    }

    #[test]
    fn the_nonce_is_first_and_the_tag_last() {
        let sealed = key(1).seal_affiliate(&affiliate(), [9; 12]).unwrap();
        assert_eq!(sealed[..12], [9; 12]);
        assert_eq!(sealed.len(), 12 + affiliate().encoded_len() + 16);
    }

    #[test]
    fn another_key_or_a_changed_byte_opens_nothing() {
        let mut sealed = key(1).seal_affiliate(&affiliate(), [9; 12]).unwrap();
        assert_eq!(key(2).open_affiliate(&sealed), Err(Error::NotSealed));
        sealed[20] ^= 1;
        assert_eq!(key(1).open_affiliate(&sealed), Err(Error::NotSealed));
        assert_eq!(key(1).open_affiliate(b"short"), Err(Error::NotSealed));
        assert!(matches!(Key::new(b"short"), Err(Error::Secret(5))));
    }

    #[test]
    fn equal_endpoints_are_equal_bytes_of_whole_blocks() {
        let v4 = "10.0.0.0:51820".parse().unwrap();
        let v6 = "[fd00::1]:51820".parse().unwrap();
        assert_eq!(key(1).seal_endpoint(v4), key(1).seal_endpoint(v4));
        assert_eq!(key(1).seal_endpoint(v4).unwrap().len(), 16);
        assert_eq!(key(1).seal_endpoint(v6).unwrap().len(), 32);
    }

    #[test]
    fn known_bytes_are_sealed_as_the_standard_says() {
        // FIPS 197, appendix C.3, as the block that an endpoint is.
        let secret: Vec<u8> = (0..32).collect();
        let mut block: Vec<u8> = (0..16).map(|i| i * 0x11).collect();
        Key::new(&secret).unwrap().encrypting.encrypt(&mut block).unwrap();
        assert_eq!(block[..4], [0x8e, 0xa2, 0xb7, 0xca]);
    }

    proptest! {
        #[test]
        fn every_endpoint_comes_back(v4: bool, bits: u128, port: u16) {
            let ip: IpAddr = match v4 {
                true => std::net::Ipv4Addr::from_bits(bits as u32).into(),
                false => std::net::Ipv6Addr::from_bits(bits).into(),
            };
            let endpoint = SocketAddr::new(ip, port);
            let sealed = key(3).seal_endpoint(endpoint).unwrap();
            prop_assert!(sealed.len() <= 32);
            prop_assert_eq!(key(3).open_endpoint(&sealed), Ok(endpoint));
        }

        #[test]
        fn any_bytes_are_opened_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = key(3).open_endpoint(&bytes);
            prop_assert!(key(3).open_affiliate(&bytes).is_err());
        }
    }
}
