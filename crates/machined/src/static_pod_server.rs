//! Serves the node's static pods to its kubelet, as a list over HTTP on a loopback port: no file to tamper with.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};

/// The kubelet is the only client; a few connections are plenty.
const CONNECTIONS: usize = 8;

/// Answers every `GET` with the newest list of pods, until dropped.
pub async fn serve(listener: TcpListener, pods: watch::Receiver<Vec<Value>>) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(slot) = slots.clone().acquire_owned().await else {
            return;
        };
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            continue;
        };
        let pods = pods.clone();
        tokio::spawn(async move {
            let _slot = slot;
            let answer = service_fn(move |request| {
                let response = respond(&request, &pods.borrow());
                async move { Ok::<_, Infallible>(response) }
            });
            // The kubelet going away in the middle of an answer concerns nobody.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), answer)
                .await;
        });
    }
}

fn respond(request: &Request<Incoming>, pods: &[Value]) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    if request.method() == Method::GET {
        *response.body_mut() = Full::new(Bytes::from(list(pods).to_string()));
        response.headers_mut().insert(
            header::CONTENT_TYPE,
            header::HeaderValue::from_static("application/json"),
        );
    } else {
        *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    }
    response
}

fn list(pods: &[Value]) -> Value {
    json!({"apiVersion": "v1", "kind": "PodList", "items": pods})
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn the_newest_pods_are_served_as_a_list() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (pods, receiver) = watch::channel(vec![]);
        tokio::spawn(serve(listener, receiver));
        pods.send_replace(vec![json!({"metadata": {"name": "kube-apiserver"}})]);

        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        stream
            .write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            .await
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let body: Value = serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap()).unwrap();
        assert_eq!(body["items"][0]["metadata"]["name"], "kube-apiserver");
        assert_eq!(body["kind"], "PodList");
    }
}
