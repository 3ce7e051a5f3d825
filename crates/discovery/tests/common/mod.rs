//! The program as a child of the test.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use discovery_client::proto::server::AffiliateUpdateRequest;
use discovery_client::proto::server::cluster_client::ClusterClient;
use hyper_util::rt::TokioIo;
use rustix::process::{Pid, Signal, kill_process};
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint, Uri};

/// A service on ports of its own.
#[derive(Debug)]
pub struct Program {
    child: Child,
    args: Vec<String>,
    /// Where nodes connect.
    pub grpc: SocketAddr,
    /// Where the page is.
    pub http: SocketAddr,
}

impl Program {
    /// Starts it and waits until it serves.
    pub fn start(args: &[&str]) -> Program {
        Program::try_start(args).unwrap()
    }

    /// Starts it; if it ends instead of serving, what it said.
    pub fn try_start(args: &[&str]) -> Result<Program, String> {
        let any = "127.0.0.1:0".parse().unwrap();
        Program::launch(args.iter().map(|arg| (*arg).to_owned()).collect(), any, any)
    }

    fn launch(args: Vec<String>, grpc: SocketAddr, http: SocketAddr) -> Result<Program, String> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_keelson-discovery"));
        command.args(["--listen", &grpc.to_string(), "--http-listen", &http.to_string()]);
        let mut child = command.args(&args).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut said = String::new();
        let (mut grpc, mut http) = (None, None);
        for line in lines.by_ref() {
            let line = line.unwrap();
            let after = |text: &str| line.split_once(text)?.1.split(' ').next()?.parse::<SocketAddr>().ok();
            grpc = grpc.or(after("nodes connect to "));
            http = http.or(after("health are on "));
            said.push_str(&line);
            said.push('\n');
            if http.is_some() {
                break;
            }
        }
        // The rest is shown with the test's output.
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(|line| eprintln!("{line}")));
        match (grpc, http) {
            (Some(grpc), Some(http)) => Ok(Program {
                child,
                args,
                grpc,
                http,
            }),
            _ => {
                child.wait().unwrap();
                Err(said)
            }
        }
    }

    /// Ends it with a signal and starts it again where it was.
    pub fn restart(mut self, signal: Signal) -> Program {
        self.signal(signal);
        self.child.wait().unwrap();
        Program::launch(self.args.clone(), self.grpc, self.http).unwrap()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits until it has ended.
    pub fn ended(mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }

    /// Its endpoint without TLS.
    pub fn url(&self) -> String {
        format!("http://{}", self.grpc)
    }

    /// A client without TLS.
    pub async fn client(&self) -> ClusterClient<Channel> {
        ClusterClient::connect(self.url()).await.unwrap()
    }

    /// A client with TLS, which has said hello.
    pub async fn tls_client(&self, tls: &rustls::ClientConfig) -> Result<ClusterClient<Channel>, String> {
        let (address, tls) = (self.grpc, TlsConnector::from(Arc::new(tls.clone())));
        let connector = tower::service_fn(move |_: Uri| {
            let tls = tls.clone();
            async move {
                let stream = tokio::net::TcpStream::connect(address).await?;
                tls.connect(address.ip().into(), stream).await.map(TokioIo::new)
            }
        });
        let endpoint = Endpoint::from_static("http://service");
        let channel = endpoint
            .connect_with_connector(connector)
            .await
            .map_err(|e| e.to_string())?;
        Ok(ClusterClient::new(channel))
    }

    /// A page.
    pub fn get(&self, path: &str) -> String {
        self.exchange(&format!(
            "GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n"
        ))
    }

    /// The answer to a form.
    pub fn post(&self, path: &str, form: &str) -> String {
        let length = form.len();
        self.exchange(&format!(
            "POST {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\ncontent-length: {length}\r\n\
             content-type: application/x-www-form-urlencoded\r\n\r\n{form}"
        ))
    }

    fn exchange(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(self.http).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        // A refused upload may end in a reset after the answer.
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8(answer).unwrap()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An update with 400 bytes of data.
pub fn update(cluster: &str, affiliate: &str, seconds: i64) -> AffiliateUpdateRequest {
    AffiliateUpdateRequest {
        cluster_id: cluster.into(),
        affiliate_id: affiliate.into(),
        affiliate_data: Some(Bytes::from(vec![7; 400])),
        affiliate_endpoints: vec![],
        ttl: Some(prost_types::Duration { seconds, nanos: 0 }),
    }
}
