//! A control plane node made of plain processes in namespaces.

use std::net::IpAddr;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use k8s::{Auth, Client, Options};
use machined::kubernetes::etcd::{Etcd, Start};
use machined::kubernetes::files::{self, File};
use machined::kubernetes::kubelet::{self, Kubelet};
use machined::kubernetes::manifests::{self, Flannel, Input, Proxy, coredns::CoreDns, proxy_args};
use machined::kubernetes::pki::{BootstrapToken, LIFETIME};
use machined::kubernetes::pods::Component;
use machined::kubernetes::static_pods::{self, ApiServer, ControllerManager, Scheduler};
use machined::kubernetes::version::Version;
use machined::kubernetes::{ExtraArgs, configs, etcd, pki as certificates};
use pki::{Authority, Secret};
use serde_json::Value;

use crate::now;

pub const SERVER: &str = "https://127.0.0.1:6443";
const ADDRESS: &str = "10.200.0.1";
const INSIDE: &str = "KEELSON_TEST_INSIDE";

/// True in the namespaces, where the test is run again by itself; false when that has been done or cannot be.
pub fn inside(test: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        for args in [
            &["link", "set", "lo", "up"][..],
            &["address", "add", "10.200.0.1/24", "dev", "lo"][..],
        ] {
            assert!(Command::new("ip").args(args).status().unwrap().success());
        }
        return true;
    }
    let missing = [
        "etcd",
        "kube-apiserver",
        "kube-controller-manager",
        "kube-scheduler",
        "kubelet",
        "kube-proxy",
    ]
    .into_iter()
    .find(|name| !programs().join(name).exists());
    if let Some(missing) = missing {
        eprintln!(
            "SKIPPED: {missing} is not in {} (set KEELSON_DIST)",
            programs().display()
        );
        return false;
    }
    let mut command = Command::new("unshare");
    command.args(["--net", "--pid", "--fork", "--kill-child", "--mount-proc"]);
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

fn programs() -> PathBuf {
    std::env::var_os("KEELSON_DIST").map_or_else(|| PathBuf::from("/tmp/goout"), PathBuf::from)
}

pub fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

pub fn from_base64(text: &str) -> Vec<u8> {
    STANDARD.decode(text).unwrap()
}

