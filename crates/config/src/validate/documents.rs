//! Documents beside the main one.

use std::collections::BTreeMap;

use super::names;
use super::report::Report;
use crate::Document;
use crate::schema::types::Prefix;
use crate::yaml::node::Node;

pub fn check(report: &mut Report<'_>) {
    let mut members: BTreeMap<String, String> = BTreeMap::new();
    let mut default_routes: BTreeMap<(bool, i64), String> = BTreeMap::new();
    for document in report.documents() {
        named(report, document);
        match document.kind() {
            "HostnameConfig" => hostname(report, document),
            "RegistryMirrorConfig" => mirror(report, document),
            "StaticHostConfig" => static_host(report, document),
            "VLANConfig" => vlan(report, document),
            "NetworkRuleConfig" => rule(report, document),
            "BondConfig" | "BridgeConfig" | "VRFConfig" => membership(report, document, &mut members),
            "SysctlConfig" => sysctls(report, document),
            "KubeNodeConfig" => node(report, document),
            "TrustedRootsConfig" => trusted_roots(report, document),
            _ => {}
        }
        routes(report, document, &mut default_routes);
    }
}

fn text<'a>(document: &'a Document, key: &str) -> Option<&'a str> {
    document
        .root
        .find(key)
        .and_then(Node::as_text)
        .filter(|text| !text.is_empty())
}

/// Names of links and of volumes.
fn named(report: &mut Report<'_>, document: &Document) {
    let Some(name) = document.name() else { return };
    let result = match document.kind() {
        "LinkConfig" | "BondConfig" | "BridgeConfig" | "VLANConfig" | "DummyLinkConfig" | "WireguardConfig"
        | "VRFConfig" | "VethConfig" | "DHCPv4Config" | "DHCPv6Config" | "EthernetConfig" => names::link(name),
        "UserVolumeConfig"
        | "RawVolumeConfig"
        | "ExistingVolumeConfig"
        | "ExternalVolumeConfig"
        | "SwapVolumeConfig" => names::volume(name),
        "VolumeConfig" if !matches!(name, "STATE" | "EPHEMERAL" | "IMAGECACHE") => {
            Err("system volumes are STATE, EPHEMERAL and IMAGECACHE; a volume of your own is a UserVolumeConfig".into())
        }
        _ => Ok(()),
    };
    if let Err(why) = result {
        report.error(document, &["name"], format!("{name:?}: {why}"), None);
    }
}

fn hostname(report: &mut Report<'_>, document: &Document) {
    match (text(document, "hostname"), text(document, "auto")) {
        (Some(name), auto) => {
            if let Err(why) = names::hostname(name) {
                report.error(
                    document,
                    &["hostname"],
                    format!("{name:?} is not a host name: {why}"),
                    None,
                );
            }
            if auto.is_some_and(|auto| auto != "off") {
                let message = "the name is given, so it cannot be made automatically too";
                report.error(document, &["auto"], message, Some("remove auto or hostname".into()));
            }
        }
        (None, None) => {
            report.error(
                document,
                &[],
                "neither auto nor hostname is given",
                Some("give one of them".into()),
            );
        }
        (None, Some(_)) => {}
    }
}

fn mirror(report: &mut Report<'_>, document: &Document) {
    if document.root.find("endpoints").is_none_or(Node::is_empty)
        && document.root.find("skipFallback").and_then(Node::as_bool) != Some(true)
    {
        let fix = Some("give the URL of at least one mirror".into());
        report.error(document, &["endpoints"], "there are no mirrors", fix);
    }
}

fn static_host(report: &mut Report<'_>, document: &Document) {
    if let Some(name) = document.name()
        && name.parse::<std::net::IpAddr>().is_err()
    {
        report.error(document, &["name"], format!("{name:?} is not an IP address"), None);
    }
    if document.root.find("hostnames").is_none_or(Node::is_empty) {
        report.error(document, &["hostnames"], "there are no names for the address", None);
    }
}

fn vlan(report: &mut Report<'_>, document: &Document) {
    if let Some(id) = document.root.find("vlanID").and_then(Node::as_integer)
        && !(1..=4094).contains(&id)
    {
        let fix = Some("it is a number from 1 to 4094".into());
        report.error(document, &["vlanID"], format!("{id} is not a VLAN id"), fix);
    }
}

