//! Random values: tokens, identifiers, keys of symmetric encryption.

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};

use crate::{Error, Secret};

/// `N` random bytes.
pub fn random_bytes<const N: usize>() -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| Error::Crypto("drawing random bytes"))?;
    Ok(bytes)
}

fn random_vec(len: usize) -> Result<Vec<u8>, Error> {
    let mut bytes = vec![0; len];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| Error::Crypto("drawing random bytes"))?;
    Ok(bytes)
}

/// `len` random bytes in standard base64.
pub fn random_base64(len: usize) -> Result<Secret, Error> {
    Ok(Secret::from(STANDARD.encode(Secret::new(random_vec(len)?).expose())))
}

/// `len` random bytes in URL-safe base64 with padding.
pub fn random_base64_url(len: usize) -> Result<String, Error> {
    Ok(URL_SAFE.encode(random_vec(len)?))
}

/// `len` random characters of `[a-z0-9]`.
pub fn random_lowercase(len: usize) -> Result<String, Error> {
    const ALPHABET: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
    let mut out = String::with_capacity(len);
    while out.len() < len {
        for byte in random_bytes::<32>()? {
            // 252 is the largest multiple of 36 in a byte: above it the distribution would be uneven.
            if byte < 252 && out.len() < len {
                out.push(char::from(ALPHABET[usize::from(byte) % ALPHABET.len()]));
            }
        }
    }
    Ok(out)
}

/// A token of the form of Kubernetes bootstrap tokens: six characters, a dot, sixteen characters of `[a-z0-9]`.
pub fn random_token() -> Result<Secret, Error> {
    Ok(Secret::from(format!(
        "{}.{}",
        random_lowercase(6)?,
        random_lowercase(16)?
    )))
}

/// Compares in constant time, for tokens that come from outside.
pub fn equal(left: &[u8], right: &[u8]) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(left, right).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_has_the_form_of_a_bootstrap_token_and_is_not_repeated() {
        let token = random_token().unwrap();
        let (id, secret) = token.expose_str().unwrap().split_once('.').unwrap();
        assert_eq!((id.len(), secret.len()), (6, 16));
        assert!(
            id.chars()
                .chain(secret.chars())
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
        );
        assert_ne!(random_token().unwrap(), token);
    }

    #[test]
    fn base64_of_32_bytes_is_44_characters() {
        assert_eq!(random_base64(32).unwrap().expose().len(), 44);
        assert_eq!(random_base64_url(32).unwrap().len(), 44);
    }
}
