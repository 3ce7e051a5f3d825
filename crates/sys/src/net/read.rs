//! From netlink messages to our types.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use rtnetlink::packet_route::address::{AddressAttribute, AddressMessage};
use rtnetlink::packet_route::link::{InfoPortKind, LinkAttribute, LinkInfo, LinkMessage, Prop};
use rtnetlink::packet_route::route::{RouteAddress, RouteAttribute, RouteMessage, RouteMetric};
use rtnetlink::packet_route::rule::{RuleAttribute, RuleMessage};

use super::{Address, Link, Route, Rule};
use crate::Error;

pub(super) fn error(action: &str, error: &rtnetlink::Error) -> Error {
    let source = match error {
        rtnetlink::Error::NetlinkError(message) => message.to_io(),
        other => std::io::Error::other(other.to_string()),
    };
    Error {
        action: action.to_owned(),
        source,
    }
}

pub(super) fn link(message: &LinkMessage) -> Link {
    let header = &message.header;
    let mut link = Link {
        index: header.index,
        kind_number: header.link_layer_type.into(),
        layer: header.link_layer_type.to_string().to_lowercase(),
        flags: header.flags.bits(),
        ..Link::default()
    };
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => link.name.clone_from(name),
            LinkAttribute::IfAlias(alias) => link.alias.clone_from(alias),
            LinkAttribute::PropList(list) => {
                link.alt_names.extend(list.iter().filter_map(|property| match property {
                    Prop::AltIfName(name) => Some(name.clone()),
                    _ => None,
                }));
            }
            LinkAttribute::Link(index) => link.link_index = *index,
            LinkAttribute::Address(address) => link.hardware_address.clone_from(address),
            LinkAttribute::PermAddress(address) => link.permanent_address.clone_from(address),
            LinkAttribute::Broadcast(address) => link.broadcast_address.clone_from(address),
            LinkAttribute::Mtu(mtu) => link.mtu = *mtu,
            LinkAttribute::Qdisc(name) => link.queue_discipline.clone_from(name),
            LinkAttribute::Controller(index) => link.master_index = *index,
            LinkAttribute::OperState(state) => link.operational_state = (*state).into(),
            LinkAttribute::Carrier(carrier) => link.carrier = *carrier != 0,
            LinkAttribute::LinkInfo(list) => list.iter().for_each(|info| match info {
                LinkInfo::Kind(kind) => link.kind = kind.to_string(),
                LinkInfo::PortKind(kind) => link.slave_kind = port_kind(kind),
                _ => {}
            }),
            LinkAttribute::Stats64(stats) => {
                link.received_bytes = stats.rx_bytes;
                link.received_packets = stats.rx_packets;
                link.sent_bytes = stats.tx_bytes;
                link.sent_packets = stats.tx_packets;
            }
            _ => {}
        }
    }
    link
}

fn port_kind(kind: &InfoPortKind) -> String {
    match kind {
        InfoPortKind::Bond => "bond".to_owned(),
        InfoPortKind::Bridge => "bridge".to_owned(),
        InfoPortKind::Vrf => "vrf".to_owned(),
        InfoPortKind::Other(name) => name.clone(),
        other => format!("{other:?}").to_lowercase(),
    }
}

pub(super) fn address(message: &AddressMessage) -> Option<Address> {
    let header = &message.header;
    let (mut address, mut local, mut broadcast, mut anycast, mut multicast) = (None, None, None, None, None);
    let (mut flags, mut priority, mut label) = (u32::from(header.flags.bits()), 0, String::new());
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Address(value) => address = Some(*value),
            AddressAttribute::Local(value) => local = Some(*value),
            AddressAttribute::Broadcast(value) => broadcast = Some(IpAddr::V4(*value)),
            AddressAttribute::Anycast(value) => anycast = Some(IpAddr::V6(*value)),
            AddressAttribute::Multicast(value) => multicast = Some(IpAddr::V6(*value)),
            AddressAttribute::Flags(value) => flags = value.bits(),
            AddressAttribute::RoutePriority(value) => priority = *value,
            AddressAttribute::Label(value) => label.clone_from(value),
            _ => {}
        }
    }
    Some(Address {
        address: address.or(local)?,
        prefix_length: header.prefix_len,
        local,
        broadcast,
        anycast,
        multicast,
        link_index: header.index,
        family: header.family.into(),
        scope: header.scope.into(),
        flags,
        priority,
        label,
    })
}

pub(super) fn route(message: &RouteMessage) -> Route {
    let header = &message.header;
    let mut route = Route {
        family: header.address_family.into(),
        table: u32::from(header.table),
        scope: header.scope.into(),
        kind: header.kind.into(),
        flags: header.flags.bits(),
        protocol: header.protocol.into(),
        ..Route::default()
    };
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Destination(to) => {
                route.destination = ip(to).map(|to| (to, header.destination_prefix_length));
            }
            RouteAttribute::PrefSource(from) => route.source = ip(from),
            RouteAttribute::Gateway(gateway) => route.gateway = ip(gateway),
            RouteAttribute::Oif(index) => route.out_link_index = *index,
            RouteAttribute::Table(table) => route.table = *table,
            RouteAttribute::Priority(priority) => route.priority = *priority,
            RouteAttribute::Metrics(list) => {
                let mtu = list.iter().find_map(|metric| match metric {
                    RouteMetric::Mtu(mtu) => Some(*mtu),
                    _ => None,
                });
                route.mtu = mtu.unwrap_or(0);
            }
            _ => {}
        }
    }
    // IPv4 leaves the destination out where it is everything; the family says which "everything".
    if route.destination.is_none() && header.destination_prefix_length > 0 {
        let any: IpAddr = if route.family == 2 {
            Ipv4Addr::UNSPECIFIED.into()
        } else {
            Ipv6Addr::UNSPECIFIED.into()
        };
        route.destination = Some((any, header.destination_prefix_length));
    }
    route
}

fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(address) => Some(IpAddr::V4(*address)),
        RouteAddress::Inet6(address) => Some(IpAddr::V6(*address)),
        _ => None,
    }
}

pub(super) fn rule(message: &RuleMessage) -> Rule {
    let header = &message.header;
    let mut rule = Rule {
        family: header.family.into(),
        table: u32::from(header.table),
        action: header.action.into(),
        ..Rule::default()
    };
    for attribute in &message.attributes {
        match attribute {
            RuleAttribute::Source(address) => rule.source = Some((*address, header.src_len)),
            RuleAttribute::Destination(address) => rule.destination = Some((*address, header.dst_len)),
            RuleAttribute::Table(table) => rule.table = *table,
            RuleAttribute::Priority(priority) => rule.priority = *priority,
            RuleAttribute::Iifname(name) => rule.input_link.clone_from(name),
            RuleAttribute::Oifname(name) => rule.output_link.clone_from(name),
            RuleAttribute::FwMark(mark) => rule.mark = *mark,
            RuleAttribute::FwMask(mask) => rule.mask = *mask,
            _ => {}
        }
    }
    rule
}
