//! What a new cluster gets from its control plane: manifests from the configuration, in the order of their ids.

use std::net::IpAddr;

use config::view::{self, Cni};
use config::{Config, MachineType, images};
use node_resources::config::MachineConfig;
use node_resources::k8s::{BootstrapManifestsConfig, ExtraManifest, ExtraManifestsConfig, Manifest};
use node_resources::keelson::ManifestProblem;
use node_resources::secrets::KubernetesRootSecrets;
use resource::{One, Outputs};

use super::secrets::{local_endpoint, nth_address};
use crate::kubernetes::manifests::{self as render, Flannel, Input, Proxy, coredns::CoreDns};
use crate::kubernetes::pki::BootstrapToken;
use crate::machine_config::parsed;

fn control_plane(config: &MachineConfig) -> anyhow::Result<Option<std::sync::Arc<Config>>> {
    let config = parsed(config)?;
    Ok((config.machine_type() == Some(MachineType::ControlPlane)).then_some(config))
}

/// What of the built-in manifests the configuration wants, and how.
pub fn settings(config: One<MachineConfig>) -> anyhow::Result<Outputs<BootstrapManifestsConfig>> {
    let Some(config) = control_plane(&config)? else {
        return Ok(Outputs::none());
    };
    let network = view::kubernetes_network(&config);
    let proxy = view::proxy(&config);
    let core_dns = view::core_dns(&config);
    let dns: Vec<IpAddr> = network
        .service_subnets
        .iter()
        .filter_map(|s| nth_address(s, 10))
        .collect();
    let of_family = |v4: bool| {
        dns.iter()
            .find(|a| a.is_ipv4() == v4)
            .map(ToString::to_string)
            .unwrap_or_default()
    };
    let extra = proxy
        .component
        .extra_args
        .iter()
        .map(|(k, v)| (k.clone(), v.values().to_vec()))
        .collect();
    let mode = (!proxy.mode.is_empty()).then_some(proxy.mode.as_str());
    let server = local_endpoint(&config);
    let (host, port) = host_and_port(&server);
    let cni = view::cni(&config);
    let (flannel_enabled, flannel_extra_args, policies) = match &cni {
        Cni::Flannel(flannel) => {
            let policies = flannel.kube_network_policies_enabled.unwrap_or_default();
            (true, flannel.extra_args.clone(), policies)
        }
        _ => (false, Vec::new(), false),
    };
    Ok(Outputs::one(
        "manifests",
        BootstrapManifestsConfig {
            server,
            cluster_domain: network.dns_domain.clone(),
            pod_cidrs: network.pod_subnets.clone(),
            proxy_enabled: proxy.component.enabled,
            proxy_image: proxy.component.image.clone(),
            proxy_args: render::proxy_args(mode, &network.pod_subnets, &extra)?,
            core_dns_enabled: core_dns.enabled,
            core_dns_image: core_dns.image,
            dns_service_ip: of_family(true),
            dns_service_ipv6: of_family(false),
            flannel_enabled,
            flannel_image: images::FLANNEL.to_owned(),
            flannel_extra_args,
            flannel_kube_service_host: host,
            flannel_kube_service_port: port,
            flannel_kube_network_policies_enabled: policies,
            flannel_kube_network_policies_image: images::NETWORK_POLICIES.to_owned(),
            cni_name: cni_name(&cni).to_owned(),
            ..BootstrapManifestsConfig::default()
        },
    ))
}

fn cni_name(cni: &Cni) -> &'static str {
    match cni {
        Cni::Flannel(_) => "flannel",
        Cni::Custom(_) => "custom",
        Cni::None => "none",
    }
}

fn host_and_port(url: &str) -> (String, String) {
    let rest = url.strip_prefix("https://").unwrap_or(url);
    match rest.rsplit_once(':') {
        Some((host, port)) => (host.trim_matches(['[', ']']).to_owned(), port.to_owned()),
        None => (rest.to_owned(), "443".to_owned()),
    }
}

/// The manifests that the configuration brings, in full or by URL.
pub fn extra(config: One<MachineConfig>) -> anyhow::Result<Outputs<ExtraManifestsConfig>> {
    let Some(config) = control_plane(&config)? else {
        return Ok(Outputs::none());
    };
    let network = match view::cni(&config) {
        Cni::Custom(urls) => urls,
        Cni::Flannel(_) | Cni::None => Vec::new(),
    };
    let network = network.into_iter().map(|url| ExtraManifest {
        name: url.clone(),
        url,
        priority: "05".to_owned(),
        ..ExtraManifest::default()
    });
    let manifests = view::manifests(&config);
    let external = manifests.external.iter().map(|m| ExtraManifest {
        name: m.name.clone(),
        url: m.url.clone(),
        // A value may be a secret; who fetches reads it from the configuration.
        extra_headers: m
            .headers
            .keys()
            .map(|name| (name.clone(), pki::REDACTED.to_owned()))
            .collect(),
        priority: "99".to_owned(),
        ..ExtraManifest::default()
    });
    let inline = manifests.inline.iter().map(|(name, text)| ExtraManifest {
        name: name.clone(),
        inline_manifest: text.clone(),
        priority: "99".to_owned(),
        ..ExtraManifest::default()
    });
    let extra_manifests = network.chain(external).chain(inline).collect();
    Ok(Outputs::one(
        "extra-manifests",
        ExtraManifestsConfig { extra_manifests },
    ))
}

/// The objects to apply.
pub fn manifests(
    settings: One<BootstrapManifestsConfig>,
    extra: One<ExtraManifestsConfig>,
    root: One<KubernetesRootSecrets>,
) -> anyhow::Result<(Outputs<Manifest>, Outputs<ManifestProblem>)> {
    let token = BootstrapToken::new(&root.bootstrap_token_id, &root.bootstrap_token_secret);
    let dns: Vec<IpAddr> = [&settings.dns_service_ip, &settings.dns_service_ipv6]
        .iter()
        .filter_map(|a| a.parse().ok())
        .collect();
    let mut rendered = render::bootstrap(&Input {
        server: &settings.server,
        token: Some(&token),
        proxy: settings.proxy_enabled.then_some(Proxy {
            image: &settings.proxy_image,
            args: &settings.proxy_args,
        }),
        coredns: settings.core_dns_enabled.then_some(CoreDns {
            image: &settings.core_dns_image,
            domain: &settings.cluster_domain,
            service_ips: &dns,
            host_dns: None,
        }),
        flannel: settings.flannel_enabled.then_some(Flannel {
            image: &settings.flannel_image,
            pod_cidrs: &settings.pod_cidrs,
            extra_args: &settings.flannel_extra_args,
            server_host: &settings.flannel_kube_service_host,
            server_port: &settings.flannel_kube_service_port,
            network_policies_image: settings
                .flannel_kube_network_policies_enabled
                .then_some(settings.flannel_kube_network_policies_image.as_str()),
        }),
        machine_api_access: settings.talos_api_service_enabled,
    })?;
    let mut problems = Outputs::none();
    for manifest in extra.extra_manifests.iter().filter(|m| m.url.is_empty()) {
        let id = render::inline_id(&manifest.name);
        match render::parse(&id, &manifest.name, manifest.inline_manifest.as_bytes()) {
            Ok(manifest) => rendered.push(manifest),
            // The others are still wanted.
            Err(error) => {
                let problem = ManifestProblem {
                    stage: "read".to_owned(),
                    error: error.to_string(),
                };
                problems.insert(id, problem);
            }
        }
    }
    let manifests = rendered.into_iter().map(|m| (m.id, Manifest(m.objects))).collect();
    Ok((manifests, problems))
}
