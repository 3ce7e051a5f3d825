//! The kernel's names and numbers, as the interface writes them.

use resource::ProtoEnum;
use resource::proto::{self, ProtoValue};

/// Sets of bits with names, a list with commas in YAML and a number on the wire.
macro_rules! flags {
    ($(#[$doc:meta])* $name:ident { $($bit:literal = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
        pub struct $name(pub u32);

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                let names: Vec<_> = [$(($bit, $text)),+].iter().filter(|(bit, _)| self.0 & bit != 0).map(|(_, name)| *name).collect();
                f.write_str(&names.join(","))
            }
        }

        impl std::str::FromStr for $name {
            type Err = proto::UnknownName;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.split(',').map(str::trim).filter(|name| !name.is_empty()).try_fold(Self(0), |found, name| {
                    $(if name == $text { return Ok(Self(found.0 | $bit)); })+
                    Err(proto::UnknownName::new(stringify!($name), name, &[$($text),+]))
                })
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                <String as serde::Deserialize>::deserialize(from)?.parse().map_err(serde::de::Error::custom)
            }
        }

        impl ProtoValue for $name {
            fn encode(&self, number: u32, out: &mut Vec<u8>) {
                self.0.encode(number, out);
            }
            fn is_default(&self) -> bool {
                self.0 == 0
            }
        }
    };
}

flags!(
    /// `IFA_F_*`
    AddressFlags {
        0x1 = "temporary", 0x2 = "nodad", 0x4 = "optimistic", 0x8 = "dadfailed", 0x10 = "homeaddress",
        0x20 = "deprecated", 0x40 = "tentative", 0x80 = "permanent", 0x100 = "mngmtmpaddr", 0x200 = "noprefixroute",
        0x400 = "mcautojoin", 0x800 = "stableprivacy",
    }
);
flags!(
    /// `IFF_*`
    LinkFlags {
        0x1 = "UP", 0x2 = "BROADCAST", 0x4 = "DEBUG", 0x8 = "LOOPBACK", 0x10 = "POINTTOPOINT", 0x20 = "NOTRAILERS",
        0x40 = "RUNNING", 0x80 = "NOARP", 0x100 = "PROMISC", 0x200 = "ALLMULTI", 0x400 = "MASTER", 0x800 = "SLAVE",
        0x1000 = "MULTICAST", 0x2000 = "PORTSEL", 0x4000 = "AUTOMEDIA", 0x8000 = "DYNAMIC", 0x1_0000 = "LOWER_UP",
        0x2_0000 = "DORMANT", 0x4_0000 = "ECHO",
    }
);
flags!(
    /// `RTM_F_*`
    RouteFlags {
        0x100 = "notify", 0x200 = "cloned", 0x400 = "equalize", 0x800 = "prefix", 0x1000 = "lookup_table",
        0x2000 = "fib_match", 0x4000 = "offload", 0x8000 = "trap",
    }
);

