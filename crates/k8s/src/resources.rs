//! Kinds as the API server serves them, and the paths of their objects.

use std::borrow::Cow;

/// A kind with what is needed to address it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ApiResource {
    /// Empty for the core group.
    pub group: Cow<'static, str>,
    /// `v1`
    pub version: Cow<'static, str>,
    /// `Deployment`
    pub kind: Cow<'static, str>,
    /// `deployments`
    pub plural: Cow<'static, str>,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
}

impl ApiResource {
    const fn known(group: &'static str, kind: &'static str, plural: &'static str, namespaced: bool) -> Self {
        Self {
            group: Cow::Borrowed(group),
            version: Cow::Borrowed("v1"),
            kind: Cow::Borrowed(kind),
            plural: Cow::Borrowed(plural),
            namespaced,
        }
    }

    /// `v1` or `apps/v1`.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.to_string()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// The path of all objects (no name) or of one. A namespace is ignored for kinds that have none.
    pub fn path(&self, namespace: Option<&str>, name: Option<&str>) -> String {
        let mut path = format!(
            "{}{}",
            if self.group.is_empty() { "/api/" } else { "/apis/" },
            self.api_version()
        );
        if let (true, Some(namespace)) = (self.namespaced, namespace) {
            path.push_str("/namespaces/");
            path.push_str(&encode(namespace));
        }
        path.push('/');
        path.push_str(&self.plural);
        if let Some(name) = name {
            path.push('/');
            path.push_str(&encode(name));
        }
        path
    }
}

/// Percent-encodes what may not stand in a path segment or a query value.
pub(crate) fn encode(text: &str) -> String {
    use std::fmt::Write as _;
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~:".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}

/// `nodes`
pub static NODES: ApiResource = ApiResource::known("", "Node", "nodes", false);
/// `pods`
pub static PODS: ApiResource = ApiResource::known("", "Pod", "pods", true);
/// `namespaces`
pub static NAMESPACES: ApiResource = ApiResource::known("", "Namespace", "namespaces", false);
/// `services`
pub static SERVICES: ApiResource = ApiResource::known("", "Service", "services", true);
/// `endpoints`
pub static ENDPOINTS: ApiResource = ApiResource::known("", "Endpoints", "endpoints", true);
/// `configmaps`
pub static CONFIG_MAPS: ApiResource = ApiResource::known("", "ConfigMap", "configmaps", true);
/// `secrets`
pub static SECRETS: ApiResource = ApiResource::known("", "Secret", "secrets", true);
/// `events`
pub static EVENTS: ApiResource = ApiResource::known("", "Event", "events", true);
/// `serviceaccounts`
pub static SERVICE_ACCOUNTS: ApiResource = ApiResource::known("", "ServiceAccount", "serviceaccounts", true);
/// `daemonsets.apps`
pub static DAEMON_SETS: ApiResource = ApiResource::known("apps", "DaemonSet", "daemonsets", true);
/// `deployments.apps`
pub static DEPLOYMENTS: ApiResource = ApiResource::known("apps", "Deployment", "deployments", true);
/// `endpointslices.discovery.k8s.io`
pub static ENDPOINT_SLICES: ApiResource =
    ApiResource::known("discovery.k8s.io", "EndpointSlice", "endpointslices", true);
/// `certificatesigningrequests.certificates.k8s.io`
pub static CERTIFICATE_SIGNING_REQUESTS: ApiResource = ApiResource::known(
    "certificates.k8s.io",
    "CertificateSigningRequest",
    "certificatesigningrequests",
    false,
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_follow_group_namespace_and_name() {
        assert_eq!(NODES.path(Some("ignored"), Some("a")), "/api/v1/nodes/a");
        assert_eq!(PODS.path(None, None), "/api/v1/pods");
        assert_eq!(
            DAEMON_SETS.path(Some("kube-system"), Some("x")),
            "/apis/apps/v1/namespaces/kube-system/daemonsets/x"
        );
        assert_eq!(encode("system:nodes/a b"), "system:nodes%2Fa%20b");
    }
}
