//! A control plane node made of plain processes in namespaces.

use std::net::IpAddr;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use k8s::{Auth, Client, Options};
use machined::kubernetes::etcd::{Etcd, Start};
use machined::kubernetes::files::{self, File};
use machined::kubernetes::kubelet;
use machined::kubernetes::manifests::{self, Flannel, Input, Proxy, coredns::CoreDns, proxy_args};
use machined::kubernetes::pki::{BootstrapToken, LIFETIME};
use machined::kubernetes::pods::Component;
use machined::kubernetes::static_pods::{self, ApiServer, ControllerManager, Scheduler};
use machined::kubernetes::version::Version;
use machined::kubernetes::{ExtraArgs, configs, etcd, pki as certificates};
use pki::{Authority, Secret};
use serde_json::Value;

use crate::images::{self, Images};
use crate::now;

pub const SERVER: &str = "https://127.0.0.1:6443";
pub const ADDRESS: &str = "10.200.0.1";
const INSIDE: &str = "KEELSON_TEST_INSIDE";

/// True in the namespaces, where the test is run again by itself; false when that has been done or cannot be.
pub fn inside(test: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        // The address is on a link with a default route, as a node's is; its other end leads nowhere.
        for line in [
            "link set lo up",
            "link add node type veth peer name gateway",
            "link set gateway up",
            "link set node up",
            "address add 10.200.0.1/24 dev node",
            "route add default via 10.200.0.2 dev node",
        ] {
            assert!(
                Command::new("ip").args(line.split(' ')).status().unwrap().success(),
                "ip {line}"
            );
        }
        return true;
    }
    if let Err(missing) = images::references() {
        eprintln!("SKIPPED: {missing} (make the distribution with `cargo xtask dist`, or set KEELSON_DIST)");
        return false;
    }
    let mut command = Command::new("unshare");
    command.args(["--net", "--pid", "--fork", "--mount", "--kill-child", "--mount-proc"]);
    command
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, "1");
    match command.status() {
        Ok(status) if status.code() == Some(1) && !is_root() => {
            eprintln!("SKIPPED: namespaces need root");
        }
        Ok(status) => assert!(status.success(), "the test failed in its namespaces: {status}"),
        Err(error) => eprintln!("SKIPPED: cannot run unshare: {error}"),
    }
    false
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|m| std::os::unix::fs::MetadataExt::uid(&m) == 0)
}

pub fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

pub fn from_base64(text: &str) -> Vec<u8> {
    STANDARD.decode(text).unwrap()
}

pub struct Node {
    pub images: Images,
    folder: tempfile::TempDir,
    children: Vec<Child>,
    pub kubernetes_ca: Vec<u8>,
    pub admin_kubeconfig: Secret,
    pub token: BootstrapToken,
}

impl Drop for Node {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Node {
    /// Secrets and files, as a node writes them, below a folder of our own.
    pub fn prepare() -> Self {
        let folder = tempfile::Builder::new().prefix("control-plane").tempdir().unwrap();
        open_to_all(folder.path());
        let token = BootstrapToken::parse("abcdef.0123456789abcdef").unwrap();
        let kubernetes = Authority::new_kubernetes(now()).unwrap();
        let aggregator = Authority::new_aggregator(now()).unwrap();
        let etcd_ca = Authority::new_etcd(now()).unwrap();
        let address: IpAddr = ADDRESS.parse().unwrap();
        let names = certificates::api_server_names(&certificates::ApiServerNames {
            dns_domain: "cluster.local",
            service_ips: &kubelet::api_service_ips(&["10.96.0.0/12".to_owned()]),
            endpoint_host: ADDRESS,
            hostname: "cp1",
            node_ips: &[address],
            ..Default::default()
        });
        let issued = |authority: &Authority, request| authority.sign(&request).unwrap();
        let certs = certificates::DynamicCerts {
            api_server: issued(&kubernetes, certificates::api_server(&names, now())),
            kubelet_client: issued(&kubernetes, certificates::api_server_kubelet_client(now())),
            front_proxy: issued(&aggregator, certificates::front_proxy_client(now())),
        };
        let members = certificates::etcd("cp1", &[address], now());
        let sign = |request| issued(&etcd_ca, request);
        let kubeconfig =
            |client| certificates::kubeconfig(client, "demo", SERVER, &kubernetes, b"", LIFETIME, now()).unwrap();
        let service_account_key = pki::service_account_key(false).unwrap();
        let secretbox = pki::tokens::random_base64(32).unwrap();
        let secrets = files::secrets(&files::Secrets {
            kubernetes_ca: kubernetes.pair(),
            accepted_cas: kubernetes.certificate(),
            aggregator_ca: aggregator.certificate(),
            etcd_ca: etcd_ca.certificate(),
            etcd_client: &sign(members.api_server),
            certs: &certs,
            service_account_key: &service_account_key,
            secretbox: Some(&secretbox),
            aescbc: None,
            encryption: None,
            controller_manager_kubeconfig: &kubeconfig(certificates::Client::ControllerManager),
            scheduler_kubeconfig: &kubeconfig(certificates::Client::Scheduler),
        })
        .unwrap();
        let configs = files::configs(&files::Configs {
            version: Version::new(1, 37),
            admission: &configs::default_admission(),
            audit_policy: None,
            authentication: None,
            authorizers: &configs::authorizers(&[]),
            scheduler: &serde_json::Map::new(),
        });
        let etcd_files = files::etcd(
            etcd_ca.certificate(),
            &sign(members.server),
            &sign(members.peer),
            &sign(members.admin),
        );
        let node = Self {
            images: Images::unpack(&folder.path().join("images")),
            kubernetes_ca: kubernetes.certificate().to_vec(),
            admin_kubeconfig: kubeconfig(certificates::Client::Admin),
            token,
            folder,
            children: Vec::new(),
        };
        for (path, owner) in files::FOLDERS {
            let path = node.place(path);
            std::fs::create_dir_all(&path).unwrap();
            chown(&path, Some(*owner), Some(*owner)).unwrap();
        }
        for file in secrets.iter().chain(&configs).chain(&etcd_files) {
            node.write(file);
        }
        node
    }

