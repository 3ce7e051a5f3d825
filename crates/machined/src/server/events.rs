//! The stream of events.

use std::time::{Duration, SystemTime};

use api::proto::machine as proto;
use futures::StreamExt;
use prost_types::Any;
use tokio_stream::wrappers::BroadcastStream;
use tonic::codegen::BoxStream;
use tonic::{Response, Status};

use crate::events::Event;
use crate::node::Node;

/// Past events as asked for, then what comes.
pub fn events(node: &Node, request: proto::EventsRequest) -> Result<Response<BoxStream<proto::Event>>, Status> {
    let (kept, live) = node.events.subscribe();
    let past = past(kept, &request, SystemTime::now());
    let actor = request.with_actor_id;
    let live = BroadcastStream::new(live).filter_map(|event| async move {
        // A client that is too slow loses the oldest; the ids show the gap.
        event.ok()
    });
    let wanted = move |event: &Event| actor.is_empty() || event.actor == actor;
    let stream = futures::stream::iter(past)
        .chain(live)
        .filter(move |e| futures::future::ready(wanted(e)));
    Ok(Response::new(stream.map(|event| Ok(message(event))).boxed()))
}

/// Which of the kept events a request wants: by count (negative: all), after an id, or by age. None by default.
fn past(kept: Vec<Event>, request: &proto::EventsRequest, now: SystemTime) -> Vec<Event> {
    if request.tail_events != 0 {
        let count = usize::try_from(request.tail_events).unwrap_or(usize::MAX);
        let skip = kept.len().saturating_sub(count);
        return kept.into_iter().skip(skip).collect();
    }
    if !request.tail_id.is_empty() {
        return kept.into_iter().filter(|e| e.id > request.tail_id).collect();
    }
    let age = Duration::from_secs(u64::try_from(request.tail_seconds).unwrap_or_default());
    if age.is_zero() {
        return Vec::new();
    }
    kept.into_iter()
        .filter(|e| now.duration_since(e.at).is_ok_and(|a| a <= age))
        .collect()
}

fn message(event: Event) -> proto::Event {
    proto::Event {
        metadata: None,
        data: Some(Any {
            type_url: event.type_url,
            value: event.value,
        }),
        id: event.id,
        actor_id: event.actor,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(id: &str, seconds_ago: u64) -> Event {
        let at = SystemTime::now() - Duration::from_secs(seconds_ago);
        Event {
            id: id.into(),
            actor: String::new(),
            type_url: String::new(),
            value: vec![],
            at,
        }
    }

    fn ids(request: proto::EventsRequest) -> Vec<String> {
        let kept = vec![event("a", 100), event("b", 50), event("c", 1)];
        past(kept, &request, SystemTime::now())
            .into_iter()
            .map(|e| e.id)
            .collect()
    }

    #[test]
    fn the_past_is_shown_only_as_far_as_asked() {
        assert!(ids(proto::EventsRequest::default()).is_empty());
        assert_eq!(
            ids(proto::EventsRequest {
                tail_events: 2,
                ..Default::default()
            }),
            ["b", "c"]
        );
        assert_eq!(
            ids(proto::EventsRequest {
                tail_events: -1,
                ..Default::default()
            }),
            ["a", "b", "c"]
        );
        assert_eq!(
            ids(proto::EventsRequest {
                tail_id: "a".into(),
                ..Default::default()
            }),
            ["b", "c"]
        );
        assert_eq!(
            ids(proto::EventsRequest {
                tail_seconds: 60,
                ..Default::default()
            }),
            ["b", "c"]
        );
    }
}
