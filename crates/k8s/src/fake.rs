//! A scripted HTTP server for tests of what a real API server does only on a bad day.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use crate::{Auth, Client};

/// Answers calls in order with the given status and body, and remembers what was asked: `METHOD path body`.
pub(crate) struct Fake {
    pub client: Client,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Fake {
    pub async fn answering(answers: &[(u16, &str)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let answers: VecDeque<(u16, String)> = answers.iter().map(|(c, b)| (*c, (*b).to_owned())).collect();
        let answers = Arc::new(Mutex::new(answers));
        let seen = asked.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (answers, seen) = (answers.clone(), seen.clone());
                let service = service_fn(move |request: Request<Incoming>| {
                    let (answers, seen) = (answers.clone(), seen.clone());
                    async move {
                        let (head, body) = request.into_parts();
                        let body = body.collect().await.unwrap().to_bytes();
                        let line = format!("{} {} {}", head.method, head.uri, String::from_utf8_lossy(&body));
                        seen.lock().unwrap().push(line.trim_end().to_owned());
                        let (code, body) = answers
                            .lock()
                            .unwrap()
                            .pop_front()
                            .unwrap_or((599, "script ended".into()));
                        let response = Response::builder()
                            .status(code)
                            .body(Full::new(Bytes::from(body)))
                            .unwrap();
                        Ok::<_, Infallible>(response)
                    }
                });
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        let client = Client::new(&format!("http://{address}"), b"", Auth::Anonymous).unwrap();
        Self { client, asked }
    }

    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

mod tests {
    use super::*;
    use crate::{ApplyOptions, Error, Event, ListOptions, Patch, resources};
    use futures::StreamExt;
    use serde_json::json;

    #[tokio::test]
    async fn a_list_is_read_page_by_page() {
        let fake = Fake::answering(&[
            (
                200,
                r#"{"metadata":{"resourceVersion":"5","continue":"more"},"items":[{"metadata":{"name":"a"}}]}"#,
            ),
            (
                200,
                r#"{"metadata":{"resourceVersion":"5"},"items":[{"metadata":{"name":"b"}}]}"#,
            ),
        ])
        .await;
        let options = ListOptions {
            labels: "app=x".into(),
            fields: String::new(),
        };
        let list = fake
            .client
            .list(&resources::PODS, Some("kube-system"), &options)
            .await
            .unwrap();
        assert_eq!(list.items.len(), 2);
        assert_eq!(
            list.items[1],
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "b"}})
        );
        assert_eq!(
            fake.asked()[1],
            "GET /api/v1/namespaces/kube-system/pods?labelSelector=app%3Dx&limit=500&continue=more"
        );
    }

    #[tokio::test]
    async fn apply_finds_the_kind_once_and_names_its_manager() {
        let served = r#"{"resources":[{"name":"widgets","kind":"Widget","namespaced":true}]}"#;
        let fake = Fake::answering(&[(200, served), (200, "{}"), (409, "{}")]).await;
        let object = json!({"apiVersion": "a.b/v1", "kind": "Widget", "metadata": {"name": "w"}});
        let options = ApplyOptions::new("talos").force().dry_run();
        fake.client.apply(&object, &options).await.unwrap();
        assert!(matches!(
            fake.client.apply(&object, &options).await,
            Err(Error::Conflict { .. })
        ));
        let asked = fake.asked();
        assert_eq!(asked[0], "GET /apis/a.b/v1");
        let call = "PATCH /apis/a.b/v1/namespaces/default/widgets/w?fieldManager=talos&force=true&dryRun=All {";
        assert!(asked[1].starts_with(call), "{}", asked[1]);
        assert_eq!(asked.len(), 3);
    }

