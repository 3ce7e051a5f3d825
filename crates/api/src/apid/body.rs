//! Bodies that pass through.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{HeaderMap, Response};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use tonic::Status;

use crate::door::body::{Body, Broken};

pub(super) fn from_client(incoming: Incoming) -> Body {
    incoming.map_err(Into::into).boxed_unsync()
}

pub(super) fn full(bytes: Bytes) -> Body {
    Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
}

/// The body of an upstream. It holds the upstream's place in the pool until it has been read or dropped, and if the
/// upstream goes away in the middle the client gets a status that says so instead of a reset stream.
pub(super) struct FromUpstream<G> {
    incoming: Option<Incoming>,
    name: String,
    _place: G,
}

impl<G: Send + Unpin + 'static> FromUpstream<G> {
    pub(super) fn boxed(incoming: Incoming, name: String, place: G) -> Body {
        Self {
            incoming: Some(incoming),
            name,
            _place: place,
        }
        .boxed_unsync()
    }
}

impl<G: Unpin> hyper::body::Body for FromUpstream<G> {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let Some(incoming) = &mut self.incoming else {
            return Poll::Ready(None);
        };
        let frame = match ready!(Pin::new(incoming).poll_frame(cx)) {
            Some(Err(error)) => {
                self.incoming = None;
                tracing::debug!(upstream = self.name, %error, "response broke off");
                let status = Status::unavailable(format!("connection to {} was lost: {error}", self.name));
                Some(Ok(Frame::trailers(trailers(&status))))
            }
            other => other.map(|frame| frame.map_err(Into::into)),
        };
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.as_ref().is_none_or(hyper::body::Body::is_end_stream)
    }
}

/// A response that begins with messages and ends well, whatever they say.
pub(super) fn messages(stream: impl futures::Stream<Item = Bytes> + Send + 'static) -> Response<Body> {
    use futures::StreamExt;
    let end = futures::stream::once(async { Frame::trailers(trailers(&Status::ok(""))) });
    let frames = stream.map(Frame::data).chain(end).map(Ok);
    let mut response = Response::new(StreamBody::new(frames).boxed_unsync());
    let content_type = http::HeaderValue::from_static("application/grpc");
    response.headers_mut().insert(http::header::CONTENT_TYPE, content_type);
    response
}

fn trailers(status: &Status) -> HeaderMap {
    let mut headers = HeaderMap::new();
    // Fails only if the message cannot be a header, and it is percent-encoded.
    if status.add_header(&mut headers).is_err() {
        headers.insert(Status::GRPC_STATUS, http::HeaderValue::from(status.code() as i32));
    }
    headers
}
