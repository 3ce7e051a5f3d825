//! The connection to nodes: which ones, through which endpoint, as whom, and how their failures are shown.

use std::fmt;
use std::future::Future;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result, bail};
use api::client::{self, Client, ClientOptions, explain};
use futures::future::join_all;
use futures::stream::{self, LocalBoxStream, SelectAll, StreamExt as _};
use pki::clientconfig::Context;
use pki::{cert_info, tls};
use tonic::{Code, Status};

use crate::Program;
use crate::cli::common::ClientFlags;
use crate::commands::client_config;
use crate::output::{age, note};

/// A node and the client whose calls reach it.
#[derive(Clone, Debug)]
pub struct Target {
    /// The node as the person named it: the NODE column.
    pub node: String,
    /// Calls of it go to this node alone.
    pub client: Client,
}

/// The nodes a command is about.
#[derive(Debug)]
pub struct Session {
    targets: Vec<Target>,
    endpoints: Vec<String>,
}

/// Items of the streams of several nodes, each with its node.
pub type Mixed<T> = SelectAll<LocalBoxStream<'static, (String, Result<T, Status>)>>;

/// Runs a command that talks to nodes. One thread is enough: it waits most of the time.
pub fn block<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("start the runtime")?;
    let result = runtime.block_on(work);
    // A name that is still being looked up must not hold the program back.
    runtime.shutdown_background();
    result
}

impl Session {
    /// Connects as the flags, the environment and the client configuration say. Nothing is sent yet.
    pub fn open(flags: &ClientFlags, program: Program) -> Result<Self> {
        let Settings {
            path,
            context,
            nodes,
            endpoints,
            ..
        } = Settings::read(flags, program)?;
        check_identity(&context, SystemTime::now())?;
        let tls = tls::client_config(&context.ca, context.identity().as_ref())
            .with_context(|| format!("use the credentials of {}", path.display()))?;
        let client = Client::connect(ClientOptions {
            endpoints: endpoints.clone(),
            ..ClientOptions::new(tls)
        })?;
        let target = |node: String| Target {
            client: client.with_nodes(&[&node]),
            node,
        };
        Ok(Self {
            targets: nodes.into_iter().map(target).collect(),
            endpoints,
        })
    }

    /// Connects to each node itself, without showing who we are, for nodes in maintenance mode.
    pub fn open_insecure(flags: &ClientFlags, fingerprints: &[String]) -> Result<Self> {
        let nodes = if flags.nodes.is_empty() {
            &flags.endpoints
        } else {
            &flags.nodes
        };
        if nodes.is_empty() {
            bail!("insecure mode connects to the nodes themselves: name them with --nodes");
        }
        let tls = tls::client_config_insecure(fingerprints)?;
        let target = |node: String| -> Result<Target> {
            let options = ClientOptions {
                endpoints: vec![node.clone()],
                ..ClientOptions::new(tls.clone())
            };
            Ok(Target {
                client: Client::connect(options)?,
                node,
            })
        };
        let targets = dedup(flags.nodes.clone())
            .into_iter()
            .map(target)
            .collect::<Result<Vec<_>>>()?;
        Ok(Self {
            targets,
            endpoints: flags.nodes.clone(),
        })
    }

    /// Either of the two.
    pub fn open_either(flags: &ClientFlags, program: Program, insecure: bool) -> Result<Self> {
        if insecure {
            Self::open_insecure(flags, &[])
        } else {
            Self::open(flags, program)
        }
    }

    /// The nodes in the order they were named.
    pub fn targets(&self) -> &[Target] {
        &self.targets
    }

    /// Where it connects to.
    pub fn endpoints(&self) -> &[String] {
        &self.endpoints
    }

    /// The node, for commands that are about one.
    pub fn single(&self, command: &str) -> Result<&Target> {
        match &self.targets[..] {
            [target] => Ok(target),
            more => bail!(
                "command \"{command}\" is not supported with multiple nodes ({} are given)",
                more.len()
            ),
        }
    }

    /// Makes a call for every node at once; answers are in the order of the nodes, failures apart.
    pub async fn each<T, F>(&self, call: impl Fn(Client) -> F) -> (Vec<(String, T)>, Failures)
    where
        F: Future<Output = Result<T, Status>>,
    {
        let results = join_all(self.targets.iter().map(|target| call(target.client.clone()))).await;
        let mut good = Vec::new();
        let mut failures = Failures::default();
        for (target, result) in self.targets.iter().zip(results) {
            match result {
                Ok(answer) => good.push((target.node.clone(), answer)),
                Err(status) => failures.0.push((target.node.clone(), status)),
            }
        }
        (good, failures)
    }

