//! A small cluster on loopback: an authority, nodes with apid before a fake machine API, clients.
#![allow(dead_code, clippy::unwrap_used)]

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use api::apid::{self, Config, TlsState};
use api::client::{Client, ClientOptions};
use api::proto::common::Data;
use api::proto::cosi::resource::state_server::{State, StateServer};
use api::proto::cosi::resource::{Event, GetRequest, GetResponse, WatchRequest, WatchResponse};
use api::proto::machine::machine_service_server::{MachineService, MachineServiceServer};
use api::proto::machine::*;
use api::reply::Reply;
use pki::{Authority, KeyKind};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::{IntervalStream, UnixListenerStream};
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::codec::CompressionEncoding;
use tonic::codegen::BoxStream;
use tonic::{Request, Response, Status};

/// A machine API that knows its name and repeats what it was asked.
#[derive(Clone)]
pub struct Fake(pub String);

fn keys<T>(request: &Request<T>, key: &str) -> String {
    let values = request
        .metadata()
        .get_all(key)
        .iter()
        .map(|v| v.to_str().unwrap().to_owned());
    values.collect::<Vec<_>>().join(",")
}

#[tonic::async_trait]
impl MachineService for Fake {
    /// The tag is the name, the platform the metadata that arrived.
    async fn version(&self, request: Request<()>) -> Result<Response<VersionResponse>, Status> {
        let seen = format!(
            "roles={} proxyfrom={} node={} nodes={} custom={}",
            keys(&request, "talos-role"),
            !keys(&request, "proxyfrom").is_empty(),
            keys(&request, "node"),
            keys(&request, "nodes"),
            keys(&request, "x-custom"),
        );
        Ok(Response::new(VersionResponse::of(Version {
            version: Some(VersionInfo {
                tag: self.0.clone(),
                ..VersionInfo::default()
            }),
            platform: Some(PlatformInfo {
                name: seen,
                mode: String::new(),
            }),
            ..Version::default()
        })))
    }

    async fn reboot(&self, _: Request<RebootRequest>) -> Result<Response<RebootResponse>, Status> {
        Err(Status::failed_precondition("locked"))
    }

    async fn memory(&self, _: Request<()>) -> Result<Response<MemoryResponse>, Status> {
        tokio::time::sleep(Duration::from_secs(30)).await;
        Ok(Response::new(Default::default()))
    }

    /// As many lines as asked for; then an end, or (follow) silence.
    async fn logs(&self, request: Request<LogsRequest>) -> Result<Response<BoxStream<Data>>, Status> {
        let request = request.into_inner();
        if request.id == "none" {
            return Err(Status::not_found("no log of that name"));
        }
        let lines = (0..request.tail_lines).map({
            let name = self.0.clone();
            move |i| {
                Ok(Data {
                    metadata: None,
                    bytes: format!("{name} {i}").into_bytes(),
                })
            }
        });
        let lines = tokio_stream::iter(lines);
        let stream: BoxStream<Data> = match request.follow {
            true => Box::pin(lines.chain(tokio_stream::pending())),
            false => Box::pin(lines),
        };
        Ok(Response::new(stream))
    }

    async fn read(&self, request: Request<ReadRequest>) -> Result<Response<BoxStream<Data>>, Status> {
        let size: usize = request.into_inner().path.parse().unwrap();
        let chunks = (0..size.div_ceil(64 * 1024)).map(|_| {
            Ok(Data {
                metadata: None,
                bytes: vec![7; 64 * 1024],
            })
        });
        Ok(Response::new(Box::pin(tokio_stream::iter(chunks.collect::<Vec<_>>()))))
    }

    async fn apply_configuration(
        &self,
        request: Request<ApplyConfigurationRequest>,
    ) -> Result<Response<ApplyConfigurationResponse>, Status> {
        Ok(Response::new(ApplyConfigurationResponse::of(ApplyConfiguration {
            mode_details: format!("{} bytes", request.into_inner().data.len()),
            ..ApplyConfiguration::default()
        })))
    }
}

#[tonic::async_trait]
impl State for Fake {
    async fn get(&self, _: Request<GetRequest>) -> Result<Response<GetResponse>, Status> {
        Ok(Response::new(Default::default()))
    }

