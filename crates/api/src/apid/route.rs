//! Where a call goes: here, to one node, or to many. A pure function of its metadata.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName};
use tonic::Status;

use super::limits::MAX_FAN_OUT;
use crate::client::{NODE, NODES};
use crate::method;

/// Metadata key that says that another apid passed the call on: it goes no further.
pub const PROXY_FROM: &str = "proxyfrom";

/// One node that a call goes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// As the client named it; the answer is marked with that.
    pub name: String,
    /// Whether it is this node.
    pub local: bool,
}

/// Where a call goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// To this node, as it came.
    Local,
    /// To one node, bytes for bytes.
    One(Destination),
    /// To each of them, answers marked with the node's name.
    Many(Vec<Destination>),
}

/// Decides by the path and the metadata of a call. `own` are the addresses of this node; `forwarding` is whether it
/// passes calls on to others (control planes do).
pub fn route(path: &str, headers: &HeaderMap, own: &[IpAddr], forwarding: bool) -> Result<Route, Status> {
    if headers.contains_key(PROXY_FROM) {
        return Ok(Route::Local);
    }
    let destination = |name: &str| {
        let name = check_name(name)?;
        let local = name.parse().is_ok_and(|ip: IpAddr| own.contains(&ip.to_canonical()));
        Ok::<_, Status>(Destination {
            name: name.to_owned(),
            local,
        })
    };
    let (node, nodes) = (names(headers, NODE)?, names(headers, NODES)?);
    match &node[..] {
        [] => {}
        [name] => {
            let destination = destination(name)?;
            return match forwarding || destination.local {
                true => Ok(Route::One(destination)),
                false => Err(no_forwarding()),
            };
        }
        _ => {
            return Err(Status::invalid_argument(
                "more than one value of the metadata key `node`",
            ));
        }
    }
    if nodes.is_empty() {
        return Ok(Route::Local);
    }
    check_fan_out(path, nodes.len())?;
    let destinations = nodes.iter().map(|n| destination(n)).collect::<Result<Vec<_>, _>>()?;
    match &destinations[..] {
        [only] if only.local => {}
        _ if forwarding => {}
        _ => return Err(no_forwarding()),
    }
    Ok(Route::Many(destinations))
}

fn no_forwarding() -> Status {
    Status::permission_denied("no request forwarding")
}

fn check_fan_out(path: &str, nodes: usize) -> Result<(), Status> {
    let service = path.trim_start_matches('/').split('/').next().unwrap_or_default();
    if !method::fans_out(service) {
        return Err(Status::invalid_argument(format!(
            "{path} does not go to many nodes: name one in the metadata key `node`"
        )));
    }
    if method::find(path).is_some_and(|m| m.client_streaming) {
        return Err(Status::invalid_argument(format!(
            "{path} takes a stream, which goes to one node: name it in the metadata key `node`"
        )));
    }
    if nodes > MAX_FAN_OUT {
        return Err(Status::invalid_argument(format!(
            "{nodes} nodes in one call, at most {MAX_FAN_OUT} are possible"
        )));
    }
    Ok(())
}

/// The values of a key; intermediaries may have joined them with commas.
fn names<'a>(headers: &'a HeaderMap, key: &'static str) -> Result<Vec<&'a str>, Status> {
    let mut names = Vec::new();
    for value in headers.get_all(HeaderName::from_static(key)) {
        let text = value
            .to_str()
            .map_err(|_| Status::invalid_argument(format!("the metadata key `{key}` is not text")))?;
        names.extend(text.split(',').map(str::trim).filter(|name| !name.is_empty()));
    }
    Ok(names)
}