/// An enumeration whose values are their numbers and names.
macro_rules! names {
    ($(#[$doc:meta])* $name:ident { $($number:literal $variant:ident $text:literal),+ $(,)? } $(other $other:literal)?) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, ProtoEnum)]
        pub enum $name {
            $(#[value($number, $text)] $variant,)+
            $(#[other($other)] Unnamed(i32),)?
        }
        impl Default for $name {
            fn default() -> Self {
                names!(@first $name $($variant)+)
            }
        }
    };
    (@first $name:ident $first:ident $($rest:ident)*) => { $name::$first };
}

names!(
    /// Where a setting comes from; later layers win.
    ConfigLayer {
        0 Default "default", 1 Cmdline "cmdline", 2 Platform "platform", 3 Operator "operator",
        4 Configuration "configuration",
    }
);
names!(
    /// A protocol that configures a link.
    Operator { 0 Dhcp4 "dhcp4", 1 Dhcp6 "dhcp6", 2 Vip "vip" }
);
names!(
    /// `AF_*`
    Family { 0 Unspecified "", 2 Inet4 "inet4", 10 Inet6 "inet6" } other "Family({})"
);
names!(
    /// `RT_SCOPE_*`
    Scope { 0 Global "global", 200 Site "site", 253 Link "link", 254 Host "host", 255 Nowhere "nowhere" }
    other "Scope({})"
);
names!(
    /// `RT_TABLE_*`
    RoutingTable { 0 Unspecified "unspec", 253 Default "default", 254 Main "main", 255 Local "local" } other "{}"
);
names!(
    /// `RTN_*`
    RouteType {
        0 Unspecified "unspec", 1 Unicast "unicast", 2 Local "local", 3 Broadcast "broadcast", 4 Anycast "anycast",
        5 Multicast "multicast", 6 Blackhole "blackhole", 7 Unreachable "unreachable", 8 Prohibit "prohibit",
        9 Throw "throw", 10 Nat "nat", 11 XResolve "xresolve",
    } other "RouteType({})"
);
names!(
    /// `RTPROT_*`
    RouteProtocol {
        0 Unspecified "unspec", 1 Redirect "redirect", 2 Kernel "kernel", 3 Boot "boot", 4 Static "static", 9 Ra "ra",
        10 Mrt "mrt", 11 Zebra "zebra", 12 Bird "bird", 13 Dnrouted "dnrouted", 14 Xorp "xorp", 15 Ntk "ntk",
        16 Dhcp "dhcp", 17 Mrtd "mrtd", 18 Keepalived "keepalived", 42 Babel "babel", 99 Openr "openr", 186 Bgp "bgp",
        187 Isis "isis", 188 Ospf "ospf", 189 Rip "rip", 192 Eigrp "eigrp",
    } other "RouteProtocol({})"
);
names!(
    /// What a routing rule does.
    RoutingRuleAction {
        0 Unspecified "unspec", 1 Unicast "unicast", 6 Blackhole "blackhole", 7 Unreachable "unreachable",
        8 Prohibit "prohibit",
    } other "RoutingRuleAction({})"
);
names!(
    /// `ARPHRD_*`, those that are met.
    LinkType {
        0 Netrom "netrom", 1 Ether "ether", 24 Ieee1394 "ieee1394", 32 Infiniband "infiniband", 256 Slip "slip",
        280 Can "can", 512 Ppp "ppp", 519 RawIp "rawip", 768 Tunnel "tunnel", 769 Tunnel6 "tunnel6",
        772 Loopback "loopback", 776 Sit "sit", 778 Ipgre "ipgre", 779 Pimreg "pimreg", 801 Ieee80211 "ieee80211",
        823 Ip6gre "ip6gre", 824 Netlink "netlink", 825 SixLowpan "6lowpan", 65534 None "none", 65535 Void "void",
    } other "LinkType({})"
);
names!(
    /// `IF_OPER_*`
    OperationalState {
        0 Unknown "unknown", 1 NotPresent "notPresent", 2 Down "down", 3 LowerLayerDown "lowerLayerDown",
        4 Testing "testing", 5 Dormant "dormant", 6 Up "up",
    }
);
names!(
    /// `PORT_*` of ethtool.
    Port {
        0 TwistedPair "TwistedPair", 1 Aui "AUI", 2 Mii "MII", 3 Fibre "Fibre", 4 Bnc "BNC",
        5 DirectAttach "DirectAttach", 239 None "None", 255 Other "Other",
    } other "Port({})"
);
names!(
    /// `DUPLEX_*` of ethtool.
    Duplex { 0 Half "Half", 1 Full "Full", 255 Unknown "Unknown" }
);
names!(
    /// In which order addresses are given.
    AddressSortAlgorithm { 0 V1 "v1", 1 V2 "v2" }
);
names!(
    /// The protocol of a VLAN's tags.
    VlanProtocol { 0 Unspecified "", 0x8100 Dot1Q "802.1q", 0x88a8 Dot1Ad "802.1ad" } other "VLANProtocol({})"
);
names!(
    /// Which parts of a packet choose its link in a bond.
    BondXmitHashPolicy {
        0 Layer2 "layer2", 1 Layer34 "layer3+4", 2 Layer23 "layer2+3", 3 Encap23 "encap2+3", 4 Encap34 "encap3+4",
    }
);
names!(
    /// How a bond uses its links.
    BondMode {
        0 RoundRobin "balance-rr", 1 ActiveBackup "active-backup", 2 Xor "balance-xor", 3 Broadcast "broadcast",
        4 Ieee8023ad "802.3ad", 5 Tlb "balance-tlb", 6 Alb "balance-alb",
    }
);
names!(
    /// How often LACP packets are asked for.
    LacpRate { 0 Slow "slow", 1 Fast "fast" }
);
names!(
    /// Whether LACP packets are sent unasked.
    AdLacpActive { 0 Off "off", 1 On "on" }
);
names!(
    /// How an aggregator is chosen.
    AdSelect { 0 Stable "stable", 1 Bandwidth "bandwidth", 2 Count "count" }
);
names!(
    /// Which ARP replies count.
    ArpValidate {
        0 None "none", 1 Active "active", 2 Backup "backup", 3 All "all", 4 Filter "filter",
        5 FilterActive "filter-active", 6 FilterBackup "filter-backup",
    }
);
names!(
    /// How many ARP targets must answer.
    ArpAllTargets { 0 Any "any", 1 All "all" }
);
names!(
    /// When the primary link is taken again.
    PrimaryReselect { 0 Always "always", 1 Better "better", 2 Failure "failure" }
);
names!(
    /// Which hardware address a bond has after a link failed.
    FailOverMac { 0 None "none", 1 Active "active", 2 Follow "follow" }
);
names!(
    /// `WAKE_*` of ethtool.
    WolMode {
        0 Unspecified "", 1 Phy "phy", 2 Unicast "unicast", 4 Multicast "multicast", 8 Broadcast "broadcast",
        32 Magic "magic", 64 MagicSecure "magicsecure", 128 Filter "filter",
    }
);
names!(
    /// Where in a packet's way a chain is.
    NfTablesChainHook {
        0 Prerouting "prerouting", 1 Input "input", 2 Forward "forward", 3 Output "output", 4 Postrouting "postrouting",
    }
);
names!(
    /// When a chain has its turn; lower is earlier.
    NfTablesChainPriority {
        0 Filter "filter", -2147483648 First "first", -400 ConntrackDefrag "conntrack-defrag", -300 Raw "raw",
        -225 SeLinuxFirst "selinux-first", -200 Conntrack "conntrack", -150 Mangle "mangle", -100 NatDest "nat-dest",
        50 Security "security", 100 NatSource "nat-source", 225 SeLinuxLast "selinux-last",
        300 ConntrackHelper "conntrack-helper", 2147483647 Last "last",
    } other "{}"
);
names!(
    /// What becomes of a packet.
    NfTablesVerdict { 0 Drop "drop", 1 Accept "accept" }
);
names!(
    /// Is it, or is it not.
    MatchOperator { 0 Equal "==", 1 NotEqual "!=" }
);
names!(
    /// `IPPROTO_*`
    Protocol { 0 Unspecified "", 1 Icmp "icmp", 6 Tcp "tcp", 17 Udp "udp", 58 IcmpV6 "icmpv6" } other "Protocol({})"
);
names!(
    /// Types of ICMP messages that firewalls ask for.
    IcmpType {
        0 Unspecified "", 13 TimestampRequest "timestamp-request", 14 TimestampReply "timestamp-reply",
        17 AddressMaskRequest "address-mask-request", 18 AddressMaskReply "address-mask-reply",
    } other "ICMPType({})"
);
names!(
    /// States of a connection.
    ConntrackState { 0 Unspecified "", 1 Invalid "invalid", 2 Established "established", 4 Related "related", 8 New "new" }
);
names!(
    /// What a DHCP client says it is.
    ClientIdentifier { 0 None "none", 1 Mac "mac", 2 Duid "duid" }
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_names_with_commas() {
        let flags: LinkFlags = "UP,LOOPBACK,RUNNING,LOWER_UP".parse().unwrap();
        assert_eq!(flags.0, 0x1_0049);
        assert_eq!(flags.to_string(), "UP,LOOPBACK,RUNNING,LOWER_UP");
        assert_eq!("".parse(), Ok(AddressFlags(0)));
        assert!("nope".parse::<AddressFlags>().is_err());
    }

    #[test]
    fn numbers_without_a_name_are_kept() {
        assert_eq!("Family(128)".parse(), Ok(Family::Unnamed(128)));
        assert_eq!(Family::Unnamed(128).to_string(), "Family(128)");
        assert_eq!(
            RoutingTable::from_number(99).map(|table| table.to_string()).as_deref(),
            Some("99")
        );
        assert_eq!("254".parse(), Ok(RoutingTable::Unnamed(254)));
    }
}
