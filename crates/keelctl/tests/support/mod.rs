//! A machine API that answers for a few nodes, over real mutual TLS, with values made up here.

use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::SystemTime;

use api::proto::common::Data;
use api::proto::cosi::resource as cosi;
use api::proto::cosi::resource::state_server::{State, StateServer};
use api::proto::machine::machine_service_server::{MachineService, MachineServiceServer};
use api::proto::machine::*;
use futures::Stream;
use pki::{Authority, CertAndKey, KeyKind, Request as CertRequest, tls};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tonic::transport::server::Connected;
use tonic::{Request, Response, Status};

/// A running server and the credentials to talk to it.
pub struct Server {
    pub address: SocketAddr,
    pub authority: Authority,
    pub admin: CertAndKey,
}

/// The node that cannot be reached.
pub const BROKEN: &str = "10.5.0.9";

/// The node whose streams end early.
pub const SHORT: &str = "10.5.0.8";
/// The node that took etcd's snapshots on.
pub const BOOTSTRAPPED: &str = "10.5.0.7";

/// A snapshot as etcd saved it.
pub const SNAPSHOT: &[u8] = include_bytes!("../../../etcd-snapshot/tests/data/small.snapshot");

struct Nodes;

/// Whom the call is for; an error for the broken node.
fn node<T>(request: &Request<T>) -> Result<String, Status> {
    let named: Vec<_> = request.metadata().get_all("node").iter().collect();
    if named.len() > 1 || request.metadata().contains_key("nodes") {
        return Err(Status::invalid_argument("the command line asks every node by itself"));
    }
    let name = named
        .first()
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
        .to_owned();
    if name == BROKEN {
        Err(Status::unavailable("connection refused"))
    } else {
        Ok(name)
    }
}

type Streaming<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

fn stream<T: Send + 'static>(items: Vec<T>) -> Response<Streaming<T>> {
    Response::new(Box::pin(futures::stream::iter(items.into_iter().map(Ok))))
}

#[tonic::async_trait]
impl MachineService for Nodes {
    async fn version(&self, request: Request<()>) -> Result<Response<VersionResponse>, Status> {
        let name = node(&request)?;
        let version = VersionInfo {
            tag: format!("v-{name}"),
            os: "linux".into(),
            arch: "amd64".into(),
            ..Default::default()
        };
        let message = Version {
            version: Some(version),
            features: Some(FeaturesInfo { rbac: true }),
            ..Default::default()
        };
        Ok(Response::new(VersionResponse {
            messages: vec![message],
        }))
    }

    async fn logs(&self, request: Request<LogsRequest>) -> Result<Response<tonic::codegen::BoxStream<Data>>, Status> {
        let name = node(&request)?;
        let id = request.into_inner().id;
        let piece = |text: String| Data {
            metadata: None,
            bytes: text.into_bytes(),
        };
        Ok(stream(vec![
            piece(format!("{id} one\n{id} tw")),
            piece(format!("o of {name}\n")),
        ]))
    }

    async fn kubeconfig(&self, request: Request<()>) -> Result<Response<tonic::codegen::BoxStream<Data>>, Status> {
        node(&request)?;
        let text = "apiVersion: v1\nkind: Config\nclusters:\n- name: demo\n  cluster:\n    server: https://10.5.0.2:6443\n\
                    users:\n- name: admin@demo\n  user:\n    token: x\ncontexts:\n- name: admin@demo\n  context:\n    cluster: demo\n    user: admin@demo\n\
                    current-context: admin@demo\n";
        Ok(stream(vec![Data {
            metadata: None,
            bytes: text.into(),
        }]))
    }

    async fn apply_configuration(
        &self,
        request: Request<ApplyConfigurationRequest>,
    ) -> Result<Response<ApplyConfigurationResponse>, Status> {
        let request = request.into_inner();
        let message = ApplyConfiguration {
            warnings: vec![format!(
                "{} bytes, {} lines",
                request.data.len(),
                request.data.split(|b| *b == b'\n').count() - 1
            )],
            mode: request.mode,
            mode_details: "Applied configuration without a reboot".into(),
            ..Default::default()
        };
        Ok(Response::new(ApplyConfigurationResponse {
            messages: vec![message],
        }))
    }

