//! `pcap`: the packets of an interface, to a file or described.

use std::fmt::Write as _;
use std::io::Write;
use std::net::{Ipv4Addr, Ipv6Addr};

use anyhow::{Context as _, Result, bail};
use api::proto::machine::{BpfInstruction, PacketCaptureRequest};

use crate::Program;
use crate::cli::common::Node;
use crate::cli::load::Pcap;
use crate::output::print;
use crate::session::{Failures, Session, block};

/// Bytes of the header of a capture file, and of that of each packet in it.
const FILE_HEADER: usize = 24;
const PACKET_HEADER: usize = 16;
/// No packet is larger; a length beyond it means that this is no capture.
const PACKET_MAX: u32 = 1 << 20;
/// Link types without a header before that of IP, and with Ethernet's.
const RAW: u32 = 101;

/// Runs `pcap`.
pub fn run(command: &Node<Pcap>, program: Program) -> Result<()> {
    let args = &command.args;
    let filter = args.bpf_filter.as_deref().map(parse_filter).transpose()?;
    let mut output: Option<Box<dyn Write>> = match args.output.as_deref() {
        None => None,
        Some("-") => Some(Box::new(std::io::stdout())),
        Some(path) => Some(Box::new(
            std::fs::File::create(path).with_context(|| format!("write {path}"))?,
        )),
    };
    let request = PacketCaptureRequest {
        interface: args.interface.clone(),
        promiscuous: args.promiscuous,
        snap_len: 0,
        bpf_filter: filter.unwrap_or_default(),
    };
    block(async {
        let session = Session::open(&command.client, program)?;
        let target = session.single("pcap")?;
        let failed = |status| Failures(vec![(target.node.clone(), status)]);
        let stream = target.client.machine().packet_capture(request).await;
        let mut stream = stream.map_err(failed)?.into_inner();
        let mut reader = Reader::default();
        let receive = async {
            while let Some(data) = stream.message().await.map_err(failed)? {
                match &mut output {
                    Some(file) => {
                        file.write_all(&data.bytes)?;
                        file.flush()?;
                    }
                    None => print(&reader.push(&data.bytes)?)?,
                }
            }
            Ok(())
        };
        match args.duration {
            Some(limit) => tokio::time::timeout(limit, receive).await.unwrap_or(Ok(())),
            None => receive.await,
        }
    })
}

/// A program as `tcpdump -dd` prints it (lines of four numbers in braces), or `-ddd` (a count, then lines of four).
fn parse_filter(text: &str) -> Result<Vec<BpfInstruction>> {
    let number = |word: &str| -> Result<u32> {
        let parsed = match word.strip_prefix("0x") {
            Some(hex) => u32::from_str_radix(hex, 16),
            None => word.parse(),
        };
        parsed.with_context(|| {
            format!(
                "--bpf-filter takes a program, as `tcpdump -dd 'tcp port 80'` prints it; {word:?} is no number of one"
            )
        })
    };
    let words = text
        .split(|c: char| c.is_whitespace() || "{},".contains(c))
        .filter(|w| !w.is_empty());
    let mut numbers = words.map(number).collect::<Result<Vec<u32>>>()?;
    if numbers.len() % 4 == 1
        && numbers
            .first()
            .is_some_and(|count| *count as usize == numbers.len() / 4)
    {
        numbers.remove(0);
    }
    if numbers.is_empty() || numbers.len() % 4 != 0 {
        bail!("--bpf-filter takes instructions of four numbers each, as `tcpdump -dd 'tcp port 80'` prints them");
    }
    let instruction = |n: &[u32]| BpfInstruction {
        op: n[0],
        jt: n[1],
        jf: n[2],
        k: n[3],
    };
    Ok(numbers.chunks_exact(4).map(instruction).collect())
}

/// Takes a capture apart as it comes.
#[derive(Default)]
struct Reader {
    pending: Vec<u8>,
    link_type: Option<u32>,
}

