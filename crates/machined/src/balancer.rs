//! The node's own balancer for the Kubernetes API: 127.0.0.1:7445 to an API server that is ready.
//!
//! It copies bytes and terminates no TLS, so the kubelet and kube-proxy of every node need one address that never
//! changes, whatever happens to control planes. Which API servers are ready it is told by a probe.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::{BoxFuture, join_all};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, Semaphore, watch};
use tokio::time::Instant;

use crate::logs::lock;

/// How long one attempt to reach an API server may take (the interface's dial timeout).
const DIAL_TIMEOUT: Duration = Duration::from_secs(15);
/// Time between health checks (the interface's interval).
const CHECK_INTERVAL: Duration = Duration::from_secs(20);
/// The interval while some upstream is not ready: recovery should not wait for the long one.
const CHECK_INTERVAL_UNHEALTHY: Duration = Duration::from_millis(500);
/// The interval while this node's own API server is not ready. Nobody but this node is bothered by it, and everything
/// on it waits for that.
const CHECK_INTERVAL_LOCAL: Duration = Duration::from_millis(50);
/// How long a health check waits for a connection.
const CHECK_TIMEOUT: Duration = Duration::from_secs(3);
/// An upstream that listens for so long is used even if it does not say that it is ready: something that does not know
/// the question may stand before the API servers.
const GRACE: Duration = Duration::from_secs(15);
/// How long a connection is held while no API server is ready yet. A client that is let go at once waits longer and longer
/// between its attempts: kubelets that start together with their cluster would work seconds after they could. Once there
/// has been a ready one, connections are refused while there is none: the kubelet that has to start a new API server asks
/// the old one about its pods first, and would be held as well.
const HOLD: Duration = Duration::from_secs(30);
/// Connections served at once; more wait. A node has a few dozen clients of the API.
const CONNECTIONS: usize = 4096;

/// Where API servers may be, in the order they are preferred.
pub type Upstreams = Vec<SocketAddr>;

/// How far an upstream is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Readiness {
    /// It does not answer, or not as an API server that works does.
    No,
    /// It answers, and has no roles yet: who needs none can use it. Control planes that are made anew are this for a few
    /// seconds, and a kubelet, whose rights are no roles, can register meanwhile.
    WithoutRoles,
    /// It is ready.
    Yes,
}

/// What is known of the upstreams.
pub type Health = BTreeMap<SocketAddr, Readiness>;

/// Asks an upstream how far it is.
pub type Probe = Arc<dyn Fn(SocketAddr) -> BoxFuture<'static, Readiness> + Send + Sync>;

/// Serves connections until dropped; reports which upstreams are ready through `health`.
///
/// # Errors
/// The address cannot be listened on.
pub async fn serve(
    listener: TcpListener,
    upstreams: watch::Receiver<Upstreams>,
    health: watch::Sender<Health>,
    probe: Probe,
) -> std::io::Result<()> {
    let state = Arc::new(State {
        health,
        last: Mutex::new(None),
        failed: Notify::new(),
        started: AtomicBool::new(false),
    });
    let checker = tokio::spawn(check(upstreams.clone(), state.clone(), probe));
    let _stop_checking = AbortOnDrop(checker);
    let slots = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(slot) = slots.clone().acquire_owned().await else {
            return Ok(());
        };
        let (client, _) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of descriptors is the usual reason; trying again at once would only burn CPU.
                tracing::warn!(%error, "accepting a connection to the API balancer failed");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let upstreams = upstreams.clone();
        let state = state.clone();
        tokio::spawn(async move {
            let _slot = slot;
            forward(client, &upstreams, &state).await;
        });
    }
}

struct State {
    health: watch::Sender<Health>,
    /// The upstream of the newest connection: what works is kept.
    last: Mutex<Option<SocketAddr>>,
    /// An upstream that was ready did not answer: worth a look before the interval is over.
    failed: Notify,
    /// There has been an upstream that was ready.
    started: AtomicBool,
}

