//! `/etc/hosts` and `/etc/resolv.conf`: what they say, and the effect that writes them.

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use config::view::{self, ExtraHost};
use node_resources::config::MachineConfig;
use node_resources::files::{EtcFileSpec, EtcFileStatus};
use node_resources::network::{ConfigLayer, DNSResolveCache, HostnameStatus, NodeAddress, ResolverSpec};
use resource::types::Prefix;
use resource::{All, Context, One, Outcome, Outputs, Reconcile};

use super::resolvers::{ResolvConf, remembering};
use crate::controllers::host_dns;
use crate::machine_config::parsed;

/// The files of names. Resolvers that came with the platform stand in its own file, which then stays word for word.
pub fn etc_files(
    platform_resolv_conf: &str,
    hostname: One<HostnameStatus>,
    addresses: All<NodeAddress>,
    resolvers: One<ResolverSpec>,
    config: Option<One<MachineConfig>>,
    caches: All<DNSResolveCache>,
) -> anyhow::Result<Outputs<EtcFileSpec>> {
    let extra = match &config {
        Some(config) => view::extra_hosts(&*parsed(config)?),
        None => Vec::new(),
    };
    let own = addresses.get("routed-no-k8s").or_else(|| addresses.get("current"));
    let own: Vec<IpAddr> = own
        .map(|set| set.addresses.iter().map(Prefix::addr).collect())
        .unwrap_or_default();
    let given = resolvers.layer == ConfigLayer::Platform
        && ResolvConf::parse(platform_resolv_conf).search == resolvers.search_domains;
    let resolv_conf = if host_dns::answers(&caches, host_dns::LOCAL) {
        let rendered = ResolvConf::render(&[host_dns::LOCAL.into()], &resolvers.search_domains);
        remembering(platform_resolv_conf, &rendered)
    } else if given {
        platform_resolv_conf.to_owned()
    } else {
        let rendered = ResolvConf::render(&resolvers.dns_servers, &resolvers.search_domains);
        remembering(platform_resolv_conf, &rendered)
    };
    let file = |contents: String| EtcFileSpec {
        contents,
        mode: 0o644,
        ..EtcFileSpec::default()
    };
    Ok(Outputs::from([
        ("hosts", file(hosts(&hostname, &own, &extra))),
        ("resolv.conf", file(resolv_conf)),
    ]))
}

fn hosts(hostname: &HostnameStatus, own: &[IpAddr], extra: &[ExtraHost]) -> String {
    let mut text = String::new();
    let mut line = |address: &str, names: &str| {
        let _ = writeln!(text, "{address:<15} {names}");
    };
    line("127.0.0.1", "localhost");
    let name = match (hostname.hostname.as_str(), hostname.domainname.as_str()) {
        (host, "") => host.to_owned(),
        (host, domain) => format!("{host}.{domain} {host}"),
    };
    for address in own {
        line(&address.to_string(), &name);
    }
    line("::1", "localhost ip6-localhost ip6-loopback");
    line("ff02::1", "ip6-allnodes");
    line("ff02::2", "ip6-allrouters");
    for host in extra {
        line(&host.ip, &host.aliases.join(" "));
    }
    text
}

/// Writes files under `/etc`.
pub struct EtcFiles {
    etc: PathBuf,
}

impl EtcFiles {
    /// Files in a folder.
    pub fn new(etc: &Path) -> Self {
        Self { etc: etc.to_owned() }
    }
}

impl Reconcile for EtcFiles {
    type Inputs = (All<EtcFileSpec>,);
    type Outputs = Outputs<EtcFileStatus>;

    async fn reconcile(&mut self, (files,): Self::Inputs, _: &Context) -> anyhow::Result<Outcome<Self::Outputs>> {
        let mut written = Outputs::none();
        for file in files {
            write(&self.etc.join(file.id()), &file)?;
            written.insert(
                file.id(),
                EtcFileStatus {
                    spec_version: file.version().to_string(),
                },
            );
        }
        Ok(Outcome::done(written))
    }
}

