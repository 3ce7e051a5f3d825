//! The few DER forms that certificates and requests are made of (X.690).
//!
//! Certificates are written here and not by a library because the libraries at hand keep one value per attribute of a
//! name, and a client certificate carries one Organization per role.

/// One element: tag, length, content.
pub fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(content.len() + 6);
    out.push(tag);
    match content.len() {
        short @ 0..=0x7f => out.push(short as u8),
        long => {
            let bytes = long.to_be_bytes();
            let skip = bytes.iter().take_while(|b| **b == 0).count();
            out.push(0x80 | (bytes.len() - skip) as u8);
            out.extend_from_slice(&bytes[skip..]);
        }
    }
    out.extend_from_slice(content);
    out
}

/// SEQUENCE of already encoded parts.
pub fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    element(0x30, &parts.concat())
}

/// SET of one already encoded part (which needs no sorting).
pub fn set_of_one(part: &[u8]) -> Vec<u8> {
    element(0x31, part)
}

/// INTEGER from the bytes of a non-negative number, most significant first.
pub fn integer(bytes: &[u8]) -> Vec<u8> {
    let skip = bytes
        .iter()
        .take_while(|b| **b == 0)
        .count()
        .min(bytes.len().saturating_sub(1));
    let mut content = bytes[skip..].to_vec();
    if content.first().is_none_or(|first| first & 0x80 != 0) {
        content.insert(0, 0);
    }
    element(0x02, &content)
}

/// BOOLEAN TRUE; FALSE is a default wherever it is used here and so never written.
pub fn boolean_true() -> Vec<u8> {
    vec![0x01, 0x01, 0xff]
}

/// OBJECT IDENTIFIER.
pub fn oid(arcs: &[u32]) -> Vec<u8> {
    let mut content = vec![(arcs[0] * 40 + arcs[1]) as u8];
    for arc in &arcs[2..] {
        let mut groups = vec![(arc & 0x7f) as u8];
        let mut rest = arc >> 7;
        while rest > 0 {
            groups.push((rest & 0x7f) as u8 | 0x80);
            rest >>= 7;
        }
        content.extend(groups.iter().rev());
    }
    element(0x06, &content)
}

/// BIT STRING with no unused bits.
pub fn bit_string(bytes: &[u8]) -> Vec<u8> {
    element(0x03, &[&[0], bytes].concat())
}

/// BIT STRING of one byte of named bits: trailing zeros are not written.
pub fn named_bits(bits: u8) -> Vec<u8> {
    element(0x03, &[bits.trailing_zeros().min(7) as u8, bits])
}

/// OCTET STRING.
pub fn octet_string(bytes: &[u8]) -> Vec<u8> {
    element(0x04, bytes)
}

/// A directory string: PrintableString when every character allows it, else UTF8String.
pub fn directory_string(text: &str) -> Vec<u8> {
    let printable = text
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b" '()+,-./:=?".contains(&b));
    element(if printable { 0x13 } else { 0x0c }, text.as_bytes())
}

/// The content of the first element and what follows it; `None` if the lengths do not fit.
pub fn split(input: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = input.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (len, rest) = if *first < 0x80 {
        (usize::from(*first), rest)
    } else {
        let count = usize::from(first & 0x7f);
        if count == 0 || count > 4 || rest.len() < count {
            return None;
        }
        let len = rest[..count].iter().fold(0usize, |n, b| n << 8 | usize::from(*b));
        (len, &rest[count..])
    };
    (rest.len() >= len).then(|| (*tag, &rest[..len], &rest[len..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_those_of_the_standard() {
        assert_eq!(
            oid(&[1, 2, 840, 113549, 1, 1, 11]),
            b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b"
        );
        assert_eq!(integer(&[0, 0, 0x80]), b"\x02\x02\x00\x80");
        assert_eq!(integer(&[0]), b"\x02\x01\x00");
        assert_eq!(named_bits(0x84), b"\x03\x02\x02\x84");
        assert_eq!(element(4, &[7; 200])[..3], [4, 0x81, 200]);
        assert_eq!(element(4, &[7; 300])[..4], [4, 0x82, 1, 44]);
        let long = element(4, &[7; 300]);
        assert_eq!(split(&long).unwrap().1.len(), 300);
        assert!(split(&long[..100]).is_none());
    }
}
