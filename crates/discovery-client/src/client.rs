//! A node's side of the service: says what the node says, renews it, and follows what others say.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;
use tonic::{Code, Status};

use crate::connect::{NotAnEndpoint, PATIENCE, ServiceEndpoint};
use crate::proto::client::Affiliate;
use crate::proto::server::cluster_client::ClusterClient;
use crate::proto::server::{AffiliateDeleteRequest, AffiliateUpdateRequest, HelloRequest, WatchRequest};
use crate::schedule::{self, Backoff};
use crate::seal::{self, Key, address_from_bytes};
use crate::view::{Peer, Problem, View};

/// Endpoints of one update: as many as the service takes.
const ENDPOINTS: usize = 64;
/// Messages of a watch: the first one may have a whole cluster of the largest size.
const MESSAGE: usize = 8 * 1024 * 1024;
/// How long others stay known that a service does not show after it was connected to again. One that lost its state is
/// told by each node when that connects again, which is tried at least every 40 s.
const GRACE: Duration = Duration::from_secs(2 * 60);
/// How often one hello may lead to another service.
const REDIRECTS: usize = 4;

/// Gives random bytes. Nodes give [`system_random`], tests what they like.
pub type Random = Box<dyn FnMut(&mut [u8]) + Send>;

/// Random bytes of the operating system.
pub fn system_random() -> Random {
    Box::new(|bytes| {
        // It does not fail on a system that has random numbers at all; a nonce that was used before must not be sent.
        while aws_lc_rs::rand::fill(bytes).is_err() {
            std::thread::sleep(Duration::from_millis(100));
        }
    })
}

/// Who asks whom.
#[derive(Clone, Debug)]
pub struct Options {
    /// The service.
    pub endpoint: ServiceEndpoint,
    /// Whom to trust, for `https`.
    pub tls: Arc<rustls::ClientConfig>,
    /// The name of the cluster (`cluster.id`).
    pub cluster_id: String,
    /// The name of this node in it (its node id).
    pub affiliate_id: String,
    /// The key of the cluster.
    pub key: Arc<Key>,
    /// What hello says of this program.
    pub client_version: String,
    /// How long what this node says is kept without being renewed; at most 30 minutes.
    pub ttl: Duration,
}

/// What a node says. Set it again whenever it changes; what is the same is not sent as a change.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Announcement {
    /// Of itself. None says nothing (yet), and only follows others.
    pub affiliate: Option<Affiliate>,
    /// Where it can be reached (by the mesh).
    pub endpoints: Vec<SocketAddr>,
    /// Where it has reached others, by affiliate id.
    pub observed: BTreeMap<String, Vec<SocketAddr>>,
}

/// What a node knows of others.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Discovered {
    /// The others by affiliate id. Kept while the service cannot be reached, and for two minutes after it came back
    /// without knowing them.
    pub peers: BTreeMap<String, Peer>,
    /// What the service showed and is not believed, by affiliate id.
    pub problems: BTreeMap<String, Problem>,
    /// Whether the service is connected and all it knows has been seen.
    pub connected: bool,
    /// Why not, in words for a person.
    pub trouble: Option<String>,
    /// The address of this node as the service sees it.
    pub public_address: Option<IpAddr>,
}

/// Why a call did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No connection.
    #[error("connect to the discovery service {0}: {1}")]
    Connect(String, String),
    /// The service refused, or the connection broke.
    #[error("discovery service: {call}: {} ({:?})", status.message(), status.code())]
    Call {
        /// What was asked.
        call: &'static str,
        /// What was answered.
        status: Status,
    },
    /// The service sent the node on and on, or to nowhere.
    #[error("the discovery service sends this node elsewhere: {0}")]
    Redirect(String),
    /// Nothing can be sealed.
    #[error(transparent)]
    Seal(#[from] seal::Error),
}

impl From<NotAnEndpoint> for Error {
    fn from(error: NotAnEndpoint) -> Error {
        Error::Redirect(error.to_string())
    }
}

