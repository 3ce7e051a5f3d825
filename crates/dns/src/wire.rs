//! What a forwarder has to understand of DNS messages (RFC 1035, 6891): their question, how long an answer may be kept,
//! and nothing of the data in between, which passes through as it came.

use std::net::IpAddr;

/// Longest message over UDP without EDNS.
pub const PLAIN_UDP: usize = 512;

/// Longest name, with the lengths of its labels and the zero at its end (RFC 1035, 2.3.4).
const LONGEST_NAME: usize = 255;
const HEADER: usize = 12;
const RESPONSE: u8 = 0x80;
const TRUNCATED: u8 = 0x02;
const RECURSION_AVAILABLE: u8 = 0x80;
const TYPE_A: u16 = 1;
const TYPE_AAAA: u16 = 28;
const TYPE_SOA: u16 = 6;
const TYPE_OPT: u16 = 41;
const CLASS_INTERNET: u16 = 1;

/// Answers of a server of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// Here is what there is.
    NoError = 0,
    /// No server could be asked.
    ServerFailure = 2,
    /// Not this kind of question.
    NotImplemented = 4,
}

/// A question, and what of the asking matters to the answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Question {
    /// The name in lower case, with dots, without the last one; empty for the root.
    pub name: String,
    /// Type of the records asked for.
    pub kind: u16,
    /// Their class.
    pub class: u16,
    /// The asker wants signatures too.
    pub dnssec: bool,
    /// The asker checks signatures itself.
    pub checking_disabled: bool,
    /// The asker understands EDNS.
    pub edns: bool,
}

impl Question {
    /// Whether addresses of IPv4 are asked for.
    pub fn wants_v4(&self) -> bool {
        self.class == CLASS_INTERNET && self.kind == TYPE_A
    }

    /// Whether addresses of IPv6 are asked for.
    pub fn wants_v6(&self) -> bool {
        self.class == CLASS_INTERNET && self.kind == TYPE_AAAA
    }
}

/// A query that can be answered or passed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// Its number.
    pub id: u16,
    /// What it asks.
    pub question: Question,
    /// Longest answer the asker takes over UDP.
    pub udp_size: usize,
    /// Where the question ends.
    end: usize,
}

/// Reads a query with one question; `None` for anything else, which gets no answer.
pub fn query(message: &[u8]) -> Option<Query> {
    let header = message.get(..HEADER)?;
    let standard = header[2] & 0xf8 == 0;
    if !standard || word(message, 4)? != 1 {
        return None;
    }
    let (name, at) = name(message, HEADER)?;
    let (kind, class) = (word(message, at)?, word(message, at + 2)?);
    let end = at + 4;
    let mut query = Query {
        id: word(message, 0)?,
        question: Question {
            name,
            kind,
            class,
            dnssec: false,
            checking_disabled: header[3] & 0x10 != 0,
            edns: false,
        },
        udp_size: PLAIN_UDP,
        end,
    };
    let records = usize::from(word(message, 6)?) + usize::from(word(message, 8)?) + usize::from(word(message, 10)?);
    let mut at = end;
    for _ in 0..records {
        let record = record(message, at)?;
        if record.kind == TYPE_OPT {
            query.udp_size = usize::from(record.class).max(PLAIN_UDP);
            query.question.dnssec = record.ttl & 0x8000 != 0;
            query.question.edns = true;
        }
        at = record.end;
    }
    Some(query)
}

/// Longest datagram that is asked for: it crosses any network in one piece (the recommendation of 2020's DNS flag day).
const ASKED_UDP: u16 = 1232;

/// The same question for another server: without options that are between the asker and this server only.
pub fn onward(message: &[u8], query: &Query, id: u16) -> Vec<u8> {
    let mut out = message.get(..query.end).unwrap_or_default().to_vec();
    set_id(&mut out, id);
    if let Some(header) = out.get_mut(..HEADER) {
        // Recursion is desired whatever the asker said: this server knows nothing itself.
        header[2] = 0x01;
        header[3] = if query.question.checking_disabled { 0x10 } else { 0 };
        header[6..12].copy_from_slice(&[0, 0, 0, 0, 0, u8::from(query.question.edns)]);
    }
    if query.question.edns {
        let [high, low] = ASKED_UDP.to_be_bytes();
        let flags = if query.question.dnssec { 0x80 } else { 0 };
        out.extend([0, 0, TYPE_OPT as u8, high, low, 0, 0, flags, 0, 0, 0]);
    }
    out
}

