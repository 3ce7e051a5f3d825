//! The cluster section.

use std::collections::BTreeSet;

use pki::CertAndKey;

use super::report::Report;
use crate::generate::Endpoint;
use crate::model::v1alpha1::ClusterConfig;
use crate::schema::types::Prefix;
use crate::yaml::syntax;
use crate::{MachineType, view};

pub fn check(report: &mut Report<'_>) {
    if report.main().is_none() {
        return;
    }
    let Some(cluster) = report.config.cluster() else {
        report.main_error(
            &["cluster"],
            "is missing",
            Some("the section of the cluster: controlPlane, ca, token, …".into()),
        );
        return;
    };
    endpoint(report, cluster);
    subnets(report, cluster);
    discovery(report);
    manifests(report, cluster);
    match report.config.machine_type() {
        Some(MachineType::ControlPlane) => control_plane(report, cluster),
        Some(MachineType::Worker) => worker(report, cluster),
        None => {}
    }
}

fn endpoint(report: &mut Report<'_>, cluster: &ClusterConfig) {
    let Some(main) = report.main() else { return };
    let steps = ["cluster", "controlPlane", "endpoint"];
    let Some(endpoint) = cluster.control_plane.as_ref().and_then(|c| c.endpoint.as_deref()) else {
        return;
    };
    match Endpoint::parse(endpoint) {
        Ok(endpoint) => {
            if let Some(warning) = endpoint.warning() {
                report.warning(main, &steps, warning, None);
            }
        }
        Err(crate::generate::Error::Endpoint { endpoint, why }) => {
            report.error(main, &steps, format!("{endpoint:?}: {why}"), None);
        }
        Err(other) => report.error(main, &steps, other.to_string(), None),
    }
}

fn subnets(report: &mut Report<'_>, cluster: &ClusterConfig) {
    let Some(main) = report.main() else { return };
    let network = cluster.network.clone().unwrap_or_default();
    let parse = |subnets: &[String]| {
        subnets
            .iter()
            .filter_map(|subnet| subnet.parse().ok())
            .collect::<Vec<Prefix>>()
    };
    let (pods, services) = (parse(&network.pod_subnets), parse(&network.service_subnets));
    for (field, subnets) in [("podSubnets", &pods), ("serviceSubnets", &services)] {
        let families: BTreeSet<bool> = subnets.iter().map(|subnet| subnet.address.is_ipv4()).collect();
        if subnets.len() > families.len() {
            let fix = Some("give at most one IPv4 and one IPv6 network".into());
            report.error(
                main,
                &["cluster", "network", field],
                "there are several networks of one family",
                fix,
            );
        }
    }
    let families = |subnets: &[Prefix]| {
        subnets
            .iter()
            .map(|subnet| subnet.address.is_ipv4())
            .collect::<BTreeSet<bool>>()
    };
    if !pods.is_empty() && !services.is_empty() && families(&pods) != families(&services) {
        let message = "pod and service networks are not of the same address families";
        let fix = Some("give both an IPv4 network, both an IPv6 network, or both of each".into());
        report.error(main, &["cluster", "network", "serviceSubnets"], message, fix);
    }
    for pod in &pods {
        if let Some(service) = services.iter().find(|service| service.overlaps(pod)) {
            let message = format!("the service network {service} overlaps the pod network {pod}");
            report.error(main, &["cluster", "network", "serviceSubnets"], message, None);
        }
    }
}

fn discovery(report: &mut Report<'_>) {
    let discovery = view::discovery(report.config);
    if view::kubespan(report.config).enabled && !discovery.enabled {
        let fix = Some("set cluster.discovery.enabled to true".into());
        report.main_error(
            &["cluster", "discovery", "enabled"],
            "the mesh (KubeSpan) needs discovery",
            fix,
        );
    }
    if discovery.enabled
        && !discovery.kubernetes
        && discovery.service.is_none()
        && report.config.cluster().is_some_and(|c| c.discovery.is_some())
    {
        let fix = Some("enable one of the registries, or set cluster.discovery.enabled to false".into());
        report.main_error(
            &["cluster", "discovery", "registries"],
            "discovery is on but has no registry",
            fix,
        );
    }
    if discovery.service.is_some() {
        if discovery.cluster_id.is_empty() {
            report.main_error(
                &["cluster", "id"],
                "is missing",
                Some("the discovery service needs it".into()),
            );
        }
        if discovery.cluster_secret.is_empty() {
            report.main_error(
                &["cluster", "secret"],
                "is missing",
                Some("the discovery service needs it".into()),
            );
        }
        if let (Some(url), Some(main)) = (&discovery.service, report.main())
            && url.starts_with("http://")
        {
            let steps = ["cluster", "discovery", "registries", "service", "endpoint"];
            report.warning(
                main,
                &steps,
                "the discovery service is asked in plain text",
                Some("use https".into()),
            );
        }
    }
}