impl State {
    fn mark(&self, upstream: SocketAddr, ready: Readiness) {
        self.started.fetch_or(ready == Readiness::Yes, Ordering::Relaxed);
        self.health
            .send_if_modified(|h| h.insert(upstream, ready) != Some(ready));
    }

    /// The upstreams that can be used: what worked last, then in the order of preference. One without roles is used only
    /// before there has been one with: later it is one that starts again, and others can do more.
    fn usable(&self, candidates: &Upstreams) -> Upstreams {
        let last = *lock(&self.last);
        let least = if self.started.load(Ordering::Relaxed) {
            Readiness::Yes
        } else {
            Readiness::WithoutRoles
        };
        let health = self.health.borrow();
        let mut ready: Upstreams = candidates
            .iter()
            .filter(|c| health.get(c).is_some_and(|readiness| *readiness >= least))
            .copied()
            .collect();
        ready.sort_by_key(|c| Some(*c) != last);
        ready
    }
}

struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Serves a connection by the first API server that is ready, and holds it for a while if none has been yet.
async fn forward(mut client: TcpStream, upstreams: &watch::Receiver<Upstreams>, state: &State) {
    let deadline = Instant::now() + HOLD;
    let mut health = state.health.subscribe();
    loop {
        health.mark_unchanged();
        let candidates = upstreams.borrow().clone();
        if let Some(mut server) = connect(&candidates, state).await {
            let _ = client.set_nodelay(true);
            let _ = server.set_nodelay(true);
            // Either side closing is how a connection ends; there is nobody to tell.
            let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            return;
        }
        if state.started.load(Ordering::Relaxed) {
            return;
        }
        tokio::select! {
            changed = health.changed() => if changed.is_err() { return },
            () = has_gone(&client) => return,
            () = tokio::time::sleep_until(deadline) => return,
        }
    }
}

/// Ends when the client closes the connection; never for one that has sent something, which waits to be read.
async fn has_gone(client: &TcpStream) {
    if matches!(client.peek(&mut [0]).await, Ok(1..)) {
        std::future::pending::<()>().await;
    }
}

/// A connection to the first upstream that is ready and answers.
async fn connect(candidates: &Upstreams, state: &State) -> Option<TcpStream> {
    for upstream in state.usable(candidates) {
        match tokio::time::timeout(DIAL_TIMEOUT, TcpStream::connect(upstream)).await {
            Ok(Ok(server)) => {
                *lock(&state.last) = Some(upstream);
                return Some(server);
            }
            Ok(Err(_)) | Err(_) => {
                state.mark(upstream, Readiness::No);
                state.failed.notify_one();
            }
        }
    }
    None
}

/// Keeps the health of the upstreams up to date.
async fn check(mut upstreams: watch::Receiver<Upstreams>, state: Arc<State>, probe: Probe) {
    let mut listening = BTreeMap::new();
    loop {
        let candidates = upstreams.borrow_and_update().clone();
        listening.retain(|known, _| candidates.contains(known));
        state.health.send_if_modified(|h| {
            let before = h.len();
            h.retain(|known, _| candidates.contains(known));
            h.len() != before
        });
        let answers = join_all(candidates.iter().map(|upstream| ask(*upstream, &probe))).await;
        let mut pause = CHECK_INTERVAL;
        for (upstream, answer) in candidates.into_iter().zip(answers) {
            let ready = match answer {
                None => Readiness::No,
                Some(Readiness::Yes) => Readiness::Yes,
                Some(less) => {
                    let since = listening.entry(upstream).or_insert_with(Instant::now);
                    if since.elapsed() >= GRACE { Readiness::Yes } else { less }
                }
            };
            if matches!(answer, None | Some(Readiness::Yes)) {
                listening.remove(&upstream);
            }
            if ready != Readiness::Yes {
                let own = upstream.ip().is_loopback();
                pause = pause.min(if own {
                    CHECK_INTERVAL_LOCAL
                } else {
                    CHECK_INTERVAL_UNHEALTHY
                });
            }
            state.mark(upstream, ready);
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = state.failed.notified() => {}
            changed = upstreams.changed() => if changed.is_err() { return },
        }
    }
}

