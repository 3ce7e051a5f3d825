//! `forget-node`: removes what a cluster still knows of a node that is gone.
//!
//! A living control plane does it: its etcd removes the member, its administrator of Kubernetes the node object, and the
//! node itself asks the discovery service to remove the affiliate. What is gone already is no error.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use api::client::{self, Client};
use api::proto::keelson::machine::ForgetNodeRequest;
use api::proto::machine::{EtcdMember, EtcdMemberListRequest, EtcdRemoveMemberByIdRequest};
use futures::future::join_all;
use k8s::{DeleteOptions, ListOptions, resources};
use serde::Deserialize;
use serde_json::Value;
use tonic::Code;

use crate::Program;
use crate::cli::common::Node;
use crate::cli::lifecycle::ForgetNode;
use crate::commands::health::view::spec;
use crate::commands::kubeconfig;
use crate::output::note;
use crate::session::{Session, Silent, Target, block, failed, within};

/// How long one question may take.
const CALL_LIMIT: Duration = Duration::from_secs(30);
/// How long a node that may be gone has to answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

/// Runs `forget-node`.
pub fn run(command: &Node<ForgetNode>, program: Program) -> Result<()> {
    let args = &command.args;
    block(async {
        let session = Session::open(&command.client, program)?;
        let target = session.single("forget-node")?;
        let kubernetes = kubeconfig::client(target, None, CALL_LIMIT).await?;
        let known = Known::ask(target, &kubernetes).await?;
        let mut gone = known.find(&args.gone)?;
        if gone.is_empty() {
            note(&format!(
                "the cluster knows nothing called {:?}: there is nothing to forget",
                args.gone
            ));
            return Ok(());
        }
        if !args.force {
            let answers = answers(&target.client, gone.addresses()).await;
            gone.spare_the_living(&known, &answers)?;
        }
        forget(target, &kubernetes, &gone).await
    })
}

/// A node in discovery.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Affiliate {
    node_id: String,
    hostname: String,
    nodename: String,
    addresses: Vec<String>,
}

/// A node of Kubernetes.
#[derive(Clone, Debug, Default, PartialEq)]
struct KubernetesNode {
    name: String,
    addresses: Vec<String>,
}

/// What the cluster knows of its nodes.
#[derive(Debug, Default)]
struct Known {
    affiliates: Vec<Affiliate>,
    nodes: Vec<KubernetesNode>,
    members: Vec<EtcdMember>,
}

impl Known {
    async fn ask(target: &Target, kubernetes: &k8s::Client) -> Result<Known> {
        let affiliates = target.client.resources("cluster", "Affiliates.cluster.talos.dev").await;
        let affiliates = affiliates
            .map_err(|status| failed(&status))
            .context("list affiliates")?;
        let affiliate = |resource| Ok(serde_json::from_value(spec(resource)?)?);
        let request = EtcdMemberListRequest::default();
        let members = within(CALL_LIMIT, async {
            target.client.machine().etcd_member_list(request).await
        })
        .await;
        let members = members
            .context("list the members of etcd (ask a control plane)")?
            .into_inner();
        let nodes = kubernetes.list(&resources::NODES, None, &ListOptions::default()).await;
        let nodes = nodes.context("list the nodes of Kubernetes")?;
        Ok(Known {
            affiliates: affiliates.iter().map(affiliate).collect::<Result<_>>()?,
            nodes: nodes.items.iter().map(kubernetes_node).collect(),
            members: members.messages.into_iter().flat_map(|list| list.members).collect(),
        })
    }

    /// What is known under a name, an address or an identity.
    fn find(&self, asked: &str) -> Result<Gone> {
        let is = |a: &&Affiliate| {
            [&a.node_id, &a.hostname, &a.nodename]
                .into_iter()
                .any(|name| name == asked)
                || a.addresses.iter().any(|address| address == asked)
        };
        let affiliates: Vec<Affiliate> = self.affiliates.iter().filter(is).cloned().collect();
        let named = affiliates.iter().flat_map(|a| [&a.nodename, &a.hostname]);
        let names: BTreeSet<&str> = named
            .map(String::as_str)
            .chain([asked])
            .filter(|n| !n.is_empty())
            .collect();
        let is = |n: &&KubernetesNode| names.contains(n.name.as_str()) || n.addresses.iter().any(|a| a == asked);
        let nodes: Vec<KubernetesNode> = self.nodes.iter().filter(is).cloned().collect();
        let names: BTreeSet<&str> = names.into_iter().chain(nodes.iter().map(|n| n.name.as_str())).collect();
        let is = |m: &&EtcdMember| names.contains(m.hostname.as_str()) || hosts(m).any(|host| host == asked);
        let members: Vec<EtcdMember> = self.members.iter().filter(is).cloned().collect();
        let nodenames = affiliates.iter().map(|a| &a.nodename).filter(|name| !name.is_empty());
        let different: BTreeSet<&String> = nodenames.chain(nodes.iter().map(|n| &n.name)).collect();
        if different.len() > 1 {
            let list: Vec<&str> = different.into_iter().map(String::as_str).collect();
            bail!("{asked:?} may mean several nodes: {}; give a name", list.join(", "));
        }
        Ok(Gone {
            affiliates,
            nodes,
            members,
        })
    }
}