/// Runs until `cancel`: announces what `say` holds, renews it, and tells `found` what others say. Reconnects by itself.
///
/// What was announced stays at the service until its time to live ends, so a node that restarts does not disappear; one
/// that leaves for good calls [`forget`].
pub async fn run(
    options: Options,
    mut random: Random,
    mut say: watch::Receiver<Announcement>,
    found: watch::Sender<Discovered>,
    cancel: CancellationToken,
) {
    let mut node = Node {
        view: View::new(options.key.clone(), options.affiliate_id.clone()),
        options,
        found,
        backoff: Backoff::default(),
        sealed: None,
    };
    let mut endpoint = node.options.endpoint.clone();
    let mut redirects = 0;
    loop {
        let ended = tokio::select! {
            () = cancel.cancelled() => return,
            ended = node.session(&endpoint, &mut random, &mut say) => ended,
        };
        match ended {
            Ok(Next::Elsewhere(to)) if redirects < REDIRECTS => {
                tracing::info!(%to, "the discovery service sends this node elsewhere");
                (endpoint, redirects) = (to, redirects + 1);
                continue;
            }
            Ok(Next::Elsewhere(to)) => node.trouble(&Error::Redirect(format!("{REDIRECTS} times, last to {to}"))),
            Ok(Next::Again) => {}
            Err(error) => node.trouble(&error),
        }
        (endpoint, redirects) = (node.options.endpoint.clone(), 0);
        let wait = node.backoff.failed(fraction(&mut random));
        tokio::select! {
            () = cancel.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
        }
    }
}

/// Removes an affiliate from the service: this node's when it leaves, or that of a node that is gone.
pub async fn forget(options: &Options, affiliate_id: &str) -> Result<(), Error> {
    let mut endpoint = options.endpoint.clone();
    for _ in 0..=REDIRECTS {
        let mut service = connect(&endpoint, options).await?;
        if let (Some(to), _) = hello(&mut service, options, &endpoint).await? {
            endpoint = to;
            continue;
        }
        let request = AffiliateDeleteRequest {
            cluster_id: options.cluster_id.clone(),
            affiliate_id: affiliate_id.to_owned(),
        };
        return in_time("delete an affiliate", service.affiliate_delete(request))
            .await
            .map(drop);
    }
    Err(Error::Redirect(format!("{REDIRECTS} times, last to {endpoint}")))
}

struct Node {
    options: Options,
    view: View,
    found: watch::Sender<Discovered>,
    backoff: Backoff,
    /// What was sealed last, and the result: sealing again would look like something new.
    sealed: Option<(Affiliate, Bytes)>,
}

enum Next {
    Again,
    Elsewhere(ServiceEndpoint),
}

impl Node {
    /// One connection, from hello to its end.
    async fn session(
        &mut self,
        endpoint: &ServiceEndpoint,
        random: &mut Random,
        say: &mut watch::Receiver<Announcement>,
    ) -> Result<Next, Error> {
        let mut service = connect(endpoint, &self.options).await?;
        let (redirect, address) = hello(&mut service, &self.options, endpoint).await?;
        if let Some(to) = redirect {
            return Ok(Next::Elsewhere(to));
        }
        let announcement = say.borrow_and_update().clone();
        self.announce(&mut service, random, &announcement).await?;
        let cluster_id = self.options.cluster_id.clone();
        let mut changes = in_time("watch", service.watch(WatchRequest { cluster_id }))
            .await?
            .into_inner();
        let first = in_time("watch", changes.message()).await?;
        let Some(first) = first else { return Ok(Next::Again) };
        self.view.replace(&first);
        self.backoff.succeeded();
        self.found.send_modify(|found| {
            (found.connected, found.trouble) = (true, None);
            found.public_address = address;
        });
        self.tell();
        let patience = Instant::now() + GRACE;
        let mut renewal = Instant::now() + schedule::renewal(self.options.ttl, fraction(random));
        loop {
            tokio::select! {
                change = changes.message() => match change {
                    Ok(Some(change)) => {
                        self.view.change(&change);
                        self.tell();
                    }
                    Ok(None) => return Ok(Next::Again),
                    // Too slow: everything is asked for again, at once.
                    Err(status) if status.code() == Code::Aborted => return Ok(Next::Again),
                    Err(status) => return Err(Error::Call { call: "watch", status }),
                },
                Ok(()) = say.changed() => {
                    let announcement = say.borrow_and_update().clone();
                    self.announce(&mut service, random, &announcement).await?;
                }
                () = sleep_until(patience), if self.view.has_missing() => {
                    self.view.drop_missing();
                    self.tell();
                }
                () = sleep_until(renewal) => {
                    let announcement = say.borrow().clone();
                    self.announce(&mut service, random, &announcement).await?;
                    renewal = Instant::now() + schedule::renewal(self.options.ttl, fraction(random));
                }
            }
        }
    }

