//! Finding other members of the cluster.

use pki::Secret;

use crate::schema::Format;
use crate::schema::macros::model;

model! {
    /// Identity of the cluster at the discovery service.
    pub struct DiscoveryIdentityConfig: "cluster.DiscoveryIdentityConfigV1Alpha1", kind "DiscoveryIdentityConfig" since "v1.14" {
        /// Public id of the cluster at the discovery service.
        cluster_id: Option<String> = "clusterID".required();
        /// Key that encrypts what members tell each other.
        cluster_secret: Option<Secret> = "clusterSecret".required();
    }

    /// A discovery service.
    pub struct DiscoveryServiceConfig: "cluster.DiscoveryServiceConfigV1Alpha1", kind "DiscoveryServiceConfig" named since "v1.14" {
        /// Name, which tells documents of this kind apart.
        name: Option<String> = "name".required();
        /// URL of the discovery service.
        endpoint: Option<String> = "endpoint".required().format(Format::Url(&["https", "http", "grpc"]));
    }
}
