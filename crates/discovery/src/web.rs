//! The HTTP side: the page, metrics and health. Plain HTTP/1; a proxy in front can add what else is wanted.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::extract::{DefaultBodyLimit, Form, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use serde::Deserialize;

use crate::caller::Caller;
use crate::limits;
use crate::page::{self, Line};
use crate::service::Service;

/// What the routes need.
#[derive(Clone, Debug)]
pub struct Web {
    /// The service.
    pub service: Service,
    /// Set while calls are answered.
    pub ready: Arc<AtomicBool>,
}

/// The routes.
pub fn router(web: Web) -> Router {
    Router::new()
        .route("/", get(welcome))
        .route("/cluster", post(cluster))
        .route("/metrics", get(metrics))
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .layer(DefaultBodyLimit::max(4096))
        .with_state(web)
}

async fn welcome(State(web): State<Web>) -> Response {
    first_page(&web, StatusCode::OK, None)
}

#[derive(Deserialize)]
struct Wanted {
    id: String,
}

/// The id comes in the body: whoever knows it can remove affiliates, so it should not be in histories and logs.
async fn cluster(
    State(web): State<Web>,
    caller: Option<Extension<Caller>>,
    headers: HeaderMap,
    Form(Wanted { id }): Form<Wanted>,
) -> Response {
    let peer = caller.map_or(IpAddr::from([0, 0, 0, 0]), |caller| caller.0.peer());
    let from = web.service.address(peer, &headers);
    if let Err(status) = web.service.admit(from) {
        return first_page(&web, StatusCode::TOO_MANY_REQUESTS, Some(status.message()));
    }
    let id = id.trim();
    if !(1..=limits::CLUSTER_ID).contains(&id.len()) {
        let text = format!("A cluster id has 1 to {} bytes.", limits::CLUSTER_ID);
        return first_page(&web, StatusCode::BAD_REQUEST, Some(&text));
    }
    let now = web.service.clock().now();
    let lines = web.service.store().look(id, |record| Line::of(record, now));
    html(StatusCode::OK, page::cluster(&lines))
}

fn first_page(web: &Web, status: StatusCode, notice: Option<&str>) -> Response {
    let store = web.service.store();
    let watchers = store.watching().watchers.load(Ordering::Relaxed);
    html(status, page::welcome(store.totals(), watchers, notice))
}

fn html(status: StatusCode, text: String) -> Response {
    let headers = [
        (header::CONTENT_SECURITY_POLICY, page::POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (status, headers, Html(text)).into_response()
}

async fn metrics(State(web): State<Web>) -> Response {
    const TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    match crate::metrics::text(&web.service) {
        Ok(text) => ([(header::CONTENT_TYPE, TYPE)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

/// Ready also while the disk fails: nodes find each other from memory. The answer says so.
async fn ready(State(web): State<Web>) -> Response {
    if !web.ready.load(Ordering::Acquire) {
        return (StatusCode::SERVICE_UNAVAILABLE, "stopping\n").into_response();
    }
    let broken = web
        .service
        .store()
        .journal()
        .is_some_and(crate::journal::Journal::is_broken);
    let text = if broken {
        "ok, but changes do not reach the disk\n"
    } else {
        "ok\n"
    };
    text.into_response()
}
