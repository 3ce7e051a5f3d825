//! Looking back at changes, and ahead at what a configuration would change.

use std::fmt;
use std::sync::Arc;

use futures::stream;
use resource::{Change, ChangeKind, Store};
use tonic::codec::CompressionEncoding;
use tonic::codegen::BoxStream;
use tonic::{Request, Response, Status};

use super::Access;
use super::convert::{resource, time};
use crate::proto::keelson::machine as wire;
use crate::proto::keelson::machine::insight_service_server::{self, InsightServiceServer};
use crate::proto::keelson::machine::plan_request::Input;
use crate::{MAX_MESSAGE_SIZE, roles};

const HISTORY: &str = "/keelson.machine.InsightService/History";
const PLAN: &str = "/keelson.machine.InsightService/Plan";

/// What a plan is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlanInput {
    /// A complete machine configuration.
    Config(Vec<u8>),
    /// Patches of the current one.
    Patch(Vec<u8>),
}

/// Says what a configuration would change; the operating system knows how.
#[tonic::async_trait]
pub trait Planner: Send + Sync + 'static {
    /// The plan, with secrets redacted.
    async fn plan(&self, input: PlanInput) -> Result<wire::PlanResponse, Status>;
}

/// Serves the history of a store, and plans.
#[derive(Clone)]
pub struct InsightService {
    store: Store,
    access: Access,
    planner: Arc<dyn Planner>,
}

impl fmt::Debug for InsightService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InsightService")
            .field("access", &self.access)
            .finish_non_exhaustive()
    }
}

impl InsightService {
    /// Serves to those whom the rule lets in.
    pub fn new(store: Store, access: Access, planner: Arc<dyn Planner>) -> Self {
        Self { store, access, planner }
    }

    /// The service to add to a server.
    pub fn into_server(self) -> InsightServiceServer<Self> {
        InsightServiceServer::new(self)
            .max_decoding_message_size(MAX_MESSAGE_SIZE)
            .max_encoding_message_size(MAX_MESSAGE_SIZE)
            .accept_compressed(CompressionEncoding::Gzip)
            .send_compressed(CompressionEncoding::Gzip)
    }
}

#[tonic::async_trait]
impl insight_service_server::InsightService for InsightService {
    async fn history(
        &self,
        request: Request<wire::HistoryRequest>,
    ) -> Result<Response<BoxStream<wire::HistoryResponse>>, Status> {
        let caller = roles::of_request(&request);
        roles::authorize(HISTORY, &caller)?;
        let asked = request.get_ref();
        let ty = match asked.r#type.as_str() {
            "" => None,
            name => Some(
                self.access
                    .read(HISTORY, request.metadata(), &self.store, name)?
                    .ty
                    .clone(),
            ),
        };
        let given = |value: &str| (!value.is_empty()).then(|| value.to_owned());
        let (namespace, id) = (given(&asked.namespace), given(&asked.id));
        let limit = match asked.limit {
            0 => usize::MAX,
            limit => limit as usize,
        };
        // What may not be seen must not count towards the limit.
        let newest_first = self
            .store
            .history(ty.as_deref(), namespace.as_deref(), id.as_deref(), usize::MAX);
        let visible = |change: &Arc<Change>| {
            let definition = self.store.definition(&change.resource.metadata().ty);
            definition.is_some_and(|d| self.access.sees(&caller, &d))
        };
        let mut changes: Vec<_> = newest_first.into_iter().filter(visible).take(limit).collect();
        changes.reverse();
        Ok(Response::new(Box::pin(stream::iter(
            changes.into_iter().map(|c| Ok(response(&c))),
        ))))
    }

    async fn plan(&self, request: Request<wire::PlanRequest>) -> Result<Response<wire::PlanResponse>, Status> {
        roles::authorize(PLAN, &roles::of_request(&request))?;
        let input = match request.into_inner().input {
            Some(Input::Config(bytes)) => PlanInput::Config(bytes),
            Some(Input::Patch(bytes)) => PlanInput::Patch(bytes),
            None => {
                return Err(Status::invalid_argument(
                    "there is neither a configuration nor a patch to plan",
                ));
            }
        };
        self.planner.plan(input).await.map(Response::new)
    }
}

fn response(change: &Change) -> wire::HistoryResponse {
    use wire::history_response::Change as Kind;
    let (kind, new) = match change.kind {
        ChangeKind::Created => (Kind::Created, Some(&change.resource)),
        ChangeKind::Updated => (Kind::Updated, Some(&change.resource)),
        ChangeKind::Destroyed => (Kind::Destroyed, None),
    };
    let old = match change.kind {
        ChangeKind::Destroyed => Some(change.old.as_ref().unwrap_or(&change.resource)),
        _ => change.old.as_ref(),
    };
    wire::HistoryResponse {
        sequence: change.sequence,
        time: Some(time(change.time)),
        change: kind.into(),
        owner: change.actor.clone(),
        cause: change.cause.clone(),
        old: old.map(resource),
        new: new.map(resource),
    }
}
