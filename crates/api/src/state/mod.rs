//! The resources of a node as the `cosi.resource.State` service, and [`InsightService`] beside it.
//!
//! Types are taken by their full name or an alias, an empty namespace means the default one of the type.

mod access;
pub(crate) mod convert;
mod insight;

use futures::{Stream, StreamExt, stream};
use resource::{Bookmark, EventKind, Store, Watch, WatchOptions};
use tonic::codec::CompressionEncoding;
use tonic::codegen::BoxStream;
use tonic::{Request, Response, Status};

pub use access::Access;
pub use insight::{InsightService, PlanInput, Planner};

use crate::MAX_MESSAGE_SIZE;
use crate::proto::cosi::resource as wire;
use crate::proto::cosi::resource::state_server::{State, StateServer};
use convert::{or_default, refused, wanted};

/// Events in one message of an aggregated watch. A type with more resources comes in several.
const MAX_AGGREGATED: usize = 256;

/// The version of the watch call from which on errors come as events.
const ERRORS_AS_EVENTS: i32 = 1;

/// Serves a store.
#[derive(Clone, Debug)]
pub struct StateService {
    store: Store,
    access: Access,
}

impl StateService {
    /// Serves that store to those whom the rule lets in.
    pub fn new(store: Store, access: Access) -> Self {
        Self { store, access }
    }

    /// The service to add to a server.
    pub fn into_server(self) -> StateServer<Self> {
        StateServer::new(self)
            .max_decoding_message_size(MAX_MESSAGE_SIZE)
            .max_encoding_message_size(MAX_MESSAGE_SIZE)
            .accept_compressed(CompressionEncoding::Gzip)
            .send_compressed(CompressionEncoding::Gzip)
    }

    fn read<T>(&self, call: &str, request: &Request<T>, ty: &str) -> Result<Place, Status> {
        let definition = self.access.read(&path(call), request.metadata(), &self.store, ty)?;
        Ok(Place::of(&definition))
    }

    fn write<T>(&self, call: &str, request: &Request<T>, ty: &str, owner: &str) -> Result<Place, Status> {
        let definition = self.access.write(&path(call), request.metadata(), &self.store, ty)?;
        if !owner.is_empty() {
            return Err(Status::permission_denied(format!(
                "resources of {owner:?} are written by that controller only"
            )));
        }
        Ok(Place::of(&definition))
    }
}

fn path(call: &str) -> String {
    format!("/cosi.resource.State/{call}")
}

/// A type, and where its resources are if the caller does not say.
struct Place {
    ty: String,
    namespace: String,
}

impl Place {
    fn of(definition: &resource::Definition) -> Self {
        Self {
            ty: definition.ty.clone(),
            namespace: definition.default_namespace.clone(),
        }
    }

    fn within(self, namespace: String) -> Self {
        Self {
            namespace: or_default(namespace, &self.namespace),
            ..self
        }
    }
}

