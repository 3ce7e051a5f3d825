//! The node's own DNS server: passes questions on to the node's resolvers, keeps their answers, knows the cluster's
//! members by name.
//!
//! It is for programs of the node, and, if they are sent to it, for pods (through cluster DNS). It understands only
//! what it has to of messages ([`dns::wire`]).

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use dns::wire::{self, Code, Query, Question};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::{Semaphore, watch};

use crate::logs::lock;

/// How many answers are kept at most; at a few hundred bytes each, a megabyte.
const KEPT: usize = 4096;
/// Longest time an answer is kept, whatever it says.
const LONGEST_TTL: u32 = 3600;
/// How long a member's address may be kept by who asked for it.
const MEMBER_TTL: u32 = 10;
/// How long one server may take over UDP. Askers give up after five seconds, so two servers can be asked.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// How long a connection may be silent.
const TCP_IDLE: Duration = Duration::from_secs(10);
/// Questions and connections that are served at once; more are dropped, and asked again by whoever cares.
const AT_ONCE: usize = 512;

/// What it answers from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Servers, in order.
    pub upstreams: Vec<SocketAddr>,
    /// Addresses by name, in lower case.
    pub names: BTreeMap<String, Vec<IpAddr>>,
}

/// Which of the servers answered last time.
pub type Health = BTreeMap<SocketAddr, bool>;

struct Kept {
    message: Vec<u8>,
    since: Instant,
    ttl: Duration,
}

/// Answers questions.
pub struct Forwarder {
    settings: watch::Receiver<Settings>,
    health: watch::Sender<Health>,
    kept: Mutex<HashMap<Question, Kept>>,
    slots: Arc<Semaphore>,
    seed: RandomState,
}

impl Forwarder {
    /// A server that answers from settings as they are at the time, and tells how its own servers do.
    pub fn new(settings: watch::Receiver<Settings>, health: watch::Sender<Health>) -> Self {
        Self {
            settings,
            health,
            kept: Mutex::default(),
            slots: Arc::new(Semaphore::new(AT_ONCE)),
            seed: RandomState::new(),
        }
    }

    /// The whole answer to a message; `None` if it is no question.
    pub async fn answer(&self, message: &[u8]) -> Option<(Query, Vec<u8>)> {
        let query = wire::query(message)?;
        let settings = self.settings.borrow().clone();
        let question = &query.question;
        if (question.wants_v4() || question.wants_v6())
            && let Some(addresses) = settings.names.get(&question.name)
        {
            let reply = wire::reply(message, &query, Code::NoError, addresses, MEMBER_TTL);
            return Some((query, reply));
        }
        if let Some(kept) = self.recall(&query) {
            return Some((query, kept));
        }
        let answer = match self.forward(message, &query, &settings.upstreams).await {
            Some(answer) => answer,
            None => wire::reply(message, &query, Code::ServerFailure, &[], 0),
        };
        Some((query, answer))
    }

    fn recall(&self, query: &Query) -> Option<Vec<u8>> {
        let kept = lock(&self.kept);
        let found = kept.get(&query.question)?;
        let age = found.since.elapsed();
        let seconds = u32::try_from(age.as_secs()).unwrap_or(u32::MAX);
        (age < found.ttl).then(|| wire::aged(&found.message, query.id, seconds))
    }

    fn keep(&self, question: &Question, message: &[u8], ttl: u32) {
        let entry = Kept {
            message: message.to_vec(),
            since: Instant::now(),
            ttl: Duration::from_secs(ttl.min(LONGEST_TTL).into()),
        };
        let mut kept = lock(&self.kept);
        if kept.len() >= KEPT && !kept.contains_key(question) {
            kept.retain(|_, entry| entry.since.elapsed() < entry.ttl);
        }
        if kept.len() >= KEPT
            && let Some(oldest) = kept.iter().min_by_key(|(_, entry)| entry.since).map(|(q, _)| q.clone())
        {
            kept.remove(&oldest);
        }
        kept.insert(question.clone(), entry);
    }

    /// Asks the servers in turn, those that answered last time first.
    async fn forward(&self, message: &[u8], query: &Query, upstreams: &[SocketAddr]) -> Option<Vec<u8>> {
        let health = self.health.borrow().clone();
        let mut upstreams = upstreams.to_vec();
        upstreams.sort_by_key(|server| !health.get(server).copied().unwrap_or(true));
        let mut refusal = None;
        for server in upstreams {
            let asked = self.ask(message, query, server).await;
            self.tell(server, asked.is_ok());
            match asked {
                Ok((answer, reply)) if matches!(answer.code, 0 | 3) => {
                    if let Some(ttl) = answer.ttl.filter(|ttl| *ttl > 0 && !answer.truncated) {
                        self.keep(&query.question, &reply, ttl);
                    }
                    return Some(reply);
                }
                // It cannot help; another may.
                Ok((_, reply)) => drop(refusal.get_or_insert(reply)),
                Err(error) => tracing::debug!(%server, %error, "a name server does not answer"),
            }
        }
        refusal
    }