    async fn etcd_alarm_list(&self, request: Request<()>) -> Result<Response<EtcdAlarmListResponse>, Status> {
        node(&request)?;
        let alarm = EtcdMemberAlarm {
            member_id: 0x1f,
            alarm: etcd_member_alarm::AlarmType::Nospace.into(),
        };
        let message = EtcdAlarm {
            member_alarms: vec![alarm],
            ..Default::default()
        };
        Ok(Response::new(EtcdAlarmListResponse {
            messages: vec![message],
        }))
    }

    async fn etcd_status(&self, request: Request<()>) -> Result<Response<EtcdStatusResponse>, Status> {
        node(&request)?;
        let message = EtcdStatus {
            member_status: Some(EtcdMemberStatus {
                db_size: 20_000_000,
                ..Default::default()
            }),
            ..Default::default()
        };
        Ok(Response::new(EtcdStatusResponse {
            messages: vec![message],
        }))
    }

    async fn etcd_defragment(&self, request: Request<()>) -> Result<Response<EtcdDefragmentResponse>, Status> {
        match node(&request)?.as_str() {
            SHORT => Err(Status::deadline_exceeded("Timeout expired")),
            _ => Ok(Response::new(EtcdDefragmentResponse::default())),
        }
    }

    async fn etcd_snapshot(
        &self,
        request: Request<EtcdSnapshotRequest>,
    ) -> Result<Response<tonic::codegen::BoxStream<Data>>, Status> {
        let sent = match node(&request)?.as_str() {
            SHORT => &SNAPSHOT[..SNAPSHOT.len() / 8192 * 4096],
            _ => SNAPSHOT,
        };
        let piece = |bytes: &[u8]| Data {
            metadata: None,
            bytes: bytes.to_vec(),
        };
        Ok(stream(sent.chunks(1000).map(piece).collect()))
    }

    async fn etcd_recover(
        &self,
        request: Request<tonic::Streaming<Data>>,
    ) -> Result<Response<EtcdRecoverResponse>, Status> {
        if node(&request)? == BOOTSTRAPPED {
            return Err(Status::already_exists("the cluster is already bootstrapped"));
        }
        let (mut pieces, mut received) = (request.into_inner(), Vec::new());
        while let Some(piece) = pieces.message().await? {
            received.extend(piece.bytes);
        }
        if received != SNAPSHOT {
            return Err(Status::data_loss("not what was to be sent"));
        }
        Ok(Response::new(EtcdRecoverResponse::default()))
    }

    async fn bootstrap(&self, request: Request<BootstrapRequest>) -> Result<Response<BootstrapResponse>, Status> {
        node(&request)?;
        let asked = request.into_inner();
        if !asked.recover_etcd || asked.recover_skip_hash_check {
            return Err(Status::invalid_argument("asked for something else"));
        }
        Ok(Response::new(BootstrapResponse::default()))
    }

    async fn reboot(&self, _: Request<RebootRequest>) -> Result<Response<RebootResponse>, Status> {
        Err(Status::failed_precondition("locked"))
    }
}

const DEFINITIONS: [&str; 2] = [
    "type: ResourceDefinitions.meta.cosi.dev\ndisplayType: ResourceDefinition\ndefaultNamespace: meta\nallAliases: [resourcedefinitions, rd, rds]\nprintColumns:\n    - name: Aliases\n      jsonPath: '{.aliases[:]}'\n",
    "type: Services.v1alpha1.talos.dev\ndisplayType: Service\ndefaultNamespace: runtime\nallAliases: [services, svc]\nprintColumns:\n    - name: Running\n      jsonPath: '{.running}'\n    - name: Healthy\n      jsonPath: '{.healthy}'\n    - name: Health Unknown\n      jsonPath: '{.unknown}'\n",
];

fn resource(namespace: &str, kind: &str, id: &str, version: u32, spec: &str) -> cosi::Resource {
    let time = |seconds| Some(prost_types::Timestamp { seconds, nanos: 0 });
    cosi::Resource {
        metadata: Some(cosi::Metadata {
            namespace: namespace.into(),
            r#type: kind.into(),
            id: id.into(),
            version: version.to_string(),
            owner: "v1alpha1.ServiceController".into(),
            phase: "running".into(),
            created: time(1_795_242_672),
            updated: time(1_795_242_676),
            ..Default::default()
        }),
        spec: Some(cosi::Spec {
            proto_spec: vec![],
            yaml_spec: spec.into(),
        }),
    }
}

