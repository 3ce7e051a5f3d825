//! The bridge of a cluster and the cables of its nodes.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use sys::net::{Namespace, Netlink};

use crate::create::lock;
use crate::error::{Error, Result};
use crate::names::Names;
use crate::options::Subnet;
use crate::state::{ClusterState, NodeState};

/// The node's link inside its network namespace.
const NODE_LINK: &str = "eth0";

/// The hardware address of who has an address in a cluster's network: a locally administered one, always the same. A
/// machine that restarts keeps its own too; its neighbours would send to the old one otherwise, for half a minute.
fn hardware_address(address: Ipv4Addr) -> [u8; 6] {
    let [a, b, c, d] = address.octets();
    [0x02, 0x4b, a, b, c, d]
}

/// Makes the cluster's network, if it is free.
pub(crate) async fn make(net: &Netlink, names: &Names, subnet: Subnet, mtu: u32, state_dir: &Path) -> Result<()> {
    // Two commands must not find the same network free.
    let _lock = lock(state_dir, "the networks of clusters").await?;
    check_free(net, names, subnet, state_dir).await?;
    make_bridge(net, names, subnet, mtu).await
}

/// Fails where the machine already has an address in this network.
pub(crate) async fn check_free(net: &Netlink, names: &Names, subnet: Subnet, state_dir: &Path) -> Result<()> {
    let links = net.links().await?;
    for address in net.addresses().await? {
        if !subnet.overlaps(address.address, address.prefix_length) {
            continue;
        }
        let link = links.iter().find(|link| link.index == address.link_index);
        let link = link.map_or_else(|| address.link_index.to_string(), |link| link.name.clone());
        if link == names.bridge() {
            continue;
        }
        let clusters = crate::show::names_in(state_dir);
        let owner = clusters
            .into_iter()
            .find(|name| Names::of(state_dir, name).bridge() == link);
        return Err(Error::SubnetInUse {
            subnet: subnet.to_string(),
            address: format!("{}/{}", address.address, address.prefix_length),
            link,
            owner: owner
                .map(|name| format!(" of the cluster {name:?}"))
                .unwrap_or_default(),
        });
    }
    Ok(())
}

/// Makes the bridge with the gateway's address.
pub(crate) async fn make_bridge(net: &Netlink, names: &Names, subnet: Subnet, mtu: u32) -> Result<()> {
    let bridge = names.bridge();
    if net.link(&bridge).await?.is_none() {
        net.add_bridge(&bridge).await?;
    }
    net.set_mtu(&bridge, mtu).await?;
    net.set_hardware_address(&bridge, hardware_address(subnet.gateway()))
        .await?;
    net.add_address(&bridge, IpAddr::V4(subnet.gateway()), subnet.prefix_length())
        .await?;
    net.set_up(&bridge).await?;
    Ok(())
}

/// Makes a network namespace for a node, joined to the bridge by a cable, with address and default route.
pub(crate) async fn attach(
    net: &Netlink,
    names: &Names,
    cluster: &ClusterState,
    index: usize,
    node: &NodeState,
) -> Result<Namespace> {
    let (near, far) = (names.cable(index), names.far_end(index));
    detach(net, names, index).await?;
    let namespace = Namespace::create()?;
    net.add_veth(&near, &far).await?;
    net.set_mtu(&near, cluster.mtu).await?;
    net.set_mtu(&far, cluster.mtu).await?;
    net.set_master(&near, &names.bridge()).await?;
    net.set_hardware_address(&far, hardware_address(node.address)).await?;
    net.move_link(&far, &namespace).await?;
    net.set_up(&near).await?;

    let inside = Netlink::open_in(&namespace)?;
    inside.set_up("lo").await?;
    inside.rename_link(&far, NODE_LINK).await?;
    inside
        .add_address(NODE_LINK, IpAddr::V4(node.address), cluster.subnet.prefix_length())
        .await?;
    inside.set_up(NODE_LINK).await?;
    inside.add_default_route(IpAddr::V4(cluster.subnet.gateway())).await?;
    Ok(namespace)
}

/// Removes a node's cable if it is there.
pub(crate) async fn detach(net: &Netlink, names: &Names, index: usize) -> Result<()> {
    net.delete_link(&names.cable(index)).await?;
    Ok(())
}

/// Removes every link of the cluster.
pub(crate) async fn remove(net: &Netlink, names: &Names) -> Result<()> {
    let prefix = names.cable_prefix();
    let links = net.links().await?;
    for link in links.iter().filter(|link| link.name.starts_with(&prefix)) {
        net.delete_link(&link.name).await?;
    }
    net.delete_link(&names.bridge()).await?;
    Ok(())
}
