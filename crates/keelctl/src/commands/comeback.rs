//! How a node that went down is seen to be back, or gone.

use std::time::Duration;

use api::client::{Client, ClientOptions, within};
use pki::tls;
use tonic::{Code, Status};

use crate::session::Target;

/// How long a look at a node may take.
const LOOK: Duration = Duration::from_secs(10);
/// How many looks in a row have to find etcd waiting for its bootstrap before nothing else is expected of the node: one
/// that is about to join others waits for a moment too.
const STEADY: u32 = 5;

/// One run of a node, told from others by when it began.
pub type Run = Option<prost_types::Timestamp>;

/// What the machine's status resource says: it is made anew at every boot, and it tells the stage.
struct Mark {
    run: Run,
    stage: String,
}

/// Which run of the node this is, if it tells.
pub async fn run_of(client: &Client) -> Option<Run> {
    mark(client).await.ok().map(|mark| mark.run)
}

/// Whether a node does not answer any more.
pub async fn is_gone(client: &Client) -> bool {
    mark(client)
        .await
        .is_err_and(|status| status.code() == Code::Unavailable)
}

/// Looks at a node until it is back from a reboot.
pub struct Comeback<'a> {
    target: &'a Target,
    /// The run before; none if it could not be asked.
    before: Option<Run>,
    /// How often in a row etcd was seen to wait for its bootstrap.
    waiting: u32,
}

impl<'a> Comeback<'a> {
    /// Waits for another run than this one.
    pub fn new(target: &'a Target, before: Option<Run>) -> Self {
        Self {
            target,
            before,
            waiting: 0,
        }
    }

    /// One look: what it is back as, in words; none while it is not.
    pub async fn look(&mut self) -> Option<String> {
        match mark(&self.target.client).await {
            Ok(mark) if self.before.as_ref() == Some(&mark.run) => None,
            Ok(mark) if matches!(mark.stage.as_str(), "running" | "maintenance") => Some(mark.stage),
            Ok(mark) => {
                let waits = waits_for_bootstrap(&self.target.client).await;
                self.waiting = if waits { self.waiting + 1 } else { 0 };
                (self.waiting >= STEADY).then(|| format!("{}; etcd waits for bootstrap", mark.stage))
            }
            Err(_) if self.is_in_maintenance().await => {
                Some("maintenance; it has no configuration any more".to_owned())
            }
            Err(_) => None,
        }
    }

    /// A node without a configuration does not know the authority that we do.
    async fn is_in_maintenance(&self) -> bool {
        let Ok(tls) = tls::client_config_insecure(&[]) else {
            return false;
        };
        let options = ClientOptions {
            endpoints: vec![self.target.node.clone()],
            ..ClientOptions::new(tls)
        };
        let Ok(client) = Client::connect(options) else {
            return false;
        };
        mark(&client).await.is_ok_and(|mark| mark.stage == "maintenance")
    }
}

async fn mark(client: &Client) -> Result<Mark, Status> {
    let asked = client.resource("runtime", "MachineStatuses.runtime.talos.dev", "machine");
    let resource = within(LOOK, asked).await?;
    let yaml = resource.spec.map(|spec| spec.yaml_spec).unwrap_or_default();
    let spec: serde_json::Value = serde_saphyr::from_str(&yaml).unwrap_or_default();
    Ok(Mark {
        run: resource.metadata.and_then(|metadata| metadata.created),
        stage: spec["stage"].as_str().unwrap_or_default().to_owned(),
    })
}

/// Whether the node's etcd has no data, and nobody to join.
async fn waits_for_bootstrap(client: &Client) -> bool {
    let Ok(response) = within(LOOK, client.machine().service_list(())).await else {
        return false;
    };
    let services = response
        .into_inner()
        .messages
        .into_iter()
        .flat_map(|list| list.services);
    let etcd = services.into_iter().find(|service| service.id == "etcd");
    etcd.is_some_and(|etcd| {
        let last = etcd.events.as_ref().and_then(|events| events.events.last());
        etcd.state == "Waiting" && last.is_some_and(|event| event.msg.contains("bootstrap"))
    })
}
