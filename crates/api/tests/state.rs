//! The resource state over the wire: what readers and administrators see, queries, watches, writing.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use api::gate::Gate;
use api::proto::cosi::resource::state_client::StateClient;
use api::proto::cosi::resource::*;
use api::proto::keelson::machine::insight_service_client::InsightServiceClient;
use api::proto::keelson::machine::plan_request::Input;
use api::proto::keelson::machine::{HistoryRequest, PlanRequest, PlanResponse};
use api::state::{Access, InsightService, PlanInput, Planner, StateService};
use futures::StreamExt;
use hyper_util::rt::TokioIo;
use resource::Store;
use serde::{Deserialize, Serialize};
use tokio::net::{UnixListener, UnixStream};
use tokio_stream::wrappers::UnixListenerStream;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};

#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, resource::Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(type = "Members.cluster.talos.dev", namespace = "cluster")]
struct Member {
    #[field(3)]
    hostname: String,
}

#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, resource::Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(type = "OSRootSecrets.secrets.talos.dev", namespace = "secrets", sensitive)]
struct Root {
    #[field(1)]
    token: String,
}

#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, resource::Resource)]
#[serde(rename_all = "camelCase", default)]
#[resource(type = "Notes.runtime.talos.dev", namespace = "runtime")]
struct Note {
    #[field(1)]
    text: String,
}

struct Echo;

#[tonic::async_trait]
impl Planner for Echo {
    async fn plan(&self, input: PlanInput) -> Result<PlanResponse, Status> {
        Ok(PlanResponse {
            config_diff: format!("{input:?}"),
            ..PlanResponse::default()
        })
    }
}

type Wire = InterceptedService<Channel, Box<dyn Fn(Request<()>) -> Result<Request<()>, Status> + Send + Sync>>;

struct Node {
    store: Store,
    dir: tempfile::TempDir,
}

impl Node {
    fn new(access: Access) -> Self {
        let store = Store::default();
        store.register::<Member>();
        store.register::<Root>();
        store.register_writable::<Note>();
        for name in ["a", "b", "c"] {
            let spec = Member { hostname: name.into() };
            store.put("cluster.MemberController", name, spec, "test").unwrap();
        }
        let secret = Root { token: "s3cret".into() };
        store.put("secrets.RootController", "os", secret, "test").unwrap();
        let dir = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(dir.path().join("s")).unwrap();
        let server = tonic::transport::Server::builder()
            .layer(Gate::default())
            .add_service(StateService::new(store.clone(), access.clone()).into_server())
            .add_service(InsightService::new(store.clone(), access, Arc::new(Echo)).into_server())
            .serve_with_incoming(UnixListenerStream::new(listener));
        tokio::spawn(server);
        Self { store, dir }
    }

    fn wire(&self, role: &'static str) -> Wire {
        let socket = self.dir.path().join("s");
        let connect = tower::service_fn(move |_| {
            let socket = socket.clone();
            async move { UnixStream::connect(socket).await.map(TokioIo::new) }
        });
        let channel = Endpoint::from_static("http://localhost").connect_with_connector_lazy(connect);
        InterceptedService::new(
            channel,
            Box::new(move |mut request: Request<()>| {
                request.metadata_mut().insert("talos-role", role.parse().unwrap());
                Ok(request)
            }),
        )
    }

    fn client(&self, role: &'static str) -> StateClient<Wire> {
        StateClient::new(self.wire(role))
    }
}

const MEMBERS: &str = "Members.cluster.talos.dev";

fn get(ty: &str, id: &str) -> GetRequest {
    GetRequest {
        r#type: ty.into(),
        id: id.into(),
        ..GetRequest::default()
    }
}

async fn ids(client: &mut StateClient<Wire>, options: ListOptions) -> Vec<String> {
    let request = ListRequest {
        namespace: "cluster".into(),
        r#type: MEMBERS.into(),
        options: Some(options),
    };
    let stream = client.list(request).await.unwrap().into_inner();
    stream
        .map(|r| r.unwrap().resource.unwrap().metadata.unwrap().id)
        .collect()
        .await
}