    #[tokio::test]
    async fn an_unknown_kind_is_asked_for_again_next_time() {
        let fake = Fake::answering(&[(404, "{}"), (404, "{}")]).await;
        for _ in 0..2 {
            let error = fake.client.discover("a.b/v1", "Widget").await.unwrap_err();
            assert!(matches!(error, Error::UnknownKind { .. }), "{error}");
        }
        assert_eq!(fake.asked().len(), 2);
    }

    #[tokio::test]
    async fn a_watch_resumes_where_it_was_and_lists_again_when_that_is_too_old() {
        let fake = Fake::answering(&[
            (200, r#"{"metadata":{"resourceVersion":"5"},"items":[]}"#),
            (
                200,
                "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"name\":\"a\",\"resourceVersion\":\"6\"}}}\n{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{\"resourceVersion\":\"9\"}}}\n",
            ),
            (200, "{\"type\":\"ERROR\",\"object\":{\"code\":410,\"message\":\"too old\"}}\n"),
            (200, r#"{"metadata":{"resourceVersion":"20"},"items":[]}"#),
        ])
        .await;
        let events = fake.client.watch(&resources::NODES, None, &ListOptions::default());
        let events: Vec<Event> = events.take(3).map(Result::unwrap).collect().await;
        assert_eq!(events[0], Event::Listed(vec![]));
        assert!(matches!(&events[1], Event::Applied(node) if node["metadata"]["name"] == "a"));
        assert_eq!(events[2], Event::Listed(vec![]));
        assert!(fake.asked()[1].contains("resourceVersion=5"));
        assert!(fake.asked()[2].contains("resourceVersion=9"));
    }

    #[tokio::test]
    async fn a_failing_watch_reports_and_goes_on() {
        let fake = Fake::answering(&[(500, "etcd is away"), (200, r#"{"metadata":{},"items":[]}"#)]).await;
        let mut events = Box::pin(fake.client.watch(&resources::NODES, None, &ListOptions::default()));
        assert!(events.next().await.unwrap().unwrap_err().is_transient());
        assert_eq!(events.next().await.unwrap().unwrap(), Event::Listed(vec![]));
    }

    #[tokio::test]
    async fn what_is_there_is_not_made_again() {
        let served = r#"{"resources":[{"name":"configmaps","kind":"ConfigMap","namespaced":true}]}"#;
        let exists = r#"{"reason":"AlreadyExists"}"#;
        let fake = Fake::answering(&[
            (200, served),
            (200, "{}"),
            (404, "{}"),
            (409, exists),
            (404, "{}"),
            (201, "{}"),
        ])
        .await;
        let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m", "namespace": "n"}});
        assert!(
            !fake.client.create_if_absent(&object, "talos").await.unwrap(),
            "there already"
        );
        assert!(
            !fake.client.create_if_absent(&object, "talos").await.unwrap(),
            "another was faster"
        );
        assert!(fake.client.create_if_absent(&object, "talos").await.unwrap());
    }

    #[tokio::test]
    async fn patches_say_what_they_are() {
        let fake = Fake::answering(&[(200, "{}")]).await;
        let patch = Patch::Merge(json!({"a": null}));
        fake.client
            .patch(&resources::NODES, None, "n", Some("status"), &patch)
            .await
            .unwrap();
        assert_eq!(fake.asked(), ["PATCH /api/v1/nodes/n/status {\"a\":null}"]);
    }

    #[tokio::test]
    async fn names_are_not_looked_up_without_a_resolver() {
        let client = Client::new("http://example.org", b"", Auth::Anonymous).unwrap();
        let error = client.raw("/readyz").await.unwrap_err();
        assert!(
            matches!(&error, Error::Unreachable { reason, .. } if reason.contains("no resolver")),
            "{error}"
        );
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_is_unreachable() {
        let client = Client::new("http://127.0.0.1:1", b"", Auth::Anonymous).unwrap();
        let error = client.raw("/readyz").await.unwrap_err();
        assert!(
            matches!(&error, Error::Unreachable { reason, .. } if reason.contains("refused")),
            "{error}"
        );
    }
}