fn rule(report: &mut Report<'_>, document: &Document) {
    let protocol = document.root.find("portSelector.protocol").and_then(Node::as_text);
    let has_ports = document
        .root
        .find("portSelector.ports")
        .is_some_and(|ports| !ports.is_empty());
    match protocol {
        Some("icmp" | "icmpv6") if has_ports => {
            report.error(
                document,
                &["portSelector", "ports"],
                "this protocol has no ports",
                Some("remove them".into()),
            );
        }
        Some("tcp" | "udp") | None if !has_ports => {
            report.error(document, &["portSelector", "ports"], "there are no ports", None);
        }
        None => report.error(
            document,
            &["portSelector", "protocol"],
            "is missing",
            Some("tcp or udp".into()),
        ),
        Some(_) => {}
    }
    for (i, rule) in document
        .root
        .find("ingress")
        .and_then(Node::as_list)
        .unwrap_or_default()
        .iter()
        .enumerate()
    {
        let prefix = |key: &str| {
            rule.find(key)
                .and_then(Node::as_text)
                .and_then(|text| text.parse::<Prefix>().ok())
        };
        if let (Some(subnet), Some(except)) = (prefix("subnet"), prefix("except"))
            && !subnet.overlaps(&except)
        {
            let message = format!("{except} is not a part of {subnet}");
            report.error(document, &["ingress", &i.to_string(), "except"], message, None);
        }
    }
}

fn membership(report: &mut Report<'_>, document: &Document, members: &mut BTreeMap<String, String>) {
    for (i, link) in document
        .root
        .find("links")
        .and_then(Node::as_list)
        .unwrap_or_default()
        .iter()
        .enumerate()
    {
        let Some(link) = link.as_text() else { continue };
        let owner = document.name().unwrap_or_default().to_owned();
        if let Some(other) = members
            .insert(link.to_owned(), owner.clone())
            .filter(|other| *other != owner)
        {
            let message = format!("{link:?} already belongs to {other:?}");
            let fix = Some("a link belongs to one bond, bridge or VRF".into());
            report.error(document, &["links", &i.to_string()], message, fix);
        }
    }
}

fn sysctls(report: &mut Report<'_>, document: &Document) {
    for entry in document
        .root
        .find("params")
        .and_then(Node::as_map)
        .into_iter()
        .flatten()
    {
        if let Err(why) = names::sysctl(&entry.key) {
            let message = format!("{:?} is not a kernel parameter", entry.key);
            report.error(document, &["params", &entry.key], message, Some(why));
        }
    }
}

fn node(report: &mut Report<'_>, document: &Document) {
    type Judge = fn(&str) -> Result<(), String>;
    let value: [(&str, Judge); 3] = [
        ("labels", names::label_value),
        ("annotations", |_| Ok(())),
        ("taints", names::taint_value),
    ];
    for (field, judge) in value {
        for entry in document.root.find(field).and_then(Node::as_map).into_iter().flatten() {
            let results = [
                names::label_key(&entry.key),
                judge(entry.node.as_text().unwrap_or_default()),
            ];
            for why in results.into_iter().filter_map(Result::err) {
                report.error(document, &[field, &entry.key], why, None);
            }
        }
    }
}

fn trusted_roots(report: &mut Report<'_>, document: &Document) {
    if let Err(error) = pki::pem::certificates(text(document, "certificates").unwrap_or_default().as_bytes()) {
        report.error(
            document,
            &["certificates"],
            error.to_string(),
            Some("give certificates as PEM".into()),
        );
    }
}

/// Two default routes of the same family and metric would fight.
fn routes(report: &mut Report<'_>, document: &Document, seen: &mut BTreeMap<(bool, i64), String>) {
    if document.is_main() {
        return;
    }
    for (i, route) in document
        .root
        .find("routes")
        .and_then(Node::as_list)
        .unwrap_or_default()
        .iter()
        .enumerate()
    {
        let get = |key: &str| route.find(key).and_then(Node::as_text).unwrap_or_default();
        let v4 = match (get("destination"), get("gateway")) {
            ("0.0.0.0/0", _) => true,
            ("::/0", _) => false,
            ("", "") => {
                let fix = Some("give a destination, a gateway or both".into());
                report.error(document, &["routes", &i.to_string()], "the route leads nowhere", fix);
                continue;
            }
            ("", gateway) => !gateway.contains(':'),
            _ => continue,
        };
        let table = get("table");
        if !table.is_empty() && table != "main" {
            continue;
        }
        let metric = route.find("metric").and_then(Node::as_integer).unwrap_or(0);
        let owner = document.name().unwrap_or_default().to_owned();
        if let Some(other) = seen.insert((v4, metric), owner) {
            let message = format!("{other:?} has a default route with the same metric");
            let fix = Some("give each default route a metric of its own".into());
            report.error(document, &["routes", &i.to_string()], message, fix);
        }
    }
}
