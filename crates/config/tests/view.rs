//! A thing looks the same wherever in the configuration it stands.
#![allow(clippy::unwrap_used)]

use config::view::{self, Cni, Hostname};
use config::{Config, images};

fn config(text: &str) -> Config {
    Config::decode(text.as_bytes()).unwrap()
}

const EMPTY: &str = "version: v1alpha1\nmachine: {}\ncluster: {}\n";

fn with_documents(documents: &[&str]) -> Config {
    let documents: String = documents
        .iter()
        .map(|d| format!("---\napiVersion: v1alpha1\n{d}\n"))
        .collect();
    config(&format!("{EMPTY}{documents}"))
}

#[test]
fn registries_are_the_same_from_fields_and_documents() {
    let fields = config(
        "version: v1alpha1\nmachine:\n  registries:\n    mirrors: {docker.io: {endpoints: ['http://a:1'], skipFallback: true}}\n    config:\n      ghcr.io: {auth: {username: me, password: secret}, tls: {insecureSkipVerify: true}}\n",
    );
    let documents = with_documents(&[
        "kind: RegistryMirrorConfig\nname: docker.io\nendpoints: [{url: 'http://a:1'}]\nskipFallback: true",
        "kind: RegistryAuthConfig\nname: ghcr.io\nusername: me\npassword: secret",
        "kind: RegistryTLSConfig\nname: ghcr.io\ninsecureSkipVerify: true",
    ]);
    assert_eq!(view::registries(&fields), view::registries(&documents));
    assert_eq!(
        view::registries(&fields).mirrors["docker.io"].endpoints[0].url,
        "http://a:1"
    );
    assert!(!format!("{:?}", view::registries(&fields)).contains("secret"));
}

#[test]
fn names_resolvers_and_time_are_the_same_from_fields_and_documents() {
    let fields = config(
        "version: v1alpha1\nmachine:\n  network: {hostname: one, nameservers: [9.9.9.9], searchDomains: [a.b], kubespan: {enabled: true}, extraHostEntries: [{ip: 1.2.3.4, aliases: [x]}]}\n  time: {servers: [t], bootTimeout: 1m}\n  env: {A: b}\n  sysctls: {a.b: c}\n",
    );
    let documents = with_documents(&[
        "kind: HostnameConfig\nhostname: one",
        "kind: ResolverConfig\nnameservers: [{address: 9.9.9.9}]\nsearchDomains: {domains: [a.b]}",
        "kind: KubeSpanConfig\nenabled: true",
        "kind: StaticHostConfig\nname: 1.2.3.4\nhostnames: [x]",
        "kind: TimeSyncConfig\nntp: {servers: [t]}\nbootTimeout: 1m",
        "kind: EnvironmentConfig\nvariables: {A: b}",
        "kind: SysctlConfig\nparams: {a.b: c}",
    ]);
    assert_eq!(view::hostname(&fields), Hostname::Static("one".into()));
    assert_eq!(view::hostname(&fields), view::hostname(&documents));
    assert_eq!(view::resolvers(&fields), view::resolvers(&documents));
    assert_eq!(view::kubespan(&fields), view::kubespan(&documents));
    assert_eq!(view::extra_hosts(&fields), view::extra_hosts(&documents));
    assert_eq!(view::time_sync(&fields), view::time_sync(&documents));
    assert_eq!(view::environment(&fields), view::environment(&documents));
    assert_eq!(view::sysctls(&fields), view::sysctls(&documents));
}