/// None: nobody listens.
async fn ask(upstream: SocketAddr, probe: &Probe) -> Option<Readiness> {
    match tokio::time::timeout(CHECK_TIMEOUT, TcpStream::connect(upstream)).await {
        Ok(Ok(_)) => {}
        Ok(Err(_)) | Err(_) => return None,
    }
    let said = tokio::time::timeout(CHECK_TIMEOUT, probe(upstream)).await;
    Some(said.unwrap_or(Readiness::No))
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// A server that says its name to whoever connects.
    async fn server(name: &'static str) -> (SocketAddr, tokio::task::JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let _ = stream.write_all(name.as_bytes()).await;
            }
        });
        (address, task)
    }

    type Unready = Arc<Mutex<BTreeMap<SocketAddr, Readiness>>>;

    /// A balancer's address, and what it knows of its upstreams, of which some are not ready.
    async fn balancer(upstreams: Upstreams, unready: &Unready) -> (SocketAddr, watch::Receiver<Health>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let probed = unready.clone();
        let probe: Probe = Arc::new(move |upstream| {
            let ready = lock(&probed).get(&upstream).copied().unwrap_or(Readiness::Yes);
            async move { ready }.boxed()
        });
        let (sender, receiver) = watch::channel(upstreams);
        let (health, seen) = watch::channel(Health::new());
        tokio::spawn(async move {
            let _upstreams = sender;
            serve(listener, receiver, health, probe).await
        });
        (address, seen)
    }

    async fn ask_name(address: SocketAddr) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn a_connection_goes_to_a_server_that_answers_and_moves_on_when_it_is_gone() {
        let (a, a_task) = server("a").await;
        let (b, _b_task) = server("b").await;
        let (address, mut seen) = balancer(vec![a, b], &Unready::default()).await;

        assert_eq!(ask_name(address).await, "a");
        a_task.abort();
        let _ = a_task.await;
        assert_eq!(ask_name(address).await, "b");
        let health = seen.wait_for(|h| h.get(&a) == Some(&Readiness::No)).await.unwrap();
        assert_eq!(health.get(&b), Some(&Readiness::Yes));
    }

    #[tokio::test]
    async fn a_connection_is_held_until_a_server_is_ready() {
        let (a, task) = server("a").await;
        let unready = Unready::default();
        lock(&unready).insert(a, Readiness::No);
        let (address, _) = balancer(vec![a], &unready).await;
        let asked = tokio::spawn(ask_name(address));
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert!(!asked.is_finished());
        lock(&unready).clear();
        assert_eq!(asked.await.unwrap(), "a");

        // From then on nobody is held.
        task.abort();
        let _ = task.await;
        assert_eq!(ask_name(address).await, "");
    }

    #[tokio::test]
    async fn a_server_without_roles_is_used_until_there_has_been_a_ready_one() {
        let (a, _a_task) = server("a").await;
        let unready = Unready::default();
        lock(&unready).insert(a, Readiness::WithoutRoles);
        let (address, mut seen) = balancer(vec![a], &unready).await;
        assert_eq!(ask_name(address).await, "a");
        lock(&unready).clear();
        seen.wait_for(|h| h.get(&a) == Some(&Readiness::Yes)).await.unwrap();

        lock(&unready).insert(a, Readiness::WithoutRoles);
        let (b, _b_task) = server("b").await;
        lock(&unready).insert(b, Readiness::WithoutRoles);
        let (address, mut seen) = balancer(vec![a, b], &unready).await;
        seen.wait_for(|h| h.len() == 2).await.unwrap();
        lock(&unready).remove(&b);
        seen.wait_for(|h| h.get(&b) == Some(&Readiness::Yes)).await.unwrap();
        assert_eq!(ask_name(address).await, "b");
    }
}
