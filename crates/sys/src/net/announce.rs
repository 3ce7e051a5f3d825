//! Telling a network that an address has moved here, so that nobody keeps sending to who had it before.

use std::io;
use std::mem::{size_of, zeroed};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use super::Link;
use crate::{Context, Error, Result};

/// A hardware address of Ethernet.
type Mac = [u8; 6];

const EVERYBODY: Mac = [0xff; 6];
const ETHERTYPE_ARP: u16 = 0x0806;
const ETHERTYPE_IPV6: u16 = 0x86dd;
/// All nodes of the link (RFC 4291, 2.7.1), and its Ethernet address (RFC 2464, 7).
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const ALL_NODES_MAC: Mac = [0x33, 0x33, 0, 0, 0, 1];
const ICMPV6: u8 = 58;

/// Tells everybody on an Ethernet link that this machine has an address now: an ARP announcement (RFC 5227, 3), or an
/// unsolicited neighbour advertisement (RFC 4861, 7.2.6). Needs the privilege CAP_NET_RAW.
///
/// # Errors
/// The link is not Ethernet or is gone, or the privilege is missing.
pub fn announce(link: &Link, address: IpAddr) -> Result<()> {
    let what = || format!("announce {address} on {}", link.name);
    let mac = Mac::try_from(link.hardware_address.as_slice())
        .map_err(|_| Error::new(what(), "the link has no Ethernet address"))?;
    let frame = match address {
        IpAddr::V4(address) => arp(mac, address),
        IpAddr::V6(address) => neighbour_advertisement(mac, address),
    };
    send(link.index, &frame).doing(what)
}

fn ethernet(to: Mac, from: Mac, kind: u16) -> Vec<u8> {
    [&to[..], &from, &kind.to_be_bytes()].concat()
}

/// A request in which both sides have the same address: everybody notes the sender's hardware address.
fn arp(mac: Mac, address: Ipv4Addr) -> Vec<u8> {
    let mut frame = ethernet(EVERYBODY, mac, ETHERTYPE_ARP);
    // Ethernet (1), IPv4, lengths of both addresses, request (1).
    frame.extend([0, 1, 8, 0, 6, 4, 0, 1]);
    frame.extend(mac);
    frame.extend(address.octets());
    frame.extend([0; 6]);
    frame.extend(address.octets());
    frame
}

fn neighbour_advertisement(mac: Mac, address: Ipv6Addr) -> Vec<u8> {
    // Type 136, code 0, checksum; the override flag; the target; option 2: its hardware address, in units of 8 bytes.
    let mut message = vec![136, 0, 0, 0, 0x20, 0, 0, 0];
    message.extend(address.octets());
    message.extend([2, 1]);
    message.extend(mac);
    let sum = checksum(address, ALL_NODES, &message).to_be_bytes();
    message[2..4].copy_from_slice(&sum);
    let mut frame = ethernet(ALL_NODES_MAC, mac, ETHERTYPE_IPV6);
    // Version 6, length; a hop limit of 255 shows that no router passed it on.
    frame.extend([0x60, 0, 0, 0, 0, message.len() as u8, ICMPV6, 255]);
    frame.extend(address.octets());
    frame.extend(ALL_NODES.octets());
    frame.extend(message);
    frame
}

/// The checksum of ICMPv6 (RFC 4443, 2.3) over the message and its pseudo header; the message has an even length.
fn checksum(from: Ipv6Addr, to: Ipv6Addr, message: &[u8]) -> u16 {
    let length = (message.len() as u32).to_be_bytes();
    let pseudo = [&from.octets()[..], &to.octets(), &length, &[0, 0, 0, ICMPV6], message].concat();
    let sum: u32 = pseudo
        .chunks_exact(2)
        .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])))
        .sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    !((folded & 0xffff) + (folded >> 16)) as u16
}

fn send(index: u32, frame: &[u8]) -> io::Result<()> {
    // SAFETY: a plain call without pointers; the descriptor is checked before it is owned.
    let descriptor = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor was just made and belongs to nobody else.
    let socket = unsafe { OwnedFd::from_raw_fd(descriptor) };
    // SAFETY: all zeroes is a valid sockaddr_ll.
    let mut to: libc::sockaddr_ll = unsafe { zeroed() };
    to.sll_family = libc::AF_PACKET as libc::c_ushort;
    to.sll_ifindex = index.cast_signed();
    // SAFETY: both pointers are to values that live through the call, with their true lengths.
    let sent = unsafe {
        libc::sendto(
            socket.as_raw_fd(),
            frame.as_ptr().cast(),
            frame.len(),
            0,
            std::ptr::from_ref(&to).cast(),
            size_of::<libc::sockaddr_ll>() as libc::socklen_t,
        )
    };
    if sent < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: Mac = [2, 0, 0, 0, 0, 7];

    #[test]
    fn an_arp_announcement_asks_everybody_for_its_own_address() {
        let frame = arp(MAC, Ipv4Addr::new(10, 5, 0, 50));
        let wanted = "ffffffffffff 020000000007 0806 0001 0800 06 04 0001 020000000007 0a050032 000000000000 0a050032";
        let frame: String = frame.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(frame, wanted.replace(' ', ""));
    }

    #[test]
    fn a_neighbour_advertisement_overrides_and_its_checksum_holds() {
        let address = "fd00::50".parse().unwrap();
        let frame = neighbour_advertisement(MAC, address);
        let message = &frame[14 + 40..];
        assert_eq!((message[0], message[4]), (136, 0x20));
        assert_eq!(&message[8..24], &address.octets());
        assert_eq!(&message[24..], [2, 1, 2, 0, 0, 0, 0, 7]);
        // Over a message with its checksum in place the sum is zero.
        assert_eq!(checksum(address, ALL_NODES, message), 0);
    }
}
