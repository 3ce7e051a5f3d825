//! The manifests that every cluster gets from its control planes: what of them differs from the cluster, and applying it.
//!
//! Nodes only create what is absent. The upgrade applies on the server's side, as the same field manager: what somebody
//! else changed stays, and is told, unless it is taken by force.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail};
use api::client::Client;
use k8s::{ApplyOptions, Error, Patch};
use serde_json::{Value, json};

use super::api::Api;
use super::component::Component;
use crate::commands::health::view::spec;
use crate::session::failed;

/// Who owns what nodes create, and what is applied here.
const MANAGER: &str = "keelson";
/// Names under which nodes create the objects of manifests.
const CREATORS: [&str; 2] = [MANAGER, "talos"];
/// Set by the server whenever something changes.
const SERVERS_OWN: [&str; 5] = [
    "managedFields",
    "resourceVersion",
    "generation",
    "uid",
    "creationTimestamp",
];
/// The same, as an annotation of daemon sets.
const GENERATION: &str = "deprecated.daemonset.template.generation";
/// Lines around each difference.
const AROUND: usize = 3;

/// The objects that a control plane makes of its configuration, in the order in which they are applied.
pub async fn of_node(node: &Client) -> Result<Vec<Value>> {
    let manifests = node.resources("controlplane", "Manifests.kubernetes.talos.dev").await;
    let manifests = manifests.map_err(|status| failed(&status)).context("list manifests")?;
    let mut objects = Vec::new();
    for manifest in &manifests {
        match spec(manifest)? {
            Value::Array(list) => objects.extend(list),
            other => objects.push(other),
        }
    }
    Ok(objects)
}

/// The daemon set of the service proxy among objects.
pub fn proxy(objects: &[Value]) -> Option<&Value> {
    let is = |object: &&Value| object["kind"] == "DaemonSet" && object["metadata"]["name"] == Component::Proxy.name();
    objects.iter().find(is)
}

/// The image of the service proxy in its daemon set.
pub fn proxy_image(set: &Value) -> Option<&str> {
    set["spec"]["template"]["spec"]["containers"][0]["image"].as_str()
}

/// The objects as they will be once the service proxy has this image.
pub fn with_proxy_image(objects: &mut [Value], image: &str) {
    let is =
        |object: &&mut Value| object["kind"] == "DaemonSet" && object["metadata"]["name"] == Component::Proxy.name();
    if let Some(set) = objects.iter_mut().find(is) {
        set["spec"]["template"]["spec"]["containers"][0]["image"] = image.into();
    }
}

/// An object that differs from the cluster's.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// The object as it is wanted.
    pub object: Value,
    /// As a unified diff.
    pub text: String,
}

/// Kind, namespace and name, for people.
pub fn title(object: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (kind, name) = (text(&object["kind"]), text(&object["metadata"]["name"]));
    match object["metadata"]["namespace"].as_str() {
        Some(namespace) => format!("{kind} {namespace}/{name}"),
        None => format!("{kind} {name}"),
    }
}

/// The objects that applying would change. Nothing is changed.
pub async fn differences(api: &Api, objects: &[Value]) -> Result<Vec<Difference>> {
    let mut found = Vec::new();
    for object in objects {
        let title = title(object);
        let now = now(api, object).await.with_context(|| format!("get {title}"))?;
        let then = match &now {
            None => object.clone(),
            Some(_) => {
                let options = ApplyOptions::new(MANAGER).force().dry_run();
                let applied = api.insist(async |client| client.apply(object, &options).await).await;
                applied.with_context(|| format!("see what would become of {title}"))?
            }
        };
        let text = diff(&title, now.as_ref(), &then)?;
        if !text.is_empty() {
            found.push(Difference {
                object: object.clone(),
                text,
            });
        }
    }
    Ok(found)
}