struct Record {
    kind: u16,
    class: u16,
    ttl: u32,
    ttl_at: usize,
    data: usize,
    end: usize,
}

fn record(message: &[u8], at: usize) -> Option<Record> {
    let at = skip_name(message, at)?;
    let fixed = message.get(at..at + 10)?;
    let length = usize::from(u16::from_be_bytes([fixed[8], fixed[9]]));
    let data = at + 10;
    message.get(data..data + length)?;
    Some(Record {
        kind: u16::from_be_bytes([fixed[0], fixed[1]]),
        class: u16::from_be_bytes([fixed[2], fixed[3]]),
        ttl: u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]),
        ttl_at: at + 4,
        data,
        end: data + length,
    })
}

fn word(message: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes([*message.get(at)?, *message.get(at + 1)?]))
}

/// A name without compression, as questions have them, and where it ends.
fn name(message: &[u8], mut at: usize) -> Option<(String, usize)> {
    let start = at;
    let mut labels = Vec::new();
    loop {
        let length = usize::from(*message.get(at)?);
        at += 1;
        match length {
            0 => break,
            1..=63 => {
                let label = message.get(at..at + length)?;
                labels.push(String::from_utf8_lossy(label).to_ascii_lowercase());
                at += length;
            }
            _ => return None,
        }
        if at - start >= LONGEST_NAME {
            return None;
        }
    }
    Some((labels.join("."), at))
}

/// Where a name ends; pointers are not followed, so they cannot loop.
fn skip_name(message: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match usize::from(*message.get(at)?) {
            0 => return Some(at + 1),
            length @ 1..=63 => at += 1 + length,
            192.. => return message.get(at + 1).map(|_| at + 2),
            _ => return None,
        }
    }
}

/// What a forwarder makes of a server's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Its code: 0 no error, 3 no such name, others are failures.
    pub code: u8,
    /// It was cut short.
    pub truncated: bool,
    /// Seconds that it may be kept; `None` if it says nothing of it.
    pub ttl: Option<u32>,
}

/// Reads the answer to a query; `None` if it is not one.
pub fn answer(message: &[u8], query: &Query, id: u16) -> Option<Answer> {
    let header = message.get(..HEADER)?;
    if word(message, 0)? != id || header[2] & RESPONSE == 0 {
        return None;
    }
    let code = header[3] & 0x0f;
    let truncated = header[2] & TRUNCATED != 0;
    // A server that understands nothing may leave the question out.
    if word(message, 4)? == 0 {
        return (code != 0).then_some(Answer {
            code,
            truncated,
            ttl: None,
        });
    }
    let (name, at) = name(message, HEADER)?;
    let question = &query.question;
    if name != question.name || word(message, at)? != question.kind || word(message, at + 2)? != question.class {
        return None;
    }
    let mut ttl: Option<u32> = None;
    each_record(message, at + 4, |record, authority| {
        let seconds = if authority && record.kind == TYPE_SOA {
            // How long "there is none" may be believed (RFC 2308).
            let minimum = message.get(record.end.checked_sub(4)?..record.end)?;
            record.ttl.min(u32::from_be_bytes(minimum.try_into().ok()?))
        } else {
            record.ttl
        };
        ttl = Some(ttl.map_or(seconds, |ttl| ttl.min(seconds)));
        Some(())
    });
    Some(Answer { code, truncated, ttl })
}

