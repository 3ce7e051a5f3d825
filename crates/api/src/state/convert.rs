//! Resources, queries and errors between the store and the wire.

use jiff::Timestamp;
use prost_types::Timestamp as ProtoTime;
use resource::{DynResource, Event, LabelOp, LabelTerm, NewResource, Phase, Selector, StoreError};
use tonic::Status;

use crate::proto::cosi::resource as wire;

/// The version of a resource that is in no store.
const UNDEFINED: &str = "undefined";

pub(crate) fn resource(resource: &DynResource) -> wire::Resource {
    let metadata = resource.metadata();
    let version = match metadata.version {
        0 => UNDEFINED.to_owned(),
        version => version.to_string(),
    };
    wire::Resource {
        metadata: Some(wire::Metadata {
            namespace: metadata.namespace.clone(),
            r#type: metadata.ty.clone(),
            id: metadata.id.clone(),
            version,
            owner: metadata.owner.clone(),
            phase: metadata.phase.as_str().to_owned(),
            created: Some(time(metadata.created)),
            updated: Some(time(metadata.updated)),
            finalizers: metadata.finalizers.clone(),
            annotations: metadata.annotations.clone(),
            labels: metadata.labels.clone(),
        }),
        spec: Some(wire::Spec {
            proto_spec: resource.proto(),
            yaml_spec: resource.spec_yaml(),
        }),
    }
}

pub(crate) fn time(time: Timestamp) -> ProtoTime {
    ProtoTime {
        seconds: time.as_second(),
        nanos: time.subsec_nanosecond(),
    }
}

pub(super) fn event(event: Event) -> wire::Event {
    wire::Event {
        resource: event.resource.as_ref().map(resource),
        old: event.old.as_ref().map(resource),
        error: event.error,
        event_type: event.kind as i32,
        bookmark: event.bookmark.map(resource::Bookmark::to_bytes),
    }
}

pub(super) fn phase(text: &str) -> Result<Phase, Status> {
    match text {
        "" | "running" => Ok(Phase::Running),
        "tearingDown" => Ok(Phase::TearingDown),
        other => Err(Status::invalid_argument(format!(
            "phase {other:?} is neither \"running\" nor \"tearingDown\""
        ))),
    }
}

pub(super) fn selector(labels: Vec<wire::LabelQuery>, id: Option<wire::IdQuery>) -> Result<Selector, Status> {
    let queries = labels
        .into_iter()
        .map(|query| query.terms.into_iter().map(term).collect());
    let queries = queries.collect::<Result<Vec<_>, Status>>()?;
    Selector::new(queries, id.as_ref().map(|query| query.regexp.as_str())).map_err(refused)
}

fn term(term: wire::LabelTerm) -> Result<LabelTerm, Status> {
    let unknown = || Status::invalid_argument(format!("label {:?}: operation {} is not known", term.key, term.op));
    Ok(LabelTerm {
        op: LabelOp::from_number(term.op).ok_or_else(unknown)?,
        key: term.key,
        values: term.value,
        invert: term.invert,
    })
}

/// A resource that somebody wants to have, with the namespace and type that its names stand for.
pub(super) fn wanted(resource: wire::Resource, ty: &str, default_namespace: &str) -> Result<NewResource, Status> {
    let metadata = resource.metadata.unwrap_or_default();
    let version = match metadata.version.as_str() {
        "" | UNDEFINED => 0,
        text => text
            .parse()
            .map_err(|_| Status::invalid_argument(format!("version {text:?} is not a number")))?,
    };
    if metadata.id.is_empty() {
        return Err(Status::invalid_argument("the resource has no id"));
    }
    Ok(NewResource {
        namespace: or_default(metadata.namespace, default_namespace),
        ty: ty.to_owned(),
        id: metadata.id,
        version,
        phase: phase(&metadata.phase)?,
        labels: metadata.labels,
        annotations: metadata.annotations,
        finalizers: metadata.finalizers,
        spec_yaml: resource.spec.unwrap_or_default().yaml_spec,
    })
}

pub(super) fn or_default(namespace: String, default: &str) -> String {
    if namespace.is_empty() {
        default.to_owned()
    } else {
        namespace
    }
}

/// The status for what the store refuses. Clients tell the cases apart by these codes.
pub(super) fn refused(error: StoreError) -> Status {
    let text = error.to_string();
    match error {
        StoreError::NotFound(_) | StoreError::UnknownType(_) => Status::not_found(text),
        StoreError::AlreadyExists(_) => Status::already_exists(text),
        StoreError::Conflict { .. } | StoreError::Finalizers { .. } | StoreError::Bookmark(_) => {
            Status::failed_precondition(text)
        }
        StoreError::Owner { .. } | StoreError::ReadOnly(_) => Status::permission_denied(text),
        StoreError::Phase { .. } | StoreError::Spec { .. } | StoreError::Query(_) | StoreError::Ambiguous { .. } => {
            Status::invalid_argument(text)
        }
        StoreError::Backend { .. } => Status::internal(text),
    }
}
