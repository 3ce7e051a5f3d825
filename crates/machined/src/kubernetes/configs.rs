//! Configuration files of the control plane, as JSON, which is YAML.

use ::pki::Secret;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::static_pods::SCHEDULER_SECRETS;
use super::version::Version;

/// An admission plugin's configuration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AdmissionPlugin {
    /// `PodSecurity`
    pub name: String,
    /// Whatever the plugin reads.
    pub configuration: Map<String, Value>,
}

/// PodSecurity as it is unless the user says otherwise: baseline enforced, restricted audited and warned of, the
/// cluster's own namespace exempt.
pub fn default_admission() -> Vec<AdmissionPlugin> {
    let configuration = json!({
        "apiVersion": "pod-security.admission.config.k8s.io/v1alpha1",
        "kind": "PodSecurityConfiguration",
        "defaults": {
            "enforce": "baseline", "enforce-version": "latest",
            "audit": "restricted", "audit-version": "latest",
            "warn": "restricted", "warn-version": "latest",
        },
        "exemptions": {"namespaces": ["kube-system"], "runtimeClasses": [], "usernames": []},
    });
    let Value::Object(configuration) = configuration else {
        return Vec::new();
    };
    vec![AdmissionPlugin {
        name: "PodSecurity".into(),
        configuration,
    }]
}

/// `--admission-control-config-file`
pub fn admission_control(plugins: &[AdmissionPlugin]) -> Value {
    json!({"apiVersion": "apiserver.config.k8s.io/v1", "kind": "AdmissionConfiguration", "plugins": plugins})
}

