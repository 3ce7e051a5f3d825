//! The command line of etcd.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::flags::{ExtraArgs, FlagError, Flags};
use super::version::Version;

/// Where etcd's certificates are, on the node and in its sandbox.
pub const SECRETS: &str = "/system/secrets/etcd";
/// Where its data are.
pub const DATA: &str = "/var/lib/etcd";
/// The program in its image.
pub const PROGRAM: &str = "/usr/local/bin/etcd";
/// User and group it runs as.
pub const ID: u32 = 60;
/// Port of clients.
pub const CLIENT_PORT: u16 = 2379;
/// Port of other members.
pub const PEER_PORT: u16 = 2380;
/// Port of metrics and health, without TLS, on loopback only.
pub const METRICS_PORT: u16 = 2381;

/// How a member starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// The first of a new cluster.
    New,
    /// It was added to these members: (name, peer URL), itself among them.
    Existing(Vec<(String, String)>),
    /// It has data already, and those say who the members are.
    Restart,
}

/// What etcd is made of.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Etcd {
    /// Name of the member: the node's.
    pub name: String,
    /// Where others reach it.
    pub advertised_addresses: Vec<IpAddr>,
    /// Where it listens for members.
    pub listen_peer_addresses: Vec<IpAddr>,
    /// Where it listens for clients.
    pub listen_client_addresses: Vec<IpAddr>,
    /// Image reference with tag.
    pub image: String,
    /// `cluster.etcd.extraArgs`
    pub extra_args: ExtraArgs,
}

/// Arguments of etcd, without the program.
///
/// # Errors
/// An extra argument is refused.
pub fn args(etcd: &Etcd, start: &Start) -> Result<Vec<String>, FlagError> {
    let secret = |name: &str| format!("{SECRETS}/{name}");
    let peers = urls(&etcd.advertised_addresses, PEER_PORT);
    let mut flags = Flags::new();
    flags.set_all([
        ("name", etcd.name.clone()),
        ("data-dir", DATA.to_owned()),
        (
            "advertise-client-urls",
            urls(&etcd.advertised_addresses, CLIENT_PORT).join(","),
        ),
        ("initial-advertise-peer-urls", peers.join(",")),
        (
            "listen-peer-urls",
            urls(&etcd.listen_peer_addresses, PEER_PORT).join(","),
        ),
        (
            "listen-client-urls",
            urls(&with_loopback(&etcd.listen_client_addresses), CLIENT_PORT).join(","),
        ),
        ("listen-metrics-urls", format!("http://127.0.0.1:{METRICS_PORT}")),
        ("cert-file", secret("server.crt")),
        ("key-file", secret("server.key")),
        ("trusted-ca-file", secret("ca.crt")),
        ("peer-cert-file", secret("peer.crt")),
        ("peer-key-file", secret("peer.key")),
        ("peer-trusted-ca-file", secret("ca.crt")),
    ]);
    flags.set_all([
        ("auto-tls", "false"),
        ("peer-auto-tls", "false"),
        ("client-cert-auth", "true"),
        ("peer-client-cert-auth", "true"),
        ("tls-min-version", "TLS1.2"),
        ("cipher-suites", CIPHER_SUITES),
    ]);
    if Version::of_image(&etcd.image) < Version::new(3, 6) {
        flags.set_all([
            ("experimental-initial-corrupt-check", "true"),
            ("experimental-compact-hash-check-enabled", "true"),
            ("experimental-watch-progress-notify-interval", "5s"),
        ]);
    } else {
        flags.set_all([
            ("feature-gates", "InitialCorruptCheck=true,CompactHashCheck=true"),
            ("watch-progress-notify-interval", "5s"),
        ]);
    }
    let (state, members) = match start {
        Start::New => ("new", peers.iter().map(|url| format!("{}={url}", etcd.name)).collect()),
        Start::Existing(members) => (
            "existing",
            members.iter().map(|(name, url)| format!("{name}={url}")).collect(),
        ),
        Start::Restart => ("existing", Vec::new()),
    };
    flags.set("initial-cluster-state", state);
    if !members.is_empty() {
        flags.set("initial-cluster", members.join(","));
    }
    flags.merge(&etcd.extra_args, &config::arguments::ETCD)?;
    Ok(flags.render())
}