    fn tell(&self, server: SocketAddr, healthy: bool) {
        self.health.send_if_modified(|health| {
            let known: Vec<SocketAddr> = self.settings.borrow().upstreams.clone();
            health.retain(|server, _| known.contains(server));
            health.insert(server, healthy) != Some(healthy)
        });
    }

    /// One question to one server; the reply has the asker's number.
    async fn ask(&self, message: &[u8], query: &Query, server: SocketAddr) -> io::Result<(wire::Answer, Vec<u8>)> {
        let id = self.random_id();
        let onward = wire::onward(message, query, id);
        let (answer, mut reply) = tokio::time::timeout(ANSWER_WITHIN, ask_udp(&onward, query, id, server)).await??;
        let (answer, mut reply) = if answer.truncated {
            match tokio::time::timeout(ANSWER_WITHIN, ask_tcp(&onward, query, id, server)).await {
                Ok(Ok(whole)) => whole,
                // What fitted is still an answer.
                _ => (answer, std::mem::take(&mut reply)),
            }
        } else {
            (answer, reply)
        };
        wire::set_id(&mut reply, query.id);
        Ok((answer, reply))
    }

    /// A number that another sender cannot guess: the hasher's keys are from the kernel.
    fn random_id(&self) -> u16 {
        static COUNT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
        let mut hasher = self.seed.build_hasher();
        hasher.write_u64(COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
        (hasher.finish() & 0xffff) as u16
    }

    /// Answers datagrams until the socket breaks.
    ///
    /// # Errors
    /// The socket cannot be read any more.
    pub async fn serve_udp(self: Arc<Self>, socket: Arc<UdpSocket>) -> io::Result<()> {
        let mut buffer = vec![0u8; 4096];
        loop {
            let (length, from) = match socket.recv_from(&mut buffer).await {
                Ok(received) => received,
                // An earlier answer went to a port that nobody listens on any more.
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => continue,
                Err(error) => return Err(error),
            };
            let Ok(slot) = self.slots.clone().try_acquire_owned() else {
                continue;
            };
            let (message, server, socket) = (buffer[..length].to_vec(), self.clone(), socket.clone());
            tokio::spawn(async move {
                let _slot = slot;
                if let Some((query, answer)) = server.answer(&message).await
                    && let Err(error) = socket.send_to(&wire::fitting(answer, &query), from).await
                {
                    tracing::debug!(%from, %error, "a DNS answer was not sent");
                }
            });
        }
    }

    /// Answers over connections until the listener breaks.
    ///
    /// # Errors
    /// No connection can be taken any more.
    pub async fn serve_tcp(self: Arc<Self>, listener: TcpListener) -> io::Result<()> {
        loop {
            let mut stream = match listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
                Err(error) => return Err(error),
            };
            let Ok(slot) = self.slots.clone().try_acquire_owned() else {
                continue;
            };
            let server = self.clone();
            tokio::spawn(async move {
                let _slot = slot;
                // A connection that ends or is silent is over; there is nobody to tell.
                while let Ok(Ok(true)) = tokio::time::timeout(TCP_IDLE, server.exchange(&mut stream)).await {}
            });
        }
    }

    /// One question and answer on a connection; false if it was no question.
    async fn exchange(&self, stream: &mut TcpStream) -> io::Result<bool> {
        let message = read_framed(stream).await?;
        let Some((_, answer)) = self.answer(&message).await else {
            return Ok(false);
        };
        write_framed(stream, &answer).await?;
        Ok(true)
    }
}

fn unspecified(server: SocketAddr) -> SocketAddr {
    let any: IpAddr = if server.is_ipv4() {
        Ipv4Addr::UNSPECIFIED.into()
    } else {
        Ipv6Addr::UNSPECIFIED.into()
    };
    SocketAddr::new(any, 0)
}

async fn ask_udp(onward: &[u8], query: &Query, id: u16, server: SocketAddr) -> io::Result<(wire::Answer, Vec<u8>)> {
    let socket = UdpSocket::bind(unspecified(server)).await?;
    socket.connect(server).await?;
    socket.send(onward).await?;
    let mut buffer = vec![0u8; 4096];
    loop {
        let length = socket.recv(&mut buffer).await?;
        // Anything but the answer to this question is somebody else's, or a lie.
        if let Some(answer) = wire::answer(&buffer[..length], query, id) {
            buffer.truncate(length);
            return Ok((answer, buffer));
        }
    }
}

async fn ask_tcp(onward: &[u8], query: &Query, id: u16, server: SocketAddr) -> io::Result<(wire::Answer, Vec<u8>)> {
    let mut stream = TcpStream::connect(server).await?;
    write_framed(&mut stream, onward).await?;
    let reply = read_framed(&mut stream).await?;
    let answer = wire::answer(&reply, query, id).ok_or_else(|| io::Error::other("not an answer to the question"))?;
    Ok((answer, reply))
}

async fn read_framed(stream: &mut (impl AsyncReadExt + Unpin)) -> io::Result<Vec<u8>> {
    let length = stream.read_u16().await?;
    let mut message = vec![0u8; length.into()];
    stream.read_exact(&mut message).await?;
    Ok(message)
}

