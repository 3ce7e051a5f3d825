//! What is collected of a node.

use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result, anyhow};
use api::proto::common::Data;
use api::proto::cosi::resource::Resource;
use api::proto::machine::{
    ContainerInfo, ContainersRequest, DmesgRequest, EtcdMemberListRequest, LogsRequest, StatsRequest,
};
use config::Config;
use futures::future::join_all;
use pki::{REDACTED, Secret};
use tonic::{Status, Streaming};

use super::bundle::Spool;
use super::veil::veil;
use crate::cli::load::Netstat;
use crate::commands::containers::{self, place};
use crate::commands::get::{self, Definition};
use crate::commands::{cgroups, etcd, inspect, netstat, service, stats, system, version};
use crate::session::{self, Target};

/// How long a node may take for an answer, or for the next piece of one.
const PATIENCE: Duration = Duration::from_secs(30);
/// Namespace of pods whose logs are collected.
const SYSTEM_PODS: &str = "kube-system/";
/// Namespace and type of the list of namespaces.
const NAMESPACES: (&str, &str) = ("meta", "Namespaces.meta.cosi.dev");
/// Namespace and type of the machine configuration.
const MACHINE_CONFIG: (&str, &str) = ("config", "MachineConfigs.config.talos.dev");

/// One thing to collect.
#[derive(Clone, Debug)]
pub enum Source {
    Version,
    Dmesg,
    Services,
    Containers,
    Stats,
    Processes,
    Mounts,
    Memory,
    ControlGroups,
    Sockets,
    Etcd,
    Dependencies,
    MachineConfig,
    Log(String),
    PodLog(String),
    Resources(Box<Definition>),
}

impl Source {
    /// Name of its file, below the node's folder.
    pub fn file(&self) -> String {
        match self {
            Source::Version => "version.txt".into(),
            Source::Dmesg => "dmesg.log".into(),
            Source::Services => "services.txt".into(),
            Source::Containers => "containers.txt".into(),
            Source::Stats => "stats.txt".into(),
            Source::Processes => "processes.txt".into(),
            Source::Mounts => "mounts.txt".into(),
            Source::Memory => "memory.txt".into(),
            Source::ControlGroups => "cgroups.txt".into(),
            Source::Sockets => "netstat.txt".into(),
            Source::Etcd => "etcd.txt".into(),
            Source::Dependencies => "dependencies.dot".into(),
            Source::MachineConfig => "machineconfig.yaml".into(),
            Source::Log(id) => format!("logs/{}.log", plain(id)),
            Source::PodLog(id) => format!("pods/{}.log", plain(id)),
            Source::Resources(definition) => format!("resources/{}.yaml", plain(&definition.resource_type)),
        }
    }
}

/// A name as part of a path, of one part.
pub fn plain(name: &str) -> String {
    let usual = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let plain: String = name.chars().map(|c| if usual(c) { c } else { '_' }).collect();
    if plain.starts_with('.') {
        format!("_{plain}")
    } else {
        plain
    }
}

