//! Chains of firewall rules in the language of nft(8).

use std::fmt::{Display, Write as _};

use node_resources::network::{
    ConntrackState, NfTablesAddressMatch, NfTablesChain, NfTablesLayer4Match, NfTablesRule, PortRange,
};
use resource::types::Prefix;

/// The table all chains are in; nobody else's are touched.
const TABLE: &str = "inet keelson";

/// A script that puts these chains in place of all that were there before, at once.
pub fn script<'a>(chains: impl IntoIterator<Item = (&'a str, &'a NfTablesChain)>) -> String {
    // The first line is for the table that is not there yet.
    let mut text = format!("table {TABLE}\ndelete table {TABLE}\ntable {TABLE} {{\n");
    for (name, chain) in chains {
        let (hook, priority) = (chain.hook, chain.priority.number());
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "\tchain {name} {{\n\t\ttype {} hook {hook} priority {priority}; policy {};",
            chain.ty, chain.policy
        );
        for line in chain.rules.iter().flat_map(lines) {
            let _ = writeln!(text, "\t\t{line}");
        }
        text.push_str("\t}\n");
    }
    text.push_str("}\n");
    text
}

/// The lines of one rule: nft matches the addresses of one family at a time.
fn lines(rule: &NfTablesRule) -> Vec<String> {
    let sources = rule.match_source_address.as_ref().map(|m| addresses("saddr", m));
    let destinations = rule.match_destination_address.as_ref().map(|m| addresses("daddr", m));
    let mut end = Vec::new();
    if let Some(state) = &rule.match_conntrack_state {
        end.push(format!(
            "ct state {}",
            set(state.states.iter().map(ConntrackState::to_string))
        ));
    }
    if let Some(name) = &rule.match_iif_name {
        let names = name.interface_name.iter().map(|name| format!("{name:?}"));
        end.push(format!("iifname {} {}", name.operator, set(names)));
    }
    if let Some(layer4) = &rule.match_layer4 {
        end.push(transport(layer4));
    }
    if let Some(limit) = &rule.match_limit {
        end.push(format!("limit rate {}/second", limit.packet_rate_per_second));
    }
    if rule.anonymous_counter {
        end.push("counter".to_owned());
    }
    end.extend(rule.verdict.map(|verdict| verdict.to_string()));
    let end = end.join(" ");
    match (sources, destinations) {
        (None, None) => vec![end],
        (Some(matches), None) | (None, Some(matches)) => matches.iter().map(|m| format!("{m} {end}")).collect(),
        // Both of one family: other pairs match nothing.
        (Some(from), Some(to)) => from
            .iter()
            .flat_map(|from| to.iter().map(move |to| (from, to)))
            .filter(|(from, to)| from.split(' ').next() == to.split(' ').next())
            .map(|(from, to)| format!("{from} {to} {end}"))
            .collect(),
    }
}

/// Matches, any of which will do.
fn addresses(field: &str, wanted: &NfTablesAddressMatch) -> Vec<String> {
    let of = |prefixes: &[Prefix], v4: bool| -> Vec<String> {
        let family: Vec<Prefix> = prefixes
            .iter()
            .filter(|p| p.addr().is_ipv4() == v4)
            .map(Prefix::masked)
            .collect();
        // nft refuses sets whose members overlap.
        let covered = |p: &Prefix| {
            family
                .iter()
                .any(|q| q != p && q.len() <= p.len() && q.contains(p.addr()))
        };
        let mut kept: Vec<Prefix> = family.iter().copied().filter(|p| !covered(p)).collect();
        kept.sort_unstable();
        kept.dedup();
        kept.iter().map(ToString::to_string).collect()
    };
    let mut matches = Vec::new();
    for (family, v4) in [("ip", true), ("ip6", false)] {
        let include = of(&wanted.include_subnets, v4);
        let exclude = of(&wanted.exclude_subnets, v4);
        if wanted.invert {
            // Not in the one, or in the other.
            matches.push(if include.is_empty() {
                format!("meta nfproto {}", if v4 { "ipv4" } else { "ipv6" })
            } else {
                format!("{family} {field} != {}", set(include))
            });
            if !exclude.is_empty() {
                matches.push(format!("{family} {field} {}", set(exclude)));
            }
        } else if !include.is_empty() {
            let mut text = format!("{family} {field} {}", set(include));
            if !exclude.is_empty() {
                let _ = write!(text, " {family} {field} != {}", set(exclude));
            }
            matches.push(text);
        }
    }
    matches
}

