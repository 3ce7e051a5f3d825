//! Changes to the network.

use std::net::IpAddr;
use std::os::fd::AsRawFd;

use rtnetlink::packet_core::ErrorMessage;
use rtnetlink::packet_route::link::LinkMessage;
use rtnetlink::packet_route::route::RouteMessage;
use rtnetlink::{AddressMessageBuilder, LinkBridge, LinkUnspec, LinkVeth, RouteMessageBuilder};

use super::{Namespace, Netlink, Route, read, same_family};
use crate::{Error, Result};

type Answer = std::result::Result<(), rtnetlink::Error>;

impl Netlink {
    /// The link of this name, which must be there.
    pub async fn index_of(&self, name: &str) -> Result<u32> {
        let link = self.link(name).await?;
        link.map(|link| link.index)
            .ok_or_else(|| Error::new(format!("find the link {name}"), "there is no such link"))
    }

    /// Makes a bridge, down.
    pub async fn add_bridge(&self, name: &str) -> Result<()> {
        done(
            &format!("make the bridge {name}"),
            self.handle.link().add(LinkBridge::new(name).build()).execute().await,
        )
    }

    /// Makes two links joined by a cable, both here and down.
    pub async fn add_veth(&self, name: &str, peer: &str) -> Result<()> {
        let message = LinkVeth::new(name, peer).build();
        done(
            &format!("make the links {name} and {peer}"),
            self.handle.link().add(message).execute().await,
        )
    }

    /// Moves a link into another network namespace.
    pub async fn move_link(&self, name: &str, namespace: &Namespace) -> Result<()> {
        let message = LinkUnspec::new_with_name(name)
            .setns_by_fd(namespace.as_raw_fd())
            .build();
        self.change(&format!("move the link {name} into a network namespace"), message)
            .await
    }

    /// Gives a link (that is down) another name.
    pub async fn rename_link(&self, name: &str, new_name: &str) -> Result<()> {
        let index = self.index_of(name).await?;
        let message = LinkUnspec::new_with_index(index).name(new_name).build();
        self.change(&format!("rename the link {name} to {new_name}"), message)
            .await
    }

    /// Switches a link on.
    pub async fn set_up(&self, name: &str) -> Result<()> {
        self.change(
            &format!("switch the link {name} on"),
            LinkUnspec::new_with_name(name).up().build(),
        )
        .await
    }

    /// Switches a link off.
    pub async fn set_down(&self, name: &str) -> Result<()> {
        self.change(
            &format!("switch the link {name} off"),
            LinkUnspec::new_with_name(name).down().build(),
        )
        .await
    }

    /// Sets the longest packet.
    pub async fn set_mtu(&self, name: &str, mtu: u32) -> Result<()> {
        let message = LinkUnspec::new_with_name(name).mtu(mtu).build();
        self.change(&format!("set the MTU of the link {name} to {mtu}"), message)
            .await
    }

    /// Gives a link a hardware address. A bridge that has been given one keeps it; otherwise it takes the lowest of its
    /// ports' addresses, and changes it as they come and go.
    pub async fn set_hardware_address(&self, name: &str, address: [u8; 6]) -> Result<()> {
        let message = LinkUnspec::new_with_name(name).address(address.to_vec()).build();
        self.change(&format!("set the hardware address of the link {name}"), message)
            .await
    }

    /// Makes a link a port of a bridge.
    pub async fn set_master(&self, name: &str, master: &str) -> Result<()> {
        let index = self.index_of(master).await?;
        let message = LinkUnspec::new_with_name(name).controller(index).build();
        self.change(&format!("connect the link {name} to {master}"), message)
            .await
    }

    /// Removes a link; false where there was none.
    pub async fn delete_link(&self, name: &str) -> Result<bool> {
        let Some(link) = self.link(name).await? else {
            return Ok(false);
        };
        match self.handle.link().del(link.index).execute().await {
            Ok(()) => Ok(true),
            // Somebody else, or the end of a namespace, was faster.
            Err(error) if is(&error, libc::ENODEV) => Ok(false),
            Err(error) => Err(read::error(&format!("remove the link {name}"), &error)),
        }
    }

    /// Gives a link an address; one it already has is no error.
    pub async fn add_address(&self, name: &str, address: IpAddr, prefix_length: u8) -> Result<()> {
        let index = self.index_of(name).await?;
        let request = self.handle.address().add(index, address, prefix_length).replace();
        done(
            &format!("give the link {name} the address {address}/{prefix_length}"),
            request.execute().await,
        )
    }

