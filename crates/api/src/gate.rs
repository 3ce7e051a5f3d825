//! The check of roles at the machine API itself.
//!
//! apid checks roles before it passes a call on; the machine API checks them again on its own socket, so that a
//! confined program that was given the socket, or a fault in apid, gets no further than its roles.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use futures::future::{Either, Ready, ready};
use http::{Request, Response};
use tower::Layer;
use tower_service::Service;

use crate::roles;

/// A layer for `tonic::transport::Server`. While `maintenance` is set, the rules of maintenance hold.
#[derive(Clone, Debug, Default)]
pub struct Gate {
    maintenance: Arc<AtomicBool>,
}

impl Gate {
    /// Checks by that switch.
    pub fn new(maintenance: Arc<AtomicBool>) -> Self {
        Self { maintenance }
    }
}

impl<S> Layer<S> for Gate {
    type Service = Gated<S>;

    fn layer(&self, inner: S) -> Gated<S> {
        Gated {
            gate: self.clone(),
            inner,
        }
    }
}

/// A service behind a [`Gate`].
#[derive(Clone, Debug)]
pub struct Gated<S> {
    gate: Gate,
    inner: S,
}

impl<S, B, R> Service<Request<B>> for Gated<S>
where
    S: Service<Request<B>, Response = Response<R>, Error = Infallible>,
    R: Default,
{
    type Response = Response<R>;
    type Error = Infallible;
    type Future = Either<S::Future, Ready<Result<Response<R>, Infallible>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let path = request.uri().path();
        let decided = if self.gate.maintenance.load(Ordering::Acquire) {
            roles::authorize_in_maintenance(path)
        } else {
            roles::authorize(path, &roles::of_headers(request.headers()))
        };
        match decided {
            Ok(()) => Either::Left(self.inner.call(request)),
            Err(status) => Either::Right(ready(Ok(status.into_http()))),
        }
    }
}
