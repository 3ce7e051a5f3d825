//! Watchers, and how long a change takes to reach them: each with a connection of its own, as nodes have, or as streams
//! of a few connections, as clients of a proxy are.
//!
//! They read frames of HTTP/2 by themselves, in one thread that does nothing else: a thousand of them share two
//! processors with the service, and elsewhere they would be a thousand machines.

use std::collections::HashMap;
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use bytes::{BufMut, BytesMut};
use discovery_client::proto::server::WatchRequest;
use rustix::buffer::spare_capacity;
use rustix::event::epoll;
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
pub async fn rounds(
    address: SocketAddr,
    watchers: usize,
    connections: usize,
    rounds: usize,
) -> crate::Result<Vec<Vec<Duration>>> {
    // One cluster, which the measurement of memory does not know.
    let mut change = crate::affiliate(0, 1, 0);
    change.cluster_id = "watched".to_owned();
    let mut readers = Readers::new()?;
    for number in 0..connections {
        let streams = (watchers - number).div_ceil(connections);
        readers.add(subscribe(address, &change.cluster_id, streams)?)?;
    }
    let (send, mut seen) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        readers
            .read(watchers, &send)
            .inspect_err(|error| eprintln!("read: {error}"))
    });
    let connection = Connection::open(address).await?;
    let mut all = Vec::new();
    // A run before this one may have left the affiliate as it likes.
    let turn = std::time::UNIX_EPOCH.elapsed()?.as_millis() as u64;
    // The first message is what is there.
    all_have_it(&mut seen).await?;
    for round in 0..=rounds {
        tokio::time::sleep(Duration::from_millis(50)).await;
        change.affiliate_data = crate::affiliate(0, 1, turn + round as u64).affiliate_data;
        let began = Instant::now();
        let (called, times) = tokio::join!(connection.call("AffiliateUpdate", &change), all_have_it(&mut seen));
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

/// When each of them had a message.
async fn all_have_it(seen: &mut mpsc::UnboundedReceiver<Vec<Instant>>) -> crate::Result<Vec<Instant>> {
    let times = tokio::time::timeout(Duration::from_secs(10), seen.recv()).await?;
    Ok(times.ok_or("a watcher ended")?)
}

/// Connects, and watches a cluster so many times.
fn subscribe(address: SocketAddr, cluster_id: &str, streams: usize) -> crate::Result<TcpStream> {
    let mut connection = TcpStream::connect(address)?;
    connection.set_nodelay(true)?;
    let mut out = BytesMut::from(&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..]);
    // The window of a stream is 16 MiB, that of the connection almost 2 GiB: no more has to be given.
    put_frame(&mut out, SETTINGS, 0, 0, &[0, 4, 1, 0, 0, 0]);
    put_frame(&mut out, WINDOW_UPDATE, 0, 0, &[0x7f, 0, 0, 0]);
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
    let cluster_id = cluster_id.to_owned();
    let request = frame(&WatchRequest { cluster_id });
    for number in 0..streams as u32 {
        let stream = 2 * number + 1;
        put_frame(&mut out, HEADERS, END_HEADERS, stream, &headers);
        put_frame(&mut out, 0, END_STREAM, stream, &request);
    }
    connection.write_all(&out)?;
    Ok(connection)
}

fn put_frame(out: &mut BytesMut, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    out.put_uint(payload.len() as u64, 3);
    out.put_u8(kind);
    out.put_u8(flags);
    out.put_u32(stream);
    out.put_slice(payload);
}

/// The connections of all watchers.
struct Readers {
    ready: OwnedFd,
    connections: Vec<Reader>,
}

/// One connection: what it has of a frame that is not whole, and of the message of each of its streams.
struct Reader {
    connection: TcpStream,
    rest: BytesMut,
    streams: HashMap<u32, Message>,
}

/// Where the reading of a message is.
#[derive(Default)]
struct Message {
    head: Vec<u8>,
    missing: usize,
}