pub struct Node {
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
        let certs = certificates::issue(&kubernetes, &aggregator, &names, now()).unwrap();
        let members = certificates::etcd("cp1", &[address], now());
        let sign = |request| etcd_ca.sign(&request).unwrap();
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
            controller_manager_kubeconfig: &kubeconfig(certificates::Client::ControllerManager),
            scheduler_kubeconfig: &kubeconfig(certificates::Client::Scheduler),
        })
        .unwrap();
        let configs = files::configs(&files::Configs {
            version: Version::new(1, 37),
            admission: &configs::default_admission(),
            audit_policy: None,
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
    fn place(&self, text: &str) -> String {
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
        let mut command = Command::new(programs().join(program));
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

    fn log(&self, program: &str) -> PathBuf {
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
        for _ in 0..600 {
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
            image: "registry.k8s.io/etcd:v3.7.3".into(),
            extra_args: ExtraArgs::new(),
        };
        self.start("etcd", etcd::ID, &etcd::args(&spec, &Start::New).unwrap());
        self.wait("etcd", &format!("http://127.0.0.1:{}", etcd::METRICS_PORT), "/health")
            .await;
    }

    fn api_server() -> ApiServer {
        ApiServer {
            component: component("kube-apiserver"),
            control_plane_endpoint: format!("https://{ADDRESS}:6443"),
            etcd_servers: vec!["https://127.0.0.1:2379".into()],
            local_port: 6443,
            service_cidrs: vec!["10.96.0.0/12".into()],
            advertised_address: "$(POD_IP)".into(),
        }
    }

    pub async fn start_api_server(&mut self) {
        let flags = static_pods::api_server_flags(&Self::api_server()).unwrap();
        self.start("kube-apiserver", static_pods::API_SERVER_ID, &flags.render());
        self.wait("kube-apiserver", SERVER, "/readyz").await;
    }

    fn manager() -> ControllerManager {
        ControllerManager {
            component: component("kube-controller-manager"),
            pod_cidrs: vec!["10.244.0.0/16".into()],
            service_cidrs: vec!["10.96.0.0/12".into()],
            ..Default::default()
        }
    }

    fn scheduler() -> Scheduler {
        Scheduler {
            component: component("kube-scheduler"),
        }
    }

    /// The same three as pods.
    pub fn static_pods() -> [Value; 3] {
        [
            static_pods::api_server(&Self::api_server()).unwrap(),
            static_pods::controller_manager(&Self::manager()).unwrap(),
            static_pods::scheduler(&Self::scheduler()).unwrap(),
        ]
    }

    pub async fn start_controller_manager(&mut self) {
        let flags = static_pods::controller_manager_flags(&Self::manager()).unwrap();
        self.start(
            "kube-controller-manager",
            static_pods::CONTROLLER_MANAGER_ID,
            &flags.render(),
        );
        self.wait("kube-controller-manager", "https://127.0.0.1:10257", "/healthz")
            .await;
    }

    pub async fn start_scheduler(&mut self) {
        let flags = static_pods::scheduler_flags(&Self::scheduler()).unwrap();
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
                image: "registry.k8s.io/kube-proxy:v1.37.1",
                args: &args,
            }),
            coredns: Some(CoreDns {
                image: "registry.k8s.io/coredns/coredns:v1.15.0",
                domain: "cluster.local",
                service_ips: &service_ips,
                host_dns: None,
            }),
            flannel: Some(Flannel {
                image: "ghcr.io/siderolabs/flannel:v0.28.4",
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
        let output = Command::new(programs().join("etcdctl"))
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

    /// The kubelet checks flags and configuration before it looks for containerd, which is not there.
    pub fn kubelet_accepts_its_configuration(&self) {
        let spec = kubelet::render(&Kubelet {
            nodename: "cp1".into(),
            node_ips: vec![ADDRESS.parse().unwrap()],
            cluster_dns: vec!["10.96.0.10".into()],
            cluster_domain: "cluster.local".into(),
            default_runtime_seccomp_enabled: true,
            static_pod_list_url: "http://127.0.0.1:1".into(),
            disable_manifests_directory: true,
            enable_fs_quota_monitoring: true,
            control_plane: true,
            host: kubelet::Host {
                container: true,
                cgroup_v1: Path::new("/sys/fs/cgroup/memory").exists(),
                ..Default::default()
            },
            ..Kubelet::default()
        })
        .unwrap();
        for folder in ["/etc/kubernetes/pki", "/var/lib/kubelet/pki", "/var/run"] {
            std::fs::create_dir_all(self.place(folder)).unwrap();
        }
        std::fs::write(self.place(kubelet::CLIENT_CA), &self.kubernetes_ca).unwrap();
        let mut config = self.place(&spec.config.to_string());
        config = config.replace("/run/containerd/", "/run/nothing-here/");
        std::fs::write(self.place(kubelet::CONFIG), config).unwrap();
        std::fs::write(self.place(kubelet::KUBECONFIG), self.admin_kubeconfig.expose()).unwrap();
        let args = spec.args.iter().map(|a| self.place(a));
        let output = Command::new("timeout")
            .arg("60")
            .arg(programs().join("kubelet"))
            .args(args)
            .arg(self.place("--root-dir=/var/lib/kubelet"))
            .output()
            .unwrap();
        let log = String::from_utf8_lossy(&output.stderr);
        let end: Vec<&str> = log.lines().rev().take(8).collect();
        assert!(
            log.contains("validate CRI v1 runtime API") || log.contains("nothing-here"),
            "kubelet: {end:#?}"
        );
    }

    /// kube-proxy knows the flags that its pod has.
    pub fn flags_of_agents_exist(&self) {
        let help = Command::new(programs().join("kube-proxy"))
            .arg("--help")
            .output()
            .unwrap();
        let help = String::from_utf8_lossy(&help.stdout).into_owned() + &String::from_utf8_lossy(&help.stderr);
        for arg in proxy_args(None, &["10.244.0.0/16".to_owned()], &ExtraArgs::new()).unwrap() {
            let name = arg.split('=').next().unwrap();
            assert!(help.contains(&format!("{name} ")), "kube-proxy has no {name}");
        }
    }
}

fn component(name: &str) -> Component {
    Component {
        image: format!("registry.k8s.io/{name}:v1.37.1"),
        ..Component::default()
    }
}

fn open_to_all(path: &Path) {
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(path, mode).unwrap();
}