fn kubernetes_node(object: &Value) -> KubernetesNode {
    let addresses = object["status"]["addresses"].as_array().into_iter().flatten();
    KubernetesNode {
        name: object["metadata"]["name"].as_str().unwrap_or_default().to_owned(),
        addresses: addresses
            .filter(|a| a["type"] == "InternalIP")
            .filter_map(|a| Some(a["address"].as_str()?.to_owned()))
            .collect(),
    }
}

/// The hosts of a member's URLs.
fn hosts(member: &EtcdMember) -> impl Iterator<Item = &str> {
    member.peer_urls.iter().filter_map(|url| {
        let rest = url.split_once("://")?.1;
        let authority = rest.split('/').next()?;
        let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
        Some(host.trim_matches(['[', ']']))
    })
}

/// What is to be removed.
#[derive(Debug, Default)]
struct Gone {
    affiliates: Vec<Affiliate>,
    nodes: Vec<KubernetesNode>,
    members: Vec<EtcdMember>,
}

/// Who answered at an address.
#[derive(Debug)]
struct Answer {
    address: String,
    /// Its identity; none if it did not tell.
    node_id: Option<String>,
}

impl Gone {
    fn is_empty(&self) -> bool {
        self.affiliates.is_empty() && self.nodes.is_empty() && self.members.is_empty()
    }

    /// Everywhere the node was.
    fn addresses(&self) -> BTreeSet<String> {
        let affiliates = self
            .affiliates
            .iter()
            .flat_map(|a| a.addresses.iter().map(String::as_str));
        let nodes = self.nodes.iter().flat_map(|n| n.addresses.iter().map(String::as_str));
        let members = self.members.iter().flat_map(hosts);
        affiliates.chain(nodes).chain(members).map(str::to_owned).collect()
    }

    /// Keeps what belongs to a node that answers: that node itself, or one that took the place and name of what is gone.
    fn spare_the_living(&mut self, known: &Known, answers: &[Answer]) -> Result<()> {
        let mut replaced = false;
        for answer in answers {
            let itself = |a: &Affiliate| answer.node_id.as_ref() == Some(&a.node_id);
            let (living, gone): (Vec<_>, Vec<_>) = self.affiliates.drain(..).partition(itself);
            self.affiliates = gone;
            let refuse = || {
                bail!(
                    "the node still answers at {}: nothing was removed (reset it, or end it first; --force does it \
                     anyway)",
                    answer.address
                )
            };
            // Some address may belong to another node by now, or move among several. That is no sign of life.
            let name = known.affiliates.iter().find(|a| itself(a)).map(|a| a.nodename.as_str());
            let same_name = match name {
                Some(name) => !name.is_empty() && self.nodes.iter().any(|n| n.name == name),
                None => true,
            };
            let only = self.affiliates.is_empty();
            match (living.is_empty(), same_name) {
                (true, false) => {}
                // Who does not tell its identity may be anybody.
                _ if only || answer.node_id.is_none() => refuse()?,
                _ => replaced = true,
            }
        }
        if replaced {
            note("another node has its place and name by now: only what discovery knows of the old one is removed");
            (self.nodes, self.members) = (Vec::new(), Vec::new());
        }
        Ok(())
    }
}

/// Who answers at these addresses, as the asked node reaches them.
async fn answers(client: &Client, addresses: BTreeSet<String>) -> Vec<Answer> {
    let ask = |address: String| async {
        let node = client.with_nodes(&[&address]);
        let asked = node.resource("cluster", "Identities.cluster.talos.dev", "local");
        let node_id = match client::within(ANSWER_LIMIT, asked).await {
            Ok(resource) => {
                let identity = spec(&resource).unwrap_or_default();
                identity["nodeId"].as_str().map(str::to_owned)
            }
            Err(status) if matches!(status.code(), Code::Unavailable | Code::DeadlineExceeded) => return None,
            // It refuses, but somebody is there.
            Err(_) => None,
        };
        Some(Answer { address, node_id })
    };
    join_all(addresses.into_iter().map(ask))
        .await
        .into_iter()
        .flatten()
        .collect()
}