#[test]
fn kubernetes_is_the_same_from_fields_and_documents() {
    let fields = config(
        "version: v1alpha1\nmachine:\n  kubelet: {image: k, extraArgs: {v: '2'}, defaultRuntimeSeccompProfileEnabled: true, disableManifestsDirectory: true}\n  nodeLabels: {a: b}\n  features: {kubePrism: {enabled: true, port: 7446}}\ncluster:\n  clusterName: c\n  controlPlane: {endpoint: 'https://e:6443', localAPIServerPort: 6444}\n  network: {podSubnets: [10.1.0.0/16], serviceSubnets: [10.2.0.0/16]}\n  apiServer: {image: a, certSANs: [x]}\n  controllerManager: {image: m}\n  scheduler: {image: s}\n  proxy: {disabled: true, image: p}\n  coreDNS: {image: d}\n  inlineManifests: [{name: n, contents: 'a: b'}]\n",
    );
    let documents = with_documents(&[
        "kind: KubeletConfig\nimage: k\nextraArgs: {v: '2'}",
        "kind: KubeNodeConfig\nlabels: {a: b}",
        "kind: KubePrismConfig\nport: 7446",
        "kind: KubeClusterConfig\nclusterName: c\nendpoint: https://e:6443",
        "kind: KubeNetworkConfig\npodSubnets: [10.1.0.0/16]\nserviceSubnets: [10.2.0.0/16]",
        "kind: KubeAPIServerConfig\nimage: a\ncertExtraSANs: [x]\napiPort: 6444",
        "kind: KubeControllerManagerConfig\nimage: m",
        "kind: KubeSchedulerConfig\nimage: s",
        "kind: KubeProxyConfig\nenabled: false\nimage: p",
        "kind: KubeCoreDNSConfig\nimage: d",
        "kind: KubeInlineManifestConfig\nname: n\nmanifest: 'a: b'",
    ]);
    assert_eq!(view::kubelet(&fields), view::kubelet(&documents));
    assert_eq!(view::node_settings(&fields), view::node_settings(&documents));
    assert_eq!(view::kube_prism(&fields), view::kube_prism(&documents));
    assert_eq!(view::cluster_name(&fields), view::cluster_name(&documents));
    assert_eq!(view::endpoint(&fields), view::endpoint(&documents));
    assert_eq!(view::kubernetes_network(&fields), view::kubernetes_network(&documents));
    assert_eq!(view::api_server(&fields), view::api_server(&documents));
    assert_eq!(view::controller_manager(&fields), view::controller_manager(&documents));
    assert_eq!(view::scheduler(&fields), view::scheduler(&documents));
    assert_eq!(view::proxy(&fields), view::proxy(&documents));
    assert_eq!(view::core_dns(&fields), view::core_dns(&documents));
    assert_eq!(view::manifests(&fields), view::manifests(&documents));
}

#[test]
fn what_is_not_given_has_its_default() {
    let config = config(EMPTY);
    assert_eq!(view::api_server(&config).component.image, images::API_SERVER);
    assert_eq!(view::api_server(&config).port, 6443);
    assert_eq!(view::kubelet(&config).image, images::KUBELET);
    assert_eq!(view::etcd(&config).image, images::ETCD);
    assert_eq!(view::hostname(&config), Hostname::FromNetwork);
    assert_eq!(view::kubernetes_network(&config).dns_domain, "cluster.local");
    assert_eq!(view::time_sync(&config).servers, ["time.cloudflare.com"]);
    assert!(matches!(view::cni(&config), Cni::Flannel(_)));
    assert!(!view::discovery(&config).enabled);
}

#[test]
fn the_generated_configuration_finds_members_through_the_service_only() {
    let config = config(include_str!("vectors/v1.13/controlplane.yaml"));
    let discovery = view::discovery(&config);
    assert!(discovery.enabled && !discovery.kubernetes);
    assert_eq!(discovery.service.as_deref(), Some("https://discovery.talos.dev/"));
    assert_eq!(view::hostname(&config), Hostname::Stable);
    assert!(view::host_dns(&config).forward_kube_dns_to_host);
}

#[test]
fn rules_about_images_keep_their_order_and_a_patch_appends() {
    let text = "apiVersion: v1alpha1\nkind: ImageVerificationConfig\nrules:\n";
    let patch = |rules: &str| config::patch::Patch::load(format!("{text}{rules}").as_bytes()).unwrap();
    let patches = [
        patch("- {image: 'a.b/*', skip: true}\n- image: 'c.d/*'\n  publicKey: {certificate: key}\n"),
        patch("- image: 'e.f/*'\n  keyless: {issuer: 'https://i', subject: me}\n- {image: '*', deny: true}\n"),
    ];
    let patched = config::patch::apply(&config(EMPTY), &patches).unwrap();
    let rules = view::image_rules(&patched);
    let images: Vec<&str> = rules.iter().map(|rule| rule.image.as_str()).collect();
    assert_eq!(images, ["a.b/*", "c.d/*", "e.f/*", "*"]);
    assert!(rules[0].skip && !rules[0].deny && rules[3].deny);
    assert_eq!(rules[1].public_key.as_deref(), Some("key"));
    assert_eq!(rules[2].keyless.as_ref().unwrap().subject, "me");
    assert_eq!(view::image_rules(&config(EMPTY)), []);
    let again = config(&patched.encode_canonical());
    assert_eq!(view::image_rules(&again), rules);
}
