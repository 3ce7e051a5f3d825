//! The two DNS messages a stub resolver needs (RFC 1035): a question, and the addresses in its answer.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum RecordType {
    A = 1,
    Aaaa = 28,
}

pub(crate) enum Answer {
    /// Not an answer to this question.
    Other,
    /// Cut short: ask again over TCP.
    Truncated,
    /// The addresses; none when the name does not exist or has none of this type.
    Addresses(Vec<IpAddr>),
}

const CLASS_INTERNET: u16 = 1;
const FLAG_RESPONSE: u16 = 0x8000;
const FLAG_TRUNCATED: u16 = 0x0200;
const FLAG_RECURSION_DESIRED: u16 = 0x0100;
const CODE_NO_ERROR: u16 = 0;
const CODE_NO_SUCH_NAME: u16 = 3;

pub(crate) fn query(id: u16, name: &str, kind: RecordType) -> Vec<u8> {
    let mut out = Vec::with_capacity(name.len() + 18);
    for word in [id, FLAG_RECURSION_DESIRED, 1, 0, 0, 0] {
        out.extend(word.to_be_bytes());
    }
    for label in name.split('.') {
        out.push(label.len() as u8);
        out.extend(label.as_bytes());
    }
    out.push(0);
    out.extend((kind as u16).to_be_bytes());
    out.extend(CLASS_INTERNET.to_be_bytes());
    out
}

pub(crate) fn answer(bytes: &[u8], id: u16, kind: RecordType) -> io::Result<Answer> {
    let mut reader = Reader { bytes, at: 0 };
    let (got, flags) = (reader.u16()?, reader.u16()?);
    if got != id || flags & FLAG_RESPONSE == 0 {
        return Ok(Answer::Other);
    }
    if flags & FLAG_TRUNCATED != 0 {
        return Ok(Answer::Truncated);
    }
    match flags & 0x000f {
        CODE_NO_ERROR => {}
        CODE_NO_SUCH_NAME => return Ok(Answer::Addresses(Vec::new())),
        code => return Err(io::Error::other(format!("the server answered with error code {code}"))),
    }
    let (questions, answers) = (reader.u16()?, reader.u16()?);
    reader.skip(4)?;
    for _ in 0..questions {
        reader.skip_name()?;
        reader.skip(4)?;
    }
    let mut addresses = Vec::new();
    for _ in 0..answers {
        reader.skip_name()?;
        let (record, class) = (reader.u16()?, reader.u16()?);
        reader.skip(4)?;
        let length = usize::from(reader.u16()?);
        let data = reader.take(length)?;
        if class != CLASS_INTERNET || record != kind as u16 {
            continue; // a CNAME on the way: its target's records follow
        }
        if let Ok(octets) = <[u8; 4]>::try_from(data) {
            addresses.push(IpAddr::V4(Ipv4Addr::from(octets)));
        } else if let Ok(octets) = <[u8; 16]>::try_from(data) {
            addresses.push(IpAddr::V6(Ipv6Addr::from(octets)));
        }
    }
    Ok(Answer::Addresses(addresses))
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> io::Result<&'a [u8]> {
        let end = self.at.checked_add(length).filter(|end| *end <= self.bytes.len());
        let end = end.ok_or_else(|| io::Error::new(io::ErrorKind::UnexpectedEof, "the answer is cut off"))?;
        let data = &self.bytes[self.at..end];
        self.at = end;
        Ok(data)
    }

    fn skip(&mut self, length: usize) -> io::Result<()> {
        self.take(length).map(|_| ())
    }

    fn u16(&mut self) -> io::Result<u16> {
        let data = self.take(2)?;
        Ok(u16::from_be_bytes([data[0], data[1]]))
    }

    /// Names are skipped, never followed, so compression pointers cannot loop.
    fn skip_name(&mut self) -> io::Result<()> {
        loop {
            let length = self.take(1)?[0];
            match length {
                0 => return Ok(()),
                1..=63 => self.skip(usize::from(length))?,
                192.. => return self.skip(1),
                _ => {
                    return Err(io::Error::new(
                        io::ErrorKind::InvalidData,
                        "the answer has a label of unknown kind",
                    ));
                }
            }
        }
    }
}

#[cfg(test)]
pub(crate) fn reply_for_test(query: &[u8], addresses: &[[u8; 4]]) -> Vec<u8> {
    let mut out = query.to_vec();
    out[2] = 0x81;
    out[3] = if addresses.is_empty() { 0x83 } else { 0x80 };
    out[7] = addresses.len() as u8;
    for address in addresses {
        out.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
        out.extend(address);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_bytes_are_an_answer_or_an_error_but_never_a_panic() {
        let mut seed = 7u32;
        for length in 0..600usize {
            let bytes: Vec<u8> = (0..length % 90)
                .map(|_| {
                    seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (seed >> 24) as u8
                })
                .collect();
            let id = bytes.get(..2).map_or(0, |b| u16::from_be_bytes([b[0], b[1]]));
            let _ = answer(&bytes, id, RecordType::A);
        }
    }
}
