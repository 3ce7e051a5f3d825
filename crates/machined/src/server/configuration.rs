//! The machine configuration: applying it, and what is handed out of it.

use std::time::{Duration, SystemTime};

use api::proto::common::Data;
use api::proto::machine as proto;
use api::proto::machine::apply_configuration_request::Mode as ApplyMode;
use api::reply::Reply;
use config::{Config, Mode};
use futures::StreamExt;
use node_resources::cluster::Info;
use node_resources::config::MachineConfig;
use node_resources::secrets::{KubernetesSecrets, OSRootSecrets};
use pki::clientconfig::{ClientConfig, Context as ClientContext};
use pki::{Authority, KeyKind};
use tonic::codegen::BoxStream;
use tonic::{Request, Response, Status};

use crate::machine_config::parsed;
use crate::node::Node;
use crate::sequence::Sequence;

/// The id of the configuration in effect.
pub const CURRENT: &str = "v1alpha1";
/// A configuration larger than this is no configuration.
const MAX_SIZE: usize = 4 * 1024 * 1024;
/// Lifetime of a client certificate when the caller names none: a year.
const ADMIN_LIFETIME: Duration = Duration::from_secs(365 * 24 * 60 * 60);
/// How long a configuration on trial stays without a word.
const TRY_TIMEOUT: Duration = Duration::from_secs(60);

/// What applying comes to.
struct Verdict {
    config: Config,
    warnings: Vec<String>,
    mode: ApplyMode,
    details: String,
}

/// Metadata key by which a caller insists on a configuration that locks somebody out.
pub const FORCE_KEY: &str = "keelson-force";

/// Who applies a configuration, and how much it is wanted.
#[derive(Clone, Debug, Default)]
struct Caller {
    /// SHA-256 of the certificate of the authority that issued the caller's own, where apid says so.
    authority: Option<String>,
    /// What locks somebody out is a warning only.
    force: bool,
}

impl Caller {
    fn of<T>(request: &Request<T>) -> Self {
        let text = |key: &str| request.metadata().get(key)?.to_str().ok().map(ToOwned::to_owned);
        Self {
            authority: text(api::roles::AUTHORITY_KEY),
            force: text(FORCE_KEY).is_some_and(|value| value == "true"),
        }
    }
}

/// Checks a configuration and makes it the node's.
///
/// # Errors
/// It is not valid, belongs to another cluster, or another is being applied.
pub async fn apply(
    node: &Node,
    request: Request<proto::ApplyConfigurationRequest>,
) -> Result<proto::ApplyConfigurationResponse, Status> {
    let (actor, caller) = (super::actor(&request), Caller::of(&request));
    let request = request.into_inner();
    let Ok(_guard) = node.apply_lock.try_lock() else {
        return Err(Status::failed_precondition(
            "another configuration is being applied (try again when it is done)",
        ));
    };
    let current = node.store.get::<MachineConfig>(CURRENT);
    let old = current
        .as_ref()
        .map(|c| parsed(c))
        .transpose()
        .map_err(|e| Status::internal(e.to_string()))?;
    let verdict = judge(old.as_deref(), &request, &caller)?;
    if request.dry_run {
        return Ok(answer(&verdict, format!("Dry run summary:\n{}", verdict.details)));
    }
    let bytes = verdict.config.encode();
    let text = String::from_utf8(bytes.clone()).map_err(|e| Status::internal(e.to_string()))?;
    let put = |text: String, cause: &str| {
        let outcome = node.store.put("config.Apply", CURRENT, MachineConfig(text), cause);
        outcome.map(drop).map_err(|e| Status::internal(e.to_string()))
    };
    match verdict.mode {
        ApplyMode::Staged => node.configs.stage(&bytes).map_err(super::internal)?,
        ApplyMode::Try => {
            let before = current.map(|c| c.0.clone());
            put(text.clone(), "tried")?;
            let timeout = request
                .try_mode_timeout
                .and_then(|d| Duration::try_from(d).ok())
                .unwrap_or(TRY_TIMEOUT);
            tokio::spawn(end_trial(node.clone(), before, text, timeout));
        }
        ApplyMode::Reboot if old.is_some() => {
            node.configs.save(&bytes).map_err(super::internal)?;
            let sequence = Sequence::Reboot { force: false };
            node.sequencer
                .request(sequence, &actor)
                .map_err(|e| Status::failed_precondition(e.to_string()))?;
        }
        ApplyMode::Auto | ApplyMode::NoReboot | ApplyMode::Reboot => {
            node.configs.save(&bytes).map_err(super::internal)?;
            put(text, "applied")?;
        }
    }
    let details = match verdict.mode {
        ApplyMode::Staged => "Staged configuration to be applied after the next reboot",
        ApplyMode::Try => "Applied configuration on trial: it returns by itself unless applied again",
        ApplyMode::Reboot if old.is_some() => "Applied configuration with a reboot",
        _ => "Applied configuration without a reboot",
    };
    Ok(answer(&verdict, details.to_owned()))
}

