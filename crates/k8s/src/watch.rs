//! Watches: the whole list first, then what changes, for as long as the stream is polled.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::Stream;
use http::Method;
use http_body_util::{BodyExt, BodyStream};
use hyper::body::Incoming;
use serde_json::Value;

use crate::client::Call;
use crate::{ApiResource, Client, Error, ListOptions};

/// The server ends a watch after this; then it goes on from where it was.
const SERVER_TIMEOUT: Duration = Duration::from_secs(290);
/// With bookmarks a watch is never silent for long; one that is has lost its connection.
const SILENCE: Duration = Duration::from_secs(300);
const BACKOFF_FIRST: Duration = Duration::from_millis(250);
const BACKOFF_MOST: Duration = Duration::from_secs(15);
/// One event larger than this is refused (etcd's own limit is far below).
const EVENT_LIMIT: usize = 64 * 1024 * 1024;

/// What a watch reports.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// All there is now: at the beginning, and again whenever changes were missed. What is not in it is gone.
    Listed(Vec<Value>),
    /// New or changed.
    Applied(Value),
    /// Gone; its last form.
    Deleted(Value),
}

impl Client {
    /// Watches a kind, in one namespace or everywhere. The stream never ends by itself: after an error item it waits a
    /// little and goes on, from where it was if the server still knows that point, else with a new [`Event::Listed`].
    pub fn watch(
        &self,
        resource: &ApiResource,
        namespace: Option<&str>,
        options: &ListOptions,
    ) -> impl Stream<Item = Result<Event, Error>> + Send + use<> {
        let watch = Watch {
            client: self.clone(),
            resource: resource.clone(),
            namespace: namespace.map(str::to_owned),
            options: options.clone(),
            version: None,
            open: None,
            backoff: None,
        };
        futures::stream::unfold(watch, |mut watch| async move {
            let item = watch.next().await;
            Some((item, watch))
        })
    }
}

struct Watch {
    client: Client,
    resource: ApiResource,
    namespace: Option<String>,
    options: ListOptions,
    /// Seen up to here; `None` means that a list is due.
    version: Option<String>,
    open: Option<Lines>,
    backoff: Option<Duration>,
}

impl Watch {
    async fn next(&mut self) -> Result<Event, Error> {
        loop {
            match self.step().await {
                Ok(Some(event)) => {
                    self.backoff = None;
                    return Ok(event);
                }
                Ok(None) => {}
                Err(error) => {
                    self.open = None;
                    if matches!(error, Error::Gone { .. }) {
                        self.version = None;
                        continue;
                    }
                    self.backoff = Some(self.backoff.map_or(BACKOFF_FIRST, |b| (b * 2).min(BACKOFF_MOST)));
                    return Err(error);
                }
            }
        }
    }

    /// One list, one opening or one line.
    async fn step(&mut self) -> Result<Option<Event>, Error> {
        if let Some(lines) = &mut self.open {
            let Some(line) = lines.next(&self.client).await? else {
                self.open = None;
                return Ok(None);
            };
            return self.event(&line);
        }
        if let Some(wait) = self.backoff {
            tokio::time::sleep(wait).await;
        }
        let Some(version) = self.version.clone() else {
            let list = self
                .client
                .list(&self.resource, self.namespace.as_deref(), &self.options)
                .await?;
            self.version = Some(list.resource_version);
            return Ok(Some(Event::Listed(list.items)));
        };
        let what = format!("watch {}", self.resource.plural);
        let mut call = Call::new(
            what.clone(),
            Method::GET,
            self.resource.path(self.namespace.as_deref(), None),
        );
        call.query = self.options.query();
        call.query.push(("watch", "true".to_owned()));
        call.query.push(("allowWatchBookmarks", "true".to_owned()));
        call.query.push(("resourceVersion", version));
        call.query
            .push(("timeoutSeconds", SERVER_TIMEOUT.as_secs().to_string()));
        let body = self.client.stream(call).await?.into_body();
        self.open = Some(Lines {
            what,
            body: BodyStream::new(body),
            buffer: BytesMut::new(),
            searched: 0,
        });
        Ok(None)
    }

    fn event(&mut self, line: &[u8]) -> Result<Option<Event>, Error> {
        let what = format!("watch {}", self.resource.plural);
        let mut event: Value = serde_json::from_slice(line).map_err(|e| Error::Decode {
            what: what.clone(),
            reason: e.to_string(),
        })?;
        let object = event["object"].take();
        let kind = event["type"].as_str().unwrap_or_default();
        if kind == "ERROR" {
            let code = object["code"]
                .as_u64()
                .and_then(|c| u16::try_from(c).ok())
                .unwrap_or(500);
            return Err(Error::from_response(&what, code, None, object.to_string().as_bytes()));
        }
        if let Some(version) = object["metadata"]["resourceVersion"].as_str() {
            self.version = Some(version.to_owned());
        }
        match kind {
            "ADDED" | "MODIFIED" => Ok(Some(Event::Applied(object))),
            "DELETED" => Ok(Some(Event::Deleted(object))),
            "BOOKMARK" => {
                // The server keeps its word, so the next trouble is a new one.
                self.backoff = None;
                Ok(None)
            }
            other => Err(Error::Decode {
                what,
                reason: format!("unknown event type {other:?}"),
            }),
        }
    }
}

/// The lines of a body, each one event.
struct Lines {
    what: String,
    body: BodyStream<Incoming>,
    buffer: BytesMut,
    /// No line ends before here.
    searched: usize,
}

impl Lines {
    /// The next line; `None` when the server ended the watch.
    async fn next(&mut self, client: &Client) -> Result<Option<Bytes>, Error> {
        loop {
            if let Some(end) = self.buffer.iter().skip(self.searched).position(|&b| b == b'\n') {
                let line = self.buffer.split_to(self.searched + end + 1).freeze();
                self.searched = 0;
                if line.iter().all(u8::is_ascii_whitespace) {
                    continue;
                }
                return Ok(Some(line));
            }
            self.searched = self.buffer.len();
            if self.buffer.len() > EVENT_LIMIT {
                let reason = format!("an event is larger than {EVENT_LIMIT} bytes");
                return Err(Error::Decode {
                    what: self.what.clone(),
                    reason,
                });
            }
            match tokio::time::timeout(SILENCE, self.body.frame()).await {
                Err(_) => return Err(client.timed_out(&self.what)),
                Ok(None) => return Ok(None),
                Ok(Some(Err(error))) => return Err(client.unreachable(&self.what, &error)),
                Ok(Some(Ok(frame))) => {
                    if let Ok(data) = frame.into_data() {
                        self.buffer.extend_from_slice(&data);
                    }
                }
            }
        }
    }
}