impl Readers {
    fn new() -> crate::Result<Readers> {
        let ready = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        Ok(Readers {
            ready,
            connections: Vec::new(),
        })
    }

    fn add(&mut self, connection: TcpStream) -> crate::Result<()> {
        connection.set_nonblocking(true)?;
        let number = epoll::EventData::new_u64(self.connections.len() as u64);
        epoll::add(
            &self.ready,
            &connection,
            number,
            epoll::EventFlags::IN | epoll::EventFlags::ET,
        )?;
        self.connections.push(Reader {
            connection,
            rest: BytesMut::new(),
            streams: HashMap::new(),
        });
        Ok(())
    }

    /// Reads, and tells whenever so many messages were there when each of them was.
    fn read(&mut self, watchers: usize, seen: &mpsc::UnboundedSender<Vec<Instant>>) -> crate::Result<()> {
        let (mut events, mut times) = (Vec::with_capacity(64), Vec::new());
        let mut bytes = vec![0; 64 * 1024];
        loop {
            events.clear();
            epoll::wait(&self.ready, spare_capacity(&mut events), None)?;
            for event in &events {
                let reader = &mut self.connections[event.data.u64() as usize];
                while let Some(more) = reader.take(&mut bytes)? {
                    let now = Instant::now();
                    let messages = reader.messages(&bytes[..more])?;
                    times.extend(std::iter::repeat_n(now, messages));
                    if more < bytes.len() {
                        break;
                    }
                }
            }
            if times.len() >= watchers && seen.send(std::mem::take(&mut times)).is_err() {
                return Ok(());
            }
        }
    }
}

impl Reader {
    /// Reads what is there; None if there is nothing.
    fn take(&mut self, bytes: &mut [u8]) -> crate::Result<Option<usize>> {
        match rustix::io::read(&self.connection, bytes) {
            Ok(0) => Err("the service closed a connection".into()),
            Ok(more) => Ok(Some(more)),
            Err(rustix::io::Errno::AGAIN) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// How many messages end in these bytes.
    fn messages(&mut self, bytes: &[u8]) -> crate::Result<usize> {
        let joined;
        let mut bytes = match self.rest.is_empty() {
            true => bytes,
            false => {
                self.rest.extend_from_slice(bytes);
                joined = std::mem::take(&mut self.rest);
                &joined[..]
            }
        };
        let (mut ended, mut answer) = (0, BytesMut::new());
        while let Some((header, after)) = bytes.split_first_chunk::<9>() {
            let length = u32::from_be_bytes([0, header[0], header[1], header[2]]) as usize;
            let Some((payload, after)) = after.split_at_checked(length) else {
                break;
            };
            let stream = u32::from_be_bytes([header[5], header[6], header[7], header[8]]);
            match (header[3], header[4] & ACK != 0) {
                (0, _) => ended += self.streams.entry(stream).or_default().read(payload),
                (SETTINGS, false) => put_frame(&mut answer, SETTINGS, ACK, 0, &[]),
                (PING, false) => put_frame(&mut answer, PING, ACK, 0, payload),
                _ => {}
            }
            bytes = after;
        }
        self.rest.extend_from_slice(bytes);
        if !answer.is_empty() {
            self.connection.write_all(&answer)?;
        }
        Ok(ended)
    }
}

impl Message {
    /// How many messages end in this payload of a frame.
    fn read(&mut self, mut payload: &[u8]) -> usize {
        let mut ended = 0;
        while !payload.is_empty() {
            if self.missing == 0 {
                let (more, after) = payload.split_at((5 - self.head.len()).min(payload.len()));
                self.head.extend_from_slice(more);
                payload = after;
                let Ok([_, length @ ..]) = <[u8; 5]>::try_from(&self.head[..]) else {
                    break;
                };
                self.head.clear();
                self.missing = u32::from_be_bytes(length) as usize;
            }
            let part = self.missing.min(payload.len());
            (self.missing, payload) = (self.missing - part, &payload[part..]);
            ended += usize::from(self.missing == 0);
        }
        ended
    }
}