fn answer(verdict: &Verdict, mode_details: String) -> proto::ApplyConfigurationResponse {
    proto::ApplyConfigurationResponse::of(proto::ApplyConfiguration {
        warnings: verdict.warnings.clone(),
        mode: verdict.mode.into(),
        mode_details,
        ..Default::default()
    })
}

/// Decides whether and how a configuration can be applied: pure.
fn judge(old: Option<&Config>, request: &proto::ApplyConfigurationRequest, caller: &Caller) -> Result<Verdict, Status> {
    let invalid = |text: String| Status::invalid_argument(text);
    if request.data.len() > MAX_SIZE {
        return Err(invalid(format!(
            "the configuration has {} bytes; at most {MAX_SIZE} are taken",
            request.data.len()
        )));
    }
    let config = Config::decode(&request.data).map_err(|e| invalid(format!("failed to parse config: {e}")))?;
    if config.v1alpha1().is_none() {
        let hint = if old.is_some() {
            " (did you mean to patch the machine config instead?)"
        } else {
            ""
        };
        return Err(invalid(format!("the configuration has no v1alpha1 document{hint}")));
    }
    let problems = |errors: Vec<config::ValidationError>| {
        let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
        invalid(format!("configuration validation failed:\n{}", lines.join("\n")))
    };
    let warnings = config.validate(Mode::Container).map_err(problems)?;
    let mut warnings: Vec<String> = warnings.iter().map(ToString::to_string).collect();
    warnings.extend(config.without_effect(Mode::Container));
    let Some(old) = old else {
        // A node in maintenance has nothing to reboot from.
        let mode = ApplyMode::NoReboot;
        return Ok(Verdict {
            config,
            warnings,
            mode,
            details: "the node has no configuration yet".to_owned(),
        });
    };
    warnings.extend(lockouts(old, &config, caller)?);
    warnings.extend(taints_of_a_worker(old, &config));
    let impact = config::change::apply_impact(old, &config);
    let mode = match (request.mode(), impact.reboot.is_empty()) {
        (ApplyMode::Auto, true) => ApplyMode::NoReboot,
        (ApplyMode::Auto, false) => ApplyMode::Reboot,
        (ApplyMode::NoReboot | ApplyMode::Try, false) => {
            let paths = impact.reboot.join(", ");
            return Err(Status::failed_precondition(format!(
                "this change needs a reboot, and the mode forbids one: {paths} (use --mode=auto, reboot or staged)"
            )));
        }
        (mode, _) => mode,
    };
    let (redacted_old, redacted_new) = (old.redacted(pki::REDACTED), config.redacted(pki::REDACTED));
    let details = config::change::diff(&redacted_old, &redacted_new);
    Ok(Verdict {
        config,
        warnings,
        mode,
        details,
    })
}

/// Taints that this node, a worker, is told to have now and cannot give itself.
fn taints_of_a_worker(old: &Config, new: &Config) -> Option<String> {
    let taints = |config| config::view::node_settings(config).taints;
    let is_worker = new.machine_type() == Some(config::MachineType::Worker);
    (is_worker && taints(old) != taints(new)).then(|| {
        "machine.nodeTaints: Kubernetes does not let a worker change its own taints: it has those of the configuration when \
         it registers. Change them with `kubectl taint node` now."
            .to_owned()
    })
}

/// What of a configuration would lock somebody out: refused, or warnings if the caller insists.
fn lockouts(old: &Config, new: &Config, caller: &Caller) -> Result<Vec<String>, Status> {
    let found = config::lockout::lockouts(old, new, caller.authority.as_deref());
    let lines: Vec<String> = found.iter().map(ToString::to_string).collect();
    if caller.force || lines.is_empty() {
        return Ok(lines);
    }
    Err(Status::invalid_argument(format!(
        "this configuration would lock you or the node's cluster out:\n{}\n(--force applies it nevertheless)",
        lines.join("\n")
    )))
}

/// Brings the old configuration back unless another was applied meanwhile.
async fn end_trial(node: Node, before: Option<String>, tried: String, timeout: Duration) {
    tokio::select! {
        () = tokio::time::sleep(timeout) => {}
        () = node.cancel.cancelled() => return,
    }
    let current = node.store.get::<MachineConfig>(CURRENT).map(|c| c.0.clone());
    let saved = node.configs.load().ok().flatten();
    let kept = saved.is_some_and(|bytes| bytes == tried.as_bytes());
    if let (Some(before), true, false) = (before, current.as_deref() == Some(tried.as_str()), kept) {
        tracing::info!("the configuration on trial was not confirmed: returning to the one before");
        if let Err(error) = node
            .store
            .put("config.Apply", CURRENT, MachineConfig(before), "trial ended")
        {
            tracing::error!(%error, "returning to the configuration before the trial failed");
        }
    }
}

