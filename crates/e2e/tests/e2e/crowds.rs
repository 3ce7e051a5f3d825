//! Clients that mean no good: slow ones, large ones, many of them. They are refused, and nobody else notices.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use e2e::run::Test;
use e2e::tests;
use e2e::wait::eventually;
use e2e::wire::oversized;

use crate::cluster::{Cluster, control_plane, worker};
use crate::roles::issuer;

const APID: u16 = 50000;
const TRUSTD: u16 = 50001;
/// Where everybody may knock: the machine API on both nodes, and what issues certificates to workers.
const CONNECTIONS: usize = 10_000;
/// Files that a test needs beside its connections.
const SPARE: usize = 500;
/// What a door lets stand unfinished for one address, and what may be on its way out.
const HELD: usize = api::apid::limits::MAX_HANDSHAKES_PER_ADDRESS + 100;

pub fn tests() -> Vec<Test<Cluster>> {
    tests![
        slow_clients_are_cut_off,
        a_request_of_a_gibibyte_is_refused_before_it_is_sent,
        ten_thousand_connections_do_not_keep_anybody_out,
    ]
}

/// Another client, which asks for the version again and again.
struct Bystander {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    failed: Arc<Mutex<Vec<String>>>,
    thread: JoinHandle<()>,
}

impl Bystander {
    /// Asks a node, each time on a new connection.
    fn of(c: &Cluster, node: &'static str) -> Self {
        let (stop, answered, failed) = (
            Arc::<AtomicBool>::default(),
            Arc::<AtomicUsize>::default(),
            Arc::default(),
        );
        let (keelctl, stopped, count, failures) =
            (c.keelctl.clone(), stop.clone(), answered.clone(), Arc::clone(&failed));
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                match keelctl.output(&["-e", node, "-n", node, "version"]) {
                    Ok(_) => drop(count.fetch_add(1, Ordering::Relaxed)),
                    Err(error) => {
                        let failures: &Mutex<Vec<String>> = &failures;
                        failures
                            .lock()
                            .unwrap_or_else(PoisonError::into_inner)
                            .push(error.to_string());
                    }
                }
            }
        });
        Self {
            stop,
            answered,
            failed,
            thread,
        }
    }

    /// Waits until it was answered some more times, then ends it; gives what failed in the meantime.
    fn end(self, what: &str) -> Result<Vec<String>> {
        let before = self.answered.load(Ordering::Relaxed);
        let answered = eventually("answers for somebody else", Duration::from_secs(120), || {
            let more = self.answered.load(Ordering::Relaxed) - before;
            ensure!(more >= 3, "{more} answers in the meantime");
            Ok(())
        });
        self.stop.store(true, Ordering::Relaxed);
        ensure!(self.thread.join().is_ok(), "the other client broke");
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let total = self.answered.load(Ordering::Relaxed);
        println!(
            "  {what}: {total} calls of another client were answered meanwhile, {} failed",
            failed.len()
        );
        answered.map(|()| failed)
    }

    /// The same; nothing may have failed.
    fn end_unharmed(self, what: &str) -> Result<()> {
        let failed = self.end(what)?;
        ensure!(failed.is_empty(), "{failed:?}");
        Ok(())
    }
}

fn connect(node: &str, port: u16) -> Result<TcpStream> {
    let address: SocketAddr = format!("{node}:{port}").parse()?;
    Ok(TcpStream::connect_timeout(&address, Duration::from_secs(20))?)
}

/// Whether the other side has ended a connection; what it says before is thrown away.
fn is_ended(stream: &mut TcpStream) -> bool {
    let mut rest = [0; 1024];
    loop {
        match stream.read(&mut rest) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return false,
            Err(_) => return true,
        }
    }
}

fn slow_clients_are_cut_off(c: &Cluster) -> Result<()> {
    // The beginning of a handshake, which never goes on.
    const HELLO: &[u8] = &[0x16, 3, 1, 2, 0, 1];
    let bystanders = [control_plane(), worker()].map(|node| Bystander::of(c, node));
    let mut slow = Vec::new();
    for (node, port) in [(control_plane(), APID), (control_plane(), TRUSTD), (worker(), APID)] {
        for _ in 0..200 {
            let mut stream = connect(node, port)?;
            stream.write_all(HELLO)?;
            stream.set_nonblocking(true)?;
            slow.push(stream);
        }
    }
    eventually("slow clients to be cut off", Duration::from_secs(120), || {
        for stream in &mut slow {
            // A byte now and then is what keeps such a client alive elsewhere.
            let _ = stream.write(&[0]);
        }
        slow.retain_mut(|stream| !is_ended(stream));
        ensure!(slow.is_empty(), "{} of them are still there", slow.len());
        Ok(())
    })?;
    for bystander in bystanders {
        bystander.end_unharmed("200 slow clients at each door")?;
    }
    Ok(())
}

fn a_request_of_a_gibibyte_is_refused_before_it_is_sent(c: &Cluster) -> Result<()> {
    let issuer = issuer(c)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    for (port, path) in [
        (APID, "/machine.MachineService/ApplyConfiguration"),
        (APID, "/cosi.resource.State/Create"),
        (TRUSTD, "/securityapi.SecurityService/Certificate"),
    ] {
        let bystander = Bystander::of(c, control_plane());
        let answer = runtime.block_on(oversized(
            issuer.tls(&["os:admin"])?,
            control_plane(),
            port,
            path,
            1 << 30,
        ))?;
        ensure!(
            answer.contains("OutOfRange") || answer.contains("ResourceExhausted"),
            "{path}: {answer}"
        );
        bystander.end_unharmed(&format!("a gibibyte for {path}"))?;
    }
    Ok(())
}

fn ten_thousand_connections_do_not_keep_anybody_out(c: &Cluster) -> Result<()> {
    let wanted = u64::try_from(CONNECTIONS + SPARE)?;
    let files = usize::try_from(sys::process::raise_open_files(wanted)).unwrap_or(usize::MAX);
    let count = CONNECTIONS.min(files.saturating_sub(SPARE));
    if count < CONNECTIONS {
        println!("  this machine lets a process have {files} open files: {count} connections are made");
    }
    let bystander = Bystander::of(c, control_plane());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let half = count / 2;
    let doors = async {
        let crowds = tokio::join!(crowd(control_plane(), APID, half), crowd(control_plane(), TRUSTD, half));
        anyhow::Ok([(APID, crowds.0?), (TRUSTD, crowds.1?)])
    };
    for (port, left) in runtime.block_on(doors)? {
        println!("  {half} connections to port {port}: {left} were kept");
        ensure!(left <= HELD, "{left} of {half} connections to port {port} were kept");
    }
    // It comes from the address of the crowd, whose oldest handshakes give way: it may have to try again.
    bystander.end(&format!("{count} connections"))?;
    // What workers need of it works as before.
    c.ask(worker(), &["version"]).map(drop)
}

/// Opens connections that say nothing, and counts those that the other side still keeps.
async fn crowd(node: &str, port: u16, count: usize) -> Result<usize> {
    let mut all = Vec::with_capacity(count);
    for _ in 0..count {
        let connected = tokio::net::TcpStream::connect(format!("{node}:{port}")).await;
        all.push(connected.context("connect")?);
    }
    // It takes the other side a while to come to the last ones.
    let mut kept = count;
    for _ in 0..60 {
        kept = all.iter().filter(|stream| is_open(stream)).count();
        if kept <= HELD {
            break;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    Ok(kept)
}

fn is_open(stream: &tokio::net::TcpStream) -> bool {
    matches!(stream.try_read(&mut [0; 64]), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
}