fn manifests(report: &mut Report<'_>, cluster: &ClusterConfig) {
    let Some(main) = report.main() else { return };
    let mut seen = BTreeSet::new();
    for (i, manifest) in cluster.inline_manifests.iter().enumerate() {
        let i = i.to_string();
        let name = manifest.name.as_deref().unwrap_or_default();
        if !name.is_empty() && !seen.insert(name) {
            let message = format!("another manifest is named {name:?} too");
            report.error(main, &["cluster", "inlineManifests", &i, "name"], message, None);
        }
        if let Err(problem) = syntax::read(manifest.contents.as_deref().unwrap_or_default().as_bytes()) {
            let message = format!("the manifest {name:?} is not YAML: in it, {problem}");
            report.error(main, &["cluster", "inlineManifests", &i, "contents"], message, None);
        }
    }
    for (i, url) in cluster.extra_manifests.iter().enumerate() {
        if url.starts_with("http://") {
            let fix = Some("use https".into());
            report.warning(
                main,
                &["cluster", "extraManifests", &i.to_string()],
                "is fetched in plain text",
                fix,
            );
        }
    }
}

fn control_plane(report: &mut Report<'_>, cluster: &ClusterConfig) {
    let kubernetes = view::kubernetes_ca(report.config);
    authority(report, &["cluster", "ca"], kubernetes.as_ref());
    let aggregator = view::aggregator_ca(report.config);
    authority(report, &["cluster", "aggregatorCA"], aggregator.as_ref());
    authority(
        report,
        &["cluster", "etcd", "ca"],
        cluster.etcd.as_ref().and_then(|etcd| etcd.ca.as_ref()),
    );
    match view::service_account_key(report.config) {
        Some(key) if !key.is_empty() => {
            if let Err(error) = pki::PrivateKey::from_pem(key.expose()) {
                report.main_error(&["cluster", "serviceAccount", "key"], error.to_string(), None);
            }
        }
        _ => report.main_error(&["cluster", "serviceAccount", "key"], "is missing", None),
    }
    let given = |secret: &Option<pki::Secret>| secret.as_ref().is_some_and(|secret| !secret.is_empty());
    let secretbox = given(&cluster.secretbox_encryption_secret);
    let aescbc = given(&cluster.aescbc_encryption_secret);
    if !secretbox && !aescbc && report.config.find("KubeEtcdEncryptionConfig", None).is_none() {
        let fix = Some("secrets in etcd are encrypted with it".into());
        report.main_error(&["cluster", "secretboxEncryptionSecret"], "is missing", fix);
    }
    if cluster.token.as_ref().is_none_or(pki::Secret::is_empty) {
        report.main_error(
            &["cluster", "token"],
            "is missing",
            Some("kubelets join with it".into()),
        );
    }
}

fn authority(report: &mut Report<'_>, steps: &[&str], pair: Option<&CertAndKey>) {
    let with = |last: &'static str| {
        let mut steps = steps.to_vec();
        steps.push(last);
        steps
    };
    let pair = pair.cloned().unwrap_or_default();
    if pair.crt.is_empty() {
        report.main_error(&with("crt"), "is missing", None);
    }
    if pair.key.is_empty() {
        report.main_error(&with("key"), "is missing", Some("control planes sign with it".into()));
    }
    if !pair.crt.is_empty()
        && !pair.key.is_empty()
        && let Err(error) = pair.check()
    {
        report.main_error(steps, error.to_string(), None);
    }
}

fn worker(report: &mut Report<'_>, cluster: &ClusterConfig) {
    let Some(main) = report.main() else { return };
    if view::kubernetes_ca(report.config).is_none_or(|ca| ca.crt.is_empty()) {
        report.main_error(
            &["cluster", "ca", "crt"],
            "is missing",
            Some("certificate of Kubernetes' authority".into()),
        );
    }
    if cluster.ca.as_ref().is_some_and(|ca| !ca.key.is_empty()) {
        let fix = Some("remove it".into());
        report.error(
            main,
            &["cluster", "ca", "key"],
            "a worker must not have the authority's key",
            fix,
        );
    }
    let section = |name: &str| {
        main.root
            .find(&format!("cluster.{name}"))
            .is_some_and(|node| !node.is_empty())
    };
    let secret = [
        "aggregatorCA",
        "serviceAccount",
        "secretboxEncryptionSecret",
        "aescbcEncryptionSecret",
        "apiServer",
        "controllerManager",
        "scheduler",
        "etcd",
    ];
    for name in secret.into_iter().filter(|name| section(name)) {
        let message = "a worker must not have this section, which is for control planes";
        report.error(main, &["cluster", name], message, Some("remove it".into()));
    }
    let unused = [
        "proxy",
        "coreDNS",
        "extraManifests",
        "inlineManifests",
        "adminKubeconfig",
        "externalCloudProvider",
    ];
    for name in unused.into_iter().filter(|name| section(name)) {
        report.warning(
            main,
            &["cluster", name],
            "is not used on a worker",
            Some("remove it".into()),
        );
    }
}
