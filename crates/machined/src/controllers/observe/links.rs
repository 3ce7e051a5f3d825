//! Links as they are.

use std::path::{Path, PathBuf};

use node_resources::network::{Duplex, HardwareAddress, LinkFlags, LinkStatus, LinkType, OperationalState, Port};
use node_resources::types::HardwareAddr;
use resource::{All, Context, Outcome, Outputs, Reconcile};
use sys::net::{Change, Link};

use super::LOOK_AGAIN;
use super::network::Network;

/// Reports links.
pub struct Links {
    network: Network,
    /// What drivers say of their links: `/sys/class/net`.
    class: PathBuf,
}

impl Links {
    /// The links of a network.
    pub fn new(network: Network, sys: &Path) -> Self {
        Self {
            network,
            class: sys.join("class/net"),
        }
    }
}

impl Reconcile for Links {
    type Inputs = ();
    type Outputs = Outputs<LinkStatus>;

    async fn reconcile(&mut self, (): (), cx: &Context) -> anyhow::Result<Outcome<Self::Outputs>> {
        self.network.listen(&[Change::Link], cx);
        let links = self.network.links().await?;
        let seen = links.iter().map(|link| {
            (
                link.name.clone(),
                status(link, &Hardware::read(&self.class, &link.name)),
            )
        });
        Ok(Outcome::done(seen.collect()).requeue(LOOK_AGAIN))
    }
}

/// What sysfs knows of a link's hardware; nothing, for links that are made of software.
#[derive(Clone, PartialEq, Debug, Default)]
struct Hardware {
    bus_path: String,
    driver: String,
    product_id: String,
    vendor_id: String,
    /// Mbit/s; 0 when it is not known.
    speed: i64,
    duplex: Option<Duplex>,
}

impl Hardware {
    fn read(class: &Path, name: &str) -> Self {
        let link = class.join(name);
        // A file that cannot be read is a question the driver has no answer to (the link is down, for example).
        let text = |path: PathBuf| {
            std::fs::read_to_string(path)
                .map(|text| text.trim().to_owned())
                .unwrap_or_default()
        };
        let driver = std::fs::read_link(link.join("device/driver")).ok();
        let driver = driver
            .as_deref()
            .and_then(Path::file_name)
            .map(|name| name.to_string_lossy().into_owned());
        let mut hardware = Self {
            driver: driver.unwrap_or_default(),
            // -1 is unknown.
            speed: text(link.join("speed")).parse::<i64>().unwrap_or_default().max(0),
            duplex: match text(link.join("duplex")).as_str() {
                "full" => Some(Duplex::Full),
                "half" => Some(Duplex::Half),
                _ => None,
            },
            ..Self::default()
        };
        // A virtio link's device is on the PCI device that carries it.
        let device = link.join("device").canonicalize().ok();
        let pci = device
            .as_deref()
            .into_iter()
            .flat_map(Path::ancestors)
            .find(|path| is_pci(path));
        if let Some(pci) = pci {
            hardware.bus_path = pci
                .file_name()
                .map(|name| name.to_string_lossy().into_owned())
                .unwrap_or_default();
            hardware.vendor_id = text(pci.join("vendor"));
            hardware.product_id = text(pci.join("device"));
        }
        hardware
    }
}

/// Whether a folder of sysfs is a PCI device: `0000:00:03.0`.
fn is_pci(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let hex = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let parts: Vec<&str> = name.split([':', '.']).collect();
    name.matches(':').count() == 2 && parts.len() == 4 && parts.iter().all(|part| hex(part))
}

fn status(link: &Link, hardware: &Hardware) -> LinkStatus {
    LinkStatus {
        alias: link.alias.clone(),
        alt_names: link.alt_names.clone(),
        index: link.index,
        ty: LinkType::from_number(link.kind_number.into()).unwrap_or_default(),
        link_index: link.link_index,
        flags: LinkFlags(link.flags),
        hardware_addr: HardwareAddr(link.hardware_address.clone()),
        permanent_addr: HardwareAddr(link.permanent_address.clone()),
        broadcast_addr: HardwareAddr(link.broadcast_address.clone()),
        mtu: link.mtu,
        queue_disc: link.queue_discipline.clone(),
        master_index: link.master_index,
        operational_state: OperationalState::from_number(link.operational_state.into()).unwrap_or_default(),
        kind: link.kind.clone(),
        slave_kind: link.slave_kind.clone(),
        bus_path: hardware.bus_path.clone(),
        driver: hardware.driver.clone(),
        product_id: hardware.product_id.clone(),
        vendor_id: hardware.vendor_id.clone(),
        link_state: link.carrier,
        speed_mbit: hardware.speed,
        port: Port::Other,
        duplex: hardware.duplex.unwrap_or(Duplex::Unknown),
        ..LinkStatus::default()
    }
}