/// An address or a host name, never with a port: the certificate of this node is shown only on the port of apid.
fn check_name(name: &str) -> Result<&str, Status> {
    let bare = name.strip_prefix('[').and_then(|n| n.strip_suffix(']')).unwrap_or(name);
    let host_name = |n: &str| n.len() <= 253 && n.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
    if bare.parse::<IpAddr>().is_ok() || host_name(bare) {
        Ok(bare)
    } else {
        Err(Status::invalid_argument(format!(
            "node {name:?} is not an address or a host name"
        )))
    }
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;

    const VERSION: &str = "/machine.MachineService/Version";
    const STATE: &str = "/cosi.resource.State/Get";

    fn decide(path: &str, metadata: &[(&'static str, &str)], forwarding: bool) -> Result<Route, Code> {
        let mut headers = HeaderMap::new();
        for (key, value) in metadata {
            headers.append(*key, value.parse().unwrap());
        }
        let own = ["10.5.0.2".parse().unwrap(), "fd00::2".parse().unwrap()];
        route(path, &headers, &own, forwarding).map_err(|s| s.code())
    }

    fn to(name: &str, local: bool) -> Destination {
        Destination {
            name: name.into(),
            local,
        }
    }

    #[test]
    fn calls_without_a_node_or_from_another_apid_stay_here() {
        assert_eq!(decide(STATE, &[], false), Ok(Route::Local));
        let forwarded = [
            ("proxyfrom", "10.5.0.9"),
            ("nodes", "10.5.0.3"),
            ("node", "a"),
            ("node", "b"),
        ];
        assert_eq!(decide(STATE, &forwarded, false), Ok(Route::Local));
        assert_eq!(decide(STATE, &[("nodes", ""), ("node", "")], true), Ok(Route::Local));
    }

    #[test]
    fn a_single_node_works_for_every_call_and_comes_before_nodes() {
        let both = [("nodes", "10.5.0.4"), ("node", "10.5.0.3")];
        assert_eq!(decide(STATE, &both, true), Ok(Route::One(to("10.5.0.3", false))));
        assert_eq!(
            decide(STATE, &[("node", "10.5.0.2")], true),
            Ok(Route::One(to("10.5.0.2", true)))
        );
        assert_eq!(
            decide(STATE, &[("node", "a"), ("node", "b")], true),
            Err(Code::InvalidArgument)
        );
    }

    #[test]
    fn nodes_fan_out_only_where_answers_are_lists() {
        let nodes = [("nodes", "10.5.0.2"), ("nodes", "worker-1, [fd00::3]")];
        let many = vec![to("10.5.0.2", true), to("worker-1", false), to("fd00::3", false)];
        assert_eq!(decide(VERSION, &nodes, true), Ok(Route::Many(many)));
        assert_eq!(decide(STATE, &nodes, true), Err(Code::InvalidArgument));
        assert_eq!(
            decide("/machine.ImageService/List", &nodes, true),
            Err(Code::InvalidArgument)
        );
        assert_eq!(
            decide("/machine.StorageService/Statfs", &nodes, true),
            Err(Code::InvalidArgument)
        );
        assert_eq!(
            decide("/machine.MachineService/EtcdRecover", &nodes, true),
            Err(Code::InvalidArgument)
        );
    }

    #[test]
    fn a_worker_passes_nothing_on_but_answers_for_itself() {
        assert_eq!(
            decide(VERSION, &[("node", "10.5.0.3")], false),
            Err(Code::PermissionDenied)
        );
        assert_eq!(
            decide(VERSION, &[("nodes", "10.5.0.3")], false),
            Err(Code::PermissionDenied)
        );
        let two = [("nodes", "10.5.0.2"), ("nodes", "10.5.0.3")];
        assert_eq!(decide(VERSION, &two, false), Err(Code::PermissionDenied));
        assert_eq!(
            decide(VERSION, &[("node", "fd00::2")], false),
            Ok(Route::One(to("fd00::2", true)))
        );
        assert_eq!(
            decide(VERSION, &[("nodes", "10.5.0.2")], false),
            Ok(Route::Many(vec![to("10.5.0.2", true)]))
        );
        assert_eq!(
            decide(VERSION, &[("node", "::ffff:10.5.0.2")], false),
            Ok(Route::One(to("::ffff:10.5.0.2", true)))
        );
    }

    #[test]
    fn names_with_a_port_or_a_path_are_refused() {
        for name in ["10.5.0.2:6443", "a/b", "user@host", "[::1"] {
            assert_eq!(
                decide(VERSION, &[("node", name)], true),
                Err(Code::InvalidArgument),
                "{name}"
            );
        }
    }
}
