use super::coredns::CoreDns;
use super::*;
use crate::kubernetes::flags::ExtraArgs;

/// Everything on, as a new cluster has it.
pub(crate) fn all() -> Vec<Manifest> {
    let pods = ["10.244.0.0/16".to_owned()];
    let token = BootstrapToken::parse("abcdef.0123456789abcdef").unwrap();
    let args = proxy_args(None, &pods, &ExtraArgs::new()).unwrap();
    let service_ips = ["10.96.0.10".parse().unwrap()];
    bootstrap(&Input {
        server: "https://127.0.0.1:7445",
        token: Some(&token),
        proxy: Some(Proxy {
            image: "registry.k8s.io/kube-proxy:v1.37.1",
            args: &args,
        }),
        coredns: Some(CoreDns {
            image: "registry.k8s.io/coredns/coredns:v1.15.0",
            domain: "cluster.local",
            service_ips: &service_ips,
            host_dns: None,
        }),
        flannel: Some(Flannel {
            image: "ghcr.io/siderolabs/flannel:v0.28.4",
            pod_cidrs: &pods,
            extra_args: &[],
            server_host: "127.0.0.1",
            server_port: "7445",
            network_policies_image: Some("registry.k8s.io/networking/kube-network-policies:v1.1.0"),
        }),
        machine_api_access: true,
    })
    .unwrap()
}

fn object<'a>(manifests: &'a [Manifest], id: &str, kind: &str) -> &'a Value {
    let manifest = manifests.iter().find(|m| m.id == id).unwrap();
    manifest.objects.iter().find(|o| o["kind"] == kind).unwrap()
}

/// The interface's own node: `Manifests`; ours has access to the machine API besides.
#[test]
fn ids_are_the_interfaces() {
    let ids: Vec<String> = all().into_iter().map(|m| m.id).collect();
    assert_eq!(
        ids,
        [
            "00-kubelet-bootstrapping-token",
            "01-csr-approver-role-binding",
            "01-csr-node-bootstrap",
            "01-csr-renewal-role-binding",
            "05-flannel",
            "10-kube-proxy",
            "11-core-dns",
            "11-core-dns-svc",
            "11-kube-config-in-cluster",
            "11-talos-node-rbac-template",
            "12-talos-api-service",
        ]
    );
}

#[test]
fn what_is_disabled_is_not_there() {
    let manifests = bootstrap(&Input {
        server: "https://a",
        ..Input::default()
    })
    .unwrap();
    let ids: Vec<&str> = manifests.iter().map(|m| m.id.as_str()).collect();
    assert!(
        !ids.iter()
            .any(|id| id.contains("proxy") || id.contains("dns") || id.contains("flannel")),
        "{ids:?}"
    );
    assert_eq!(ids.len(), 5);
}

/// The interface's own node: `BootstrapManifestsConfigs`.
#[test]
fn the_proxys_arguments_are_the_interfaces() {
    let pods = ["10.244.0.0/16".to_owned()];
    assert_eq!(
        proxy_args(None, &pods, &ExtraArgs::new()).unwrap(),
        [
            "--cluster-cidr=10.244.0.0/16",
            "--conntrack-max-per-core=0",
            "--hostname-override=$(NODE_NAME)",
            "--kubeconfig=/etc/kubernetes/kubeconfig",
            "--proxy-mode=nftables",
        ]
    );
    assert!(
        proxy_args(Some("iptables"), &pods, &ExtraArgs::new())
            .unwrap()
            .contains(&"--proxy-mode=iptables".to_owned())
    );
    let extra = ExtraArgs::from([("kubeconfig".to_owned(), vec!["x".to_owned()])]);
    assert!(proxy_args(None, &pods, &extra).is_err());
}

#[test]
fn flannel_knows_its_network_and_its_server() {
    let manifests = all();
    let config = object(&manifests, "05-flannel", "ConfigMap");
    let net: Value = serde_json::from_str(config["data"]["net-conf.json"].as_str().unwrap()).unwrap();
    assert_eq!(
        net,
        json!({"Network": "10.244.0.0/16", "EnableIPv4": true, "EnableIPv6": false, "Backend": {"Type": "vxlan", "Port": 4789}})
    );
    let container = &object(&manifests, "05-flannel", "DaemonSet")["spec"]["template"]["spec"]["containers"][0];
    let env = container["env"].as_array().unwrap();
    assert!(env.contains(&json!({"name": "KUBERNETES_SERVICE_PORT", "value": "7445"})));

    let wrong = Flannel {
        pod_cidrs: &["x".to_owned()],
        ..Flannel::default()
    };
    let error = bootstrap(&Input {
        flannel: Some(wrong),
        ..Input::default()
    })
    .unwrap_err();
    assert!(error.to_string().contains("\"x\" is not a subnet"));
}

#[test]
fn dns_answers_at_its_address_and_asks_the_node() {
    let manifests = all();
    assert_eq!(
        object(&manifests, "11-core-dns-svc", "Service")["spec"]["clusterIPs"],
        json!(["10.96.0.10"])
    );
    let corefile = object(&manifests, "11-core-dns", "ConfigMap")["data"]["Corefile"]
        .as_str()
        .unwrap();
    assert!(corefile.contains("forward . /etc/resolv.conf {"), "{corefile}");
    assert!(corefile.contains("kubernetes cluster.local in-addr.arpa ip6.arpa {"));

    let ips = ["10.96.0.10".parse().unwrap(), "fd00::a".parse().unwrap()];
    let dual = CoreDns {
        service_ips: &ips,
        host_dns: Some("169.254.116.108".parse().unwrap()),
        ..CoreDns::default()
    };
    let manifests = bootstrap(&Input {
        coredns: Some(dual),
        ..Input::default()
    })
    .unwrap();
    assert_eq!(
        object(&manifests, "11-core-dns-svc", "Service")["spec"]["ipFamilyPolicy"],
        "RequireDualStack"
    );
    let corefile = object(&manifests, "11-core-dns", "ConfigMap")["data"]["Corefile"]
        .as_str()
        .unwrap();
    assert!(corefile.contains("forward . 169.254.116.108 {"));
}

#[test]
fn a_users_manifest_is_taken_apart_and_put_in_order() {
    let text = b"---\napiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: ns}}\n---\n# nothing\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: ns}\n";
    let manifest = parse(&inline_id("mine"), "mine", text).unwrap();
    assert_eq!(manifest.id, "99-mine");
    let kinds: Vec<_> = manifest.objects.iter().map(|o| o["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["Namespace", "ConfigMap"]);
    assert!(manifest.objects[0].get("items").is_none());
}

#[test]
fn what_is_wrong_with_a_users_manifest_is_said() {
    let error = |text: &[u8]| parse("99-m", "m", text).unwrap_err().to_string();
    assert_eq!(error(b"a: 1"), "manifest \"m\", document 1: it has no apiVersion");
    assert_eq!(
        error(b"apiVersion: v1\nkind: Pod\n"),
        "manifest \"m\", document 1: it has no metadata.name that is text (y, n, yes and no are not: quote them)"
    );
    assert_eq!(error(b"- a"), "manifest \"m\", document 1: it is not a map");
    assert!(
        error(b"a: [").starts_with("manifest \"m\": not valid YAML"),
        "{}",
        error(b"a: [")
    );
}
