//! Watchers, each with a connection of its own as nodes have, and how long a change takes to reach them.
//!
//! They read frames of HTTP/2 by themselves: a thousand of them share a processor with the service, and should take
//! less of it than the service does.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::{BufMut, BytesMut};
use discovery_client::proto::server::WatchRequest;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use crate::calls::{Connection, frame, path};

const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;
const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// The times of each round, sorted.
pub async fn rounds(address: SocketAddr, watchers: usize, rounds: usize) -> crate::Result<Vec<Vec<Duration>>> {
    // One cluster, which the measurement of memory does not know.
    let mut change = crate::affiliate(0, 1, 0);
    change.cluster_id = "watched".to_owned();
    let (send, mut seen) = mpsc::unbounded_channel();
    for _ in 0..watchers {
        let stream = subscribe(address, &change.cluster_id).await?;
        tokio::spawn(read(stream, send.clone()));
    }
    let connection = Connection::open(address).await?;
    let mut all = Vec::new();
    // The first message is what is there.
    collect(&mut seen, watchers).await?;
    for round in 0..=rounds {
        tokio::time::sleep(Duration::from_millis(50)).await;
        change.affiliate_data = crate::affiliate(0, 1, round as u64 + 1).affiliate_data;
        let began = Instant::now();
        let (called, times) = tokio::join!(
            connection.call("AffiliateUpdate", &change),
            collect(&mut seen, watchers)
        );
        called?;
        let mut times: Vec<Duration> = times?.into_iter().map(|at| at - began).collect();
        times.sort();
        // The first one warms up.
        if round > 0 {
            all.push(times);
        }
    }
    Ok(all)
}

async fn collect(seen: &mut mpsc::UnboundedReceiver<Instant>, wanted: usize) -> crate::Result<Vec<Instant>> {
    let mut times = Vec::with_capacity(wanted);
    while times.len() < wanted {
        let next = tokio::time::timeout(Duration::from_secs(10), seen.recv()).await?;
        times.push(next.ok_or("a watcher ended")?);
    }
    Ok(times)
}

async fn subscribe(address: SocketAddr, cluster_id: &str) -> crate::Result<TcpStream> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let mut out = BytesMut::from(&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..]);
    // The window of a stream: 16 MiB, so that no more has to be given.
    put_frame(&mut out, SETTINGS, 0, 0, &[0, 4, 1, 0, 0, 0]);
    put_frame(&mut out, WINDOW_UPDATE, 0, 0, &[1, 0, 0, 0]);
    // POST and http are in the table of HPACK, as are the names of path, authority and content type.
    let mut headers = BytesMut::from(&[0x83, 0x86][..]);
    for (name, value) in [
        (&[0x04][..], path("Watch").as_str()),
        (&[0x01], "bench"),
        (&[0x0f, 0x10], "application/grpc"),
        (&[0x00, 2, b't', b'e'], "trailers"),
    ] {
        headers.put_slice(name);
        headers.put_u8(value.len() as u8);
        headers.put_slice(value.as_bytes());
    }
    put_frame(&mut out, HEADERS, END_HEADERS, 1, &headers);
    let cluster_id = cluster_id.to_owned();
    put_frame(&mut out, 0, END_STREAM, 1, &frame(&WatchRequest { cluster_id }));
    stream.write_all(&out).await?;
    Ok(stream)
}

fn put_frame(out: &mut BytesMut, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    out.put_uint(payload.len() as u64, 3);
    out.put_u8(kind);
    out.put_u8(flags);
    out.put_u32(stream);
    out.put_slice(payload);
}

/// Tells when each message is there.
async fn read(mut stream: TcpStream, seen: mpsc::UnboundedSender<Instant>) {
    let (mut bytes, mut data) = (BytesMut::with_capacity(4096), BytesMut::new());
    while matches!(stream.read_buf(&mut bytes).await, Ok(1..)) {
        let now = Instant::now();
        let mut answer = BytesMut::new();
        while let Some(header) = bytes.first_chunk::<9>() {
            let length = usize::from(header[0]) << 16 | usize::from(header[1]) << 8 | usize::from(header[2]);
            let (kind, flags) = (header[3], header[4]);
            if bytes.len() < 9 + length {
                break;
            }
            let payload = bytes.split_to(9 + length).split_off(9);
            match kind {
                0 => data.extend_from_slice(&payload),
                SETTINGS if flags & ACK == 0 => put_frame(&mut answer, SETTINGS, ACK, 0, &[]),
                PING if flags & ACK == 0 => put_frame(&mut answer, PING, ACK, 0, &payload),
                _ => {}
            }
        }
        while let Some(head) = data.first_chunk::<5>() {
            let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
            if data.len() < 5 + length {
                break;
            }
            drop(data.split_to(5 + length));
            if seen.send(now).is_err() {
                return;
            }
        }
        if !answer.is_empty() && stream.write_all(&answer).await.is_err() {
            return;
        }
    }
}