/// Calls with each record but EDNS' own, and whether it is of the authority section. Ends at what cannot be read.
fn each_record(message: &[u8], start: usize, mut each: impl FnMut(&Record, bool) -> Option<()>) -> Option<()> {
    let answers = word(message, 6)?;
    let authorities = word(message, 8)?;
    let others = word(message, 10)?;
    let mut at = start;
    for number in 0..u32::from(answers) + u32::from(authorities) + u32::from(others) {
        let record = record(message, at)?;
        at = record.end;
        if record.kind != TYPE_OPT {
            let authority = (u32::from(answers)..u32::from(answers) + u32::from(authorities)).contains(&number);
            each(&record, authority)?;
        }
    }
    Some(())
}

/// A kept answer for another asker: its number, and times shortened by what has passed.
pub fn aged(message: &[u8], id: u16, seconds: u32) -> Vec<u8> {
    let mut out = message.to_vec();
    set_id(&mut out, id);
    let start = match word(message, 4) {
        Some(1) => skip_name(message, HEADER).map(|at| at + 4),
        _ => None,
    };
    if let Some(start) = start {
        each_record(message, start, |record, _| {
            let left = record.ttl.saturating_sub(seconds).to_be_bytes();
            out.get_mut(record.ttl_at..record.ttl_at + 4)?.copy_from_slice(&left);
            Some(())
        });
    }
    out
}

/// Gives a message another number.
pub fn set_id(message: &mut [u8], id: u16) {
    if let Some(place) = message.get_mut(..2) {
        place.copy_from_slice(&id.to_be_bytes());
    }
}

/// An answer of one's own: a code, and addresses of the asked family.
pub fn reply(message: &[u8], query: &Query, code: Code, addresses: &[IpAddr], ttl: u32) -> Vec<u8> {
    let mut out = message.get(..query.end).unwrap_or_default().to_vec();
    let wanted = addresses.iter().filter(|address| match address {
        IpAddr::V4(_) => query.question.wants_v4(),
        IpAddr::V6(_) => query.question.wants_v6(),
    });
    let mut count: u16 = 0;
    for address in wanted.take(64) {
        count += 1;
        // The name is that of the question, at the header's end.
        out.extend([0xc0, HEADER as u8]);
        let (kind, data) = match address {
            IpAddr::V4(address) => (TYPE_A, address.octets().to_vec()),
            IpAddr::V6(address) => (TYPE_AAAA, address.octets().to_vec()),
        };
        out.extend(kind.to_be_bytes());
        out.extend(CLASS_INTERNET.to_be_bytes());
        out.extend(ttl.to_be_bytes());
        out.extend((data.len() as u16).to_be_bytes());
        out.extend(data);
    }
    if let Some(header) = out.get_mut(..HEADER) {
        header[2] = (header[2] & 0x01) | RESPONSE;
        header[3] = RECURSION_AVAILABLE | code as u8;
        header[4..6].copy_from_slice(&1u16.to_be_bytes());
        header[6..8].copy_from_slice(&count.to_be_bytes());
        header[8..12].fill(0);
    }
    out
}

/// An answer that fits into a datagram: cut to its question, with the mark that sends the asker to TCP, if it is longer.
pub fn fitting(answer: Vec<u8>, query: &Query) -> Vec<u8> {
    if answer.len() <= query.udp_size {
        return answer;
    }
    let mut cut = answer;
    let end = match word(&cut, 4) {
        Some(1) => skip_name(&cut, HEADER).map_or(HEADER, |at| at + 4),
        _ => HEADER,
    };
    cut.truncate(end);
    if let Some(header) = cut.get_mut(..HEADER) {
        header[2] |= TRUNCATED;
        header[6..12].fill(0);
    }
    cut
}