/// A client configuration with a new certificate.
///
/// # Errors
/// This node does not hold the authority.
pub fn generate_client(
    node: &Node,
    request: proto::GenerateClientConfigurationRequest,
) -> Result<proto::GenerateClientConfigurationResponse, Status> {
    let missing = || {
        Status::failed_precondition(
            "client certificates can only be issued by a control plane node (choose one with -n)",
        )
    };
    let root = node
        .store
        .list::<OSRootSecrets>()
        .into_iter()
        .next()
        .ok_or_else(missing)?;
    let authority = Authority::from_pair(&root.issuing_ca).map_err(|_| missing())?;
    let ttl = request
        .crt_ttl
        .and_then(|d| Duration::try_from(d).ok())
        .unwrap_or(ADMIN_LIFETIME);
    if ttl.is_zero() {
        return Err(Status::invalid_argument(
            "the lifetime of the certificate must be more than nothing (--crt-ttl)",
        ));
    }
    let roles: Vec<&str> = request.roles.iter().map(String::as_str).collect();
    let issued = authority
        .sign(&pki::Request::client(KeyKind::Ed25519, "", &roles, SystemTime::now()).with_ttl(ttl))
        .map_err(|e| Status::internal(e.to_string()))?;
    let name = node
        .store
        .list::<Info>()
        .into_iter()
        .next()
        .map(|i| i.cluster_name.clone())
        .unwrap_or_default();
    let context = ClientContext {
        ca: authority.certificate().to_vec(),
        crt: issued.crt.clone(),
        key: issued.key.clone(),
        ..ClientContext::default()
    };
    let config = ClientConfig {
        context: name.clone(),
        contexts: [(name, context)].into(),
    };
    let text = config.encode().map_err(|e| Status::internal(e.to_string()))?;
    Ok(proto::GenerateClientConfigurationResponse::of(
        proto::GenerateClientConfiguration {
            ca: authority.certificate().to_vec(),
            crt: issued.crt.clone(),
            key: issued.key.expose().to_vec(),
            talosconfig: text.expose().to_vec(),
            ..Default::default()
        },
    ))
}

/// The administrator's kubeconfig, newly issued: its lifetime starts now.
///
/// # Errors
/// This node is no control plane, or still starting.
pub fn kubeconfig(node: &Node) -> Result<Response<BoxStream<Data>>, Status> {
    let secrets = node
        .store
        .list::<KubernetesSecrets>()
        .into_iter()
        .next()
        .ok_or_else(|| {
            Status::failed_precondition("the kubeconfig can only be had from a control plane node that has started")
        })?;
    // A gzipped tar archive with one file is what clients of this call unpack.
    let archive = archive("kubeconfig", secrets.admin_kubeconfig.as_bytes()).map_err(super::internal)?;
    Ok(Response::new(
        futures::stream::iter([Ok(Data {
            metadata: None,
            bytes: archive,
        })])
        .boxed(),
    ))
}

fn archive(name: &str, contents: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut header = tar::Header::new_gnu();
    header.set_size(contents.len() as u64);
    header.set_mode(0o600);
    header.set_cksum();
    let mut builder = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
    builder.append_data(&mut header, name, contents)?;
    Ok(builder.into_inner()?.finish()?)
}

#[cfg(test)]
mod tests {
    use config::generate::{self, Input};
    use config::secrets::SecretsBundle;

    use super::*;

    fn worker() -> Config {
        let input = Input::new("c", "https://10.5.0.2:6443").unwrap();
        let secrets = SecretsBundle::generate(SystemTime::now(), input.contract).unwrap();
        generate::worker(&input, &secrets).unwrap()
    }

    #[test]
    fn what_locks_somebody_out_is_refused_unless_forced() {
        let (old, other) = (worker(), worker());
        let request = proto::ApplyConfigurationRequest {
            data: other.encode(),
            ..Default::default()
        };
        let refused = judge(Some(&old), &request, &Caller::default()).err().unwrap();
        for part in ["machine.ca", "cluster.id", "cluster.secret", "--force"] {
            assert!(refused.message().contains(part), "{refused}");
        }
        let forced = Caller {
            force: true,
            ..Caller::default()
        };
        let verdict = judge(Some(&old), &request, &forced).unwrap();
        assert!(verdict.warnings.iter().any(|w| w.starts_with("machine.ca: ")));
        // A node without a configuration takes any.
        judge(None, &request, &Caller::default()).unwrap();
    }
}