/// Writes a file unless it already says the same. It is written in place: in a container these files are mounts that
/// nothing can be renamed onto, and services have them mounted too and shall see what changes. The new text goes over
/// the old before the rest is cut off, so nobody ever reads an empty file.
fn write(path: &Path, file: &EtcFileSpec) -> anyhow::Result<()> {
    let contents = file.contents.as_bytes();
    if std::fs::read(path).is_ok_and(|old| old == contents) {
        return Ok(());
    }
    let what = || format!("write {} (in a container it is a writable mount)", path.display());
    let open = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(file.mode)
        .open(path);
    let mut open = open.with_context(what)?;
    open.write_all(contents).with_context(what)?;
    open.set_len(contents.len() as u64)
        .and_then(|()| open.sync_all())
        .with_context(what)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    const CONFIG: &str =
        "apiVersion: v1alpha1\nkind: StaticHostConfig\nname: 10.9.9.9\nhostnames:\n    - reg.example\n    - reg\n";

    fn files(layer: ConfigLayer, domainname: &str) -> Outputs<EtcFileSpec> {
        with_caches(layer, domainname, All::from([] as [(&str, DNSResolveCache); 0]))
    }

    fn with_caches(layer: ConfigLayer, domainname: &str, caches: All<DNSResolveCache>) -> Outputs<EtcFileSpec> {
        let hostname = HostnameStatus {
            hostname: "one".into(),
            domainname: domainname.into(),
        };
        let set = |address: &str| NodeAddress {
            addresses: vec![address.parse().unwrap()],
            ..NodeAddress::default()
        };
        let addresses = All::from([("current", set("10.244.0.1/24")), ("routed-no-k8s", set("10.5.0.2/24"))]);
        let resolvers = ResolverSpec {
            dns_servers: vec!["10.5.0.1".parse().unwrap()],
            layer,
            ..ResolverSpec::default()
        };
        let config = Some(One::from(MachineConfig(CONFIG.to_owned())));
        etc_files(
            "# given\n",
            One::from(hostname),
            addresses,
            One::from(resolvers),
            config,
            caches,
        )
        .unwrap()
    }

    #[test]
    fn hosts_names_the_node_and_what_the_configuration_adds() {
        let files = files(ConfigLayer::Configuration, "example.com");
        let expected = "127.0.0.1       localhost\n10.5.0.2        one.example.com one\n\
            ::1             localhost ip6-localhost ip6-loopback\nff02::1         ip6-allnodes\n\
            ff02::2         ip6-allrouters\n10.9.9.9        reg.example reg\n";
        assert_eq!(files.get("hosts").unwrap().contents, expected);
    }

    #[test]
    fn the_platforms_resolvers_stay_word_for_word() {
        let text = |layer| files(layer, "").get("resolv.conf").unwrap().contents.clone();
        assert_eq!(text(ConfigLayer::Platform), "# given\n");
        assert!(text(ConfigLayer::Configuration).ends_with("\nnameserver 10.5.0.1\n"));
    }

    #[test]
    fn programs_of_the_node_ask_its_own_server_once_it_answers() {
        let text = |statuses: [&str; 2]| {
            let cache = |status: &str| DNSResolveCache { status: status.into() };
            let caches = All::from([
                ("tcp-127.0.0.53:53", cache(statuses[0])),
                ("udp-127.0.0.53:53", cache(statuses[1])),
            ]);
            let files = with_caches(ConfigLayer::Platform, "", caches);
            files.get("resolv.conf").unwrap().contents.clone()
        };
        assert!(text(["running", "running"]).ends_with("\nnameserver 127.0.0.53\n"));
        assert_eq!(text(["running", "listen on 127.0.0.53:53: in use"]), "# given\n");
    }

    #[test]
    fn a_file_is_written_in_place_and_only_when_it_differs() {
        let etc = tempfile::tempdir().unwrap();
        let path = etc.path().join("hosts");
        let file = |contents: &str| EtcFileSpec {
            contents: contents.into(),
            mode: 0o644,
            ..EtcFileSpec::default()
        };
        std::fs::write(&path, "a much longer text that was here before").unwrap();
        let inode = std::fs::metadata(&path).unwrap().ino();
        write(&path, &file("short")).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "short");
        assert_eq!(std::fs::metadata(&path).unwrap().ino(), inode);
        let error = write(&etc.path().join("no/hosts"), &file("x")).unwrap_err();
        assert!(error.to_string().contains("no/hosts"));
    }
}
