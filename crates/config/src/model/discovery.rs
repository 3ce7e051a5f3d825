//! discovery

use pki::Secret;

use crate::schema::Format;
use crate::schema::macros::model;

model! {
    /// Discovery identity config.
    pub struct DiscoveryIdentityConfig: "cluster.DiscoveryIdentityConfigV1Alpha1", kind "DiscoveryIdentityConfig" since "v1.14" {
        /// Cluster id.
        cluster_id: Option<String> = "clusterID".required();
        /// Cluster secret.
        cluster_secret: Option<Secret> = "clusterSecret".required();
    }

    /// Discovery service config.
    pub struct DiscoveryServiceConfig: "cluster.DiscoveryServiceConfigV1Alpha1", kind "DiscoveryServiceConfig" named since "v1.14" {
        /// Name.
        name: Option<String> = "name".required();
        /// Endpoint.
        endpoint: Option<String> = "endpoint".required().format(Format::Url(&["https", "http", "grpc"]));
    }
}
