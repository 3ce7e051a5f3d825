//! The ingress firewall.

use crate::schema::macros::model;
use crate::schema::types::{Ports, Prefix};

model! {
    /// What the firewall does with traffic no rule lets in.
    pub struct NetworkDefaultActionConfig: "network.DefaultActionConfigV1Alpha1", kind "NetworkDefaultActionConfig" {
        /// What happens to traffic no rule lets in.
        ingress: Option<String> = "ingress".one_of(&["accept", "block"]);
    }

    /// A network whose traffic is let in.
    pub struct IngressRule: "network.IngressRule" {
        /// Network the traffic comes from.
        subnet: Option<Prefix> = "subnet";
        /// Part of the network that the rule leaves out.
        except: Option<Prefix> = "except";
    }

    /// Traffic the firewall lets in.
    pub struct NetworkRuleConfig: "network.RuleConfigV1Alpha1", kind "NetworkRuleConfig" named {
        /// Name, which tells documents of this kind apart.
        name: Option<String> = "name".required();
        /// Which ports the rule is for.
        port_selector: Option<RulePortSelector> = "portSelector";
        /// Networks whose traffic is let in. A patch replaces them.
        ingress: Vec<IngressRule> = "ingress".replaced();
    }

    /// Ports a rule is for.
    pub struct RulePortSelector: "network.RulePortSelector" {
        /// Ports and ranges of ports, such as `1000-2000`. A patch replaces them.
        ports: Vec<Ports> = "ports".replaced();
        /// Protocol.
        protocol: Option<String> = "protocol".one_of(&["tcp", "udp", "icmp", "icmpv6"]);
    }
}
