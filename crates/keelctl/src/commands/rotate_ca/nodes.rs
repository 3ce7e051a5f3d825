//! What a rotation does to nodes, and how it sees that they took it.

use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, Result, bail, ensure};
use api::client::{CALL_LIMIT, Client, ClientOptions};
use api::proto::machine::ApplyConfigurationRequest;
use api::proto::machine::apply_configuration_request::Mode;
use config::Config;
use config::authority::{self, Which};
use pki::clientconfig::Context;
use pki::{Authority, CertAndKey, KeyKind, Request, cert_info, is_issued_by, tls};
use serde_json::Value;
use tokio::time::sleep;

use super::rotation::Replacement;
use crate::commands::edit::current;
use crate::commands::health::view::{service, spec};
use crate::output::note;
use crate::session::within;

/// How long a node may take for one step: the control plane of a slow machine restarts within it.
const LIMIT: Duration = Duration::from_secs(10 * 60);
/// How long a node may take to answer.
const SHORT_LIMIT: Duration = Duration::from_secs(60);
/// Time between two looks.
const PAUSE: Duration = Duration::from_secs(1);
/// After this, what is waited for is told, and told again when it changes.
const PATIENCE: Duration = Duration::from_secs(10);

/// Looks again and again until it is so. What is missing is told after a while; a deadline ends it.
pub async fn wait<T>(what: &str, look: impl AsyncFnMut() -> Result<T>) -> Result<T> {
    wait_for(LIMIT, what, look).await
}

/// The same for what should take no time: the node may just be away for a moment.
pub async fn soon<T>(what: &str, look: impl AsyncFnMut() -> Result<T>) -> Result<T> {
    wait_for(SHORT_LIMIT, what, look).await
}

async fn wait_for<T>(limit: Duration, what: &str, mut look: impl AsyncFnMut() -> Result<T>) -> Result<T> {
    let (began, mut told) = (Instant::now(), String::new());
    loop {
        let missing = match look().await {
            Ok(value) => return Ok(value),
            Err(missing) => missing,
        };
        if began.elapsed() > limit {
            return Err(missing).with_context(|| format!("waited {} seconds for {what}", limit.as_secs()));
        }
        let text = format!("{missing:#}");
        if began.elapsed() > PATIENCE && text != told {
            note(&format!("     waiting for {what}: {text}"));
            told = text;
        }
        sleep(PAUSE).await;
    }
}

/// The way to the nodes, as a client of the old authority or of the new one.
pub struct Access {
    endpoints: Vec<String>,
    context: Context,
    trusted: Vec<u8>,
    client: Client,
}

impl Access {
    /// As the client configuration says.
    pub fn open(endpoints: &[String], context: &Context) -> Result<Self> {
        let client = connect(endpoints, &context.ca, context.identity().as_ref())?;
        Ok(Self {
            endpoints: endpoints.to_vec(),
            context: context.clone(),
            trusted: context.ca.clone(),
            client,
        })
    }

    /// Trusts the new authority too; nodes may show certificates of either.
    pub fn trust(&mut self, replacement: &Replacement) -> Result<()> {
        self.trusted = [&self.context.ca[..], &replacement.old, &replacement.new.crt].join(&b'\n');
        self.client = connect(&self.endpoints, &self.trusted, self.context.identity().as_ref())?;
        Ok(())
    }

    /// The client of one node.
    pub fn node(&self, node: &str) -> Client {
        self.client.with_nodes(&[node])
    }

    /// Clients of a context, one for every endpoint.
    pub fn each_endpoint(&self, context: &Context) -> Result<Vec<(String, Client)>> {
        let client = |endpoint: &String| {
            let client = connect(std::slice::from_ref(endpoint), &context.ca, context.identity().as_ref())?;
            Ok((endpoint.clone(), client))
        };
        self.endpoints.iter().map(client).collect()
    }

    /// From now on as this context says.
    pub fn switch(&mut self, context: &Context) -> Result<()> {
        self.client = connect(&self.endpoints, &self.trusted, context.identity().as_ref())?;
        self.context = context.clone();
        Ok(())
    }

    /// The context in use, with a certificate of the new authority for the same roles.
    pub fn successor(&self, new: &CertAndKey, now: SystemTime) -> Result<Context> {
        let roles = cert_info(&self.context.crt)
            .context("read the client certificate in use")?
            .organizations;
        let roles: Vec<&str> = roles.iter().map(String::as_str).collect();
        let issued = Authority::from_pair(new)?.sign(&Request::client(KeyKind::Ed25519, "", &roles, now))?;
        Ok(Context {
            ca: new.crt.clone(),
            crt: issued.crt,
            key: issued.key,
            ..self.context.clone()
        })
    }
}

