//! The discovery service of a cluster: a program that the gateway starts, and starts again when it ends.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use sys::Context;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use crate::error::{Error, Result};
use crate::log::{self, Log};
use crate::names::Names;
use crate::options::{DISCOVERY_PAGE_PORT, DISCOVERY_PORT, Subnet};
use crate::state::DISCOVERY;

/// How long the service may take to listen.
const START_LIMIT: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(20);
/// Pause before a service that ended is started again; doubled each time.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// A service that ran this long has recovered from what ended it before.
const STEADY: Duration = Duration::from_secs(60);

/// The running service.
pub(super) struct Discovery {
    program: PathBuf,
    /// Where its state is kept.
    folder: PathBuf,
    subnet: Subnet,
    log: Log,
    child: Child,
}

impl Discovery {
    /// Starts it, and waits until it listens.
    pub(super) async fn start(names: &Names, subnet: Subnet, program: &Path) -> Result<Discovery> {
        let path = names.console_log(DISCOVERY);
        let (log, folder) = (Log::open(path.clone()), names.node_folder(DISCOVERY));
        let child = spawn(program, &folder, subnet, &log).doing(|| format!("start {}", program.display()))?;
        let mut discovery = Discovery {
            program: program.to_owned(),
            folder,
            subnet,
            log,
            child,
        };
        discovery.listening().await.map_err(|reason| Error::NotStarted {
            who: "the discovery service".to_owned(),
            reason,
            log: log::tail(&path),
        })?;
        Ok(discovery)
    }

    async fn listening(&mut self) -> std::result::Result<(), String> {
        let (address, deadline) = (address(self.subnet, DISCOVERY_PORT), Instant::now() + START_LIMIT);
        loop {
            // Asked first: what answers at the address of a service that ended is another program.
            if let Ok(Some(status)) = self.child.try_wait() {
                tokio::time::sleep(PAUSE).await;
                return Err(format!("it ended with {status}"));
            }
            if TcpStream::connect(address).await.is_ok() {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(format!("it did not listen on {address} within {START_LIMIT:?}"));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Starts it again whenever it ends.
    pub(super) async fn keep_running(mut self) -> std::io::Result<()> {
        let mut pause = FIRST_PAUSE;
        loop {
            let since = Instant::now();
            let status = self.child.wait().await?;
            if since.elapsed() > STEADY {
                pause = FIRST_PAUSE;
            }
            self.log
                .line(&format!("ended with {status}; starting again in {} s", pause.as_secs()));
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
            match spawn(&self.program, &self.folder, self.subnet, &self.log) {
                Ok(child) => self.child = child,
                // What ended stays ended: the next round comes at once to the pause.
                Err(error) => self.log.line(&format!("start {}: {error}", self.program.display())),
            }
        }
    }
}

fn address(subnet: Subnet, port: u16) -> SocketAddr {
    SocketAddr::from((subnet.gateway(), port))
}

/// It listens on the gateway's address and on no other, and ends with the gateway.
fn spawn(program: &Path, folder: &Path, subnet: Subnet, log: &Log) -> std::io::Result<Child> {
    let mut command = Command::new(program);
    command
        .args(["--listen", &address(subnet, DISCOVERY_PORT).to_string()])
        .args(["--http-listen", &address(subnet, DISCOVERY_PAGE_PORT).to_string()])
        .arg("--state")
        .arg(folder);
    command.env_clear().kill_on_drop(true);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    sys::process::end_with_parent(command.as_std_mut());
    let mut child = command.spawn()?;
    if let Some(stream) = child.stdout.take() {
        tokio::spawn(log.clone().copy(stream));
    }
    if let Some(stream) = child.stderr.take() {
        tokio::spawn(log.clone().copy(stream));
    }
    Ok(child)
}