/// The addresses among an answer's records.
pub fn addresses(message: &[u8]) -> Vec<IpAddr> {
    let mut found = Vec::new();
    let start = skip_name(message, HEADER).map_or(message.len(), |at| at + 4);
    each_record(message, start, |record, _| {
        let data = message.get(record.data..record.end)?;
        if let (TYPE_A, Ok(octets)) = (record.kind, <[u8; 4]>::try_from(data)) {
            found.push(octets.into());
        } else if let (TYPE_AAAA, Ok(octets)) = (record.kind, <[u8; 16]>::try_from(data)) {
            found.push(octets.into());
        }
        Some(())
    });
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_too_long_is_no_question() {
        let name = |labels: usize| vec!["a".repeat(49); labels].join(".");
        assert!(query(&question(&name(5), false)).is_some());
        // Its answer, cut to the question, would not fit into any datagram the asker takes.
        assert!(query(&question(&name(12), false)).is_none());
    }

    /// A query for addresses of IPv4, with EDNS for 1232 bytes and signatures if wanted.
    fn question(name: &str, edns: bool) -> Vec<u8> {
        let mut message = crate::message::query(7, name, crate::message::RecordType::A);
        if edns {
            message[11] = 1;
            message.extend([0, 0, 41, 0x04, 0xd0, 0, 0, 0x80, 0, 0, 0]);
        }
        message
    }

    #[test]
    fn a_query_is_read() {
        let query = super::query(&question("WWW.Example.com", true)).unwrap();
        assert_eq!((query.id, query.udp_size), (7, 1232));
        assert_eq!(query.question.name, "www.example.com");
        assert!(query.question.dnssec && query.question.wants_v4() && !query.question.wants_v6());
        assert_eq!(super::query(&question("a", false)).unwrap().udp_size, PLAIN_UDP);
        let onward = onward(&question("WWW.Example.com", true), &query, 9);
        let again = super::query(&onward).unwrap();
        assert_eq!((again.id, again.question), (9, query.question));
        let mut response = question("a", false);
        response[2] |= RESPONSE;
        assert_eq!(super::query(&response), None);
    }

    #[test]
    fn an_answer_is_kept_as_long_as_its_shortest_record_and_ages() {
        let message = question("a.example", false);
        let query = super::query(&message).unwrap();
        let address: IpAddr = "10.0.0.1".parse().unwrap();
        let reply = super::reply(&message, &query, Code::NoError, &[address], 60);
        let expected = Answer {
            code: 0,
            truncated: false,
            ttl: Some(60),
        };
        assert_eq!(answer(&reply, &query, 7), Some(expected));
        assert_eq!(answer(&reply, &query, 8), None);
        let other = super::query(&question("b.example", false)).unwrap();
        assert_eq!(answer(&reply, &other, 7), None);
        let aged = aged(&reply, 9, 45);
        assert_eq!(answer(&aged, &query, 9).unwrap().ttl, Some(15));
        assert_eq!(addresses(&aged), [address]);
    }

    #[test]
    fn an_answer_that_no_longer_fits_sends_the_asker_to_tcp() {
        let message = question("a.example", false);
        let query = super::query(&message).unwrap();
        let many: Vec<IpAddr> = (0..60u8).map(|n| IpAddr::from([10, 0, 0, n])).collect();
        let long = super::reply(&message, &query, Code::NoError, &many, 60);
        assert!(long.len() > PLAIN_UDP);
        let cut = fitting(long, &query);
        assert!(answer(&cut, &query, 7).unwrap().truncated && addresses(&cut).is_empty());
    }

    #[test]
    fn any_bytes_are_read_or_refused_but_never_a_panic() {
        let mut seed = 11u32;
        let base = {
            let message = question("a.example", true);
            let query = super::query(&message).unwrap();
            super::reply(&message, &query, Code::NoError, &["10.0.0.1".parse().unwrap()], 60)
        };
        for round in 0..4000usize {
            let mut bytes = if round % 2 == 0 {
                base.clone()
            } else {
                question("a.example", true)
            };
            for _ in 0..3 {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let at = seed as usize % bytes.len();
                bytes[at] = (seed >> 8) as u8;
            }
            bytes.truncate(round % (bytes.len() + 1));
            if let Some(query) = super::query(&bytes) {
                let reply = super::reply(&bytes, &query, Code::ServerFailure, &[], 1);
                let _ = answer(&reply, &query, query.id);
            }
            let query = super::query(&question("a.example", true)).unwrap();
            let _ = answer(&bytes, &query, 7);
            let _ = aged(&bytes, 1, 1);
            let _ = addresses(&bytes);
            let _ = fitting(bytes, &query);
        }
    }
}
