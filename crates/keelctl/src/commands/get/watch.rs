//! `get --watch`.

use std::collections::VecDeque;
use std::time::Duration;

use anyhow::Result;
use api::proto::cosi::resource::{EventType, Resource, WatchOptions, WatchRequest, WatchResponse};
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use tonic::{Code, Status};

use super::known::Known;
use super::print::{Change, Format, Printer};
use super::types::{Definition, resolve};
use crate::cli::observe::Get;
use crate::output::note;
use crate::session::{Failures, Session, Target, rpc_error};

/// The form of events we understand (bookmarks and errors as events).
const WATCH_API_VERSION: i32 = 1;

/// Pause between two attempts at a node that is away.
const PAUSE: Duration = Duration::from_secs(1);

/// Shows what there is and then every change, until interrupted. A node that goes away is asked again until it is back.
pub async fn run(session: &Session, name: &str, args: &Get, format: &Format) -> Result<()> {
    let mut failures = Failures::default();
    let mut printer = Printer::new(format.clone(), true);
    let mut streams = Vec::new();
    for target in session.targets() {
        match open(target, name, args).await {
            Ok((definition, watches)) => {
                printer.header(&definition);
                for watch in watches {
                    let (node, definition) = (target.node.clone(), definition.clone());
                    let told = stream::unfold(watch, async |mut watch| Some((watch.next().await?, watch)));
                    streams.push(
                        told.map(move |item| (node.clone(), definition.clone(), item))
                            .boxed_local(),
                    );
                }
            }
            Err(status) => failures.0.push((target.node.clone(), status)),
        }
    }
    let mut all = stream::select_all(streams);
    while let Some((node, definition, item)) = all.next().await {
        match item {
            Ok((change, resource)) => printer.resource(&node, &definition, resource, Some(change))?,
            Err(status) => failures.0.push((node, status)),
        }
    }
    printer.finish()?;
    failures.into_result()
}

async fn open(target: &Target, name: &str, args: &Get) -> Result<(Definition, Vec<Watch>), Status> {
    let definition = resolve(&target.client, name).await?;
    let ids: Vec<Option<String>> = if args.ids.is_empty() {
        vec![None]
    } else {
        args.ids.iter().cloned().map(Some).collect()
    };
    let namespace = args.namespace.as_ref().unwrap_or(&definition.default_namespace);
    let mut watches = Vec::new();
    for id in ids {
        let request = WatchRequest {
            namespace: namespace.clone(),
            r#type: definition.resource_type.clone(),
            id,
            options: Some(WatchOptions {
                bootstrap_contents: true,
                ..WatchOptions::default()
            }),
            api_version: WATCH_API_VERSION,
        };
        watches.push(Watch::open(target, request).await?);
    }
    Ok((definition, watches))
}

/// One watch of one node, over as many streams as it takes.
struct Watch {
    target: Target,
    request: WatchRequest,
    /// None after it ended for good.
    stream: Option<BoxStream<'static, Result<WatchResponse, Status>>>,
    known: Known,
    /// What is to be told before the stream is read on.
    waiting: VecDeque<Result<(Change, Resource), Status>>,
}

impl Watch {
    async fn open(target: &Target, request: WatchRequest) -> Result<Self, Status> {
        let stream = target.client.state().watch(request.clone()).await?.into_inner();
        Ok(Self {
            target: target.clone(),
            request,
            stream: Some(stream.boxed()),
            known: Known::default(),
            waiting: VecDeque::new(),
        })
    }

    /// The next change, or why there are no more; none when the node has ended the watch.
    async fn next(&mut self) -> Option<Result<(Change, Resource), Status>> {
        loop {
            if let Some(item) = self.waiting.pop_front() {
                return Some(item);
            }
            match self.stream.as_mut()?.next().await? {
                Ok(response) => self.take(response),
                Err(status) => {
                    if let Err(status) = self.reopen(status).await {
                        self.stream = None;
                        return Some(Err(status));
                    }
                }
            }
        }
    }

    fn take(&mut self, response: WatchResponse) {
        for event in response.event {
            match EventType::try_from(event.event_type).unwrap_or(EventType::Noop) {
                EventType::Noop => {}
                EventType::Errored => {
                    let status = Status::unknown(event.error.unwrap_or_default());
                    self.waiting.push_back(Err(status));
                    // The node goes on with the contents.
                    self.known.begin_again();
                }
                kind => self
                    .waiting
                    .extend(self.known.changes(kind, event.resource).into_iter().map(Ok)),
            }
        }
    }

    /// Tries until the node answers again; fails for a reason that time does not mend.
    async fn reopen(&mut self, lost: Status) -> Result<(), Status> {
        let node = &self.target.node;
        let mut reason = lost;
        let mut told = String::new();
        loop {
            if is_final(reason.code()) {
                return Err(reason);
            }
            let text = rpc_error(&reason);
            if text != told {
                note(&format!("{node}: the watch is interrupted, trying again: {text}"));
                told = text;
            }
            tokio::time::sleep(PAUSE).await;
            match self.target.client.state().watch(self.request.clone()).await {
                Ok(response) => {
                    note(&format!("{node}: the watch goes on"));
                    self.stream = Some(response.into_inner().boxed());
                    self.known.begin_again();
                    return Ok(());
                }
                Err(status) => reason = status,
            }
        }
    }
}

/// Whether a node that answers so will answer so again.
fn is_final(code: Code) -> bool {
    matches!(
        code,
        Code::PermissionDenied | Code::Unauthenticated | Code::InvalidArgument | Code::Unimplemented
    )
}