    /// Makes a call for one node after the other, each when the one before was answered; else as [`Session::each`].
    pub async fn in_turn<T, F>(&self, call: impl Fn(Client) -> F) -> (Vec<(String, T)>, Failures)
    where
        F: Future<Output = Result<T, Status>>,
    {
        let mut good = Vec::new();
        let mut failures = Failures::default();
        for target in &self.targets {
            match call(target.client.clone()).await {
                Ok(answer) => good.push((target.node.clone(), answer)),
                Err(status) => failures.0.push((target.node.clone(), status)),
            }
        }
        (good, failures)
    }

    /// Makes a streaming call for every node and mixes the streams; each item comes with its node.
    pub async fn streams<T, F>(&self, call: impl Fn(Client) -> F) -> Mixed<T>
    where
        T: 'static,
        F: Future<Output = Result<tonic::Response<tonic::Streaming<T>>, Status>>,
    {
        let opened = join_all(self.targets.iter().map(|target| call(target.client.clone()))).await;
        let streams = self.targets.iter().zip(opened).map(|(target, opened)| {
            let node = target.node.clone();
            match opened {
                Ok(response) => response
                    .into_inner()
                    .map(move |item| (node.clone(), item))
                    .boxed_local(),
                Err(status) => stream::once(async move { (node, Err(status)) }).boxed_local(),
            }
        });
        stream::select_all(streams.collect::<Vec<_>>())
    }
}

/// What the flags, the environment and the client configuration say together.
#[derive(Debug)]
pub struct Settings {
    /// The client configuration.
    pub path: PathBuf,
    /// The name of the context that is used.
    pub name: String,
    /// The context.
    pub context: Context,
    /// The nodes the command is about, each once.
    pub nodes: Vec<String>,
    /// Where to connect to.
    pub endpoints: Vec<String>,
}

impl Settings {
    /// Reads them.
    ///
    /// # Errors
    /// There is no such context, or no node is named.
    pub fn read(flags: &ClientFlags, program: Program) -> Result<Self> {
        let path = client_config::path(flags, program)?;
        let config = client_config::load(&path, program)?;
        let context = config.context(flags.context.as_deref())?.clone();
        if flags.cluster.is_some() || context.auth.is_some() {
            bail!("access through a proxy (--cluster, auth of the context) is not implemented yet");
        }
        let nodes = if flags.nodes.is_empty() {
            context.nodes.clone()
        } else {
            flags.nodes.clone()
        };
        if nodes.is_empty() {
            bail!(
                "nodes are not set for the command: please use `--nodes` flag or configuration file to set the nodes to run the command against"
            );
        }
        let endpoints = [&flags.endpoints, &context.endpoints, &nodes]
            .into_iter()
            .find(|list| !list.is_empty());
        let endpoints = endpoints.cloned().unwrap_or_default();
        Ok(Self {
            name: flags.context.clone().unwrap_or(config.context),
            path,
            context,
            nodes: dedup(nodes),
            endpoints,
        })
    }
}

fn dedup(nodes: Vec<String>) -> Vec<String> {
    let mut seen = std::collections::BTreeSet::new();
    nodes
        .into_iter()
        .filter(|node| !node.is_empty() && seen.insert(node.clone()))
        .collect()
}

/// Says what is wrong with a client certificate before a server refuses it with fewer words.
fn check_identity(context: &Context, now: SystemTime) -> Result<()> {
    if context.ca.is_empty() {
        bail!("the context of the client configuration has no authority (ca); is it complete?");
    }
    if context.crt.is_empty() {
        return Ok(());
    }
    let info = cert_info(&context.crt).context("read the client certificate (crt) of the context")?;
    if info.not_after < now {
        let when = age::relative(info.not_after, now);
        bail!(
            "the client certificate expired {when} ({}): make a new one with `config new` or from the secrets of the cluster",
            age::rfc3339(info.not_after)
        );
    }
    if info.not_before > now {
        let from = age::rfc3339(info.not_before);
        note(&format!(
            "warning: the client certificate is valid from {from} only; is the clock of this machine right?"
        ));
    }
    Ok(())
}

/// A failure that has been told already; only the exit code is left.
#[derive(Debug, thiserror::Error)]
#[error("the command failed")]
pub struct Silent;

/// A signal ended the command.
#[derive(Debug, thiserror::Error)]
#[error("interrupted")]
pub struct Interrupted {
    /// The exit code, as shells show it: 128 and the signal's number.
    pub code: u8,
    /// What there is to say has been said.
    pub told: bool,
}

impl Interrupted {
    /// By the signal with this number.
    pub fn by(signal: i32) -> Self {
        let code = u8::try_from(128 + signal).unwrap_or(u8::MAX);
        Self { code, told: false }
    }

    /// One that has been told already.
    pub fn told(code: u8) -> Self {
        Self { code, told: true }
    }
}

