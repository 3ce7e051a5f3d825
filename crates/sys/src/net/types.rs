//! What the kernel knows about the network, with its numbers (linux/if_link.h, if_addr.h, rtnetlink.h, fib_rules.h).

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// A network device.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// Number.
    pub index: u32,
    /// Name.
    pub name: String,
    /// Alias given by a person.
    pub alias: String,
    /// Further names.
    pub alt_names: Vec<String>,
    /// ARPHRD_*: 1 is ethernet, 772 loopback, 65534 none.
    pub kind_number: u16,
    /// The same as the kernel's tools print it, in lower case: `ether`, `loopback`.
    pub layer: String,
    /// The link this one is on top of, or the other end of a veth.
    pub link_index: u32,
    /// IFF_*: 1 up, 0x40 running, 0x10000 lower up.
    pub flags: u32,
    /// Hardware address.
    pub hardware_address: Vec<u8>,
    /// The hardware address it was made with.
    pub permanent_address: Vec<u8>,
    /// Hardware address of everybody.
    pub broadcast_address: Vec<u8>,
    /// Longest packet.
    pub mtu: u32,
    /// Queue discipline: `noqueue`.
    pub queue_discipline: String,
    /// The bridge, bond or VRF it is part of.
    pub master_index: u32,
    /// IF_OPER_*: 0 unknown, 2 down, 6 up.
    pub operational_state: u8,
    /// `veth`, `bridge`, `vxlan`; empty for hardware.
    pub kind: String,
    /// Kind of its master.
    pub slave_kind: String,
    /// Whether a cable is in.
    pub carrier: bool,
    /// Bytes and packets that came in and went out.
    pub received_bytes: u64,
    /// Packets in.
    pub received_packets: u64,
    /// Bytes out.
    pub sent_bytes: u64,
    /// Packets out.
    pub sent_packets: u64,
}

impl Link {
    /// Administratively up.
    pub fn is_up(&self) -> bool {
        self.flags & 1 != 0
    }
}

/// An address of a link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    /// The address.
    pub address: IpAddr,
    /// Length of the network part.
    pub prefix_length: u8,
    /// Own address of a point-to-point link, else the same.
    pub local: Option<IpAddr>,
    /// Address of everybody.
    pub broadcast: Option<IpAddr>,
    /// Anycast address.
    pub anycast: Option<IpAddr>,
    /// Multicast address.
    pub multicast: Option<IpAddr>,
    /// Number of the link.
    pub link_index: u32,
    /// AF_INET 2, AF_INET6 10.
    pub family: u8,
    /// RT_SCOPE_*: 0 global, 253 link, 254 host.
    pub scope: u8,
    /// IFA_F_*: 0x80 permanent.
    pub flags: u32,
    /// Metric of the route to the network.
    pub priority: u32,
    /// Label, as `eth0`.
    pub label: String,
}

/// A route.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// AF_INET 2, AF_INET6 10.
    pub family: u8,
    /// Where to; `None` is everywhere.
    pub destination: Option<(IpAddr, u8)>,
    /// Source address to use.
    pub source: Option<IpAddr>,
    /// Next hop.
    pub gateway: Option<IpAddr>,
    /// Number of the link to send through; 0 without one.
    pub out_link_index: u32,
    /// Table: 254 main, 255 local.
    pub table: u32,
    /// Metric.
    pub priority: u32,
    /// RT_SCOPE_*.
    pub scope: u8,
    /// RTN_*: 1 unicast, 2 local, 3 broadcast.
    pub kind: u8,
    /// RTNH_F_*.
    pub flags: u32,
    /// RTPROT_*: 2 kernel, 3 boot, 4 static.
    pub protocol: u8,
    /// Longest packet; 0 without a limit.
    pub mtu: u32,
}

/// A routing rule.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// AF_INET 2, AF_INET6 10.
    pub family: u8,
    /// From where.
    pub source: Option<(IpAddr, u8)>,
    /// To where.
    pub destination: Option<(IpAddr, u8)>,
    /// Table to look in.
    pub table: u32,
    /// Order: lower is first.
    pub priority: u32,
    /// FR_ACT_*: 1 look in the table.
    pub action: u8,
    /// Link it came in through.
    pub input_link: String,
    /// Link it goes out through.
    pub output_link: String,
    /// Firewall mark.
    pub mark: u32,
    /// Bits of the mark that count.
    pub mask: u32,
}
