//! The long-standing list of network interfaces.

use std::collections::{BTreeMap, BTreeSet};

use super::names;
use super::report::Report;
use crate::model::v1alpha1::{Device, Route};

pub fn check(report: &mut Report<'_>) {
    let Some(main) = report.main() else { return };
    let Some(network) = report.config.machine().and_then(|machine| machine.network.as_ref()) else {
        return;
    };
    let mut members: BTreeMap<&str, usize> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for (i, device) in network.interfaces.iter().enumerate() {
        let index = i.to_string();
        let base = ["machine", "network", "interfaces", index.as_str()];
        let at = |last: &'static str| [base[0], base[1], base[2], base[3], last];
        match (device.interface.as_deref(), &device.device_selector) {
            (Some(name), None) => {
                if let Err(why) = names::link(name) {
                    report.error(
                        main,
                        &at("interface"),
                        format!("{name:?} is not the name of a link: {why}"),
                        None,
                    );
                }
                if !seen.insert(name) {
                    let message = format!("{name:?} stands twice in the list");
                    report.error(
                        main,
                        &at("interface"),
                        message,
                        Some("put everything about a link in one item".into()),
                    );
                }
            }
            (None, Some(_)) => {}
            (Some(_), Some(_)) => {
                let message = "a link is chosen by its name or by a selector, not by both";
                report.error(main, &at("deviceSelector"), message, Some("remove one".into()));
            }
            (None, None) => report.error(
                main,
                &base,
                "the link is not named",
                Some("give interface or deviceSelector".into()),
            ),
        }
        for member in members_of(device) {
            if let Some(other) = members.insert(member, i).filter(|other| *other != i) {
                let message = format!("{member:?} already belongs to the bond or bridge of item {other}");
                report.error(
                    main,
                    &base,
                    message,
                    Some("a link belongs to one bond or bridge".into()),
                );
            }
        }
        if device.bond.is_some() && device.bridge.is_some() {
            report.error(main, &at("bridge"), "a link is a bond or a bridge, not both", None);
        }
        vlans(report, device, &base);
    }
    default_routes(report, &network.interfaces);
}

fn members_of(device: &Device) -> impl Iterator<Item = &str> {
    let bond = device.bond.iter().flat_map(|bond| &bond.interfaces);
    let bridge = device.bridge.iter().flat_map(|bridge| &bridge.interfaces);
    bond.chain(bridge).map(String::as_str)
}

fn vlans(report: &mut Report<'_>, device: &Device, base: &[&str; 4]) {
    let Some(main) = report.main() else { return };
    let mut seen = BTreeSet::new();
    for (i, vlan) in device.vlans.iter().enumerate() {
        let index = i.to_string();
        let steps = [base[0], base[1], base[2], base[3], "vlans", index.as_str(), "vlanId"];
        match vlan.vlan_id {
            Some(id @ 1..=4094) if seen.insert(id) => {}
            Some(id @ 1..=4094) => report.error(main, &steps, format!("there is another VLAN {id} on this link"), None),
            Some(id) => report.error(
                main,
                &steps,
                format!("{id} is not a VLAN id"),
                Some("it is a number from 1 to 4094".into()),
            ),
            None => report.error(main, &steps, "is missing", None),
        }
    }
}

/// Two default routes of the same family and metric would fight.
fn default_routes(report: &mut Report<'_>, devices: &[Device]) {
    let Some(main) = report.main() else { return };
    let mut seen: BTreeMap<(bool, i64), String> = BTreeMap::new();
    for (i, device) in devices.iter().enumerate() {
        let own = device
            .routes
            .iter()
            .enumerate()
            .map(|(j, route)| (vec![i.to_string(), "routes".into(), j.to_string()], route));
        let vlans = device.vlans.iter().enumerate().flat_map(|(v, vlan)| {
            vlan.routes.iter().enumerate().map(move |(j, route)| {
                (
                    vec![
                        i.to_string(),
                        "vlans".into(),
                        v.to_string(),
                        "routes".into(),
                        j.to_string(),
                    ],
                    route,
                )
            })
        });
        for (place, route) in own.chain(vlans) {
            let Some(family) = default_family(route) else { continue };
            let metric = route.metric.unwrap_or(0);
            let name = device.interface.clone().unwrap_or_else(|| format!("item {i}"));
            if let Some(other) = seen.insert((family, metric), name.clone()) {
                let mut steps = vec!["machine", "network", "interfaces"];
                steps.extend(place.iter().map(String::as_str));
                let message = format!("{other} has a default route with the same metric");
                report.error(
                    main,
                    &steps,
                    message,
                    Some("give each default route a metric of its own".into()),
                );
            }
        }
    }
}

/// The family of a default route (true for IPv4); `None` for other routes.
fn default_family(route: &Route) -> Option<bool> {
    match route.network.as_deref().unwrap_or_default() {
        "0.0.0.0/0" => Some(true),
        "::/0" => Some(false),
        "" => route.gateway.as_ref().map(|gateway| !gateway.contains(':')),
        _ => None,
    }
}
