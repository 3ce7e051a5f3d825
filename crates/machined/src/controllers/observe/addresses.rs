//! Addresses as they are.

use node_resources::network::{AddressFlags, AddressStatus, Family, Scope};
use resource::types::Prefix;
use resource::{Context, Outcome, Outputs, Reconcile};
use sys::net::{Address, Change, Link};

use super::LOOK_AGAIN;
use super::network::{Network, name_of};

/// Reports addresses.
pub struct Addresses {
    network: Network,
}

impl Addresses {
    /// The addresses of a network.
    pub fn new(network: Network) -> Self {
        Self { network }
    }
}

impl Reconcile for Addresses {
    type Inputs = ();
    type Outputs = Outputs<AddressStatus>;

    async fn reconcile(&mut self, (): (), cx: &Context) -> anyhow::Result<Outcome<Self::Outputs>> {
        self.network.listen(&[Change::Address, Change::Link], cx);
        let links = self.network.links().await?;
        let addresses = self.network.addresses().await?;
        let seen = addresses.iter().filter_map(|address| status(address, &links));
        Ok(Outcome::done(seen.collect()).requeue(LOOK_AGAIN))
    }
}

/// The address with its id; nothing for an address of a link that went away meanwhile.
fn status(address: &Address, links: &[Link]) -> Option<(String, AddressStatus)> {
    let prefix = Prefix::new(address.address, address.prefix_length)?;
    let link_name = name_of(links, address.link_index)?.to_owned();
    let status = AddressStatus {
        address: prefix,
        // The kernel repeats the address here unless the link is point-to-point.
        local: address.local.filter(|local| *local != address.address),
        broadcast: address.broadcast,
        anycast: address.anycast,
        multicast: address.multicast,
        link_index: address.link_index,
        link_name,
        family: Family::from_number(address.family.into()).unwrap_or_default(),
        scope: Scope::from_number(address.scope.into()).unwrap_or_default(),
        flags: AddressFlags(address.flags),
        priority: address.priority,
    };
    Some((format!("{}/{prefix}", status.link_name), status))
}

#[cfg(test)]
mod tests {
    use resource::Spec;

    use super::*;

    #[test]
    fn an_address_is_named_by_link_and_prefix() {
        let links = [Link {
            index: 2,
            name: "eth0".into(),
            ..Link::default()
        }];
        let address = Address {
            address: "10.0.2.15".parse().unwrap(),
            prefix_length: 24,
            local: Some("10.0.2.15".parse().unwrap()),
            broadcast: None,
            anycast: None,
            multicast: None,
            link_index: 2,
            family: 2,
            scope: 0,
            flags: 0x80,
            priority: 1024,
            label: "eth0".into(),
        };
        let (id, seen) = status(&address, &links).unwrap();
        assert_eq!(id, "eth0/10.0.2.15/24");
        let expected = "address: 10.0.2.15/24\nlinkIndex: 2\nlinkName: eth0\nfamily: inet4\nscope: global\n\
            flags: permanent\npriority: 1024\n";
        assert_eq!(seen.to_yaml(), expected);
        assert!(status(&address, &[]).is_none());
    }
}
