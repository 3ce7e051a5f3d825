//! Waiting for a node, in the same way for the floor and for ours: one process that watches, so that the waiting itself
//! takes nothing from what it waits for.

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

const PAUSE: Duration = Duration::from_millis(20);
/// An attempt made before the address is there gets no answer at all; the next one should not have to wait for it.
const ATTEMPT: Duration = Duration::from_millis(100);

/// A process that ends when it is no longer needed.
pub struct Running(pub Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits until something listens.
pub fn port(address: SocketAddr, deadline: Instant) -> Result<Instant> {
    loop {
        if TcpStream::connect_timeout(&address, ATTEMPT).is_ok() {
            return Ok(Instant::now());
        }
        if Instant::now() > deadline {
            bail!("nothing listens on {address}");
        }
        std::thread::sleep(PAUSE);
    }
}

/// Waits until a file or socket is there.
pub fn file(path: &Path, deadline: Instant) -> Result<Instant> {
    while !path.exists() {
        if Instant::now() > deadline {
            bail!("{} does not appear", path.display());
        }
        std::thread::sleep(PAUSE);
    }
    Ok(Instant::now())
}

/// When the first node was seen, and when it was ready.
pub struct Node {
    /// Its object was there.
    pub registered: Instant,
    /// Its condition was true.
    pub ready: Instant,
}

/// Watches the nodes through the Kubernetes API until one is ready. `started` is told of each watching process.
pub fn node(
    kubectl: &Path,
    kubeconfig: &Path,
    deadline: Instant,
    mut started: impl FnMut(u32) -> Result<()>,
) -> Result<Node> {
    let mut registered = None;
    while Instant::now() < deadline {
        let mut child = Command::new(kubectl)
            .arg("--kubeconfig")
            .arg(kubeconfig)
            .args(["get", "--raw", "/api/v1/nodes?watch=1"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("start {}", kubectl.display()))?;
        let stdout = child.stdout.take().context("no output to read")?;
        let watcher = Running(child);
        started(watcher.0.id())?;
        let (send, events) = channel();
        std::thread::spawn(move || pass_on(BufReader::new(stdout), &send));
        loop {
            match events.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok((at, ready)) => {
                    let registered = *registered.get_or_insert(at);
                    if ready {
                        return Ok(Node { registered, ready: at });
                    }
                }
                // The API server does not answer yet, or not to us.
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => bail!("no node became ready"),
            }
        }
        drop(watcher);
        std::thread::sleep(PAUSE);
    }
    bail!("no node became ready")
}

fn pass_on(lines: impl BufRead, send: &Sender<(Instant, bool)>) {
    for line in lines.lines().map_while(std::result::Result::ok) {
        if let Some(ready) = event(&line)
            && send.send((Instant::now(), ready)).is_err()
        {
            return;
        }
    }
}

/// Whether the node of an event is ready; None for an event that is not about a node.
fn event(line: &str) -> Option<bool> {
    let event: Value = serde_json::from_str(line).ok()?;
    let node = event.get("object").filter(|object| object["kind"] == "Node")?;
    let conditions = node["status"]["conditions"].as_array();
    let is_ready = |condition: &Value| condition["type"] == "Ready" && condition["status"] == "True";
    Some(conditions.is_some_and(|all| all.iter().any(is_ready)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_ready_by_its_condition() {
        let line = |status: &str| {
            format!(
                r#"{{"type":"MODIFIED","object":{{"kind":"Node","status":{{"conditions":[{{"type":"MemoryPressure","status":"False"}},{{"type":"Ready","status":"{status}"}}]}}}}}}"#
            )
        };
        assert_eq!(event(&line("True")), Some(true));
        assert_eq!(event(&line("False")), Some(false));
        assert_eq!(event(r#"{"type":"ADDED","object":{"kind":"Node"}}"#), Some(false));
        assert_eq!(event(r#"{"type":"BOOKMARK","object":{"kind":"Other"}}"#), None);
        assert_eq!(event("Unauthorized"), None);
    }
}