/// The hardware address that tells this machine from others: that of its first Ethernet hardware, or in a container
/// of its first end of a veth pair.
pub fn first_hardware_address(links: All<LinkStatus>) -> Outputs<HardwareAddress> {
    let candidate = |kind: &str| {
        let ethernet = links
            .iter()
            .filter(|(_, link)| link.ty == LinkType::Ether && link.kind == kind);
        ethernet.min_by_key(|(_, link)| link.index)
    };
    let first = candidate("").or_else(|| candidate("veth"));
    let address = |(name, link): (&str, &LinkStatus)| HardwareAddress {
        name: name.to_owned(),
        hardware_addr: link.hardware_addr.clone(),
    };
    first
        .map(address)
        .map_or_else(Outputs::none, |address| Outputs::one("first", address))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use resource::Spec;

    use super::*;

    #[test]
    fn the_loopback_is_reported_as_it_is() {
        let link = Link {
            index: 1,
            name: "lo".into(),
            kind_number: 772,
            flags: 0x1_0049,
            hardware_address: vec![0; 6],
            broadcast_address: vec![0; 6],
            mtu: 65536,
            queue_discipline: "noqueue".into(),
            carrier: true,
            received_bytes: 1,
            ..Link::default()
        };
        let yaml = status(&link, &Hardware::default()).to_yaml();
        let expected = "index: 1\ntype: loopback\nlinkIndex: 0\nflags: UP,LOOPBACK,RUNNING,LOWER_UP\n\
            hardwareAddr: \"00:00:00:00:00:00\"\npermanentAddr: \"\"\nbroadcastAddr: \"00:00:00:00:00:00\"\n\
            mtu: 65536\nqueueDisc: noqueue\noperationalState: unknown\nkind: \"\"\nslaveKind: \"\"\nlinkState: true\n\
            port: Other\nduplex: Unknown\n";
        assert_eq!(yaml, expected);
    }

    #[test]
    fn a_virtio_link_is_on_the_pci_device_that_carries_it() {
        let sys = tempfile::tempdir().unwrap();
        let device = sys.path().join("devices/pci0000:00/0000:00:03.0");
        std::fs::create_dir_all(device.join("virtio0/net/eth0")).unwrap();
        std::fs::create_dir_all(sys.path().join("class/net")).unwrap();
        symlink(device.join("virtio0/net/eth0"), sys.path().join("class/net/eth0")).unwrap();
        symlink(device.join("virtio0"), device.join("virtio0/net/eth0/device")).unwrap();
        symlink("/bus/virtio/drivers/virtio_net", device.join("virtio0/driver")).unwrap();
        for (file, text) in [
            ("vendor", "0x1af4\n"),
            ("device", "0x1000\n"),
            ("virtio0/net/eth0/speed", "-1\n"),
        ] {
            std::fs::write(device.join(file), text).unwrap();
        }
        let hardware = Hardware::read(&sys.path().join("class/net"), "eth0");
        let expected = Hardware {
            bus_path: "0000:00:03.0".into(),
            driver: "virtio_net".into(),
            product_id: "0x1000".into(),
            vendor_id: "0x1af4".into(),
            speed: 0,
            duplex: None,
        };
        assert_eq!(hardware, expected);
    }

    #[test]
    fn hardware_comes_before_a_containers_veth() {
        let link = |index, kind: &str| LinkStatus {
            index,
            ty: LinkType::Ether,
            kind: kind.into(),
            hardware_addr: HardwareAddr(vec![u8::try_from(index).unwrap()]),
            ..LinkStatus::default()
        };
        let name = |links: Vec<(&str, LinkStatus)>| {
            let first = first_hardware_address(links.into_iter().collect());
            first.get("first").map(|first| first.name.clone())
        };
        assert_eq!(
            name(vec![("eth0", link(3, "veth")), ("cni0", link(4, "bridge"))]).as_deref(),
            Some("eth0")
        );
        assert_eq!(
            name(vec![("eth0", link(3, "veth")), ("eth1", link(9, ""))]).as_deref(),
            Some("eth1")
        );
        assert_eq!(name(vec![]), None);
    }
}