/// What a command ran ended by itself, and not well; it has said what there is to say.
#[derive(Debug, thiserror::Error)]
#[error("ended with {code}")]
pub struct Ended {
    /// Its exit code, which becomes ours.
    pub code: u8,
}

impl Ended {
    /// With this code; one that no process can have is 255.
    pub fn with(code: i32) -> Self {
        let code = u8::try_from(code).unwrap_or(u8::MAX);
        Self { code }
    }
}

/// What failed, by node.
#[derive(Debug, Default)]
pub struct Failures(pub Vec<(String, Status)>);

impl Failures {
    /// An error if there is any.
    pub fn into_result(self) -> Result<()> {
        if self.0.is_empty() { Ok(()) } else { Err(self.into()) }
    }
}

impl fmt::Display for Failures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0.len();
        writeln!(f, "{count} error{} occurred:", if count == 1 { "" } else { "s" })?;
        for (node, status) in &self.0 {
            writeln!(f, "\t* {node}: {}", rpc_error(status))?;
        }
        writeln!(f)
    }
}

impl std::error::Error for Failures {}

/// A status as Go's gRPC library prints it; scripts look for these words.
pub fn rpc_error(status: &Status) -> String {
    let code = match status.code() {
        Code::Ok => "OK".to_owned(),
        Code::Cancelled => "Canceled".to_owned(),
        code => format!("{code:?}"),
    };
    let text = explain(status);
    match unreachable(status.code(), &text) {
        Some(hint) => format!("rpc error: code = {code} desc = {text} ({hint})"),
        None => format!("rpc error: code = {code} desc = {text}"),
    }
}

/// What to do about an endpoint or node that nobody can connect to. What a node says of its own services, in the same
/// words, has another code.
fn unreachable(code: Code, text: &str) -> Option<&'static str> {
    if code != Code::Unavailable || !text.starts_with("connect to ") {
        return None;
    }
    let has = |words: &[&str]| words.iter().any(|words| text.contains(words));
    if has(&["no such name", "the name has no address"]) {
        Some(
            "nobody knows this name: is it written right (-e for endpoints, -n for nodes), and does this machine's name server know it?",
        )
    } else if has(&[
        "Connection refused",
        "No route to host",
        "unreachable",
        "no connection within",
    ]) {
        Some(
            "is the node up, and are the addresses right (-e for endpoints, -n for nodes)? `cluster show` shows a local cluster's",
        )
    } else {
        None
    }
}

/// The answer to a call, if it comes within `limit`.
///
/// # Errors
/// The call failed, or there was no answer.
pub async fn within<T>(limit: Duration, call: impl Future<Output = Result<T, Status>>) -> Result<T> {
    client::within(limit, call).await.map_err(|status| failed(&status))
}

/// A status as an error of a command.
pub fn failed(status: &Status) -> anyhow::Error {
    anyhow::Error::msg(rpc_error(status))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_print_as_a_list_by_node() {
        let failures = Failures(vec![(
            "127.0.0.1".into(),
            Status::failed_precondition("method is not supported in container mode"),
        )]);
        let captured = "1 error occurred:\n\t* 127.0.0.1: rpc error: code = FailedPrecondition desc = method is not supported in container mode\n\n";
        assert_eq!(failures.to_string(), captured);
        let two = Failures(vec![
            ("a".into(), Status::cancelled("x")),
            ("b".into(), Status::not_found("y")),
        ]);
        assert!(
            two.to_string()
                .starts_with("2 errors occurred:\n\t* a: rpc error: code = Canceled desc = x\n")
        );
    }

    #[test]
    fn an_address_that_nobody_answers_at_comes_with_what_to_look_at() {
        let text = |text: &str| rpc_error(&Status::unavailable(text));
        let refused = text("connect to 10.5.0.9:50000: Connection refused (os error 111): transport error");
        assert!(refused.contains("(os error 111) (is the node up"), "{refused}");
        let unknown = text("connect to nowhere:50000: resolve nowhere: no such name");
        assert!(unknown.contains("nobody knows this name"), "{unknown}");
        let known = text("connect to 10.5.0.9:50000: invalid peer certificate: UnknownIssuer");
        assert!(
            known.contains("another cluster") && !known.contains("is the node up"),
            "{known}"
        );
        let other = rpc_error(&Status::failed_precondition(
            "connect to 127.0.0.1:2379: Connection refused",
        ));
        assert!(other.ends_with("Connection refused"), "{other}");
    }

    #[test]
    fn nodes_are_asked_once_each_in_their_order() {
        let named = ["b", "a", "b", ""].map(str::to_owned).to_vec();
        assert_eq!(dedup(named), ["b", "a"]);
    }
}