fn connect(endpoints: &[String], ca: &[u8], identity: Option<&CertAndKey>) -> Result<Client> {
    let tls = tls::client_config(ca, identity).context("use the credentials of the client configuration")?;
    Ok(Client::connect(ClientOptions {
        endpoints: endpoints.to_vec(),
        ..ClientOptions::new(tls)
    })?)
}

/// The configuration that a node has.
pub async fn configuration(client: &Client) -> Result<Config> {
    let text = current(client).await?;
    Config::decode(text.as_bytes()).context("read the configuration of the node")
}

/// How a changed configuration is written.
#[derive(Clone, Copy, Debug)]
pub struct Comments {
    /// Fields are explained.
    pub docs: bool,
    /// Examples are shown.
    pub examples: bool,
}

/// Changes a node's configuration, at once; whether there was anything to change.
pub async fn change(client: &Client, comments: Comments, edit: impl Fn(&Config) -> Result<Config>) -> Result<bool> {
    let before = configuration(client).await?;
    let after = edit(&before)?;
    if after == before {
        return Ok(false);
    }
    let data = match (comments.docs, comments.examples) {
        (false, false) => after.encode(),
        (docs, examples) => after.encode_commented(docs, examples).into_bytes(),
    };
    let request = ApplyConfigurationRequest {
        data,
        mode: Mode::NoReboot.into(),
        ..ApplyConfigurationRequest::default()
    };
    within(CALL_LIMIT, async {
        client.machine().apply_configuration(request).await
    })
    .await?;
    Ok(true)
}

/// The spec of a resource.
pub async fn resource(client: &Client, namespace: &str, kind: &str, id: &str) -> Result<Value> {
    let found = within(CALL_LIMIT, client.resource(namespace, kind, id)).await;
    spec(&found.with_context(|| format!("get {kind}"))?)
}

/// Whether a node is healthy in one of its services.
pub async fn service_is_healthy(client: &Client, id: &str) -> Result<()> {
    let health = service(client, id).await?.health.unwrap_or_default();
    ensure!(health.healthy, "{id} is not healthy yet");
    Ok(())
}

/// What a node is to come to: which authority issues, and which are accepted.
#[derive(Clone, Copy, Debug)]
pub struct Goal<'a> {
    /// The authority that issues, PEM.
    pub issuing: &'a [u8],
    /// Another that is accepted, if one is.
    pub also: Option<&'a [u8]>,
    /// One that is not.
    pub not: Option<&'a [u8]>,
}

impl Goal<'_> {
    /// Whether these certificates (a resource's list of authorities) are as wanted.
    ///
    /// # Errors
    /// They are not (yet).
    pub fn accepted(&self, list: &Value) -> Result<()> {
        let list: Vec<Vec<u8>> = list
            .as_array()
            .into_iter()
            .flatten()
            .map(|ca| pem(&ca["crt"]))
            .collect();
        let has = |crt: &[u8]| list.iter().any(|ca| authority::same(ca, crt));
        ensure!(has(self.issuing), "it does not accept the authority that issues yet");
        ensure!(self.also.is_none_or(has), "it does not accept both authorities yet");
        ensure!(!self.not.is_some_and(has), "it still accepts the old authority");
        Ok(())
    }

    /// Whether a certificate is of the authority that issues.
    ///
    /// # Errors
    /// It is not (yet).
    pub fn issued(&self, what: &str, certificate: &Value) -> Result<()> {
        let issued = is_issued_by(&pem(certificate), self.issuing).unwrap_or(false);
        ensure!(issued, "{what} is not issued by the authority yet");
        Ok(())
    }
}

/// Base64 of PEM, as resources have it.
fn pem(value: &Value) -> Vec<u8> {
    pki::base64_bytes::deserialize(value).unwrap_or_default()
}

/// Whether a node's machine API has come to the goal.
pub async fn machine_api(client: &Client, goal: Goal<'_>) -> Result<()> {
    let certificates = resource(client, "secrets", "ApiCertificates.secrets.talos.dev", "api").await?;
    goal.accepted(&certificates["acceptedCAs"])?;
    goal.issued("the certificate of the machine API", &certificates["server"]["crt"])
}

/// What nodes issue with, by node.
pub async fn issuing(access: &Access, nodes: &[String], which: Which) -> Result<Vec<(String, Vec<u8>)>> {
    let mut all = Vec::new();
    for node in nodes {
        let config = configuration(&access.node(node)).await.with_context(|| node.clone())?;
        let Some(ca) = authority::issuing(&config, which).filter(|ca| !ca.crt.is_empty()) else {
            bail!("{node}: its configuration has no {which} authority");
        };
        all.push((node.clone(), ca.crt));
    }
    Ok(all)
}

/// Whether the node answers.
pub async fn answers(client: &Client) -> Result<()> {
    within(PATIENCE, client.machine().version(())).await.map(drop)
}
