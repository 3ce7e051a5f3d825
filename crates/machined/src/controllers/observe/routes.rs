//! Routes and routing rules as they are.

use std::net::IpAddr;

use node_resources::network::{
    Family, RouteFlags, RouteProtocol, RouteStatus, RouteType, RoutingRuleAction, RoutingRuleStatus, RoutingTable,
    Scope,
};
use resource::types::Prefix;
use resource::{Context, Outcome, Outputs, Reconcile};
use sys::net::{Change, Link, Route, Rule};

use super::LOOK_AGAIN;
use super::network::{Network, name_of};

/// `RTM_F_CLONED`: made by the kernel for one destination from another route (rtnetlink(7)).
const CLONED: u32 = 0x200;
/// The `RTM_F_*` among a route's flags; those below are `RTNH_F_*`, the state of its next hop.
const ROUTE_FLAGS: u32 = 0xff00;

/// Reports routes.
pub struct Routes {
    network: Network,
}

impl Routes {
    /// The routes of a network.
    pub fn new(network: Network) -> Self {
        Self { network }
    }
}

impl Reconcile for Routes {
    type Inputs = ();
    type Outputs = Outputs<RouteStatus>;

    async fn reconcile(&mut self, (): (), cx: &Context) -> anyhow::Result<Outcome<Self::Outputs>> {
        self.network.listen(&[Change::Route, Change::Link], cx);
        let links = self.network.links().await?;
        let routes = self.network.routes().await?;
        let seen = routes.iter().filter(|route| route.flags & CLONED == 0).map(|route| {
            let status = route_status(route, &links);
            (route_id(&status), status)
        });
        Ok(Outcome::done(seen.collect()).requeue(LOOK_AGAIN))
    }
}

fn route_status(route: &Route, links: &[Link]) -> RouteStatus {
    RouteStatus {
        family: Family::from_number(route.family.into()).unwrap_or_default(),
        dst: prefix(route.destination),
        src: route.source,
        gateway: route.gateway,
        out_link_index: route.out_link_index,
        out_link_name: name_of(links, route.out_link_index).unwrap_or_default().to_owned(),
        table: RoutingTable::from_number(route.table.cast_signed()).unwrap_or_default(),
        priority: route.priority,
        scope: Scope::from_number(route.scope.into()).unwrap_or_default(),
        ty: RouteType::from_number(route.kind.into()).unwrap_or_default(),
        flags: RouteFlags(route.flags & ROUTE_FLAGS),
        protocol: RouteProtocol::from_number(route.protocol.into()).unwrap_or_default(),
        mtu: route.mtu,
    }
}

/// `None` is everywhere, however the kernel says it.
fn prefix(network: Option<(IpAddr, u8)>) -> Option<Prefix> {
    network
        .filter(|(_, length)| *length > 0)
        .and_then(|(address, length)| Prefix::new(address, length))
}

/// What tells a route from others: `[TABLE/][LINK/]FAMILY/GATEWAY/DESTINATION/PRIORITY`. The main table goes without
/// saying, and in IPv4 the link does: no two links have the same route there.
fn route_id(route: &RouteStatus) -> String {
    fn text(value: Option<impl ToString>) -> String {
        value.map(|value| value.to_string()).unwrap_or_default()
    }
    let table = if route.table == RoutingTable::Main {
        String::new()
    } else {
        format!("{}/", route.table)
    };
    let link = match route.family {
        Family::Inet6 if !route.out_link_name.is_empty() => format!("{}/", route.out_link_name),
        _ => String::new(),
    };
    format!(
        "{table}{link}{}/{}/{}/{}",
        route.family,
        text(route.gateway),
        text(route.dst),
        route.priority
    )
}

/// Reports routing rules.
pub struct Rules {
    network: Network,
}

impl Rules {
    /// The routing rules of a network.
    pub fn new(network: Network) -> Self {
        Self { network }
    }
}

impl Reconcile for Rules {
    type Inputs = ();
    type Outputs = Outputs<RoutingRuleStatus>;

    async fn reconcile(&mut self, (): (), cx: &Context) -> anyhow::Result<Outcome<Self::Outputs>> {
        self.network.listen(&[Change::Rule], cx);
        let rules = self.network.rules().await?;
        Ok(Outcome::done(rules.iter().map(rule_status).collect()).requeue(LOOK_AGAIN))
    }
}

