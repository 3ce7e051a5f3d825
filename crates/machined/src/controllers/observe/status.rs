//! How far the network is.

use node_resources::files::EtcFileStatus;
use node_resources::network::{HostnameStatus, NetworkStatus, NodeAddress, RouteStatus, RouteType, RoutingTable};
use resource::{All, One, Outputs};

/// The files of names that programs need.
const FILES: [&str; 2] = ["hosts", "resolv.conf"];

/// Each part is ready once what programs need of it is there.
pub fn network_status(
    addresses: All<NodeAddress>,
    routes: All<RouteStatus>,
    hostname: Option<One<HostnameStatus>>,
    files: All<EtcFileStatus>,
) -> Outputs<NetworkStatus> {
    let status = NetworkStatus {
        address_ready: addresses.get("current").is_some_and(|set| !set.addresses.is_empty()),
        connectivity_ready: routes.specs().any(leads_out),
        hostname_ready: hostname.is_some(),
        etc_files_ready: FILES.iter().all(|file| files.get(file).is_some()),
    };
    Outputs::one("status", status)
}

/// Whether a route leads to other machines. A cluster may well be on a network without a way out of it, so a connected
/// network is enough.
fn leads_out(route: &RouteStatus) -> bool {
    let link_local = |dst: &resource::types::Prefix| match dst.addr() {
        std::net::IpAddr::V4(address) => address.is_link_local(),
        std::net::IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    route.table == RoutingTable::Main
        && route.ty == RouteType::Unicast
        && route.out_link_name != "lo"
        && !route.dst.as_ref().is_some_and(link_local)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_alone_has_no_connectivity_and_one_on_a_network_has() {
        let route = |dst: &str| RouteStatus {
            dst: dst.parse().ok(),
            table: RoutingTable::Main,
            ty: RouteType::Unicast,
            out_link_name: "eth0".into(),
            ..RouteStatus::default()
        };
        let ready = |routes: Vec<(&str, RouteStatus)>| {
            let status = network_status(All::new(vec![]), routes.into_iter().collect(), None, All::new(vec![]));
            status.get("status").cloned().unwrap()
        };
        assert_eq!(ready(vec![("a", route("fe80::/64"))]), NetworkStatus::default());
        assert!(ready(vec![("a", route("10.5.0.0/24"))]).connectivity_ready);
        assert!(ready(vec![("a", route(""))]).connectivity_ready);
    }

    #[test]
    fn names_are_ready_with_their_files() {
        let current = NodeAddress {
            addresses: vec!["10.5.0.2/24".parse().unwrap()],
            ..NodeAddress::default()
        };
        let files = All::from(FILES.map(|file| (file, EtcFileStatus::default())));
        let hostname = Some(One::from(HostnameStatus::default()));
        let status = network_status(All::from([("current", current)]), All::new(vec![]), hostname, files);
        let expected = NetworkStatus {
            address_ready: true,
            connectivity_ready: false,
            hostname_ready: true,
            etc_files_ready: true,
        };
        assert_eq!(status.get("status"), Some(&expected));
    }
}
