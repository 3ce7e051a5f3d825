//! The WireGuard mesh between machines.

use crate::Config;
use crate::model::mesh::{KubeSpanConfig, KubeSpanEndpoints};

/// Settings of the mesh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KubeSpan {
    /// Whether it is built.
    pub enabled: bool,
    /// Send pod and service networks through it.
    pub advertise_kubernetes_networks: bool,
    /// Send traffic of peers that are down directly.
    pub allow_down_peer_bypass: bool,
    /// Learn endpoints from what peers see.
    pub harvest_extra_endpoints: bool,
    /// Maximum transmission unit of its link.
    pub mtu: u32,
    /// Filters of endpoint addresses; empty admits all.
    pub endpoint_filters: Vec<String>,
    /// Networks that are not advertised.
    pub exclude_advertised_networks: Vec<String>,
    /// Endpoints announced beside the machine's own.
    pub extra_announced_endpoints: Vec<String>,
}

impl Default for KubeSpan {
    fn default() -> Self {
        Self {
            enabled: false,
            advertise_kubernetes_networks: false,
            allow_down_peer_bypass: false,
            harvest_extra_endpoints: false,
            mtu: 1420,
            endpoint_filters: Vec::new(),
            exclude_advertised_networks: Vec::new(),
            extra_announced_endpoints: Vec::new(),
        }
    }
}

fn mtu(mtu: Option<i64>) -> u32 {
    mtu.and_then(|mtu| u32::try_from(mtu).ok())
        .filter(|mtu| *mtu > 0)
        .unwrap_or(KubeSpan::default().mtu)
}

/// Settings of the mesh.
pub fn kubespan(config: &Config) -> KubeSpan {
    let extra = config
        .document::<KubeSpanEndpoints>(None)
        .unwrap_or_default()
        .extra_announced_endpoints;
    if let Some(document) = config.document::<KubeSpanConfig>(None) {
        let filters = document.filters.unwrap_or_default();
        return KubeSpan {
            enabled: document.enabled.unwrap_or_default(),
            advertise_kubernetes_networks: document.advertise_kubernetes_networks.unwrap_or_default(),
            allow_down_peer_bypass: document.allow_down_peer_bypass.unwrap_or_default(),
            harvest_extra_endpoints: document.harvest_extra_endpoints.unwrap_or_default(),
            mtu: mtu(document.mtu),
            endpoint_filters: filters.endpoints,
            exclude_advertised_networks: filters
                .exclude_advertised_networks
                .iter()
                .map(ToString::to_string)
                .collect(),
            extra_announced_endpoints: extra,
        };
    }
    let legacy = config
        .machine()
        .and_then(|machine| machine.network.as_ref()?.kubespan.as_ref());
    let Some(legacy) = legacy else {
        return KubeSpan {
            extra_announced_endpoints: extra,
            ..KubeSpan::default()
        };
    };
    KubeSpan {
        enabled: legacy.enabled.unwrap_or_default(),
        advertise_kubernetes_networks: legacy.advertise_kubernetes_networks.unwrap_or_default(),
        allow_down_peer_bypass: legacy.allow_down_peer_bypass.unwrap_or_default(),
        harvest_extra_endpoints: legacy.harvest_extra_endpoints.unwrap_or_default(),
        mtu: mtu(legacy.mtu),
        endpoint_filters: legacy.filters.clone().unwrap_or_default().endpoints,
        exclude_advertised_networks: Vec::new(),
        extra_announced_endpoints: extra,
    }
}