/// The rule with its id: family and priority, in five digits so that ids sort as the kernel looks.
fn rule_status(rule: &Rule) -> (String, RoutingRuleStatus) {
    let family = Family::from_number(rule.family.into()).unwrap_or_default();
    let status = RoutingRuleStatus {
        family,
        src: prefix(rule.source),
        dst: prefix(rule.destination),
        table: RoutingTable::from_number(rule.table.cast_signed()).unwrap_or_default(),
        priority: rule.priority,
        action: RoutingRuleAction::from_number(rule.action.into()).unwrap_or_default(),
        iif_name: rule.input_link.clone(),
        oif_name: rule.output_link.clone(),
        fw_mark: rule.mark,
        fw_mask: rule.mask,
    };
    (format!("{family}/{:05}", rule.priority), status)
}

#[cfg(test)]
mod tests {
    use resource::Spec;

    use super::*;

    fn links() -> Vec<Link> {
        ["lo", "eth0"]
            .into_iter()
            .zip(1..)
            .map(|(name, index)| Link {
                index,
                name: name.into(),
                ..Link::default()
            })
            .collect()
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn id(route: &Route) -> String {
        route_id(&route_status(route, &links()))
    }

    #[test]
    fn routes_are_named_by_what_tells_them_apart() {
        let v4 = Route {
            family: 2,
            table: 254,
            out_link_index: 2,
            priority: 1024,
            ..Route::default()
        };
        let v6 = Route {
            family: 10,
            priority: 256,
            ..v4.clone()
        };
        assert_eq!(
            id(&Route {
                gateway: Some(ip("10.0.2.2")),
                ..v4.clone()
            }),
            "inet4/10.0.2.2//1024"
        );
        assert_eq!(
            id(&Route {
                destination: Some((ip("10.0.2.0"), 24)),
                ..v4.clone()
            }),
            "inet4//10.0.2.0/24/1024"
        );
        let local = Route {
            table: 255,
            destination: Some((ip("127.0.0.0"), 8)),
            priority: 0,
            ..v4
        };
        assert_eq!(id(&local), "local/inet4//127.0.0.0/8/0");
        assert_eq!(
            id(&Route {
                destination: Some((ip("fe80::"), 64)),
                ..v6.clone()
            }),
            "eth0/inet6//fe80::/64/256"
        );
        let default = Route {
            gateway: Some(ip("fe80::2")),
            destination: Some((ip("::"), 0)),
            ..v6.clone()
        };
        assert_eq!(id(&default), "eth0/inet6/fe80::2//256");
        let local = Route {
            table: 255,
            destination: Some((ip("::1"), 128)),
            out_link_index: 1,
            priority: 0,
            ..v6
        };
        assert_eq!(id(&local), "local/lo/inet6//::1/128/0");
    }

    #[test]
    fn a_default_route_is_reported_as_it_is() {
        let route = Route {
            family: 2,
            source: Some(ip("10.0.2.15")),
            gateway: Some(ip("10.0.2.2")),
            out_link_index: 2,
            table: 254,
            priority: 1024,
            kind: 1,
            protocol: 3,
            // RTNH_F_LINKDOWN: a state of the link, not of the route.
            flags: 16,
            ..Route::default()
        };
        let expected = "family: inet4\ndst: \"\"\nsrc: 10.0.2.15\ngateway: 10.0.2.2\noutLinkIndex: 2\n\
            outLinkName: eth0\ntable: main\npriority: 1024\nscope: global\ntype: unicast\nflags: \"\"\nprotocol: boot\n";
        assert_eq!(route_status(&route, &links()).to_yaml(), expected);
    }

    #[test]
    fn rules_sort_as_the_kernel_looks() {
        let rule = Rule {
            family: 2,
            table: 255,
            action: 1,
            ..Rule::default()
        };
        let (id, status) = rule_status(&rule);
        assert_eq!(id, "inet4/00000");
        let expected = "family: inet4\nsrc: \"\"\ndst: \"\"\ntable: local\npriority: 0\naction: unicast\n";
        assert_eq!(status.to_yaml(), expected);
        assert_eq!(
            rule_status(&Rule {
                family: 10,
                priority: 32766,
                ..rule
            })
            .0,
            "inet6/32766"
        );
    }
}
