//! `get --watch`.

use anyhow::Result;
use api::client::Client;
use api::proto::cosi::resource::{EventType, WatchOptions, WatchRequest, WatchResponse};
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use tonic::Status;

use super::print::{Change, Format, Printer};
use super::types::{Definition, resolve};
use crate::cli::node::Get;
use crate::session::{Failures, Session};

/// The form of events we understand (bookmarks and errors as events).
const WATCH_API_VERSION: i32 = 1;

/// Shows what there is and then every change, until interrupted.
pub async fn run(session: &Session, name: &str, args: &Get, format: &Format) -> Result<()> {
    let mut failures = Failures::default();
    let mut printer = Printer::new(format.clone(), true);
    let mut streams = Vec::new();
    for target in session.targets() {
        match open(&target.client, name, args).await {
            Ok((definition, events)) => {
                printer.header(&definition);
                let node = target.node.clone();
                streams.push(events.map(move |item| (node.clone(), definition.clone(), item)).boxed());
            }
            Err(status) => failures.0.push((target.node.clone(), status)),
        }
    }
    let mut all = stream::select_all(streams);
    while let Some((node, definition, item)) = all.next().await {
        let response = match item {
            Ok(response) => response,
            Err(status) => {
                failures.0.push((node, status));
                continue;
            }
        };
        for event in response.event {
            let kind = EventType::try_from(event.event_type).unwrap_or(EventType::Noop);
            let change = match kind {
                EventType::Created => Change::Created,
                EventType::Updated => Change::Updated,
                EventType::Destroyed => Change::Destroyed,
                EventType::Errored => {
                    failures
                        .0
                        .push((node.clone(), Status::unknown(event.error.unwrap_or_default())));
                    continue;
                }
                EventType::Bootstrapped | EventType::Noop => continue,
            };
            if let Some(resource) = event.resource {
                printer.resource(&node, &definition, resource, Some(change))?;
            }
        }
    }
    printer.finish()?;
    failures.into_result()
}

type Events = BoxStream<'static, Result<WatchResponse, Status>>;

async fn open(client: &Client, name: &str, args: &Get) -> Result<(Definition, Events), Status> {
    let definition = resolve(client, name).await?;
    let ids: Vec<Option<String>> = if args.ids.is_empty() {
        vec![None]
    } else {
        args.ids.iter().cloned().map(Some).collect()
    };
    let mut streams = Vec::new();
    for id in ids {
        let request = WatchRequest {
            namespace: args
                .namespace
                .clone()
                .unwrap_or_else(|| definition.default_namespace.clone()),
            r#type: definition.resource_type.clone(),
            id,
            options: Some(WatchOptions {
                bootstrap_contents: true,
                ..WatchOptions::default()
            }),
            api_version: WATCH_API_VERSION,
        };
        streams.push(client.state().watch(request).await?.into_inner());
    }
    Ok((definition, stream::select_all(streams).boxed()))
}