async fn write_framed(stream: &mut (impl AsyncWriteExt + Unpin), message: &[u8]) -> io::Result<()> {
    let length = u16::try_from(message.len()).map_err(io::Error::other)?;
    let mut framed = length.to_be_bytes().to_vec();
    framed.extend_from_slice(message);
    stream.write_all(&framed).await
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// A question for addresses of IPv4.
    fn question(name: &str) -> Vec<u8> {
        let mut message = vec![0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        for label in name.split('.') {
            message.push(u8::try_from(label.len()).unwrap());
            message.extend(label.as_bytes());
        }
        message.extend([0, 0, 1, 0, 1]);
        message
    }

    /// A name server that knows every name by one address, and counts its questions.
    async fn upstream(count: Arc<AtomicUsize>) -> SocketAddr {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        tokio::spawn(async move {
            let mut buffer = [0u8; 4096];
            while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
                count.fetch_add(1, Ordering::Relaxed);
                let message = &buffer[..length];
                let query = wire::query(message).unwrap();
                let reply = wire::reply(message, &query, Code::NoError, &["10.9.9.9".parse().unwrap()], 60);
                socket.send_to(&reply, from).await.unwrap();
            }
        });
        address
    }

    fn forwarder(upstreams: Vec<SocketAddr>) -> (Arc<Forwarder>, watch::Receiver<Health>) {
        let names = BTreeMap::from([("worker-1".to_owned(), vec!["10.5.0.3".parse().unwrap()])]);
        let (settings, health) = (
            watch::channel(Settings { upstreams, names }).1,
            watch::channel(Health::new()),
        );
        (Arc::new(Forwarder::new(settings, health.0)), health.1)
    }

    async fn addresses(forwarder: &Forwarder, name: &str) -> Vec<String> {
        let (query, answer) = forwarder.answer(&question(name)).await.unwrap();
        assert!(wire::answer(&answer, &query, 7).is_some());
        wire::addresses(&answer).iter().map(ToString::to_string).collect()
    }

    #[tokio::test]
    async fn answers_are_kept_and_members_are_known_by_name() {
        let count = Arc::new(AtomicUsize::new(0));
        let (forwarder, _health) = forwarder(vec![upstream(count.clone()).await]);
        assert_eq!(addresses(&forwarder, "example.com").await, ["10.9.9.9"]);
        assert_eq!(addresses(&forwarder, "EXAMPLE.com").await, ["10.9.9.9"]);
        assert_eq!(count.load(Ordering::Relaxed), 1);
        assert_eq!(addresses(&forwarder, "worker-1").await, ["10.5.0.3"]);
        assert_eq!(count.load(Ordering::Relaxed), 1);
        assert!(forwarder.answer(b"nonsense").await.is_none());
    }

    #[tokio::test]
    async fn a_server_that_does_not_answer_is_passed_over_and_told_of() {
        let (dead, count) = (
            UdpSocket::bind("127.0.0.1:0").await.unwrap(),
            Arc::new(AtomicUsize::new(0)),
        );
        let (dead_address, alive) = (dead.local_addr().unwrap(), upstream(count).await);
        // A closed port refuses at once; one that is silent costs the wait.
        drop(dead);
        let (forwarder, health) = forwarder(vec![dead_address, alive]);
        assert_eq!(addresses(&forwarder, "example.com").await, ["10.9.9.9"]);
        assert_eq!(*health.borrow(), Health::from([(dead_address, false), (alive, true)]));
        let (forwarder, _health) = super::tests::forwarder(vec![]);
        let (query, answer) = forwarder.answer(&question("example.com")).await.unwrap();
        assert_eq!(
            wire::answer(&answer, &query, 7).unwrap().code,
            Code::ServerFailure as u8
        );
    }

    #[tokio::test]
    async fn it_answers_over_datagrams_and_connections() {
        let (forwarder, _health) = forwarder(vec![]);
        let socket = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (udp, tcp) = (socket.local_addr().unwrap(), listener.local_addr().unwrap());
        tokio::spawn(forwarder.clone().serve_udp(socket));
        tokio::spawn(forwarder.serve_tcp(listener));
        let message = question("worker-1");
        let query = wire::query(&message).unwrap();
        let (_, reply) = ask_udp(&message, &query, 7, udp).await.unwrap();
        assert_eq!(wire::addresses(&reply).len(), 1);
        let (_, reply) = ask_tcp(&message, &query, 7, tcp).await.unwrap();
        assert_eq!(wire::addresses(&reply).len(), 1);
    }

    #[test]
    fn the_number_of_kept_answers_is_bounded() {
        let (forwarder, _health) = forwarder(vec![]);
        for number in 0..KEPT + 10 {
            let query = wire::query(&question(&format!("n{number}"))).unwrap();
            forwarder.keep(&query.question, b"", 60);
        }
        assert_eq!(lock(&forwarder.kept).len(), KEPT);
    }
}
