//! Unary calls with nothing between them and HTTP/2.

use std::net::SocketAddr;

use bytes::{BufMut, Bytes, BytesMut};
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use tokio::net::TcpStream;

/// The path of a method.
pub fn path(method: &str) -> String {
    format!("/sidero.discovery.server.Cluster/{method}")
}

/// A message as it is sent.
pub fn frame(message: &impl Message) -> Bytes {
    let length = message.encoded_len();
    let mut bytes = BytesMut::with_capacity(5 + length);
    bytes.put_u8(0);
    bytes.put_u32(length as u32);
    bytes.put_slice(&message.encode_to_vec());
    bytes.freeze()
}

/// A connection.
#[derive(Clone)]
pub struct Connection(http2::SendRequest<Full<Bytes>>, SocketAddr);

impl Connection {
    /// Connects.
    pub async fn open(address: SocketAddr) -> crate::Result<Connection> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (send, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Connection(send, address))
    }

    /// Calls and gives the message of the answer.
    pub async fn call(&self, method: &str, message: &impl Message) -> Result<Bytes, String> {
        let mut send = self.0.clone();
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!("http://{}{}", self.1, path(method)))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(Full::new(frame(message)))
            .map_err(|e| e.to_string())?;
        send.ready().await.map_err(|e| e.to_string())?;
        let response = send.send_request(request).await.map_err(|e| e.to_string())?;
        let at_once = response.headers().get("grpc-status").cloned();
        let body = response.into_body().collect().await.map_err(|e| e.to_string())?;
        let status = at_once.or_else(|| body.trailers().and_then(|t| t.get("grpc-status").cloned()));
        match status.as_ref().map(http::HeaderValue::as_bytes) {
            Some(b"0") => Ok(body.to_bytes().slice(5..)),
            other => Err(format!("{method}: status {other:?}")),
        }
    }
}