/// Removes everything that can be removed, and tells what cannot.
async fn forget(target: &Target, kubernetes: &k8s::Client, gone: &Gone) -> Result<()> {
    let mut failures = 0;
    let mut tell = |what: String, done: Result<bool>| match done {
        Ok(true) => note(&format!("removed {what}")),
        Ok(false) => {}
        Err(error) => {
            failures += 1;
            note(&format!("{what} is still there: {error:#}"));
        }
    };
    for member in &gone.members {
        let request = EtcdRemoveMemberByIdRequest { member_id: member.id };
        // etcd may first have to settle; the node waits for that.
        let call = target.client.machine().etcd_remove_member_by_id(request).await;
        tell(
            format!("the etcd member {} ({:016x})", member.hostname, member.id),
            removed(call),
        );
    }
    for node in &gone.nodes {
        let deleted = kubernetes
            .delete(&resources::NODES, None, &node.name, &DeleteOptions::default())
            .await;
        let deleted = match deleted {
            Ok(_) => Ok(true),
            Err(error) if error.is_not_found() => Ok(false),
            Err(error) => Err(error.into()),
        };
        tell(format!("the Kubernetes node {}", node.name), deleted);
    }
    for affiliate in &gone.affiliates {
        let request = ForgetNodeRequest {
            node_id: affiliate.node_id.clone(),
        };
        let call = within(CALL_LIMIT, async {
            target.client.own_cluster().forget_node(request).await
        })
        .await;
        let used = call.map(|response| response.into_inner().service_used);
        tell(
            format!("the affiliate {} ({})", affiliate.node_id, affiliate.hostname),
            used,
        );
    }
    if failures > 0 { Err(Silent.into()) } else { Ok(()) }
}

/// Whether something was removed by a call; what was not there is no error.
fn removed<T>(call: Result<T, tonic::Status>) -> Result<bool> {
    match call {
        Ok(_) => Ok(true),
        Err(status) if status.code() == Code::NotFound => Ok(false),
        Err(status) => Err(failed(&status)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn affiliate(id: &str, name: &str, address: &str) -> Affiliate {
        Affiliate {
            node_id: id.to_owned(),
            hostname: name.to_owned(),
            nodename: name.to_owned(),
            // An address that moves among control planes.
            addresses: vec![address.to_owned(), "10.0.0.100".to_owned()],
        }
    }

    fn node(name: &str, address: &str) -> KubernetesNode {
        KubernetesNode {
            name: name.to_owned(),
            addresses: vec![address.to_owned()],
        }
    }

    fn known() -> Known {
        let member = |id, name: &str, url: &str| EtcdMember {
            id,
            hostname: name.to_owned(),
            peer_urls: vec![url.to_owned()],
            ..EtcdMember::default()
        };
        Known {
            affiliates: vec![affiliate("a", "cp-1", "10.0.0.2"), affiliate("b", "cp-2", "10.0.0.3")],
            nodes: vec![node("cp-1", "10.0.0.2"), node("cp-2", "10.0.0.3")],
            members: vec![
                member(1, "cp-1", "https://10.0.0.2:2380"),
                member(2, "cp-2", "https://10.0.0.3:2380"),
            ],
        }
    }

    fn answer(address: &str, id: Option<&str>) -> Answer {
        Answer {
            address: address.to_owned(),
            node_id: id.map(str::to_owned),
        }
    }

    fn counts(gone: &Gone) -> [usize; 3] {
        [gone.affiliates.len(), gone.nodes.len(), gone.members.len()]
    }

    #[test]
    fn a_node_is_found_by_name_address_and_identity_and_whatever_of_it_is_left() {
        for asked in ["cp-2", "10.0.0.3", "b"] {
            let gone = known().find(asked).unwrap();
            assert_eq!(counts(&gone), [1, 1, 1], "{asked}");
            assert_eq!(gone.members[0].id, 2);
        }
        let rest = Known {
            affiliates: vec![],
            nodes: vec![],
            ..known()
        };
        assert_eq!(counts(&rest.find("10.0.0.3").unwrap()), [0, 0, 1]);
        assert!(known().find("cp-3").unwrap().is_empty());
        let shared = known().find("10.0.0.100").unwrap_err().to_string();
        assert!(shared.contains("cp-1, cp-2"), "{shared}");
    }

    #[test]
    fn a_node_that_answers_is_refused_and_one_that_only_has_a_moving_address_is_not() {
        let mut gone = known().find("cp-2").unwrap();
        let refused = gone.spare_the_living(&known(), &[answer("10.0.0.3", Some("b"))]);
        assert!(refused.unwrap_err().to_string().contains("10.0.0.3"));
        let mut gone = known().find("cp-2").unwrap();
        gone.spare_the_living(&known(), &[answer("10.0.0.100", Some("a"))])
            .unwrap();
        assert_eq!(counts(&gone), [1, 1, 1]);
        // Somebody is there and does not say who.
        let mut gone = known().find("cp-2").unwrap();
        assert!(gone.spare_the_living(&known(), &[answer("10.0.0.3", None)]).is_err());
        let mut rest = Gone {
            nodes: vec![node("cp-2", "10.0.0.3")],
            ..Gone::default()
        };
        assert!(rest.spare_the_living(&known(), &[answer("10.0.0.3", None)]).is_err());
    }

    #[test]
    fn of_a_node_whose_place_another_took_only_its_old_identity_goes() {
        let mut known = known();
        known.affiliates.push(affiliate("new", "cp-2", "10.0.0.3"));
        let mut gone = known.find("cp-2").unwrap();
        gone.spare_the_living(&known, &[answer("10.0.0.3", Some("new"))])
            .unwrap();
        assert_eq!(counts(&gone), [1, 0, 0]);
        assert_eq!(gone.affiliates[0].node_id, "b");
    }
}