fn note(id: &str, text: &str, version: &str) -> Resource {
    Resource {
        metadata: Some(Metadata {
            namespace: "runtime".into(),
            r#type: "Notes.runtime.talos.dev".into(),
            id: id.into(),
            version: version.into(),
            phase: "running".into(),
            ..Metadata::default()
        }),
        spec: Some(Spec {
            proto_spec: vec![],
            yaml_spec: format!("text: {text}\n"),
        }),
    }
}

#[tokio::test]
async fn resources_come_with_metadata_and_both_forms_of_the_spec() {
    let node = Node::new(Access::Roles);
    let mut client = node.client("os:reader");
    let found = client
        .get(get(MEMBERS, "a"))
        .await
        .unwrap()
        .into_inner()
        .resource
        .unwrap();
    let (metadata, spec) = (found.metadata.unwrap(), found.spec.unwrap());
    assert_eq!(
        (metadata.namespace.as_str(), metadata.version.as_str()),
        ("cluster", "1")
    );
    assert_eq!(
        (metadata.phase.as_str(), metadata.owner.as_str()),
        ("running", "cluster.MemberController")
    );
    assert!(metadata.created.unwrap().seconds > 1_700_000_000);
    assert_eq!(
        (spec.yaml_spec.as_str(), spec.proto_spec.as_slice()),
        ("hostname: a\n", &b"\x1a\x01a"[..])
    );
    client.get(get("member", "a")).await.unwrap();
    assert_eq!(client.get(get(MEMBERS, "x")).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(
        client.get(get("Nothing.at.all", "x")).await.unwrap_err().code(),
        Code::NotFound
    );
}

#[tokio::test]
async fn a_reader_cannot_read_secrets_and_a_stranger_nothing() {
    let node = Node::new(Access::Roles);
    let secret = get("OSRootSecrets.secrets.talos.dev", "os");
    for role in ["os:reader", "os:operator"] {
        let refused = node.client(role).get(secret.clone()).await.unwrap_err();
        assert_eq!(
            (refused.code(), refused.message()),
            (Code::PermissionDenied, "not authorized")
        );
        let watch = WatchRequest {
            r#type: secret.r#type.clone(),
            ..WatchRequest::default()
        };
        assert_eq!(
            node.client(role).watch(watch).await.unwrap_err().code(),
            Code::PermissionDenied
        );
    }
    node.client("os:admin").get(secret).await.unwrap();
    let stranger = node.client("os:etcd:backup").get(get(MEMBERS, "a")).await.unwrap_err();
    assert_eq!(stranger.code(), Code::PermissionDenied);
}

#[tokio::test]
async fn lists_are_narrowed_by_id_and_label() {
    let node = Node::new(Access::Roles);
    let mut client = node.client("os:reader");
    assert_eq!(ids(&mut client, ListOptions::default()).await, ["a", "b", "c"]);
    let by_id = ListOptions {
        id_query: Some(IdQuery {
            regexp: "^[bc]$".into(),
        }),
        ..ListOptions::default()
    };
    assert_eq!(ids(&mut client, by_id).await, ["b", "c"]);
    let term = LabelTerm {
        key: "zone".into(),
        op: label_term::Operation::Exists.into(),
        ..LabelTerm::default()
    };
    let by_label = ListOptions {
        label_query: vec![LabelQuery { terms: vec![term] }],
        ..ListOptions::default()
    };
    assert!(ids(&mut client, by_label).await.is_empty());
    let bad = ListRequest {
        r#type: MEMBERS.into(),
        options: Some(ListOptions {
            id_query: Some(IdQuery { regexp: "(".into() }),
            ..ListOptions::default()
        }),
        ..ListRequest::default()
    };
    assert_eq!(client.list(bad).await.unwrap_err().code(), Code::InvalidArgument);
}

#[tokio::test]
async fn a_watch_tells_what_is_there_then_what_changes() {
    let node = Node::new(Access::Roles);
    for aggregated in [false, true] {
        let request = WatchRequest {
            namespace: "cluster".into(),
            r#type: MEMBERS.into(),
            api_version: 1,
            options: Some(WatchOptions {
                bootstrap_contents: true,
                aggregated,
                ..WatchOptions::default()
            }),
            ..WatchRequest::default()
        };
        let mut stream = node.client("os:reader").watch(request).await.unwrap().into_inner();
        let mut kinds = Vec::new();
        let mut messages = 0;
        while kinds.len() < 4 {
            let message = stream.next().await.unwrap().unwrap();
            messages += 1;
            kinds.extend(message.event.iter().map(Event::event_type));
        }
        let (created, done) = (EventType::Created, EventType::Bootstrapped);
        assert_eq!(kinds, [created, created, created, done]);
        assert_eq!(messages, if aggregated { 1 } else { 4 });

        let spec = Member {
            hostname: format!("new {aggregated}"),
        };
        node.store.put("cluster.MemberController", "b", spec, "test").unwrap();
        let event = stream.next().await.unwrap().unwrap().event.remove(0);
        assert_eq!(event.event_type(), EventType::Updated);
        assert!(event.old.is_some() && event.bookmark.is_some());
        assert!(
            event
                .resource
                .unwrap()
                .spec
                .unwrap()
                .yaml_spec
                .starts_with("hostname: new")
        );
    }
}

#[tokio::test]
async fn a_watch_of_one_resource_begins_with_it_and_goes_on_from_a_bookmark() {
    let node = Node::new(Access::Roles);
    let mut client = node.client("os:reader");
    let one = |options: WatchOptions, id: &str| WatchRequest {
        namespace: "cluster".into(),
        r#type: MEMBERS.into(),
        id: Some(id.into()),
        options: Some(options),
        api_version: 1,
    };
    let mut stream = client
        .watch(one(WatchOptions::default(), "a"))
        .await
        .unwrap()
        .into_inner();
    let first = stream.next().await.unwrap().unwrap().event.remove(0);
    assert_eq!(first.event_type(), EventType::Created);
    let mut stream = client
        .watch(one(WatchOptions::default(), "none"))
        .await
        .unwrap()
        .into_inner();
    let absent = stream.next().await.unwrap().unwrap().event.remove(0);
    assert_eq!(absent.event_type(), EventType::Destroyed);
    assert_eq!(absent.resource.unwrap().metadata.unwrap().version, "undefined");

    let with_bookmark = WatchOptions {
        bootstrap_bookmark: true,
        ..WatchOptions::default()
    };
    let mut request = one(with_bookmark, "");
    let mut stream = client.watch(request.clone()).await.unwrap().into_inner();
    let noop = stream.next().await.unwrap().unwrap().event.remove(0);
    assert_eq!(noop.event_type(), EventType::Noop);
    let spec = Member { hostname: "z".into() };
    node.store.put("cluster.MemberController", "z", spec, "test").unwrap();
    request.options = Some(WatchOptions {
        start_from_bookmark: noop.bookmark,
        ..WatchOptions::default()
    });
    let mut stream = client.watch(request.clone()).await.unwrap().into_inner();
    let missed = stream.next().await.unwrap().unwrap().event.remove(0);
    assert_eq!(missed.resource.unwrap().metadata.unwrap().id, "z");
    request.options.as_mut().unwrap().start_from_bookmark = Some(vec![1; 16]);
    assert_eq!(
        client.watch(request).await.unwrap_err().code(),
        Code::FailedPrecondition
    );
}

#[tokio::test]
async fn administrators_write_only_what_is_meant_to_be_written() {
    let node = Node::new(Access::Roles);
    let mut admin = node.client("os:admin");
    let create = |resource: Resource, owner: &str| CreateRequest {
        resource: Some(resource),
        options: Some(CreateOptions { owner: owner.into() }),
    };
    let created = admin
        .create(create(note("n", "one", "undefined"), ""))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(created.resource.unwrap().metadata.unwrap().version, "1");
    let code = |r: Result<tonic::Response<CreateResponse>, Status>| r.unwrap_err().code();
    assert_eq!(
        code(admin.create(create(note("n", "one", ""), "")).await),
        Code::AlreadyExists
    );
    assert_eq!(
        code(admin.create(create(note("m", "x", ""), "some.Controller")).await),
        Code::PermissionDenied
    );
    assert_eq!(
        code(node.client("os:operator").create(create(note("m", "x", ""), "")).await),
        Code::PermissionDenied
    );
    let mut member = note("x", "x", "");
    member.metadata.as_mut().unwrap().r#type = MEMBERS.into();
    assert_eq!(code(admin.create(create(member, "")).await), Code::PermissionDenied);

    let update = |version: &str| UpdateRequest {
        new_resource: Some(note("n", "two", version)),
        options: None,
    };
    assert_eq!(
        admin.update(update("7")).await.unwrap_err().code(),
        Code::FailedPrecondition
    );
    let updated = admin.update(update("1")).await.unwrap().into_inner().resource.unwrap();
    assert_eq!(updated.spec.unwrap().yaml_spec, "text: two\n");

    let teardown = TeardownRequest {
        r#type: "Notes.runtime.talos.dev".into(),
        id: "n".into(),
        ..TeardownRequest::default()
    };
    assert!(admin.teardown(teardown).await.unwrap().into_inner().destroy_ready);
    let destroy = DestroyRequest {
        r#type: "Notes.runtime.talos.dev".into(),
        id: "n".into(),
        ..DestroyRequest::default()
    };
    admin.destroy(destroy.clone()).await.unwrap();
    assert_eq!(admin.destroy(destroy).await.unwrap_err().code(), Code::NotFound);
    admin.create(create(note("n", "again", ""), "")).await.unwrap();
    let both = TeardownAndDestroyRequest {
        r#type: "Notes.runtime.talos.dev".into(),
        id: "n".into(),
        ..TeardownAndDestroyRequest::default()
    };
    admin.teardown_and_destroy(both).await.unwrap();
    assert!(node.store.get::<Note>("n").is_none());
}

#[tokio::test]
async fn a_private_socket_shows_its_types_and_nothing_else() {
    let node = Node::new(Access::only(["OSRootSecrets.secrets.talos.dev"]));
    let mut client = node.client("os:reader");
    client.get(get("OSRootSecrets.secrets.talos.dev", "os")).await.unwrap();
    assert_eq!(
        client.get(get(MEMBERS, "a")).await.unwrap_err().code(),
        Code::PermissionDenied
    );
    let node = Node::new(Access::Maintenance);
    let mut admin = node.client("os:admin");
    admin.get(get(MEMBERS, "a")).await.unwrap();
    let refused = admin
        .get(get("OSRootSecrets.secrets.talos.dev", "os"))
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
}

#[tokio::test]
async fn history_is_told_oldest_first_without_secrets_and_plans_are_for_administrators() {
    let node = Node::new(Access::Roles);
    let spec = Member { hostname: "b2".into() };
    node.store
        .put("cluster.MemberController", "b", spec, "it was renamed")
        .unwrap();
    node.store.destroy::<Member>("cluster.MemberController", "c").unwrap();
    let history = async |role, request: HistoryRequest| {
        let stream = InsightServiceClient::new(node.wire(role))
            .history(request)
            .await?
            .into_inner();
        Ok::<_, Status>(stream.map(|c| c.unwrap()).collect::<Vec<_>>().await)
    };
    let of = |ty: &str, limit| HistoryRequest {
        r#type: ty.into(),
        limit,
        ..HistoryRequest::default()
    };
    let changes = history("os:reader", of("members", 2)).await.unwrap();
    assert_eq!(changes[0].cause, "it was renamed");
    assert!(changes[0].old.is_some() && changes[0].new.is_some());
    assert!(changes[1].old.is_some() && changes[1].new.is_none() && changes[0].sequence < changes[1].sequence);
    let secrets = |changes: &[api::proto::keelson::machine::HistoryResponse]| format!("{changes:?}").contains("s3cret");
    assert!(!secrets(&history("os:reader", of("", 0)).await.unwrap()));
    assert!(secrets(&history("os:admin", of("", 0)).await.unwrap()));
    let refused = history("os:reader", of("OSRootSecrets.secrets.talos.dev", 0))
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);

    let plan = PlanRequest {
        input: Some(Input::Patch(b"x".to_vec())),
    };
    let refused = InsightServiceClient::new(node.wire("os:reader"))
        .plan(plan.clone())
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    let planned = InsightServiceClient::new(node.wire("os:admin"))
        .plan(plan)
        .await
        .unwrap()
        .into_inner();
    assert!(planned.config_diff.starts_with("Patch"));
}
