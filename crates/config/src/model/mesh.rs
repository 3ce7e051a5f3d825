//! The WireGuard mesh and BGP.

use std::time::Duration;

use crate::schema::macros::model;
use crate::schema::types::Prefix;

model! {
    /// Fast detection of failures (BFD).
    pub struct BGPBFDConfig: "network.BGPBFDConfig" {
        /// Time between packets that are sent.
        transmit_interval: Option<Duration> = "transmitInterval";
        /// Time between packets that are wanted.
        receive_interval: Option<Duration> = "receiveInterval";
        /// Missed packets after which the neighbor is down.
        detect_multiplier: Option<i64> = "detectMultiplier";
    }

    /// Routes taken over from another instance.
    pub struct BGPImportRoute: "network.BGPImportRoute" {
        /// Instance to import from.
        bgp_instance: Option<String> = "bgpInstance".required();
        /// Networks taken over.
        prefixes: Vec<Prefix> = "prefixes".required();
    }

    /// A BGP speaker.
    pub struct BGPInstanceConfig: "network.BGPInstanceConfigV1Alpha1", kind "BGPInstanceConfig" named since "v1.14" {
        /// Name, which tells documents of this kind apart.
        name: Option<String> = "name".required();
        /// VRF the instance is in.
        vrf: Option<String> = "vrf";
        /// Own autonomous system number.
        local_asn: Option<i64> = "localASN".required();
        /// Router id.
        router_id: Option<String> = "routerID";
        /// Source address of routes.
        route_source: Option<String> = "routeSource";
        /// Networks or link addresses to announce.
        advertise: Vec<String> = "advertise";
        /// Use several next hops at once.
        multipath: Option<bool> = "multipath";
        /// Most next hops used at once.
        max_paths: Option<i64> = "maxPaths";
        /// Put received routes into the kernel's table.
        install_routes: Option<bool> = "installRoutes";
        /// Routes taken over from other instances.
        import_routes: Vec<BGPImportRoute> = "importRoutes";
        /// Routers to talk to.
        neighbors: Vec<BGPNeighborConfig> = "neighbors";
    }

    /// A router that a BGP speaker talks to.
    pub struct BGPNeighborConfig: "network.BGPNeighborConfig" {
        /// IP address.
        address: Option<String> = "address";
        /// Name of the link.
        link: Option<String> = "link";
        /// Autonomous system number of the neighbor.
        peer_asn: Option<i64> = "peerASN";
        /// Own autonomous system number.
        local_asn: Option<i64> = "localASN";
        /// Wait for the neighbor to connect.
        passive: Option<bool> = "passive";
        /// Time without messages after which the neighbor is down.
        hold_time: Option<Duration> = "holdTime";
        /// Fast detection of failures (BFD).
        bfd: Option<BGPBFDConfig> = "bfd";
    }

    /// The WireGuard mesh.
    pub struct KubeSpanConfig: "network.KubeSpanConfigV1Alpha1", kind "KubeSpanConfig" {
        /// Switch it on.
        enabled: Option<bool> = "enabled";
        /// Send pod and service networks through the mesh.
        advertise_kubernetes_networks: Option<bool> = "advertiseKubernetesNetworks";
        /// Send traffic to peers that are down outside the mesh.
        allow_down_peer_bypass: Option<bool> = "allowDownPeerBypass";
        /// Learn endpoints from what peers see of each other.
        harvest_extra_endpoints: Option<bool> = "harvestExtraEndpoints";
        /// Maximum transmission unit in bytes.
        mtu: Option<i64> = "mtu";
        /// What is left out.
        filters: Option<KubeSpanFiltersConfig> = "filters";
    }

    /// What the mesh leaves out.
    pub struct KubeSpanFiltersConfig: "network.KubeSpanFiltersConfig" {
        /// Networks whose addresses are announced; `!` before one leaves it out.
        endpoints: Vec<String> = "endpoints";
        /// Networks that are not advertised to peers.
        exclude_advertised_networks: Vec<Prefix> = "excludeAdvertisedNetworks";
    }

    /// Endpoints announced to the mesh.
    pub struct KubeSpanEndpoints: "network.KubespanEndpointsConfigV1Alpha1", kind "KubeSpanEndpoints" {
        /// Endpoints announced beside the machine's own addresses.
        extra_announced_endpoints: Vec<String> = "extraAnnouncedEndpoints";
    }
}
