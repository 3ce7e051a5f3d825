//! mesh

use std::time::Duration;

use crate::schema::macros::model;
use crate::schema::types::Prefix;

model! {
    /// Bgpbfdconfig.
    pub struct BGPBFDConfig: "network.BGPBFDConfig" {
        /// Transmit interval.
        transmit_interval: Option<Duration> = "transmitInterval";
        /// Receive interval.
        receive_interval: Option<Duration> = "receiveInterval";
        /// Detect multiplier.
        detect_multiplier: Option<i64> = "detectMultiplier";
    }

    /// Bgpimport route.
    pub struct BGPImportRoute: "network.BGPImportRoute" {
        /// Bgp instance.
        bgp_instance: Option<String> = "bgpInstance".required();
        /// Prefixes.
        prefixes: Vec<Prefix> = "prefixes".required();
    }

    /// Bgpinstance config.
    pub struct BGPInstanceConfig: "network.BGPInstanceConfigV1Alpha1", kind "BGPInstanceConfig" named since "v1.14" {
        /// Name.
        name: Option<String> = "name".required();
        /// Vrf.
        vrf: Option<String> = "vrf";
        /// Local asn.
        local_asn: Option<i64> = "localASN".required();
        /// Router id.
        router_id: Option<String> = "routerID";
        /// Route source.
        route_source: Option<String> = "routeSource";
        /// Advertise.
        advertise: Vec<String> = "advertise";
        /// Multipath.
        multipath: Option<bool> = "multipath";
        /// Max paths.
        max_paths: Option<i64> = "maxPaths";
        /// Install routes.
        install_routes: Option<bool> = "installRoutes";
        /// Import routes.
        import_routes: Vec<BGPImportRoute> = "importRoutes";
        /// Neighbors.
        neighbors: Vec<BGPNeighborConfig> = "neighbors";
    }

    /// Bgpneighbor config.
    pub struct BGPNeighborConfig: "network.BGPNeighborConfig" {
        /// Address.
        address: Option<String> = "address";
        /// Link.
        link: Option<String> = "link";
        /// Peer asn.
        peer_asn: Option<i64> = "peerASN";
        /// Local asn.
        local_asn: Option<i64> = "localASN";
        /// Passive.
        passive: Option<bool> = "passive";
        /// Hold time.
        hold_time: Option<Duration> = "holdTime";
        /// Bfd.
        bfd: Option<BGPBFDConfig> = "bfd";
    }

    /// Kube span config.
    pub struct KubeSpanConfig: "network.KubeSpanConfigV1Alpha1", kind "KubeSpanConfig" {
        /// Enabled.
        enabled: Option<bool> = "enabled";
        /// Advertise kubernetes networks.
        advertise_kubernetes_networks: Option<bool> = "advertiseKubernetesNetworks";
        /// Allow down peer bypass.
        allow_down_peer_bypass: Option<bool> = "allowDownPeerBypass";
        /// Harvest extra endpoints.
        harvest_extra_endpoints: Option<bool> = "harvestExtraEndpoints";
        /// Mtu.
        mtu: Option<i64> = "mtu";
        /// Filters.
        filters: Option<KubeSpanFiltersConfig> = "filters";
    }

    /// Kube span filters config.
    pub struct KubeSpanFiltersConfig: "network.KubeSpanFiltersConfig" {
        /// Endpoints.
        endpoints: Vec<String> = "endpoints";
        /// Exclude advertised networks.
        exclude_advertised_networks: Vec<Prefix> = "excludeAdvertisedNetworks";
    }

    /// Kube span endpoints.
    pub struct KubeSpanEndpoints: "network.KubespanEndpointsConfigV1Alpha1", kind "KubeSpanEndpoints" {
        /// Extra announced endpoints.
        extra_announced_endpoints: Vec<String> = "extraAnnouncedEndpoints";
    }
}