    /// Takes an address away; one it does not have is no error.
    pub async fn delete_address(&self, name: &str, address: IpAddr, prefix_length: u8) -> Result<()> {
        let index = self.index_of(name).await?;
        let message = match address {
            IpAddr::V4(address) => AddressMessageBuilder::<std::net::Ipv4Addr>::new()
                .index(index)
                .address(address, prefix_length)
                .build(),
            IpAddr::V6(address) => AddressMessageBuilder::<std::net::Ipv6Addr>::new()
                .index(index)
                .address(address, prefix_length)
                .build(),
        };
        match self.handle.address().del(message).execute().await {
            Err(error) if is(&error, libc::EADDRNOTAVAIL) => Ok(()),
            other => done(
                &format!("take the address {address}/{prefix_length} from the link {name}"),
                other,
            ),
        }
    }

    /// Sends everything without a better route to `gateway`.
    pub async fn add_default_route(&self, gateway: IpAddr) -> Result<()> {
        self.add_route(&Route {
            gateway: Some(gateway),
            ..Route::default()
        })
        .await
    }

    /// Adds or replaces a route. What is 0 or absent in `route` takes its usual value (main table, static, unicast).
    pub async fn add_route(&self, route: &Route) -> Result<()> {
        let message = message_of(route)?;
        done(
            &format!("add the route {}", show(route)),
            self.handle.route().add(message).replace().execute().await,
        )
    }

    /// Removes a route; one that is not there is no error.
    pub async fn delete_route(&self, route: &Route) -> Result<()> {
        let message = message_of(route)?;
        match self.handle.route().del(message).execute().await {
            Err(error) if is(&error, libc::ESRCH) => Ok(()),
            other => done(&format!("remove the route {}", show(route)), other),
        }
    }

    async fn change(&self, action: &str, message: LinkMessage) -> Result<()> {
        done(action, self.handle.link().change(message).execute().await)
    }
}

fn message_of(route: &Route) -> Result<RouteMessage> {
    let known = [route.destination.map(|(to, _)| to), route.gateway, route.source];
    let mut known = known.into_iter().flatten();
    let first = known.next();
    if let Some(first) = first
        && known.any(|other| !same_family(first, other))
    {
        return Err(Error::new(
            format!("read the route {}", show(route)),
            "mixes IPv4 and IPv6",
        ));
    }
    let v4 = first.map_or(route.family != 10, |address| address.is_ipv4());
    let table = if route.table == 0 { 254 } else { route.table };
    macro_rules! build {
        ($kind:ty, $variant:path) => {{
            let mut builder = RouteMessageBuilder::<$kind>::new().table_id(table);
            if let Some(($variant(to), length)) = route.destination {
                builder = builder.destination_prefix(to, length);
            }
            if let Some($variant(gateway)) = route.gateway {
                builder = builder.gateway(gateway);
            }
            if let Some($variant(source)) = route.source {
                builder = builder.pref_source(source);
            }
            if route.out_link_index != 0 {
                builder = builder.output_interface(route.out_link_index);
            }
            if route.priority != 0 {
                builder = builder.priority(route.priority);
            }
            if route.scope != 0 {
                builder = builder.scope(route.scope.into());
            }
            if route.kind != 0 {
                builder = builder.kind(route.kind.into());
            }
            if route.protocol != 0 {
                builder = builder.protocol(route.protocol.into());
            }
            builder.build()
        }};
    }
    Ok(if v4 {
        build!(std::net::Ipv4Addr, IpAddr::V4)
    } else {
        build!(std::net::Ipv6Addr, IpAddr::V6)
    })
}

fn show(route: &Route) -> String {
    let to = route
        .destination
        .map_or("default".to_owned(), |(to, length)| format!("{to}/{length}"));
    route
        .gateway
        .map_or(to.clone(), |gateway| format!("{to} via {gateway}"))
}

fn done(action: &str, answer: Answer) -> Result<()> {
    answer.map_err(|error| read::error(action, &error))
}

fn is(error: &rtnetlink::Error, errno: i32) -> bool {
    let code = |message: &ErrorMessage| message.to_io().raw_os_error();
    matches!(error, rtnetlink::Error::NetlinkError(message) if code(message) == Some(errno))
}
