//! The node's own balancer for the Kubernetes API: 127.0.0.1:7445 to whichever API server answers.
//!
//! It copies bytes and knows nothing of TLS, so the kubelet and kube-proxy of every node need one address that never
//! changes, whatever happens to control planes.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};

use crate::logs::lock;

/// How long one attempt to reach an API server may take (the interface's dial timeout).
const DIAL_TIMEOUT: Duration = Duration::from_secs(15);
/// Time between health checks (the interface's interval), and while nothing has answered yet.
const CHECK_INTERVAL: Duration = Duration::from_secs(20);
/// The interval while some upstream does not answer: recovery should not wait for the long one.
const CHECK_INTERVAL_UNHEALTHY: Duration = Duration::from_millis(500);
/// How long a health check waits for a connection.
const CHECK_TIMEOUT: Duration = Duration::from_secs(3);
/// Connections served at once; more wait. A node has a few dozen clients of the API.
const CONNECTIONS: usize = 4096;

/// Where API servers may be, in the order they are preferred.
pub type Upstreams = Vec<SocketAddr>;

/// What is known of the upstreams: healthy or not.
pub type Health = BTreeMap<SocketAddr, bool>;

/// Serves connections until dropped; reports which upstreams answer through `health`.
///
/// # Errors
/// The address cannot be listened on.
pub async fn serve(
    listener: TcpListener,
    upstreams: watch::Receiver<Upstreams>,
    health: watch::Sender<Health>,
) -> std::io::Result<()> {
    let state = Arc::new(State {
        health,
        last: Mutex::new(None),
    });
    let checker = tokio::spawn(check(upstreams.clone(), state.clone()));
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
        let candidates = upstreams.borrow().clone();
        let state = state.clone();
        tokio::spawn(async move {
            let _slot = slot;
            forward(client, candidates, &state).await;
        });
    }
}

struct State {
    health: watch::Sender<Health>,
    last: Mutex<Option<SocketAddr>>,
}

impl State {
    fn mark(&self, upstream: SocketAddr, healthy: bool) {
        self.health
            .send_if_modified(|h| h.insert(upstream, healthy) != Some(healthy));
    }

    /// The order to try: what worked last, then healthy ones, then the rest, which may have come back.
    fn order(&self, mut candidates: Upstreams) -> Upstreams {
        let last = *lock(&self.last);
        let health = self.health.borrow();
        candidates.sort_by_key(|c| (!health.get(c).copied().unwrap_or_default(), Some(*c) != last));
        candidates
    }
}

struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn forward(mut client: TcpStream, candidates: Upstreams, state: &State) {
    for upstream in state.order(candidates) {
        match tokio::time::timeout(DIAL_TIMEOUT, TcpStream::connect(upstream)).await {
            Ok(Ok(mut server)) => {
                state.mark(upstream, true);
                *lock(&state.last) = Some(upstream);
                let _ = client.set_nodelay(true);
                let _ = server.set_nodelay(true);
                // Either side closing is how a connection ends; there is nobody to tell.
                let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
                return;
            }
            Ok(Err(_)) | Err(_) => state.mark(upstream, false),
        }
    }
}

async fn check(mut upstreams: watch::Receiver<Upstreams>, state: Arc<State>) {
    loop {
        let candidates = upstreams.borrow_and_update().clone();
        state.health.send_if_modified(|h| {
            let before = h.len();
            h.retain(|known, _| candidates.contains(known));
            h.len() != before
        });
        let mut all_healthy = !candidates.is_empty();
        for upstream in candidates {
            let answered = tokio::time::timeout(CHECK_TIMEOUT, TcpStream::connect(upstream)).await;
            let healthy = matches!(answered, Ok(Ok(_)));
            all_healthy &= healthy;
            state.mark(upstream, healthy);
        }
        let pause = if all_healthy {
            CHECK_INTERVAL
        } else {
            CHECK_INTERVAL_UNHEALTHY
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            changed = upstreams.changed() => if changed.is_err() { return },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

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

    async fn ask(address: SocketAddr) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn a_connection_goes_to_a_server_that_answers_and_moves_on_when_it_is_gone() {
        let (a, a_task) = server("a").await;
        let (b, _b_task) = server("b").await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (_upstreams, receiver) = watch::channel(vec![a, b]);
        let (health, mut seen) = watch::channel(Health::new());
        tokio::spawn(serve(listener, receiver, health));

        assert_eq!(ask(address).await, "a");
        a_task.abort();
        let _ = a_task.await;
        assert_eq!(ask(address).await, "b");
        let health = seen.wait_for(|h| h.get(&a) == Some(&false)).await.unwrap();
        assert_eq!(health.get(&b), Some(&true));
    }
}
