//! The machine API below its client: whoever we say we are, and messages that no client would send.

use anyhow::{Context as _, Result, ensure};
use api::client::{Client, ClientOptions};
use bytes::{Buf, BufMut, Bytes};
use config::Config;
use config::authority::{Which, issuing};
use pki::{Authority, KeyKind, Request};
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::{Code, Status};

/// A cluster's authority, by which anybody can be made a client.
#[derive(Debug)]
pub struct Issuer(Authority);

impl Issuer {
    /// Out of a control plane's configuration.
    ///
    /// # Errors
    /// It holds no authority with its key.
    pub fn of(configuration: &str) -> Result<Self> {
        let config = Config::decode(configuration.as_bytes()).context("read the configuration")?;
        let pair = issuing(&config, Which::Machine).context("there is no authority")?;
        Ok(Self(Authority::from_pair(&pair)?))
    }

    /// The TLS of a client with these organizations in its certificate.
    ///
    /// # Errors
    /// The certificate cannot be made.
    pub fn tls(&self, organizations: &[&str]) -> Result<rustls::ClientConfig> {
        let now = std::time::SystemTime::now();
        let request = Request::client(KeyKind::Ed25519, "e2e", organizations, now);
        Ok(pki::tls::client_config(
            self.0.certificate(),
            Some(&self.0.sign(&request)?),
        )?)
    }

    /// A client with these organizations in its certificate. Needs a runtime.
    ///
    /// # Errors
    /// As [`Issuer::tls`].
    pub fn client(&self, node: &str, organizations: &[&str]) -> Result<Client> {
        Ok(Client::connect(ClientOptions {
            endpoints: vec![node.to_owned()],
            ..ClientOptions::new(self.tls(organizations)?)
        })?)
    }
}

/// Calls whatever is at the path with these bytes as the message, and gives the code of the answer.
///
/// # Errors
/// The node cannot be reached.
pub async fn call(client: &Client, path: &str, message: Bytes) -> Result<Status> {
    let mut grpc = tonic::client::Grpc::new(client.wire());
    grpc.ready().await.context("connect")?;
    let request = tonic::Request::new(tokio_stream::once(message));
    let answer = async {
        let answer = grpc.streaming(request, path.parse()?, Raw).await;
        let outcome = match answer {
            Ok(answer) => answer.into_inner().message().await.map(drop),
            Err(status) => Err(status),
        };
        anyhow::Ok(outcome.err().unwrap_or_else(|| Status::ok("")))
    };
    let status = tokio::time::timeout(std::time::Duration::from_secs(60), answer).await;
    let status = status.with_context(|| format!("{path}: no answer"))??;
    ensure!(status.code() != Code::Unavailable, "{path}: {status}");
    Ok(status)
}

/// Bytes as they are.
#[derive(Debug, Clone, Copy)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}

/// Begins a call whose message is announced to have so many bytes, and sends it until the other side has enough; gives
/// the code of the answer as a word.
///
/// # Errors
/// The node cannot be reached.
pub async fn oversized(tls: rustls::ClientConfig, node: &str, port: u16, path: &str, bytes: u32) -> Result<String> {
    let client = Client::connect(ClientOptions {
        endpoints: vec![format!("{node}:{port}")],
        ..ClientOptions::new(tls)
    })?;
    let (sent, pieces) = tokio::sync::mpsc::channel::<Result<hyper::body::Frame<Bytes>, Status>>(1);
    let sending = tokio::spawn(async move {
        let mut head = bytes::BytesMut::new();
        head.put_u8(0);
        head.put_u32(bytes);
        let piece = Bytes::from(vec![0x0a; 16 * 1024]);
        let mut next = head.freeze();
        let mut left = u64::from(bytes);
        while left > 0 && sent.send(Ok(hyper::body::Frame::data(next))).await.is_ok() {
            left = left.saturating_sub(piece.len() as u64);
            next = piece.clone();
        }
        u64::from(bytes) - left
    });
    let body = http_body_util::StreamBody::new(tokio_stream::wrappers::ReceiverStream::new(pieces));
    let request = http::Request::post(path)
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(tonic::body::Body::new(body))?;
    let mut wire = client.wire();
    std::future::poll_fn(|cx| tower_service::Service::poll_ready(&mut wire, cx)).await?;
    let answer = tower_service::Service::call(&mut wire, request);
    let answer = tokio::time::timeout(std::time::Duration::from_secs(120), answer).await;
    let answer = answer.context("no answer")??;
    let mut status = Status::from_header_map(answer.headers());
    if status.is_none() {
        let body = http_body_util::BodyExt::collect(answer.into_body()).await?;
        status = body.trailers().and_then(Status::from_header_map);
    }
    let sent = sending.await.unwrap_or_default();
    let status = status.context("the answer has no status")?;
    Ok(format!("{:?} after {sent} bytes: {}", status.code(), status.message()))
}
