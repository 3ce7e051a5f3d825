//! firewall

use crate::schema::macros::model;
use crate::schema::types::{Ports, Prefix};

model! {
    /// Network default action config.
    pub struct NetworkDefaultActionConfig: "network.DefaultActionConfigV1Alpha1", kind "NetworkDefaultActionConfig" {
        /// Ingress.
        ingress: Option<String> = "ingress".one_of(&["accept", "block"]);
    }

    /// Ingress rule.
    pub struct IngressRule: "network.IngressRule" {
        /// Subnet.
        subnet: Option<Prefix> = "subnet";
        /// Except.
        except: Option<Prefix> = "except";
    }

    /// Network rule config.
    pub struct NetworkRuleConfig: "network.RuleConfigV1Alpha1", kind "NetworkRuleConfig" named {
        /// Name.
        name: Option<String> = "name".required();
        /// Port selector.
        port_selector: Option<RulePortSelector> = "portSelector";
        /// Ingress.
        ingress: Vec<IngressRule> = "ingress".replaced();
    }

    /// Rule port selector.
    pub struct RulePortSelector: "network.RulePortSelector" {
        /// Ports.
        ports: Vec<Ports> = "ports".replaced();
        /// Protocol.
        protocol: Option<String> = "protocol".one_of(&["tcp", "udp", "icmp", "icmpv6"]);
    }
}
