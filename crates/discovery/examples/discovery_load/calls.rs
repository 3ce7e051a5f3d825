//! Unary calls with nothing between them and HTTP/2.

use std::net::SocketAddr;

use bytes::{BufMut, Bytes, BytesMut};
use h2::client::SendRequest;
use http::{HeaderMap, HeaderValue, Method, Request};
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
pub struct Connection(SendRequest<Bytes>, SocketAddr);

impl Connection {
    /// Connects.
    pub async fn open(address: SocketAddr) -> crate::Result<Connection> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        // Room for many small answers at once: h2 takes a window of the usual size full of them for an attack.
        let mut builder = h2::client::Builder::new();
        builder.initial_connection_window_size(1 << 20);
        let (send, connection) = builder.handshake(stream).await?;
        tokio::spawn(connection);
        Ok(Connection(send, address))
    }

    /// Calls and gives the message of the answer.
    pub async fn call(&self, method: &str, message: &impl Message) -> Result<Bytes, String> {
        let answer = self.exchange(method, frame(message)).await;
        let (status, message) = answer.map_err(|error| format!("{method}: {error}"))?;
        match status.as_ref().map(http::HeaderValue::as_bytes) {
            Some(b"0") => Ok(message.slice(5..)),
            other => Err(format!("{method}: status {other:?}")),
        }
    }

    /// Sends a frame; the status and the frame that come back.
    async fn exchange(&self, method: &str, frame: Bytes) -> crate::Result<(Option<HeaderValue>, Bytes)> {
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!("http://{}{}", self.1, path(method)))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(())?;
        let (response, mut stream) = self.0.clone().ready().await?.send_request(request, false)?;
        stream.send_data(frame, true)?;
        let (head, mut body) = response.await?.into_parts();
        let mut message = BytesMut::new();
        while let Some(part) = body.data().await.transpose()? {
            body.flow_control().release_capacity(part.len())?;
            message.extend_from_slice(&part);
        }
        let status = |headers: &HeaderMap| headers.get("grpc-status").cloned();
        let last = body.trailers().await?;
        Ok((
            status(&head.headers).or(last.as_ref().and_then(status)),
            message.freeze(),
        ))
    }
}
