//! Packets of a network interface, as a packet capture file (pcap, draft-ietf-opsawg-pcap).

use std::time::UNIX_EPOCH;

use api::proto::common::Data;
use api::proto::machine as proto;
use futures::StreamExt;
use sys::net::capture::{Capture, FILTER_MAX, Instruction, LinkType, Options, Packet};
use tonic::codegen::BoxStream;
use tonic::{Response, Status};

/// The file's first number says that times are in microseconds, and by its order of bytes theirs.
const MAGIC: u32 = 0xa1b2_c3d4;
/// Version 2.4 of the format.
const VERSION: (u16, u16) = (2, 4);
/// Packets that are there already go out together, up to about this many bytes.
const BATCH: usize = 64 * 1024;

/// Captures until the client goes away.
pub fn capture(request: &proto::PacketCaptureRequest) -> Result<Response<BoxStream<Data>>, Status> {
    let options = Options {
        promiscuous: request.promiscuous,
        snap_length: request.snap_len,
        filter: filter(&request.bpf_filter)?,
    };
    let capture = Capture::open(&request.interface, &options).map_err(|error| match error.errno() {
        // ENODEV: if_nametoindex found none.
        Some(19) => Status::not_found(format!("{error} (`get links` lists the interfaces of a node)")),
        // EINVAL: the kernel refused the program.
        Some(22) => Status::invalid_argument(error.to_string()),
        _ => Status::internal(error.to_string()),
    })?;
    // Without a filter, the packets that carry the capture to the client would be captured, carried, captured…
    let own = options.filter.is_empty().then(|| capture.link_type());
    let first = header(capture.link_type(), capture.snap_length());
    let packets = futures::stream::unfold(Some(capture), move |capture| async move {
        let mut capture = capture?;
        loop {
            let packet = match capture.next().await {
                Ok(packet) => packet,
                Err(error) => return Some((Err(Status::unavailable(error.to_string())), None)),
            };
            let mut batch = Vec::new();
            let mut next = Some(packet);
            while let Some(packet) = next {
                if !own.is_some_and(|link_type| is_of_the_api(link_type, &packet.bytes)) {
                    record(&mut batch, &packet);
                }
                next = if batch.len() < BATCH {
                    capture.try_next().unwrap_or_default()
                } else {
                    None
                };
            }
            if !batch.is_empty() {
                return Some((Ok(data(batch)), Some(capture)));
            }
        }
    });
    let first = futures::stream::iter([Ok(data(first))]);
    Ok(Response::new(first.chain(packets).boxed()))
}

fn data(bytes: Vec<u8>) -> Data {
    Data { metadata: None, bytes }
}

fn filter(program: &[proto::BpfInstruction]) -> Result<Vec<Instruction>, Status> {
    if program.len() > FILTER_MAX {
        let text = format!("the filter has more than {FILTER_MAX} instructions");
        return Err(Status::invalid_argument(text));
    }
    let instruction = |i: &proto::BpfInstruction| {
        Some(Instruction {
            code: u16::try_from(i.op).ok()?,
            jump_true: u8::try_from(i.jt).ok()?,
            jump_false: u8::try_from(i.jf).ok()?,
            operand: i.k,
        })
    };
    let program: Option<Vec<Instruction>> = program.iter().map(instruction).collect();
    program.ok_or_else(|| Status::invalid_argument("the filter is no classic BPF program: a number in it is too large"))
}

fn header(link_type: LinkType, snap_length: u32) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(24);
    bytes.extend(MAGIC.to_le_bytes());
    bytes.extend(VERSION.0.to_le_bytes());
    bytes.extend(VERSION.1.to_le_bytes());
    // Reserved.
    bytes.extend([0; 8]);
    bytes.extend(snap_length.to_le_bytes());
    bytes.extend((link_type as u32).to_le_bytes());
    bytes
}

fn record(bytes: &mut Vec<u8>, packet: &Packet) {
    let time = packet.time.duration_since(UNIX_EPOCH).unwrap_or_default();
    // The format ends in 2106.
    bytes.extend(u32::try_from(time.as_secs()).unwrap_or(u32::MAX).to_le_bytes());
    bytes.extend(time.subsec_micros().to_le_bytes());
    bytes.extend(u32::try_from(packet.bytes.len()).unwrap_or(u32::MAX).to_le_bytes());
    bytes.extend(packet.length.to_le_bytes());
    bytes.extend(&packet.bytes);
}

/// Whether a packet is TCP from or to the port of the machine API.
fn is_of_the_api(link_type: LinkType, bytes: &[u8]) -> bool {
    let ip = match link_type {
        LinkType::Raw => Some(bytes),
        // IPv4 and IPv6 by their EtherType; tagged frames are none of ours.
        LinkType::Ethernet => match bytes.get(12..14) {
            Some([0x08, 0x00] | [0x86, 0xdd]) => bytes.get(14..),
            _ => None,
        },
    };
    ip.and_then(tcp_ports)
        .is_some_and(|(from, to)| [from, to].contains(&api::endpoint::APID_PORT))
}

fn tcp_ports(ip: &[u8]) -> Option<(u16, u16)> {
    let first = *ip.first()?;
    let (protocol, length) = match first >> 4 {
        4 => (*ip.get(9)?, usize::from(first & 15) * 4),
        6 => (*ip.get(6)?, 40),
        _ => return None,
    };
    let ports = ip.get(length..length + 4).filter(|_| protocol == 6)?;
    Some((
        u16::from_be_bytes([ports[0], ports[1]]),
        u16::from_be_bytes([ports[2], ports[3]]),
    ))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_file_is_one_that_other_programs_read() {
        let mut file = header(LinkType::Ethernet, 0x40000);
        assert_eq!(file[..8], [0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0]);
        assert_eq!(file[16..], [0, 0, 4, 0, 1, 0, 0, 0]);
        let packet = Packet {
            time: UNIX_EPOCH + Duration::from_micros(5_000_007),
            length: 60,
            bytes: vec![1, 2, 3],
        };
        record(&mut file, &packet);
        assert_eq!(file[24..], [5, 0, 0, 0, 7, 0, 0, 0, 3, 0, 0, 0, 60, 0, 0, 0, 1, 2, 3]);
    }

    #[test]
    fn packets_of_the_api_are_known() {
        let mut packet = vec![0; 54];
        packet[12..15].copy_from_slice(&[0x08, 0x00, 0x45]);
        packet[14 + 9] = 6;
        packet[34..38].copy_from_slice(&[0xc3, 0x50, 0x12, 0x34]);
        assert!(is_of_the_api(LinkType::Ethernet, &packet));
        assert!(is_of_the_api(LinkType::Raw, &packet[14..]));
        packet[34] = 0;
        assert!(!is_of_the_api(LinkType::Ethernet, &packet));
        packet[34] = 0xc3;
        packet[14 + 9] = 17;
        assert!(!is_of_the_api(LinkType::Ethernet, &packet));
        assert!(!is_of_the_api(LinkType::Ethernet, &packet[..20]));
    }

    #[test]
    fn a_filter_that_is_none_is_refused() {
        let instruction = |op| proto::BpfInstruction {
            op,
            ..Default::default()
        };
        assert_eq!(filter(&[instruction(6)]).unwrap()[0].code, 6);
        assert_eq!(
            filter(&[instruction(1 << 20)]).unwrap_err().code(),
            tonic::Code::InvalidArgument
        );
        assert!(filter(&vec![instruction(6); FILTER_MAX + 1]).is_err());
    }
}