#[tonic::async_trait]
impl State for StateService {
    async fn get(&self, request: Request<wire::GetRequest>) -> Result<Response<wire::GetResponse>, Status> {
        let place = self.read("Get", &request, &request.get_ref().r#type)?;
        let request = request.into_inner();
        let at = place.within(request.namespace);
        let found = self
            .store
            .get_dyn(&at.ty, &at.namespace, &request.id)
            .map_err(refused)?;
        Ok(Response::new(wire::GetResponse {
            resource: Some(convert::resource(&found)),
        }))
    }

    async fn list(
        &self,
        request: Request<wire::ListRequest>,
    ) -> Result<Response<BoxStream<wire::ListResponse>>, Status> {
        let place = self.read("List", &request, &request.get_ref().r#type)?;
        let request = request.into_inner();
        let at = place.within(request.namespace);
        let options = request.options.unwrap_or_default();
        let selector = convert::selector(options.label_query, options.id_query)?;
        let found = self.store.list_dyn(&at.ty, &at.namespace, &selector);
        let found = found.into_iter().map(|r| {
            Ok(wire::ListResponse {
                resource: Some(convert::resource(&r)),
            })
        });
        Ok(Response::new(Box::pin(stream::iter(found))))
    }

    async fn watch(
        &self,
        request: Request<wire::WatchRequest>,
    ) -> Result<Response<BoxStream<wire::WatchResponse>>, Status> {
        let place = self.read("Watch", &request, &request.get_ref().r#type)?;
        let request = request.into_inner();
        let at = place.within(request.namespace);
        let options = request.options.unwrap_or_default();
        let bookmark = |bytes: Vec<u8>| {
            Bookmark::from_bytes(&bytes).ok_or_else(|| Status::invalid_argument("the bookmark is not one of ours"))
        };
        let start = WatchOptions {
            // An empty id is what clients send that do not know the field is optional.
            id: request.id.filter(|id| !id.is_empty()),
            selector: convert::selector(options.label_query, options.id_query)?,
            bootstrap_contents: options.bootstrap_contents,
            bootstrap_bookmark: options.bootstrap_bookmark,
            tail_events: usize::try_from(options.tail_events).unwrap_or(0),
            start_from: options.start_from_bookmark.map(bookmark).transpose()?,
        };
        let watch = self.store.watch_dyn(&at.ty, &at.namespace, start).map_err(refused)?;
        let at_once = if options.aggregated { MAX_AGGREGATED } else { 1 };
        let events = events(watch, at_once);
        let stream: BoxStream<wire::WatchResponse> = if request.api_version >= ERRORS_AS_EVENTS {
            Box::pin(events.map(Ok))
        } else {
            Box::pin(events.map(errors_end_it).scan(false, end_after_error))
        };
        Ok(Response::new(stream))
    }

    async fn create(&self, request: Request<wire::CreateRequest>) -> Result<Response<wire::CreateResponse>, Status> {
        let owner = request
            .get_ref()
            .options
            .as_ref()
            .map(|o| o.owner.clone())
            .unwrap_or_default();
        let place = self.write("Create", &request, type_of(request.get_ref().resource.as_ref()), &owner)?;
        let new = wanted(
            request.into_inner().resource.unwrap_or_default(),
            &place.ty,
            &place.namespace,
        )?;
        let created = self.store.create_dyn("", &new).map_err(refused)?;
        Ok(Response::new(wire::CreateResponse {
            resource: Some(convert::resource(&created)),
        }))
    }

    async fn update(&self, request: Request<wire::UpdateRequest>) -> Result<Response<wire::UpdateResponse>, Status> {
        let options = request.get_ref().options.clone().unwrap_or_default();
        let ty = type_of(request.get_ref().new_resource.as_ref());
        let place = self.write("Update", &request, ty, &options.owner)?;
        let expected = options.expected_phase.as_deref().map(convert::phase).transpose()?;
        let new = wanted(
            request.into_inner().new_resource.unwrap_or_default(),
            &place.ty,
            &place.namespace,
        )?;
        let updated = self.store.update_dyn("", &new, expected).map_err(refused)?;
        Ok(Response::new(wire::UpdateResponse {
            resource: Some(convert::resource(&updated)),
        }))
    }

    async fn destroy(&self, request: Request<wire::DestroyRequest>) -> Result<Response<wire::DestroyResponse>, Status> {
        let owner = request
            .get_ref()
            .options
            .as_ref()
            .map(|o| o.owner.clone())
            .unwrap_or_default();
        let place = self.write("Destroy", &request, &request.get_ref().r#type, &owner)?;
        let request = request.into_inner();
        let at = place.within(request.namespace);
        self.store
            .destroy_dyn(&at.ty, &at.namespace, &request.id, "")
            .map_err(refused)?;
        Ok(Response::new(wire::DestroyResponse {}))
    }

    async fn teardown(
        &self,
        request: Request<wire::TeardownRequest>,
    ) -> Result<Response<wire::TeardownResponse>, Status> {
        let owner = request
            .get_ref()
            .options
            .as_ref()
            .map(|o| o.owner.clone())
            .unwrap_or_default();
        let place = self.write("Teardown", &request, &request.get_ref().r#type, &owner)?;
        let request = request.into_inner();
        let at = place.within(request.namespace);
        let ready = self
            .store
            .teardown_dyn(&at.ty, &at.namespace, &request.id, "")
            .map_err(refused)?;
        Ok(Response::new(wire::TeardownResponse { destroy_ready: ready }))
    }

    async fn teardown_and_destroy(
        &self,
        request: Request<wire::TeardownAndDestroyRequest>,
    ) -> Result<Response<wire::TeardownAndDestroyResponse>, Status> {
        let owner = request
            .get_ref()
            .options
            .as_ref()
            .map(|o| o.owner.clone())
            .unwrap_or_default();
        let place = self.write("TeardownAndDestroy", &request, &request.get_ref().r#type, &owner)?;
        let request = request.into_inner();
        let at = place.within(request.namespace);
        let done = self.store.teardown_and_destroy(&at.ty, &at.namespace, &request.id, "");
        done.await.map_err(refused)?;
        Ok(Response::new(wire::TeardownAndDestroyResponse {}))
    }
}

fn type_of(resource: Option<&wire::Resource>) -> &str {
    let metadata = resource.and_then(|r| r.metadata.as_ref());
    metadata.map(|m| m.r#type.as_str()).unwrap_or_default()
}

/// Messages with up to `at_once` events, as soon as there is one.
fn events(watch: Watch, at_once: usize) -> impl Stream<Item = wire::WatchResponse> + Send {
    stream::unfold(watch, move |mut watch| async move {
        let events = watch.recv_many(at_once).await;
        let event = events.into_iter().map(convert::event).collect();
        Some((wire::WatchResponse { event }, watch))
    })
}

/// For clients that do not know error events: an error is the end of the stream.
fn errors_end_it(response: wire::WatchResponse) -> Result<wire::WatchResponse, Status> {
    let errored = response
        .event
        .iter()
        .find(|e| e.event_type == EventKind::Errored as i32);
    match errored {
        Some(event) => Err(Status::aborted(event.error.clone().unwrap_or_default())),
        None => Ok(response),
    }
}

fn end_after_error<T>(
    ended: &mut bool,
    item: Result<T, Status>,
) -> impl Future<Output = Option<Result<T, Status>>> + use<T> {
    let next = (!*ended).then_some(item);
    *ended = next.as_ref().is_some_and(Result::is_err);
    std::future::ready(next)
}