    async fn announce(
        &mut self,
        service: &mut ClusterClient<Channel>,
        random: &mut Random,
        announcement: &Announcement,
    ) -> Result<(), Error> {
        if let Some(affiliate) = &announcement.affiliate {
            let data = self.seal(affiliate, random)?;
            let own = self.options.affiliate_id.clone();
            self.update(service, own, Some(data), &announcement.endpoints).await?;
        }
        for (id, endpoints) in announcement
            .observed
            .iter()
            .filter(|(_, endpoints)| !endpoints.is_empty())
        {
            self.update(service, id.clone(), None, endpoints).await?;
        }
        Ok(())
    }

    fn seal(&mut self, affiliate: &Affiliate, random: &mut Random) -> Result<Bytes, seal::Error> {
        if let Some((_, data)) = self.sealed.as_ref().filter(|(last, _)| last == affiliate) {
            return Ok(data.clone());
        }
        let mut nonce = [0; 12];
        random(&mut nonce);
        let data = Bytes::from(self.options.key.seal_affiliate(affiliate, nonce)?);
        self.sealed = Some((affiliate.clone(), data.clone()));
        Ok(data)
    }

    async fn update(
        &self,
        service: &mut ClusterClient<Channel>,
        affiliate_id: String,
        affiliate_data: Option<Bytes>,
        endpoints: &[SocketAddr],
    ) -> Result<(), Error> {
        let seal = |endpoint: &SocketAddr| self.options.key.seal_endpoint(*endpoint).map(Bytes::from);
        let endpoints: Result<Vec<Bytes>, _> = endpoints.iter().take(ENDPOINTS).map(seal).collect();
        let request = AffiliateUpdateRequest {
            cluster_id: self.options.cluster_id.clone(),
            affiliate_id,
            affiliate_data,
            affiliate_endpoints: endpoints?,
            ttl: prost_types::Duration::try_from(self.options.ttl).ok(),
        };
        in_time("update an affiliate", service.affiliate_update(request))
            .await
            .map(drop)
    }

    fn tell(&self) {
        self.found.send_if_modified(|found| {
            for (id, problem) in self.view.problems() {
                if found.problems.get(id) != Some(problem) {
                    tracing::warn!(affiliate = id, %problem, "ignored what the discovery service shows");
                }
            }
            let changed = found.peers != *self.view.peers() || found.problems != *self.view.problems();
            if changed {
                found.peers.clone_from(self.view.peers());
                found.problems.clone_from(self.view.problems());
            }
            changed
        });
    }

    fn trouble(&self, error: &Error) {
        let text = error.to_string();
        self.found.send_if_modified(|found| {
            let new = found.trouble.as_ref() != Some(&text);
            if new {
                tracing::warn!("{text}; trying again");
            }
            let changed = found.connected || new;
            (found.connected, found.trouble) = (false, Some(text));
            changed
        });
    }
}

async fn connect(endpoint: &ServiceEndpoint, options: &Options) -> Result<ClusterClient<Channel>, Error> {
    let channel = endpoint.connect(&options.tls).await;
    let channel = channel.map_err(|error| Error::Connect(endpoint.to_string(), causes(&error)))?;
    Ok(ClusterClient::new(channel).max_decoding_message_size(MESSAGE))
}

/// Says hello: where to go instead, and this node's address.
async fn hello(
    service: &mut ClusterClient<Channel>,
    options: &Options,
    endpoint: &ServiceEndpoint,
) -> Result<(Option<ServiceEndpoint>, Option<IpAddr>), Error> {
    let request = HelloRequest {
        cluster_id: options.cluster_id.clone(),
        client_version: options.client_version.clone(),
    };
    let reply = in_time("hello", service.hello(request)).await?.into_inner();
    let redirect = reply.redirect.map(|to| endpoint.redirected(&to.endpoint)).transpose()?;
    // A service may send a node to where it is already.
    Ok((
        redirect.filter(|to| to != endpoint),
        address_from_bytes(&reply.client_ip),
    ))
}

async fn in_time<T>(call: &'static str, answer: impl Future<Output = Result<T, Status>>) -> Result<T, Error> {
    let late = |_| Err(Status::deadline_exceeded(format!("no answer within {PATIENCE:?}")));
    let result = timeout(PATIENCE, answer).await.unwrap_or_else(late);
    result.map_err(|status| Error::Call { call, status })
}

/// From 0 to 1.
fn fraction(random: &mut Random) -> f64 {
    let mut bytes = [0; 4];
    random(&mut bytes);
    f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX)
}

/// An error with what caused it.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