    /// An event at once, then one every tenth of a second.
    async fn watch(&self, _: Request<WatchRequest>) -> Result<Response<BoxStream<WatchResponse>>, Status> {
        let ticks = IntervalStream::new(tokio::time::interval(Duration::from_millis(100)));
        Ok(Response::new(Box::pin(ticks.map(|_| {
            Ok(WatchResponse {
                event: vec![Event::default()],
            })
        }))))
    }
}

pub struct Cluster {
    pub ca: Authority,
    /// Authorities that are accepted beside it, PEM.
    pub also: Vec<u8>,
    pub dir: tempfile::TempDir,
    pub port: u16,
}

pub struct Node {
    pub address: IpAddr,
    pub tls: watch::Sender<TlsState>,
    pub cancel: CancellationToken,
    pub served: tokio::task::JoinHandle<()>,
    pub socket: PathBuf,
    _stop: DropGuard,
}

impl Cluster {
    /// Addresses `127.x.y.z` stand for nodes; they share one free port.
    pub async fn new() -> Self {
        let port = TcpListener::bind("127.0.0.1:0")
            .await
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        Self {
            ca: Authority::new_os(SystemTime::now()).unwrap(),
            also: Vec::new(),
            dir: tempfile::tempdir().unwrap(),
            port,
        }
    }

    pub fn tls(&self, address: IpAddr, client: bool) -> TlsState {
        let now = SystemTime::now();
        let request = pki::Request::server(KeyKind::Ed25519, "node", vec![], vec![address], now);
        let server = self.ca.sign(&request).unwrap();
        let request = pki::Request::client(KeyKind::Ed25519, "node", &["os:impersonator"], now);
        let identity = self.ca.sign(&request).unwrap();
        let accepted = [self.ca.certificate(), &self.also].concat();
        TlsState {
            server: pki::tls::server_config(&server, Some(&accepted)).unwrap(),
            client: client.then(|| Arc::new(pki::tls::client_config(&accepted, Some(&identity)).unwrap())),
            accepted_cas: accepted,
        }
    }

    pub async fn node(&self, address: &str, forwarding: bool) -> Node {
        self.node_with(address, forwarding, |c| c).await
    }

    pub async fn node_with(&self, address: &str, forwarding: bool, change: impl FnOnce(Config) -> Config) -> Node {
        let address: IpAddr = address.parse().unwrap();
        let socket = self.dir.path().join(format!("{address}.sock"));
        let fake = Fake(address.to_string());
        let listener = UnixListenerStream::new(UnixListener::bind(&socket).unwrap());
        let cancel = CancellationToken::new();
        let backend = tonic::transport::Server::builder()
            .add_service(
                MachineServiceServer::new(fake.clone())
                    .max_decoding_message_size(api::MAX_MESSAGE_SIZE)
                    .send_compressed(CompressionEncoding::Gzip),
            )
            .add_service(StateServer::new(fake).send_compressed(CompressionEncoding::Gzip))
            .serve_with_incoming_shutdown(listener, cancel.clone().cancelled_owned());
        tokio::spawn(backend);

        let listener = TcpListener::bind((address, self.port)).await.unwrap();
        let (tls, tls_now) = watch::channel(self.tls(address, forwarding));
        let (addresses, addresses_now) = watch::channel(vec![address]);
        let config = Config {
            forwarding,
            node_port: self.port,
            ..Config::new(listener, tls_now, addresses_now, socket.clone())
        };
        let served = tokio::spawn({
            let (config, cancel) = (change(config), cancel.clone());
            async move {
                let _addresses = addresses;
                apid::serve(config, cancel).await;
            }
        });
        Node {
            address,
            tls,
            served,
            socket,
            _stop: cancel.clone().drop_guard(),
            cancel,
        }
    }

    pub fn client_tls(&self, roles: &[&str]) -> rustls::ClientConfig {
        let request = pki::Request::client(KeyKind::Ed25519, "", roles, SystemTime::now());
        let identity = self.ca.sign(&request).unwrap();
        pki::tls::client_config(self.ca.certificate(), Some(&identity)).unwrap()
    }

    pub fn client(&self, endpoint: &str, roles: &[&str]) -> Client {
        self.client_with(endpoint, self.client_tls(roles))
    }

    pub fn client_with(&self, endpoint: &str, tls: rustls::ClientConfig) -> Client {
        Client::connect(ClientOptions {
            endpoints: vec![format!("{endpoint}:{}", self.port)],
            ..ClientOptions::new(tls)
        })
        .unwrap()
    }
}