/// `--audit-policy-file`: the user's, or metadata of every request.
pub fn audit_policy(policy: Option<&Value>) -> Value {
    let is_given = |p: &&Value| p.as_object().is_some_and(|map| !map.is_empty());
    policy
        .filter(is_given)
        .cloned()
        .unwrap_or_else(|| json!({"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "rules": [{"level": "Metadata"}]}))
}

/// `--encryption-provider-config`: what is written is encrypted with the first of the keys; all are read, and so is
/// plain text, which is what was written before there was a key. Key names are part of what is stored: never change.
///
/// A user's configuration is laid over it: its resources replace these, so the keys of what is stored have to be there.
///
/// # Errors
/// A key is not text.
pub fn encryption(
    secretbox: Option<&Secret>,
    aescbc: Option<&Secret>,
    user: Option<&Value>,
) -> Result<Secret, ::pki::Error> {
    let mut providers = Vec::new();
    for (provider, name, key) in [("secretbox", "key2", secretbox), ("aescbc", "key1", aescbc)] {
        if let Some(key) = key.filter(|k| !k.is_empty()) {
            providers.push(json!({provider: {"keys": [{"name": name, "secret": key.expose_str()?}]}}));
        }
    }
    providers.push(json!({"identity": {}}));
    let mut config = json!({
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "EncryptionConfiguration",
        "resources": [{"resources": ["secrets"], "providers": providers}],
    });
    if let Some(user) = user {
        merge(&mut config, user);
    }
    Ok(Secret::from(config.to_string()))
}

/// One authorizer of the chain.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Authorizer {
    /// `Node`, `RBAC` or `Webhook`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Unique in the chain.
    pub name: String,
    /// Of a webhook.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub webhook: Map<String, Value>,
}

/// The chain: the user's authorizers in their order, with Node and RBAC in front of them unless they are in it.
pub fn authorizers(user: &[Authorizer]) -> Vec<Authorizer> {
    let own = [("Node", "node"), ("RBAC", "rbac")];
    let absent = own
        .into_iter()
        .filter(|(kind, _)| !user.iter().any(|a| a.kind == *kind));
    absent
        .map(|(kind, name)| Authorizer {
            kind: kind.into(),
            name: name.into(),
            webhook: Map::new(),
        })
        .chain(user.iter().cloned())
        .collect()
}

/// `--authorization-config`
pub fn authorization(version: Version, chain: &[Authorizer]) -> Value {
    let api = if version < Version::new(1, 32) { "v1beta1" } else { "v1" };
    json!({
        "apiVersion": format!("apiserver.config.k8s.io/{api}"),
        "kind": "AuthorizationConfiguration",
        "authorizers": chain,
    })
}

/// `--authentication-config`: without credentials one may ask for health, and nothing else. So probes of the kubelet
/// and of load balancers work while everything else needs a name. A user's configuration is laid over it.
pub fn authentication(version: Version, user: Option<&Value>) -> Value {
    let api = if version < Version::new(1, 34) { "v1beta1" } else { "v1" };
    let mut config = json!({
        "apiVersion": format!("apiserver.config.k8s.io/{api}"),
        "kind": "AuthenticationConfiguration",
        "anonymous": {
            "enabled": true,
            "conditions": [{"path": "/livez"}, {"path": "/readyz"}, {"path": "/healthz"}],
        },
    });
    if let Some(user) = user {
        merge(&mut config, user);
    }
    config
}

/// The scheduler's configuration with the user's merged over it; how it reaches the API server stays ours.
pub fn scheduler(user: &Map<String, Value>) -> Value {
    let mut config = json!({
        "apiVersion": "kubescheduler.config.k8s.io/v1",
        "kind": "KubeSchedulerConfiguration",
        "clientConnection": {},
    });
    merge(&mut config, &Value::Object(user.clone()));
    config["clientConnection"]["kubeconfig"] = format!("{SCHEDULER_SECRETS}/kubeconfig").into();
    config
}

/// Maps merge by key, anything else is replaced; null leaves things as they are.
pub(super) fn merge(onto: &mut Value, from: &Value) {
    match (onto, from) {
        (_, Value::Null) => {}
        (Value::Object(onto), Value::Object(from)) => {
            for (key, value) in from {
                merge(onto.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (onto, from) => *onto = from.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_written_encrypted_and_read_also_plain() {
        let (new, old) = (Secret::from("bmV3".to_owned()), Secret::from("b2xk".to_owned()));
        let text = encryption(Some(&new), Some(&old), None).unwrap();
        let config: Value = serde_json::from_slice(text.expose()).unwrap();
        assert_eq!(
            config["resources"][0]["providers"],
            json!([
                {"secretbox": {"keys": [{"name": "key2", "secret": "bmV3"}]}},
                {"aescbc": {"keys": [{"name": "key1", "secret": "b2xk"}]}},
                {"identity": {}},
            ])
        );
    }

    #[test]
    fn node_and_rbac_are_never_lost_from_the_chain() {
        let names = |user: &[Authorizer]| -> Vec<String> { authorizers(user).into_iter().map(|a| a.name).collect() };
        let authorizer = |kind: &str, name: &str| Authorizer {
            kind: kind.into(),
            name: name.into(),
            ..Default::default()
        };
        assert_eq!(names(&[]), ["node", "rbac"]);
        assert_eq!(names(&[authorizer("Webhook", "w")]), ["node", "rbac", "w"]);
        assert_eq!(
            names(&[authorizer("Webhook", "w"), authorizer("RBAC", "r")]),
            ["node", "w", "r"]
        );
    }

    #[test]
    fn the_users_scheduler_configuration_cannot_lose_the_connection() {
        let user = json!({"clientConnection": {"qps": 5, "kubeconfig": "/x"}, "parallelism": 3});
        let config = scheduler(user.as_object().unwrap());
        assert_eq!(
            config["clientConnection"]["kubeconfig"],
            "/system/secrets/kubernetes/kube-scheduler/kubeconfig"
        );
        assert_eq!(config["clientConnection"]["qps"], 5);
        assert_eq!(config["parallelism"], 3);
    }

    #[test]
    fn an_empty_audit_policy_is_the_default() {
        assert_eq!(audit_policy(Some(&json!({})))["rules"][0]["level"], "Metadata");
        assert_eq!(audit_policy(Some(&json!({"rules": []})))["rules"], json!([]));
    }
}
