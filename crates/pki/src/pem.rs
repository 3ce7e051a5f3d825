//! PEM blocks. Written here because the labels in use (`ED25519 PRIVATE KEY`) are not the ones libraries accept.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::Error;

/// Label of a certificate.
pub const CERTIFICATE: &str = "CERTIFICATE";
/// Label of a certificate signing request.
pub const REQUEST: &str = "CERTIFICATE REQUEST";

/// One block: its label and the bytes inside.
pub struct Block {
    /// What stands after `BEGIN`.
    pub label: String,
    /// The decoded body; zeroed on drop, it may be a key.
    pub der: Zeroizing<Vec<u8>>,
}

/// Encodes bytes in lines of 64 characters.
pub fn encode(label: &str, der: &[u8]) -> String {
    let body = Zeroizing::new(STANDARD.encode(der));
    let mut out = String::with_capacity(body.len() + body.len() / 64 + 2 * label.len() + 40);
    out.push_str(&format!("-----BEGIN {label}-----\n"));
    let mut rest = body.as_str();
    while !rest.is_empty() {
        let (line, tail) = rest.split_at(rest.len().min(64));
        out.push_str(line);
        out.push('\n');
        rest = tail;
    }
    out.push_str(&format!("-----END {label}-----\n"));
    out
}

/// Every block of a text, in order; text between blocks is ignored.
pub fn decode(text: &[u8]) -> Result<Vec<Block>, Error> {
    let text = std::str::from_utf8(text).map_err(|_| Error::NoPem {
        wanted: "certificate or key",
        found: None,
    })?;
    let mut blocks = Vec::new();
    let mut open: Option<(String, Zeroizing<String>)> = None;
    for line in text.lines().map(str::trim) {
        if let Some(label) = line
            .strip_prefix("-----BEGIN ")
            .and_then(|rest| rest.strip_suffix("-----"))
        {
            open = Some((label.to_owned(), Zeroizing::new(String::with_capacity(text.len()))));
        } else if let Some(end) = line
            .strip_prefix("-----END ")
            .and_then(|rest| rest.strip_suffix("-----"))
        {
            let damaged = |reason: String| Error::DamagedPem {
                label: end.to_owned(),
                reason,
            };
            let (label, body) = open.take().ok_or_else(|| damaged("END without BEGIN".into()))?;
            if label != end {
                return Err(damaged(format!("it began as \"{label}\"")));
            }
            let der = Zeroizing::new(STANDARD.decode(body.as_bytes()).map_err(|e| damaged(e.to_string()))?);
            blocks.push(Block { label, der });
        } else if let Some((_, body)) = open.as_mut() {
            // Headers ("Proc-Type: ...") are of encrypted keys, which are not supported: the base64 check names them.
            body.push_str(line);
        }
    }
    match open {
        Some((label, _)) => Err(Error::DamagedPem {
            label,
            reason: "BEGIN without END".into(),
        }),
        None => Ok(blocks),
    }
}

/// All certificates of a text, as DER; an error if there is none.
pub fn certificates(text: &[u8]) -> Result<Vec<Vec<u8>>, Error> {
    let blocks = decode(text)?;
    let found = blocks.first().map(|b| b.label.clone());
    let all: Vec<_> = blocks
        .into_iter()
        .filter(|b| b.label == CERTIFICATE)
        .map(|b| b.der.to_vec())
        .collect();
    if all.is_empty() {
        Err(Error::NoPem {
            wanted: "certificate",
            found,
        })
    } else {
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_encoded_decodes_to_the_same() {
        for len in [0, 1, 47, 48, 49, 200] {
            let bytes: Vec<u8> = (0..len).map(|i| i as u8).collect();
            let text = encode("ED25519 PRIVATE KEY", &bytes);
            let blocks = decode(text.as_bytes()).unwrap();
            assert_eq!(
                (blocks[0].label.as_str(), blocks[0].der.to_vec()),
                ("ED25519 PRIVATE KEY", bytes)
            );
        }
    }

    #[test]
    fn a_truncated_block_is_named() {
        let error = decode(b"-----BEGIN CERTIFICATE-----\nAAAA\n").err().unwrap();
        assert_eq!(
            error.to_string(),
            "PEM block \"CERTIFICATE\" is damaged: BEGIN without END"
        );
        let error = certificates(encode("EC PRIVATE KEY", b"x").as_bytes()).err().unwrap();
        assert_eq!(
            error.to_string(),
            "no PEM block of a certificate found (found \"EC PRIVATE KEY\")"
        );
    }
}