/// What there is to collect. What the node cannot list now is told as failures.
pub async fn sources(target: &Target) -> (Vec<Source>, Vec<(&'static str, anyhow::Error)>) {
    let mut all = vec![
        Source::Version,
        Source::Dmesg,
        Source::Services,
        Source::Containers,
        Source::Stats,
        Source::Processes,
        Source::Mounts,
        Source::Memory,
        Source::ControlGroups,
        Source::Sockets,
        Source::Dependencies,
        Source::MachineConfig,
    ];
    let mut failures = Vec::new();
    match logs(target).await {
        Ok(ids) => {
            // Only control planes have one.
            if ids.iter().any(|id| id == "etcd") {
                all.push(Source::Etcd);
            }
            all.extend(ids.into_iter().map(Source::Log));
        }
        Err(error) => failures.push(("logs", error)),
    }
    match pods(target).await {
        Ok(ids) => all.extend(ids.into_iter().map(Source::PodLog)),
        Err(error) => failures.push(("pods", error)),
    }
    match within(get::definitions(&target.client)).await {
        Ok(definitions) => {
            let shown = definitions.into_iter().filter(|d| !d.is_sensitive());
            all.extend(shown.map(|definition| Source::Resources(Box::new(definition))));
        }
        Err(error) => failures.push(("resources", error)),
    }
    (all, failures)
}

/// Whether the node answers at all.
pub async fn answers(target: &Target) -> Result<()> {
    within(target.client.clone().machine().version(())).await.map(drop)
}

/// Every secret in the node's configuration; none if it has none, or does not show it.
pub async fn secrets(target: &Target) -> Vec<Secret> {
    let configs = machine_configs(target).await.unwrap_or_default();
    configs.iter().flat_map(|(_, config)| config.secrets()).collect()
}

/// Collects one source.
pub async fn collect(target: &Target, source: &Source, spool: &mut Spool) -> Result<()> {
    let client = &target.client;
    let node = || target.node.clone();
    match source {
        Source::Dmesg => {
            let request = DmesgRequest {
                follow: false,
                tail: false,
            };
            let stream = within(client.machine().dmesg(request)).await?;
            copy(stream.into_inner(), spool).await
        }
        Source::Log(id) => log(target, id, false, spool).await,
        Source::PodLog(id) => log(target, id, true, spool).await,
        Source::Resources(definition) => resources(target, definition, spool).await,
        Source::MachineConfig => {
            for (id, config) in machine_configs(target).await? {
                spool.push(format!("# {id}\n").as_bytes())?;
                spool.push(&config.redacted(REDACTED).encode())?;
            }
            Ok(())
        }
        Source::Version => tell(spool, &within(version::of(&target.node, client)).await?),
        Source::Services => {
            let response = within(client.machine().service_list(())).await?.into_inner();
            let services = service::services(response);
            let now = SystemTime::now();
            let details: Vec<String> = services
                .iter()
                .map(|s| service::details(&target.node, s, now))
                .collect();
            let table = service::list_table(&[(node(), services)], now).render();
            tell(spool, &format!("{table}\n{}", details.join("\n")))
        }
        Source::Containers => {
            let (mut text, mut all) = (String::new(), Vec::new());
            for kubernetes in [false, true] {
                all.extend(containers(target, kubernetes).await?);
            }
            text.push_str(&containers::render(vec![(node(), all)]));
            tell(spool, &text)
        }
        Source::Stats => {
            let mut all = Vec::new();
            for kubernetes in [false, true] {
                let (namespace, driver) = place(kubernetes);
                let driver = driver.into();
                let answer = within(client.machine().stats(StatsRequest { namespace, driver })).await?;
                all.extend(answer.into_inner().messages.into_iter().flat_map(|m| m.stats));
            }
            tell(spool, &stats::render(vec![(node(), all)]))
        }
        Source::Processes => {
            let messages = within(client.machine().processes(())).await?.into_inner().messages;
            let mut processes = [(node(), messages.into_iter().flat_map(|m| m.processes).collect())];
            system::sort(&mut processes, "rss");
            tell(spool, &system::processes_table(&processes))
        }
        Source::Mounts => {
            let messages = within(client.machine().mounts(())).await?.into_inner().messages;
            let mounts = messages.into_iter().flat_map(|m| m.stats).collect();
            tell(spool, &system::mounts_table(&[(node(), mounts)]))
        }
        Source::Memory => {
            let messages = within(client.machine().memory(())).await?.into_inner().messages;
            let info = messages.into_iter().find_map(|m| m.meminfo).unwrap_or_default();
            tell(spool, &system::verbose(&[(node(), info)]))
        }
        Source::ControlGroups => {
            let text = tokio::time::timeout(PATIENCE, cgroups::overview(client)).await;
            tell(spool, &text.context("the node did not answer in time")??)
        }
        Source::Sockets => {
            let args = Netstat {
                all: true,
                extend: true,
                programs: true,
                verbose: true,
                ..Netstat::default()
            };
            let answer = within(netstat::ask(client.clone(), &args)).await?;
            tell(spool, &netstat::render(&args, vec![(node(), answer)]))
        }
        Source::Etcd => {
            let request = EtcdMemberListRequest { query_local: true };
            let messages = within(client.machine().etcd_member_list(request))
                .await?
                .into_inner()
                .messages;
            let members = messages.into_iter().flat_map(|m| m.members).collect();
            tell(spool, &etcd::members_table(&[(node(), members)]))?;
            let messages = within(client.machine().etcd_status(())).await?.into_inner().messages;
            let status = messages.into_iter().filter_map(|m| m.member_status).collect();
            tell(spool, &format!("\n{}", etcd::status_table(&[(node(), status)])))
        }
        Source::Dependencies => {
            let messages = within(client.inspect().controller_runtime_dependencies(()))
                .await?
                .into_inner()
                .messages;
            let edges: Vec<_> = messages.into_iter().flat_map(|m| m.edges).collect();
            tell(spool, &inspect::graph(&edges, &[]))
        }
    }
}

fn tell(spool: &mut Spool, text: &str) -> Result<()> {
    spool.push(text.as_bytes())?;
    Ok(())
}

/// The answer to a call, if it comes in time.
async fn within<T>(call: impl Future<Output = Result<T, Status>>) -> Result<T> {
    session::within(PATIENCE, call).await
}

async fn copy(mut stream: Streaming<Data>, spool: &mut Spool) -> Result<()> {
    while let Some(data) = within(stream.message()).await? {
        if let Some(error) = data.metadata.filter(|metadata| !metadata.error.is_empty()) {
            return Err(anyhow!("{}", error.error));
        }
        if !spool.push(&data.bytes)? {
            break;
        }
    }
    Ok(())
}

async fn log(target: &Target, id: &str, kubernetes: bool, spool: &mut Spool) -> Result<()> {
    let (namespace, driver) = place(kubernetes);
    let request = LogsRequest {
        namespace,
        id: id.to_owned(),
        driver: driver.into(),
        follow: false,
        tail_lines: -1,
    };
    let stream = within(target.client.machine().logs(request)).await?;
    copy(stream.into_inner(), spool).await
}

/// Names of everything of the system that keeps a log.
async fn logs(target: &Target) -> Result<Vec<String>> {
    let response = within(target.client.machine().logs_containers(())).await?;
    Ok(response.into_inner().messages.into_iter().flat_map(|m| m.ids).collect())
}

async fn containers(target: &Target, kubernetes: bool) -> Result<Vec<ContainerInfo>> {
    let (namespace, driver) = place(kubernetes);
    let driver = driver.into();
    let response = within(
        target
            .client
            .machine()
            .containers(ContainersRequest { namespace, driver }),
    )
    .await?;
    Ok(response
        .into_inner()
        .messages
        .into_iter()
        .flat_map(|m| m.containers)
        .collect())
}

/// Containers of the cluster's own pods. The node has their logs also when Kubernetes does not answer.
async fn pods(target: &Target) -> Result<Vec<String>> {
    let all = containers(target, true).await?.into_iter();
    let wanted = all.filter(|c| c.id.starts_with(SYSTEM_PODS) && c.id != c.pod_id);
    Ok(wanted.map(|c| c.id).collect())
}

async fn listed(target: &Target, namespace: &str, resource_type: &str) -> Result<Vec<Resource>> {
    within(target.client.resources(namespace, resource_type)).await
}

async fn resources(target: &Target, definition: &Definition, spool: &mut Spool) -> Result<()> {
    let namespaces = namespaces(target, definition).await;
    let lists = namespaces
        .iter()
        .map(|namespace| listed(target, namespace, &definition.resource_type));
    let mut all = Vec::new();
    for list in join_all(lists).await {
        all.extend(list?);
    }
    for (index, resource) in all.into_iter().enumerate() {
        let mut document = get::document(&target.node, resource);
        if let Ok(mut spec) = document.spec()
            && veil(&mut spec)
        {
            let encoded = k8s::yaml::encode(&spec)?;
            document.spec_yaml = encoded.expose_str()?.to_owned();
        }
        let separator = if index > 0 { "---\n" } else { "" };
        tell(spool, &format!("{separator}{}", document.to_yaml()))?;
    }
    Ok(())
}

/// Where there may be resources of a type: its own namespace first.
async fn namespaces(target: &Target, definition: &Definition) -> Vec<String> {
    let listed = listed(target, NAMESPACES.0, NAMESPACES.1).await.unwrap_or_default();
    let ids = listed.into_iter().filter_map(|resource| Some(resource.metadata?.id));
    let others = ids.filter(|id| *id != definition.default_namespace);
    std::iter::once(definition.default_namespace.clone())
        .chain(others)
        .collect()
}

async fn machine_configs(target: &Target) -> Result<Vec<(String, Config)>> {
    let mut configs = Vec::new();
    for resource in listed(target, MACHINE_CONFIG.0, MACHINE_CONFIG.1).await? {
        let document = get::document(&target.node, resource);
        let id = document.metadata.id.clone();
        // What cannot be read cannot be redacted either.
        let text = document.spec().context("read the machine configuration")?;
        let text = text
            .as_str()
            .with_context(|| format!("the machine configuration {id} is not text"))?;
        let config = Config::decode(text.as_bytes())
            .map_err(|_| anyhow!("the machine configuration {id} cannot be decoded, so it cannot be redacted"))?;
        configs.push((id, config));
    }
    Ok(configs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_in_their_folder() {
        assert_eq!(plain("kube-system/coredns-1:coredns"), "kube-system_coredns-1_coredns");
        assert_eq!(plain("../../etc"), "_.._.._etc");
        assert_eq!(
            Source::Log("controller-runtime".into()).file(),
            "logs/controller-runtime.log"
        );
    }
}
