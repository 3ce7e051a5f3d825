//! Which traffic the machine takes.

use crate::Config;
use crate::model::firewall::{NetworkDefaultActionConfig, NetworkRuleConfig};
use crate::schema::types::{Ports, Prefix};

/// What the firewall lets in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Firewall {
    /// Drop what no rule lets in. Otherwise rules are about their own ports only: others than the networks they name are
    /// kept out of those.
    pub block: bool,
    /// The rules, in the order of the text.
    pub rules: Vec<FirewallRule>,
}

/// Who may reach some ports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FirewallRule {
    /// `tcp`, `udp`, `icmp` or `icmpv6`.
    pub protocol: String,
    /// The ports, with protocols that have some.
    pub ports: Vec<Ports>,
    /// Networks that may.
    pub subnets: Vec<Prefix>,
    /// Parts of those networks that may not.
    pub except: Vec<Prefix>,
}

/// What the firewall lets in; none if the configuration says nothing of it.
pub fn firewall(config: &Config) -> Option<Firewall> {
    let default = config.document::<NetworkDefaultActionConfig>(None);
    let rules: Vec<FirewallRule> = config.all::<NetworkRuleConfig>().iter().map(rule).collect();
    if default.is_none() && rules.is_empty() {
        return None;
    }
    let block = default
        .and_then(|default| default.ingress)
        .is_some_and(|action| action == "block");
    Some(Firewall { block, rules })
}

fn rule(document: &NetworkRuleConfig) -> FirewallRule {
    let selector = document.port_selector.clone().unwrap_or_default();
    FirewallRule {
        protocol: selector.protocol.unwrap_or_default(),
        ports: selector.ports,
        subnets: document.ingress.iter().filter_map(|network| network.subnet).collect(),
        except: document.ingress.iter().filter_map(|network| network.except).collect(),
    }
}
