//! Bodies of any kind.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Frame;

/// Why a body broke off.
pub(crate) type Broken = Box<dyn std::error::Error + Send + Sync>;
/// Any body.
pub(crate) type Body = UnsyncBoxBody<Bytes, Broken>;

/// A body that keeps something alive until it has been read or dropped.
struct Holding<G> {
    body: Body,
    _held: G,
}

pub(crate) fn holding<G: Send + Unpin + 'static>(body: Body, held: G) -> Body {
    Holding { body, _held: held }.boxed_unsync()
}

impl<G: Unpin> hyper::body::Body for Holding<G> {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        self.body.size_hint()
    }
}