impl Reader {
    /// Descriptions of the packets that are complete now.
    fn push(&mut self, bytes: &[u8]) -> Result<String> {
        self.pending.extend_from_slice(bytes);
        let (mut at, mut text) = (0, String::new());
        if self.link_type.is_none() {
            let Some(header) = self.pending.get(..FILE_HEADER) else {
                return Ok(text);
            };
            if word(header, 0) != Some(0xa1b2_c3d4) {
                bail!("the node answered with something that is no packet capture");
            }
            self.link_type = word(header, 20);
            at = FILE_HEADER;
        }
        let link_type = self.link_type.unwrap_or_default();
        while let Some(header) = self.pending.get(at..at + PACKET_HEADER) {
            let field = |number: usize| word(header, number * 4).unwrap_or_default();
            let (seconds, micros, kept, length) = (field(0), field(1), field(2), field(3));
            if kept > PACKET_MAX {
                bail!("the node answered with something that is no packet capture");
            }
            let begin = at + PACKET_HEADER;
            let Some(packet) = self.pending.get(begin..begin + kept as usize) else {
                break;
            };
            let (h, m, s) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
            // Writing to a string does not fail.
            let _ = writeln!(
                text,
                "{h:02}:{m:02}:{s:02}.{micros:06} {}",
                describe(link_type, packet, length)
            );
            at = begin + kept as usize;
        }
        self.pending.drain(..at);
        Ok(text)
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn short(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

/// A packet in a line: who to whom, what, how long. What is not known is named by its number.
fn describe(link_type: u32, packet: &[u8], length: u32) -> String {
    let known = if link_type == RAW {
        internet(packet)
    } else {
        ethernet(packet)
    };
    match known {
        Some(text) => format!("{text}, length {length}"),
        None => format!("unknown, length {length}"),
    }
}

fn ethernet(frame: &[u8]) -> Option<String> {
    let (kind, rest) = match short(frame, 12)? {
        // A tag of 802.1Q is four bytes more.
        0x8100 => (short(frame, 16)?, frame.get(18..)?),
        kind => (kind, frame.get(14..)?),
    };
    match kind {
        0x0800 | 0x86dd => internet(rest),
        0x0806 => {
            let address = |at: usize| Some(Ipv4Addr::from(<[u8; 4]>::try_from(rest.get(at..at + 4)?).ok()?));
            let (sender, target) = (address(14)?, address(24)?);
            Some(match short(rest, 6)? {
                1 => format!("ARP who has {target}? tell {sender}"),
                _ => format!("ARP {sender} answers {target}"),
            })
        }
        other => Some(format!("ethertype 0x{other:04x}")),
    }
}

fn internet(packet: &[u8]) -> Option<String> {
    let (name, from, to, protocol, rest) = match packet.first()? >> 4 {
        4 => {
            let address = |at: usize| Some(Ipv4Addr::from(<[u8; 4]>::try_from(packet.get(at..at + 4)?).ok()?));
            let header = usize::from(packet[0] & 15) * 4;
            let (from, to) = (address(12)?.to_string(), address(16)?.to_string());
            ("IP", from, to, *packet.get(9)?, packet.get(header..)?)
        }
        6 => {
            let address = |at: usize| Some(Ipv6Addr::from(<[u8; 16]>::try_from(packet.get(at..at + 16)?).ok()?));
            let (from, to) = (address(8)?.to_string(), address(24)?.to_string());
            ("IP6", from, to, *packet.get(6)?, packet.get(40..)?)
        }
        _ => return None,
    };
    let ports = short(rest, 0).zip(short(rest, 2));
    let (from, to) = match (protocol, ports) {
        (6 | 17, Some((source, target))) => (format!("{from}.{source}"), format!("{to}.{target}")),
        _ => (from, to),
    };
    let what = match protocol {
        6 => format!("TCP [{}]", rest.get(13).map_or_else(String::new, |bits| flags(*bits))),
        17 => "UDP".to_owned(),
        1 => icmp(rest, 8, 0).to_owned(),
        58 => icmp(rest, 128, 129).to_owned(),
        other => format!("protocol {other}"),
    };
    Some(format!("{name} {from} > {to}: {what}"))
}

fn icmp(message: &[u8], request: u8, reply: u8) -> &'static str {
    match message.first() {
        Some(kind) if *kind == request => "ICMP echo request",
        Some(kind) if *kind == reply => "ICMP echo reply",
        _ => "ICMP",
    }
}

/// As tcpdump writes them.
fn flags(bits: u8) -> String {
    let letters = [(2, 'S'), (1, 'F'), (4, 'R'), (8, 'P'), (32, 'U'), (16, '.')];
    letters
        .iter()
        .filter(|(bit, _)| bits & bit != 0)
        .map(|(_, letter)| letter)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_of_tcpdump_are_read() {
        let dd = "{ 0x28, 0, 0, 0x0000000c },\n{ 0x15, 0, 1, 0x00000800 },\n{ 0x6, 0, 0, 0x00040000 },\n";
        let program = parse_filter(dd).unwrap();
        assert_eq!(program.len(), 3);
        assert_eq!((program[1].op, program[1].jf, program[1].k), (0x15, 1, 0x800));
        assert_eq!(
            parse_filter("3\n40 0 0 12\n21 0 1 2048\n6 0 0 262144\n").unwrap(),
            program
        );
        assert!(
            parse_filter("tcp port 80")
                .unwrap_err()
                .to_string()
                .contains("tcpdump -dd")
        );
        assert!(parse_filter("1 2 3").is_err() && parse_filter("").is_err());
    }

    fn capture(packets: &[&[u8]]) -> Vec<u8> {
        let mut bytes = vec![0; FILE_HEADER];
        bytes[..4].copy_from_slice(&0xa1b2_c3d4u32.to_le_bytes());
        bytes[20] = 1;
        for packet in packets {
            let length = u32::try_from(packet.len()).unwrap();
            for field in [3723, 42, length, length + 1] {
                bytes.extend(field.to_le_bytes());
            }
            bytes.extend(*packet);
        }
        bytes
    }

    #[test]
    fn packets_are_described_however_they_are_cut() {
        let mut syn = vec![0; 14 + 20 + 20];
        syn[12] = 8;
        syn[14] = 0x45;
        syn[14 + 9] = 6;
        syn[14 + 12..14 + 20].copy_from_slice(&[10, 5, 0, 1, 10, 5, 0, 2]);
        syn[34..38].copy_from_slice(&[0x30, 0x39, 0x19, 0x2b]);
        syn[34 + 13] = 2;
        let mut arp = vec![0; 42];
        arp[12..14].copy_from_slice(&[8, 6]);
        arp[21] = 1;
        arp[28..32].copy_from_slice(&[10, 5, 0, 1]);
        arp[38..42].copy_from_slice(&[10, 5, 0, 2]);
        let bytes = capture(&[&syn, &arp, &[1, 2, 3]]);
        let (mut reader, mut text) = (Reader::default(), String::new());
        for piece in bytes.chunks(7) {
            text.push_str(&reader.push(piece).unwrap());
        }
        let expected = "01:02:03.000042 IP 10.5.0.1.12345 > 10.5.0.2.6443: TCP [S], length 55\n\
                        01:02:03.000042 ARP who has 10.5.0.2? tell 10.5.0.1, length 43\n\
                        01:02:03.000042 unknown, length 4\n";
        assert_eq!(text, expected);
        assert!(Reader::default().push(&[0; 30]).is_err());
    }
}