/// For TLS 1.2; those of TLS 1.3 are not negotiable. HTTP/2 needs one of the AES-128 suites.
const CIPHER_SUITES: &str = "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,\
TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,\
TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256";

/// `https://address:port`
pub fn url(address: IpAddr, port: u16) -> String {
    format!("https://{}", std::net::SocketAddr::new(address, port))
}

fn urls(addresses: &[IpAddr], port: u16) -> Vec<String> {
    addresses.iter().map(|address| url(*address, port)).collect()
}

/// The API server of the node asks at 127.0.0.1, whatever subnets are listened on.
fn with_loopback(addresses: &[IpAddr]) -> Vec<IpAddr> {
    let loopback = IpAddr::from([127, 0, 0, 1]);
    let covered = addresses.iter().any(|a| a.is_unspecified() || *a == loopback);
    addresses
        .iter()
        .copied()
        .chain((!covered).then_some(loopback))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn etcd() -> Etcd {
        Etcd {
            name: "talos1".into(),
            advertised_addresses: vec!["10.0.2.15".parse().unwrap()],
            listen_peer_addresses: vec!["0.0.0.0".parse().unwrap()],
            listen_client_addresses: vec!["0.0.0.0".parse().unwrap()],
            image: "registry.k8s.io/etcd:v3.7.3".into(),
            extra_args: ExtraArgs::new(),
        }
    }

    #[test]
    fn the_first_member_is_a_cluster_of_itself() {
        let args = args(&etcd(), &Start::New).unwrap();
        for arg in [
            "--initial-cluster=talos1=https://10.0.2.15:2380",
            "--initial-cluster-state=new",
            "--listen-client-urls=https://0.0.0.0:2379",
            "--advertise-client-urls=https://10.0.2.15:2379",
            "--feature-gates=InitialCorruptCheck=true,CompactHashCheck=true",
            "--peer-client-cert-auth=true",
        ] {
            assert!(args.contains(&arg.to_owned()), "{arg} missing in {args:#?}");
        }
        assert!(!args.iter().any(|a| a.contains("experimental")));
    }

    #[test]
    fn a_joining_member_names_all_and_a_restarted_one_nobody() {
        let members = vec![
            ("a".to_owned(), url("fd00::1".parse().unwrap(), 2380)),
            ("b".to_owned(), "https://b".to_owned()),
        ];
        let joining = args(&etcd(), &Start::Existing(members)).unwrap();
        assert!(joining.contains(&"--initial-cluster=a=https://[fd00::1]:2380,b=https://b".to_owned()));
        assert!(joining.contains(&"--initial-cluster-state=existing".to_owned()));
        let restarted = args(&etcd(), &Start::Restart).unwrap();
        assert!(!restarted.iter().any(|a| a.starts_with("--initial-cluster=")));
    }

    #[test]
    fn an_old_etcd_has_its_old_names() {
        let old = Etcd {
            image: "registry.k8s.io/etcd:3.5.21-0".into(),
            ..etcd()
        };
        let args = args(&old, &Start::New).unwrap();
        assert!(args.contains(&"--experimental-initial-corrupt-check=true".to_owned()));
        assert!(!args.iter().any(|a| a.starts_with("--feature-gates")));
    }

    #[test]
    fn loopback_is_always_listened_on() {
        let narrow = Etcd {
            listen_client_addresses: vec!["10.0.2.15".parse().unwrap()],
            ..etcd()
        };
        let args = args(&narrow, &Start::New).unwrap();
        assert!(args.contains(&"--listen-client-urls=https://10.0.2.15:2379,https://127.0.0.1:2379".to_owned()));
    }

    #[test]
    fn extra_arguments_add_and_do_not_change_what_is_managed() {
        let mut input = etcd();
        input
            .extra_args
            .insert("quota-backend-bytes".into(), vec!["8589934592".into()]);
        input
            .extra_args
            .insert("feature-gates".into(), vec!["AllAlpha=false".into()]);
        let rendered = args(&input, &Start::Restart).unwrap();
        assert!(rendered.contains(&"--quota-backend-bytes=8589934592".to_owned()));
        assert!(
            rendered
                .contains(&"--feature-gates=InitialCorruptCheck=true,CompactHashCheck=true,AllAlpha=false".to_owned())
        );
        input.extra_args.insert("data-dir".into(), vec!["/x".into()]);
        assert!(args(&input, &Start::Restart).is_err());
    }
}