fn resources(kind: &str) -> Vec<cosi::Resource> {
    let running = "running: true\nhealthy: true\nunknown: false\n";
    match kind {
        "ResourceDefinitions.meta.cosi.dev" => DEFINITIONS
            .iter()
            .map(|spec| {
                let name = spec
                    .lines()
                    .next()
                    .and_then(|line| line.strip_prefix("type: "))
                    .unwrap_or_default();
                resource("meta", kind, &name.to_lowercase(), 1, spec)
            })
            .collect(),
        // Out of order on purpose.
        "Services.v1alpha1.talos.dev" => [
            ("trustd", 3),
            ("apid", 2),
            ("containerd", 3),
            ("cri", 2),
            ("machined", 2),
        ]
        .map(|(id, version)| resource("runtime", kind, id, version, running))
        .into(),
        "MachineConfigs.config.talos.dev" => {
            let spec = "|\n    version: v1alpha1\n    machine:\n        type: worker\n";
            vec![resource("config", kind, "v1alpha1", 1, spec)]
        }
        _ => vec![],
    }
}

#[tonic::async_trait]
impl State for Nodes {
    async fn list(
        &self,
        request: Request<cosi::ListRequest>,
    ) -> Result<Response<tonic::codegen::BoxStream<cosi::ListResponse>>, Status> {
        node(&request)?;
        let all = resources(&request.into_inner().r#type);
        Ok(stream(
            all.into_iter()
                .map(|resource| cosi::ListResponse {
                    resource: Some(resource),
                })
                .collect(),
        ))
    }

    async fn get(&self, request: Request<cosi::GetRequest>) -> Result<Response<cosi::GetResponse>, Status> {
        node(&request)?;
        let r = request.into_inner();
        let found = resources(&r.r#type)
            .into_iter()
            .find(|found| found.metadata.as_ref().is_some_and(|m| m.id == r.id));
        let missing = format!(
            "resource {}({}/{}@undefined) doesn't exist",
            r.r#type, r.namespace, r.id
        );
        found
            .map(|resource| {
                Response::new(cosi::GetResponse {
                    resource: Some(resource),
                })
            })
            .ok_or_else(|| Status::not_found(missing))
    }

    async fn watch(
        &self,
        request: Request<cosi::WatchRequest>,
    ) -> Result<Response<tonic::codegen::BoxStream<cosi::WatchResponse>>, Status> {
        node(&request)?;
        let kind = request.into_inner().r#type;
        let event = |event_type: cosi::EventType, resource| cosi::Event {
            resource: Some(resource),
            event_type: event_type.into(),
            ..Default::default()
        };
        let apid = resources(&kind).remove(1);
        let events = [
            cosi::EventType::Created,
            cosi::EventType::Bootstrapped,
            cosi::EventType::Updated,
            cosi::EventType::Destroyed,
        ]
        .map(|kind| cosi::WatchResponse {
            event: vec![event(kind, apid.clone())],
        });
        Ok(stream(events.into()))
    }
}

/// A TLS connection as tonic wants it.
struct Connection(tokio_rustls::server::TlsStream<TcpStream>);

impl Connected for Connection {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

impl Server {
    /// Starts a server on a thread of its own; `mutual` asks for client certificates.
    pub fn start(mutual: bool) -> Self {
        let now = SystemTime::now();
        let authority = Authority::new_os(now).unwrap();
        let admin = authority
            .sign(&CertRequest::client(KeyKind::Ed25519, "", &["os:admin"], now))
            .unwrap();
        let local = vec!["127.0.0.1".parse().unwrap()];
        let pair = authority
            .sign(&CertRequest::server(KeyKind::Ed25519, "node", vec![], local, now))
            .unwrap();
        let config = tls::server_config(&pair, mutual.then(|| authority.certificate())).unwrap();
        let (sender, receiver) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async move {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                sender.send(listener.local_addr().unwrap()).unwrap();
                let acceptor = tokio_rustls::TlsAcceptor::from(config);
                let (accepted, incoming) = tokio::sync::mpsc::channel::<std::io::Result<Connection>>(8);
                tokio::spawn(async move {
                    while let Ok((socket, _)) = listener.accept().await {
                        if let Ok(stream) = acceptor.accept(socket).await {
                            let _ = accepted.send(Ok(Connection(stream))).await;
                        }
                    }
                });
                tonic::transport::Server::builder()
                    .add_service(MachineServiceServer::new(Nodes))
                    .add_service(StateServer::new(Nodes))
                    .serve_with_incoming(tokio_stream::wrappers::ReceiverStream::new(incoming))
                    .await
                    .unwrap();
            });
        });
        Self {
            address: receiver.recv().unwrap(),
            authority,
            admin,
        }
    }
}