fn transport(layer4: &NfTablesLayer4Match) -> String {
    let name = layer4.protocol.to_string();
    let ports = |direction: &str, ranges: &[PortRange]| format!("{name} {direction} {}", set(merged(ranges)));
    let mut parts = Vec::new();
    if let Some(source) = &layer4.match_source_port {
        parts.push(ports("sport", &source.ranges));
    }
    if let Some(destination) = &layer4.match_destination_port {
        parts.push(ports("dport", &destination.ranges));
    }
    if parts.is_empty() {
        // By number, which no file of names has to know.
        parts.push(format!("meta l4proto {}", layer4.protocol.number()));
    }
    parts.join(" ")
}

/// Ranges that do not overlap.
fn merged(ranges: &[PortRange]) -> Vec<String> {
    let mut sorted: Vec<(u16, u16)> = ranges.iter().map(|range| (range.lo, range.hi)).collect();
    sorted.sort_unstable();
    let mut kept: Vec<(u16, u16)> = Vec::new();
    for (lo, hi) in sorted {
        match kept.last_mut() {
            Some(last) if lo <= last.1 => last.1 = last.1.max(hi),
            _ => kept.push((lo, hi)),
        }
    }
    let text = |(lo, hi): &(u16, u16)| if lo == hi { lo.to_string() } else { format!("{lo}-{hi}") };
    kept.iter().map(text).collect()
}

fn set(members: impl IntoIterator<Item = impl Display>) -> String {
    let members: Vec<String> = members.into_iter().map(|member| member.to_string()).collect();
    format!("{{ {} }}", members.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use node_resources::network::NfTablesVerdict;

    fn prefixes(texts: &[&str]) -> Vec<Prefix> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn rule(include: &[&str], exclude: &[&str], invert: bool) -> Vec<String> {
        lines(&NfTablesRule {
            match_source_address: Some(NfTablesAddressMatch {
                include_subnets: prefixes(include),
                exclude_subnets: prefixes(exclude),
                invert,
            }),
            verdict: Some(NfTablesVerdict::Drop),
            ..NfTablesRule::default()
        })
    }

    #[test]
    fn addresses_of_both_families_take_a_line_each() {
        assert_eq!(
            rule(&["10.0.0.0/8", "10.1.0.0/16", "fd00::/8"], &["10.5.0.0/16"], false),
            [
                "ip saddr { 10.0.0.0/8 } ip saddr != { 10.5.0.0/16 } drop",
                "ip6 saddr { fd00::/8 } drop"
            ]
        );
    }

    #[test]
    fn the_opposite_of_some_networks_has_all_of_the_other_family() {
        assert_eq!(
            rule(&["10.0.0.0/8"], &["10.5.0.0/16"], true),
            [
                "ip saddr != { 10.0.0.0/8 } drop",
                "ip saddr { 10.5.0.0/16 } drop",
                "meta nfproto ipv6 drop"
            ]
        );
    }

    #[test]
    fn ranges_of_ports_that_overlap_become_one() {
        let range = |lo, hi| PortRange { lo, hi };
        let ranges = [range(80, 80), range(1000, 2000), range(1500, 3000), range(80, 80)];
        assert_eq!(merged(&ranges), ["80", "1000-3000"]);
    }
}