    /// Where something of a node is in our folder.
    pub fn place(&self, text: &str) -> String {
        let root = self.folder.path().display();
        let mut text = text.to_owned();
        for top in ["/system/", "/var/", "/etc/kubernetes"] {
            text = text.replace(top, &format!("{root}{top}"));
        }
        text
    }

    fn write(&self, file: &File) {
        let path = self.place(&file.path);
        std::fs::write(&path, self.place(file.content.expose_str().unwrap())).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o400);
        std::fs::set_permissions(&path, mode).unwrap();
        chown(&path, Some(file.owner), Some(file.owner)).unwrap();
    }

    fn start(&mut self, program: &str, id: u32, args: &[String]) {
        let log = std::fs::File::create(self.log(program)).unwrap();
        let args = args.iter().map(|arg| self.place(&arg.replace("$(POD_IP)", ADDRESS)));
        let mut command = Command::new(self.images.program(program));
        command
            .args(args)
            .uid(id)
            .gid(id)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        // etcd looks at the current folder; root's is closed to it.
        command.current_dir("/");
        self.children.push(command.spawn().unwrap());
    }

    pub fn log(&self, program: &str) -> PathBuf {
        self.folder.path().join(format!("{program}.log"))
    }

    /// Waits until a path answers, and shows the program's log if it does not.
    async fn wait(&mut self, program: &str, url: &str, path: &str) {
        let options = Options {
            insecure: true,
            timeout: Duration::from_secs(2),
            ..Options::new(url, &self.kubernetes_ca, Auth::Anonymous)
        };
        let client = Client::with(options).unwrap();
        let mut last = String::new();
        let deadline = Instant::now() + Duration::from_secs(60);
        while Instant::now() < deadline {
            match client.raw(path).await {
                Ok(_) => return,
                Err(error) => last = error.to_string(),
            }
            if let Some(status) = self.children.last_mut().and_then(|c| c.try_wait().unwrap()) {
                last = format!("it ended: {status}");
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let log = std::fs::read_to_string(self.log(program)).unwrap_or_default();
        let end: Vec<&str> = log.lines().rev().take(40).collect();
        let end: Vec<&str> = end.into_iter().rev().collect();
        panic!("{program} does not answer {path}: {last}\n{}", end.join("\n"));
    }

    pub async fn start_etcd(&mut self) {
        let spec = Etcd {
            name: "cp1".into(),
            advertised_addresses: vec![ADDRESS.parse().unwrap()],
            listen_peer_addresses: vec!["0.0.0.0".parse().unwrap()],
            listen_client_addresses: vec!["0.0.0.0".parse().unwrap()],
            image: self.images.reference("etcd").to_owned(),
            extra_args: ExtraArgs::new(),
        };
        self.start("etcd", etcd::ID, &etcd::args(&spec, &Start::New).unwrap());
        self.wait("etcd", &format!("http://127.0.0.1:{}", etcd::METRICS_PORT), "/health")
            .await;
    }

    fn api_server(&self) -> ApiServer {
        ApiServer {
            component: self.component("kube-apiserver"),
            control_plane_endpoint: format!("https://{ADDRESS}:6443"),
            etcd_servers: vec!["https://127.0.0.1:2379".into()],
            local_port: 6443,
            service_cidrs: vec!["10.96.0.0/12".into()],
            advertised_address: "$(POD_IP)".into(),
        }
    }

    pub async fn start_api_server(&mut self) {
        let flags = static_pods::api_server_flags(&self.api_server()).unwrap();
        self.start("kube-apiserver", static_pods::API_SERVER_ID, &flags.render());
        self.wait("kube-apiserver", SERVER, "/readyz").await;
    }

    fn manager(&self) -> ControllerManager {
        ControllerManager {
            component: self.component("kube-controller-manager"),
            pod_cidrs: vec!["10.244.0.0/16".into()],
            service_cidrs: vec!["10.96.0.0/12".into()],
            ..Default::default()
        }
    }

    fn scheduler(&self) -> Scheduler {
        Scheduler {
            component: self.component("kube-scheduler"),
        }
    }

    /// The same three as pods.
    pub fn static_pods(&self) -> [Value; 3] {
        [
            static_pods::api_server(&self.api_server()).unwrap(),
            static_pods::controller_manager(&self.manager()).unwrap(),
            static_pods::scheduler(&self.scheduler()).unwrap(),
        ]
    }

    pub async fn start_controller_manager(&mut self) {
        let flags = static_pods::controller_manager_flags(&self.manager()).unwrap();
        self.start(
            "kube-controller-manager",
            static_pods::CONTROLLER_MANAGER_ID,
            &flags.render(),
        );
        self.wait("kube-controller-manager", "https://127.0.0.1:10257", "/healthz")
            .await;
    }

    pub async fn start_scheduler(&mut self) {
        let flags = static_pods::scheduler_flags(&self.scheduler()).unwrap();
        self.start("kube-scheduler", static_pods::SCHEDULER_ID, &flags.render());
        self.wait("kube-scheduler", "https://127.0.0.1:10259", "/healthz").await;
    }

    pub fn bootstrap_manifests(&self) -> Vec<manifests::Manifest> {
        let pods = ["10.244.0.0/16".to_owned()];
        let args = proxy_args(None, &pods, &ExtraArgs::new()).unwrap();
        let service_ips = kubelet::dns_service_ips(&["10.96.0.0/12".to_owned()]);
        let input = Input {
            server: SERVER,
            token: Some(&self.token),
            proxy: Some(Proxy {
                image: self.images.reference("kube-proxy"),
                args: &args,
            }),
            coredns: Some(CoreDns {
                image: "registry.k8s.io/coredns/coredns:v1.15.0",
                domain: "cluster.local",
                service_ips: &service_ips,
                host_dns: None,
            }),
            flannel: Some(Flannel {
                image: self.images.reference("flannel"),
                pod_cidrs: &pods,
                extra_args: &[],
                server_host: "127.0.0.1",
                server_port: "7445",
                network_policies_image: Some("registry.k8s.io/networking/kube-network-policies:v1.1.0"),
            }),
            machine_api_access: true,
        };
        manifests::bootstrap(&input).unwrap()
    }

    /// What etcd holds of a secret begins with the name of its key and does not contain the secret.
    pub fn secrets_are_encrypted(&self) {
        let file = |name: &str| self.place(&format!("{}/{name}", etcd::SECRETS));
        let output = Command::new(self.images.root("etcd").join("usr/local/bin/etcdctl"))
            .args([
                "get",
                "/registry/secrets/kube-system/bootstrap-token-abcdef",
                "--print-value-only",
            ])
            .arg("--endpoints=https://127.0.0.1:2379")
            .args([
                format!("--cacert={}", file("ca.crt")),
                format!("--cert={}", file("admin.crt")),
            ])
            .arg(format!("--key={}", file("admin.key")))
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(
            text.starts_with("k8s:enc:secretbox:v1:key2:"),
            "{text:.60} {}",
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(!text.contains("0123456789abcdef"));
    }

    fn component(&self, name: &str) -> Component {
        Component {
            image: self.images.reference(name).to_owned(),
            ..Component::default()
        }
    }
}

fn open_to_all(path: &Path) {
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(path, mode).unwrap();
}