/// The object as the cluster has it.
async fn now(api: &Api, object: &Value) -> Result<Option<Value>, Error> {
    let found = api
        .insist(async |client| {
            let (resource, name) = client.address(object).await?;
            client
                .get(&resource, object["metadata"]["namespace"].as_str(), &name)
                .await
        })
        .await;
    match found {
        Ok(found) => Ok(Some(found)),
        // Nor is there an object of a kind that another manifest defines.
        Err(error) if error.is_not_found() || matches!(error, Error::UnknownKind { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

fn diff(title: &str, now: Option<&Value>, then: &Value) -> Result<String> {
    let text = |object: Option<&Value>| -> Result<String> {
        let Some(object) = object else {
            return Ok(String::new());
        };
        let yaml = k8s::yaml::encode(&bare(object))?;
        Ok(String::from_utf8_lossy(yaml.expose()).into_owned())
    };
    let (old, new) = (text(now)?, text(Some(then))?);
    if old == new {
        return Ok(String::new());
    }
    if then["kind"] == "Secret" {
        return Ok(format!("--- {title}\n+++ {title}\n(its content is secret)\n"));
    }
    let lines = similar::TextDiff::from_lines(old.as_str(), new.as_str());
    let mut unified = lines.unified_diff();
    let before = if now.is_some() { title } else { "(absent)" };
    Ok(unified.context_radius(AROUND).header(before, title).to_string())
}

/// An object without what the server sets.
fn bare(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(fields) = object.as_object_mut() {
        fields.remove("status");
    }
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.retain(|name, _| !SERVERS_OWN.contains(&name.as_str()));
        let annotations = metadata.get_mut("annotations").and_then(Value::as_object_mut);
        let empty = annotations.is_some_and(|annotations| {
            annotations.remove(GENERATION);
            annotations.is_empty()
        });
        if empty {
            metadata.remove("annotations");
        }
    }
    object
}

/// Applies an object. What nodes created before counts as applied by the same manager, so that only what others changed
/// is in the way.
pub async fn apply(api: &Api, object: &Value, force: bool) -> Result<()> {
    let title = title(object);
    if let Some(now) = now(api, object).await.with_context(|| format!("get {title}"))?
        && let Some(fields) = adopted(&now["metadata"]["managedFields"])
    {
        let patch = Patch::Json(json!([
            // Fails if somebody changed the object meanwhile.
            {"op": "replace", "path": "/metadata/resourceVersion", "value": now["metadata"]["resourceVersion"]},
            {"op": "replace", "path": "/metadata/managedFields", "value": fields},
        ]));
        let patched = api
            .insist(async |client| {
                let (resource, name) = client.address(object).await?;
                let namespace = object["metadata"]["namespace"].as_str();
                client.patch(&resource, namespace, &name, None, &patch).await
            })
            .await;
        patched.with_context(|| format!("take over {title}"))?;
    }
    let mut options = ApplyOptions::new(MANAGER);
    if force {
        options = options.force();
    }
    let applied = api.insist(async |client| client.apply(object, &options).await).await;
    match applied {
        Ok(_) => Ok(()),
        Err(error) if error.is_conflict() => bail!(
            "{title}: somebody else changed what the manifest sets, and it was left as it is (--manifests-force sets it): {error}"
        ),
        Err(error) => Err(error).with_context(|| format!("apply {title}")),
    }
}

/// The managers of an object's fields with what nodes created as applied; none if there is nothing to change.
fn adopted(fields: &Value) -> Option<Value> {
    let mut fields = fields.as_array()?.clone();
    let is = |entry: &Value, operation: &str| {
        entry["operation"] == operation
            && entry["manager"].as_str().is_some_and(|name| CREATORS.contains(&name))
            && entry["subresource"].as_str().is_none_or(str::is_empty)
    };
    if fields.iter().any(|entry| is(entry, "Apply")) {
        return None;
    }
    let created = fields.iter_mut().find(|entry| is(entry, "Update"))?;
    created["manager"] = MANAGER.into();
    created["operation"] = "Apply".into();
    Some(Value::Array(fields))
}

/// Objects that take a while to become what they are told to be.
pub fn rolls_out(object: &Value) -> bool {
    ["DaemonSet", "Deployment"].iter().any(|kind| object["kind"] == *kind)
}

/// Whether everything that a daemon set or deployment runs is of its newest version, and ready.
pub async fn rolled_out(api: &Api, object: &Value) -> Result<()> {
    let title = title(object);
    let now = now(api, object).await.with_context(|| format!("get {title}"))?;
    let kind = object["kind"].as_str().unwrap_or_default();
    cluster_health::kube::rolled_out(kind, &now.with_context(|| format!("{title} is gone"))?)
}

/// Requests for API versions that a version of Kubernetes does not have any more: `group/version resource`, with the
/// version that removes them. Read from an API server's metrics; it counts since its start.
pub fn removed_apis(metrics: &str, minor: u32) -> BTreeMap<String, String> {
    let uses = metrics.lines().filter_map(|line| {
        let labels = line
            .strip_prefix("apiserver_requested_deprecated_apis{")?
            .split('}')
            .next()?;
        let label = |name: &str| {
            let rest = labels.split(',').find_map(|label| label.trim().strip_prefix(name))?;
            Some(rest.strip_prefix('=')?.trim_matches('"').to_owned())
        };
        let release = label("removed_release")?;
        let removed: u32 = release.split_once('.')?.1.parse().ok()?;
        let (group, version, resource) = (label("group")?, label("version")?, label("resource")?);
        let slash = if group.is_empty() { "" } else { "/" };
        (removed <= minor).then(|| (format!("{group}{slash}{version} {resource}"), release))
    });
    uses.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_leaves_out_what_the_server_sets_and_what_is_secret() {
        let set = |image: &str, generation: u64| {
            json!({"kind": "DaemonSet", "metadata": {"name": "kube-proxy", "namespace": "kube-system",
                "generation": generation, "managedFields": [], "annotations": {GENERATION: generation.to_string()}},
                "spec": {"template": {"spec": {"containers": [{"image": image}]}}}, "status": {"x": generation}})
        };
        assert_eq!(diff("x", Some(&set("a:1", 1)), &set("a:1", 2)).unwrap(), "");
        let text = diff(&title(&set("", 0)), Some(&set("a:1", 1)), &set("a:2", 2)).unwrap();
        assert!(text.contains("--- DaemonSet kube-system/kube-proxy"), "{text}");
        assert!(
            text.contains("-      - image: a:1") && text.contains("+      - image: a:2"),
            "{text}"
        );
        assert!(!text.contains("generation"), "{text}");

        let mut objects = [set("a:1", 1)];
        with_proxy_image(&mut objects, "a:2");
        assert_eq!(proxy(&objects).and_then(proxy_image), Some("a:2"));

        let secret = |token: &str| json!({"kind": "Secret", "metadata": {"name": "s"}, "data": {"token": token}});
        let text = diff("Secret s", Some(&secret("old")), &secret("new")).unwrap();
        assert!(
            text.contains("secret") && !text.contains("old") && !text.contains("new"),
            "{text}"
        );
        assert!(diff("x", None, &set("a:1", 1)).unwrap().contains("(absent)"));
    }

    #[test]
    fn what_nodes_created_is_taken_over_once() {
        let entry =
            |manager: &str, operation: &str| json!({"manager": manager, "operation": operation, "fieldsV1": {}});
        let status = json!({"manager": "keelson", "operation": "Update", "subresource": "status"});
        let fields = json!([entry("kubectl-edit", "Update"), status, entry("keelson", "Update")]);
        let taken = adopted(&fields).unwrap();
        assert_eq!(taken[0], fields[0]);
        assert_eq!(taken[1], fields[1]);
        assert_eq!(taken[2], entry("keelson", "Apply"));
        assert_eq!(adopted(&taken), None);
        assert_eq!(adopted(&json!([entry("kubectl-edit", "Update")])), None);
        assert_eq!(adopted(&Value::Null), None);
    }

    #[test]
    fn uses_of_apis_that_go_away_are_read_from_metrics() {
        let metrics = "# HELP apiserver_requested_deprecated_apis x\n\
            apiserver_requested_deprecated_apis{group=\"flowcontrol.apiserver.k8s.io\",removed_release=\"1.32\",resource=\"flowschemas\",subresource=\"\",version=\"v1beta3\"} 1\n\
            apiserver_requested_deprecated_apis{group=\"\",removed_release=\"\",resource=\"endpoints\",subresource=\"\",version=\"v1\"} 1\n";
        let found = removed_apis(metrics, 32);
        assert_eq!(
            found.get("flowcontrol.apiserver.k8s.io/v1beta3 flowschemas").unwrap(),
            "1.32"
        );
        assert_eq!(found.len(), 1);
        assert!(removed_apis(metrics, 31).is_empty());
    }
}
