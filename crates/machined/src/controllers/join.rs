//! When a worker's kubelet can join its cluster.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use http::Method;
use k8s::{Auth, Client, Options};
use node_resources::config::{MachineKind, MachineType};
use node_resources::keelson::KubeletJoin;
use node_resources::secrets::KubeletSecrets;
use node_resources::types::AcceptedCA;
use resource::{Context, One, Outcome, Outputs, Reconcile};
use serde_json::json;
use tokio::time::Instant;

use super::kubelet_credentials::{Credentials, Verdict, Wanted};
use crate::clients;
use crate::clock::Clock;
use crate::kubernetes::pki::BootstrapToken;

/// Time between two questions.
const RETRY: Duration = Duration::from_millis(100);
/// How long one question may take: the balancer holds a connection while no API server answers.
const LIMIT: Duration = Duration::from_secs(5);
/// Time between two looks at the credentials: while there are none, and when there are.
const LOOK: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// Credentials are not given up more often than this for the same authorities: the cluster may still sign with the one
/// before, and would do it again.
const PATIENCE: Duration = Duration::from_secs(5 * 60);

/// Says when the kubelet can start: it has credentials that are good, or the cluster takes its bootstrap token.
///
/// - Credentials are good if the cluster's authority issued them and they have not run out. Others are removed, so that
///   the kubelet asks for new ones. If only the authorities to trust are other ones, those are replaced.
/// - A kubelet whose token is refused waits longer and longer before it asks again, and would join long after it could.
///   So the cluster is asked here first, as often as [`RETRY`] says.
pub struct Join {
    credentials: Credentials,
    client: Option<(KubeletSecrets, Client)>,
    /// For which authorities credentials were given up last, and when.
    gave_up: Option<(Wanted, Instant)>,
    /// How often credentials were given up.
    times: u32,
    clock: Clock,
}

impl Join {
    /// The kubelet's files are below a root: `/` on a node, a folder in tests.
    pub fn new(root: &Path) -> Self {
        Self {
            credentials: Credentials::below(root),
            client: None,
            gave_up: None,
            times: 0,
            clock: Clock::default(),
        }
    }

    fn may_give_up(&self, wanted: &Wanted) -> bool {
        self.gave_up
            .as_ref()
            .is_none_or(|(then, when)| then != wanted || when.elapsed() > PATIENCE)
    }
}

impl Reconcile for Join {
    type Inputs = (One<MachineType>, One<KubeletSecrets>);
    type Outputs = Outputs<KubeletJoin>;

    async fn reconcile(
        &mut self,
        (kind, secrets): Self::Inputs,
        _: &Context,
    ) -> anyhow::Result<Outcome<Self::Outputs>> {
        let control_plane = kind.0 == MachineKind::ControlPlane;
        let wanted = Wanted::of(&secrets)?;
        let held = self.credentials.read();
        match held.judge(&wanted, control_plane, self.clock.now()) {
            // Another controller writes the file; what runs, runs on until then.
            Verdict::Wait => return Ok(Outcome::unchanged().requeue(RETRY)),
            Verdict::Retrust(kubeconfig) => self.credentials.write(&kubeconfig)?,
            Verdict::GiveUp if self.may_give_up(&wanted) => {
                tracing::info!(
                    "the kubelet's credentials are not of the cluster's authority, or not of this time: it asks for others"
                );
                self.credentials.remove(control_plane)?;
                self.gave_up = Some((wanted.clone(), Instant::now()));
                self.times += 1;
            }
            Verdict::Keep | Verdict::None | Verdict::GiveUp => {}
        }
        let held = self.credentials.read();
        let join = KubeletJoin {
            ready: true,
            version: wanted.version(self.times),
            authority: held.authority(&wanted),
            certificate: held.fingerprint(),
        };
        let look = if join.certificate.is_empty() { LOOK.0 } else { LOOK.1 };
        // A control plane signs its kubelet's credentials itself; a node that has joined keeps its own.
        if control_plane || held.exist() {
            self.client = None;
            return Ok(Outcome::done(Outputs::one("kubelet", join)).requeue(look));
        }
        if self.client.as_ref().is_none_or(|(from, _)| *from != *secrets) {
            self.client = Some(((*secrets).clone(), client(&secrets)?));
        }
        let Some((_, client)) = &self.client else {
            return Ok(Outcome::unchanged());
        };
        let ready = may_join(client).await;
        let again = if ready { look } else { RETRY };
        Ok(Outcome::done(Outputs::one("kubelet", KubeletJoin { ready, ..join })).requeue(again))
    }
}

fn client(secrets: &KubeletSecrets) -> anyhow::Result<Client> {
    let ca = AcceptedCA::bundle(&secrets.accepted_cas);
    let token = BootstrapToken::new(&secrets.bootstrap_token_id, &secrets.bootstrap_token_secret);
    let mut options = Options::new(secrets.endpoint.to_string(), &ca, Auth::Token(token.text()?));
    options.timeout = LIMIT;
    clients::kubernetes::with(options).context("use the cluster's bootstrap token")
}

/// Asks for the right that joining takes. Whatever goes wrong here passes when the cluster is up.
async fn may_join(client: &Client) -> bool {
    let review = json!({
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {
            "group": "certificates.k8s.io",
            "resource": "certificatesigningrequests",
            "verb": "create",
        }},
    });
    let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    match client.request(Method::POST, path, Some(&review)).await {
        Ok(answer) => answer["status"]["allowed"] == true,
        Err(_) => false,
    }
}
