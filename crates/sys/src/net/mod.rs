//! The network over netlink: links, addresses, routes, rules, and namespaces.
//!
//! A [`Netlink`] speaks to the network namespace in which it was opened, whatever thread uses it later.
//!
//! ```no_run
//! # async fn example() -> sys::Result<()> {
//! let net = sys::net::Netlink::open()?;
//! for link in net.links().await? {
//!     println!("{} {}", link.index, link.name);
//! }
//! # Ok(()) }
//! ```

use std::net::IpAddr;

use futures::{Stream, StreamExt, TryStreamExt};
use rtnetlink::MulticastGroup;

use crate::{Context, Result};

mod announce;
pub mod capture;
mod change;
mod namespace;
mod read;
mod types;

pub use announce::announce;
pub use namespace::Namespace;
pub use types::{Address, Link, Route, Rule};

/// A connection to the kernel's network configuration.
#[derive(Clone, Debug)]
pub struct Netlink {
    handle: rtnetlink::Handle,
    // The connection runs as long as somebody holds it.
    _connection: std::sync::Arc<Connection>,
}

#[derive(Debug)]
struct Connection(tokio::task::JoinHandle<()>);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Netlink {
    /// Opens a connection to the network namespace of this thread. Needs a runtime.
    pub fn open() -> Result<Netlink> {
        let (connection, handle, _) = rtnetlink::new_connection().doing(|| "open a netlink socket")?;
        let task = Connection(tokio::spawn(connection));
        Ok(Netlink {
            handle,
            _connection: std::sync::Arc::new(task),
        })
    }

    /// Opens a connection to another network namespace. Needs a runtime.
    pub fn open_in(namespace: &Namespace) -> Result<Netlink> {
        let runtime = tokio::runtime::Handle::current();
        namespace.run(move || {
            let _entered = runtime.enter();
            Netlink::open()
        })?
    }

    /// All links, by number.
    pub async fn links(&self) -> Result<Vec<Link>> {
        let messages: Vec<_> = self
            .handle
            .link()
            .get()
            .execute()
            .try_collect()
            .await
            .map_err(|error| read::error("list links", &error))?;
        Ok(messages.iter().map(read::link).collect())
    }

    /// The link of this name.
    pub async fn link(&self, name: &str) -> Result<Option<Link>> {
        let mut found = self.handle.link().get().match_name(name.to_owned()).execute();
        match found.try_next().await {
            Ok(message) => Ok(message.as_ref().map(read::link)),
            Err(error) => {
                let error = read::error(&format!("find the link {name}"), &error);
                let absent = [libc::ENODEV, libc::ENOENT].map(Some).contains(&error.errno());
                if absent { Ok(None) } else { Err(error) }
            }
        }
    }

    /// All addresses.
    pub async fn addresses(&self) -> Result<Vec<Address>> {
        let messages: Vec<_> = self
            .handle
            .address()
            .get()
            .execute()
            .try_collect()
            .await
            .map_err(|error| read::error("list addresses", &error))?;
        Ok(messages.iter().filter_map(read::address).collect())
    }

    /// All routes of all tables, IPv4 then IPv6.
    pub async fn routes(&self) -> Result<Vec<Route>> {
        let mut routes = Vec::new();
        let v4 = rtnetlink::RouteMessageBuilder::<std::net::Ipv4Addr>::new().build();
        let v6 = rtnetlink::RouteMessageBuilder::<std::net::Ipv6Addr>::new().build();
        for query in [v4, v6] {
            let messages: Vec<_> = self
                .handle
                .route()
                .get(query)
                .execute()
                .try_collect()
                .await
                .map_err(|error| read::error("list routes", &error))?;
            routes.extend(messages.iter().map(read::route));
        }
        Ok(routes)
    }

    /// All routing rules, IPv4 then IPv6.
    pub async fn rules(&self) -> Result<Vec<Rule>> {
        let mut rules = Vec::new();
        for version in [rtnetlink::IpVersion::V4, rtnetlink::IpVersion::V6] {
            let messages: Vec<_> = self
                .handle
                .rule()
                .get(version)
                .execute()
                .try_collect()
                .await
                .map_err(|error| read::error("list routing rules", &error))?;
            rules.extend(messages.iter().map(read::rule));
        }
        Ok(rules)
    }
}

/// What changed; read it again to know how it is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Change {
    /// A link came, went or changed.
    Link,
    /// An address.
    Address,
    /// A route.
    Route,
    /// A routing rule.
    Rule,
}

/// Changes of the network namespace of this thread as they happen. Needs a runtime; ends when the kernel closes it.
pub fn monitor() -> Result<impl Stream<Item = Change> + Send + Unpin> {
    use rtnetlink::packet_core::NetlinkPayload;
    use rtnetlink::packet_route::RouteNetlinkMessage as Message;
    let groups = [
        MulticastGroup::Link,
        MulticastGroup::Ipv4Ifaddr,
        MulticastGroup::Ipv6Ifaddr,
        MulticastGroup::Ipv4Route,
        MulticastGroup::Ipv6Route,
        MulticastGroup::Ipv4Rule,
        MulticastGroup::Ipv6Rule,
    ];
    let (connection, handle, messages) =
        rtnetlink::new_multicast_connection(&groups).doing(|| "watch the network configuration")?;
    let task = Connection(tokio::spawn(connection));
    Ok(messages.filter_map(move |(message, _)| {
        // Dropping either would end the stream.
        let _alive = (&task, &handle);
        let change = match message.payload {
            NetlinkPayload::InnerMessage(Message::NewLink(_) | Message::DelLink(_)) => Some(Change::Link),
            NetlinkPayload::InnerMessage(Message::NewAddress(_) | Message::DelAddress(_)) => Some(Change::Address),
            NetlinkPayload::InnerMessage(Message::NewRoute(_) | Message::DelRoute(_)) => Some(Change::Route),
            NetlinkPayload::InnerMessage(Message::NewRule(_) | Message::DelRule(_)) => Some(Change::Rule),
            _ => None,
        };
        futures::future::ready(change)
    }))
}

/// Lets the machine pass packets between its links; returns true where it had to be switched on.
pub fn enable_forwarding() -> Result<bool> {
    let key = "net.ipv4.ip_forward";
    if crate::sysctl::read(key)? == "1" {
        return Ok(false);
    }
    crate::sysctl::write(key, "1").map(|()| true)
}

/// True for addresses of the same family.
fn same_family(one: IpAddr, other: IpAddr) -> bool {
    one.is_ipv4() == other.is_ipv4()
}
